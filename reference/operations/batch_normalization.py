"""Batch normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


Statistics = Literal["moving", "sample", "batch"]


Divisor = Literal["sqrt(variance+epsilon)", "deviation+epsilon", "sqrt(variance+epsilon)+epsilon"]


@dataclass(frozen=True)
class BatchNormalization:
    """gamma (x - mean) / divisor + beta.

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        gamma: (channels,) or None for ones.
        beta: (channels,) or None for zeros.
        mean: (channels,) moving mean, or None where the statistics are the data's own.
        spread: (channels,) moving variance (deviation, where the divisor is "deviation+epsilon"), or None.
        epsilon: keeps the divisor from zero.
        axis: of the channels.
        statistics: "moving"; "sample", over the last axis (mode 1 of Keras 1); "batch", over the rows given (mode 2).
        divisor: how spread and epsilon make it: "deviation+epsilon" in Keras 1.0.0 to 1.0.5, and so on.
        dtype: in which the arithmetic is done.

    Source: Keras 2 documentation, BatchNormalization; layers/normalization.py of Keras 1.0.0, 1.0.5 and 1.2.2.
    """

    name: str
    inputs: tuple[str, ...]
    gamma: Array | None
    beta: Array | None
    mean: Array | None
    spread: Array | None
    epsilon: float
    axis: int = -1
    statistics: Statistics = "moving"
    divisor: Divisor = "sqrt(variance+epsilon)"
    dtype: Any = np.float64

    def column(self, value: Array | None, ndim: int, default: float) -> Array:
        """One number a channel, shaped to be broadcast."""
        if value is None:
            return np.asarray(default, self.dtype)
        shape = [1] * ndim
        shape[-1 if self.statistics == "sample" else self.axis] = -1
        return value.astype(self.dtype).reshape(shape)

    def axes(self, ndim: int) -> tuple[int, ...]:
        """The axes over which the data's own statistics go."""
        own = tuple(axis for axis in range(ndim) if axis != self.axis % ndim)
        return (ndim - 1,) if self.statistics == "sample" else own

    def centre_and_spread(self, x: Array) -> tuple[Array, Array]:
        """Mean and variance (or deviation, for the moving "deviation+epsilon")."""
        if self.statistics == "moving":
            return self.column(self.mean, x.ndim, 0), self.column(self.spread, x.ndim, 1)
        axes = self.axes(x.ndim)
        spread = np.std if self.divisor == "deviation+epsilon" else np.var
        return np.mean(x, axis=axes, keepdims=True), np.asarray(spread(x, axis=axes, keepdims=True))

    def divide_by(self, spread: Array) -> Array:
        """The divisor."""
        epsilon = np.asarray(self.epsilon, self.dtype)
        if self.divisor == "deviation+epsilon":
            return np.asarray(spread + epsilon)
        root = np.sqrt(spread + epsilon)
        return np.asarray(root if self.divisor == "sqrt(variance+epsilon)" else root + epsilon)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ..., channels, ...) to the same shape."""
        x = x.astype(self.dtype, copy=False)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            centre, spread = self.centre_and_spread(x)
            normal = (x - centre) / self.divide_by(spread)
            return LayerTrace(
                self.name, normal * self.column(self.gamma, x.ndim, 1) + self.column(self.beta, x.ndim, 0)
            )
