"""Which rows are learned from, which decide when to stop, and which are held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.learning.data import Data
from porter.learning.errors import DataError

Array = NDArray[Any]

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, ascending, (rows,) int64."""

    train: Array
    validation: Array
    test: Array

    def parts(self) -> dict[str, Array]:
        """Name of each part to its rows."""
        return {name: getattr(self, name) for name in PARTS}


def split_rows(data: Data, *, validation: float, test: float, seed: int) -> Split:
    """Divide the rows by a seed; rows of one group are never on two sides.

    Args:
        data: with groups, or without: then every row is a group of its own.
        validation: share of the rows that decide when to stop.
        test: share of the rows that are held out.
        seed: of the order in which groups are dealt.

    Raises:
        UsageError: shares that cannot be meant.
        DataError: too few rows or groups for the parts asked for.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise UsageError(f"{name}", found=f"{share:g}", expected="a share of the rows from 0 to below 1")
    if validation + test >= 1:
        raise UsageError("validation and test", found=f"{validation + test:g} of all rows", expected="less than all")
    owner, count = _owners(data)
    order = np.random.default_rng(seed).permutation(count)
    sizes = np.bincount(owner, minlength=count)[order]
    parts = np.full(count, PARTS.index("train"))
    place = 0
    for name, share in (("test", test), ("validation", validation)):
        place, taken = _deal(sizes, place, share * len(data))
        parts[order[taken]] = PARTS.index(name)
    where = parts[owner]
    split = Split(*(np.flatnonzero(where == number) for number in range(len(PARTS))))
    _check(split, data, {"train": 1.0, "validation": validation, "test": test})
    return split


def _owners(data: Data) -> tuple[Array, int]:
    """(rows,) number of the group of each row, and how many groups there are."""
    if data.groups is None:
        return np.arange(len(data)), len(data)
    names, owner = np.unique(data.groups, return_inverse=True)
    return owner, len(names)


def _deal(sizes: Array, place: int, wanted: float) -> tuple[int, slice]:
    """As many groups from ``place`` on as come nearest to the rows wanted, at least one where any are wanted."""
    if wanted <= 0:
        return place, slice(place, place)
    reached = np.cumsum(sizes[place:])
    count = 1 + int(np.argmin(np.abs(reached - wanted))) if len(reached) else 0
    return place + count, slice(place, place + count)


def _check(split: Split, data: Data, shares: dict[str, float]) -> None:
    empty = [name for name, rows in split.parts().items() if shares[name] > 0 and len(rows) == 0]
    if not empty:
        return
    kind = "rows" if data.groups is None else "groups"
    count = len(data) if data.groups is None else len(np.unique(data.groups))
    raise DataError(
        f"data {data.source}: no {kind} are left for {' and '.join(empty)}", found=f"{count} {kind}",
        expected="enough for every part", remedy="give more data, or smaller shares (validation=, test=)",
    )  # fmt: skip
