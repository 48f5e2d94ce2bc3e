"""A convolution with weights of its own at every place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.convolving import patches
from reference.trace import LayerTrace
from reference.windows import as_stored, channels_last

Array = NDArray[Any]


@dataclass(frozen=True)
class LocalConvolution:
    """A convolution whose every position has its own kernel: LocallyConnected1D and 2D.

    ``kernel`` is (positions, window * channels, filters), the window's places in the order of the layer's own layout;
    ``bias`` is (*positions, filters), in that layout.
    Source: Keras 2.3.1 backend/tensorflow_backend.py, local_conv2d.
    """

    name: str
    inputs: tuple[str, ...]
    kernel: Array
    bias: Array | None
    activation: Activation
    window: tuple[int, ...]
    strides: tuple[int, ...]
    channels_first: bool = False
    dtype: Any = np.float64

    def linear(self, x: Array, kernel: Array) -> Array:
        """The sum of products alone, with any kernel of this shape, in the layer's own layout."""
        x = channels_last(x, self.channels_first)
        places = np.moveaxis(patches(x, self.window, self.strides, self.channels_first), 0, 1)
        z = np.moveaxis(places @ kernel, 1, 0)
        space = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], self.window, self.strides, strict=True)]
        return as_stored(z.reshape((len(x), *space, -1)), self.channels_first)

    def preactivation(self, x: Array) -> Array:
        """What goes into the activation."""
        z = self.linear(x.astype(self.dtype, copy=False), self.kernel.astype(self.dtype, copy=False))
        # Keras 2 stores this bias in channels-last order whatever the layout, and turns it where it adds it.
        return z if self.bias is None else z + as_stored(self.bias.astype(self.dtype)[np.newaxis], self.channels_first)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, *space, channels) to (rows, *space, filters)."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = self.preactivation(x)
            return LayerTrace(self.name, self.activation(z), z)
