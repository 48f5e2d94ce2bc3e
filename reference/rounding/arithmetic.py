"""Rounding bounds of plain arithmetic: one operation, and constants that the port casts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.arithmetic import Arithmetic, Reduction, Stack
from reference.precision import Format, Precision
from reference.rounding.sums import (
    RSQRT,
    both_units,
    contraction_error,
    own_format,
    quotient_error,
    root_error,
    sum_error,
)
from reference.trace import LayerTrace

Array = NDArray[Any]
Inputs = tuple[Array, ...]
Pair = tuple[Array, Array]
"""A value and its error."""


def arithmetic_error(step: Arithmetic, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """The operation's own rounding, and what the cast constants carry through it."""
    own = own_format(step)
    pairs = []
    for given, value in zip(step.operands, step.fill_in(inputs), strict=True):
        wide = np.asarray(value, np.float64)
        pairs.append((wide, np.zeros(wide.shape) if isinstance(given, int) else precision.variable_error(wide)))
    error = RULES[step.function](pairs, precision, own)
    error = error + 2 * precision.format.tiny if step.function not in EXACT else error
    return np.broadcast_to(np.asarray(error, np.float64), trace.outputs.shape)


EXACT = ("abs", "negative", "maximum", "minimum", "clip")


def _largest(pairs: list[Pair], precision: Precision, own: Format) -> Array:
    """A choice among numbers is as wrong as any of them."""
    error: Any = 0.0
    for _, cast in pairs:
        error = np.maximum(error, cast)
    return np.asarray(error)


def _sum(pairs: list[Pair], precision: Precision, own: Format) -> Array:
    size: Any = sum(np.abs(value) + cast for value, cast in pairs)
    casts: Any = sum(cast for _, cast in pairs)
    return np.asarray(casts + (len(pairs) - 1) * 2 * both_units(precision, own) * size)


def _product(pairs: list[Pair], precision: Precision, own: Format) -> Array:
    (x, dx), (y, dy) = pairs
    moved = dx * np.abs(y) + dy * np.abs(x) + dx * dy
    return np.asarray(moved + both_units(precision, own) * (np.abs(x * y) + moved))


def _quotient(pairs: list[Pair], precision: Precision, own: Format) -> Array:
    """A division, or a product with the rounded reciprocal."""
    (x, dx), (y, dy) = pairs
    rounding = 2 * both_units(precision, own) * np.abs(x / y)
    return quotient_error(x, dx, np.abs(y), dy, precision, own) + rounding


def _reciprocal(pairs: list[Pair], precision: Precision, own: Format) -> Array:
    """A division, or a fast reciprocal: measured 3.2 units at most, less than that of a root."""
    ((x, _),) = pairs
    return np.asarray(RSQRT * both_units(precision, own) / np.abs(x))


def _power(count: int) -> Callable[[list[Pair], Precision, Format], Array]:
    """A product of so many factors, all the same."""

    def rule(pairs: list[Pair], precision: Precision, own: Format) -> Array:
        ((x, _),) = pairs
        return np.asarray(2 * (count - 1) * both_units(precision, own) * np.abs(x) ** count)

    return rule


def _root(pairs: list[Pair], precision: Precision, own: Format) -> Array:
    ((x, dx),) = pairs
    return np.where(x < 0, 0.0, root_error(np.maximum(x, 0), dx, precision, own))


def _reciprocal_root(pairs: list[Pair], precision: Precision, own: Format) -> Array:
    ((x, _),) = pairs
    return np.asarray((RSQRT + 2) * both_units(precision, own) / np.sqrt(np.abs(x)))


def _squared_difference(pairs: list[Pair], precision: Precision, own: Format) -> Array:
    (x, dx), (y, dy) = pairs
    far, u = np.abs(x - y), both_units(precision, own)
    moved = dx + dy + u * (far + dx + dy)
    return np.asarray(2 * far * moved + moved**2 + u * (far + moved) ** 2)


def _matrix_product(pairs: list[Pair], precision: Precision, own: Format) -> Array:
    (x, dx), (y, dy) = pairs
    size = (np.abs(x) + dx) @ (np.abs(y) + dy)
    moved = dx @ (np.abs(y) + dy) + np.abs(x) @ dy
    return np.asarray(moved + contraction_error(size, x.shape[-1], precision, own))


RULES: Mapping[str, Callable[[list[Pair], Precision, Format], Array]] = {
    "abs": _largest,
    "add": _sum,
    "clip": _largest,
    "cube": _power(3),
    "divide": _quotient,
    "matmul": _matrix_product,
    "maximum": _largest,
    "minimum": _largest,
    "multiply": _product,
    "negative": _largest,
    "reciprocal": _reciprocal,
    "rsqrt": _reciprocal_root,
    "sqrt": _root,
    "square": _power(2),
    "squared_difference": _squared_difference,
    "subtract": _sum,
}


def reduction_error(step: Reduction, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array | float:
    """Of a sum, or of one that is divided by its count; a choice is exact."""
    if step.function in ("max", "min"):
        return 0.0
    count = int(np.prod([inputs[0].shape[axis] for axis in step.axes]))
    size = Reduction(step.name, step.inputs, step.function, step.axes, step.keeps)(np.abs(inputs[0])).outputs
    return sum_error(size, count + 3, precision, own_format(step))


def stack_error(step: Stack, inputs: Inputs, trace: LayerTrace, precision: Precision) -> float:
    """Numbers that are only moved stay what they are."""
    return 0.0
