"""Zip archives read with care: whatever a library raises on a damaged one is a refusal of that file."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from porter.errors import DamagedFileError, ShapeBombError

DAMAGED = (
    ArithmeticError, AttributeError, EOFError, IndexError, KeyError, MemoryError, NotImplementedError, OSError,
    RecursionError, RuntimeError, SyntaxError, TypeError, UnicodeError, ValueError, struct.error,
    tokenize.TokenError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error,
)  # fmt: skip
"""What zipfile, zlib, NumPy and h5py raise on damaged files: all of these have been seen."""
FREE = 64 << 20
LARGEST_RATIO = 64
"""Bytes of a member, and how many times its packed size beyond that, before it is called a bomb."""


@contextmanager
def guarded(where: str | Path) -> Iterator[None]:
    """Turn what a library raises on a damaged file into one refusal.

    Raises:
        DamagedFileError: with what was raised.
    """
    try:
        yield
    except DAMAGED as error:
        raise DamagedFileError(
            f"{where} is damaged", found=f"{type(error).__name__}: {_first_line(error)}",
            remedy="copy or download it again",
        ) from error  # fmt: skip


def names_of(path: Path) -> list[str]:
    """The members of an archive.

    Raises:
        DamagedFileError: no archive that can be read.
    """
    with guarded(path), zipfile.ZipFile(path) as archive:
        return archive.namelist()


def read_member(path: Path, name: str, most: int | None = None) -> bytes:
    """One member, unpacked; its declared size is held against its packed one before anything is unpacked.

    Raises:
        DamagedFileError: it cannot be unpacked, or is not there.
        ShapeBombError: it declares far more than is packed, or more than ``most`` bytes.
    """
    with guarded(f"{path}: {name}"), zipfile.ZipFile(path) as archive:
        found = archive.getinfo(name)
        allowed = max(FREE, LARGEST_RATIO * found.compress_size) if most is None else most
        if found.file_size <= allowed:
            with archive.open(found) as stream:
                return stream.read(allowed + 1)
    raise ShapeBombError(
        f"{path}: {name} declares far more than it should", found=f"{found.file_size:,} bytes",
        expected=f"at most {allowed:,}", remedy="the file is damaged or hostile: get it again from its source",
    )  # fmt: skip


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else "no reason given"
