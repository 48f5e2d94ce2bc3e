"""Ensembles as a recipe says: several networks of one kind, side by side in one, and their outputs made one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats import scalings
from porter.formats.recipe import WEIGHTED, LayerRecipe, Recipe
from porter.formats.recipe_arrays import Stored, array_at, unfit
from porter.formats.recipe_ends import EndRecipe
from porter.formats.recipe_places import for_member
from porter.network import Dense, Ensemble, Layer, Network, Scaling
from reference.activations import Activation
from reference.composed.ensemble import WITHIN

Array = NDArray[Any]


def read_members_of(stored: Stored, recipe: Recipe) -> dict[str, Array]:
    """The members side by side: the first kernels on the same inputs, all further ones along a diagonal.

    Raises:
        RecipeError: members that do not fit each other, or the rule.
    """
    assert recipe.ensemble is not None
    names = recipe.ensemble.names
    layers = [
        [_member_layer(stored, number, layer, name) for name in names]
        for number, layer in enumerate(recipe.layers, start=1)
    ]
    arrays: dict[str, Array] = {}
    for number, parts in enumerate(layers, start=1):
        kernels = [kernel for kernel, _ in parts]
        arrays[f"Weights/Layer{number}"] = np.concatenate(kernels) if number == 1 else _diagonal(kernels)
        biases = [bias for _, bias in parts if bias is not None]
        if biases:
            arrays[f"Bias/Layer{number}"] = np.concatenate(biases)
    outputs = [len(kernel) for kernel, _ in layers[-1]]
    arrays |= _member_ends(stored, recipe, names, (layers[0][0][0].shape[1], outputs[0]))
    if "Members/Norm_in" in arrays:
        arrays["Weights/Layer1"] = _diagonal([kernel for kernel, _ in layers[0]])
    if len(set(outputs)) > 1:
        told = f"members with {', '.join(map(str, sorted(set(outputs))))} outputs; as many of each"
        raise unfit(stored, "ensemble", told)
    if outputs[0] != 1 and recipe.ensemble.rule == WITHIN:
        told = f"members with {outputs[0]} outputs and the rule {WITHIN!r}; one output each, or a mean of all members"
        raise unfit(stored, "ensemble", told)
    return arrays


def _member_layer(stored: Stored, number: int, layer: LayerRecipe, member: str) -> tuple[Array, Array | None]:
    """(units, inputs) and (units,) of one layer of one member."""
    own = layer.model_copy(
        update={
            "kernel": for_member(layer.kernel or "", member),
            "bias": None if layer.bias is None else for_member(layer.bias, member),
        }
    )
    kernel = np.atleast_2d(array_at(stored, f"layer {number}, kernel", own.place()))
    kernel = kernel.T if layer.orientation == "inputs-first" else kernel
    if own.bias_in is not None:
        return kernel, array_at(stored, f"layer {number}, kernel", own.place(is_bias=True)).reshape(-1)
    bias = None if own.bias is None else array_at(stored, f"layer {number}, bias", own.bias).reshape(-1)
    if kernel.ndim != 2 or (bias is not None and bias.size != len(kernel)):
        raise unfit(
            stored,
            f"layer {number}, member {member}",
            f"a kernel of {kernel.shape} and {0 if bias is None else bias.size} biases; a bias a unit",
        )
    return kernel, bias


def check_activations(stored: Stored, network: Network) -> None:
    """Refuse what goes over all units of a layer, which here are those of all members."""
    over = [layer for layer in network.dense_layers if layer.activation.name == "softmax"]
    if over:
        place = f"layer {over[0].name.removeprefix('Layer')}, activation"
        raise unfit(stored, place, "softmax, which is not read of members; a function of single units")


def _diagonal(kernels: Sequence[Array]) -> Array:
    whole = np.zeros(np.sum([kernel.shape for kernel in kernels], axis=0), np.result_type(*kernels))
    row = column = 0
    for kernel in kernels:
        units, inputs = kernel.shape
        whole[row : row + units, column : column + inputs] = kernel
        row, column = row + units, column + inputs
    return whole


def _member_ends(stored: Stored, recipe: Recipe, names: Sequence[str], width: tuple[int, int]) -> dict[str, Array]:
    """(n, 2) for both ends; (members, n, 2) for the inputs where the members scale them each by its own.

    ``width`` is that of one member: how many inputs it takes, and how many outputs it gives.
    """
    found: dict[str, Array] = {}
    for place, name, value in recipe.places():
        if not name.startswith("Norm"):
            continue
        own = [array_at(stored, place, _end_of_member(value, member)) for member in names]
        if isinstance(value, EndRecipe) and value.is_one_for_all and name == "Norm_in":
            own = [np.repeat(each, width[0], 0) for each in own]
        if name == "Norm_out":
            own = [each.reshape(-1, 2) for each in own]
            found[name] = np.concatenate([np.repeat(each, width[1], 0) if len(each) == 1 else each for each in own])
        elif all(np.array_equal(each, own[0]) for each in own):
            found[name] = own[0]
        elif isinstance(value, EndRecipe) and value.chosen_rule == "mean-std":
            found["Members/Norm_in"] = np.stack(own)
        else:
            raise unfit(stored, place, "another range for each member; a table with mean, std or gain")
    return found


def _end_of_member(value: Any, member: str) -> Any:
    if isinstance(value, str):
        return for_member(value, member)
    if not isinstance(value, EndRecipe):
        return value
    named = {key: for_member(part, member) for key in value.given if isinstance(part := getattr(value, key), str)}
    return value.model_copy(update=named)


def scaled_members(own: Array) -> Dense:
    """The inputs scaled once for each member, side by side."""
    members, width, _ = own.shape
    kernel = np.zeros((width, members * width))
    for place, part in enumerate(own):
        kernel[:, place * width : (place + 1) * width] = np.diag(1 / part[:, 1])
    return Dense("Norm_in", kernel, (-own[:, :, 0] / own[:, :, 1]).reshape(-1), Activation("linear"))


def merged_members(stored: Stored, recipe: Recipe, network: Network, layers: list[Layer]) -> list[Layer]:
    """The layers with the members' outputs made one in the end.

    A mean of several outputs, and a weighted one, is a dense layer: it goes before the scaling of the outputs, which is
    alike for all members.
    """
    assert recipe.ensemble is not None
    members = len(recipe.ensemble.names)
    outputs = network.widths[-1] // members
    if recipe.ensemble.rule != WEIGHTED and outputs == 1:
        return [*layers, Ensemble("Ensemble", members, recipe.ensemble.rule)]
    weights = network.source.arrays.get("Ensemble/weights", np.ones(members)).astype(np.float64)
    if weights.size != members:
        raise unfit(stored, "ensemble, weights", f"{weights.size} for {members} members; one each")
    if not np.isfinite(weights).all() or not np.sum(weights):
        raise unfit(stored, "ensemble, weights", f"a sum of {np.sum(weights):g}; finite weights, whose sum is not 0")
    share = np.kron((weights / np.sum(weights))[:, None], np.eye(outputs))
    merging = Dense("Ensemble", share, None, Activation("linear"))
    last = layers[-1]
    if not isinstance(last, Scaling):
        return [*layers, merging]
    ranges = last.stored.reshape(members, outputs, 2)
    if not np.all(ranges == ranges[0]):
        told = f"another range for each member, and {recipe.ensemble.rule} of {outputs} outputs; one for all members"
        raise unfit(stored, "scaling, output", told)
    return [*layers[:-1], merging, scalings.build_scaling(str(stored.opened.path), last.name, ranges[0], last.rule)]
