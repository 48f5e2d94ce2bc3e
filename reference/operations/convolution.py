"""Convolutions as what they are: for each place in the kernel, what stands there, times the kernel's matrix.

Kernels are cross-correlated; a kernel meant for a true convolution (Theano's) is flipped by whoever knows that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.limits import check_size
from reference.trace import LayerTrace
from reference.windows import Padding, as_stored, channels_last, pad_for_windows, slide

Array = NDArray[Any]

FEW_CHANNELS = 16


def convolve(x: Array, kernel: Array, strides: Sequence[int], dilation: Sequence[int], groups: int = 1) -> Array:
    """Cross-correlate (rows, *space, channels) with (*window, channels / groups, filters), nothing padded.

    Source: Keras 2 documentation, Conv2D; tf.nn.convolution.
    """
    window = kernel.shape[:-2]
    if groups > 1:
        parts = zip(np.split(x, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True)
        return np.concatenate([convolve(part, matrix, strides, dilation) for part, matrix in parts], axis=-1)
    views = slide(x, window, strides, dilation)
    if kernel.shape[-2] <= FEW_CHANNELS:
        # Products of a few channels alone would be slow: all places of the window side by side.
        columns = np.concatenate([view for _, view in views], axis=-1)
        return _times(columns, kernel.reshape((-1, kernel.shape[-1])))
    offset, view = next(views)
    total = _times(view, kernel[offset])
    for offset, view in views:
        total += _times(view, kernel[offset])
    return total


def _times(x: Array, matrix: Array) -> Array:
    """(..., n) times (n, m), as one product of two matrices."""
    rows = np.ascontiguousarray(x).reshape((-1, x.shape[-1]))
    return (rows @ matrix).reshape((*x.shape[:-1], matrix.shape[-1]))


def convolve_depthwise(x: Array, kernel: Array, strides: Sequence[int], dilation: Sequence[int]) -> Array:
    """Each channel with its own (*window, channels, multiplier); channel c gives outputs c * multiplier onwards.

    Source: Keras 2 documentation, DepthwiseConv2D; tf.nn.depthwise_conv2d.
    """
    views = slide(x, kernel.shape[:-2], strides, dilation)
    if kernel.shape[-1] > 1:
        total: Any = 0
        for offset, view in views:
            total = total + view[..., np.newaxis] * kernel[offset]
        return np.asarray(total).reshape((*total.shape[:-2], -1))
    offset, view = next(views)
    single = view * kernel[offset][:, 0]
    product = np.empty_like(single)
    for offset, view in views:
        single += np.multiply(view, kernel[offset][:, 0], out=product)
    return np.asarray(single)


def convolve_transposed(
    x: Array, kernel: Array, strides: Sequence[int], dilation: Sequence[int], before: Sequence[int], out: Sequence[int]
) -> Array:
    """Spread each input over (*window, filters, channels), and keep ``out`` places from ``before`` on.

    Source: Keras 2 documentation, Conv2DTranspose: the gradient of a convolution with respect to its input.
    """
    window, filters = kernel.shape[:-2], kernel.shape[-2]
    spans = [(size - 1) * spread + 1 for size, spread in zip(window, dilation, strict=True)]
    full = [(n - 1) * s + span for n, s, span in zip(x.shape[1:-1], strides, spans, strict=True)]
    room = [max(f, b + o) for f, b, o in zip(full, before, out, strict=True)]
    check_size("a transposed convolution", len(x), *room, filters)
    total = np.zeros((len(x), *room, filters), x.dtype)
    for offset in np.ndindex(*window):
        starts = [place * spread for place, spread in zip(offset, dilation, strict=True)]
        view = tuple(
            slice(start, start + (n - 1) * s + 1, s) for start, n, s in zip(starts, x.shape[1:-1], strides, strict=True)
        )
        total[(slice(None), *view)] += x @ kernel[offset].T
    kept = tuple(slice(b, b + o) for b, o in zip(before, out, strict=True))
    return total[(slice(None), *kept)]


def patches(x: Array, window: Sequence[int], strides: Sequence[int], channels_first: bool) -> Array:
    """(rows, positions, window * channels): each window, flattened in the order of the layer's own layout."""
    ones = [1] * len(window)
    views = np.stack([view for _, view in slide(x, window, strides, ones)], axis=-2)
    if channels_first:
        views = np.swapaxes(views, -1, -2)
    positions = math.prod(views.shape[1 : 1 + len(window)])
    return views.reshape((len(x), positions, -1))


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


@dataclass(frozen=True)
class DepthwiseConvolution:
    """activation(x * kernel + bias), each channel alone; kernel (*window, channels, multiplier)."""

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


@dataclass(frozen=True)
class SeparableConvolution:
    """A depthwise convolution, then a pointwise one, then bias and activation.

    ``depthwise`` is (*window, channels, multiplier), ``pointwise`` (1, .., channels * multiplier, filters).
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


@dataclass(frozen=True)
class TransposedConvolution:
    """activation(transposed convolution + bias); kernel (*window, filters, channels).

    ``output_padding`` is one number a dimension, or None where the output's length is inferred.
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


def add_bias(z: Array, bias: Array | None, channels_first: bool) -> Array:
    """z plus one number a channel."""
    if bias is None:
        return z
    shape = [1] * z.ndim
    shape[1 if channels_first else -1] = -1
    return z + bias.astype(z.dtype).reshape(shape)
