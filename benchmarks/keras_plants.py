"""Mistakes planted into ports of legacy Keras networks, one function each.

A port is described by Keras' own configuration and arrays, so that a mistake is a change of either; it is built anew.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, permutations
from typing import Any

import numpy as np

from benchmarks import planting
from benchmarks.planting import ANY

Array = np.ndarray
Entry = dict[str, Any]

FUNCTIONS = ("relu", "tanh", "sigmoid", "elu", "softplus", "softsign", "selu", "linear", "hard_sigmoid", "gelu",
             "silu", "mish", "exponential", "relu6", "leaky_relu")  # fmt: skip
GATES = {"LSTM": 4, "ConvLSTM2D": 4, "GRU": 3, "SimpleRNN": 1}


@dataclass(frozen=True)
class KerasPort:
    """A port as a description.

    Attributes:
        config: of the model, by ``get_config``.
        weights: arrays by layer and Keras' name of the variable, numbered where a wrapper has several of a name.
    """

    config: Any
    weights: Mapping[str, Mapping[str, Array]] = field(repr=False)

    @classmethod
    def of(cls, model: Any) -> KerasPort:
        """The description of a model."""
        return cls(model.get_config(), {each.name: named_weights(each) for each in model.layers})

    @property
    def layers(self) -> list[Entry]:
        """Entries of the configuration."""
        return list(self.config["layers"])

    def entry(self, name: str) -> Entry:
        """The entry of one layer."""
        return next(entry for entry in self.layers if entry["name"] == name)

    def inner(self, name: str) -> Entry:
        """The configuration of one layer, or of the layer inside it."""
        config: Entry = self.entry(name)["config"]
        return config["layer"]["config"] if "layer" in config else config

    def kind(self, name: str) -> str:
        """Class of one layer, or of the layer inside it."""
        entry = self.entry(name)
        return str(entry["config"]["layer"]["class_name"] if "layer" in entry["config"] else entry["class_name"])

    def change(self, name: str, **config: Any) -> KerasPort:
        """With other arguments of one layer, or of the layer or layers inside it."""
        port = replace(self, config=copy.deepcopy(self.config))
        port.inner(name).update(config)
        other = port.entry(name)["config"].get("backward_layer")
        if other is not None:
            turned = {**config, "go_backwards": not config["go_backwards"]} if "go_backwards" in config else config
            other["config"].update(turned)
        return port

    def rewrite(self, name: str, entry: Mapping[str, Any]) -> KerasPort:
        """With another entry for one layer."""
        port = replace(self, config=copy.deepcopy(self.config))
        port.entry(name).update(copy.deepcopy(dict(entry)))
        return port

    def set(self, name: str, **arrays: Array | None) -> KerasPort:
        """With other arrays of one layer; None takes one away."""
        own = {key: value for key, value in {**self.weights[name], **arrays}.items() if value is not None}
        return replace(self, weights={**self.weights, name: own})

    def build(self, dtype: str | None = None) -> Any:
        """The model; in another dtype throughout where one is given."""
        import keras

        config = copy.deepcopy(self.config)
        if dtype is not None:
            config = _in_dtype(config, dtype)
        return self.fill(keras.Model.from_config(config))

    def fill(self, model: Any) -> Any:
        """A model of this configuration, given these arrays."""
        for layer in model.layers:
            names = list(named_weights(layer))
            if names:
                layer.set_weights([self.weights[layer.name][name] for name in names])
        return model


def _in_dtype(value: Any, dtype: str) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy":
            return {**value, "config": {"name": dtype}}
        changed = {key: _in_dtype(each, dtype) for key, each in value.items()}
        if changed.get("dtype") in ("float32", "float16", "bfloat16"):
            changed["dtype"] = dtype
        return changed
    return [_in_dtype(each, dtype) for each in value] if isinstance(value, list | tuple) else value


def named_weights(layer: Any) -> dict[str, Array]:
    """Arrays of a layer by name: "kernel", "kernel@1" for the second of that name."""
    found: dict[str, Array] = {}
    for weight in layer.weights:
        number = sum(name.split("@")[0] == weight.name for name in found)
        found[f"{weight.name}@{number}" if number else weight.name] = np.asarray(weight).copy()
    return found


Planted = planting.Planted[KerasPort]
Plant = Callable[[KerasPort, np.random.Generator], Planted | None]
PLANTS: dict[str, Plant] = {}


def plant(function: Plant) -> Plant:
    """Register a mistake under its name."""
    if function.__name__ in PLANTS:
        raise ValueError(f"{function.__name__} is planted twice")
    PLANTS[function.__name__] = function
    return function


def at(port: KerasPort, codes: str, name: str, row: str | None = None) -> Planted:
    """One mistake at one row; several codes with blanks between.

    Of several layers that stand for one of the file, the last bears its name alone.
    """
    return Planted(port, ((frozenset(codes.split()), row or row_of(name)),), layer=name)


def row_of(name: str) -> str:
    """Name of the file's layer that a layer of the port belongs to."""
    return re.sub("_(kernel|pool|edge)$", "", name)


