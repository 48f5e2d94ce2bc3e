"""The family of networks that only a recipe can read; ``porter.formats.recipe_reading`` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from porter.errors import UnknownFormatError
from porter.formats import oc_smart, scalings
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.registry import Family
from porter.formats.write_back import write_arrays
from porter.network import Network
from reference.programs import recipe
from reference.trace import Program

PROGRAM_OPTIONS = (*oc_smart.PROGRAM_OPTIONS, "transform_in", "transform_out", "ensemble", "members", "tables")
GRAPH_OPTIONS = ("takes", "merge", "factors", "activation", "orientation", "scaling", "dtype")


def read(opened: OpenedFile, options: ReadOptions) -> NoReturn:
    """Refuse it.

    Raises:
        UnknownFormatError: always, for the recipe is missing.
    """
    del options
    raise UnknownFormatError(f"{opened.path} needs a recipe", remedy="--recipe net.toml")


def program(network: Network, changes: Mapping[str, Any]) -> Program:
    """The legacy forward pass."""
    if "takes" in network.declarations:
        from reference.programs import connected

        chosen = {key: value for key, value in {**network.declarations, **changes}.items() if key in GRAPH_OPTIONS}
        return connected.program(network.source.arrays, **chosen)
    declared = {key: value for key, value in {**network.declarations, **changes}.items() if key in PROGRAM_OPTIONS}
    if declared.get("physical"):
        declared["physical"] = scalings.physical_kind(network.source.path, network.declarations.get("kind"))
    return recipe.program(network.source.arrays, network.source.attributes, **declared)


READER = Family(
    "recipe",
    "arrays of any layout in HDF5, netCDF-4, .npz, .npy, .mat, safetensors, text or a folder of these, with a recipe "
    "that says where they lie (porter recipe --explain; porter infer finds it from samples)",
    lambda opened: False,
    read,
    program,
    write=write_arrays,
    example="porter inspect anything.h5 --write-recipe anything.toml",
)
