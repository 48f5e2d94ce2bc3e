"""Layers that keep their state from call to call: judged from a state of zeros, then over two batches in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.states import recurrent_layers
from porter.ports.keras.nodes import PortNode

Array = NDArray[Any]
Begin = Mapping[int, Sequence[Any]]
"""By the identity of a layer, the states that it is to begin with."""


def stateful_layers(model: Any) -> tuple[Any, ...]:
    """The recurrent layers of a port that keep their state from call to call."""
    layers = recurrent_layers(list(getattr(model, "operations", model.layers)))
    return tuple(layer for layer in layers if layer.stateful)


def without_state(node: PortNode, begin: Begin) -> PortNode:
    """A call whose layers begin with zeros, or with given states, and leave none behind; the layers are left alone."""
    operation = _begun(node.operation, begin)
    return node if operation is node.operation else replace(node, operation=operation)


def _begun(operation: Any, begin: Begin) -> Any:
    if isinstance(operation, keras.layers.RNN) and operation.stateful:
        own = {"stateful": False}
        if id(operation) in begin:
            own["get_initial_state"] = lambda batch_size: list(begin[id(operation)])  # type: ignore[assignment]
        return _copy(operation, own)
    if isinstance(operation, keras.layers.Bidirectional):
        sides = {name: _begun(getattr(operation, name), begin) for name in ("forward_layer", "backward_layer")}
        changed = any(side is not getattr(operation, name) for name, side in sides.items())
        return _copy(operation, {**sides, "stateful": False}) if changed else operation
    return operation


def _copy(layer: Any, own: Mapping[str, Any]) -> Any:
    bare = object.__new__(type(layer))
    bare.__dict__.update({**layer.__dict__, **own})
    return bare


def batch_rows(model: Any) -> int | None:
    """How many rows every batch of a port has; None where that is open."""
    fixed = {tensor.shape[0] for tensor in model.inputs if tensor.shape[0] is not None}
    return int(next(iter(fixed))) if fixed else None


def is_fixed(model: Any) -> bool:
    """Whether a port takes batches of one size alone, or keeps its state from one to the next."""
    return batch_rows(model) is not None or bool(stateful_layers(model))


def call_afresh(model: Any, feeds: Sequence[Array], call: Callable[[list[Array]], list[Any]]) -> list[Any]:
    """The outputs of a port for any number of rows; its states are set to zeros before each of its batches.

    Args:
        model: the port.
        feeds: any number of rows for each input.
        call: of one batch.
    """
    layers, count = stateful_layers(model), len(feeds[0])
    rows = batch_rows(model) or count
    parts = []
    for start in range(0, count, rows):
        reset(layers)
        places = np.arange(start, start + rows) % count
        parts.append([np.asarray(output) for output in call([each[places] for each in feeds])])
    return [np.concatenate(each)[:count] for each in zip(*parts, strict=True)]


def reset(layers: Sequence[Any]) -> None:
    """Let them begin anew."""
    for layer in layers:
        layer.reset_state()


def states_of(layers: Sequence[Any]) -> dict[int, list[Any]]:
    """What each of them has in mind now."""
    return {
        id(layer): [keras.ops.convert_to_tensor(np.asarray(state).copy()) for state in keras.tree.flatten(layer.states)]
        for layer in layers
    }


def two_batches(feeds: Mapping[str, Array], rows: int | None) -> Iterator[list[Array]]:
    """Rows for two calls in a row, as many as every batch has."""
    every = list(feeds.values())
    count = len(every[0]) if rows is None else rows
    for start in (0, 1):
        yield [np.take(each, np.arange(start, start + count) % len(each), axis=0) for each in every]
