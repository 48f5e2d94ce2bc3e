"""Samples of a network of which nothing is known: how many columns are inputs may have to be found out, too."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import SamplesFormatError, SamplesShapeError, SamplesValueError, UnreadableError
from porter.formats.opened import open_file
from porter.formats.recipe_arrays import Stored
from porter.formats.samples import is_number, printed_step, spacing
from porter.identification.refining import Golden

Array = NDArray[Any]

INPUT_NAMES = ("inputs", "input", "x", "x00", "x_test", "features", "in")
OUTPUT_NAMES = ("outputs", "output", "y", "y00", "y_test", "targets", "out")
MOST_ROWS = 4096
HOW_THEY_LOOK = (
    "arrays 'inputs' (rows, n) and 'outputs' (rows, m) in .npz, HDF5, netCDF-4 or .mat; or a table in text: the "
    "inputs, then the outputs, a row"
)


def read_recorded(samples: Any, inputs: int | None = None) -> tuple[list[Golden], Path]:
    """Samples however they were given; several ways to read them where nothing says how many columns are inputs.

    Args:
        samples: a path; a pair (inputs, outputs) of (rows, n) and (rows, m).
        inputs: how many columns of a table are inputs, where that is known.

    Raises:
        SamplesError: none that could be read.
    """
    if isinstance(samples, str | Path):
        path = Path(samples)
        return _read(path, inputs), path
    path = Path("samples given as arrays")
    try:
        x, y = samples
    except (TypeError, ValueError) as error:
        found = type(samples).__name__
        raise SamplesFormatError("samples", found=found, expected="a path, or a pair (inputs, outputs)") from error
    return [_golden(path, np.asarray(x), np.asarray(y))], path


def _read(path: Path, inputs: int | None) -> list[Golden]:
    try:
        with open_file(path, pickles=True) as opened:
            if not (opened.is_hdf5 or opened.is_npz or Stored.knows(opened)):
                return _table(path, inputs)
            stored = Stored.of(opened)
            arrays = {name: stored.read(name) for name in stored.names if _role(name) is not None}
            return [_of_arrays(path, arrays, stored.names)]
    except UnreadableError as error:
        raise SamplesFormatError(f"samples {path} cannot be read", found=str(error), expected=HOW_THEY_LOOK) from error


def _role(name: str) -> int | None:
    last = name.rpartition("/")[2].lower()
    return 0 if last in INPUT_NAMES else 1 if last in OUTPUT_NAMES else None


def _of_arrays(path: Path, arrays: Mapping[str, Array], names: Sequence[str]) -> Golden:
    parts: list[Array] = []
    for role, known in ((0, INPUT_NAMES), (1, OUTPUT_NAMES)):
        own = [name for name in arrays if _role(name) == role]
        own.sort(key=lambda name: known.index(name.rpartition("/")[2].lower()))
        if not own:
            raise SamplesFormatError(
                f"samples {path} have no {known[0]!r}",
                found=", ".join(names[:12]) or "no array",
                expected=HOW_THEY_LOOK,
            )
        parts.append(arrays[own[0]])
    return _golden(path, *parts)


def _golden(path: Path, x: Array, y: Array) -> Golden:
    for name, array in (("inputs", x), ("outputs", y)):
        if array.dtype.kind not in "fiub" or array.size == 0 or array.ndim not in (1, 2):
            raise SamplesFormatError(
                f"samples {path}: {name}", found=f"shape {array.shape} of {array.dtype}", expected=HOW_THEY_LOOK
            )
    x, y = _as_rows(x, y)
    if len(x) != len(y):
        raise SamplesShapeError(
            f"samples {path}", found=f"{len(x)} rows of inputs, {len(y)} of outputs", expected="as many of both"
        )
    x, y = x[:MOST_ROWS], y[:MOST_ROWS]
    found = Golden(x.astype(np.float64), y.astype(np.float64), spacing(x), spacing(y))
    return _checked(path, found)


def _as_rows(x: Array, y: Array) -> tuple[Array, Array]:
    """Rows of both; a vector is one row, or a column where the other has as many rows."""
    if x.ndim == 1:
        x = x[:, None] if y.ndim == 2 and len(y) == len(x) and len(x) > 1 else x[None]
    if y.ndim == 1:
        y = y[:, None] if len(x) == len(y) and len(x) > 1 else y[None]
    return x, y


def _checked(path: Path, golden: Golden) -> Golden:
    bad = np.argwhere(~np.isfinite(golden.inputs))
    if bad.size or np.isinf(golden.outputs).any() or np.isnan(golden.outputs).all():
        where = f"inputs of row {int(bad[0][0])}" if bad.size else "outputs"
        raise SamplesValueError(
            f"samples {path}: the {where} are no numbers", expected="finite values; NaN for outputs that are flagged"
        )
    return golden


def _table(path: Path, inputs: int | None) -> list[Golden]:
    """A table of numbers in text, split where it was said, or in every way."""
    rows = _lines(path)
    width = len(rows[0])
    if any(len(row) != width for row in rows) or width < 2:
        widths = sorted({len(row) for row in rows})
        raise SamplesShapeError(f"samples {path}", found=f"rows of {widths} values", expected=HOW_THEY_LOOK)
    values = np.array([[float(word) for word in row] for row in rows[:MOST_ROWS]])
    steps = np.array([[printed_step(word) for word in row] for row in rows[:MOST_ROWS]])
    ways = range(1, width) if inputs is None else (inputs,)
    if inputs is not None and not 0 < inputs < width:
        raise SamplesShapeError(f"samples {path}", found=f"{width} columns", expected=f"{inputs} inputs and more")
    parts = [Golden(values[:, :n], values[:, n:], steps[:, :n], steps[:, n:]) for n in ways]
    return [_checked(path, part) for part in parts if np.isfinite(part.inputs).all()] or [_checked(path, parts[0])]


def _lines(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SamplesFormatError(f"samples {path} are no text", found=str(error), expected=HOW_THEY_LOOK) from error
    delimiter = next((sign for sign in (",", ";", "\t") if sign in text), None)
    lines = text.splitlines()
    split = (line.split() for line in lines) if delimiter is None else csv.reader(lines, delimiter=delimiter)
    rows = [[word.strip() for word in row if word.strip()] for row in split]
    found = [row for row in rows if row and not row[0].startswith("#")]
    if found and not any(map(is_number, found[0])):
        found = found[1:]
    if not found:
        raise SamplesFormatError(f"samples {path}", found="no rows of numbers", expected=HOW_THEY_LOOK)
    for row in found:
        wrong = next((word for word in row if not is_number(word)), None)
        if wrong is not None:
            raise SamplesFormatError(f"samples {path}", found=repr(wrong[:40]), expected="numbers")
    return found
