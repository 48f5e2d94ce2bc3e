"""Recurrent layers of Keras' own walked by their cells, all that a step was fed with at once.

Whatever states a walk gives, agreement proves the step: every state is what the legacy cell makes of the one before it,
and the port's outputs are what it makes of the last. Disagreement proves nothing: a layer may round otherwise than its
cell does on other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.cell import States
from reference.rounding.recurrent_steps import Stepped

Array = NDArray[Any]
Arrays = tuple[Array, ...]


@dataclass(frozen=True)
class Rows:
    """One set of probes of a step.

    Attributes:
        fed: (rows, steps, ...), and initial states and mask.
        actual: (rows, ...) what the port gave.
        probes: what the rows are.
    """

    fed: Arrays
    actual: Array
    probes: str


def is_walked(layer: Any) -> bool:
    """Whether a layer is Keras' own loop over its cell, so that nothing but the cell decides its states."""
    kind = type(layer)
    overridden = any(name in layer.__dict__ for name in ("call", "inner_loop"))
    return kind.__module__.startswith("keras.") and not overridden


def join(parts: Sequence[Rows]) -> Arrays | None:
    """What all of them were fed with, as one set of rows; None where their shapes differ."""
    shapes = {tuple((array.shape[1:], array.dtype) for array in part.fed) for part in parts}
    if len(shapes) != 1:
        return None
    return tuple(np.concatenate(arrays) for arrays in zip(*(part.fed for part in parts), strict=True))


def cut(found: Stepped, start: int, stop: int) -> Stepped:
    """A few rows of what a step gives; its states may have several rows for each of them."""
    total = len(found.outputs)

    def rows(array: Array) -> Array:
        times = len(array) // total
        return array[start * times : stop * times]

    states = tuple((rows(value), rows(own), rows(bound)) for value, own, bound in found.states)
    return Stepped(rows(found.outputs), rows(found.allowed), states)


def walk(layer: Any, x: Array, begin: States, mask: Array | None, reverse: bool, call: Callable[..., Any]) -> States:
    """The states by the layer's own cell, one time step after the other, in the order in which they are computed.

    Args:
        layer: recurrent, of the port.
        x: (rows, steps, ...), channels last.
        begin: the states before the first step.
        mask: (rows, steps) of bool, or None.
        reverse: begin with the last step.
        call: the cell: of a time step's input and states.

    Returns:
        Each (rows, steps, ...) in float64.
    """
    import keras
    from keras import ops

    dtype = layer.compute_dtype
    states = [ops.convert_to_tensor(state, dtype=dtype) for state in begin]
    sequence, found = ops.convert_to_tensor(in_order(x, reverse), dtype=dtype), []
    counting = in_order(mask, reverse)
    for time in range(x.shape[1]):
        fresh = keras.tree.flatten(call(sequence[:, time], states, training=False)[1])
        if counting is not None:
            counts = counting[:, time].reshape((-1, *(1,) * (begin[0].ndim - 1)))
            fresh = [ops.where(counts, new, old) for new, old in zip(fresh, states, strict=True)]
        states = fresh
        found.append(states)
    return tuple(np.stack([as_array(each) for each in parts], axis=1) for parts in zip(*found, strict=True))


def quick_call(layer: Any) -> Callable[..., Any]:
    """The cell of a layer, without what a layer's call adds to it where that adds nothing."""
    policy = layer.cell.dtype_policy
    return layer.cell.call if policy.compute_dtype == policy.variable_dtype else layer.cell


def in_order(array: Any, reverse: bool) -> Any:
    """Time steps in the order in which they are computed."""
    return array[:, ::-1] if reverse and array is not None else array


def as_array(tensor: Any) -> Array:
    """In float64."""
    from keras import ops

    return np.asarray(ops.convert_to_numpy(tensor)).astype(np.float64)
