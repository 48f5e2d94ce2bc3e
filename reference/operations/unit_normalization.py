"""Vectors made to have length one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]

LEAST = 1e-12
"""The least square of a length that is divided by. Source: tf.keras 2.15, UnitNormalization; tf.math.l2_normalize."""


@dataclass(frozen=True)
class UnitNormalization:
    """x / sqrt(max(sum x^2, least)), over the axes of each row.

    Source: tf.keras 2.15 documentation, UnitNormalization.
    """

    name: str
    inputs: tuple[str, ...]
    axes: tuple[int, ...] = (-1,)
    least: float = LEAST
    dtype: Any = np.float64

    def squares(self, x: Array) -> Array:
        """Sums of squares, the axes kept."""
        return np.asarray(np.sum(x * x, axis=tuple(axis % x.ndim for axis in self.axes), keepdims=True))

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to the same shape."""
        x = x.astype(self.dtype, copy=False)
        return LayerTrace(self.name, x / np.sqrt(np.maximum(self.squares(x), np.asarray(self.least, self.dtype))))
