"""A convolution of every channel by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.convolving import add_bias, convolve_depthwise
from reference.trace import LayerTrace
from reference.windows import Padding, as_stored, channels_last, pad_for_windows

Array = NDArray[Any]


@dataclass(frozen=True)
class DepthwiseConvolution:
    """activation(x * kernel + bias), each channel alone; kernel (*window, channels, multiplier).

    ``kernel_error`` and ``bias_error`` as of ``Convolution``.
    """

    name: str
    inputs: tuple[str, ...]
    kernel: Array
    bias: Array | None
    activation: Activation
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Padding = "valid"
    channels_first: bool = False
    dtype: Any = np.float64
    kernel_error: Array | None = None
    bias_error: Array | None = None

    def linear(self, x: Array, kernel: Array) -> Array:
        """The sum of products alone, with any kernel of this shape, in the layer's own layout."""
        x = channels_last(x, self.channels_first)
        x = pad_for_windows(x, kernel.shape[:-2], self.strides, self.dilation, self.padding)
        return as_stored(convolve_depthwise(x, kernel, self.strides, self.dilation), self.channels_first)

    def preactivation(self, x: Array) -> Array:
        """What goes into the activation."""
        z = self.linear(x.astype(self.dtype, copy=False), self.kernel.astype(self.dtype, copy=False))
        return add_bias(z, self.bias, self.channels_first)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, *space, channels) to (rows, *space, channels * multiplier)."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = self.preactivation(x)
            return LayerTrace(self.name, self.activation(z), z)
