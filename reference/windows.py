"""Where a window stands: padding rules of the backends, and the views of an array that a sliding window meets.

Arrays are (rows, *space, channels) here; layouts are turned by whoever calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.limits import check_size

Array = NDArray[Any]
Padding = Literal["valid", "same", "half", "causal", "full", "theano-pool"]


def count_outputs(padding: Padding, length: int, span: int, stride: int) -> int:
    """How many windows of ``span`` elements fit along an axis of ``length``.

    Source: Keras 2 utils/conv_utils.py, conv_output_length.
    """
    if padding in ("same", "half", "causal", "theano-pool"):
        return -(-length // stride)
    reach = length + 2 * (span - 1) if padding == "full" else length
    return (reach - span) // stride + 1


def count_before(padding: Padding, length: int, span: int, stride: int) -> int:
    """How many elements are added in front of an axis; the number behind follows from the outputs.

    "same" is TensorFlow's rule (the odd element goes behind); "half" is Theano's border mode of that name, which
    Keras 1 and 2 asked for when "same" was set, cropped to the same number of outputs; "theano-pool" is what they
    gave Theano's pooling; "causal" looks at the past only; "full" is Keras 1 on Theano.

    Source: TensorFlow tf.nn, "Notes on padding"; Keras 2.2.4 backend/theano_backend.py, conv2d and pool2d.
    """
    if padding == "same":
        needed = (count_outputs(padding, length, span, stride) - 1) * stride + span - length
        return max(needed, 0) // 2
    if padding == "half":
        return span // 2
    if padding in ("causal", "full"):
        return span - 1
    if padding == "theano-pool":
        return span - 2 if span > 2 and span % 2 == 1 else span - 1
    return 0


def pad_for_windows(
    x: Array,
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: Padding,
    value: float = 0.0,
) -> Array:
    """(rows, *space, channels), padded or cropped so that exactly the wanted windows fit."""
    widths, crops = [(0, 0)], [slice(None)]
    for length, size, stride, spread in zip(x.shape[1:-1], window, strides, dilation, strict=True):
        span = (size - 1) * spread + 1
        before = count_before(padding, length, span, stride)
        wanted = (count_outputs(padding, length, span, stride) - 1) * stride + span
        widths.append((before, max(wanted - before - length, 0)))
        crops.append(slice(0, wanted))
    check_size(
        "a padded array", len(x), *(n + a + b for n, (a, b) in zip(x.shape[1:], [*widths[1:], (0, 0)], strict=True))
    )
    return np.pad(x, [*widths, (0, 0)], constant_values=value)[(*crops, slice(None))]


def slide(
    x: Array, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Each offset inside the window, and the view (rows, *outputs, channels) of what stands there in every window.

    Raises:
        ValueError: a window that is wider than the array.
    """
    counts = [
        (length - (size - 1) * spread - 1) // stride + 1
        for length, size, stride, spread in zip(x.shape[1:-1], window, strides, dilation, strict=True)
    ]
    if min(counts, default=1) < 1:
        raise ValueError(
            f"a window of {tuple(window)}, {tuple(dilation)} apart, is wider than an array of {x.shape[1:-1]}"
        )
    for offset in np.ndindex(*window):
        starts = [place * spread for place, spread in zip(offset, dilation, strict=True)]
        view = tuple(
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(starts, counts, strides, strict=True)
        )
        yield offset, x[(slice(None), *view)]


def channels_last(x: Array, channels_first: bool) -> Array:
    """(rows, channels, *space) as (rows, *space, channels), where ``channels_first``."""
    return np.moveaxis(x, 1, -1) if channels_first else x


def as_stored(x: Array, channels_first: bool) -> Array:
    """The way back from ``channels_last``."""
    return np.moveaxis(x, -1, 1) if channels_first else x
