"""The outputs of a traced port from end to end, and what it does beside giving them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.compare import Comparison, compare_outputs, merge_comparisons
from porter.exports.edited import judge_text
from porter.exports.program_modes import Mode, judge_modes
from porter.exports.row_sets import ORDINARY
from porter.exports.walk import Feeds, traced
from porter.network import Network
from porter.ports.traced import TracedPort
from reference.operations.embedding import Embedding
from reference.rounding.bounds import end_to_end
from reference.trace import Program

Array = NDArray[Any]

END_TO_END_ROWS = 256


@dataclass(frozen=True)
class Whole:
    """The outputs from end to end.

    Attributes:
        comparison: with the end-to-end bound.
        is_steady: whether the same rows gave the same bits again.
        apart: by how much the outputs that a person calls for lie from those of the layers; 0 where they are the same.
        surplus: layers that the port shows and the legacy program has not.
        swallows: the step that made a number of a missing value that the reference hands on; "" for none.
        reason: why there is no bound.
    """

    comparison: Comparison
    is_steady: bool
    apart: float = 0.0
    surplus: tuple[str, ...] = ()
    swallows: str = ""
    reason: str = ""


def judge_whole(program: Program, port: TracedPort, feeds: Feeds, sets: Iterable[Feeds] = ()) -> Whole:
    """The outputs on the first rows with the end-to-end bound, the same rows again, and rows of missing values."""
    few = {name: rows[:END_TO_END_ROWS] for name, rows in feeds.items()}
    tensors, again = traced(program, port, few), traced(program, port, few)
    is_steady = all(np.array_equal(tensors[name], again[name], equal_nan=True) for name in program.outputs)
    precisions = {step.name: port.precision_of(step.name) for step in program.steps}
    apart = _calls_otherwise(program, port, sets)
    known = {*program.inputs, *program.outputs, *(step.name for step in program.steps), *port.outputs}
    surplus = tuple(name for name in tensors if name not in known)
    try:
        allowed = end_to_end(program, few, precisions)
    except KeyError as error:
        return Whole(Comparison(), is_steady, apart, surplus, reason=str(error.args[0]))
    found = []
    for name, wanted in zip(program.outputs, program(few), strict=True):
        expected, actual = np.asarray(wanted, np.float64), np.asarray(tensors[name], np.float64)
        shown = getattr(program.step(name), "shown", None) if name in precisions else None
        expected, actual = (expected, actual) if shown is None else (shown(expected), shown(actual))
        found.append(compare_outputs(expected, actual, allowed.get(name, np.zeros(expected.shape)), probes=ORDINARY))
    return Whole(merge_comparisons(found), is_steady, apart, surplus, _swallows(program, port, few))


def _calls_otherwise(program: Program, port: TracedPort, sets: Iterable[Feeds]) -> float:
    """By how much what a person calls differs from the layers' own outputs, on the last rows of every set."""
    if port.call is None:
        return 0.0
    joined = _joined(program, sets)
    if not joined:
        return 0.0
    given = port.call([joined[name] for name in program.inputs])
    tensors, worst = traced(program, port, joined), 0.0
    for own, name in zip(port.outputs, program.outputs, strict=True):
        if not np.array_equal(given[own], tensors[name], equal_nan=True):
            with np.errstate(invalid="ignore"):
                error = np.abs(np.asarray(given[own], np.float64) - tensors[name])
            worst = max(worst, float(np.nanmax(error, initial=0.0)) or float("inf"))
    return worst


def _joined(program: Program, sets: Iterable[Feeds]) -> dict[str, Array]:
    """The last rows of every set, one behind the other; nothing where there is none."""
    parts = [{name: rows[-END_TO_END_ROWS:] for name, rows in feeds.items()} for feeds in sets]
    return {name: np.concatenate([part[name] for part in parts]) for name in program.inputs} if parts else {}


def modes_of(
    network: Network, program: Program, port: TracedPort, sets: Mapping[str, tuple[Feeds, bool]], *, is_right: bool
) -> list[Mode]:
    """What a program does beside its functions; nothing of any other runtime."""
    if port.program is None:
        return []
    joined = _joined(program, [feeds for feeds, is_far in sets.values() if not is_far])
    modes = judge_modes(program, port.program, list(joined.values()), port.precision, is_right=is_right)
    if port.source is None:
        return modes
    is_tested = is_right and not any(mode.code for mode in modes) and len(port.program.golden()[0]) > 0
    return [*modes, *judge_text(network, port.source, is_tested=is_tested)]


def _swallows(program: Program, port: TracedPort, feeds: Feeds) -> str:
    """The first step that makes a number of a missing value, where the legacy step hands one on."""
    looked_up = any(isinstance(step, Embedding) for step in program.steps)  # words are no numbers
    if len(program.inputs) != 1 or looked_up or next(iter(feeds.values())).dtype.kind != "f":
        return ""
    name, rows = next(iter(feeds.items()))
    rows = rows[-1:].copy()
    rows.reshape(1, -1)[0, 0] = np.nan
    try:
        tensors = traced(program, port, {name: rows})
    except PortError:
        return ""
    values = {name: rows, **tensors}
    for step in program.steps:
        if step.name in tensors and all(each in values for each in step.inputs):
            fed = tuple(np.asarray(values[each], np.float64) for each in step.inputs)
            wanted = np.isnan(np.asarray(step(*fed).outputs, np.float64))
            if wanted.any() and not np.isnan(np.asarray(tensors[step.name], np.float64)).any():
                return str(step.name)
    return ""
