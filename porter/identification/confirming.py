"""What the samples prove of the configurations that give them, by the rule that every reading is judged by."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.domain import port_limits
from porter.formats.samples import Samples
from porter.identification.candidate import Candidate
from porter.identification.refining import Golden, Hit
from porter.reading.arithmetic import Arithmetic, Fit, spread_of
from porter.reading.check import flags_as_numbers
from porter.reading.explanation import explain
from porter.reading.readings import Formula
from porter.reading.telling import POOL, find_telling, pool_rows, search_box
from reference.trace import Program

Array = NDArray[Any]

MOST = 48
"""Configurations that are judged by the strict rule."""
BESIDE = 50.0
"""Times the closest one's residual within which others may be explained by the same arithmetic."""
COMPARED, MOST_COMPARED = 256, 400
"""Rows on which configurations are compared that were not judged, and how many of these; more count as unlike."""
TINY = 1e-13
SHARE = 2.0**-18
SPREAD_ROWS = 8
WIDENED = 0.1
"""How far beyond the samples an input is looked for that tells configurations apart, where no range is documented."""


@dataclass(frozen=True)
class Explained:
    """A configuration that some arithmetic explains.

    Attributes:
        hit: the configuration.
        program: its forward pass.
        fit: by which arithmetic, and how well.
    """

    hit: Hit
    program: Program
    fit: Fit


@dataclass(frozen=True)
class Alternative:
    """A configuration that the samples cannot tell from the one that was taken.

    Attributes:
        candidate: which.
        differences: place, what it is in the one that was taken, what it is here.
        row: (inputs,) an input that tells them apart; None where none was found.
        outputs: (outputs,) what the one that was taken gives for it.
        others: (outputs,) what this one gives.
        is_outside: whether the row lies beyond the range of the samples, where the file documents none.
    """

    candidate: Candidate
    differences: tuple[tuple[str, str, str], ...]
    row: Array | None
    outputs: Array | None = None
    others: Array | None = None
    is_outside: bool = False


def as_samples(golden: Golden, path: Path) -> Samples:
    """The samples as the strict rule takes them."""
    return Samples(path, (golden.inputs,), (golden.outputs,), (golden.input_resolution,), (golden.resolution,))


@dataclass(frozen=True)
class Judged:
    """Configurations held against the samples by the strict rule.

    Attributes:
        explained: those that one arithmetic explains, the likeliest first.
        closest: how the closest of all lies to its arithmetic, where none is explained.
        rest: as close to the samples, and not judged: there were too many, or it took too long.
    """

    explained: list[Explained]
    closest: Fit | None = None
    rest: Sequence[Hit] = ()


def explained(
    hits: Sequence[Hit], golden: Golden, path: Path, program: Callable[[Candidate], Program], seconds: float
) -> Judged:
    """Judge the closest."""
    began = time.monotonic()
    samples = as_samples(golden, path)
    if not hits:
        return Judged([])
    limit = BESIDE * hits[0].residual + TINY
    near = [hit for hit in hits if hit.residual <= limit]
    found: list[Explained] = []
    closest: Fit | None = None
    count = 0
    for hit in near[:MOST]:
        count += 1
        fit, formula = _fit(program(hit.candidate), samples, None)
        closest = fit if closest is None or fit.factor < closest.factor else closest
        if fit.is_explained:
            found.append(Explained(hit, formula, fit))
        if time.monotonic() - began > seconds and found:
            break
    if not found:
        return Judged([], closest)
    best = _most_exact(found)
    own = [each for each in found if each.fit.arithmetic.kind == best.kind or _fits(each, samples, best)]
    own.sort(key=lambda each: each.hit.cost + likeliness(each.hit.candidate))
    return Judged(own, None, near[count:])


def _fit(program: Program, samples: Samples, known: Arithmetic | None) -> tuple[Fit, Program]:
    numbered, flagged = flags_as_numbers(program, samples)
    return explain(Formula(numbered), flagged, known), program


def _fits(each: Explained, samples: Samples, arithmetic: Arithmetic) -> bool:
    return _fit(each.program, samples, arithmetic)[0].is_explained


def _most_exact(found: Sequence[Explained]) -> Arithmetic:
    order = ("float64", "float32 between scalings in float64", "float32")
    return min((each.fit.arithmetic for each in found), key=lambda each: (order.index(each.name), each.coarse))


RANKS = ("linear", "tanh", "sigmoid", "relu", "softsign", "logistic_table")
"""Of activations among which the samples cannot choose: the usual ones first."""


def likeliness(candidate: Candidate) -> float:
    """How unusual a configuration is, for a choice among those that the samples cannot tell apart."""
    hidden, last = candidate.activations[:-1], candidate.activations[-1]
    cost = 2.0 * (len(set(hidden)) - 1) if hidden else 0.0
    cost += sum(RANKS.index(name) * 0.1 if name in RANKS else 1.0 for name in hidden)
    cost += 0.0 if last == "linear" else 0.5 + (RANKS.index(last) * 0.1 if last in RANKS else 1.0)
    cost += sum(0.3 for reading in candidate.layers if reading.order != "C")
    cost += 0.5 * (len(set(candidate.functions_in)) > 1) + 0.5 * (set(candidate.functions_in) != {"identity"})
    cost += 0.5 * (len(set(candidate.functions_out)) > 1) + 0.5 * (set(candidate.functions_out) != {"identity"})
    cost += 0.5 * (candidate.bounds is not None)
    for end in (candidate.members[0].before, candidate.members[0].after):
        if end.recipe is not None:
            extra = end.recipe.inverse or end.recipe.factor is not None or end.recipe.low is not None
            cost += 0.2 + 0.3 * extra + end.oddness
    return cost


