"""Code in a port that is not Keras' own, of which nothing is known beforehand, and what such code keeps in mind."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

OWN = "keras."
SILENT = ("keras.src.layers.attention.", "keras.src.layers.regularization.", "keras.src.layers.rnn.")
"""Layers that draw numbers in training alone, and do not train unless they are told to."""
ALONG_AN_AXIS = {
    "All", "Amax", "Amin", "Any", "Argmax", "Argmin", "Argsort", "Concatenate", "CountNonzero", "Cumprod", "Cumsum",
    "Diff", "Flip", "Logsumexp", "LogSoftmax", "Max", "Mean", "Median", "Min", "Moments", "Norm", "Normalize", "Prod",
    "Quantile", "Repeat", "Roll", "Softmax", "Sort", "Stack", "Std", "Sum", "Take", "TakeAlongAxis", "Var",
}  # fmt: skip
"""Keras' operations that make one row depend on others, or on how many there are, along the first axis."""
DEEPEST, MOST = 3, 64
"""How far down objects are looked at for what they keep, and how many entries of a list."""
Put = Callable[[Any], None] | None


def foreign_parts(model: Any, operations: Iterable[Any]) -> tuple[str, ...]:
    """The names of what computes in a model and is not Keras' own code, or draws random numbers.

    A class or a function of anybody else's, or an attribute that hides one of Keras' own methods.

    Args:
        model: a Keras model.
        operations: its layers and operations.
    """
    found = [part for part in _parts(model, operations) if not is_own(part)]
    return tuple(dict.fromkeys(str(getattr(part, "name", type(part).__name__)) for part in found))


def _parts(model: Any, operations: Iterable[Any]) -> Iterator[Any]:
    """The model, its operations, and the layers inside those."""
    yield model
    for operation in operations:
        yield operation
        if hasattr(operation, "_flatten_layers"):
            yield from operation._flatten_layers(include_self=False)


def is_own(part: Any) -> bool:
    """Whether a model, a layer or an operation is Keras' own code and nothing else, and draws no random numbers."""
    import keras

    module = type(part).__module__
    if not module.startswith(OWN) or not all(_is_of_keras(getattr(type(part), name, None)) for name in CALLED):
        return False
    held = list(vars(part).values())
    if not module.startswith(SILENT) and any(isinstance(each, keras.random.SeedGenerator) for each in held):
        return False
    return all(map(_is_made_by_keras, held))


CALLED = ("__call__", "call")


def _is_of_keras(method: Any) -> bool:
    return method is None or str(getattr(method, "__module__", OWN)).startswith(OWN)


def _is_made_by_keras(value: Any) -> bool:
    """Whether an attribute of a layer is no code of anybody else's."""
    if isinstance(value, dict):
        return all(map(_is_made_by_keras, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_made_by_keras, value))
    if not callable(value) or isinstance(value, type):
        return True
    module = getattr(value, "__module__", None) or type(value).__module__
    return str(module).startswith(OWN)


def mixes_rows(node: Any) -> bool:
    """Whether one of Keras' own operations may make a row depend on the others, or on how many there are."""
    operation = node.operation
    kind, rank = type(operation).__name__, len(node.node.outputs[0].shape)
    if kind in ALONG_AN_AXIS:
        axis = getattr(operation, "axis", None)
        axes = axis if isinstance(axis, list | tuple) else (axis,)
        return any(each is None or each == 0 or each in (-rank, -rank - 1) for each in axes)
    if kind == "Transpose":
        order = getattr(operation, "axes", None)
        return not order or order[0] != 0
    if kind == "GetItem":
        return _picks_rows(node.node.arguments.args[1:])
    return kind in ("Einsum", "Tensordot")


def _picks_rows(arguments: tuple[Any, ...]) -> bool:
    key = arguments[0] if arguments else None
    first = key[0] if isinstance(key, tuple) and key else key
    return not (first is Ellipsis or first == slice(None))


