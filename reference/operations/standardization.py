"""Stored means and variances taken out of the data, or put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]

LEAST = 1e-7
"""The least deviation that is divided by. Source: tf.keras 2 backend.epsilon()."""


@dataclass(frozen=True)
class Standardization:
    """(x - mean) / deviation, or mean + x * deviation where inverted.

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        centres: the means, one number or one for each place along ``axes``.
        variances: likewise.
        axes: along which the statistics differ; () for none.
        inverted: whether the data are given their means and deviations back.
        dtype: in which the arithmetic is done.

    Source: tf.keras 2.15 documentation, Normalization.
    """

    name: str
    inputs: tuple[str, ...]
    centres: Array
    variances: Array
    axes: tuple[int, ...] = (-1,)
    inverted: bool = False
    dtype: Any = np.float64

    def column(self, value: Array, x: Array) -> Array:
        """A statistic in a shape that is spread over (rows, ...), in float64."""
        kept = sorted(axis % x.ndim for axis in self.axes)
        wide = value.astype(np.float64) * np.ones([x.shape[axis] for axis in kept])
        return wide.reshape([x.shape[axis] if axis in kept else 1 for axis in range(x.ndim)])

    def deviations(self, x: Array) -> Array:
        """The roots of the variances, ``LEAST`` at least."""
        variances = self.column(self.variances, x).astype(self.dtype)
        return np.maximum(np.sqrt(variances), np.asarray(LEAST, self.dtype))

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to the same shape."""
        x = x.astype(self.dtype, copy=False)
        centres, deviations = self.column(self.centres, x).astype(self.dtype), self.deviations(x)
        with np.errstate(over="ignore", invalid="ignore"):
            return LayerTrace(self.name, centres + x * deviations if self.inverted else (x - centres) / deviations)
