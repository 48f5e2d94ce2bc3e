"""The affine steps before and after a network, column by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]
Rule = Literal["[-1,1]", "[0,1]", "mean-std"]


@dataclass(frozen=True)
class Scaling:
    """One scaling step, forward (physical to network) or inverse (network to physical).

    Attributes:
        name: legacy name, ``Norm_in`` or ``Norm_out``.
        inputs: the step whose outputs it takes, in a tuple of one.
        first: (n,) minimum of each column, or its mean under the rule "mean-std".
        second: (n,) maximum of each column, or its standard deviation.
        rule: "[-1,1]": 2 (x - min) / (max - min) - 1; "[0,1]": (x - min) / (max - min);
            "mean-std": (x - mean) / std.
        inverse: solve the same formula for x instead.
        dtype: in which the arithmetic is done.
    """

    name: str
    inputs: tuple[str, ...]
    first: Array
    second: Array
    rule: Rule
    inverse: bool = False
    dtype: Any = np.float64

    @property
    def width(self) -> tuple[int, int]:
        """(inputs, outputs)."""
        return len(self.first), len(self.first)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, n) to (rows, n)."""
        x = x.astype(self.dtype, copy=False)
        first, second = self.first.astype(self.dtype), self.second.astype(self.dtype)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            outputs = self._unscale(x, first, second) if self.inverse else self._scale(x, first, second)
        return LayerTrace(self.name, outputs)

    def _scale(self, x: Array, first: Array, second: Array) -> Array:
        if self.rule == "[-1,1]":
            return 2 * (x - first) / (second - first) - 1
        if self.rule == "[0,1]":
            return (x - first) / (second - first)
        return (x - first) / second

    def _unscale(self, y: Array, first: Array, second: Array) -> Array:
        if self.rule == "[-1,1]":
            return (y + 1) / 2 * (second - first) + first
        if self.rule == "[0,1]":
            return y * (second - first) + first
        return y * second + first

    @property
    def affine(self) -> tuple[Array, Array]:
        """(scale, offset), each (n,) in float64, with outputs = scale * x + offset; for bounds, not for tracing."""
        first, second = self.first.astype(np.float64), self.second.astype(np.float64)
        half, centre = second, first
        if self.rule != "mean-std":
            half = (second - first) / 2 if self.rule == "[-1,1]" else second - first
            centre = (first + second) / 2 if self.rule == "[-1,1]" else first
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return (half, centre) if self.inverse else (1 / half, -centre / half)
