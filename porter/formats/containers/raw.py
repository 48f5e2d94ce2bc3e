"""Files of nothing but numbers in binary, as C, Fortran and IDL write them; a recipe says what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, StoredTypeError, TruncatedFileError
from porter.formats.opened import OpenedFile

Array = NDArray[Any]

WHOLE = "numbers"
HOW_TO_SAY_RAW = (
    'where it is nothing but numbers in binary, a recipe says so: [raw] with dtype = "float32" '
    "(porter recipe --explain)"
)
MARKER = 4
"""Bytes in front of and behind a record, which say how long it is."""

LEAST, MOST = 1e-15, 1e15
"""Sizes of numbers that are read as what they are: as another type or in another byte order they are of any size."""
FEW = 8
"""Numbers of which sizes say nothing."""


@dataclass(frozen=True)
class RawNumbers:
    """How the numbers of a file are stored.

    Attributes:
        dtype: of each, in its byte order.
        skip: bytes before them.
        records: whether they are Fortran's unformatted records.
    """

    dtype: np.dtype[Any]
    skip: int = 0
    records: bool = False

    def read(self, opened: OpenedFile) -> dict[str, Array]:
        """All numbers as one array, ``numbers``; or each record as one, ``record 1``, ``record 2``, ...

        Raises:
            TruncatedFileError: the file ends in the header, or in a record.
            StoredTypeError: numbers of another type, or in another byte order.
            DamagedFileError: bytes that are no whole numbers, or markers of records that contradict each other.
        """
        where, data = str(opened.path), opened.path.read_bytes()
        if len(data) <= self.skip:
            raise TruncatedFileError(
                f"{where} ends in its header", found=f"{len(data):,} bytes", expected=f"more than {self.skip:,}"
            )
        if not self.records:
            return {WHOLE: self._numbers(f"{where}, behind byte {self.skip:,}", data[self.skip :])}
        return dict(self._records(where, data))

    def _numbers(self, where: str, data: bytes) -> Array:
        if len(data) % self.dtype.itemsize or not data:
            raise DamagedFileError(
                where,
                found=f"{len(data):,} bytes",
                expected=f"whole numbers of {self.dtype.itemsize} bytes, {self.dtype.name}",
                remedy="check dtype, skip and records in the recipe",
            )
        found = np.frombuffer(data, self.dtype)
        other = None if self.dtype.kind != "f" or _is_plausible(found) else _plausible(data, self.dtype)
        if other is not None:
            order = "big" if other.byteorder == ">" else "little"
            raise StoredTypeError(
                f"{where}: numbers that no network has",
                found=f"{self.dtype.name} that do not lie between {LEAST:g} and {MOST:g}",
                expected=f"{other.name}, {order}-endian, as which they all do",
                remedy=f'check dtype and byte_order in the recipe: dtype = "{other.name}", byte_order = "{order}"',
            )
        return found

    def _records(self, where: str, data: bytes) -> list[tuple[str, Array]]:
        marker, place = np.dtype(np.int32).newbyteorder(self.dtype.byteorder), self.skip
        found: list[tuple[str, Array]] = []
        while place < len(data):
            name = f"record {len(found) + 1}"
            size = int(np.frombuffer(data[place : place + MARKER].ljust(MARKER, b"\0"), marker)[0])
            end = place + MARKER + size
            if size <= 0 or end + MARKER > len(data):
                raise TruncatedFileError(
                    f"{where}, {name}",
                    found=f"a marker of {size:,} bytes, {max(0, len(data) - place - 2 * MARKER):,} that follow",
                    expected="a record with a marker in front of it and behind it",
                    remedy="check byte_order, skip and records in the recipe, or copy the file again",
                )
            behind = int(np.frombuffer(data[end : end + MARKER], marker)[0])
            if behind != size:
                raise DamagedFileError(f"{where}, {name}", found=f"markers {size:,} and {behind:,}", expected="alike")
            found.append((name, self._numbers(f"{where}, {name}", data[place + MARKER : end])))
            place = end + MARKER
        return found


def _is_plausible(numbers: Array) -> bool:
    with np.errstate(all="ignore"):
        sizes = np.abs(numbers.astype(np.float64))
        return bool(np.all((sizes == 0) | ((sizes >= LEAST) & (sizes <= MOST))))


def _plausible(data: bytes, own: np.dtype[Any]) -> np.dtype[Any] | None:
    """Another type or byte order, as which every number is one that a network may have."""
    for name in (own.name, "float32", "float64"):
        for other in (np.dtype(name).newbyteorder("<"), np.dtype(name).newbyteorder(">")):
            fits = len(data) % other.itemsize == 0 and len(data) >= FEW * other.itemsize
            if other != own and fits and _is_plausible(np.frombuffer(data, other)):
                return other
    return None
