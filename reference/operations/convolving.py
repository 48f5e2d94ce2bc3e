"""Kernels moved over arrays, without a layer around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.limits import check_size
from reference.windows import slide

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


def add_bias(z: Array, bias: Array | None, channels_first: bool) -> Array:
    """z plus one number a channel."""
    if bias is None:
        return z
    shape = [1] * z.ndim
    shape[1 if channels_first else -1] = -1
    return z + bias.astype(z.dtype).reshape(shape)
