"""MATLAB's MAT-files of versions 4 to 7: arrays, cells and structures, as data; objects are refused by name.

Source: MathWorks, MAT-File Format (level 4 and level 5 MAT-files).
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, ShapeBombError, StoredTypeError, UnknownMemberError
from porter.formats.containers.held import Held
from porter.formats.opened import OpenedFile

Array = NDArray[Any]

SIGNATURE = b"MATLAB 5.0 MAT-file"
LARGEST = 1 << 30
"""Bytes of one variable, unpacked."""
RATIO = 1032
DEEPEST, MOST_CELLS = 16, 100_000
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
CELL, STRUCTURE, OBJECT, CHARACTERS, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
MATRIX, PACKED = 14, 15
LEVEL4 = {0: "f8", 1: "f4", 2: "i4", 3: "i2", 4: "u2", 5: "u1"}
EXPORT = (
    "in MATLAB: W1 = net.IW{1}; b1 = net.b{1}; W2 = net.LW{2,1}; b2 = net.b{2}; "
    "save('net.mat', 'W1', 'b1', 'W2', 'b2'), or genFunction(net, 'net_function'), whose .m porter reads"
)


def is_level5(opened: OpenedFile) -> bool:
    """Whether a file is of version 5 to 7."""
    return opened.head.startswith(SIGNATURE) and len(opened.head) >= 128


def is_level4(opened: OpenedFile) -> bool:
    """Whether a file may be of version 4: a plausible header of its first matrix."""
    if len(opened.head) < 20:
        return False
    kind, rows, columns, imaginary, length = struct.unpack("<5i", opened.head[:20])
    name = opened.head[20 : 20 + max(min(length, 64), 0)]
    digits = kind % 10 in (0, 1) and (kind // 10) % 10 in LEVEL4 and kind < 100 and kind >= 0
    sizes = 0 < rows <= 10**8 and 0 < columns <= 10**8 and imaginary in (0, 1) and 1 < length <= 64
    return digits and sizes and name.endswith(b"\0") and name[:-1].replace(b"_", b"a").isalnum()


def read_matlab(opened: OpenedFile) -> Held:
    """The arrays by name, and the texts; ``net.IW{1}`` and ``net.b`` for what lies in structures and cells.

    Empty ones are left out, and so are the weights to which a network may be reverted, beside the trained ones.

    Raises:
        UnreadableError: damaged, or holding objects.
    """
    where, raw = str(opened.path), opened.path.read_bytes()
    try:
        found = dict(_level4(where, raw)) if is_level4(opened) and not is_level5(opened) else dict(_level5(where, raw))
    except (struct.error, IndexError, ValueError, UnicodeDecodeError, OverflowError, zlib.error) as error:
        raise DamagedFileError(f"{where} is damaged", found=f"{type(error).__name__}: {str(error)[:80]}") from error
    reverted = {name for name in found if "revert." in name and name.replace("revert.", "") in found}
    arrays = {name: array for name, array in found.items() if array.size and array.dtype.kind != "U"}
    texts = {name: str(array) for name, array in found.items() if array.dtype.kind == "U"}
    return Held({name: array for name, array in arrays.items() if name not in reverted}, _listed(texts))


def _listed(texts: dict[str, str]) -> dict[str, Any]:
    """Texts by name, those in all the cells of one array as a list."""
    cells: dict[str, dict[int, str]] = {}
    found: dict[str, Any] = {}
    for name, text in texts.items():
        cell = re.fullmatch(r"(.+)\{(\d+)\}", name)
        if cell is None:
            found[name] = text
        else:
            cells.setdefault(cell[1], {})[int(cell[2])] = text
    for name, members in cells.items():
        whole = list(members) == list(range(1, len(members) + 1))
        found |= {name: list(members.values())} if whole else {f"{name}{{{k}}}": text for k, text in members.items()}
    return found


# --- version 4 ------------------------------------------------------------------------------------------------------


def _level4(where: str, raw: bytes) -> Iterator[tuple[str, Array]]:
    place = 0
    while place + 20 <= len(raw):
        kind, rows, columns, imaginary, length = struct.unpack_from("<5i", raw, place)
        dtype = np.dtype(f"<{LEVEL4[(kind // 10) % 10]}") if (kind // 10) % 10 in LEVEL4 else None
        if dtype is None or min(rows, columns, length) < 0 or kind // 1000 or kind % 10 == 2:
            raise StoredTypeError(f"{where}: a matrix that is not read", found=f"type {kind}", expected="full numbers")
        name = raw[place + 20 : place + 20 + length].rstrip(b"\0").decode("latin-1")
        place += 20 + length
        size = rows * columns * dtype.itemsize
        if place + size > len(raw):
            found = f"{len(raw) - place} bytes"
            raise DamagedFileError(f"{where}: {name!r} ends early", found=found, expected=f"{size}")
        values = np.frombuffer(raw, dtype, rows * columns, place)
        place += size * (2 if imaginary else 1)
        if kind % 10 == 0 and not imaginary:
            yield name, values.reshape((rows, columns), order="F")


# --- versions 5 to 7 ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reader:
    """The elements of a buffer.

    Attributes:
        where: the file, for messages.
        data: the buffer.
        order: "<" or ">".
    """

    where: str
    data: bytes
    order: str

    def elements(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Type and contents of each element between two places."""
        place = start
        while place + 8 <= end:
            kind, size, data, after = self._tag(place)
            if data + size > end:
                raise DamagedFileError(f"{self.where} ends early", found=f"{end - data} bytes", expected=f"{size}")
            yield kind, self.data[data : data + size]
            place = after

    def _tag(self, place: int) -> tuple[int, int, int, int]:
        (first,) = struct.unpack_from(f"{self.order}I", self.data, place)
        if first >> 16:  # a small element: size, type and contents in eight bytes
            return first & 0xFFFF, min(first >> 16, 4), place + 4, place + 8
        kind, size = struct.unpack_from(f"{self.order}II", self.data, place)
        padding = 0 if kind == PACKED else -size % 8
        return kind, size, place + 8, place + 8 + size + padding


