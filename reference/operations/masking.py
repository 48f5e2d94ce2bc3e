"""Masks, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class Masking:
    """Time steps whose every feature equals ``value`` are set to zero. Source: Keras 2 documentation, Masking."""

    name: str
    inputs: tuple[str, ...]
    value: float
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, steps, features) to the same shape."""
        counts = np.any(x != np.float32(self.value), axis=-1, keepdims=True)
        return LayerTrace(self.name, x.astype(self.dtype, copy=False) * counts)


@dataclass(frozen=True)
class Mask:
    """Which time steps count: a step of its own, so that what it decides can be seen.

    ``kind`` "any" (Masking: some feature differs from ``value``), "nonzero" (Embedding: the word is not 0), "all"
    (merging: those that count in every mask given), "concatenate" (merging along time).
    """

    name: str
    inputs: tuple[str, ...]
    kind: Literal["any", "nonzero", "all", "concatenate"]
    value: float = 0.0

    def __call__(self, *arrays: Array) -> LayerTrace:
        """(rows, steps, ...) to (rows, steps) of bool."""
        if self.kind == "any":
            return LayerTrace(self.name, np.any(arrays[0] != np.float32(self.value), axis=-1))
        if self.kind == "nonzero":
            return LayerTrace(self.name, arrays[0].astype(np.int64) != 0)
        if self.kind == "all":
            return LayerTrace(self.name, np.logical_and.reduce([array.astype(bool) for array in arrays]))
        return LayerTrace(self.name, np.concatenate([array.astype(bool) for array in arrays], axis=1))
