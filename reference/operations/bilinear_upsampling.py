"""Upsampling between the neighbours of every place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.limits import check_size
from reference.trace import LayerTrace
from reference.windows import as_stored, channels_last

Array = NDArray[Any]


@dataclass(frozen=True)
class BilinearUpsampling:
    """Linear interpolation along both dimensions of space, the edges held.

    Output i stands at i / size in the input ("corners", TensorFlow up to 1.14) or at (i + 1/2) / size - 1/2
    ("centres", TensorFlow from 1.15 on). Source: tf.compat.v1.image.resize_bilinear; tf.image.resize of TensorFlow 2.
    """

    name: str
    inputs: tuple[str, ...]
    sizes: tuple[int, int]
    centres: bool
    channels_first: bool = False
    dtype: Any = np.float64

    def weights(self, length: int, size: int) -> Array:
        """(outputs, inputs): how much of each input is in each output."""
        check_size("the weights of an enlargement", length * size, length)
        place = np.arange(length * size) / size if not self.centres else (np.arange(length * size) + 0.5) / size - 0.5
        low = np.floor(place).astype(int)
        share = place - low
        matrix = np.zeros((length * size, length))
        for shift, weight in ((0, 1 - share), (1, share)):
            np.add.at(matrix, (np.arange(length * size), np.clip(low + shift, 0, length - 1)), weight)
        return matrix.astype(self.dtype)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, height, width, channels) to (rows, height * size, width * size, channels)."""
        x = channels_last(x.astype(self.dtype, copy=False), self.channels_first)
        check_size("an enlarged array", *x.shape, *self.sizes)
        down, across = (self.weights(n, s) for n, s in zip(x.shape[1:3], self.sizes, strict=True))
        y = np.einsum("oh,nhwc->nowc", down, x)
        return LayerTrace(self.name, as_stored(np.einsum("pw,nowc->nopc", across, y), self.channels_first))
