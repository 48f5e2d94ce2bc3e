"""Numbers on which an operation shows what it is for: none, infinite, a fill value, far away, of every size."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.probes import FAR_MAGNITUDES, FILL_VALUES
from reference.precision import FORMATS, round_to

Array = NDArray[Any]
Reach = tuple[float, float]

UNBOUNDED: Reach = (-np.inf, np.inf)
SINGLE = (np.nan, np.inf, -np.inf, 0.0, *FILL_VALUES, *FAR_MAGNITUDES, *(-each for each in FAR_MAGNITUDES))
"""Each fills a row alone."""
DIGITS, BINADES = 7, 60
"""Every number of so many binary digits behind the point, from 2 ** -60 to 2 ** 60."""

MOST = 2**20
"""Numbers beyond which no row is spent on one of them."""


@cache
def numbers_of_every_size() -> Array:
    """(numbers,) of both signs, in an order in which neighbours have nothing to do with each other."""
    fractions = 1 + np.arange(2**DIGITS) / 2**DIGITS
    sizes = (2.0 ** np.arange(-BINADES, BINADES)[:, np.newaxis] * fractions).ravel()
    numbers = np.concatenate([sizes, -sizes])
    return np.random.default_rng(0).permutation(numbers)


def special_rows(shape: tuple[int, ...], dtype: str, reach: Reach = UNBOUNDED, held: str | None = None) -> Array:
    """(rows, *shape) one special number in every place of a row, then rows of numbers of every size.

    Args:
        shape: of a row.
        dtype: of the numbers, a name in ``FORMATS``.
        reach: the smallest and the largest that can be there; no number and infinities may be wherever it is open.
        held: a coarser format in which the numbers come; or None.
    """
    kind, width = FORMATS[dtype if held is None else held], int(np.prod(shape, dtype=np.int64))
    dense = numbers_of_every_size()
    # Nothing whose last digits the platform may flush to zero.
    dense = dense[(np.abs(dense) > 4 * kind.tiny / kind.unit) & (np.abs(dense) < kind.largest / 4)]
    single = np.array(SINGLE)
    with np.errstate(invalid="ignore"):
        kept = np.isnan(single) | ((single >= reach[0]) & (single <= reach[1]))
    dense = dense[(dense >= reach[0]) & (dense <= reach[1])]
    if width * len(single) > MOST:  # images, of which a row holds them all
        numbers = np.concatenate([single[kept], dense])
        rows = np.resize(numbers, (max(1, -(-len(numbers) // width)), width))
        return _as_dtype(rows, shape, dtype, held)
    dense = np.resize(dense, (max(1, -(-len(dense) // width)), width)) if len(dense) else np.zeros((0, width))
    rows = np.concatenate([np.repeat(single[kept][:, np.newaxis], width, axis=1), dense])
    return _as_dtype(rows, shape, dtype, held)


def _as_dtype(rows: Array, shape: tuple[int, ...], dtype: str, held: str | None) -> Array:
    with np.errstate(over="ignore"):
        rounded = rows if held is None else round_to(rows, held)
        return np.asarray(rounded.astype(_numpy(dtype)).reshape(-1, *shape))


def _numpy(dtype: str) -> Any:
    if dtype == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return np.dtype(dtype)
