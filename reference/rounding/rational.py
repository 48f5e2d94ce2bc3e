"""Rounding in rational functions: a running error bound of Horner's rule, and of the quotient.

Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import Format
from reference.rational import coefficients, horner

Array = NDArray[Any]

QUOTIENT = 3
"""Units of a division: one where it is rounded correctly; compilers may multiply by a reciprocal."""
EXACT = 2.0**-45
"""What the expansions below may be off by in float64, relative to the sum of the sizes of their terms."""
HEADROOM = 2


def moved(z: Array, a: Array, radius: Array, **parameters: float) -> Array:
    """A bound on abs(R(t) - R(z)) for every t within the radius; infinite where a pole may lie there.

    With N(t) = sum n_k d^k and D(t) = sum d_k d^k around z, R(t) - R(z) = sum (n_k - R(z) d_k) d^k / D(t).
    """
    numerator, denominator = coefficients(parameters)
    above, below = (_expanded(each, z) for each in (numerator, denominator))
    with np.errstate(all="ignore"):
        value = above[0][0] / below[0][0]
        change = np.zeros_like(z)
        for power in range(1, max(len(above), len(below))):
            (n, n_size), (d, d_size) = _term(above, power, z), _term(below, power, z)
            change = change + (np.abs(n - value * d) + EXACT * (n_size + np.abs(value) * d_size)) * radius**power
        bound = change / _least(below, radius)
    return np.where(np.isfinite(bound), bound, np.inf)


def rational_error(
    parameters: Mapping[str, float], z: Array, a: Array, error: Array, kind: Format, own: Format
) -> Array:
    """A bound on abs(port - reference), where the port's argument lies within ``error`` of z.

    Args:
        parameters: the coefficients.
        z: (rows, units) float64.
        a: the function of z as the reference has it.
        error: same shape, non-negative.
        kind: format in which the port computes.
        own: format in which the reference did.
    """
    below = _expanded(coefficients(parameters)[1], z)
    with np.errstate(all="ignore"):
        shift, still = moved(z, a, error, **parameters), np.zeros_like(z)
        total = _rounded(parameters, np.abs(z), np.abs(a), _least(below, still), own)
        value = np.abs(a) + total + shift
        total = shift + total + _rounded(parameters, np.abs(z) + error, value, _least(below, error), kind)
    return np.where(np.isfinite(total), total, np.inf)


def _rounded(parameters: Mapping[str, float], size: Array, value: Array, least: Array, form: Format) -> Array:
    """What rounding N, D and N / D can do, N / D being ``value`` at most, abs(D) ``least`` at least.

    abs(n / d - N / D) <= (e_N + abs(N / D) e_D) / abs(d), with abs(d) >= abs(D) - e_D, and that quotient rounded.
    """
    (n, n_most), (d, d_most) = (_polynomial_error(each, size, form) for each in coefficients(parameters))
    inner = (n + value * d) / _positive(least - d)
    total = inner + QUOTIENT * form.unit * (value + inner) + form.tiny
    # A quotient by a reciprocal, or of what was flushed, is none any longer.
    held = HEADROOM * np.maximum(np.maximum(n_most, d_most), value + total) <= form.largest
    return np.where(held & (least - d > HEADROOM * form.tiny), total, np.inf)


def _polynomial_error(given: Sequence[float], size: Array, form: Format) -> tuple[Array, Array]:
    """Of a polynomial at an argument of that size at most, in any order of evaluation, and what its parts may reach.

    Each term meets the rounding of its coefficient, n products and n sums; a term that underflows is multiplied on. A
    power may be formed before it is multiplied by its coefficient.
    """
    units = (2 * len(given) + 2) * form.unit
    grown = np.maximum(size, 1)
    terms = horner(np.abs(given).tolist(), size)
    flushed = 2 * form.tiny * horner([1.0] * len(given), grown)
    return units / (1 - units) * terms + flushed, horner(np.maximum(np.abs(given), 1).tolist(), grown)


def _expanded(given: Sequence[float], z: Array) -> list[tuple[Array, Array]]:
    """The coefficients of a polynomial around z, each with the sum of the sizes of its terms."""
    found = []
    for power in range(len(given)):
        own = [comb(higher, power) * given[higher] for higher in range(power, len(given))]
        found.append((horner(own, z), horner(np.abs(own).tolist(), np.abs(z))))
    return found


def _term(expanded: Sequence[tuple[Array, Array]], power: int, z: Array) -> tuple[Array, Array]:
    return expanded[power] if power < len(expanded) else (np.zeros_like(z), np.zeros_like(z))


def _least(expanded: Sequence[tuple[Array, Array]], radius: Array) -> Array:
    """The least size of a polynomial within the radius; NaN where it may be 0."""
    value, size = expanded[0]
    change = EXACT * size
    for power, (each, terms) in enumerate(expanded[1:], start=1):
        change = change + (np.abs(each) + EXACT * terms) * radius**power
    return _positive(np.abs(value) - change)


def _positive(array: Array) -> Array:
    return np.where(array > 0, array, np.nan)
