"""How a port's scaling came about from the ranges of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.numbers import column_order, describe_permutation, equal_within_ulp, match_vectors
from porter.examination.pasting import quoted
from reference.operations.scaling import Scaling

Array = NDArray[Any]
Affine = tuple[Array, Array]


@dataclass(frozen=True)
class ScalingReading:
    """What a port's scaling is.

    Attributes:
        cause: what is wrong with it.
        tried: how many explanations were compared.
        explained: whether the explanation accounts for every element.
    """

    cause: Cause
    tried: int
    explained: bool


def explain_scaling(
    step: Scaling, run: Callable[[Array], Array], unit: float, others: tuple[Scaling, ...] = ()
) -> ScalingReading:
    """Find what a port's scaling computes instead of the file's.

    Args:
        step: the legacy step.
        run: the port's block, (rows, n) to (rows, n).
        unit: unit roundoff of the port's dtype.
        others: the other scaling steps of the program.
    """
    scale, _ = step.affine
    grid = _grid(step)
    order = column_order(run, grid[3], grid[4])
    if order is None:
        constant = _constant_columns(run, grid, unit)
        if constant:
            message = f"{len(constant)} of {len(scale)} columns are constant (the first: column {constant[0]})"
            return ScalingReading(_cause(step, "scaling.range", message), 1, True)
        return ScalingReading(_cause(step, "unexplained", "an output does not follow its own input alone"), 1, False)
    if not np.array_equal(order, np.arange(len(scale))):
        return _permuted(step, run, grid, order, unit)
    found = np.asarray(run(grid)).astype(np.float64)
    measured = _measure(grid, found)
    tried = 0
    for code, message, affine in candidates(step, others):
        tried += 1
        if len(affine[0]) == len(scale) and fits(affine, grid, found, unit):
            return ScalingReading(_cause(step, code, message), tried, True)
    return _measured(step, measured, grid, found, unit, tried)


def _constant_columns(run: Callable[[Array], Array], grid: Array, unit: float) -> list[int]:
    """The columns that give one number whatever they take, where all others are affine; none where one is not."""
    found = np.asarray(run(grid)).astype(np.float64)
    if found.shape != grid.shape or not _is_affine(_measure(grid, found), grid, found, unit):
        return []
    far = np.asarray(run(np.concatenate([grid, 1e3 * grid, -1e3 * grid]).astype(np.float32))).astype(np.float64)
    return [int(column) for column in np.flatnonzero(np.ptp(far, axis=0) == 0)]


def _permuted(step: Scaling, run: Callable[[Array], Array], grid: Array, order: Array, unit: float) -> ScalingReading:
    """Columns in another order, before the scaling or behind it."""
    back = np.argsort(order)
    behind = np.asarray(run(grid)).astype(np.float64)[:, back]
    before = np.asarray(run(grid[:, back])).astype(np.float64)
    explained = fits(step.affine, grid, behind, unit) or fits(step.affine, grid, before, unit)
    code = "outputs.permuted" if step.inverse else "inputs.permuted"
    what = describe_permutation(order, "columns")
    return ScalingReading(_cause(step, code, what), 2, explained)


def _grid(step: Scaling) -> Array:
    low, high = (
        (step.first, step.second) if step.rule != "mean-std" else (step.first - step.second, step.first + step.second)
    )
    if step.inverse:
        n = len(step.first)
        low, high = (np.zeros(n), np.ones(n)) if step.rule == "[0,1]" else (-np.ones(n), np.ones(n))
    parts = np.array([0.0, 1.0, 0.25, 0.5, 0.75, 1.5, -0.5])[:, None]
    # The port sees these rows in float32 at the least; take numbers that it holds exactly.
    return (low[None] + parts * (high - low)[None]).astype(np.float32).astype(np.float64)


def _measure(grid: Array, found: Array) -> Affine:
    with np.errstate(all="ignore"):
        scale = (found[1] - found[0]) / (grid[1] - grid[0])
        return scale, found[0] - scale * grid[0]


def fits(affine: Affine, grid: Array, found: Array, unit: float) -> bool:
    """Whether an affine map gives what was found on the grid, both (rows, n), as closely as faithful ports do."""
    scale, offset = affine
    with np.errstate(all="ignore"):
        wanted = scale * grid + offset
        # Twice the 4 u (|s x| + |o|) that faithful ports keep to: the candidate's own constants are rounded too.
        allowed = 8 * unit * (np.abs(scale * grid) + np.abs(offset))
        return bool(np.all(np.abs(found - wanted) <= allowed))


def _is_affine(measured: Affine, grid: Array, found: Array, unit: float) -> bool:
    """Whether the rows lie on the line through two of them.

    That line inherits the rounding of both, which is that of the largest terms of the column: they may cancel in a row.
    """
    scale, offset = measured
    with np.errstate(all="ignore"):
        terms = np.max(np.abs(scale * grid), axis=0) + np.abs(offset) + np.max(np.abs(found), axis=0)
        return bool(np.all(np.abs(found - (scale * grid + offset)) <= 512 * unit * terms))


def _twice(affine: Affine) -> Affine:
    scale, offset = affine
    return scale * scale, scale * offset + offset


def candidates(step: Scaling, others: tuple[Scaling, ...]) -> Iterator[tuple[str, str, Affine]]:
    """(code, message, affine map) of every mistake that is known of a scaling step."""
    n = len(step.first)
    own = step.affine
    yield "scaling.missing", "the step does nothing", (np.ones(n), np.zeros(n))
    for rule in ("[-1,1]", "[0,1]", "mean-std"):
        if rule != step.rule:
            with np.errstate(all="ignore"):
                yield "scaling.range", f"the rule is {rule} for {step.rule}", replace(step, rule=rule).affine
    if step.rule != "mean-std":
        yield "scaling.range", "mean and standard deviation of a uniform range for minimum and maximum", _uniform(step)
    yield "scaling.inverted", "the step is applied the other way round", replace(step, inverse=not step.inverse).affine
    with np.errstate(all="ignore"):
        swapped = replace(step, first=step.second, second=step.first).affine
        yield "scaling.swapped", _SWAPPED[step.rule], swapped
        scale, offset = own
        yield "scaling.swapped", "multiplied for divided", _divided(step)
        yield "scaling.repeated", "the step is applied twice", _twice(own)
        yield "scaling.range", "the offset is left out", (scale, np.zeros(n))
        yield "scaling.range", "the scale is left out", (np.ones(n), offset)
        yield "scaling.range", "the sign of the offset is wrong", (scale, -offset)
        for other in others:
            for inverse in (False, True):
                if len(other.first) == n:
                    yield (
                        "scaling.swapped",
                        f"the range is that of {other.name}",
                        replace(other, inverse=inverse).affine,
                    )


_SWAPPED = {
    "[-1,1]": "minimum and maximum are exchanged",
    "[0,1]": "minimum and maximum are exchanged",
    "mean-std": "mean and standard deviation are exchanged",
}


def _uniform(step: Scaling) -> Affine:
    """(x - mean) / std of a uniform distribution over the range, or its inverse."""
    mean, deviation = (step.first + step.second) / 2, (step.second - step.first) / np.sqrt(12)
    return (deviation, mean) if step.inverse else (1 / deviation, -mean / deviation)


def _divided(step: Scaling) -> Affine:
    """Multiplied by the width where it should be divided, or the other way round, about the same centre."""
    scale, offset = step.affine
    centre = offset if step.inverse else -offset / scale
    return (1 / scale, centre) if step.inverse else (1 / scale, -centre / scale)


def _cause(step: Scaling, code: str, message: str) -> Cause:
    remedy = f"keras.layers.Rescaling in its place, with the scale and offset of network.layer({quoted(step.name)})"
    return Cause(code, step.name, message, remedy)


def _measured(step: Scaling, measured: Affine, grid: Array, found: Array, unit: float, tried: int) -> ScalingReading:
    scale, offset = measured
    own_scale, own_offset = step.affine
    is_affine = _is_affine(measured, grid, found, unit)
    if not is_affine:
        message = "the step is not affine, column by column"
        return ScalingReading(replace(_cause(step, "unexplained", message)), tried, False)
    pairs, own = np.stack([scale, offset], 1), np.stack([own_scale, own_offset], 1)
    with np.errstate(over="ignore"):
        few = pairs.astype(np.float16).astype(np.float64)
    order = match_vectors(few, own, partial(equal_within_ulp, dtype="float16")) if len(scale) > 1 else None
    if order is not None and not np.array_equal(order[0], np.arange(len(scale))):
        message = f"its ranges stand in another order, the columns do not: {describe_permutation(order[0], 'ranges')}"
        explained = fits((own_scale[order[0]], own_offset[order[0]]), grid, found, unit)
        return ScalingReading(_cause(step, "scaling.range", message), tried, explained)
    with np.errstate(all="ignore"):
        wanted = own_scale * grid + own_offset
        differs = (np.abs(found - wanted) > 8 * unit * (np.abs(own_scale * grid) + np.abs(own_offset))).any(axis=0)
    if not differs.any():
        message = "it scales as the file does near the centre of its range, and otherwise farther out"
        return ScalingReading(_cause(step, "unexplained", message), tried, False)
    column = int(np.argmax(differs))
    measured_as = f"{scale[column]:.6g} x + {offset[column]:.6g}"
    wanted_as = f"{own_scale[column]:.6g} x + {own_offset[column]:.6g}"
    if measured_as == wanted_as:
        message = "it scales as the file does, and what it gives is rounded, or changed by as little, beside that"
        return ScalingReading(_cause(step, "unexplained", message), tried, False)
    message = (
        f"{int(differs.sum())} of {len(scale)} columns are scaled otherwise (the first: column {column}, "
        f"{measured_as} for {wanted_as})"
    )
    return ScalingReading(_cause(step, "scaling.range", message), tried, True)
