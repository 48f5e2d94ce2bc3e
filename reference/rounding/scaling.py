"""Rounding in the steps before and after a network, whichever way a port computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.scaling import Scaling
from reference.precision import FORMATS, Format
from reference.rounding.constants import accuracy_of
from reference.rounding.products import CASTS

Array = NDArray[Any]

LN10 = float(np.log(10.0))


def scaling_error(step: Scaling, x: Array, y: Array, shift: Array | None, kind: Format) -> Array:
    """A bound on abs(port - reference) of one scaling step.

    Covers scale * x + offset, (x - mean) / std and the legacy formula, each with its constants rounded to the format.

    Args:
        step: the step.
        x: (rows, n) float64.
        y: (rows, n) as the reference has it.
        shift: (rows, n) how far the port's inputs may lie from x, or None.
        kind: format in which the port computes.
    """
    scale, offset = (np.abs(part) for part in step.affine)
    reach = np.abs(x) if shift is None else np.abs(x) + shift
    # Affine: two roundings of scale, product and sum each, two of the offset. Centred: mean, difference, deviation
    # (as a variance, with its root) and quotient. Six of either part cover both.
    units = np.maximum(6 * (scale * reach + offset), _legacy_units(step, reach, np.abs(y)))
    bound = (CASTS * kind.unit + FORMATS[np.dtype(step.dtype).name].unit) * units + kind.tiny * (4 + scale + reach)
    return np.asarray(bound if shift is None else bound + scale * shift)


def _legacy_units(step: Scaling, reach: Array, y: Array) -> Array:
    """Units of roundoff in the formula as the original software writes it.

    The width max - min inherits the casts of both: relative (abs(min) + abs(max)) / width + 1, then one product and
    one quotient with it.
    """
    if step.rule == "mean-std":
        return np.zeros(y.shape)
    first, second = (np.abs(part.astype(np.float64)) for part in (step.first, step.second))
    width = np.abs(step.second.astype(np.float64) - step.first)
    spoilt = (first + second) / width + 3
    factor, centre = (2.0, 1.0) if step.rule == "[-1,1]" else (1.0, 0.0)
    if step.inverse:
        return np.asarray((reach + centre) / factor * width * spoilt + first + y)
    return np.asarray(factor / width * ((reach + first) * spoilt + first) + y)


def transform_error(name: str, x: Array, y: Array, shift: Array | None, kind: Format) -> Array:
    """A bound on the error of one transform, whose argument may be multiplied by a rounded constant first.

    Infinite where the value may overflow.

    Args:
        name: of ``reference.operations.transforms.FUNCTIONS``.
        x: float64.
        y: the function of x, same shape.
        shift: how far the argument may lie from x, or None.
        kind: format of the arithmetic.
    """
    if name == "identity":
        return np.zeros(y.shape) if shift is None else shift
    constants, u = accuracy_of(name, kind.name), kind.unit
    shift = np.zeros(x.shape) if shift is None else shift
    moved = _moved(name, x, y, shift, kind)
    own = constants.relative * (np.abs(y) + moved) + constants.absolute
    bound = moved + u * own + kind.tiny
    return np.where(np.abs(y) + bound > kind.largest, np.inf, bound)


def _moved(name: str, x: Array, y: Array, shift: Array, kind: Format) -> Array:
    """What an error of the argument, and of its product with a constant, makes of the value."""
    if name in _POWERS:
        return _POWERS[name](x, y, shift)
    turns = 3 * kind.unit * (np.abs(x) + shift) + shift
    if name == "cos":
        return np.asarray(np.abs(np.sin(x)) * turns + turns * turns / 2)
    if name == "cos_degrees":
        angle = np.deg2rad(turns)
        return np.asarray(np.abs(np.sin(np.deg2rad(x))) * angle + angle * angle / 2)
    if name in ("log10", "ln"):
        size = np.abs(x)
        moved = -np.log1p(-shift / size) / (LN10 if name == "log10" else 1.0)
        return np.where(size - shift > FORMATS[kind.name].tiny, moved, np.inf)
    return np.asarray(np.abs(y) * np.expm1(turns * (LN10 if name == "pow10" else 1.0)))


def _root_moved(roots: int) -> Callable[[Array, Array, Array], Array]:
    """The root is steepest at the lower end; below zero a port gives NaN."""

    def moved(x: Array, y: Array, shift: Array) -> Array:
        low = x - shift
        return np.where(low >= 0, y - np.maximum(low, 0) ** 0.5**roots, np.inf)

    return moved


_POWERS: Mapping[str, Callable[[Array, Array, Array], Array]] = {
    "sqrt": _root_moved(1),
    "root4": _root_moved(2),
    "root8": _root_moved(3),
    "square": lambda x, y, shift: (np.abs(x) + shift) ** 2 - np.abs(x) ** 2,
    "pow4": lambda x, y, shift: (np.abs(x) + shift) ** 4 - np.abs(x) ** 4,
    "relu": lambda x, y, shift: shift,
    "pow8": lambda x, y, shift: (np.abs(x) + shift) ** 8 - np.abs(x) ** 8,
    "relu_square": lambda x, y, shift: (np.maximum(x, 0) + shift) ** 2 - np.maximum(x, 0) ** 2,
}
