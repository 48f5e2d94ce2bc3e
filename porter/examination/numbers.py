"""Arrays against arrays: equal to a unit in the last place, permuted, rounded, or different in a few entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import FORMATS

Array = NDArray[Any]

SAMPLE = 4096


def rounded(values: Array, dtype: str) -> Array:
    """The values as a variable of ``dtype`` holds them, in float64; "bfloat16" included."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "bfloat16":
            import ml_dtypes

            return values.astype(ml_dtypes.bfloat16).astype(np.float64)
        return values.astype(dtype).astype(np.float64)


def ulp(values: Array, dtype: str) -> Array:
    """Distance to the next number of ``dtype`` above the magnitude of each value, in float64."""
    digits, smallest = {
        "float64": (52, -1074), "float32": (23, -149), "float16": (10, -24), "bfloat16": (7, -133),
    }[dtype]  # fmt: skip
    nonzero = np.isfinite(values) & (values != 0)
    exponents = np.where(nonzero, np.frexp(np.where(nonzero, values, 1.0))[1] - 1, -5000)
    return np.ldexp(1.0, np.maximum(exponents - digits, smallest))


def equal_within_ulp(found: Array, stored: Array, dtype: str, ulps: float = 1.0) -> Array:
    """Elementwise: is ``found`` the cast of ``stored`` to ``dtype``, give or take ``ulps``?

    Numbers too small to be normal may be zeros: a platform that flushes them casts them so.
    Both are of one shape; the result is a bool array of that shape.
    """
    wanted = rounded(stored, dtype)
    with np.errstate(invalid="ignore"):
        same = np.equal(found, wanted)
        if same.all():
            return same
        same |= np.isnan(found) & np.isnan(wanted)
        same |= (found == 0) & (np.abs(stored) < FORMATS[dtype].flushed)
        return same | (np.abs(found - wanted) <= ulps * ulp(wanted, dtype))


def sample_positions(size: int) -> Array:
    """Flat positions at which big arrays are compared first: all of a small one, spread over a big one."""
    return np.arange(size) if size <= SAMPLE else np.unique(np.random.default_rng(0).integers(0, size, SAMPLE))


Equal = Callable[[Array, Array], Array]
"""Elementwise: whether what a port holds is what the file has."""


def match_vectors(found: Array, stored: Array, equal: Equal, *, signs: bool = False) -> tuple[Array, Array] | None:
    """Match the rows of one array to the rows of another, each used once.

    Args:
        found: (n, m) rows of the port.
        stored: (n, m) rows of the file.
        equal: whether numbers of the first are those of the second.
        signs: whether a row may have the opposite sign.

    Returns:
        (order, sign) with found[u] = sign[u] * stored[order[u]], both (n,); None where some row has no partner.
        Rows that stand where they should are matched there first, so that equal rows are not called permuted.
    """
    n = len(stored)
    order, sign = np.full(n, -1), np.ones(n)
    stay = equal(found, stored).all(axis=1)
    order[stay] = np.flatnonzero(stay)
    free = list(np.flatnonzero(~stay))
    for unit in np.flatnonzero(~stay):
        for direction in (1.0, -1.0) if signs else (1.0,):
            close = _rows_equal(found[unit], direction * stored[free], equal)
            if close.any():
                partner = int(np.flatnonzero(close)[0])
                order[unit], sign[unit] = free.pop(partner), direction
                break
        else:
            return None
    return order, sign


def _rows_equal(row: Array, candidates: Array, equal: Equal) -> Array:
    if not len(candidates):
        return np.zeros(0, bool)
    # The largest entry tells most: where numbers are known to a few digits only, a small one is like many others.
    telling = int(np.argmax(np.abs(row)))
    first = equal(np.broadcast_to(row[telling], len(candidates)), candidates[:, telling])
    result = np.zeros(len(candidates), bool)
    picked = np.flatnonzero(first)
    result[picked] = equal(np.broadcast_to(row, candidates[picked].shape), candidates[picked]).all(1)
    return result