def pick(rng: np.random.Generator, names: Sequence[Any]) -> Any | None:
    """One at random, or None of none."""
    return names[int(rng.integers(len(names)))] if names else None


def arrays(port: KerasPort, *names: str) -> Iterator[tuple[str, str, Array]]:
    """(layer, variable, array) of every variable of those names; of all kernels where none are given."""
    wanted = names or ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")
    for layer, own in port.weights.items():
        for variable, array in own.items():
            if variable.split("@")[0] in wanted:
                yield layer, variable, array


def of_kind(port: KerasPort, *kinds: str) -> list[str]:
    """Layers of those classes, by name; "Conv" is that of any number of dimensions."""
    names = [entry["name"] for entry in port.layers]
    return [name for name in names if {port.kind(name), re.sub(r"\dD$", "", port.kind(name))} & set(kinds)]


def changed(
    port: KerasPort, rng: np.random.Generator, codes: str, change: Callable[[Array], Array | None], *names: str
) -> Planted | None:
    """One array changed, where the change is one."""
    options = []
    for layer, variable, array in arrays(port, *names):
        other = change(array)
        if other is not None and not np.array_equal(other, array):
            options.append((layer, variable, other))
    chosen = pick(rng, options)
    if chosen is None:
        return None
    layer, variable, other = chosen
    return at(
        port.set(layer, **{variable: np.ascontiguousarray(other, port.weights[layer][variable].dtype)}), codes, layer
    )


# --- layout ---------------------------------------------------------------------------------------------------------


