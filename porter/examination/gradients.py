"""The port's Jacobian beside that of the legacy program: layer by layer, and from end to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from porter.examination.case import Case, Judged
from porter.examination.domain import network_inputs
from porter.examination.judging import cast, port_rows
from porter.ports.blocks import Block
from reference.derivatives.steps import jacobian, local_jacobian
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.rounding.derivatives import allowed_jacobian, end_to_end_jacobian

Array = NDArray[Any]
Outcome = Literal["parity", "mismatch", "not judged"]

ROWS, NUMBERS = 64, 2**22
"""Rows on which derivatives are taken, and how many numbers the largest Jacobian may be."""


@dataclass(frozen=True)
class Slope:
    """The derivatives of one layer with respect to what it takes, or of one output with respect to the inputs.

    Attributes:
        name: of the layer; of an output, ``"output 0"``.
        verdict: "parity", "mismatch", or "not judged" where no bound is derived, or it would hide a derivative of zero.
        difference: the largest abs(port - legacy).
        size: the largest magnitude of the legacy derivatives.
        error: abs(port - legacy) where it is largest beside what rounding can explain; None without a bound.
        allowed: what rounding can explain there.
        where: that place, for people; without a bound, that of the largest difference.
        is_cut: whether the port's are all zero where the legacy ones are not.
        elements: how many were held against a bound.
        exceeding: how many of them rounding cannot explain.
    """

    name: str
    verdict: Outcome
    difference: float
    size: float
    error: float | None = None
    allowed: float | None = None
    where: str | None = None
    is_cut: bool = False
    elements: int = 0
    exceeding: int = 0


@dataclass(frozen=True)
class Gradients:
    """The port's Jacobian beside the legacy one.

    Attributes:
        verdict: over all layers and outputs.
        note: what was compared with what, or why nothing was.
        rows: on how many rows.
        layers: each fed with the port's own input; empty where the port shows none.
        outputs: each from end to end.
    """

    verdict: Outcome
    note: str
    rows: int = 0
    layers: tuple[Slope, ...] = ()
    outputs: tuple[Slope, ...] = ()


def compare_gradients(
    case: Case, whole: Callable[[Array], Array], local: Callable[[Block, Array], Array] | None
) -> Gradients:
    """Both Jacobians on rows inside of the documented range, the legacy one by the chain rule in float64.

    They are judged where the port computes what the program does; of another, figures alone are given.

    Args:
        case: the examined port.
        whole: the port's, (rows, outputs, inputs) of rows; where ``local`` is None with an error of which no bound is
            known, so that figures alone are given.
        local: that of one of its blocks, of rows that the block takes.

    Raises:
        KeyError: a step of the network whose derivative is not known.
    """
    steps = [one.pair.step for one in case.judged if not _is_outside(case, one)]
    fed = cast(_rows(case, steps), case.graph.input_dtypes[0])
    legacy = jacobian(steps, fed.astype(np.float64))
    found = whole(fed)
    if local is None:
        return Gradients("not judged", "", len(fed), outputs=_of_outputs(legacy, found, None))
    judged = [one for one in case.judged if one.pair.block is not None]
    outputs = _of_outputs(legacy, found, _end_to_end(judged, fed) if case.is_parity else None)
    layers = _of_layers(case, judged, fed, local)
    return Gradients(_together(layers, outputs), "", len(fed), layers, outputs)


def _is_outside(case: Case, one: Judged) -> bool:
    return case.placement == "outside" and isinstance(one.pair.step, Scaling)


def _rows(case: Case, steps: Sequence[Any]) -> Array:
    widths = [step.width for step in steps if isinstance(step, Dense)]
    most = max(units * max(inputs, widths[0][0]) for inputs, units in widths)
    count = min(ROWS, max(1, NUMBERS // most))
    rng = np.random.default_rng(case.seed)
    return network_inputs(case.program, count, rng, case.placement == "outside", None)[-count:]


def _end_to_end(judged: Sequence[Judged], fed: Array) -> Array | None:
    """What rounding can explain of the whole; None where a step has no bound."""
    precisions = [one.pair.block.precision for one in judged if one.pair.block is not None]
    try:
        return end_to_end_jacobian([one.step for one in judged], fed.astype(np.float64), precisions)[1]
    except KeyError:
        return None


def _of_layers(
    case: Case, judged: Sequence[Judged], fed: Array, local: Callable[[Block, Array], Array]
) -> tuple[Slope, ...]:
    tensors = case.graph.trace([fed])
    found = []
    for one in judged:
        block = one.pair.block
        assert block is not None
        rows = port_rows(tensors[block.entry], block.precision)
        x = rows.astype(np.float64)
        try:
            expected = local_jacobian(one.step, x)
            allowed = allowed_jacobian(one.step, x, block.precision) if case.is_parity else None
        except KeyError:
            expected, allowed = local_jacobian(one.pair.step, x), None
        # A tensor of the layer before may be shorter, and would round the gradient once more.
        actual = local(block, rows)
        found.append(_slope(one.name, expected, actual, allowed))
    return tuple(found)


def _of_outputs(expected: Array, found: Array, allowed: Array | None) -> tuple[Slope, ...]:
    return tuple(
        _slope(f"output {unit}", expected[:, [unit]], found[:, [unit]], None if allowed is None else allowed[:, [unit]])
        for unit in range(expected.shape[1])
    )


def _slope(name: str, expected: Array, actual: Array, allowed: Array | None) -> Slope:
    """One comparison of (rows, outputs, inputs); what is no number on the legacy side is left out."""
    known = np.isfinite(expected)
    with np.errstate(invalid="ignore"):
        apart = np.where(known, np.abs(actual - expected), 0.0)
    apart[np.isnan(apart)] = np.inf
    size = float(np.max(np.abs(expected), initial=0.0, where=known))
    worst, is_cut = int(np.argmax(apart)), bool(size > 0 and not np.any(actual))
    if allowed is None:
        return Slope(name, "not judged", float(apart.flat[worst]), size, where=_place(worst, apart), is_cut=is_cut)
    held = known & np.isfinite(allowed)
    over = held & (apart > allowed)
    with np.errstate(all="ignore"):
        ratio = np.where(held, apart / allowed, -1.0)
    ratio[held & (apart == 0)] = 0.0
    nearest = int(np.argmax(ratio)) if held.any() else worst
    error, bound = (float(each.flat[nearest]) if held.any() else None for each in (apart, allowed))
    tells = bool(np.any(held & (np.abs(expected) > allowed)))
    verdict: Outcome = "mismatch" if over.any() else "parity" if tells else "not judged"
    return Slope(
        name, verdict, float(apart.flat[worst]), size, error, bound, _place(nearest, apart), is_cut, int(held.sum()),
        int(over.sum()),
    )  # fmt: skip


def _place(index: int, array: Array) -> str:
    row, output, column = (int(place) for place in np.unravel_index(index, array.shape))
    unit = f"unit {output} " if array.shape[1] > 1 else ""
    return f"row {row}, {unit}by input {column}"


def _together(layers: Sequence[Slope], outputs: Sequence[Slope]) -> Outcome:
    """A bound from end to end may be too loose to tell; where every layer is right, that decides."""
    if any(one.verdict == "mismatch" for one in (*layers, *outputs)):
        return "mismatch"
    return "parity" if layers and all(one.verdict == "parity" for one in layers) else "not judged"