# --- what would tell them apart -------------------------------------------------------------------------------------


def alternatives(found: Sequence[Explained], golden: Golden, path: Path) -> tuple[Alternative, ...]:
    """The other configurations, each with an input that tells it from the first, if there is one."""
    first, rest = found[0], found[1:]
    if not rest:
        return ()
    visible = _visible(first, golden, path)
    near, far = box_of(first.program, golden.inputs), search_box(_limits(first.program), golden.inputs)
    boxes = [(near, False)] if np.array_equal(near, far) else [(near, False), (far, True)]
    told = []
    for each in rest:
        differences = tuple(first.hit.candidate.differences(each.hit.candidate))
        told.append(Alternative(each.hit.candidate, differences, None))
        for box, is_outside in boxes:
            found_row = _telling(first.program, _shared(first, each), box, visible, golden.inputs)
            if found_row is not None:
                told[-1] = Alternative(each.hit.candidate, differences, *found_row, is_outside)
                break
    return tuple(told)


def unlike(judged: Judged, program: Callable[[Candidate], Program], golden: Golden, path: Path) -> int:
    """How many of those that were not judged give something else than the likeliest for some input of the box."""
    if not judged.rest:
        return 0
    first = judged.explained[0]
    visible = _visible(first, golden, path)
    rows = np.random.default_rng(0).permutation(
        pool_rows(box_of(first.program, golden.inputs), np.random.default_rng(1))
    )
    rows = rows[:COMPARED]
    ours = np.asarray(first.program(rows)[0], np.float64)
    count = max(len(judged.rest) - MOST_COMPARED, 0)
    for hit in judged.rest[:MOST_COMPARED]:
        theirs = np.asarray(program(hit.candidate)(rows)[0], np.float64)
        with np.errstate(all="ignore"):
            excess = np.abs(ours - theirs) / (visible + SHARE * np.minimum(np.abs(ours), np.abs(theirs)))
        count += bool(np.any(excess > 1))
    return count


def box_of(program: Program, inputs: Array) -> Array:
    """(n, 2) the documented range of the inputs; that of the samples where there is none and they show one."""
    limits = _limits(program)
    box = search_box(limits, inputs)
    if limits is not None or not shows_range(inputs):
        return box
    varies = np.ptp(inputs, axis=0) > 0
    return np.where(varies[:, None], _around(inputs), box)


def shows_range(inputs: Array) -> bool:
    """Whether (rows, n) samples are enough to show between what their inputs lie."""
    return len(np.unique(inputs, axis=0)) >= SPREAD_ROWS


def is_documented(program: Program) -> bool:
    """Whether the file says between what its inputs lie."""
    return _limits(program) is not None


def _limits(program: Program) -> Array | None:
    return port_limits(program, outside=False)


def _around(inputs: Array) -> Array:
    """(n, 2) the range of the samples, a little widened, where the file documents none."""
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    more = WIDENED * (high - low)
    return np.stack([low - more, high + more], axis=1)


def _visible(first: Explained, golden: Golden, path: Path) -> Array:
    program, samples = flags_as_numbers(first.program, as_samples(golden, path).first(64))
    arithmetic = replace(first.fit.arithmetic) if program is first.program else first.fit.arithmetic
    zeros = [np.zeros(each.shape) for each in samples.inputs]
    spread = spread_of(arithmetic, samples.inputs, zeros)
    return spread.fit(spread.middle, np.zeros(spread.middle.shape)).visible


def _shared(first: Explained, other: Explained) -> Program:
    """The other program with the first's own steps wherever they are the same, so that only what differs does."""
    mine, theirs = first.program.steps, other.program.steps
    if [step.name for step in mine] != [step.name for step in theirs]:
        return other.program
    places = {place.split()[0] for place, _, _ in first.hit.candidate.differences(other.hit.candidate)}
    steps = tuple(b if b.name in places else a for a, b in zip(mine, theirs, strict=True))
    return replace(other.program, steps=steps)


def _telling(
    program: Program, other: Program, box: Array, visible: Array, inputs: Array
) -> tuple[Array, Array, Array] | None:
    if len(program.steps) == len(other.steps):
        return find_telling(program, other, box, visible)
    rng = np.random.default_rng(0)
    low, high = box.T
    rows = np.concatenate([low + (high - low) * rng.uniform(0, 1, (POOL, len(box))), inputs])
    with np.errstate(all="ignore"):
        ours, theirs = (np.asarray(each(rows)[0], np.float64) for each in (program, other))
        excess = np.abs(ours - theirs) / (visible + SHARE * np.minimum(np.abs(ours), np.abs(theirs)))
    shown = np.max(np.where(np.isnan(excess), 0.0, excess), axis=1)
    best = int(np.argmax(shown))
    return (rows[best], ours[best], theirs[best]) if shown[best] > 1 else None