@plant
def kernel_transposed(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Square ones, pointwise ones of square channels."""

    def turn(k: Array) -> Array | None:
        square = k.shape[-1] == k.shape[-2] and math.prod(k.shape[:-2]) == 1
        return np.swapaxes(k, -1, -2) if square else None

    return changed(port, rng, "kernel.transposed", turn)


@plant
def kernel_reshaped(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Read column by column."""

    def reshape(k: Array) -> Array | None:
        is_square = math.prod(k.shape[:-2]) == 1 and k.shape[-2] == k.shape[-1]
        return None if is_square or min(k.shape[-2:]) == 1 else k.ravel().reshape(k.shape, order="F")

    # Where all axes are of one length, that is the same as all of them in reverse order.
    return changed(port, rng, "kernel.reshaped kernel.axes", reshape)


@plant
def kernel_flipped(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Turned round along every axis of space, as Theano has it."""

    def flip(k: Array) -> Array | None:
        return np.flip(k, tuple(range(k.ndim - 2))) if k.ndim > 2 else None

    return changed(port, rng, "kernel.flipped", flip)


@plant
def kernel_axes(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Filters first, as other frameworks store it, reshaped."""

    def move(k: Array) -> Array | None:
        order = (k.ndim - 1, k.ndim - 2, *range(k.ndim - 2))
        return np.transpose(k, order).reshape(k.shape) if k.ndim > 2 and math.prod(k.shape[:-2]) > 1 else None

    return changed(port, rng, "kernel.axes kernel.reshaped", move)


@plant
def kernel_space_exchanged(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Height for width."""

    def move(k: Array) -> Array | None:
        return np.swapaxes(k, 0, 1) if k.ndim == 4 and k.shape[0] == k.shape[1] > 1 else None

    return changed(port, rng, "kernel.axes", move)


@plant
def kernel_channels_exchanged(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Inputs for filters."""

    def move(k: Array) -> Array | None:
        square = k.ndim > 2 and k.shape[-1] == k.shape[-2] > 1 and math.prod(k.shape[:-2]) > 1
        return np.swapaxes(k, -1, -2) if square else None

    return changed(port, rng, "kernel.axes", move)


@plant
def flatten_order(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Rows of a dense kernel for channels that come first, behind a Flatten that has them last."""
    names = [entry["name"] for entry in port.layers]
    for before, name in pairwise(names):
        if port.kind(before) == "Flatten" and port.kind(name) == "Dense":
            shape = port.entry(before)["build_config"]["input_shape"][1:]
            kernel = port.weights[name]["kernel"].reshape((*shape, -1))
            if min(shape) == 1 and math.prod(shape[:-1]) in (1, math.prod(shape)):
                return None
            moved = np.moveaxis(kernel, len(shape) - 1, 0).reshape(port.weights[name]["kernel"].shape)
            return at(port.set(name, kernel=moved), "flatten.order", name)
    del rng
    return None


@plant
def flatten_layout(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """A Flatten that turns the channels."""
    name = pick(rng, of_kind(port, "Flatten"))
    if name is None:
        return None
    other = "channels_last" if port.inner(name)["data_format"] == "channels_first" else "channels_first"
    return at(port.change(name, data_format=other), "flatten.order", name)


# --- numbers --------------------------------------------------------------------------------------------------------


def _rounded(rule: Callable[[Array], Array]) -> Callable[[Array], Array | None]:
    return lambda k: rule(k) if k.size >= 12 and k.dtype != np.float16 else None


def _to_bfloat16(k: Array) -> Array:
    import ml_dtypes

    return k.astype(ml_dtypes.bfloat16).astype(k.dtype)


@plant
def kernel_float16(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "kernel.precision", _rounded(lambda k: k.astype(np.float16)))


@plant
def kernel_bfloat16(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "kernel.precision", _rounded(_to_bfloat16))


@plant
def kernel_decimals(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "kernel.precision", _rounded(lambda k: np.round(k, 4)))


@plant
def port_rounded(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Every array through float16."""
    del rng
    whole = {
        layer: {key: value.astype(np.float16).astype(value.dtype) for key, value in own.items()}
        for layer, own in port.weights.items()
    }
    first = next((layer for layer, own in port.weights.items() if own), None)
    return None if first is None else Planted(
        replace(port, weights=whole), ((frozenset({"precision.port", "kernel.precision"}), ANY),), layer=first
    )  # fmt: skip


def _one(rng: np.random.Generator, factor: float) -> Callable[[Array], Array | None]:
    def change(k: Array) -> Array | None:
        usable = np.flatnonzero(np.abs(k.ravel()) > 1e-3)
        if k.size < 4 or not len(usable):
            return None
        other = k.copy().ravel()
        other[rng.choice(usable)] *= factor
        return other.reshape(k.shape)

    return change


@plant
def one_weight_sign(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "kernel.values", _one(rng, -1))


@plant
def one_weight_3(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "kernel.values", _one(rng, 1 + 1e-3))


@plant
def one_weight_4(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "kernel.values", _one(rng, 1 + 1e-4))


@plant
def one_weight_6(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "kernel.values", _one(rng, 1 + 1e-6))


@plant
def kernel_unset(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """As Glorot's initializer leaves it."""

    def fresh(k: Array) -> Array | None:
        fan = math.prod(k.shape[:-2]) * (k.shape[-2] + k.shape[-1])
        return rng.uniform(-1, 1, k.shape).astype(k.dtype) * np.sqrt(6 / fan).astype(k.dtype) if k.size >= 16 else None

    # A dozen numbers do not say where they come from: then entry by entry is right as well.
    return changed(port, rng, "kernel.unset kernel.values", fresh, "kernel", "pointwise_kernel")


@plant
def kernel_constant(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    value = float(rng.choice([0.0, 1.0]))
    return changed(port, rng, "kernel.unset", lambda k: np.full_like(k, value))


@plant
def embedding_shifted(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Word k with the row of word k - 1."""
    return changed(port, rng, "kernel.values", lambda k: np.roll(k, 1, axis=0), "embeddings")


# --- biases ---------------------------------------------------------------------------------------------------------


def _has_bias(b: Array) -> bool:
    return b.size > 1 and bool((b != 0).any())


@plant
def bias_zero(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "bias.missing", lambda b: np.zeros_like(b) if _has_bias(b) else None, "bias", "beta")


@plant
def bias_absent(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """``use_bias=False``."""
    kinds = ("Dense", "Conv", "DepthwiseConv", "SeparableConv", "LSTM", "GRU", "SimpleRNN")
    known = [name for name in of_kind(port, *kinds) if "layer" not in port.entry(name)["config"]]
    name = pick(rng, [name for name in known if "bias" in port.weights[name]])
    return None if name is None else at(port.change(name, use_bias=False).set(name, bias=None), "bias.missing", name)


@plant
def bias_negated(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "bias.negated", lambda b: -b if _has_bias(b) else None, "bias", "beta")


@plant
def bias_value(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    def shift(b: Array) -> Array | None:
        other = b.copy().ravel()
        other[int(rng.integers(b.size))] += 0.25
        return other.reshape(b.shape) if _has_bias(b) else None

    return changed(port, rng, "bias.values", shift, "bias", "beta")


def _alike(port: KerasPort, *variables: str) -> list[tuple[str, str]]:
    """Pairs of layers of one class whose arrays have the same shapes, but other numbers."""
    found = []
    names = [name for name, own in port.weights.items() if own]
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            mine, theirs = port.weights[one], port.weights[two]
            same = port.kind(one) == port.kind(two) and set(mine) == set(theirs)
            if same and all(key in mine and mine[key].shape == theirs[key].shape for key in (variables or mine)):
                found.append((one, two))
    return found


@plant
def biases_swapped(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    pair = pick(rng, [pair for pair in _alike(port, "bias") if port.weights[pair[0]]["bias"].ndim == 1])
    if pair is None:
        return None
    one, two = pair
    swapped = port.set(one, bias=port.weights[two]["bias"]).set(two, bias=port.weights[one]["bias"])
    code = frozenset({"biases.swapped"})
    return Planted(swapped, ((code, row_of(one)), (code, row_of(two))), layer=one)


@plant
def layers_swapped(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    pair = pick(rng, _alike(port))
    if pair is None:
        return None
    one, two = pair
    swapped = port.set(one, **port.weights[two]).set(two, **port.weights[one])
    code = frozenset({"layers.swapped"})
    return Planted(swapped, ((code, row_of(one)), (code, row_of(two))), layer=one)


@plant
def units_permuted(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Kernel and bias of one layer, the layer behind it left alone."""
    names = [name for name in of_kind(port, "Dense", "Conv1D", "Conv2D") if port.kind(name) != "Conv2DTranspose"
             and port.weights[name]["kernel"].shape[-1] > 2 and "bias" in port.weights[name]]  # fmt: skip
    name = pick(rng, names)
    if name is None:
        return None
    kernel, bias = (port.weights[name][key] for key in ("kernel", "bias"))
    order = np.roll(np.arange(len(bias)), 1)
    return at(port.set(name, kernel=kernel[..., order], bias=bias[order]), "units.permuted outputs.permuted", name)


@plant
def inputs_permuted(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Input channels of the first layer in reverse order: BGR for RGB."""
    del rng
    name = next((name for name, own in port.weights.items() if own), None)
    if name is None or port.weights[name].get("kernel", np.zeros((1, 1))).shape[-2] < 3 or port.kind(name) in GATES:
        return None
    kernel = port.weights[name]["kernel"][..., ::-1, :]
    if kernel.shape[-2] != port.entry(name)["build_config"]["input_shape"][-1]:
        return None
    return at(port.set(name, kernel=kernel), "inputs.permuted", name)


# --- activations ----------------------------------------------------------------------------------------------------


def _functions(port: KerasPort, argument: str) -> list[str]:
    return [entry["name"] for entry in port.layers if isinstance(port.inner(entry["name"]).get(argument), str)]


def _other(rng: np.random.Generator, own: str) -> str:
    return str(rng.choice([name for name in FUNCTIONS if name not in (own, "linear")]))


def _plain(port: KerasPort) -> list[str]:
    # The old hard sigmoid stands behind its layer in two of its own, except in float32.
    apart = {name for name in port.weights if f"{name.removesuffix('_kernel')}_line" in port.weights}
    return [name for name in _functions(port, "activation") if port.kind(name) not in GATES and name not in apart]


@plant
def activation_replaced(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    name = pick(rng, [name for name in _plain(port) if port.inner(name)["activation"] != "linear"])
    if name is None:
        return None
    other = _other(rng, port.inner(name)["activation"])
    return at(port.change(name, activation=other), "activation.replaced", name)


@plant
def activation_missing(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    name = pick(rng, [name for name in _plain(port) if port.inner(name)["activation"] != "linear"])
    return None if name is None else at(port.change(name, activation="linear"), "activation.missing", name)


@plant
def activation_added(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    name = pick(rng, [name for name in _plain(port) if port.inner(name)["activation"] == "linear"])
    return None if name is None else at(port.change(name, activation=_other(rng, "linear")), "activation.added", name)


@plant
def hard_sigmoid_of_keras_3(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """x / 6 for 0.2 x."""
    options = [
        (entry["name"], argument)
        for entry in port.layers
        for argument in ("activation", "recurrent_activation")
        if isinstance(port.inner(entry["name"]).get(argument), dict)
        and port.inner(entry["name"])[argument].get("config", {}).get("name") == "hard_sigmoid_keras2"
    ]
    chosen = pick(rng, options)
    if chosen is None:
        return None
    name, argument = chosen
    code = "recurrent.activation" if port.kind(name) in GATES else "activation.replaced"
    return at(port.change(name, **{argument: "hard_sigmoid"}), code, name)


@plant
def activation_slope(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Of LeakyReLU and ELU."""
    name = pick(rng, of_kind(port, "LeakyReLU", "ELU"))
    if name is None:
        return None
    key = "negative_slope" if port.kind(name) == "LeakyReLU" else "alpha"
    other = float(rng.choice([value for value in (0.01, 0.2, 0.37, 0.7) if value != port.inner(name)[key]]))
    return at(port.change(name, **{key: other}), "activation.parameter", name)


@plant
def learned_slope_for_one(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """PReLU's slopes all alike."""
    return changed(port, rng, "kernel.unset", lambda a: np.full_like(a, 0.25), "alpha")


@plant
def recurrent_activation(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    argument = str(rng.choice(["activation", "recurrent_activation"]))
    name = pick(rng, [name for name in _functions(port, argument) if port.kind(name) in GATES])
    if name is None:
        return None
    other = str(rng.choice([f for f in ("tanh", "sigmoid", "relu", "softsign") if f != port.inner(name)[argument]]))
    return at(port.change(name, **{argument: other}), "recurrent.activation", name)


# --- normalization --------------------------------------------------------------------------------------------------


@plant
def batch_norm_epsilon(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    name = pick(rng, of_kind(port, "BatchNormalization"))
    if name is None:
        return None
    other = float(rng.choice([e for e in (1e-3, 1e-5, 2.5e-2, 1.3e-4) if e != port.inner(name)["epsilon"]]))
    return at(port.change(name, epsilon=other), "batch_norm.epsilon", name)


@plant
def layer_norm_epsilon(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    name = pick(rng, of_kind(port, "LayerNormalization"))
    if name is None:
        return None
    other = float(rng.choice([e for e in (1e-3, 0.1, 3.7e-2) if e != port.inner(name)["epsilon"]]))
    return at(port.change(name, epsilon=other), "layer_norm.epsilon", name)


@plant
def batch_norm_order(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """gamma, beta, mean and variance in another order."""
    name = pick(rng, of_kind(port, "BatchNormalization"))
    if name is None:
        return None
    keys = list(port.weights[name])
    order = [order for order in permutations(range(len(keys))) if order != tuple(range(len(keys)))]
    chosen = order[int(rng.integers(len(order)))]
    return at(port.set(name, **{key: port.weights[name][keys[i]] for key, i in zip(keys, chosen, strict=True)}),
              "batch_norm.order", name)  # fmt: skip


@plant
def batch_norm_deviation(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return changed(port, rng, "batch_norm.order", np.sqrt, "moving_variance")


# --- recurrence -----------------------------------------------------------------------------------------------------


@plant
def gates_permuted(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    name = pick(rng, of_kind(port, "LSTM", "GRU", "ConvLSTM2D"))
    if name is None:
        return None
    count = GATES[port.kind(name)]
    orders = list(permutations(range(count)))[1:]
    order = orders[int(rng.integers(len(orders)))]

    def turn(array: Array) -> Array:
        parts = np.split(array, count, axis=-1)
        return np.concatenate([parts[i] for i in order], axis=-1)

    return at(
        port.set(name, **{key: turn(value) for key, value in port.weights[name].items()}), "recurrent.gates", name
    )


@plant
def kernels_exchanged(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """The input kernel for the recurrent one."""
    names = [name for name in of_kind(port, *GATES) if port.weights[name]["kernel"].shape
             == port.weights[name]["recurrent_kernel"].shape]  # fmt: skip
    name = pick(rng, names)
    if name is None:
        return None
    own = port.weights[name]
    other = port.set(name, kernel=own["recurrent_kernel"], recurrent_kernel=own["kernel"])
    return at(other, "recurrent.swapped", name)


@plant
def reset_after(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    name = pick(rng, [name for name in of_kind(port, "GRU") if "layer" not in port.entry(name)["config"]])
    if name is None:
        return None
    before, bias = port.inner(name)["reset_after"], port.weights[name]["bias"]
    bias = bias[0] if before else np.stack([bias, np.zeros_like(bias)])
    code = "recurrent.reset_after"
    return at(port.change(name, reset_after=not before).set(name, bias=bias), code, name)


@plant
def go_backwards(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    names = [name for name in of_kind(port, *GATES) if "layer" not in port.entry(name)["config"]]
    name = pick(rng, names)
    if name is None:
        return None
    turned = not port.inner(name)["go_backwards"]
    return at(port.change(name, go_backwards=turned), "recurrent.direction", name)


@plant
def directions_exchanged(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """The arrays of the forward layer in the backward one."""
    name = pick(rng, [entry["name"] for entry in port.layers if entry["class_name"] == "Bidirectional"])
    if name is None:
        return None
    own = port.weights[name]
    turned = {key.split("@")[0] + ("" if "@" in key else "@1"): value for key, value in own.items()}
    return at(port.set(name, **turned), "recurrent.direction", name)


@plant
def merge_mode(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Of merge layers of one shape."""
    name = pick(rng, of_kind(port, "Add", "Average", "Maximum", "Multiply"))
    if name is None:
        return None
    kinds = [kind for kind in ("Add", "Average", "Maximum", "Multiply") if kind != port.kind(name)]
    return at(port.rewrite(name, {"class_name": str(rng.choice(kinds))}), "merge.replaced", name)


# --- windows --------------------------------------------------------------------------------------------------------


def _reconfigured(
    port: KerasPort, rng: np.random.Generator, names: Sequence[str], codes: str, **options: Any
) -> Planted | None:
    """One argument of one layer changed; nothing where the layers behind it do not take what comes out."""
    for name in rng.permutation(list(names)).tolist():
        for key, values in options.items():
            own = port.inner(name).get(key)
            for value in values:
                other = [value] * len(own) if isinstance(own, list | tuple) else value
                if own is None or list(np.atleast_1d(other)) == list(np.atleast_1d(own)):
                    continue
                planted = at(port.change(name, **{key: other}), codes, name)
                if can_be_built(planted.port):
                    return planted
    return None


def can_be_built(port: KerasPort) -> bool:
    """Whether Keras builds it, the arrays fit, no layer is cut off, and it takes a row of zeros."""
    try:
        model = port.build()
        if len(model.layers) != len(port.layers):
            return False
        rows = [np.zeros((1, *(9 if n is None else n for n in each.shape[1:])), each.dtype) for each in model.inputs]
        model(rows[0] if len(rows) == 1 else rows)
    except Exception:  # whatever a backend raises
        return False
    return True


CONVOLUTIONS = ("Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D")


@plant
def padding(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    names = [name for name in of_kind(port, *CONVOLUTIONS) if max(port.inner(name)["kernel_size"]) > 1]
    return _reconfigured(port, rng, names, "padding", padding=["valid", "same", "causal"])


@plant
def padding_around(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Zeros on the other side."""
    name = pick(rng, of_kind(port, "ZeroPadding2D"))
    if name is None:
        return None
    turned = [pair[::-1] for pair in port.inner(name)["padding"]]
    return at(port.change(name, padding=turned), "padding", name)


@plant
def strides(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    return _reconfigured(port, rng, of_kind(port, *CONVOLUTIONS), "strides", strides=[2, 1, 3])


@plant
def dilation(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    names = [name for name in of_kind(port, *CONVOLUTIONS) if max(port.inner(name)["kernel_size"]) > 1]
    return _reconfigured(port, rng, names, "strides", dilation_rate=[2, 1])


@plant
def pooling_kind(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Max for average, also over all of space."""
    kinds = [kind for kind in ("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling")]
    name = pick(rng, of_kind(port, *kinds))
    if name is None:
        return None
    kind = port.entry(name)["class_name"]
    other = kind.replace("Max", "Average") if "Max" in kind else kind.replace("Average", "Max")
    return at(port.rewrite(name, {"class_name": other}), "pooling", name)


@plant
def pooling_window(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    names = of_kind(port, "MaxPooling", "AveragePooling")
    return _reconfigured(port, rng, names, "pooling", pool_size=[3, 2, 1])


# --- graph and mode -------------------------------------------------------------------------------------------------


def _taken(port: KerasPort, name: str) -> list[Any]:
    """What a merge takes, to be changed in place."""
    return port.entry(name)["inbound_nodes"][0]["args"][0]


@plant
def concatenation_order(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    name = pick(rng, of_kind(port, "Concatenate"))
    if name is None:
        return None
    other = port.rewrite(name, {})
    taken = _taken(other, name)
    taken.reverse()
    return at(other, "graph.edge", name)


@plant
def skip_missing(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """A merge that hands on one of its inputs alone."""
    name = pick(rng, of_kind(port, "Add", "Maximum", "Average", "Multiply"))
    if name is None:
        return None
    taken = _taken(port, name)[int(rng.integers(2))]
    dtype = port.inner(name)["dtype"]
    entry = {"module": "keras.layers", "class_name": "Activation", "config": {"name": name, "activation": "linear",
             "dtype": dtype}, "inbound_nodes": [{"args": [taken], "kwargs": {}}]}  # fmt: skip
    return at(port.rewrite(name, entry), "graph.edge", name)


@plant
def attention_arguments(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Query and value exchanged."""
    name = pick(rng, of_kind(port, "Attention"))
    if name is None:
        return None
    other = port.rewrite(name, {})
    _taken(other, name).reverse()
    return at(other, "graph.edge", name)


def with_dropout(port: KerasPort, name: str) -> KerasPort:
    """With a real Dropout where porter puts a layer that does nothing."""
    config = {"name": name, "rate": 0.4, "dtype": port.inner(name)["dtype"]}
    return port.rewrite(name, {"class_name": "Dropout", "config": config})


@plant
def training_mode(port: KerasPort, rng: np.random.Generator) -> Planted | None:
    """Dropout or batch normalization called with training=True."""
    name = pick(rng, of_kind(port, "Identity", "BatchNormalization"))
    if name is None:
        return None
    other = with_dropout(port, name) if port.kind(name) == "Identity" else port.rewrite(name, {})
    other.entry(name)["inbound_nodes"][0]["kwargs"]["training"] = True
    return replace(at(other, "mode.training", name), random=True)
