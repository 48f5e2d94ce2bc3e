"""Layer normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class LayerNormalization:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over the axes of each row.

    Source: tf.keras 2 documentation, LayerNormalization; Ba et al. 2016.
    """

    name: str
    inputs: tuple[str, ...]
    gamma: Array | None
    beta: Array | None
    epsilon: float
    axes: tuple[int, ...] = (-1,)
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to the same shape."""
        x = x.astype(self.dtype, copy=False)
        axes = tuple(sorted(axis % x.ndim for axis in self.axes))
        shape = [x.shape[axis] if axis in axes else 1 for axis in range(x.ndim)]
        mean, variance = np.mean(x, axis=axes, keepdims=True), np.var(x, axis=axes, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):  # numbers that are all alike, without an epsilon
            y = (x - mean) / np.sqrt(variance + np.asarray(self.epsilon, self.dtype))
        y = y if self.gamma is None else y * self.gamma.astype(self.dtype).reshape(shape)
        return LayerTrace(self.name, y if self.beta is None else y + self.beta.astype(self.dtype).reshape(shape))
