"""Networks read as a recipe says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import RecipeError, UnreadableError
from porter.formats import oc_smart, recipe_graph
from porter.formats.members import Layout
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.formats.recipe import FAMILY, Recipe
from porter.formats.recipe_arrays import Stored, array_at, numbers_at, unfit
from porter.formats.recipe_ends import EndRecipe
from porter.formats.recipe_members import check_activations, merged_members, read_members_of, scaled_members
from porter.formats.recipe_places import KernelPlace, for_member
from porter.formats.said import said_activations
from porter.formats.scalings import HOW_TO_PROVE, physical_range
from porter.network import Claim, Dense, Extremes, Network, Transform
from porter.network.weight_file import WeightFile
from reference.activations import Activation
from reference.table import MOST_ENTRIES, is_table

Array = NDArray[Any]

UNSAID = f"a guess, for neither file nor recipe says it; {HOW_TO_PROVE}"
SHOWN = 24


def read_by_recipe(opened: OpenedFile, recipe: Recipe, options: ReadOptions) -> Network:
    """Read arrays of any layout as a recipe says.

    Raises:
        RecipeError: it names arrays that the file does not have, or that have not the shape it says.
        OptionContradictionError: an option contradicts it.
        UnreadableError: as without a recipe.
    """
    options = options.merged(recipe.options())
    stored = Stored.of(opened) if recipe.raw is None else Stored.of_raw(opened, recipe.raw.numbers)
    _check_places(stored, recipe)
    network = _core(stored, recipe, options)
    if not recipe.is_graph:
        network = _with_tables(stored, recipe, network)
        network = _with_ends(stored, recipe, network)
    if recipe.name is None:
        return network
    named = network.source if recipe.format is not None else replace(network.source, format=recipe.name)
    return replace(network, name=recipe.name, source=named)


def _core(stored: Stored, recipe: Recipe, options: ReadOptions) -> Network:
    """The layers and the scaling, read as OC-SMART's are, from arrays under its names."""
    if recipe.ensemble is None:
        arrays = {name: array_at(stored, place, value) for place, name, value in recipe.places()}
        arrays |= _for_all_columns(stored, recipe, arrays)
    else:
        arrays = read_members_of(stored, recipe)
    extra = {name: numbers_at(stored, place, value) for place, name, value in recipe.extras()}
    places = {name: str(value) for _, name, value in recipe.places() if isinstance(value, str | KernelPlace)}
    family = FAMILY if recipe.format is None else recipe.format
    source = WeightFile(stored.opened.path, family, stored.sha256, {**arrays, **extra}, _said(stored, recipe), places)
    names = [f"Layer{number}" for number in range(1, len(recipe.layers) + 1)]
    layout = Layout(
        kernels=tuple(f"Weights/{name}" for name in names if f"Weights/{name}" in arrays),
        biases=tuple(
            f"Bias/{name}" if f"Bias/{name}" in arrays else None for name in names if f"Weights/{name}" in arrays
        ),
        widths="Layers" if "Layers" in arrays else None,
        norm_in="Norm_in" if "Norm_in" in arrays else None,
        norm_out="Norm_out" if "Norm_out" in arrays else None,
    )
    if recipe.ensemble is not None:
        rules = options.scaling if "Norm_out" in arrays or "Norm_in" in arrays else None
        options = replace(options, orientation="units-first", scaling=rules)
    unsaid = UNSAID if recipe.format is None else oc_smart.UNSAID
    network: Network
    with _users_names(places):
        if recipe.is_graph:
            network = recipe_graph.interpret(source, layout, recipe, options)
        else:
            network = oc_smart.interpret(source, layout, options, order_declared=True, unsaid=unsaid)
    if recipe.ensemble is not None:
        check_activations(stored, network)
    return replace(network, claims=(*_as_said(recipe, network.claims), *_memory_claims(recipe)))


@contextmanager
def _users_names(places: Mapping[str, str]) -> Iterator[None]:
    """Refusals name arrays as the recipe does, and not as they are called here."""
    try:
        yield
    except UnreadableError as error:
        parts = {key: getattr(error, key) for key in ("what", "found", "expected", "remedy")}
        for name, place in places.items():
            parts |= {key: text.replace(repr(name), repr(place)) for key, text in parts.items() if text is not None}
        raise type(error)(**parts) from error


