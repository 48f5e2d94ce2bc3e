"""Whole numbers as vectors, and numbers as the bins that they fall into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.limits import check_size
from reference.trace import LayerTrace

Array = NDArray[Any]
Mode = Literal["int", "one_hot", "multi_hot", "count"]


def encode(x: Array, tokens: int, mode: Mode) -> Array:
    """(rows, n) whole numbers to (rows, tokens): which of them are there, or how often.

    Source: tf.keras 2.15 documentation, CategoryEncoding.
    """
    if mode == "one_hot" and x.shape[-1] != 1:
        raise ValueError(f"one-hot encoding of {x.shape[-1]} numbers a row")
    check_size("encoded categories", len(x), tokens)
    if x.size and (x.min() < 0 or x.max() >= tokens):
        raise ValueError(f"categories from {x.min()} to {x.max()}, of {tokens}")
    counts = np.zeros((len(x), tokens))
    np.add.at(counts, (np.arange(len(x))[:, np.newaxis], x.astype(np.int64)), 1)
    return counts if mode == "count" else np.minimum(counts, 1)


@dataclass(frozen=True)
class CategoryEncoding:
    """``encode`` as a step."""

    name: str
    inputs: tuple[str, ...]
    tokens: int
    mode: Mode = "multi_hot"
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, n) to (rows, tokens)."""
        return LayerTrace(self.name, encode(x, self.tokens, self.mode).astype(self.dtype))


@dataclass(frozen=True)
class Discretization:
    """The number of boundaries that are not above each number; float32 decides, as in the original.

    Source: tf.keras 2.15 documentation, Discretization; tf.raw_ops.Bucketize.
    """

    name: str
    inputs: tuple[str, ...]
    boundaries: tuple[float, ...]
    mode: Mode = "int"
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to the same shape; (rows, n) to (rows, bins) where the bins are encoded."""
        bins = np.searchsorted(np.asarray(self.boundaries, np.float32), x.astype(np.float32), side="right")
        encoded = bins if self.mode == "int" else encode(bins, len(self.boundaries) + 1, self.mode)
        return LayerTrace(self.name, encoded.astype(self.dtype))
