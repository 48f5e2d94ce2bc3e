"""RTE-RRTMGP-NN: netCDF-4 with ``nn_weights_1``, ``nn_bias_1``, ..., activations as text, ranges in two vectors each.

Source: peterukk/rte-rrtmgp-nn, commit 8bdcbbb.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import (
    KernelShapeError,
    LayersError,
    MissingMemberError,
    NonFiniteError,
    ScalingShapeError,
    StoredTypeError,
    UnknownActivationError,
)
from porter.formats.fixed import Formula, Ranges, Stored, assemble
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.formats.rrtmgp.transforms import is_unscaled, with_transforms
from porter.formats.write_back import write_arrays
from porter.network import Network
from porter.network.activations import parse_activation
from porter.network.weight_file import WeightFile
from reference.programs import rrtmgp

if TYPE_CHECKING:
    from porter.formats.hdf5 import Hdf5File

Array = NDArray[Any]

FAMILY = "rrtmgp-nn"
FORMULA = Formula("RTE-RRTMGP-NN's", "by the numbers in their names")
VECTORS = ("nn_input_coeffs_min", "nn_input_coeffs_max", "nn_output_coeffs_mean", "nn_output_coeffs_std")
TEXTS = ("nn_activation", "nn_inputs")
MOST_TEXT = 1 << 20
_MEMBER = re.compile(r"nn_(weights|bias)_([1-9]\d{0,3})")


def matches(opened: OpenedFile) -> bool:
    """HDF5 with ``nn_weights_1``."""
    return opened.is_hdf5 and "nn_weights_1" in opened.hdf5.datasets


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a network; dimensions and whatever else netCDF keeps beside it are passed over.

    Raises:
        UnreadableError: something is missing, contradictory or not a number.
        UsageError: an option that does not fit the file.
    """
    hdf5, where = opened.hdf5, str(opened.path)
    layers = _layers(where, hdf5)
    names = [f"nn_{kind}_{n}" for n in range(1, layers + 1) for kind in ("weights", "bias")]
    names += [name for name in (*VECTORS, "nn_dimsize") if name in hdf5.datasets]
    arrays = {name: hdf5.read(name) for name in names}
    texts = {name: _text(where, hdf5, name) for name in TEXTS}
    said = {name: words for name, words in texts.items() if words is not None}
    source = WeightFile(opened.path, FAMILY, opened.sha256, arrays, {**hdf5.fixed_attributes(), **said})
    _check(where, source, layers)
    network = assemble(
        source,
        _stored(where, source, layers),
        options,
        FORMULA,
        norm_in=_ranges(where, arrays, VECTORS[:2], "[0,1]"),
        norm_out=_ranges(where, arrays, VECTORS[2:], "mean-std"),
    )
    return with_transforms(network) if options.physical else network


def _layers(where: str, hdf5: Hdf5File) -> int:
    numbers: dict[str, set[int]] = {"weights": set(), "bias": set()}
    for name in hdf5.datasets:
        match = _MEMBER.fullmatch(name)
        if match is not None:
            numbers[match[1]].add(int(match[2]))
    last = max(numbers["weights"])
    for kind, present in numbers.items():
        missing = sorted(set(range(1, last + 1)) - present)
        extra = sorted(present - set(range(1, last + 1)))
        if missing or extra:
            raise MissingMemberError(
                f"{where}: the layers are not whole",
                found=f"no 'nn_{kind}_{missing[0]}'" if missing else f"'nn_bias_{extra[0]}' without weights",
                expected=f"nn_weights_1 to nn_weights_{last}, and a bias for each",
                remedy="get the whole file",
            )
    return last


def _text(where: str, hdf5: Hdf5File, name: str) -> list[str] | None:
    """A vector of words: fixed characters if the file has them, else text of variable length; None where neither."""
    from h5py import h5t

    for stored in (f"{name}_char", name):
        dataset = hdf5.datasets.get(stored)
        if dataset is None or dataset.get_type().get_class() != h5t.STRING:
            continue
        place, values = f"{where}: dataset {stored!r}", hdf5.read_text(stored)
        if values.size > MOST_TEXT:
            raise StoredTypeError(f"{place} is no list of names", found=f"{values.size:,} of them")
        rows = [b"".join(row) for row in values.tolist()] if values.ndim == 2 else values.reshape(-1).tolist()
        return [_word(row) for row in rows]
    return None


