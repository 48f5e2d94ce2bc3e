"""A convolution of every channel by itself, then of the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.convolving import add_bias, convolve, convolve_depthwise
from reference.trace import LayerTrace
from reference.windows import Padding, as_stored, channels_last, pad_for_windows

Array = NDArray[Any]


@dataclass(frozen=True)
class SeparableConvolution:
    """A depthwise convolution, then a pointwise one, then bias and activation.

    ``depthwise`` is (*window, channels, multiplier), ``pointwise`` (1, .., channels * multiplier, filters).
    ``kernel_error``, of the pointwise one, and ``bias_error`` as of ``Convolution``.
    Source: Keras 2 documentation, SeparableConv2D.
    """

    name: str
    inputs: tuple[str, ...]
    depthwise: Array
    pointwise: Array
    bias: Array | None
    activation: Activation
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Padding = "valid"
    channels_first: bool = False
    dtype: Any = np.float64
    kernel_error: Array | None = None
    bias_error: Array | None = None

    def linear(self, x: Array, depthwise: Array, pointwise: Array) -> Array:
        """The two sums of products, with any kernels of these shapes, in the layer's own layout."""
        ones = [1] * len(self.strides)
        x = channels_last(x, self.channels_first)
        x = pad_for_windows(x, depthwise.shape[:-2], self.strides, self.dilation, self.padding)
        mixed = convolve(convolve_depthwise(x, depthwise, self.strides, self.dilation), pointwise, ones, ones)
        return as_stored(mixed, self.channels_first)

    def preactivation(self, x: Array) -> Array:
        """What goes into the activation."""
        kernels = (kernel.astype(self.dtype, copy=False) for kernel in (self.depthwise, self.pointwise))
        z = self.linear(x.astype(self.dtype, copy=False), *kernels)
        return add_bias(z, self.bias, self.channels_first)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, *space, channels) to (rows, *space, filters)."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = self.preactivation(x)
            return LayerTrace(self.name, self.activation(z), z)
