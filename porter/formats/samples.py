"""Golden samples: inputs and outputs recorded from the original software."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PorterError, SamplesFormatError, SamplesShapeError, SamplesValueError, UnreadableError
from porter.formats.npz import SIGNATURE, NpzError, names_in, read_npz
from porter.formats.opened import check_path, os_reason
from porter.network import Extremes, Network
from porter.network.network import Rows

Array = NDArray[Any]
Arrays = tuple[Array, ...]

KEYS = ("inputs", "outputs")
LETTERS = ("x", "y")
MOST_DIGITS, SOME = 8, 3
"""Decimals, or digits behind the first two, to which somebody may have rounded, and different numbers that show it."""
HOW_THEY_LOOK = (
    "an .npz with inputs (rows, features) and outputs (rows, outputs), or with x00, x01, .. and y00, .. where there "
    "are several; or a CSV: inputs, then outputs, a row"
)


@dataclass(frozen=True)
class Samples:
    """What the original software gave.

    Attributes:
        path: where they were read from.
        inputs: (rows, ...) float64 for each input of the network, in the units that it takes.
        outputs: (rows, ...) float64 for each output, in the units that it gives.
        input_resolution: of the inputs' shapes, float64: half a unit of the last printed digit, or half the spacing of
            the stored dtype; 0 where values are float64.
        resolution: likewise of the outputs; no reproduction can be held to less.
    """

    path: Path
    inputs: Arrays
    outputs: Arrays
    input_resolution: Arrays
    resolution: Arrays

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.inputs[0])

    def first(self, most: int) -> Samples:
        """At most so many of them."""
        parts = (self.inputs, self.outputs, self.input_resolution, self.resolution)
        return Samples(self.path, *(tuple(array[:most] for array in part) for part in parts))


def read_samples(path: str | Path, network: Network) -> Samples:
    """Read golden samples for a network.

    Raises:
        SamplesFormatError: neither an .npz with ``inputs`` and ``outputs`` nor a CSV of numbers; or no such file.
        SamplesShapeError: another number of inputs or outputs than the network has, or no rows.
        SamplesValueError: NaN or infinite values.
    """
    path = Path(path)
    try:
        check_path(path)
        with path.open("rb") as stream:
            head = stream.read(len(SIGNATURE))
    except UnreadableError as error:
        raise SamplesFormatError(f"golden samples {error.what}", expected=HOW_THEY_LOOK) from error
    except OSError as error:
        raise SamplesFormatError(f"golden samples {path} cannot be read", found=os_reason(error)) from error
    rows = network.row_shapes
    samples = _read_npz(path) if head == SIGNATURE else _read_csv(path, rows)
    return _checked(samples, rows, flags(network))


def make_samples(inputs: Any, outputs: Any, network: Network) -> Samples:
    """Golden samples that are in memory.

    Args:
        inputs: (rows, ...), any dtype of numbers, or a list or tuple of one such array for each input of the network;
            half the spacing of a float dtype is how exactly they are known.
        outputs: likewise.
        network: whose samples they are.

    Raises:
        SamplesFormatError: not of numbers.
        SamplesShapeError: another number of inputs or outputs than the network has, or no rows.
        SamplesValueError: NaN or infinite values.
    """
    rows = network.row_shapes
    name = Path("samples given as arrays")
    given, recorded = (
        _as_arrays(name, part, len(wanted)) for part, wanted in zip((inputs, outputs), rows, strict=True)
    )
    return _checked(_samples(name, given, recorded), rows, flags(network))


def load_samples(samples: Any, network: Network) -> Samples | None:
    """Golden samples however they were given: a path, a pair (inputs, outputs), ``Samples``, or None for none.

    Raises:
        SamplesError: as ``read_samples`` and ``make_samples`` do; or no pair.
    """
    if samples is None or isinstance(samples, Samples):
        return samples
    if isinstance(samples, str | Path):
        return read_samples(samples, network)
    try:
        inputs, outputs = samples
    except (TypeError, ValueError) as error:
        raise SamplesFormatError(
            "golden samples", found=type(samples).__name__, expected="a path, or a pair (inputs, outputs)"
        ) from error
    return make_samples(inputs, outputs, network)


def _as_arrays(path: Path, part: Any, count: int) -> Arrays:
    """One array for each of so many inputs or outputs; nested lists of numbers are one array."""
    several = isinstance(part, list | tuple) and len(part) == count and (count > 1 or np.ndim(part[0]) > 1)
    try:
        arrays = tuple(np.asarray(each) for each in (part if several else (part,)))
    except ValueError as error:
        raise SamplesFormatError(f"golden samples {path}", found=str(error), expected=HOW_THEY_LOOK) from error
    for array in arrays:
        if array.dtype.kind not in "fiub":
            raise SamplesFormatError(f"golden samples {path}", found=f"an array of {array.dtype}", expected="numbers")
    return arrays


def _samples(path: Path, inputs: Arrays, outputs: Arrays) -> Samples:
    given, recorded = (tuple(array.astype(np.float64) for array in part) for part in (inputs, outputs))
    return Samples(path, given, recorded, tuple(map(spacing, inputs)), tuple(map(spacing, outputs)))


def _read_npz(path: Path) -> Samples:
    try:
        stored = read_npz(path, lambda name: any(_place(name, part) is not None for part in (0, 1)))
        found = tuple(_part(stored, part) for part in (0, 1))
        others = () if all(found) else names_in(path)
    except NpzError as error:
        raise SamplesFormatError(
            f"golden samples {path} cannot be read as .npz of numbers; nothing pickled is read",
            found=str(error),
            expected=HOW_THEY_LOOK,
        ) from error
    for key, part in zip(KEYS, found, strict=True):
        if not part:
            raise SamplesFormatError(
                f"golden samples {path} have no {key!r}", found=", ".join(others) or "no array", expected=HOW_THEY_LOOK
            )
    return _samples(path, *found)


def _place(name: str, part: int) -> int | None:
    """Which input (part 0) or output (part 1) an array of that name is; None for neither."""
    if name == KEYS[part]:
        return 0
    numbered = re.fullmatch(rf"{LETTERS[part]}(\d{{1,4}})", name)
    return None if numbered is None else int(numbered[1])


def _part(stored: Mapping[str, Array], part: int) -> Arrays:
    """All inputs or all outputs, in order; one of that very name before numbered ones."""
    if KEYS[part] in stored:
        return (stored[KEYS[part]],)
    places = {name: place for name in stored if (place := _place(name, part)) is not None}
    return tuple(stored[name] for name in sorted(places, key=lambda name: places[name]))


def spacing(array: Array) -> Array:
    """Half the distance to the next value of the stored dtype; float64 is what everything is compared in."""
    if array.dtype.kind != "f" or array.dtype.itemsize >= np.dtype(np.float64).itemsize:
        return np.zeros(array.shape)
    with np.errstate(invalid="ignore"):
        return np.spacing(np.abs(array)).astype(np.float64) / 2


def as_rounded(samples: Samples) -> Samples:
    """The same, its outputs known to the digits that somebody seems to have cut them to; itself where nobody did.

    What a network gives has all the digits of its dtype, unless its weights are few and short: rounding explains such
    outputs, and proves nothing. A column of hardly any numbers is told by the others.
    """
    cut = tuple(map(_cut_to, samples.outputs))
    if not any(each.any() for each in cut):
        return samples
    return replace(samples, resolution=tuple(map(np.maximum, samples.resolution, cut)))


def _cut_to(outputs: Array) -> Array:
    """Half a unit of each number's last digit, of their shape; 0 where a column has more than ``MOST_DIGITS``."""
    columns = outputs.reshape(len(outputs), -1)
    if np.array_equal(columns, np.round(columns)):  # a class or a flag, of which nothing was cut off
        return np.zeros(outputs.shape)
    sizes = np.floor(np.log10(np.abs(columns), out=np.full(columns.shape, -np.inf), where=columns != 0))
    sizes[np.isinf(sizes)] = np.max(sizes[np.isfinite(sizes)], initial=0)
    # Where one of the two was done, the other explains it with more digits, which nobody would have printed.
    decimals, significant = (_cut_columns(columns, places) for places in (np.zeros(columns.shape), sizes - 1))
    return np.maximum(decimals, significant).reshape(outputs.shape)


