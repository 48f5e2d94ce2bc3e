"""One file a format: stored arrays to a WeightFile, and from there to a Network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Everything else is imported inside `read`: porter.network needs this package for WeightFile alone.
if TYPE_CHECKING:
    from porter.formats.registry import Family
    from porter.network import Network

__all__ = ["Family", "read", "register"]


def __getattr__(name: str) -> Any:
    """``Family``, when it is first asked for."""
    if name != "Family":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from porter.formats.registry import Family

    return Family


def register(family: Family) -> Family:
    """Add a family of legacy networks to those that porter reads; porter's own are asked first.

    A package that is installed may offer one under the entry point group ``porter.families`` instead.

    Raises:
        ValueError: there is a family of that name already.
    """
    from porter.formats import readers

    return readers.register(family)


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
    backend: str | None = None,
    weights: str | Path | None = None,
    replace: Mapping[str, Callable[..., Any]] | None = None,
    exact_activations: bool = False,
    gains: str | Path | Sequence[float] | None = None,
) -> Network:
    """Read a legacy network.

    Args:
        path: the file; or the folder, of a family that keeps one array a file.
        activation: one name for all hidden layers, or a list for all layers, output included.
        output_activation: name for the last layer.
        orientation: "units-first" or "inputs-first", for all layers or a list.
        scaling: "[-1,1]", "[0,1]", "mean-std", or "none" to leave the scaling steps out.
        kind: kind of network ("aaNN", ...) whose physical transforms hold; by the file's name where None.
        physical: whether the network begins and ends in physical units.
        recipe: a TOML file that says where the arrays lie and how they are to be read.
        backend: "tensorflow", "theano" or "cntk": what trained a Keras file that does not say.
        weights: HDF5 with the weights of a Keras architecture in JSON.
        replace: functions of tensors in the place of Keras layers that are not run, by layer name.
        exact_activations: functions in the place of the tables that the original looks activations up in.
        gains: of an rrsNN of OC-SMART in physical units: a factor for each band, or a text that has them.

    Returns:
        The network in canonical form, every convention with its evidence.

    Raises:
        UnreadableError: the file is not what it should be; one subclass for each way.
        UsageError: an option or a recipe that cannot be meant, or that contradicts the file.
    """
    from porter.errors import UsageError
    from porter.formats.folders import is_plain_folder, open_folder
    from porter.formats.keras_legacy.options import KerasOptions
    from porter.formats.opened import open_file
    from porter.formats.options import ReadOptions
    from porter.formats.readers import family_of

    keras = None if (backend, weights, replace) == (None, None, None) else KerasOptions(backend, weights, replace or {})
    factors = None if gains is None else str(gains) if isinstance(gains, str | Path) else tuple(map(float, gains))
    options = ReadOptions(
        activation, output_activation, orientation, scaling, kind, physical, keras, exact_activations, factors  # type: ignore[arg-type]
    )  # fmt: skip
    with open_folder(Path(path)) if is_plain_folder(Path(path)) else open_file(path, pickles=True) as opened:
        if gains is not None and (recipe is not None or family_of(opened).name != "oc-smart"):
            raise UsageError(
                f"gains= for {opened.path}",
                found="a recipe" if recipe is not None else f"a file of the format {family_of(opened).name}",
                expected="an rrsNN of OC-SMART, whose software applies gains",
                remedy="leave them out",
            )
        if recipe is not None:
            from porter.formats.recipe import read_recipe
            from porter.formats.recipe_reading import read_by_recipe

            network = read_by_recipe(opened, read_recipe(recipe), options)
            return dataclasses.replace(network, source=dataclasses.replace(network.source, recipe=Path(recipe)))
        reader = family_of(opened)
        if keras is not None and reader.name != "keras-legacy":
            raise UsageError(
                f"backend=, weights= or replace= for {opened.path}",
                found=f"a file of the format {reader.name}",
                expected="a legacy Keras file",
                remedy="leave them out",
            )
        if exact_activations and not reader.has_tables:
            raise UsageError(
                f"exact_activations= for {opened.path}",
                found=f"a file of the format {reader.name}, whose activations are exact already",
                expected="a family whose software looks activations up in a table",
                remedy="leave it out",
            )
        return reader.read(opened, options)
