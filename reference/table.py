"""Activations that are looked up in a table of entries at equal distances.

The first entry is that of the argument ``first``, the last one that of ``last``; what lies beyond is held to these two.
An argument between two entries is given the one below it, or the nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_ENTRIES = 100_000


def step_of(first: float, last: float, values: Sequence[float]) -> float:
    """The distance between two entries."""
    return (last - first) / (len(values) - 1)


def places(x: Array, first: float, last: float, nearest: float, values: Sequence[float]) -> Array:
    """The place of the entry for each argument, counted from 0; 0 for what is no number."""
    with np.errstate(invalid="ignore", over="ignore"):
        place = (x.astype(np.float64) - first) / step_of(first, last, values) + (0.5 if nearest else 0.0)
        return np.nan_to_num(np.clip(place, 0, len(values) - 1)).astype(np.int64)


def table(x: Array, *, first: float, last: float, values: tuple[float, ...], nearest: float = 0) -> Array:
    """The entry below x, or the nearest to it, of any shape; the first or the last one beyond them."""
    return entries_of(values)[places(x, first, last, nearest, values)].astype(x.dtype)


def middles(*, first: float, last: float, values: Sequence[float], nearest: float = 0) -> Array:
    """(entries,) an argument of each, as far as can be from those of others."""
    return np.asarray(first + step_of(first, last, values) * (np.arange(len(values)) + (0.0 if nearest else 0.5)))


@lru_cache(maxsize=8)
def entries_of(values: tuple[float, ...]) -> Array:
    """(entries,) float64, read-only."""
    entries = np.array(values, np.float64)
    entries.flags.writeable = False
    return entries


def is_table(first: float, last: float, values: Sequence[float]) -> bool:
    """Whether there are so many entries, all finite, that they are a table between these two arguments."""
    ordered = bool(np.isfinite(first) and np.isfinite(last) and first < last)
    return ordered and 2 <= len(values) <= MOST_ENTRIES and bool(np.isfinite(values).all())
