"""A Keras model as a chain of layers, taken apart into arrays and put together again with other widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from porter.learning.errors import CompressionError
from porter.network import Dense
from reference.activations import FUNCTIONS, Activation

PASSING = ("Dropout", "Identity")
"""Layers that hand on what they are given, so that units may be taken out across them."""


@dataclass(frozen=True)
class Chain:
    """The layers of a model in their order, and the runs of dense layers in which units may go.

    Attributes:
        model: keras.Model.
        layers: its layers, without the input.
        runs: names of dense layers that follow each other, each with what may stand between them.
    """

    model: Any
    layers: tuple[Any, ...]
    runs: tuple[tuple[str, ...], ...]

    def dense(self, name: str) -> Dense:
        """The arrays of a dense layer."""
        layer = self.model.get_layer(name)
        kernel, *bias = (np.asarray(weight) for weight in layer.get_weights())
        return Dense(name, kernel, bias[0] if bias else None, _activation(layer))


def read_chain(model: Any) -> Chain:
    """The chain of a model's layers.

    Raises:
        CompressionError: a model whose layers do not follow each other one by one.
    """
    from porter.ports.keras.graph import read_graph

    nodes = read_graph(model).nodes
    names = {layer.name for layer in model.layers}
    follows = all(
        len(node.inputs) == 1 and len(node.outputs) == 1 and node.name in names
        and (k == 0 or node.inputs[0] == nodes[k - 1].outputs[0])
        for k, node in enumerate(nodes)
    )  # fmt: skip
    if not follows or len({node.name for node in nodes}) < len(nodes):
        raise CompressionError(
            f"the model {model.name}", found="layers that branch, join or stand inside each other",
            expected="layers that follow each other one by one", remedy="choose float16 or int8, which take any model",
        )  # fmt: skip
    layers = tuple(node.operation for node in nodes)
    return Chain(model, layers, tuple(_runs(layers)))


def _runs(layers: Sequence[Any]) -> list[tuple[str, ...]]:
    runs: list[list[str]] = [[]]
    for layer in layers:
        kind = type(layer).__name__
        if kind == "Dense" and _activation_name(layer) is not None:
            runs[-1].append(layer.name)
        elif kind not in PASSING:
            runs.append([])
    return [tuple(run) for run in runs if run]


def _activation_name(layer: Any) -> str | None:
    """The reference's name of a dense layer's activation; None where it has none by which its value is known."""
    import keras

    name = keras.activations.serialize(layer.activation)
    return name if isinstance(name, str) and name in FUNCTIONS else None


def _activation(layer: Any) -> Activation:
    name = _activation_name(layer)
    assert name is not None
    return Activation(name)


def rebuild(chain: Chain, arrays: Mapping[str, Dense | None], policy: str | None = None) -> Any:
    """The same model with other dense layers.

    Args:
        chain: of the model.
        arrays: name of a dense layer to what takes its place; None for a layer that is gone.
        policy: dtype policy of the dense layers; None for that of the model.
    """
    import keras

    first = chain.model.inputs[0]
    inputs = keras.Input(first.shape[1:], dtype=first.dtype, name="inputs")
    tensor, values = inputs, []
    for layer in chain.layers:
        if layer.name in arrays and arrays[layer.name] is None:
            continue
        config = layer.get_config()
        dense = arrays.get(layer.name)
        if dense is not None:
            config |= {"units": dense.kernel.shape[1], "use_bias": dense.bias is not None}
            config["activation"] = dense.activation.name
        if policy is not None and layer.weights:
            config["dtype"] = policy
        made = type(layer).from_config(config)
        tensor = made(tensor)
        held = layer.get_weights() if dense is None else [dense.kernel, *([] if dense.bias is None else [dense.bias])]
        values.append((made, held))
    model = keras.Model(inputs, tensor, name=chain.model.name)
    for made, held in values:
        made.set_weights(
            [np.asarray(array).astype(weight.dtype) for array, weight in zip(held, made.weights, strict=True)]
        )
    return model
