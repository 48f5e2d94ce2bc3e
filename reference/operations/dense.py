"""A dense layer on its kernel as stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.trace import LayerTrace

Array = NDArray[Any]
Orientation = Literal["units-first", "inputs-first"]


@dataclass(frozen=True)
class Dense:
    """activation(W x + b), on the kernel as stored; a kernel is never transposed.

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        weights: (units, inputs) where units-first, (inputs, units) where inputs-first.
        bias: (units,) or None.
        activation: applied to the preactivation.
        orientation: which axis of ``weights`` comes first.
        dtype: in which the arithmetic is done.
        weights_error: how far a port's kernel may lie from ``weights`` beside the cast (what a fold's own
            arithmetic costs), of its shape; None for not at all.
        bias_error: the same for the bias, (units,).
        by_blocks: share of the weights' and the bias's own size that both errors hold for sums rounded in parts, and
            that no port's arrays may be off by.
    """

    name: str
    inputs: tuple[str, ...]
    weights: Array
    bias: Array | None
    activation: Activation
    orientation: Orientation = "units-first"
    dtype: Any = np.float64
    weights_error: Array | None = None
    bias_error: Array | None = None
    by_blocks: float = 0.0

    @property
    def width(self) -> tuple[int, int]:
        """(inputs, units)."""
        first, second = self.weights.shape
        return (second, first) if self.orientation == "units-first" else (first, second)

    def preactivation(self, x: Array) -> Array:
        """W x + b for x of (rows, inputs); returns (rows, units).

        Units-first kernels multiply columns from the left, as ``np.matmul(W, x.T) + b`` does.
        """
        weights = self.weights.astype(self.dtype, copy=False)
        x = x.astype(self.dtype, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.orientation == "units-first":
                columns = np.matmul(weights, x.T)
                if self.bias is not None:
                    columns += self.bias.astype(self.dtype).reshape(-1, 1)
                return columns.T
            rows = np.matmul(x, weights)
            return rows if self.bias is None else rows + self.bias.astype(self.dtype)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, inputs) to (rows, units)."""
        # Rows consecutive in memory: whatever follows goes along them.
        z = np.ascontiguousarray(self.preactivation(x))
        with np.errstate(over="ignore", invalid="ignore"):
            return LayerTrace(self.name, self.activation(z), z)


@dataclass(frozen=True)
class Activate:
    """An activation that stands as a step of its own.

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        activation: applied to them.
        dtype: in which the arithmetic is done.
    """

    name: str
    inputs: tuple[str, ...]
    activation: Activation
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to the same shape; the preactivation is the input."""
        z = x.astype(self.dtype, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            return LayerTrace(self.name, self.activation(z), z)
