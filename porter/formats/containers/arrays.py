"""Which container a file is, and what it holds; one place that knows them all."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from porter.errors import DamagedFileError, StoredTypeError
from porter.formats.containers import matlab5, pickled, safetensors, texts
from porter.formats.folders import OpenedFolder
from porter.formats.opened import OpenedFile

Array = NDArray[Any]

NPY = b"\x93NUMPY"


def container_of(opened: OpenedFile) -> tuple[str, Callable[[OpenedFile], dict[str, Array]]] | None:
    """What a file is called, and what reads it; None for HDF5, .npz and what is no container."""
    if isinstance(opened, OpenedFolder):
        folder = opened
        return ("a folder of matrices", lambda _: texts.read_folder(folder)) if folder.names else None
    if opened.is_hdf5 or opened.is_npz:
        return None
    for name, knows, read in (
        ("MATLAB's, versions 5 to 7", matlab5.is_level5, matlab5.read_matlab),
        ("a pickle", pickled.is_pickle, pickled.read_pickled),
        ("one array", lambda each: each.head.startswith(NPY), lambda each: {"array": read_npy(each)}),
        ("safetensors", safetensors.is_safetensors, safetensors.read_safetensors),
        ("MATLAB's, version 4", matlab5.is_level4, matlab5.read_matlab),
        ("numbers in text", texts.holds_numbers, texts.read_text),
    ):
        if knows(opened):
            return name, read
    return None


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