def column_order(run: Callable[[Array], Array], base: Array, moved: Array) -> Array | None:
    """Which input column each output column follows; None where an output follows more or fewer than one.

    Args:
        run: (rows, n) to (rows, n).
        base: (n,) a row of inputs.
        moved: (n,) another, which differs from it in every column; the columns are taken from it one by one.
    """
    n = len(base)
    rows = np.repeat(base[None], n + 1, axis=0)
    rows[1 + np.arange(n), np.arange(n)] = moved
    found = np.asarray(run(rows)).astype(np.float64)
    if found.shape != rows.shape:
        return None
    changed = found[1:] != found[0]
    is_one_to_one = (changed.sum(axis=0) == 1).all() and (changed.sum(axis=1) == 1).all()
    return np.argmax(changed, axis=0) if is_one_to_one else None


def is_reversal(order: Array) -> bool:
    """Whether an order, (n,), is the one from the last to the first."""
    return bool(np.array_equal(order, np.arange(len(order))[::-1]))


def describe_permutation(order: Array, what: str) -> str:
    """Which two are exchanged, or how many stand elsewhere."""
    moved = np.flatnonzero(order != np.arange(len(order)))
    if len(moved) == 2:
        return f"{what} {moved[0]} and {moved[1]} are exchanged"
    if np.array_equal(order, np.arange(len(order))[::-1]):
        return f"the {what} stand in reverse order"
    return f"{len(moved)} of {len(order)} {what} stand elsewhere (the first: {moved[0]} holds {order[moved[0]]})"


def describe_entries(found: Array, wanted: Array, differs: Array) -> str:
    """How many entries differ and the first few: "1 of 12,321 entries differs: [14, 2] -0.31 for 0.31"."""
    positions = np.argwhere(differs)
    shown = "; ".join(
        f"[{', '.join(str(int(i)) for i in p)}] {found[tuple(p)]:.6g} for {wanted[tuple(p)]:.6g}" for p in positions[:3]
    )
    verb = "differs" if len(positions) == 1 else "differ"
    return f"{len(positions):,} of {differs.size:,} entries {verb}: {shown}{' ...' if len(positions) > 3 else ''}"


def rounding_rules(dtype: str) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Ways in which numbers lose digits, by name, coarsest last; those finer than ``dtype`` are left out."""
    if dtype == "float64":
        yield "rounded to float32", lambda values: rounded(values, "float32")
    if dtype != "float16":
        yield "rounded to float16", lambda values: rounded(values, "float16")
    if dtype != "bfloat16":
        yield "rounded to bfloat16", lambda values: rounded(values, "bfloat16")
    for digits in range(15 if dtype == "float64" else 8, 0, -1):
        yield f"printed with {digits} significant digits", _significant(digits)
    for decimals in range(15 if dtype == "float64" else 8, 0, -1):
        yield f"rounded to {decimals} decimals", _decimals(decimals)
    if dtype != "bfloat16":
        yield "cut to bfloat16", _cut_to_bfloat16
    yield "rounded to integers", _decimals(0)
    yield "cut to integers", _cut_to_integers


def _cut_to_bfloat16(values: Array) -> Array:
    """The upper half of each float32, the rest dropped instead of rounded."""
    with np.errstate(over="ignore", invalid="ignore"):
        short = np.ascontiguousarray(values, dtype=np.float32)
    bits = short.view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def _cut_to_integers(values: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.trunc(values)


def _decimals(decimals: int) -> Callable[[Array], Array]:
    def cut(values: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.round(values, decimals)

    return cut


def _significant(digits: int) -> Callable[[Array], Array]:
    def cut(values: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            magnitude = np.floor(np.log10(np.abs(values)))
        exponents = np.where(np.isfinite(magnitude), magnitude, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            factor = 10.0 ** (digits - 1 - exponents)
            return np.where(np.isfinite(factor), np.round(values * factor) / factor, values)

    return cut


def swapped_bytes(values: Array) -> Array:
    """What the stored bytes mean when read in the other byte order."""
    with np.errstate(all="ignore"):
        return values.byteswap().astype(np.float64)