def _as_said(recipe: Recipe, claims: Iterable[Claim]) -> Iterator[Claim]:
    """The claims, but none on how ranges lie that the recipe writes out, or has in two vectors.

    No shape proves an orientation where the recipe says the shape, or where members are put side by side as it says.
    """
    said = {name for _, name, value in recipe.places() if name.startswith("Norm") and not isinstance(value, str)}
    laid = {
        f"Layer{number}": layer
        for number, layer in enumerate(recipe.layers, start=1)
        if layer.shape is not None or recipe.ensemble is not None
    }
    for claim in claims:
        if claim.convention == "orientation" and claim.layer in laid:
            value = laid[claim.layer].orientation or claim.value
            yield Claim(claim.layer, claim.convention, value, "declared", "as the recipe lays the numbers out")
        elif claim.convention != "range orientation" or claim.layer not in said:
            yield claim


def _for_all_columns(stored: Stored, recipe: Recipe, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """What is scaled by, where the recipe has one number for all columns: as often as there are columns."""
    found = {}
    for place, name, value in recipe.places():
        if isinstance(value, EndRecipe) and value.is_one_for_all:
            number = 0 if name == "Norm_in" else len(recipe.layers)
            width = _columns_of(recipe, arrays, number)
            if width is None:
                number = max(number, 1)
                told = f"one number for all columns, and not how layer {number} is stored; its orientation"
                raise unfit(stored, place, told)
            found[name] = np.repeat(arrays[name], width, axis=0)
    return found


def _columns_of(recipe: Recipe, arrays: Mapping[str, Array], number: int) -> int | None:
    """Of what a layer gives, 0 for the inputs; None where a layer does not say which axis its units are."""
    if number == 0 or recipe.layers[number - 1].kernel is not None:
        return _width_at(recipe, arrays, max(number, 1), min(number, 1))
    taken = [_columns_of(recipe, arrays, place) for place in recipe.taken(number)]
    if recipe.layers[number - 1].merge != "concatenate":
        return taken[0]
    return None if None in taken else sum(columns for columns in taken if columns is not None)


def _width_at(recipe: Recipe, arrays: Mapping[str, Array], number: int, end: int) -> int | None:
    """Inputs (0) or units (1) of a layer; None where neither its orientation nor its bias says which axis they are."""
    kernel, bias = arrays.get(f"Weights/Layer{number}"), arrays.get(f"Bias/Layer{number}")
    orientation = recipe.layers[number - 1].orientation
    if kernel is None or kernel.ndim != 2:
        return None
    if orientation is not None or kernel.shape[0] == kernel.shape[1]:
        return int(kernel.shape[1 - end if orientation == "units-first" else end])
    if bias is None or bias.size not in kernel.shape:
        return None
    return bias.size if end else kernel.size // bias.size


def _memory_claims(recipe: Recipe) -> list[Claim]:
    """One for every kernel whose numbers the recipe has run otherwise than they are stored; and on raw numbers."""
    claims = [
        Claim(f"Layer{number}", "memory order", layer.order, "declared")
        for number, layer in enumerate(recipe.layers, start=1)
        if layer.order != "C"
    ]
    if recipe.raw is not None:
        value = f"{recipe.raw.dtype}, {recipe.raw.byte_order}-endian"
        claims.append(Claim("network", "stored numbers", value, "declared"))
    return claims


# --- what stands around the layers ----------------------------------------------------------------------------------


def _with_ends(stored: Stored, recipe: Recipe, network: Network) -> Network:
    """The network between its transforms, its members made one, its outputs within their bounds."""
    layers, claims = list(network.layers), list(network.claims)
    declared: dict[str, Any] = dict(network.declarations)
    ranges = network.input_range
    own = network.source.arrays.get("Members/Norm_in")
    if own is not None:
        layers.insert(0, scaled_members(own))
        claims.append(Claim("Norm_in", "scaling", "mean-std", "declared", "each member by its own"))
        spread = np.stack([own[:, :, 0] - 3 * own[:, :, 1], own[:, :, 0] + 3 * own[:, :, 1]])
        ranges = np.stack([spread.min(axis=(0, 1)), spread.max(axis=(0, 1))], axis=1)
    inputs = layers[0].kernel.shape[0] if isinstance(layers[0], Dense) else network.widths[0]
    before = recipe.functions("input", inputs)
    if before is not None:
        transform = Transform("Transform_in", before)
        layers.insert(0, transform)
        declared["transform_in"] = list(before)
        ranges = None if ranges is None else physical_range(ranges, transform)
        claims.append(_transform_claim("Transform_in", before))
    if recipe.ensemble is not None:
        layers = merged_members(stored, recipe, network, layers)
        declared |= {"ensemble": recipe.ensemble.rule, "members": len(recipe.ensemble.names)}
        value = f"{recipe.ensemble.rule} of {len(recipe.ensemble.names)} members"
        claims.append(Claim("Ensemble", "transform", value, "declared"))
    after = recipe.functions("output", layers[-1].width[1])
    if after is not None:
        layers.append(Transform("Transform_out", after))
        declared["transform_out"] = list(after)
        claims.append(_transform_claim("Transform_out", after))
    for end, name in (("input_", "Extremes_in"), ("", "Extremes")):
        if f"Bounds/{end}least" in network.source.arrays:
            width = inputs if end else layers[-1].width[1]
            layers.insert(0 if end else len(layers), _bounds(stored, network, end, name, width))
            claims.append(Claim(name, "transform", "held to bounds", "declared"))
    return replace(network, layers=tuple(layers), claims=tuple(claims), declarations=declared, input_range=ranges)


def _transform_claim(name: str, functions: Sequence[str]) -> Claim:
    spelt = ", ".join(f"{function} of {functions.count(function)}" for function in dict.fromkeys(functions))
    return Claim(name, "transform", spelt, "declared")


def _bounds(stored: Stored, network: Network, end: str, name: str, width: int) -> Extremes:
    arrays = network.source.arrays
    tolerance = arrays.get(f"Bounds/{end}tolerance", np.full(1, np.inf))
    found = [arrays[f"Bounds/{end}least"], arrays[f"Bounds/{end}greatest"], np.abs(tolerance)]
    place = "bounds, input" if end else "bounds"
    if any(array.size not in (1, width) for array in found):
        raise unfit(stored, place, f"{', '.join(str(array.size) for array in found)} values; {width} of each")
    least, greatest, tolerance = (np.broadcast_to(array, (width,)).astype(np.float64) for array in found)
    if np.any(least >= greatest):
        raise unfit(stored, place, "a least value that is not below the greatest; one that is")
    return Extremes(name, least, greatest, tolerance)


# --- tables ---------------------------------------------------------------------------------------------------------


def _with_tables(stored: Stored, recipe: Recipe, network: Network) -> Network:
    """The network with tables in the place of the activations that the recipe has them for."""
    tables = {f"Layer{number}": layer.table for number, layer in enumerate(recipe.layers, start=1) if layer.table}
    if not tables:
        return network
    found: dict[str, Activation] = {}
    for name, table in tables.items():
        values = tuple(float(value) for value in np.atleast_1d(network.source.arrays[f"Tables/{name}"]))
        if not is_table(table.first, table.last, values):
            told = f"{len(values):,} values; 2 to {MOST_ENTRIES:,} finite ones"
            raise unfit(stored, f"layer {name.removeprefix('Layer')}, table, values", told)
        found[name] = Activation("table", {**table.place, "values": values})
    layers = tuple(
        replace(layer, activation=found[layer.name]) if isinstance(layer, Dense) and layer.name in found else layer
        for layer in network.layers
    )
    kept = [claim for claim in network.claims if claim.convention != "activation" or claim.layer not in found]
    own = [Claim(name, "activation", str(activation), "declared") for name, activation in found.items()]
    declared = {**network.declarations, "tables": {name: table.place for name, table in tables.items()}}
    return replace(network, layers=layers, claims=(*kept, *own), declarations=declared)


def _said(stored: Stored, recipe: Recipe) -> dict[str, Any]:
    """The file's attributes, and what they say of the layers' activations under the names that these get here."""
    dense = [(number, layer) for number, layer in enumerate(recipe.layers, start=1) if layer.kernel is not None]
    kernels = [stored.located(str(layer.kernel))[0] for _, layer in dense]
    biases = [None if layer.bias is None else stored.located(layer.bias)[0] for _, layer in dense]
    said = said_activations(stored.attributes, kernels, biases)
    numbers = (number for number, _ in dense)
    own = {
        f"Weights/Layer{number}@activation": text
        for number, text in zip(numbers, said, strict=True)
        if text is not None
    }
    return {**stored.attributes, **own}


def _check_places(stored: Stored, recipe: Recipe) -> None:
    members = ("",) if recipe.ensemble is None else recipe.ensemble.names
    problems = []
    for place, _, value in (*recipe.places(), *recipe.extras()):
        wanted = value.vectors if isinstance(value, EndRecipe) else (value,)
        for each in wanted:
            name = each.dataset if isinstance(each, KernelPlace) else each
            for spelt in (for_member(name, member) for member in members) if isinstance(name, str) else ():
                if not stored.has(spelt):
                    problems.append(f"{place}: no dataset {spelt!r}")
    if problems:
        there = ", ".join(map(repr, stored.names[:SHOWN])) + (", ..." if len(stored.names) > SHOWN else "")
        raise RecipeError(
            f"{stored.opened.path} has not what the recipe names",
            tuple(dict.fromkeys(problems)),
            remedy=f"it has {there}",
        )
