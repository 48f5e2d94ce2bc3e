"""Python that a person pastes to put a port right; ``model`` is the port, ``network`` the legacy network.

Names come out of files, and stand in it as string literals.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def quoted(name: str) -> str:
    """The name as a literal."""
    return json.dumps(name)


def reached(path: str) -> str:
    """The layer of a port; one of a model inside of it is named ``inner/layer``."""
    return "model" + "".join(f".get_layer({quoted(name)})" for name in path.split("/"))


def literal(value: Any) -> str:
    """A number, a name, or several of them, as Python; arrays as lists."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return quoted(value) if isinstance(value, str) else repr(value)


def remade(name: str, arguments: Mapping[str, str], kind: str | None = None, *, weights: bool = True) -> str:
    """Make one layer again with other arguments, in a model that has it in its place.

    Args:
        name: of the layer.
        arguments: the value of each, as Python.
        kind: class to make it of, as Python; its own where None.
        weights: whether it keeps its own; it has more of them, or others, where not.
    """
    told = "".join(f", {quoted(key)}: {value}" for key, value in arguments.items())
    made = f"{'type(layer)' if kind is None else kind}.from_config({{**layer.get_config(){told}}})"
    lines = [f"layer = {reached(name)}", f"again = {made}", _exchanged(name)]
    return "\n".join([*lines, *(["again.set_weights(layer.get_weights())"] if weights else [])])


def swapped(name: str, layer: str) -> str:
    """Another layer, as Python, in the place of one."""
    return f"again = {layer}\n{_exchanged(name)}"


ACTIVATIONS = (
    *("linear", "tanh", "relu", "leaky_relu", "relu6", "sigmoid", "softsign", "softplus", "elu", "selu"),
    *("exponential", "gelu", "silu", "mish", "hard_sigmoid", "hard_tanh", "softmax"),
)
"""Functions that Keras has under the reference's own name, with the same defaults."""
PARAMETRIC = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU", "softmax": "Softmax"}
"""Keras' layers of those that take parameters, by the same names."""


def activated(name: str, function: str, parameters: Mapping[str, Any], is_layer: bool) -> str:
    """An activation in a layer that applies one.

    Args:
        name: of the layer.
        function: of the reference.
        parameters: of that.
        is_layer: whether the layer is itself a function, and has to give way.
    """
    told = ", ".join(f"{key}={literal(value)}" for key, value in parameters.items())
    if parameters and function in PARAMETRIC:
        made = f"keras.layers.{PARAMETRIC[function]}({told}, {{}})"
        policy = f"dtype={reached(name)}.dtype_policy"
        if is_layer:
            return swapped(name, made.format(f"name={quoted(name)}, {policy}"))
        return remade(name, {"activation": made.format(policy)})
    if parameters or function not in ACTIVATIONS:
        return f"apply {function}{f'({told})' if told else ''} behind {name}"
    if is_layer:
        policy = f"dtype={reached(name)}.dtype_policy"
        return swapped(name, f"keras.layers.Activation({quoted(function)}, name={quoted(name)}, {policy})")
    return f"{reached(name)}.activation = keras.activations.get({quoted(function)})"


def taken_out(names: Iterable[str]) -> str:
    """A model in which these layers do nothing."""
    names = list(names)
    idle = f"keras.layers.Identity(name=one.name) if one.name in [{', '.join(map(quoted, names))}] else one"
    clone = f"model = keras.models.clone_model(model, clone_function=lambda one: {idle})"
    return f"{commented(f'take {_said(names)} out')}\n{clone}"


def _said(names: Iterable[str]) -> str:
    """Names in one line, whatever characters they have."""
    return ", ".join(quoted(name)[1:-1] for name in names)


def _exchanged(name: str) -> str:
    clone = f"lambda one: again if one.name == {quoted(name)} else one"
    return f"model = keras.models.clone_model(model, clone_function={clone})"


def built(placement: str = "inside", dtype: str = "float32") -> str:
    """The port as porter builds it."""
    told = [f"placement={quoted(placement)}"] if placement != "inside" else []
    told += [f"dtype={quoted(dtype)}"] if dtype != "float32" else []
    return f"model = porter.build({', '.join(['network', *told])})"


def is_code(line: str) -> bool:
    """Whether a line is Python that does something."""
    try:
        return bool(ast.parse(line).body)
    except (SyntaxError, ValueError):
        return False


def as_python(remedy: str) -> str:
    """The remedy with what is no Python as comments."""
    lines = [line for line in remedy.splitlines() if line.strip()]
    return "\n".join(line if is_code(line) else commented(line) for line in lines)


def commented(remedy: str) -> str:
    """The remedy as comments alone."""
    lines = [line.strip() for line in remedy.splitlines() if line.strip()]
    return "\n".join(line if line.startswith("#") else f"# {line}" for line in lines)


def has_code(remedy: str) -> bool:
    """Whether there is anything to run."""
    return any(is_code(line) for line in remedy.splitlines())