def _level5(where: str, raw: bytes) -> Iterator[tuple[str, Array]]:
    order = "<" if raw[126:128] == b"IM" else ">"
    count = [0]
    for kind, data in _Reader(where, raw, order).elements(128, len(raw)):
        yield from _element(where, kind, data, order, count)


def _element(where: str, kind: int, data: bytes, order: str, count: list[int]) -> Iterator[tuple[str, Array]]:
    if kind == PACKED:
        allowed = min(LARGEST, RATIO * len(data) + 64)
        stream = zlib.decompressobj()
        plain = stream.decompress(data, allowed)
        if not stream.eof:
            raise ShapeBombError(f"{where}: a variable unpacks to more than it should", expected=f"{allowed:,} bytes")
        for inner, contents in _Reader(where, plain, order).elements(0, len(plain)):
            yield from _element(where, inner, contents, order, count)
    elif kind == MATRIX:
        yield from _matrix(_Reader(where, data, order), "", count, 0)


def _matrix(reader: _Reader, outer: str, count: list[int], depth: int) -> Iterator[tuple[str, Array]]:
    """An array, or the arrays in a cell or structure, by name."""
    count[0] += 1
    if depth > DEEPEST or count[0] > MOST_CELLS:
        raise StoredTypeError(f"{reader.where}: cells and structures within each other", found=f"{count[0]} arrays")
    parts = list(reader.elements(0, len(reader.data)))
    if not parts:
        return
    (flags,) = struct.unpack_from(f"{reader.order}I", parts[0][1])
    kind, is_complex = flags & 0xFF, bool(flags & 0x800)
    if kind in (OPAQUE, OBJECT, FUNCTION):
        _refuse(reader, kind, parts)
    shape = tuple(int(n) for n in np.frombuffer(parts[1][1], f"{reader.order}i4"))
    name = outer or parts[2][1].split(b"\0")[0].decode("latin-1")
    if min(shape, default=0) < 0 or math.prod(shape) > LARGEST:
        raise DamagedFileError(f"{reader.where}: {name!r}", found=f"shape {shape}", expected="an array")
    if kind == CELL:
        for place, (_, data) in enumerate(parts[3:]):
            inner = f"{name}{{{_index(place, shape)}}}"
            yield from _matrix(_Reader(reader.where, data, reader.order), inner, count, depth + 1)
    elif kind == STRUCTURE:
        yield from _structure(reader, name, shape, parts, count, depth)
    elif kind == CHARACTERS and len(shape) == 2 and shape[0] == 1 and len(parts) > 3:
        yield name, np.array(_text(reader, *parts[3]))
    elif kind in CLASSES and not is_complex:
        yield name, _values(reader, name, shape, kind, *parts[3])


