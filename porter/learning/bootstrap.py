"""Whether one model is better than another on held-out rows, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

RESAMPLES, BLOCK = 2000, 50
LEAST_GROUPS = 8
"""Fewer independent rows than this, and the quantiles of resamples are quantiles of a handful of numbers."""
LEVEL = 0.95


@dataclass(frozen=True)
class Paired:
    """Root-mean-square errors of two models on the same rows.

    Attributes:
        legacy: (outputs,) of the first.
        tuned: (outputs,) of the second.
        low: (outputs,) lower end of the interval of tuned - legacy; NaN where there are too few rows.
        high: (outputs,) upper end.
        independent: how many rows, or groups of them, were resampled.
    """

    legacy: Array
    tuned: Array
    low: Array
    high: Array
    independent: int


def compare_errors(legacy: Array, tuned: Array, groups: Array | None, seed: int) -> Paired:
    """Paired bootstrap of the difference of two root-mean-square errors.

    Rows are drawn with both their errors, so that what is hard for both cancels; rows of one group (a site, a day) are
    drawn together, for they are not independent.

    Args:
        legacy: (rows, outputs) errors of the first model.
        tuned: (rows, outputs) errors of the second.
        groups: (rows,) or None.
        seed: of the resamples.
    """
    owner = np.arange(len(legacy)) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(owner.max()) + 1
    sums = [_by_group(errors**2, owner, count) for errors in (legacy, tuned)]
    sizes = np.bincount(owner, minlength=count).astype(np.float64)
    rms = [np.sqrt(part.sum(axis=0) / len(legacy)) for part in sums]
    if count < LEAST_GROUPS:
        unknown = np.full(legacy.shape[1], np.nan)
        return Paired(rms[0], rms[1], unknown, unknown, count)
    rng = np.random.default_rng(seed)
    drawn = [_resample(sums, sizes, rng) for _ in range(RESAMPLES // BLOCK)]
    ends = np.quantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Paired(rms[0], rms[1], ends[0], ends[1], count)


def _by_group(squares: Array, owner: Array, count: int) -> Array:
    total = np.zeros((count, squares.shape[1]))
    np.add.at(total, owner, squares)
    return total


def _resample(sums: list[Array], sizes: Array, rng: np.random.Generator) -> Array:
    """(BLOCK, outputs) differences of the two errors on groups drawn with replacement."""
    times = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=BLOCK).astype(np.float64)
    rows = (times @ sizes)[:, None]
    first, second = (np.sqrt(times @ part / rows) for part in sums)
    difference: Array = second - first
    return difference
