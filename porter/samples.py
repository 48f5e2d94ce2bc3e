"""Golden samples: inputs and outputs recorded from the original software."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from porter.errors import SamplesFormatError, SamplesShapeError, SamplesValueError, UnreadableError
from porter.formats.opened import check_path, os_reason
from porter.network import Network, Scaling, Transform

Array = NDArray[Any]

KEYS = ("inputs", "outputs")
ZIP_SIGNATURE = b"PK\x03\x04"
HOW_THEY_LOOK = (
    "an .npz with inputs (rows, features) and outputs (rows, outputs), or a CSV: inputs, then outputs, a row"
)


@dataclass(frozen=True)
class Samples:
    """What the original software gave.

    Attributes:
        path: where they were read from.
        inputs: (rows, features) float64, in the units that the network itself takes.
        outputs: (rows, outputs) float64, in the units that it gives.
        input_resolution: (rows, features) float64: half a unit of the last printed digit, or half the spacing of the
            stored dtype; 0 where values are float64.
        resolution: (rows, outputs) float64: likewise of the outputs; no reproduction can be held to less.
    """

    path: Path
    inputs: Array
    outputs: Array
    input_resolution: Array
    resolution: Array

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.inputs)


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
        head = path.read_bytes()[: len(ZIP_SIGNATURE)]
    except UnreadableError as error:
        raise SamplesFormatError(f"golden samples {error.what}", expected=HOW_THEY_LOOK) from error
    except OSError as error:
        raise SamplesFormatError(f"golden samples {path} cannot be read", found=os_reason(error)) from error
    widths = end_widths(network)
    samples = _read_npz(path) if head == ZIP_SIGNATURE else _read_csv(path, sum(widths), widths[0])
    _check_shapes(samples, widths)
    _check_values(samples)
    return samples


def make_samples(inputs: Any, outputs: Any, network: Network) -> Samples:
    """Golden samples that are in memory.

    Args:
        inputs: (rows, features), any float dtype; half its spacing is how exactly they are known.
        outputs: (rows, outputs), likewise.
        network: whose samples they are.

    Raises:
        SamplesShapeError: another number of inputs or outputs than the network has, or no rows.
        SamplesValueError: NaN or infinite values.
    """
    given, recorded = np.asarray(inputs), np.asarray(outputs)
    samples = Samples(
        Path("samples given as arrays"),
        given.astype(np.float64),
        recorded.astype(np.float64),
        _spacing(given),
        _spacing(recorded),
    )
    _check_shapes(samples, end_widths(network))
    _check_values(samples)
    return samples


def end_widths(network: Network) -> tuple[int, int]:
    """Number of inputs and of outputs of a network, its transforms and scalings included."""
    ends = []
    for place in (0, -1):
        layer = network.layers[place]
        if isinstance(layer, Scaling):
            ends.append(len(layer.scale))
        elif isinstance(layer, Transform):
            ends.append(len(layer.functions))
        else:
            ends.append(layer.kernel.shape[place])
    return ends[0], ends[1]


def _read_npz(path: Path) -> Samples:
    try:
        with zipfile.ZipFile(path) as archive:
            inputs, outputs = (_member(archive, path, key) for key in KEYS)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise SamplesFormatError(
            f"golden samples {path} cannot be read as .npz", found=str(error), expected=HOW_THEY_LOOK
        ) from error
    return Samples(path, inputs.astype(np.float64), outputs.astype(np.float64), _spacing(inputs), _spacing(outputs))


def _member(archive: zipfile.ZipFile, path: Path, key: str) -> Array:
    """One array of an .npz; its declared size is held against the packed member before it is allocated."""
    try:
        info = archive.getinfo(f"{key}.npy")
    except KeyError:
        raise SamplesFormatError(
            f"golden samples {path} have no {key!r}",
            found=", ".join(name.removesuffix(".npy") for name in archive.namelist()),
            expected=HOW_THEY_LOOK,
        ) from None
    with archive.open(info) as stream:
        shape, dtype = _header(stream)
        declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if dtype.kind not in "fiu" or declared > info.file_size:
            raise SamplesFormatError(
                f"golden samples {path}: {key!r} is no array of numbers",
                found=f"shape {shape} of {dtype} in {info.file_size:,} bytes",
                expected="floats; nothing pickled is read",
            )
    with archive.open(info) as stream:
        array: Array = npy_format.read_array(stream, allow_pickle=False)
    return array


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy_format.read_magic(stream)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _spacing(array: Array) -> Array:
    """Half the distance to the next value of the stored dtype; float64 is what everything is compared in."""
    if array.dtype.kind != "f" or array.dtype.itemsize >= np.dtype(np.float64).itemsize:
        return np.zeros(array.shape)
    return np.spacing(np.abs(array)).astype(np.float64) / 2


def _read_csv(path: Path, columns: int, inputs: int) -> Samples:
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = list(_rows(path, text))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SamplesFormatError(
            f"golden samples {path} are no text", found=str(error), expected=HOW_THEY_LOOK
        ) from error
    for number, row in lines:
        if len(row) != columns:
            raise SamplesShapeError(
                f"golden samples {path}, line {number}",
                found=f"{len(row)} values",
                expected=f"{columns}: {inputs} inputs, then {columns - inputs} outputs",
            )
    values = np.array([[float(value) for value in row] for _, row in lines]).reshape(-1, columns)
    steps = np.array([[_printed_step(value) for value in row] for _, row in lines]).reshape(-1, columns)
    return Samples(path, values[:, :inputs], values[:, inputs:], steps[:, :inputs], steps[:, inputs:])


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
        wrong = next((value for value in row if not _is_number(value)), None)
        is_header, first = first and wrong is not None and not any(map(_is_number, row)), False
        if is_header:
            continue
        if wrong is not None:
            raise SamplesFormatError(
                f"golden samples {path}, line {number}", found=f"{wrong!r}", expected="a number", remedy=HOW_THEY_LOOK
            )
        yield number, row


def _is_number(text: str) -> bool:
    try:
        Decimal(text)
        float(text)
    except (InvalidOperation, ValueError):
        return False
    return True


def _printed_step(text: str) -> float:
    """Half a unit of the last printed digit: 0.005 for ``"1.23"``, 5.0 for ``"1.2e2"``; 0 for NaN and infinity."""
    exponent = Decimal(text).as_tuple().exponent
    return 0.5 * 10.0**exponent if isinstance(exponent, int) else 0.0


def _check_shapes(samples: Samples, widths: tuple[int, int]) -> None:
    for name, array, width in zip(KEYS, (samples.inputs, samples.outputs), widths, strict=True):
        if array.ndim != 2 or array.shape[1] != width or array.shape[0] == 0:
            raise SamplesShapeError(
                f"golden samples {samples.path}: {name} do not fit the network",
                found=f"shape {array.shape}",
                expected=f"(rows, {width})",
                remedy="give them in the units that the network itself takes and gives (see --physical)",
            )
    if len(samples.inputs) != len(samples.outputs):
        raise SamplesShapeError(
            f"golden samples {samples.path}",
            found=f"{len(samples.inputs)} rows of inputs, {len(samples.outputs)} of outputs",
            expected="one row of outputs for each row of inputs",
        )


def _check_values(samples: Samples) -> None:
    for name, array in zip(KEYS, (samples.inputs, samples.outputs), strict=True):
        bad = np.argwhere(~np.isfinite(array))
        if bad.size:
            row, column = (int(index) for index in bad[0])
            raise SamplesValueError(
                f"golden samples {samples.path}: {name} have values that are no numbers",
                found=f"{len(bad)} of {array.size}, the first ({array[row, column]}) in row {row}, column {column}",
                expected="finite values",
                remedy="leave these rows out",
            )