def _text(reader: _Reader, stored: int, data: bytes) -> str:
    """One line of characters, of 16 bits or in UTF-8."""
    if stored in (4, 17):
        return data.decode("utf-16-le" if reader.order == "<" else "utf-16-be", "replace")
    return data.decode("utf-8", "replace")


def _index(place: int, shape: tuple[int, ...]) -> str:
    """One number for a row or column of cells, as many as axes otherwise; counted from 1, as MATLAB does."""
    if len(shape) < 2 or 1 in shape[:2]:
        return str(place + 1)
    return ",".join(str(int(n) + 1) for n in np.unravel_index(place, shape, order="F"))


def _structure(
    reader: _Reader, name: str, shape: tuple[int, ...], parts: list[tuple[int, bytes]], count: list[int], depth: int
) -> Iterator[tuple[str, Array]]:
    (length,) = struct.unpack_from(f"{reader.order}i", parts[3][1])
    if not 0 < length <= 1024:
        raise DamagedFileError(f"{reader.where}: {name!r}", found=f"field names of {length} bytes")
    text = parts[4][1]
    fields = [text[n : n + length].split(b"\0")[0].decode("latin-1") for n in range(0, len(text), length)]
    for place, (_, data) in enumerate(parts[5:]):
        element, field = divmod(place, max(len(fields), 1))
        inner = f"{name}.{fields[field]}" if math.prod(shape) == 1 else f"{name}({element + 1}).{fields[field]}"
        yield from _matrix(_Reader(reader.where, data, reader.order), inner, count, depth + 1)


def _values(reader: _Reader, name: str, shape: tuple[int, ...], kind: int, stored: int, data: bytes) -> Array:
    if stored not in NUMBERS:
        raise DamagedFileError(f"{reader.where}: {name!r}", found=f"numbers of type {stored}", expected="numbers")
    dtype = np.dtype(f"{reader.order}{NUMBERS[stored]}")
    wanted = math.prod(shape)
    if len(data) < wanted * dtype.itemsize:
        raise DamagedFileError(
            f"{reader.where}: {name!r} is not whole", found=f"{len(data)} bytes", expected=f"shape {shape} of {dtype}"
        )
    values = np.frombuffer(data, dtype, wanted)
    return values.reshape(shape, order="F").astype(np.dtype(CLASSES[kind]))


def _refuse(reader: _Reader, kind: int, parts: list[tuple[int, bytes]]) -> None:
    words = [data.split(b"\0")[0].decode("latin-1") for code, data in parts[1:4] if code in (1, 2, 16) and data]
    what = {FUNCTION: "a function handle"}.get(kind, "an object")
    raise UnknownMemberError(
        f"{reader.where} holds {what} of MATLAB, whose contents are not read",
        found=" ".join(word for word in words if word.isprintable())[:80] or what,
        expected="arrays, cells and structures of numbers",
        remedy=EXPORT,
    )
