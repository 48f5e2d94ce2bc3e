"""Images of another size: by the nearest pixel, or linearly between the four around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.limits import check_size
from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class Resized:
    """Images of (height, width), first cropped about their middle to its proportions where asked.

    Output i stands at (i + 1/2) * old / new - 1/2 in the input. The nearest pixel is the one that float32 finds.
    Source: TensorFlow 2 documentation, tf.image.resize; tf.keras 2.15, preprocessing.image.smart_resize.
    """

    name: str
    inputs: tuple[str, ...]
    height: int
    width: int
    method: Literal["bilinear", "nearest"] = "bilinear"
    crops: bool = False
    dtype: Any = np.float64

    def weights(self, old: int, new: int) -> Array:
        """(outputs, inputs): how much of each input is in each output."""
        check_size("the weights of a resized image", new, old)
        matrix = np.zeros((new, old))
        if self.method == "nearest":
            scale = np.float32(old) / np.float32(new)
            places = np.floor((np.arange(new, dtype=np.float32) + np.float32(0.5)) * scale).astype(int)
            matrix[np.arange(new), np.minimum(places, old - 1)] = 1
            return matrix.astype(self.dtype)
        place = (np.arange(new) + 0.5) * old / new - 0.5
        low = np.floor(place).astype(int)
        for shift, weight in ((0, 1 - (place - low)), (1, place - low)):
            np.add.at(matrix, (np.arange(new), np.clip(low + shift, 0, old - 1)), weight)
        return matrix.astype(self.dtype)

    def cropped(self, x: Array) -> Array:
        """The middle of each image, of the proportions wanted."""
        if not self.crops:
            return x
        height, width = x.shape[1:3]
        high = max(min(height, width * self.height // self.width), 1)
        wide = max(min(width, height * self.width // self.height), 1)
        top, left = (height - high) // 2, (width - wide) // 2
        return x[:, top : top + high, left : left + wide]

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, old height, old width, channels) to (rows, height, width, channels)."""
        x = self.cropped(x.astype(self.dtype, copy=False))
        check_size("a resized image", len(x), self.height, self.width, x.shape[-1])
        down, across = self.weights(x.shape[1], self.height), self.weights(x.shape[2], self.width)
        return LayerTrace(self.name, np.einsum("pw,nowc->nopc", across, np.einsum("oh,nhwc->nowc", down, x)))


@dataclass(frozen=True)
class CenterCrop:
    """The middle of each image; of one that is too small, the largest part of the proportions wanted, enlarged.

    Source: tf.keras 2.15 documentation, CenterCrop.
    """

    name: str
    inputs: tuple[str, ...]
    height: int
    width: int
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, old height, old width, channels) to (rows, height, width, channels)."""
        down, across = x.shape[1] - self.height, x.shape[2] - self.width
        if min(down, across) < 0:
            return self.enlarging(x)
        top, left = down // 2, across // 2
        x = x.astype(self.dtype, copy=False)
        return LayerTrace(self.name, x[:, top : top + self.height, left : left + self.width])

    def enlarging(self, x: Array) -> LayerTrace:
        """The step for images that are too small."""
        return Resized(self.name, self.inputs, self.height, self.width, "bilinear", True, self.dtype)(x)
