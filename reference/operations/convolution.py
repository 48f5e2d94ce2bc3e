"""Convolutions as what they are: for each place in the kernel, what stands there, times the kernel's matrix.

Kernels are cross-correlated; a kernel meant for a true convolution (Theano's) is flipped by whoever knows that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.convolving import add_bias, convolve
from reference.trace import LayerTrace
from reference.windows import Padding, as_stored, channels_last, pad_for_windows

Array = NDArray[Any]


@dataclass(frozen=True)
class Convolution:
    """activation(x * kernel + bias), Conv1D to Conv3D.

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        kernel: (*window, channels / groups, filters), to be cross-correlated.
        bias: (filters,) or None.
        activation: applied in the layer's own layout.
        strides: one a dimension of space.
        dilation: one a dimension of space.
        padding: rule by which the edges are padded.
        groups: in how many groups the channels are kept apart.
        channels_first: whether arrays are (rows, channels, *space).
        dtype: in which the arithmetic is done.
        kernel_error: how far a port's kernel may lie from this one beside the cast (what a fold's own arithmetic
            costs), of its shape; None for not at all.
        bias_error: the same for the bias, (filters,).
    """

    name: str
    inputs: tuple[str, ...]
    kernel: Array
    bias: Array | None
    activation: Activation
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Padding = "valid"
    groups: int = 1
    channels_first: bool = False
    dtype: Any = np.float64
    kernel_error: Array | None = None
    bias_error: Array | None = None

    def linear(self, x: Array, kernel: Array) -> Array:
        """The sum of products alone, with any kernel of this shape, in the layer's own layout."""
        x = channels_last(x, self.channels_first)
        x = pad_for_windows(x, kernel.shape[:-2], self.strides, self.dilation, self.padding)
        return as_stored(convolve(x, kernel, self.strides, self.dilation, self.groups), self.channels_first)

    def preactivation(self, x: Array) -> Array:
        """What goes into the activation."""
        z = self.linear(x.astype(self.dtype, copy=False), self.kernel.astype(self.dtype, copy=False))
        return add_bias(z, self.bias, self.channels_first)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, *space, channels) to (rows, *space, filters), or both with the channels first."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = self.preactivation(x)
            return LayerTrace(self.name, self.activation(z), z)
