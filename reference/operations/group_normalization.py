"""Normalization of groups of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class GroupNormalization:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over each group of channels of each row.

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        gamma: (channels,) or None for ones.
        beta: (channels,) or None for zeros.
        groups: how many; -1 for one of each channel.
        epsilon: keeps the divisor from zero.
        axis: of the channels.
        dtype: in which the arithmetic is done.

    Source: tf.keras 2.15 documentation, GroupNormalization; Wu and He 2018.
    """

    name: str
    inputs: tuple[str, ...]
    gamma: Array | None
    beta: Array | None
    groups: int
    epsilon: float
    axis: int = -1
    dtype: Any = np.float64

    def apart(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        """(rows, ..., groups, channels / groups, ...), and the axes that one group spans."""
        axis = self.axis % x.ndim
        groups = x.shape[axis] if self.groups == -1 else self.groups
        split = x.reshape((*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :]))
        return split, tuple(each for each in range(1, split.ndim) if each != axis)

    def column(self, value: Array | None, ndim: int, default: float) -> Array:
        """One number a channel, shaped to be broadcast over (rows, ...)."""
        if value is None:
            return np.asarray(default, self.dtype)
        shape = [1] * ndim
        shape[self.axis] = -1
        return value.astype(self.dtype).reshape(shape)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ..., channels, ...) to the same shape."""
        x = x.astype(self.dtype, copy=False)
        split, axes = self.apart(x)
        mean, variance = np.mean(split, axis=axes, keepdims=True), np.var(split, axis=axes, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):  # numbers that are all alike, without an epsilon
            y = ((split - mean) / np.sqrt(variance + np.asarray(self.epsilon, self.dtype))).reshape(x.shape)
        return LayerTrace(self.name, y * self.column(self.gamma, x.ndim, 1) + self.column(self.beta, x.ndim, 0))
