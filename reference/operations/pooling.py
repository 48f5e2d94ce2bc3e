"""The largest or the mean element of each window, or of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace
from reference.windows import Padding, as_stored, channels_last, pad_for_windows, slide

Array = NDArray[Any]


def max_pool(x: Array, window: Sequence[int], strides: Sequence[int], padding: Padding) -> Array:
    """The largest element of each window of (rows, *space, channels); padding never wins.

    Source: Keras 2 documentation, MaxPooling2D.
    """
    ones = [1] * len(window)
    padded = pad_for_windows(x, window, strides, ones, padding, value=-np.inf)
    views = (view for _, view in slide(padded, window, strides, ones))
    highest = next(views)
    for view in views:
        highest = np.maximum(highest, view)
    return np.asarray(highest)


def average_pool(x: Array, window: Sequence[int], strides: Sequence[int], padding: Padding) -> Array:
    """The mean of each window of (rows, *space, channels), padding left out of sum and count.

    Source: Keras 2 documentation, AveragePooling2D; tf.nn.avg_pool; Theano pool mode "average_exc_pad".
    """
    ones = [1] * len(window)
    padded = pad_for_windows(x, window, strides, ones, padding)
    inside = pad_for_windows(np.ones((1, *x.shape[1:-1], 1), x.dtype), window, strides, ones, padding)
    total: Any = sum(view for _, view in slide(padded, window, strides, ones))
    count: Any = sum(view for _, view in slide(inside, window, strides, ones))
    return np.asarray(total / count)


@dataclass(frozen=True)
class Pooling:
    """Max or average pooling in one to three dimensions."""

    name: str
    inputs: tuple[str, ...]
    kind: Literal["max", "average"]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding = "valid"
    channels_first: bool = False
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, *space, channels) to (rows, *fewer, channels), or both with the channels first."""
        x = channels_last(x.astype(self.dtype, copy=False), self.channels_first)
        pool = max_pool if self.kind == "max" else average_pool
        return LayerTrace(self.name, as_stored(pool(x, self.window, self.strides, self.padding), self.channels_first))


@dataclass(frozen=True)
class GlobalPooling:
    """The largest or the mean element over all of space; with a mask, the mean of the steps that count.

    Source: Keras 2 documentation, GlobalAveragePooling1D (a mask leaves steps out), GlobalMaxPooling2D.
    """

    name: str
    inputs: tuple[str, ...]
    kind: Literal["max", "average"]
    channels_first: bool = False
    keepdims: bool = False
    masked: bool = False
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
