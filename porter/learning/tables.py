"""Tables of numbers out of files: columns by name, nothing pickled, no link followed."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.npz import SIGNATURE, NpzError, read_npz
from porter.formats.opened import check_path, open_file, os_reason
from porter.learning.errors import DataError

Array = NDArray[Any]

CLASSIC_NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HOW = "an .npz, a CSV with a header, HDF5 or netCDF-4"


@dataclass(frozen=True)
class Table:
    """Arrays of one length, by name.

    Attributes:
        source: for people; the path, or "arrays".
        blocks: name to (rows, ...) in the order of the file: numbers as float64, anything else as text.
        sha256: of the file's bytes, or of the arrays'.
        is_ordered: whether the order of the columns means something; HDF5 lists its datasets by name.
    """

    source: str
    blocks: Mapping[str, Array]
    sha256: str
    is_ordered: bool = True


def read_table(path: str | Path) -> Table:
    """Every column or array of a data file.

    Raises:
        DataError: no such table, or one that holds no rows of numbers.
        UnreadableError: a file that cannot be opened, or is not safe to read.
    """
    path = Path(path)
    check_path(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise DataError(f"data {path} cannot be read", found=os_reason(error)) from error
    if head.startswith(CLASSIC_NETCDF):
        raise DataError(
            f"data {path} are in the classic netCDF format", found="netCDF-3", expected=HOW,
            remedy=f"write it as netCDF-4: nccopy -k nc4 {path.name} {path.stem}_4.nc",
        )  # fmt: skip
    if head.startswith(SIGNATURE):
        blocks = _read_npz(path)
    elif head.startswith(HDF5_SIGNATURE):
        blocks = _read_hdf5(path)
    else:
        blocks = _read_csv(path)
    return Table(str(path), _of_one_length(path, blocks), _digest(path), not head.startswith(HDF5_SIGNATURE))


def _digest(path: Path) -> str:
    from porter.verdict.provenance import digest_of

    return digest_of(path)


def _of_one_length(path: Path, blocks: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays that have a row for each sample: those as long as the longest; the others are settings or axes."""
    lengths = {name: len(array) for name, array in blocks.items() if array.ndim > 0}
    rows = max(lengths.values(), default=0)
    if rows == 0:
        raise DataError(f"data {path}", found="no rows", expected=f"{HOW} with a row for each sample")
    return {name: blocks[name] for name, length in lengths.items() if length == rows}


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        return {name: _plain(array) for name, array in read_npz(path, kinds="fiubU").items()}
    except NpzError as error:
        raise DataError(f"data {path} cannot be read as .npz; nothing pickled is read", found=str(error)) from error


def _plain(array: Array) -> Array:
    return array if array.dtype.kind in "US" else array.astype(np.float64)


def _read_hdf5(path: Path) -> dict[str, Array]:
    """Datasets of HDF5 or netCDF-4; fill values become NaN and packed values are unpacked, as netCDF says."""
    with open_file(path) as opened:
        file = opened.hdf5
        numbers = [name for name in file.datasets if _is_number(file.datasets[name])]
        return {name: _unpacked(file, name) for name in numbers}


def _is_number(dataset: Any) -> bool:
    import h5py

    kind = h5py.Dataset(dataset).dtype.kind
    return kind in "fiub" and len(h5py.Dataset(dataset).shape) > 0


def _unpacked(file: Any, name: str) -> Array:
    stored = file.read(name)
    values: Array = stored.astype(np.float64)
    for key in ("_FillValue", "missing_value"):
        fill = _attribute(file, name, key)
        if fill is not None:
            values[stored == np.asarray(fill, stored.dtype)] = np.nan
    scale, offset = (_attribute(file, name, key) for key in ("scale_factor", "add_offset"))
    values = values * (1.0 if scale is None else scale)
    return values + (0.0 if offset is None else offset)


def _attribute(file: Any, name: str, key: str) -> float | None:
    """An attribute of one number; None where the dataset has none."""
    stored = f"{name}@{key}"
    if stored not in file.stored_attributes:
        return None
    value = np.ravel(file.attribute(stored))
    return float(value[0]) if value.size == 1 and value.dtype.kind in "fiu" else None


def _read_csv(path: Path) -> dict[str, Array]:
    """Columns by the names of the header; by their positions where the first line holds numbers alone."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"data {path}", found="bytes that are no text", expected=HOW) from error
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise DataError(f"data {path}", found="no rows", expected=HOW)
    delimiter = next((sign for sign in (",", ";", "\t") if sign in lines[0]), " ")
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)]
    if all(map(_is_float, rows[0])):
        _check_no_header(path, rows)
        header = [str(place) for place in range(len(rows[0]))]
    else:
        header = rows.pop(0)
    _check_rectangle(path, header, rows)
    return {name: _column([row[place] for row in rows]) for place, name in enumerate(header)}


def _check_no_header(path: Path, rows: list[list[str]]) -> None:
    """Wavelengths make a header of numbers, which would be learned from as a row."""
    is_plain = [all(cell.lstrip("+-").isdigit() for cell in row) for row in rows[:4]]
    if is_plain[0] and len(rows) > 1 and not all(is_plain):
        shown = ", ".join(rows[0][:4])
        raise DataError(
            f"data {path}: its first line", found=f"whole numbers alone ({shown}, ...), unlike the rows",
            expected="names, or numbers like those of the rows",
            remedy="give the columns names that are no numbers (rrs_443), or write the first row as the others are",
        )  # fmt: skip


def _check_rectangle(path: Path, header: list[str], rows: list[list[str]]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"data {path}: its header", found=f"{', '.join(twice)} more than once", expected="unique names")
    wrong = next(((number, row) for number, row in enumerate(rows, 1) if len(row) != len(header)), None)
    if wrong is not None:
        raise DataError(
            f"data {path}, row {wrong[0]}",
            found=f"{len(wrong[1])} values",
            expected=f"{len(header)}, as the header has",
        )


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


MISSING = {"", "na", "nan", "null", "none", "-"}
"""What people write in a table where there is no number."""


def _column(cells: list[str]) -> Array:
    """Numbers where all cells are numbers or missing, else text."""
    if all(cell.lower() in MISSING or _is_float(cell) for cell in cells):
        return np.array([np.nan if cell.lower() in MISSING else float(cell) for cell in cells])
    return np.array(cells)
