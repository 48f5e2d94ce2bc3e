"""Products of the rows of two tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.limits import check_size
from reference.trace import LayerTrace

Array = NDArray[Any]


def batch_dot(x: Array, y: Array, axes: tuple[int, int]) -> Array:
    """Row by row, the sum of products along one axis of each; a single number a row keeps an axis.

    Source: Keras 2 documentation, backend batch_dot.
    """
    first, second = axes[0] % x.ndim - 1, axes[1] % y.ndim - 1
    check_size("a product", x.size // max(x.shape[first + 1], 1), y.size // max(y.shape[second + 1] * len(y), 1))
    rows = [np.tensordot(a, b, axes=(first, second)) for a, b in zip(x, y, strict=True)]
    result = np.stack(rows) if rows else np.zeros((0,), x.dtype)
    return result[:, np.newaxis] if result.ndim == 1 else result


def l2_normalize(x: Array, axis: int) -> Array:
    """x / sqrt(max(sum x^2, 1e-12)). Source: tf.nn.l2_normalize."""
    return np.asarray(x / np.sqrt(np.maximum(np.sum(x * x, axis=axis, keepdims=True), 1e-12)))


@dataclass(frozen=True)
class Dot:
    """Sum of products along an axis of each of two arrays.

    ``normalize`` is Keras 2's cosine proximity (both made length 1 before); ``cosine`` Keras 1's mode "cos" (divided
    by the root of both sums of squares, at least 1e-7 (Keras' epsilon), and given one more axis).
    Source: Keras 2 documentation, Dot; Keras 1.2.2 engine/topology.py, Merge.call.
    """

    name: str
    inputs: tuple[str, ...]
    axes: tuple[int, int]
    normalize: bool = False
    cosine: bool = False
    dtype: Any = np.float64

    def __call__(self, x: Array, y: Array) -> LayerTrace:
        """(rows, ...) and (rows, ...) to (rows, ...)."""
        x, y = x.astype(self.dtype, copy=False), y.astype(self.dtype, copy=False)
        if self.normalize:
            x, y = l2_normalize(x, self.axes[0]), l2_normalize(y, self.axes[1])
        product = batch_dot(x, y, self.axes)
        if self.cosine:
            size = np.sqrt(batch_dot(x, x, (self.axes[0],) * 2) * batch_dot(y, y, (self.axes[1],) * 2))
            product = np.expand_dims(product / np.maximum(size, 1e-7), 1)
        return LayerTrace(self.name, product)
