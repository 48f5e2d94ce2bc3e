"""safetensors: a header in JSON, then the numbers.

Source: huggingface/safetensors, README (the format).
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, StoredTypeError
from porter.formats.containers.held import Held
from porter.formats.opened import OpenedFile

Array = NDArray[Any]

LARGEST_HEADER = 1 << 24
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
    "BOOL": "?", "U16": "<u2", "U32": "<u4", "U64": "<u8",
}  # fmt: skip


def is_safetensors(opened: OpenedFile) -> bool:
    """Whether the first eight bytes are the length of a header that begins behind them."""
    size = int.from_bytes(opened.head[:8], "little")
    return len(opened.head) > 9 and opened.head[8:9] == b"{" and 2 <= size <= min(LARGEST_HEADER, opened.size - 8)


def read_safetensors(opened: OpenedFile) -> Held:
    """The arrays by name, and the metadata; bfloat16 is widened to float32, which holds it exactly.

    Raises:
        UnreadableError: damaged, or of another kind of numbers.
    """
    where, raw = str(opened.path), opened.path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    try:
        header = json.loads(raw[8 : 8 + size].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{where}: its header is no JSON", found=str(error)[:80]) from error
    if not isinstance(header, dict):
        raise DamagedFileError(f"{where}: its header", found=type(header).__name__, expected="a table")
    data = raw[8 + size :]
    metadata = header.pop("__metadata__", {})
    texts = metadata if isinstance(metadata, dict) else {}
    return Held({name: _tensor(where, name, entry, data) for name, entry in header.items()}, texts)


def _tensor(where: str, name: str, entry: Any, data: bytes) -> Array:
    place = f"{where}: {name!r}"
    try:
        kind, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
        start, end = (int(n) for n in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{place}: its entry is not whole", found=str(entry)[:60]) from error
    if kind not in DTYPES and kind != "BF16":
        raise StoredTypeError(f"{place} holds numbers that are not read", found=kind, expected=", ".join(DTYPES))
    dtype = np.dtype("<u2" if kind == "BF16" else DTYPES[kind])
    whole = 0 <= start <= end <= len(data) and min(shape, default=0) >= 0
    if not whole or math.prod(shape) * dtype.itemsize != end - start:
        found = f"{start} to {end}"
        raise DamagedFileError(f"{place} does not fit its bytes", found=found, expected=f"{shape} of {kind}")
    values = np.frombuffer(data[start:end], dtype).reshape(shape)
    return (values.astype("<u4") << 16).view("<f4") if kind == "BF16" else values
