"""What a comparison could have shown: the allowed error beside the range of what the step gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import TENSORFLOAT32_UNIT, Precision

Array = NDArray[Any]

LARGEST_SHARE = 1e-3
"""Of a step's range that its allowed error may be; beyond, agreement says nothing."""
UNITS = 32
"""The same in unit roundoffs, for formats of 16 bits, in which one rounding alone is half of ``LARGEST_SHARE``."""


def measure_coarseness(expected: Array, allowed: Array, left_out: Array | None = None) -> float:
    """The allowed error of the coarsest unit, on average over the rows, over the range of what the step gives.

    Args:
        expected: (rows, ..., units) from the reference.
        allowed: the same shape: what rounding can explain.
        left_out: the same shape, bool: elements that were not compared; or None.

    Returns:
        0 where nothing is allowed; inf where nothing was compared, or where any finite error would pass.
    """
    if _is_plain(expected, allowed, left_out):
        units = expected.shape[-1] if expected.ndim > 1 else 1
        coarsest = float(np.max(np.mean(allowed.reshape(-1, units), axis=0)))
        return _share(coarsest, float(np.min(expected)), float(np.max(expected)))
    kept = np.isfinite(expected) & np.isfinite(allowed)
    if left_out is not None:
        kept &= ~left_out
    if not kept.any():
        return float("inf")
    units = expected.shape[-1] if expected.ndim > 1 else 1
    flat = np.where(kept, allowed, 0.0).reshape(-1, units)
    counts = np.maximum(np.count_nonzero(kept.reshape(-1, units), axis=0), 1)
    coarsest = float(np.max(flat.sum(axis=0) / counts))
    low = float(np.min(expected, where=kept, initial=np.inf))
    high = float(np.max(expected, where=kept, initial=-np.inf))
    return _share(coarsest, low, high)


def _is_plain(expected: Array, allowed: Array, left_out: Array | None) -> bool:
    """Whether every number is finite and none is left out: nearly always, and much cheaper."""
    if not expected.size or (left_out is not None and left_out.any()):
        return False
    ends = (np.min(expected), np.max(expected), np.min(allowed), np.max(allowed))
    return bool(np.all(np.isfinite(ends)))


def _share(coarsest: float, low: float, high: float) -> float:
    if coarsest == 0:
        return 0.0
    span = high - low if high > low else abs(high)
    return coarsest / span if span > 0 else 0.0


def has_power(coarseness: float, precision: Precision) -> bool:
    """Whether an allowed error of that share of the range is small, in what the format resolves.

    Args:
        coarseness: as ``measure_coarseness`` gives it.
        precision: in which the port computes.
    """
    unit = TENSORFLOAT32_UNIT if precision.tensorfloat32 else precision.format.unit
    return coarseness <= max(LARGEST_SHARE, UNITS * unit)


def word_power(shares: Iterable[float | None]) -> str:
    """What the widest bound of some comparisons is beside the range of what its step gives, in words.

    Args:
        shares: as ``measure_coarseness`` gives them; None for what was not compared.
    """
    known = [share for share in shares if share is not None and np.isfinite(share)]
    return f"the widest bound is {max(known):.2g} of what its layer ranges over" if known else "no bound says anything"
