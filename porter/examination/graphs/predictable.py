"""Ports of which it is known beforehand that they give, called as a whole, the bits that their parts give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from porter.examination.graphs.view import operations_of
from porter.ports.keras.foreign import foreign_parts


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
    return not foreign_parts(model, operations_of(model))
