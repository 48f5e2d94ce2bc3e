"""How far an entry of a table may be from those within reach."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.table import entries_of, places

Array = NDArray[Any]


def jumps(
    z: Array, a: Array, radius: Array, *, first: float, last: float, values: tuple[float, ...], nearest: float = 0
) -> Array:
    """The largest difference from a to an entry of an argument within the radius; infinite where that is."""
    known = np.where(np.isfinite(radius), radius, 0.0)
    lowest, highest = (places(end, first, last, nearest, values) for end in (z - known, z + known))
    level = np.frexp((highest - lowest + 1).astype(np.float64))[1] - 1
    least, greatest = _extremes(values)
    behind = highest + 1 - (1 << level)
    low = np.minimum(least[level, lowest], least[level, behind])
    high = np.maximum(greatest[level, lowest], greatest[level, behind])
    return np.where(np.isfinite(radius), np.maximum(high - a, a - low), np.inf)


@lru_cache(maxsize=8)
def _extremes(values: tuple[float, ...]) -> tuple[Array, Array]:
    """(levels, entries) least and greatest of the 2 ** level entries from each on; the rest of a row is not asked for.

    Source: M. A. Bender and M. Farach-Colton, The LCA Problem Revisited, 2000: the sparse table.
    """
    least, greatest = [entries_of(values)], [entries_of(values)]
    width = 1
    while 2 * width <= len(values):
        for levels, choose in ((least, np.minimum), (greatest, np.maximum)):
            before = levels[-1]
            whole = before.copy()
            whole[:-width] = choose(before[:-width], before[width:])
            levels.append(whole)
        width *= 2
    return np.stack(least), np.stack(greatest)
