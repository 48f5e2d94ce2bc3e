"""Attention without heads: which values answer a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.activations import softmax
from reference.limits import check_size
from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class Attention:
    """softmax(scores) values, for inputs query, value and, if given, key.

    score "dot": query key^T (times ``scale``); "additive": sum of scale * tanh(query + key) over the features;
    "concat": concat_score_weight * sum of tanh(scale (query + key)).
    Source: tf.keras 2 documentation, Attention and AdditiveAttention; Luong et al. 2015; Bahdanau et al. 2015.
    """

    name: str
    inputs: tuple[str, ...]
    score: Literal["dot", "additive", "concat"] = "dot"
    scale: Array | None = None
    score_weight: Array | None = None
    causal: bool = False
    masked: tuple[bool, bool] = (False, False)
    dtype: Any = np.float64

    def scores(self, query: Array, key: Array) -> Array:
        """(rows, queries, keys)."""
        check_size("scores of an attention", *query.shape, key.shape[1])
        scale = np.asarray(1.0 if self.scale is None else self.scale, self.dtype)
        if self.score == "dot":
            return np.asarray(query @ np.swapaxes(key, -1, -2) * scale)
        both = query[:, :, np.newaxis, :] + key[:, np.newaxis, :, :]
        if self.score == "additive":
            return np.asarray(np.sum(scale * np.tanh(both), axis=-1))
        weight = np.asarray(1.0 if self.score_weight is None else self.score_weight, self.dtype)
        return np.asarray(weight * np.sum(np.tanh(scale * both), axis=-1))

    def __call__(self, *inputs: Array) -> LayerTrace:
        """(rows, queries, features), (rows, keys, features), ... to (rows, queries, features).

        After the arrays come the masks, (rows, queries) and (rows, keys) of bool, where ``masked`` says so: a key that
        does not count gets 1e9 taken from its score, a query that does not count is answered with zeros.
        """
        arrays, masks = self.part(inputs)
        query, value, *rest = (array.astype(self.dtype, copy=False) for array in arrays)
        scores = self.scores(query, rest[0] if rest else value)
        allowed = self.allowed(scores.shape, masks[1])
        answer = softmax(np.where(allowed, scores, scores - 1e9)) @ value
        return LayerTrace(self.name, answer if masks[0] is None else answer * masks[0][..., np.newaxis])

    def allowed(self, shape: tuple[int, ...], mask: Array | None) -> Array:
        """Which keys count for which query: bool, of the scores' ``shape``."""
        counts = np.ones(shape, bool)
        if self.causal:
            counts &= np.tril(np.ones(shape[-2:], bool))
        return counts if mask is None else counts & mask[:, np.newaxis, :]

    def part(self, inputs: tuple[Array, ...]) -> tuple[tuple[Array, ...], tuple[Array | None, Array | None]]:
        """The arrays, and the masks of query and value."""
        count = len(inputs) - sum(self.masked)
        left = iter(inputs[count:])
        query, value = (next(left).astype(bool) if masked else None for masked in self.masked)
        return inputs[:count], (query, value)
