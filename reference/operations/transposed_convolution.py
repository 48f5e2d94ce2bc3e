"""The transpose of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.convolving import add_bias, convolve_transposed
from reference.trace import LayerTrace
from reference.windows import Padding, as_stored, channels_last

Array = NDArray[Any]


@dataclass(frozen=True)
class TransposedConvolution:
    """activation(transposed convolution + bias); kernel (*window, filters, channels).

    ``output_padding`` is one number a dimension, or None where the output's length is inferred.
    ``kernel_error`` and ``bias_error`` as of ``Convolution``.
    Source: Keras 2 documentation, Conv2DTranspose; utils/conv_utils.py, deconv_length.
    """

    name: str
    inputs: tuple[str, ...]
    kernel: Array
    bias: Array | None
    activation: Activation
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Padding = "valid"
    output_padding: tuple[int, ...] | None = None
    channels_first: bool = False
    dtype: Any = np.float64
    kernel_error: Array | None = None
    bias_error: Array | None = None

    def lengths(self, space: Sequence[int]) -> tuple[list[int], list[int]]:
        """What is cut off in front, and how long the output is, along each dimension."""
        before, out = [], []
        for axis, (n, stride) in enumerate(zip(space, self.strides, strict=True)):
            span = (self.kernel.shape[axis] - 1) * self.dilation[axis] + 1
            if self.output_padding is not None:
                cut = span // 2 if self.padding in ("same", "half") else 0
                length = (n - 1) * stride + span - 2 * cut + self.output_padding[axis]
            elif self.padding == "valid":
                length = n * stride + max(span - stride, 0)
            else:
                length = n * stride
            out.append(length)
            before.append(self._cut(span, max((n - 1) * stride + span - length, 0)))
        return before, out

    def _cut(self, span: int, surplus: int) -> int:
        if self.padding == "valid":
            return 0
        return span // 2 if self.padding == "half" else surplus // 2

    def linear(self, x: Array, kernel: Array) -> Array:
        """The sum of products alone, with any kernel of this shape, in the layer's own layout."""
        x = channels_last(x, self.channels_first)
        before, out = self.lengths(x.shape[1:-1])
        z = convolve_transposed(x, kernel, self.strides, self.dilation, before, out)
        return as_stored(z, self.channels_first)

    def preactivation(self, x: Array) -> Array:
        """What goes into the activation."""
        z = self.linear(x.astype(self.dtype, copy=False), self.kernel.astype(self.dtype, copy=False))
        return add_bias(z, self.bias, self.channels_first)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, *space, channels) to (rows, *space, filters)."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = self.preactivation(x)
            return LayerTrace(self.name, self.activation(z), z)
