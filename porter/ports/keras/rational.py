"""Rational functions in operations of Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from reference.rational import coefficients


def rational(tensor: Any, **parameters: float) -> Any:
    """Numerator over denominator, by Horner's rule; a denominator of 1 is left out.

    Args:
        tensor: of any shape and dtype, which the result has too.
        parameters: the coefficients, as ``reference.rational`` has them.
    """
    numerator, denominator = (_horner(each, tensor) for each in coefficients(parameters))
    return numerator if isinstance(denominator, float) and denominator == 1 else ops.divide(numerator, denominator)


def _horner(given: Sequence[float], tensor: Any) -> Any:
    """A tensor, or a number where there is no power of one."""
    total: Any = given[-1]
    for each in given[-2::-1]:
        total = tensor if isinstance(total, float) and total == 1 else ops.multiply(tensor, total)
        total = ops.add(total, each) if each else total
    return total
