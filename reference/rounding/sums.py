"""What the bounds of several layers are made of: sums of products, square roots, quotients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import FORMATS, Format, Precision
from reference.rounding.products import CASTS, PRODUCT_UNITS

Array = NDArray[Any]

RSQRT = 4.2
"""Units of roundoff of a reciprocal square root: 3.96 was the largest over all float32 of [1, 4), 1.5 in float64."""


def own_format(step: Any) -> Format:
    """The format in which the reference computes a step."""
    return FORMATS[np.dtype(step.dtype).name]


def sum_error(size: Array, count: Array | float, precision: Precision, own: Format) -> Array:
    """Of a sum of ``count`` products whose magnitudes add up to ``size``, on both sides.

    Source: Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    total: Any = 0.0
    for kind in (precision.format, own):
        steps = (np.asarray(count) + 2) * kind.unit
        total = total + np.where(steps < 1, steps / (1 - steps), np.inf) * size + (np.asarray(count) + 2) * kind.tiny
    return np.asarray(total)


def kept_sum_error(
    size: Array,
    parts: Array,
    count: Array | float,
    later: int,
    precision: Precision,
    own: Format,
    products: int = 1,
) -> Array:
    """As ``sum_error`` of products that the port keeps in its accumulator until they are all added up.

    Args:
        size: magnitudes of all terms.
        parts: magnitude of the sum of the products, and those of what is added to it later.
        count: of products.
        later: how many sums follow, each of which is rounded.
        precision: of the port; where its sums are not kept in a wider format, this is ``contraction_error``.
        own: format of the reference.
        products: how many matrix products or convolutions in a row.
    """
    if not precision.is_short:
        return contraction_error(size, count, precision, own, products)
    kind = precision.accumulator
    inside = sum_error(size, count, Precision(kind.name, kind.name), own)
    units = CASTS * (PRODUCT_UNITS[precision.compute] + later) * precision.format.unit
    return np.asarray(inside + units * (parts + inside) + (later + 2) * precision.format.tiny)


def contraction_error(size: Array, count: Array | float, precision: Precision, own: Format, products: int = 1) -> Array:
    """Of the same sum where the port computes it as ``products`` matrix products or convolutions in a row.

    Those may round their operands once more.
    """
    return sum_error(size, count, precision, own) + ((1 + precision.operand_error) ** products - 1) * size


def both_units(precision: Precision, own: Format) -> float:
    """Relative error of one operation on both sides."""
    return precision.format.unit + own.unit


def root_error(value: Array, error: Array, precision: Precision, own: Format) -> Array:
    """Of sqrt(v), v >= 0 within ``error`` of ``value``: at most error / sqrt(value), and at most sqrt(error).

    The first because sqrt is concave, the second because abs(sqrt(a) - sqrt(b)) <= sqrt(abs(a - b)); then its own
    rounding. Infinite where v may not fit the port's format.
    """
    root = np.sqrt(np.maximum(value, 0))
    moved = np.minimum(np.where(root > 0, error / root, np.inf), np.sqrt(error))
    fits = value + error < precision.format.largest / 2
    return np.where(fits, moved + (RSQRT + 1) * both_units(precision, own) * (root + moved), np.inf)


def quotient_error(
    above: Array, above_error: Array, below: Array, below_error: Array, precision: Precision, own: Format
) -> Array:
    """Of above / below, below > 0: abs(a/b - a'/b') <= (abs(a - a') + abs(a / b) abs(b - b')) / abs(b').

    Infinite where the divisor may be zero.
    """
    value = np.abs(above) / below
    left = below - below_error
    moved = np.where(left > 0, (above_error + value * below_error) / left, np.inf)
    return moved + both_units(precision, own) * (value + moved) + 2 * precision.format.tiny
