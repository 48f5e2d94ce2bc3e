"""Rational functions: quotients of two polynomials, by Horner's rule.

Coefficients are parameters like those of any activation: ``p0``, ``p1``, ... of the numerator and ``q0``, ``q1``, ...
of the denominator, the power of the argument in the name. What is not given is 0, but for ``q0``, which is 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DEGREE = 9
"""The highest power on either side of the quotient."""
NUMERATOR = tuple(f"p{power}" for power in range(DEGREE + 1))
DENOMINATOR = tuple(f"q{power}" for power in range(DEGREE + 1))
KEYS = (*NUMERATOR, *DENOMINATOR)
UNGIVEN = {"q0": 1.0}


def coefficients(parameters: Mapping[str, float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of numerator and denominator, the lowest power first, no zeros behind the highest.

    Raises:
        KeyError: a parameter that is no coefficient.
    """
    unknown = [key for key in parameters if key not in KEYS]
    if unknown:
        raise KeyError(f"no coefficient {unknown[0]!r}; known are {', '.join(KEYS)}")
    known = {**UNGIVEN, **parameters}
    return _trimmed([known.get(key, 0.0) for key in NUMERATOR]), _trimmed([known.get(key, 0.0) for key in DENOMINATOR])


def bends(parameters: Mapping[str, float]) -> bool:
    """Whether the function is one of its argument: not constant, and with a denominator that is not 0 everywhere."""
    numerator, denominator = coefficients(parameters)
    return any(numerator) and any(denominator) and len(numerator) + len(denominator) > 2


def rational(x: Array, **parameters: float) -> Array:
    """(p0 + p1 x + ... + p9 x^9) / (q0 + q1 x + ... + q9 x^9), of any shape; infinite or NaN at a pole and in overflow.

    Raises:
        KeyError: a parameter that is no coefficient.
    """
    numerator, denominator = coefficients(parameters)
    with np.errstate(all="ignore"):
        return np.asarray(horner(numerator, x) / horner(denominator, x))


def horner(coefficients_: Sequence[float], x: Array) -> Array:
    """The polynomial, the highest power first, in the dtype of its argument."""
    total = np.full_like(x, coefficients_[-1])
    for each in coefficients_[-2::-1]:
        total = total * x + np.asarray(each, x.dtype)
    return total


def _trimmed(values: Sequence[float]) -> tuple[float, ...]:
    last = max((power for power, value in enumerate(values) if value), default=0)
    return tuple(float(value) for value in values[: last + 1])
