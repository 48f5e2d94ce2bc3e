"""Steps that move numbers about, and change none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.limits import check_size
from reference.trace import LayerTrace
from reference.windows import as_stored, channels_last

Array = NDArray[Any]


Pairs = Sequence[tuple[int, int]]


def flatten(x: Array, channels_first: bool = False) -> Array:
    """(rows, ...) to (rows, n) in C order; ``channels_first`` turns the channels last before.

    Source: Keras 2 documentation, Flatten (data_format).
    """
    return np.ascontiguousarray(channels_last(x, channels_first and x.ndim > 2)).reshape((len(x), -1))


def reshape(x: Array, shape: Sequence[int]) -> Array:
    """(rows, ...) to (rows, *shape), one of which may be -1, in C order."""
    return x.reshape((len(x), *shape))


def permute(x: Array, order: Sequence[int]) -> Array:
    """Axes after the first in the order given, counted from 1. Source: Keras 2 documentation, Permute."""
    return np.transpose(x, (0, *order))


def repeat(x: Array, times: int) -> Array:
    """(rows, n) to (rows, times, n). Source: Keras 2 documentation, RepeatVector."""
    check_size("a repeated vector", times, *x.shape)
    return np.repeat(x[:, np.newaxis], times, axis=1)


def pad(x: Array, amounts: Pairs, channels_first: bool = False) -> Array:
    """Zeros before and after along each dimension of space."""
    x = channels_last(x, channels_first)
    wider = (n + sum(pair) for n, pair in zip(x.shape[1:-1], amounts, strict=True))
    check_size("a padded array", len(x), *wider, x.shape[-1])
    return as_stored(np.pad(x, [(0, 0), *amounts, (0, 0)]), channels_first)


def crop(x: Array, amounts: Pairs, channels_first: bool = False) -> Array:
    """So many taken away before and after along each dimension of space; something has to be left."""
    x = channels_last(x, channels_first)
    if any(n <= sum(pair) for n, pair in zip(x.shape[1:-1], amounts, strict=True)):
        raise ValueError(f"{tuple(amounts)} cropped away from {x.shape[1:-1]} leaves nothing")
    kept = tuple(slice(first, n - last) for n, (first, last) in zip(x.shape[1:-1], amounts, strict=True))
    return as_stored(x[(slice(None), *kept)], channels_first)


def repeat_elements(x: Array, sizes: Sequence[int], channels_first: bool = False) -> Array:
    """Each element so many times along each dimension of space: nearest neighbour upsampling."""
    x = channels_last(x, channels_first)
    check_size("an enlarged array", *x.shape, *sizes)
    for axis, size in enumerate(sizes, start=1):
        x = np.repeat(x, size, axis=axis)
    return as_stored(x, channels_first)


def identity(x: Array) -> Array:
    """x: dropout and noise at inference, constraints, regularization."""
    return x


@dataclass(frozen=True)
class Rearrangement:
    """One of the functions above, with its parameters."""

    name: str
    inputs: tuple[str, ...]
    function: Callable[[Array], Array]
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to (rows, ...)."""
        return LayerTrace(self.name, self.function(x.astype(self.dtype, copy=False)))
