"""Arrays out of an .npz that nobody vouches for: nothing pickled, and nothing larger than what is stored."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

Array = NDArray[Any]

SIGNATURE = b"PK\x03\x04"
LARGEST = 2**32
"""Bytes of all arrays together; nothing of this package takes more."""
DENSEST = 1032
"""Bytes that one byte of a deflated member can stand for at most."""
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class NpzError(ValueError):
    """An .npz that cannot be read, or holds something else than numbers; the message says what was found."""


def read_npz(
    path: Path, wanted: Callable[[str], bool] = lambda name: True, *, kinds: str = "fiu", largest: int = LARGEST
) -> dict[str, Array]:
    """The arrays of an archive by name.

    Args:
        path: of the archive.
        wanted: whether an array of that name is read; the others are not looked at.
        kinds: of dtypes that are read, as ``numpy.dtype.kind`` has them.
        largest: how many bytes the arrays may be together.

    Raises:
        NpzError: whatever is wrong with it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            chosen = {name: info for name, info in members.items() if wanted(name)}
            if sum(info.file_size for info in chosen.values()) > largest:
                raise NpzError(f"more than {largest:,} bytes of arrays")
            return {name: _member(archive, info, kinds) for name, info in chosen.items()}
    except NpzError:
        raise
    except Exception as error:  # zipfile, zlib, tokenize and numpy raise a dozen kinds on damaged bytes
        told = str(error).splitlines()
        raise NpzError(f"{type(error).__name__}: {told[0] if told else 'no more is said'}") from error


def names_in(path: Path) -> tuple[str, ...]:
    """The names of the arrays of an archive that can be opened, none read."""
    with zipfile.ZipFile(path) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist())


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, kinds: str) -> Array:
    """One array; its declared size is held against the packed bytes before anything is allocated."""
    if info.compress_type not in PACKINGS:
        raise NpzError(f"{info.filename}: packed in a way that NumPy never does")
    with archive.open(info) as stream:
        shape, dtype = _header(stream)
    declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.kind not in kinds or not 0 <= declared <= min(info.file_size, DENSEST * info.compress_size):
        raise NpzError(f"{info.filename}: shape {shape} of {dtype} in {info.file_size:,} bytes")
    with archive.open(info) as stream:
        array: Array = npy_format.read_array(stream, allow_pickle=False)
    return array


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy_format.read_magic(stream)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype
