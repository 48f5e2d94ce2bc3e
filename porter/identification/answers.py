"""The answer of a search in words: what was found and how far it is proven, or what was not and what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.domain import port_limits
from porter.formats.programs import build_program
from porter.identification.as_recipe import recipe_of
from porter.identification.confirming import (
    Explained,
    as_samples,
    box_of,
    is_documented,
    shows_range,
)
from porter.identification.coverage import coverage_lines, joined, left_over_lines, never_used_lines, repeated_lines
from porter.identification.driver import Search
from porter.identification.ends import ends
from porter.identification.extent import Extent, beyond_line, extents, within
from porter.identification.identified import Identified, Status, alternative_lines
from porter.identification.pool import is_scaling_name
from porter.identification.refining import Golden, Hit
from porter.identification.skeletons import Skeletons
from porter.identification.suggestions import Nearest, nearest
from porter.identification.task import Task
from porter.identification.widths import other_widths
from porter.network import Network
from porter.progress import tell
from porter.reading.check import Question, Reading, flags_as_numbers, judge_reading
from porter.reading.explanation import closeness
from porter.reading.readings import Formula, other_readings
from porter.reading.readings import alternatives as other_claims
from reference.trace import Program

Array = NDArray[Any]

SETTLED = frozenset({"order", "transform", "memory order", "scaling", "orientation", "activation", "range orientation"})
"""Conventions that samples prove together, for nothing but what was found gives them."""
CHANCE = 1e-6
"""How many of the configurations that were tried may give the samples by chance."""


# --- what was found -------------------------------------------------------------------------------------------------


def answer(
    task: Task, search: Search, found: Sequence[Explained], others: Sequence[Any], every: Sequence[Hit], more: int
) -> Identified:
    """One configuration, or several that the samples cannot tell apart.

    Args:
        task: what was asked.
        search: what was tried.
        found: configurations that give the samples, the likeliest first.
        others: all but the first, each with an input that tells it from that one.
        every: all that came near.
        more: how many were not judged and give something else.
    """
    best = found[0].hit.candidate
    network = task.network(best)
    chance = _chance(search, found[0])
    is_open = chance > CHANCE or more > 0 or any(each.row is not None and not each.is_outside for each in others)
    status: Status = "open" if is_open else "found"
    reading = _judged(network, search.golden, task.samples)
    why = [] if reading.verdict == "proven" else [reading.note]
    if is_open or any(each.row is not None for each in others):
        reading = replace(reading, verdict="consistent" if reading.verdict == "proven" else reading.verdict)
    program = build_program(network)
    shown = extents(program, search.golden.inputs, box_of(program, search.golden.inputs))
    lines = [_found_line(search, found, every, reading, shown)]
    if reading.verdict == "proven":
        lines.append(beyond_line(shown, _where(program, search.golden)))
    if chance > CHANCE:
        lines.append(
            f"the samples hold so little that {chance:.1g} of the {search.tried:.1g} configurations tried would give "
            "them by chance: record more rows, or more digits"
        )
    if not search.is_whole:
        lines.append("not every configuration could be tried in the time given")
    lines += alternative_lines(others) or why
    if more:
        lines.append(f"{more} more come as close, and give other outputs elsewhere: record more rows, or more digits")
    unused = best.unused(task.pool)
    lines += [f"left unused: {', '.join(unused)}"] if unused else []
    return Identified(
        task.path, status, tuple(lines), recipe_of(best, task.pool, task.path.stem), network, reading, tuple(others),
        None, search.tried, shown, best, task.opened.sha256,
    )  # fmt: skip


def _where(program: Program, golden: Golden) -> str:
    """In which range inputs are looked for that lead beyond the samples."""
    if is_documented(program):
        return "in the documented range"
    return "in the samples' range, a tenth wider" if shows_range(golden.inputs) else "of any size"


def _found_line(
    search: Search, found: Sequence[Explained], every: Sequence[Hit], reading: Reading, shown: tuple[Extent, ...]
) -> str:
    golden = search.golden
    line = f"{reading.verdict} by {len(golden.inputs)} samples"
    if reading.verdict == "proven":
        line += f", as far as they lead ({within(shown)})"
    line += f": given to {closeness(found[0].fit, (golden.outputs,), (golden.resolution,))}"
    known = {id(each.hit) for each in found}
    rest = [hit for hit in every if id(hit) not in known and hit.residual > found[0].hit.residual]
    if rest:
        return f"{line}; the next best lies {min(hit.residual for hit in rest):.2g} of an output's size away"
    return f"{line}; no other of about {search.tried:.1g} configurations comes within a thousandth"


def _chance(search: Search, best: Explained) -> float:
    """How many of the configurations that were tried would give these samples by chance."""
    golden = search.golden
    with np.errstate(all="ignore"):
        width = 2 * (golden.resolution / np.maximum(golden.scale, 1e-300) + best.hit.residual)
        bits = -np.log10(np.clip(width, 1e-16, 1.0))
    usable = np.isfinite(golden.outputs) & np.isfinite(bits) & _telling(golden)
    return float(search.tried * 10 ** -min(float(np.sum(bits[usable])), 300.0))


def _telling(golden: Golden) -> Array:
    """(rows, m) where an output is neither zero nor what another input gives too: a dead unit or a bound gives that."""
    found: Array = np.zeros(golden.outputs.shape, bool)
    _, first = np.unique(golden.inputs, axis=0, return_index=True)
    for column in range(found.shape[1]):
        values, own, counts = np.unique(golden.outputs[first, column], return_index=True, return_counts=True)
        found[first[own[(counts == 1) & (values != 0)]], column] = True
    return found


def _judged(network: Network, golden: Golden, samples: Path) -> Reading:
    """By the rule of every report; what has no other readings is settled by what was searched."""
    program = build_program(network)
    limits = port_limits(program, outside=False)
    numbered, flagged = flags_as_numbers(program, as_samples(golden, samples))
    claims = tuple(
        replace(claim, evidence="assumed") if claim.evidence == "declared" else claim for claim in network.claims
    )
    question = Question(
        Formula(numbered), claims, flagged, limits, lambda claim: other_claims(numbered, claim), SETTLED
    )
    return judge_reading(question, other_readings(numbered, network.claims))


# --- what was not found ---------------------------------------------------------------------------------------------


def unexplained(task: Task, search: Search, best: Hit, factor: float) -> Identified:
    """Something comes close, and no arithmetic explains what is left."""
    found = Nearest.of(task.pool, best.candidate, search.golden)
    lines = [
        f"the best configuration comes within {best.residual:.2g} of an output's size, {factor:.3g} times what "
        "arithmetic explains: nothing is proven",
        *found.lines(),
    ]
    return Identified(
        task.path, "none", tuple(lines), recipe_of(best.candidate, task.pool, task.path.stem), None, None, (),
        found.residuals, search.tried, (), best.candidate, task.opened.sha256,
    )  # fmt: skip


def nothing(task: Task, search: Search, chains: Skeletons) -> Identified:
    """Nothing comes close."""
    tell("looking for what comes nearest")
    found = nearest(search, chains, seconds=8.0)
    lines = [f"none of about {search.tried:.1g} configurations gives the samples"]
    lines += found.lines() if found is not None else []
    lines += _outside(search, chains[0].used if chains else frozenset())
    lines += left_over_lines(task.pool, chains)
    tried = chains[: max((each.chains + each.is_cut for each in search.stages), default=0)]
    lines += never_used_lines(task.pool, tried, _scaling_names(search), search.golden.inputs.shape[1])
    lines += repeated_lines(task.pool)
    lines += coverage_lines(search, chains)
    candidate = None if found is None else found.candidate
    return Identified(
        task.path, "none", tuple(lines), None, None, None, (),
        None if found is None else found.residuals, search.tried, (), candidate, task.opened.sha256,
    )  # fmt: skip


def _scaling_names(search: Search) -> set[str]:
    """Every array that may scale an end of this width."""
    widths = search.golden.inputs.shape[1], search.golden.outputs.shape[1]
    return {
        str(vector)
        for width, others, first in ((*widths, True), (*widths[::-1], False))
        for end in ends(search.pool, frozenset(), width, first=first, others=others)
        if end.recipe is not None
        for vector in end.recipe.vectors
    }


def _outside(search: Search, used: frozenset[str]) -> list[str]:
    """Samples outside of what the file itself calls the range of its inputs."""
    inputs = search.golden.inputs
    width, others = inputs.shape[1], search.golden.outputs.shape[1]
    for end in ends(search.pool, used, width, first=True, others=others):
        if (
            end.recipe is not None
            and end.recipe.rule == "[-1,1]"
            and end.oddness == 0
            and is_scaling_name(str(end.recipe.minimum))  # another pair may be anything
            and search.pool.vector(str(end.recipe.minimum)).size == width  # and no range of something else
        ):
            t = inputs * end.scale + end.offset
            count = int(np.sum(np.any(np.abs(t) > 1 + 1e-6, axis=1)))
            if count:
                return [f"{count} of {len(inputs)} rows lie outside {end.recipe.minimum} to {end.recipe.maximum}"]
            return []
    return []


def no_chain(task: Task, golden: Golden) -> Identified:
    """No arrays follow each other from as many inputs to as many outputs."""
    wanted = f"{golden.inputs.shape[1]} inputs and {golden.outputs.shape[1]} outputs"
    lines = [f"no chain of the file's arrays takes the samples' {wanted}", *other_widths(task.pool)]
    past = list(joined(task.pool, golden.inputs.shape[1], task.pool.kernels))
    if past:
        lines += [*past[:3], "a connection past a layer would be so; a search looks for none"]
    status: Status = "none" if past else "wrong samples"
    return Identified(task.path, status, tuple(lines), sha256=task.opened.sha256)
