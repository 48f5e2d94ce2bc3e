"""Pickles that hold nothing but arrays and plain containers, read by an allow-list that imports nothing.

Every name that a pickle asks for is looked up in a table of this module; whatever is not in it is refused before
anything is made of it. What the table has are plain functions on bytes and numbers.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, PickleFileError, ShapeBombError, StoredTypeError
from porter.formats.containers.held import Held
from porter.formats.opened import PICKLE_PREFIXES, OpenedFile

Array = NDArray[Any]

KINDS = "fiub"
DEEPEST, MOST = 16, 100_000
REMEDY = "write the arrays to .npz with the software that made it: numpy.savez('net.npz', W1=..., b1=...)"


def is_pickle(opened: OpenedFile) -> bool:
    """Whether a file begins as pickles of protocols 2 to 5 do."""
    return opened.head.startswith(PICKLE_PREFIXES)


def read_pickled(opened: OpenedFile) -> Held:
    """The arrays of a pickle by their places in it, and its texts: ``W1``, ``layers[0].kernel``, ``[2]``.

    Raises:
        PickleFileError: it asks for anything but arrays and plain containers.
        UnreadableError: it is damaged.
    """
    where, raw = str(opened.path), opened.path.read_bytes()
    try:
        contents = _Plain(io.BytesIO(raw), where).load()
    except PickleFileError:
        raise
    except Exception as error:  # pickle raises whatever its opcodes stumble over
        raise DamagedFileError(f"{where} is damaged", found=f"{type(error).__name__}: {str(error)[:80]}") from error
    found: dict[str, Array] = {}
    texts: dict[str, Any] = {}
    for name, value in _walk(contents, "", 0, [0]):
        if _is_text(value):
            texts[name] = value
        elif (array := _numbers(where, name, value)).dtype.kind in KINDS:
            found[name or "array"] = array
        if len(found) + len(texts) > MOST:
            raise ShapeBombError(f"{where} holds more than any network", expected=f"{MOST:,} arrays and texts at most")
    if not found:
        raise StoredTypeError(f"{where} holds no arrays of numbers", expected="arrays in plain containers")
    return Held(found, texts)


def _numbers(where: str, name: str, value: Any) -> Array:
    try:
        return value.array() if isinstance(value, _Array) else np.asarray(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise StoredTypeError(f"{where}: {name!r} is no array of numbers", found=str(error)[:80]) from error


_UNPICKLER: Any = pickle._Unpickler
"""The one in Python: its memo is no array whose size a pickle says."""


class _Plain(_UNPICKLER):  # type: ignore[misc]
    """Makes arrays of our own, and containers; looks nothing up anywhere else."""

    def __init__(self, stream: io.BytesIO, where: str) -> None:
        super().__init__(stream, encoding="latin1")
        self._where = where
        self._size = len(stream.getbuffer())

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name in this module's own table.

        Raises:
            PickleFileError: nothing does.
        """
        found = ALLOWED.get((module, name))
        if found is None:
            raise PickleFileError(
                f"{self._where} is a pickle: nothing but arrays and plain containers is read",
                found=f"it asks for {module}.{name}"[:120],
                remedy=REMEDY,
            )
        return _Maker(found)

    def persistent_load(self, pid: Any) -> Any:
        """Refuse what lies outside of the pickle.

        Raises:
            PickleFileError: always.
        """
        raise PickleFileError(f"{self._where} is a pickle that refers to something outside of it", remedy=REMEDY)


def _load_bytes(self: Any) -> None:
    """A byte array, which would be made as long as is declared before anything is read."""
    (length,) = struct.unpack("<Q", self.read(8))
    if length > self._size:
        raise ValueError(f"{length} bytes in a file of {self._size}")
    self.append(bytearray(self.read(length)))


_Plain.dispatch = {**_UNPICKLER.dispatch, pickle.BYTEARRAY8[0]: _load_bytes}


class _Maker:
    """What a pickle gets for a name: to be called, and nothing else."""

    __slots__ = ("_make",)
    _make: Callable[..., Any]

    def __init__(self, make: Callable[..., Any]) -> None:
        object.__setattr__(self, "_make", make)

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise ValueError("a name that is changed")

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a name that is given a state")


class _Dtype:
    """What NumPy pickles of a dtype: a code such as ``f8``, then its byte order."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = str(code.decode("latin-1") if isinstance(code, bytes) else code)
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        self.order = str(state[1]) if isinstance(state, tuple) and len(state) > 1 else "="

    def dtype(self) -> np.dtype[Any]:
        """The dtype, of numbers only."""
        if len(self.code) < 2 or self.code[0] not in KINDS or not self.code[1:].isdigit():
            raise ValueError(f"an array of {self.code!r}")
        return np.dtype(f"{self.order if self.order in ('<', '>') else '='}{self.code}")


class _Array:
    """An array as NumPy pickles it: made empty, then given shape, dtype, order and bytes."""

    def __init__(self, *_: Any) -> None:
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def array(self) -> Array:
        """The array, its size held against its bytes."""
        _, shape, kind, is_fortran, data = self._state
        dtype = kind.dtype()
        raw = data.encode("latin-1") if isinstance(data, str) else bytes(data)
        shape = tuple(int(n) for n in shape)
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(raw):
            raise ValueError(f"shape {shape} in {len(raw)} bytes")
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if is_fortran else "C")


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any = "C") -> _Array:
    """An array of protocol 5."""
    made = _Array()
    made.__setstate__((1, shape, kind, order == "F", bytes(data)))
    return made


def _scalar(kind: Any, data: Any = b"") -> _Array:
    """A single number."""
    made = _Array()
    made.__setstate__((1, (), kind, False, data))
    return made


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Bytes that Python 2 and protocol 2 write as text."""
    return str(text).encode("latin-1") if str(encoding) in ("latin1", "latin-1") else str(text).encode("utf-8")


class _Kind:
    """Stands for ``numpy.ndarray`` where the function that makes an array is told so."""


ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    **{(module, "_reconstruct"): _Array for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(module, "scalar"): _scalar for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(module, "_frombuffer"): _from_buffer for module in ("numpy.core.numeric", "numpy._core.numeric")},
    ("numpy", "ndarray"): _Kind,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
}
"""Everything that a pickle may ask for, and what it gets: nothing of it is looked up by the pickle's own words."""


def _is_text(value: Any) -> bool:
    """A text, or a list of nothing else."""
    several = isinstance(value, list | tuple) and bool(value) and all(isinstance(each, str) for each in value)
    return isinstance(value, str) or several


def _walk(value: Any, name: str, depth: int, count: list[int]) -> Iterator[tuple[str, Any]]:
    """The arrays, numbers and texts in containers, by name."""
    count[0] += 1
    if depth > DEEPEST or count[0] > 10 * MOST:
        raise StoredTypeError(f"{name[:80]}: containers within each other", expected=f"{DEEPEST} at most")
    if isinstance(value, _Array) or _is_text(value):
        yield name, list(value) if isinstance(value, tuple) else value
    elif isinstance(value, dict):
        for key, inner in value.items():
            spelt = key if isinstance(key, str) else str(key) if isinstance(key, int) else None
            if spelt is not None:
                yield from _walk(inner, f"{name}.{spelt}" if name else spelt, depth + 1, count)
    elif isinstance(value, list | tuple) and value and all(isinstance(each, int | float) for each in value):
        yield name, np.array(value, np.float64)
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _walk(inner, f"{name}[{place}]", depth + 1, count)
