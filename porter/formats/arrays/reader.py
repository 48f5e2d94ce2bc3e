"""HDF5 and .npz whose names say which arrays are kernels and which are biases; nothing else is taken for granted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from porter.errors import DamagedFileError, UnreadableError
from porter.formats import oc_smart, scalings
from porter.formats.arrays.names import locate, role_of
from porter.formats.containers.arrays import container_of
from porter.formats.containers.held import Held, attributes_in, text_of, texts_in
from porter.formats.folders import OpenedFolder
from porter.formats.npz import NpzError, names_in, read_npz
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family
from porter.formats.write_back import write_arrays
from porter.network import Claim, Network
from porter.network.weight_file import WeightFile
from reference.programs import arrays as programs
from reference.trace import Program

Array = NDArray[Any]

FAMILY = "arrays"
MATLAB_73 = b"MATLAB 7.3 MAT-file"
"""Of which the last axis comes first."""
_OBJECT = re.compile(r"\bIW\{")
UNSCALED = "MATLAB scales by mapminmax unless told otherwise; the weights alone do not say it"
GUESS = f"a guess, for nothing says it; {scalings.HOW_TO_PROVE}"


def matches(opened: OpenedFile) -> bool:
    """A container of arrays, one of whose names says that it is a kernel."""
    if isinstance(opened, OpenedFolder):
        return _is_network(opened)
    container = container_of(opened)
    if container is not None:
        names = list(container[1](opened)) if container[0] != "numbers in text" else []
    elif opened.is_hdf5:
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
    container = container_of(opened)
    if container is not None:
        held = container[1](opened)
        arrays, attributes = _numbers(held), held.said
    else:
        arrays, attributes = _from_hdf5(opened) if opened.is_hdf5 else _from_npz(opened)
    digest = opened.digest() if isinstance(opened, OpenedFolder) else opened.sha256
    layout = locate(str(opened.path), {name: array.shape for name, array in arrays.items()})
    source = WeightFile(opened.path, FAMILY, digest, arrays, attributes)
    network = oc_smart.interpret(source, layout, options, unsaid=GUESS)
    if not any(_OBJECT.search(name) for name in arrays):
        return network
    claims = [Claim(end, "scaling", "none", "assumed", UNSCALED) for end in ("Norm_in", "Norm_out")]
    return replace(network, claims=(*network.claims, *claims))


def _is_network(folder: OpenedFolder) -> bool:
    """Whether files are called kernels and biases; where there are no biases, a kernel has to be a matrix as well."""
    from porter.formats.containers import texts

    files = [name for name in folder.names if "." not in name or texts.key_of(name) != name]
    roles = {name: role[0] for name in files if (role := role_of(texts.key_of(name))) is not None}
    if "bias" in roles.values():
        return "kernel" in roles.values()
    for name in roles:
        with suppress(UnreadableError):
            return texts.read_member(folder, name) is not None
    return False


def _numbers(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Without counters: whole numbers that stand alone, as a state of training is kept."""
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f" or array.size > 1}


def _from_hdf5(opened: OpenedFile) -> tuple[dict[str, Array], dict[str, Any]]:
    hdf5 = opened.hdf5
    texts = texts_in(hdf5)
    arrays = {name: hdf5.read(name) for name in hdf5.datasets if name not in texts and not hdf5.is_matlab_text(name)}
    if opened.head.startswith(MATLAB_73):
        arrays = {name: array.T for name, array in arrays.items()}
    return arrays, attributes_in(hdf5, texts)


def _from_npz(opened: OpenedFile) -> tuple[dict[str, Array], dict[str, Any]]:
    """Numbers are arrays, and texts are attributes."""
    try:
        stored = read_npz(opened.path, kinds="fiuUS")
    except NpzError as error:
        raise DamagedFileError(
            f"{opened.path} cannot be read as .npz of numbers; nothing pickled is read", found=str(error)
        ) from error
    texts = {name: text_of(array) for name, array in stored.items() if array.dtype.kind in "US"}
    held = Held({name: array for name, array in stored.items() if name not in texts}, texts)
    return held, held.said


def program(network: Network, changes: Mapping[str, Any]) -> Program:
    """The legacy forward pass."""
    declared = {**network.declarations, **changes}
    chosen = {key: value for key, value in declared.items() if key in oc_smart.PROGRAM_OPTIONS}
    if chosen.get("physical"):
        chosen["physical"] = scalings.physical_kind(network.source.path, network.declarations.get("kind"))
    return programs.program(network.source.arrays, network.source.attributes, **chosen)


READER = Family(
    FAMILY,
    "HDF5, .npz, .mat (v4 to v7.3), safetensors, plain pickles, or a folder of matrices, whose names say what is what: "
    "W1 b1, coefs_0 intercepts_0, fc1.weight fc1.bias, dense_7/kernel:0",
    matches,
    read,
    program,
    write=write_arrays,
    example="porter port weights.npz --activation relu -o net.keras",
)
