"""New values in the arrays of a copy of a legacy file, HDF5 or .npz; nothing else of it changes."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import NonFiniteError, UnbuildableError
from porter.formats.opened import open_file
from porter.network import Network

Array = NDArray[Any]


def write_arrays(legacy: Network, arrays: Mapping[str, Array], path: Path) -> None:
    """Give a copy of a legacy file other values.

    Args:
        legacy: read of the file.
        arrays: by stored name, of the shapes as stored; only those that change.
        path: the copy.

    Raises:
        UnbuildableError: an array that the file has not, or that cannot hold the values.
    """
    if not arrays:
        return
    with open_file(path) as opened:
        is_npz, known = opened.is_npz, set(opened.hdf5.datasets) if opened.is_hdf5 else set[str]()
    if is_npz:
        _write_npz(legacy, arrays, path)
        return
    places = _places(legacy, arrays, known)
    import h5py

    with h5py.File(path, "r+") as file:
        for name, values in arrays.items():
            dataset = file[places[name]]
            dataset[...] = _fitting(legacy, name, values, dataset.dtype)


def _write_npz(legacy: Network, arrays: Mapping[str, Array], path: Path) -> None:
    """The archive once more, each member packed as it was."""
    replaced = {f"{legacy.source.places.get(name, name)}.npy": (name, values) for name, values in arrays.items()}
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in members:
            new = replaced.pop(info.filename, None)
            archive.writestr(info, data if new is None else _member(legacy, *new))
    if replaced:
        raise UnbuildableError(f"{legacy.source.path}: no member {next(iter(replaced))!r}", expected="one to write to")


def _member(legacy: Network, name: str, values: Array) -> bytes:
    """An array as NumPy writes it, in the stored dtype and order."""
    stored, stream = legacy.source.arrays[name], BytesIO()
    held = _fitting(legacy, name, values, stored.dtype)
    ordered = np.asfortranarray(held) if np.isfortran(stored) else np.ascontiguousarray(held)
    np.lib.format.write_array(stream, ordered, allow_pickle=False)
    return stream.getvalue()


def _places(legacy: Network, arrays: Mapping[str, Array], known: Collection[str]) -> dict[str, str]:
    """Name of the dataset of each array."""
    found = {}
    for name in arrays:
        options = (legacy.source.places.get(name, name), name, f"model_weights/{name}")
        found[name] = next((each for each in options if each in known), "")
        if not found[name]:
            raise UnbuildableError(f"{legacy.source.path}: no dataset for {name!r}", expected="one to write it to")
    return found


def _fitting(legacy: Network, name: str, values: Array, dtype: np.dtype[Any]) -> Array:
    """The values in the dataset's own dtype.

    Raises:
        NonFiniteError: not a number, or one that the dtype cannot hold.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        held = np.asarray(values).astype(dtype)
    bad = np.argwhere(~np.isfinite(held.astype(np.float64)))
    if len(bad):
        place = tuple(int(i) for i in bad[0])
        raise NonFiniteError(
            f"{name!r} of {legacy.source.path} cannot hold the new values",
            found=f"{values[place]} at {place}", expected=f"numbers that {dtype} holds",
        )  # fmt: skip
    return held