@dataclass(frozen=True)
class Kept:
    """What a Python object keeps beside its variables.

    Attributes:
        name: where, for people.
        word: differs where what is kept does.
        value: itself.
        put: sets it to another value; None where that cannot be done from outside.
    """

    name: str
    word: str
    value: Any
    put: Callable[[Any], None] | None


def held_numbers(parts: Iterable[Any]) -> dict[str, Kept]:
    """What Python objects keep beside their variables, by where it is kept.

    Numbers, texts, arrays, and the state of generators: in the attributes of layers, in what functions close over, and
    in the globals that they name.

    Args:
        parts: layers, models and operations of anybody's.
    """
    found: dict[str, Kept] = {}
    for number, part in enumerate(parts):
        name = str(getattr(part, "name", type(part).__name__))
        _look(part, (f"{number}", name), None, 0, found, set())
    return found


def foreign_objects(model: Any, operations: Iterable[Any]) -> tuple[Any, ...]:
    """The parts that ``foreign_parts`` names."""
    return tuple({id(part): part for part in _parts(model, operations) if not is_own(part)}.values())


def _look(value: Any, path: tuple[str, ...], put: Put, depth: int, found: dict[str, Kept], seen: set[int]) -> None:
    word = None
    if isinstance(value, bool | int | float | complex | str | bytes | np.generic) or value is None:
        word = repr(value)
    elif isinstance(value, np.ndarray):
        word = f"{value.shape} {hash(value.tobytes())}"
    elif type(value).__module__ in ("itertools", "collections", "builtins") and _is_counter(value):
        word = repr(value)
    elif hasattr(value, "bit_generator"):
        word = repr(value.bit_generator.state)
    if word is not None:
        found[".".join(path)] = Kept(".".join(path[1:]), word, value, put)
    elif depth < DEEPEST and id(value) not in seen:
        seen.add(id(value))
        for name, each, setter in _held(value):
            _look(each, (*path, name), setter, depth + 1, found, seen)


def _is_counter(value: Any) -> bool:
    return type(value).__name__ in ("count", "range_iterator", "deque", "Counter", "list_iterator")


def _held(value: Any) -> Iterator[tuple[str, Any, Put]]:
    """What an object holds, by name, and what sets it; nothing of what belongs to Keras, TensorFlow or NumPy."""
    if isinstance(value, dict):
        yield from ((str(key), each, partial(value.__setitem__, key)) for key, each in list(value.items())[:MOST])
    elif isinstance(value, list | tuple):
        yield "length", len(value), None
        put = value.__setitem__ if isinstance(value, list) else None
        for number, each in enumerate(value[:MOST]):
            yield str(number), each, None if put is None else partial(put, number)
    elif isinstance(value, types.MethodType):
        yield "self", value.__self__, None
        yield "function", value.__func__, None
    elif isinstance(value, types.FunctionType):
        yield from _held_by_function(value)
    elif hasattr(value, "__dict__") and not isinstance(value, types.ModuleType | type):
        hidden = _bookkeeping() if hasattr(value, "_inbound_nodes") else set()
        own = [(name, each) for name, each in vars(value).items() if name not in hidden]
        yield from ((name, each, partial(setattr, value, name)) for name, each in own)


def _held_by_function(function: types.FunctionType) -> Iterator[tuple[str, Any, Put]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents, partial(setattr, cell, "cell_contents")
        except ValueError:  # a cell that is still empty
            continue
    yield from ((f"default {number}", each, None) for number, each in enumerate(function.__defaults__ or ()))
    named = function.__globals__
    for name in function.__code__.co_names:
        each = named.get(name)
        if isinstance(each, int | float | list | dict | np.ndarray) or hasattr(each, "bit_generator"):
            yield name, each, partial(named.__setitem__, name)
    yield from ((name, each, partial(setattr, function, name)) for name, each in vars(function).items())


def _bookkeeping() -> set[str]:
    """Attributes that Keras itself keeps in every layer."""
    import keras

    return set(vars(keras.layers.Layer())) | {"_inbound_nodes", "_outbound_nodes", "built"}
