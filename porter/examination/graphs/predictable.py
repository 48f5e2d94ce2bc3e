"""Ports of which it is known beforehand that they give, called as a whole, the bits that their parts give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras

from porter.examination.graphs.view import operations_of

OWN = "keras."
SILENT = ("keras.src.layers.attention.", "keras.src.layers.regularization.", "keras.src.layers.rnn.")
"""Layers that draw numbers in training alone, and do not train unless they are told to."""


def is_predictable(model: Any, ends: Sequence[Any]) -> bool:
    """Whether nothing in a port but Keras' own code computes, nothing of it random, and some tensors are its outputs.

    Then the model called as a whole runs the very operations that its graph lists, to the same bits every time. A class
    or a function of anybody else's, or an attribute that hides one of Keras' own methods, makes it False.

    Args:
        model: the port.
        ends: the tensors of its parts that are compared.
    """
    if list(map(id, ends)) != list(map(id, model.outputs)):
        return False
    return type(model).__module__.startswith(OWN) and all(map(_is_own, _parts(model)))


def _parts(model: Any) -> Iterator[Any]:
    """The model, its operations, and the layers inside those."""
    yield model
    for operation in operations_of(model):
        yield operation
        if isinstance(operation, keras.layers.Layer):
            yield from operation._flatten_layers(include_self=False)


def _is_own(part: Any) -> bool:
    module = type(part).__module__
    if not module.startswith(OWN):
        return False
    held = list(vars(part).values())
    if not module.startswith(SILENT) and any(isinstance(each, keras.random.SeedGenerator) for each in held):
        return False
    return all(_is_made_by_keras(each) for each in held)


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
