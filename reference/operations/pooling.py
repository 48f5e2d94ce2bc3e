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
