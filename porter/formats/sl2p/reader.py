"""SL2P: ``NAME_Weights_Layer1_Neurons``, ``NAME_Normalisation`` and so on, in a folder.

Source: senbox-org/s2tbx, commit 33f36f1.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from porter.errors import DamagedFileError, MissingMemberError, UsageError
from porter.formats.fixed import Formula, Ranges, Stored, assemble
from porter.formats.folders import OpenedFolder, open_folder, stems
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, program_of
from porter.network import Claim, Extremes, Network
from porter.network.weight_file import WeightFile
from reference.programs import sl2p

FAMILY = "sl2p"
FORMULA = Formula("SL2P's", "by the numbers in their names")
FIRST_KERNEL = "_Weights_Layer1_Neurons"
MOST_LAYERS = 100


def matches(opened: OpenedFile) -> bool:
    """A folder with a file ``..._Weights_Layer1_Neurons``."""
    return isinstance(opened, OpenedFolder) and bool(stems(opened.names, FIRST_KERNEL))


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read the one network of a folder.

    Raises:
        UnreadableError: a file is missing, or holds no numbers.
        UsageError: several networks, or an option that does not fit.
    """
    folder = opened if isinstance(opened, OpenedFolder) else open_folder(Path(opened.path))
    names = stems(folder.names, FIRST_KERNEL)
    if len(names) > 1:
        raise UsageError(
            f"{folder.path} holds several networks",
            found=", ".join(names),
            expected="one",
            remedy="give each a folder of its own",
        )
    return _network(folder, names[0], options)


def _network(folder: OpenedFolder, name: str, options: ReadOptions) -> Network:
    count = next(n for n in range(1, MOST_LAYERS) if f"{name}_Weights_Layer{n + 1}_Neurons" not in folder.names)
    arrays = {"Normalisation": folder.matrix(f"{name}_Normalisation")}
    for n in range(1, count + 1):
        for part in ("Neurons", "Bias"):
            arrays[f"Weights_Layer{n}_{part}"] = folder.matrix(f"{name}_Weights_Layer{n}_{part}")
    arrays["Denormalisation"] = folder.matrix(f"{name}_Denormalisation")
    if f"{name}_ExtremeCases" in folder.names:
        arrays["ExtremeCases"] = folder.matrix(f"{name}_ExtremeCases")
    source = WeightFile(folder.path, FAMILY, folder.digest(), arrays, {"name": name})
    layers = [_layer(source, n, count) for n in range(1, count + 1)]
    ends = [_ranges(source, part, width) for part, width in _ends(layers)]
    network = assemble(source, layers, options, FORMULA, norm_in=ends[0], norm_out=ends[1], name=name)
    return _with_extremes(network, layers[-1].units) if "ExtremeCases" in arrays else network


def _layer(source: WeightFile, number: int, count: int) -> Stored:
    kernel, bias = (source.arrays[f"Weights_Layer{number}_{part}"] for part in ("Neurons", "Bias"))
    units, inputs = kernel.shape
    if bias.size != units:
        raise MissingMemberError(
            f"{source.path}: layer {number} is not whole",
            found=f"weights of shape {kernel.shape}, {bias.size} biases",
            expected="a row of weights for each bias",
        )
    return Stored(kernel, bias.reshape(-1), inputs, units, "units-first", "linear" if number == count else "tanh")


def _ends(layers: list[Stored]) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("Normalisation", layers[0].inputs), ("Denormalisation", layers[-1].units)


def _ranges(source: WeightFile, part: str, width: int) -> Ranges:
    pairs = source.arrays[part]
    if pairs.shape != (width, 2):
        raise DamagedFileError(
            f"{source.path}: {part}",
            found=f"shape {pairs.shape}",
            expected=f"({width}, 2): a minimum and a maximum a row",
        )
    return Ranges(pairs[:, 0], pairs[:, 1], "[-1,1]")


def _with_extremes(network: Network, width: int) -> Network:
    """The same network with its outputs held to their bounds, or flagged."""
    stored = network.source.arrays["ExtremeCases"]
    if stored.shape != (width, 3) or np.any(stored[:, 2] <= stored[:, 1]):
        raise DamagedFileError(
            f"{network.source.path}: ExtremeCases",
            found=f"shape {stored.shape}, {stored.reshape(-1)[:3].tolist()}",
            expected=f"({width}, 3): a tolerance, a minimum and a maximum above it a row",
        )
    tolerance, least, greatest = np.abs(stored[:, 0]), stored[:, 1], stored[:, 2]
    layer = Extremes("Extremes", least, greatest, tolerance)
    detail = f"{FORMULA.owner}; the file has the numbers, and not what is done with them"
    claim = Claim("Extremes", "transform", "clamped within the tolerance, NaN beyond", "assumed", detail)
    return replace(network, layers=(*network.layers, layer), claims=(*network.claims, claim))


program = program_of(sl2p.program, "activation", "output_activation", "orientation", "scaling", "dtype")

READER = Family(
    FAMILY,
    "a folder with NAME_Weights_Layer1_Neurons, NAME_Normalisation, ... (Sentinel-2 biophysical processor)",
    matches,
    read,
    program,
    example="porter port S2A/LAI -o LAI.keras --samples S2A/LAI/LAI_TestCases",
)
