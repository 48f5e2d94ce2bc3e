"""Pooling over all places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class GlobalPooling:
    """The largest or the mean element over all of space; with a mask, the mean of the steps that count.

    Source: Keras 2 documentation, GlobalAveragePooling1D (a mask leaves steps out), GlobalMaxPooling2D.

    Attributes:
        keeps_sums: whether a port of 16 bits adds up in float32, as Keras' own mean does; the sums that a mask leaves
            are in the port's dtype in any case.
    """

    name: str
    inputs: tuple[str, ...]
    kind: Literal["max", "average"]
    channels_first: bool = False
    keepdims: bool = False
    masked: bool = False
    keeps_sums: bool = True
    dtype: Any = np.float64

    def axes(self, ndim: int) -> tuple[int, ...]:
        """The axes of space."""
        return tuple(range(2, ndim)) if self.channels_first else tuple(range(1, ndim - 1))

    def __call__(self, x: Array, mask: Array | None = None) -> LayerTrace:
        """(rows, *space, channels) to (rows, channels); mask (rows, steps) of bool where ``masked``."""
        x = x.astype(self.dtype, copy=False)
        axes = self.axes(x.ndim)
        if self.kind == "max":
            return LayerTrace(self.name, np.max(x, axis=axes, keepdims=self.keepdims))
        if mask is None:
            return LayerTrace(self.name, np.mean(x, axis=axes, keepdims=self.keepdims))
        weight = np.expand_dims(mask.astype(self.dtype), -1)
        with np.errstate(invalid="ignore"):
            mean = np.sum(x * weight, axis=1, keepdims=self.keepdims) / np.sum(weight, axis=1, keepdims=self.keepdims)
        return LayerTrace(self.name, mean)
