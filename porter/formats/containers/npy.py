"""One array of NumPy's in a file of its own."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from porter.errors import DamagedFileError, StoredTypeError
from porter.formats.opened import OpenedFile

Array = NDArray[Any]

SIGNATURE = b"\x93NUMPY"


def is_npy(opened: OpenedFile) -> bool:
    """Whether a file begins as NumPy's do."""
    return opened.head.startswith(SIGNATURE)


def read_npy(opened: OpenedFile) -> Array:
    """The array of a .npy file; nothing pickled is read, and its size is held against the file's.

    Raises:
        UnreadableError: damaged, or no numbers.
    """
    raw = opened.path.read_bytes()
    stream = io.BytesIO(raw)
    try:
        version = npy_format.read_magic(stream)
        header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, _, dtype = header(stream)
        if dtype.kind not in "fiu" or int(np.prod(shape, dtype=object)) * dtype.itemsize > len(raw):
            raise StoredTypeError(f"{opened.path}", found=f"shape {shape} of {dtype}", expected="numbers")
        stream.seek(0)
        array: Array = npy_format.read_array(stream, allow_pickle=False)
    except StoredTypeError:
        raise
    except Exception as error:  # numpy raises a dozen kinds on damaged headers
        raise DamagedFileError(f"{opened.path} is no .npy that can be read", found=str(error)[:80]) from error
    return array
