"""Attention with several heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import softmax
from reference.limits import check_size
from reference.trace import LayerTrace

Array = NDArray[Any]
Projection = tuple[Array, Array | None]


@dataclass(frozen=True)
class MultiHeadAttention:
    """Query, key and value projected for every head, softmax(query key^T / sqrt(width)) value, and projected back.

    Attributes:
        name: legacy name.
        inputs: query and value, and key where it is another.
        query_map: kernel (features, heads, width) and bias (heads, width) or None.
        key_map: likewise.
        value_map: likewise, of a width of its own.
        output_map: kernel (heads, value width, outputs) and bias (outputs,) or None.
        causal: whether a query looks at no later key.
        dtype: in which the arithmetic is done.

    Source: tf.keras 2.15 documentation, MultiHeadAttention; Vaswani et al. 2017.
    """

    name: str
    inputs: tuple[str, ...]
    query_map: Projection
    key_map: Projection
    value_map: Projection
    output_map: Projection
    causal: bool = False
    dtype: Any = np.float64

    @property
    def scale(self) -> float:
        """1 / sqrt(width of a head)."""
        return float(1 / np.sqrt(self.query_map[0].shape[-1]))

    def project(self, x: Array, mapping: Projection) -> Array:
        """(rows, steps, features) to (rows, heads, steps, width)."""
        kernel, bias = mapping
        y = np.einsum("btd,dnh->bnth", x, kernel.astype(self.dtype), optimize=True)
        return np.asarray(y if bias is None else y + bias.astype(self.dtype)[:, np.newaxis, :])

    def allowed(self, queries: int, keys: int) -> Array:
        """(queries, keys) of bool: which keys count for which query."""
        return np.tril(np.ones((queries, keys), bool)) if self.causal else np.ones((queries, keys), bool)

    def __call__(self, *inputs: Array) -> LayerTrace:
        """(rows, queries, features), (rows, keys, features), ... to (rows, queries, outputs)."""
        query, value, *rest = (array.astype(self.dtype, copy=False) for array in inputs)
        key = rest[0] if rest else value
        check_size("scores of an attention", len(query), self.query_map[0].shape[1], query.shape[1], key.shape[1])
        q, k, v = (
            self.project(x, mapping)
            for x, mapping in ((query, self.query_map), (key, self.key_map), (value, self.value_map))
        )
        scores = (q * np.asarray(self.scale, self.dtype)) @ np.swapaxes(k, -1, -2)
        counts = self.allowed(*scores.shape[-2:])
        answers = softmax(np.where(counts, scores, -np.inf)) @ v
        kernel, bias = self.output_map
        outputs = np.einsum("bnth,nho->bto", answers, kernel.astype(self.dtype), optimize=True)
        return LayerTrace(self.name, outputs if bias is None else outputs + bias.astype(self.dtype))