def _cut_columns(columns: Array, places: Array) -> Array:
    """Half a unit of the last digit, (rows, columns), each counted from its place; 0 where a column is not cut."""
    found = [_digits(column, own) for column, own in zip(columns.T, places.T, strict=True)]
    whole = None if None in found else max(each for each in found if each is not None)
    known = [each if len(np.unique(column)) >= SOME else whole for each, column in zip(found, columns.T, strict=True)]
    behind = np.array([np.inf if each is None else each for each in known])
    cut = 0.5 * 10.0 ** (places - behind)
    # Beside the last digits of float32 nobody's can be told.
    is_told = np.all(cut > 4 * np.spacing(np.abs(columns).astype(np.float32)), axis=0)
    return np.where(is_told, cut, 0.0)


def _digits(column: Array, places: Array) -> int | None:
    """To how many digits behind its place every number is rounded; None where to more than ``MOST_DIGITS``."""
    near = 4 * np.spacing(np.abs(column).astype(np.float32)).astype(np.float64)
    for digits in range(MOST_DIGITS + 1):
        # The first few refute most. A number of float32 is the nearest to its decimals.
        for few in (slice(SOME), slice(None)):
            unit = 10.0 ** (places[few] - digits)
            if np.any(np.abs(np.round(column[few] / unit) * unit - column[few]) > near[few]):
                break
        else:
            return digits
    return None


