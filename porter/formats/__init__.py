"""One file a format: stored arrays to a WeightFile, and from there to a Network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# Everything else is imported inside `read`: porter.network needs this package for WeightFile alone.
if TYPE_CHECKING:
    from porter.network import Network

__all__ = ["read"]


def read(
    path: str | Path,
    *,
    activation: str | Sequence[str] | None = None,
    output_activation: str | None = None,
    orientation: str | Sequence[str] | None = None,
    scaling: str | None = None,
    kind: str | None = None,
    physical: bool = False,
    recipe: str | Path | None = None,
) -> Network:
    """Read a legacy network.

    Args:
        path: the file.
        activation: one name for all hidden layers, or a list for all layers, output included.
        output_activation: name for the last layer.
        orientation: "units-first" or "inputs-first", for all layers or a list.
        scaling: "[-1,1]", "[0,1]", "mean-std", or "none" to leave the scaling steps out.
        kind: kind of network ("aaNN", ...) whose physical transforms hold; by the file's name where None.
        physical: whether the network begins and ends in physical units.
        recipe: a TOML file that says where the arrays lie and how they are to be read.

    Returns:
        The network in canonical form, every convention with its evidence.

    Raises:
        UnreadableError: the file is not what it should be; one subclass for each way.
        UsageError: an option or a recipe that cannot be meant, or that contradicts the file.
    """
    from porter.formats.opened import open_file
    from porter.formats.options import ReadOptions
    from porter.formats.readers import reader_of

    options = ReadOptions(activation, output_activation, orientation, scaling, kind, physical)  # type: ignore[arg-type]
    with open_file(path) as opened:
        if recipe is not None:
            from porter.recipe import read_by_recipe, read_recipe

            return read_by_recipe(opened, read_recipe(recipe), options)
        return reader_of(opened).read(opened, options)
