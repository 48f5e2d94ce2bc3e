"""The logistic function as a table, as ffbp and its readers build it.

Source: senbox-org/snap-engine, commit 048ce3a: 100,000 entries; the first argument is half a step above -10, and each
next one is the one before plus a step; an argument is looked up by truncation, and held to the table's ends.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ENTRIES = 100_000
START = -10.0
STEP = 20.0 / (ENTRIES - 1)


@cache
def entries() -> Array:
    """(100,000,) float64, read-only. The arguments come from repeated addition, whose rounding shows at 1e-12."""
    arguments = np.cumsum(np.concatenate([[START + STEP / 2], np.full(ENTRIES - 1, STEP)]))
    table = 1.0 / (1.0 + np.exp(-arguments))
    table.flags.writeable = False
    return np.asarray(table)


def logistic_table(x: Array) -> Array:
    """The entry for x; the first one for NaN, as Java's conversion to a whole number has it."""
    with np.errstate(invalid="ignore", over="ignore"):
        place = np.clip((x.astype(np.float64) - START) / STEP, 0, ENTRIES - 1)
    return entries()[np.nan_to_num(place).astype(np.int64)].astype(x.dtype)