def _word(value: Any) -> str:
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text.replace("\0", " ").strip()


def _check(where: str, source: WeightFile, layers: int) -> None:
    """Floats that are finite, in matrices and vectors, of the widths that ``nn_dimsize`` states."""
    for name, array in source.arrays.items():
        if name == "nn_dimsize":
            continue
        rank = 2 if name.startswith("nn_weights") else 1
        if array.ndim != rank or 0 in array.shape:
            raise KernelShapeError(f"{where}: {name!r}", found=f"shape {array.shape}", expected=f"{rank} axes")
        if array.dtype.kind != "f":
            raise StoredTypeError(f"{where}: {name!r} does not hold floats", found=str(array.dtype), expected="float32")
        if not np.isfinite(array).all():
            raise NonFiniteError(f"{where}: {name!r} has values that are no numbers", expected="finite values")
    stated = source.arrays.get("nn_dimsize")
    units = [source.arrays[f"nn_bias_{n}"].size for n in range(1, layers + 1)]
    if stated is not None and stated.reshape(-1).tolist() != units:
        raise LayersError(
            f"{where}: 'nn_dimsize' contradicts the arrays",
            found=" ".join(map(str, stated.reshape(-1).tolist())),
            expected=f"{' '.join(map(str, units))}, the biases of each layer",
        )


def _stored(where: str, source: WeightFile, layers: int) -> list[Stored]:
    said = source.attributes.get("nn_activation")
    if said is not None and len(said) != layers:
        raise LayersError(f"{where}: 'nn_activation'", found=f"{len(said)} names", expected=f"{layers}, one a layer")
    found = []
    for n in range(1, layers + 1):
        kernel, bias = source.arrays[f"nn_weights_{n}"], source.arrays[f"nn_bias_{n}"]
        first, second = kernel.shape
        inputs = second if (first == bias.size and second != bias.size) else first
        default = "linear" if n == layers else "softsign"
        spelling = default if said is None else _known(where, said[n - 1])
        found.append(Stored(kernel, bias, inputs, bias.size, "inputs-first", spelling, said is not None))
        if kernel.size != inputs * bias.size:
            raise KernelShapeError(
                f"{where}: 'nn_weights_{n}'", found=f"shape {kernel.shape}", expected=f"(inputs, {bias.size})"
            )
    return found


def _known(where: str, spelling: str) -> str:
    try:
        parse_activation(spelling)
    except UnknownActivationError as error:
        raise StoredTypeError(
            f"{where}: the activation {spelling!r} is not known", expected=error.expected, remedy="say it: --activation"
        ) from error
    return spelling


def _ranges(where: str, arrays: Mapping[str, Array], pair: tuple[str, ...], rule: str) -> Ranges | None:
    present = [name for name in pair if name in arrays]
    if not present:
        return None
    if len(present) < len(pair) or arrays[pair[0]].shape != arrays[pair[1]].shape:
        raise ScalingShapeError(
            f"{where}: half a scaling",
            found=", ".join(f"{name} {arrays[name].shape}" for name in present),
            expected=f"{' and '.join(pair)}, of one length",
        )
    # Their very names say minimum, maximum, mean and deviation.
    first, second = (arrays[name].astype(arrays[name].dtype.newbyteorder("="), copy=False) for name in pair)
    if rule == "mean-std":
        unscaled = is_unscaled(first, second)
        first, second = np.where(unscaled, 0, first), np.where(unscaled, 1, second)
    return Ranges(first, second, rule, is_said=True)


program = program_of(rrtmgp.program, "activation", "output_activation", "orientation", "scaling", "physical", "dtype")

READER = Family(
    FAMILY,
    "netCDF-4 with nn_weights_1, nn_bias_1, ... (RTE-RRTMGP-NN)",
    matches,
    read,
    program,
    write=write_arrays,
    example="porter port lw-g128-210809_absorption_BEST.nc -o absorption.keras",
)