def _read_csv(path: Path, rows: tuple[Rows, Rows]) -> Samples:
    inputs, outputs = _columns(path, rows)
    try:
        lines = list(_rows(path, path.read_text(encoding="utf-8-sig")))
    except PorterError:
        raise
    except Exception as error:  # no text, or none that csv takes
        raise SamplesFormatError(
            f"golden samples {path} are no text", found=str(error), expected=HOW_THEY_LOOK
        ) from error
    columns = inputs + (outputs if outputs is not None else max(len(lines[0][1]) - inputs, 1) if lines else 1)
    for number, row in lines:
        if len(row) != columns:
            raise SamplesShapeError(
                f"golden samples {path}, line {number}",
                found=f"{len(row)} values",
                expected=f"{columns}: {inputs} inputs, then {columns - inputs} outputs",
            )
    values = np.array([[float(value) for value in row] for _, row in lines]).reshape(-1, columns)
    steps = np.array([[printed_step(value) for value in row] for _, row in lines]).reshape(-1, columns)
    parts = (part for array in (values, steps) for part in ((array[:, :inputs],), (array[:, inputs:],)))
    return Samples(path, *parts)


def _columns(path: Path, rows: tuple[Rows, Rows]) -> tuple[int, int | None]:
    """How many of the columns are inputs, and how many are outputs, where that is known."""
    if [len(part) for part in rows] != [1, 1] or rows[0][0] is None or len(rows[0][0]) != 1 or rows[0][0][0] is None:
        raise SamplesFormatError(
            f"golden samples {path} are no .npz",
            found="a network whose rows are more than one line of numbers",
            expected=HOW_THEY_LOOK,
        )
    return rows[0][0][0], None if rows[1][0] is None else rows[1][0][0]


def _rows(path: Path, text: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Lines of numbers with their number in the file; a header and comments are left out."""
    delimiter = next((sign for sign in (",", ";", "\t") if sign in text), None)
    lines = text.splitlines()
    split = (line.split() for line in lines) if delimiter is None else csv.reader(lines, delimiter=delimiter)
    first = True
    for number, raw in enumerate(split, start=1):
        row = [value.strip() for value in raw]
        if not any(row) or row[0].startswith("#"):
            continue
        wrong = next((value for value in row if not is_number(value)), None)
        is_header, first = first and wrong is not None and not any(map(is_number, row)), False
        if is_header:
            continue
        if wrong is not None:
            raise SamplesFormatError(
                f"golden samples {path}, line {number}", found=f"{wrong!r}", expected="a number", remedy=HOW_THEY_LOOK
            )
        yield number, row


def is_number(text: str) -> bool:
    """Whether a word is a number, NaN and infinity included."""
    try:
        Decimal(text)
        float(text)
    except (InvalidOperation, ValueError):
        return False
    return True


def printed_step(text: str) -> float:
    """Half a unit of the last printed digit: 0.005 for ``"1.23"``, 5.0 for ``"1.2e2"``; 0 for NaN and infinity."""
    exponent = Decimal(text).as_tuple().exponent
    return float(Decimal((0, (5,), exponent - 1))) if isinstance(exponent, int) else 0.0


def flags(network: Network) -> bool:
    """Whether the network gives NaN for outputs that it flags."""
    return bool(network.layers) and isinstance(network.layers[-1], Extremes)


def _checked(samples: Samples, rows: tuple[Rows, Rows], flags: bool) -> Samples:
    """The samples, if they can be those of a network with such rows, whose outputs may be flagged."""
    for name, arrays, wanted in zip(KEYS, (samples.inputs, samples.outputs), rows, strict=True):
        if len(arrays) != len(wanted):
            raise SamplesShapeError(
                f"golden samples {samples.path}: {name} do not fit the network",
                found=f"{len(arrays)} {'array' if len(arrays) == 1 else 'arrays'}",
                expected=str(len(wanted)),
            )
        for array, row in zip(arrays, wanted, strict=True):
            _check_shape(samples, name, array, row)
            _check_values(samples, name, np.nan_to_num(array) if flags and name == "outputs" else array)
    lengths = {name: len(part[0]) for name, part in zip(KEYS, (samples.inputs, samples.outputs), strict=True)}
    if len({len(array) for array in (*samples.inputs, *samples.outputs)}) > 1:
        raise SamplesShapeError(
            f"golden samples {samples.path}",
            found=f"{lengths['inputs']} rows of inputs, {lengths['outputs']} of outputs",
            expected="one row of outputs for each row of inputs",
        )
    return samples


def _check_shape(samples: Samples, name: str, array: Array, row: tuple[int | None, ...] | None) -> None:
    found = array.shape
    fits = len(found) > 0 and (row is None or len(found) == len(row) + 1)
    if fits and row is not None:
        fits = all(wanted in (None, n) for n, wanted in zip(found[1:], row, strict=True))
    if not fits or array.size == 0:
        lengths = ["..."] if row is None else ["any" if n is None else str(n) for n in row]
        raise SamplesShapeError(
            f"golden samples {samples.path}: {name} do not fit the network",
            found=f"shape {found}",
            expected=f"({', '.join(['rows', *lengths])})",
            remedy="give them in the units that the network itself takes and gives (see --physical)",
        )


def _check_values(samples: Samples, name: str, array: Array) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if bad.size:
        row, *rest = (int(index) for index in bad[0])
        raise SamplesValueError(
            f"golden samples {samples.path}: {name} have values that are no numbers",
            found=f"{len(bad)} of {array.size}, the first ({array[tuple(bad[0])]}) in row {row}, column "
            + ", ".join(map(str, rest)),
            expected="finite values",
            remedy="leave these rows out",
        )
