"""HDF5 and .npz whose names say which arrays are kernels and which are biases; nothing else is taken for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from porter.errors import DamagedFileError
from porter.formats import oc_smart, scalings
from porter.formats.arrays.names import locate, role_of
from porter.formats.npz import NpzError, names_in, read_npz
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family
from porter.formats.said import EVERY, attribute_names, hinting_names
from porter.formats.write_back import write_arrays
from porter.network import Network
from porter.network.weight_file import WeightFile
from reference.programs import arrays as programs
from reference.trace import Program

Array = NDArray[Any]

FAMILY = "arrays"
GUESS = f"a guess, for nothing says it; {scalings.HOW_TO_PROVE}"


def matches(opened: OpenedFile) -> bool:
    """HDF5 or .npz with an array whose name says that it is a kernel."""
    if opened.is_hdf5:
        names = [name for name, dataset in opened.hdf5.datasets.items() if len(dataset.shape or ()) > 1]
    else:
        names = list(names_in(opened.path)) if opened.is_npz else []
    roles = map(role_of, names)
    return any(role is not None and role[0] == "kernel" for role in roles)


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a file whose names say what its arrays are.

    Raises:
        UnreadableError: an array whose meaning nothing says; arrays that do not make a network.
        UsageError: an option that does not fit the file.
    """
    arrays, attributes = _from_hdf5(opened) if opened.is_hdf5 else _from_npz(opened)
    layout = locate(str(opened.path), {name: array.shape for name, array in arrays.items()})
    source = WeightFile(opened.path, FAMILY, opened.sha256, arrays, attributes)
    return oc_smart.interpret(source, layout, options, unsaid=GUESS)


def _from_hdf5(opened: OpenedFile) -> tuple[dict[str, Array], dict[str, Any]]:
    hdf5 = opened.hdf5
    said = {name: hdf5.attribute(name) for name in attribute_names(hdf5.stored_attributes)}
    arrays = {name: hdf5.read(name) for name in hdf5.datasets}
    return arrays, {**dict.fromkeys(hinting_names(hdf5.stored_attributes)), **hdf5.fixed_attributes(), **said}


def _from_npz(opened: OpenedFile) -> tuple[dict[str, Array], dict[str, Any]]:
    """Numbers are arrays, and text under a name that says it is an activation's is an attribute."""
    try:
        stored = read_npz(opened.path, kinds="fiuUS")
    except NpzError as error:
        raise DamagedFileError(
            f"{opened.path} cannot be read as .npz of numbers; nothing pickled is read", found=str(error)
        ) from error
    texts = {name: array for name, array in stored.items() if array.dtype.kind in "US"}
    attributes = {name: _text(array) for name, array in texts.items() if name.lower() in EVERY}
    return {name: array for name, array in stored.items() if name not in texts}, attributes


def _text(array: Array) -> Any:
    values = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in array.ravel()]
    return values[0] if array.ndim == 0 else values


def program(network: Network, changes: Mapping[str, Any]) -> Program:
    """The legacy forward pass."""
    declared = {**network.declarations, **changes}
    chosen = {key: value for key, value in declared.items() if key in oc_smart.PROGRAM_OPTIONS}
    if chosen.get("physical"):
        chosen["physical"] = scalings.physical_kind(network.source.path, network.declarations.get("kind"))
    return programs.program(network.source.arrays, network.source.attributes, **chosen)


READER = Family(
    FAMILY,
    "HDF5 or .npz whose names say what is what: W1 b1, coefs_0 intercepts_0, fc1.weight fc1.bias, dense_7/kernel:0",
    matches,
    read,
    program,
    write=write_arrays,
    example="porter port weights.npz --activation relu -o net.keras",
)
