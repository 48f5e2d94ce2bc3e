"""Networks whose layers take more than the layer before them, as a recipe says: skip connections, and branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import OptionContradictionError, RecipeError
from porter.formats import oc_smart, scalings
from porter.formats.members import Layout
from porter.formats.options import ReadOptions
from porter.formats.recipe import INPUTS, Recipe
from porter.formats.said import said_activations, with_hints
from porter.network import Claim, Scaling
from porter.network.activations import format_activation, parse_activation
from porter.network.graph import KerasCall, KerasInput, KerasLayer, KerasNetwork, Ref
from porter.network.weight_file import WeightFile

Array = NDArray[Any]

KINDS = {"concatenate": "Concatenate", "add": "Add", "multiply": "Multiply"}
UNREAD = ("output_activation", "kind", "physical", "exact_activations", "gains", "keras")
"""Options that mean nothing for such a network."""


def interpret(source: WeightFile, layout: Layout, recipe: Recipe, options: ReadOptions) -> KerasNetwork:
    """The network of arrays under the names that a recipe's layers get.

    Args:
        source: every array that the recipe names.
        layout: where they lie; the kernels of those layers alone that have one.
        recipe: in which a layer says what it takes.
        options: what was declared, the recipe's own among it.

    Raises:
        RecipeError: layers that do not fit each other.
        UnreadableError: arrays that are no kernels, biases or ranges.
        OptionContradictionError: an option that means nothing here.
    """
    beside = [name for name in UNREAD if getattr(options, name)]
    if beside:
        raise OptionContradictionError(
            f"{beside[0]}= beside a recipe whose layers say what they take", remedy="leave it out"
        )
    where, arrays = str(source.path), source.arrays
    oc_smart.check_arrays(where, source, layout)
    widths = _widths(source, recipe)
    before, after, claims = oc_smart.scaling_layers(where, arrays, layout, (widths[0], widths[-1]), options)
    layers, calls = _connected(source, recipe, widths, before)
    layers = [*map(_rescaling, before), *layers, *map(_rescaling, after)]
    if before:
        calls.insert(0, KerasCall(before[0].name, before[0].name, (Ref(INPUTS),)))
    if after:
        calls.append(KerasCall(after[0].name, after[0].name, (Ref(calls[-1].name),)))
    numbers = range(1, len(recipe.layers) + 1)
    taken = {
        "takes": [list(recipe.taken(number)) for number in numbers],
        "merge": [layer.merge for layer in recipe.layers],
        "factors": [None if layer.factor is None else list(layer.factor) for layer in recipe.layers],
    }
    return KerasNetwork(
        name=source.path.stem,
        family=source.format,
        source=source,
        layers=tuple(layers),  # type: ignore[arg-type]
        claims=with_hints((*_claims(recipe, source, layout), *claims), source.attributes),
        declarations={**options.declarations(), **taken},
        input_range=scalings.documented_range(before[0]) if before else None,
        inputs=(KerasInput(INPUTS, (widths[0],), "float32"),),
        calls=tuple(calls),
        outputs=(Ref(calls[-1].name),),
    )


def _widths(source: WeightFile, recipe: Recipe) -> list[int]:
    """Of the inputs, then of what each layer gives.

    Raises:
        RecipeError: a layer that cannot take what it is said to.
    """
    widths = [_shape(source, recipe, 1)[0]]
    for number, layer in enumerate(recipe.layers, start=1):
        taken = [widths[place] for place in recipe.taken(number)]
        given = sum(taken) if layer.merge in (None, "concatenate") else taken[0]
        if layer.merge not in (None, "concatenate") and len(set(taken)) > 1:
            told = f"{' and '.join(map(str, taken))} columns to {layer.merge}; as many of each"
            raise _unfit(source, f"layer {number}, takes", told)
        if layer.kernel is None:
            widths.append(given)
            continue
        inputs, units = _shape(source, recipe, number)
        bias = source.arrays.get(f"Bias/Layer{number}")
        if inputs != given:
            told = f"{inputs} inputs, {layer.orientation}; {given}, of what the layer takes,"
            raise _unfit(source, f"layer {number}, kernel", told)
        if bias is not None and bias.size != units:
            raise _unfit(source, f"layer {number}, bias", f"{bias.size} values; {units}, one a unit,")
        widths.append(units)
    return widths


def _shape(source: WeightFile, recipe: Recipe, number: int) -> tuple[int, int]:
    """(inputs, units) of a kernel as the recipe has it read."""
    first, second = source.arrays[f"Weights/Layer{number}"].shape
    return (second, first) if recipe.layers[number - 1].orientation == "units-first" else (first, second)


def _unfit(source: WeightFile, place: str, problem: str) -> RecipeError:
    return RecipeError(f"{source.path} does not fit the recipe", (f"{place}: found {problem} is expected",))


def _connected(
    source: WeightFile, recipe: Recipe, widths: Sequence[int], before: Sequence[Scaling]
) -> tuple[list[KerasLayer], list[KerasCall]]:
    """The layers between the scalings, and the calls of them."""
    layers: list[KerasLayer] = []
    calls: list[KerasCall] = []
    names = [before[0].name if before else INPUTS]
    for number, own in enumerate(recipe.layers, start=1):
        name, activation = f"Layer{number}", parse_activation(own.activation or "linear")
        refs = tuple(Ref(names[place]) for place in recipe.taken(number))
        is_bare = own.kernel is None and activation.name == "linear"
        if own.merge is not None:
            joined = name if is_bare else f"Merge{number}"
            layers.append(KerasLayer(joined, "merge", "Merge", {"mode": KINDS[own.merge], "axis": -1}))
            calls.append(KerasCall(joined, joined, refs))
            refs = (Ref(joined),)
        made = [] if own.kernel is None else [_dense(source, recipe, number, widths[number])]
        if own.factor is not None:
            made.append(_gain(number, widths[number], *own.factor))
        if not is_bare and (own.kernel is None or own.activates_apart):
            parameters = {"function": activation.name, "arguments": dict(activation.parameters)}
            apart = name if own.kernel is None else f"Activation{number}"
            made.append(KerasLayer(apart, "activation", "Activation", parameters))
        for layer in made:
            calls.append(KerasCall(layer.name, layer.name, refs))
            refs = (Ref(layer.name),)
        layers += made
        names.append(refs[0].name)
    return layers, calls


def _dense(source: WeightFile, recipe: Recipe, number: int, units: int) -> KerasLayer:
    layer = recipe.layers[number - 1]
    kernel, bias = source.arrays[f"Weights/Layer{number}"], source.arrays.get(f"Bias/Layer{number}")
    weights = {"kernel": oc_smart.native(kernel.T if layer.orientation == "units-first" else kernel)}
    if bias is not None:
        weights["bias"] = oc_smart.native(bias.reshape(-1))
    fused = "linear" if layer.activates_apart or layer.activation is None else layer.activation
    spelling = format_activation(parse_activation(fused))
    parameters = {"units": units, "activation": spelling, "use_bias": bias is not None}
    return KerasLayer(f"Layer{number}", "dense", "Dense", parameters, weights)


def _gain(number: int, width: int, factor: float, divides: bool) -> KerasLayer:
    scale = np.full(width, 1 / factor if divides else factor)
    return KerasLayer(f"Gain{number}", "scaling", "Rescaling", {"scale": scale, "offset": np.zeros(width)})


def _rescaling(scaling: Scaling) -> KerasLayer:
    return KerasLayer(scaling.name, "scaling", "Rescaling", {"scale": scaling.scale, "offset": scaling.offset})


def _claims(recipe: Recipe, source: WeightFile, layout: Layout) -> list[Claim]:
    """What the recipe declares of each layer."""
    claims = []
    told = said_activations(source.attributes, layout.kernels, layout.biases)
    said = dict(zip(layout.kernels, told, strict=True))
    for number, layer in enumerate(recipe.layers, start=1):
        name, spelt = f"Layer{number}", layer.activation
        if layer.orientation is not None:
            claims.append(Claim(name, "orientation", layer.orientation, "declared"))
        if spelt is not None:
            own = said.get(f"Weights/{name}")
            claims.append(oc_smart.activation_claim(name, parse_activation(spelt), spelt, own, ""))
        if layer.factor is not None:
            factor, divides = layer.factor
            claims.append(Claim(f"Gain{number}", "gain", f"{'1 / ' if divides else ''}{factor:.9g}", "declared"))
        if layer.takes is not None:
            how = f", {layer.merge}" if layer.merge else ""
            claims.append(Claim(name, "connections", f"takes {', '.join(layer.takes)}{how}", "declared"))
    return claims
