"""Rows for the inputs of a legacy Keras network, as its port takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.formats.keras_legacy.graph import KerasNetwork
from porter.keras_legacy.probes import ELEMENTS
from porter.port_graph import PortGraph

Array = NDArray[Any]

LENGTH = 12
"""Steps or pixels along an axis whose length the file leaves open."""
MOVES = ("Crop", "Flatten", "Identity", "Permute", "Repeat", "Reshape")
"""Operations that hand on the numbers they take."""


def draw_feeds(
    network: KerasNetwork, graph: PortGraph, given: Sequence[Array] | None, rng: np.random.Generator
) -> dict[str, Array]:
    """Rows for each input, in the port's own dtype: whole numbers where an Embedding looks them up.

    Args:
        network: as read.
        graph: of the port.
        given: recorded inputs that replace random ones, or None.
        rng: draws the others.

    Raises:
        PortError: another number of inputs.
    """
    if len(graph.inputs) != len(network.inputs) or (given is not None and len(given) != len(network.inputs)):
        raise PortError(
            f"the port {graph.model.name}", found=f"{len(graph.inputs)} inputs", expected=f"{len(network.inputs)}"
        )
    words = words_of(network)
    rows = _rows(graph)
    feeds = {}
    for index, (each, row) in enumerate(zip(network.inputs, graph.input_shapes, strict=True)):
        shape = tuple(LENGTH if n is None else n for n in row)
        if given is not None:
            values = np.asarray(given[index])
        elif each.name in words:
            values = rng.integers(0, words[each.name], (rows, *shape))
        else:
            values = rng.normal(0, 1, (rows, *shape))
            values[-1] *= 10
            values[0] = 0 if rows > 3 else values[0]
        feeds[each.name] = values.astype(graph.input_dtypes[index])
    return feeds


def words_of(network: KerasNetwork) -> dict[str, int]:
    """How many words the Embeddings know that an input goes to, moved about or not, wrapped or not."""
    known: dict[str, int] = {}
    calls = {call.name: call for call in network.calls}
    for call in network.calls:
        rows = _rows_of_tables(network.layer(call.layer))
        if rows is not None:
            name = call.inputs[0].name
            while name in calls and network.layer(calls[name].layer).operation in MOVES:  # type: ignore[union-attr]
                name = calls[name].inputs[0].name
            known[name] = min(known.get(name, rows), rows)
    return known


def _rows_of_tables(layer: Any) -> int | None:
    """How many words an Embedding knows, or those inside TimeDistributed."""
    if isinstance(layer, KerasNetwork):
        return min(words_of(layer).values(), default=None)
    if layer.operation == "TimeDistributed":
        return _rows_of_tables(layer.inner[0])
    return int(layer.parameters["rows"]) if layer.operation == "Embedding" else None


def _rows(graph: PortGraph) -> int:
    shapes = [*graph.input_shapes, *(tensor.shape[1:] for node in graph.nodes for tensor in node.node.outputs)]
    widest = max(int(np.prod([LENGTH if n is None else n for n in shape])) for shape in shapes)
    return int(np.clip(ELEMENTS // max(widest, 1), 2, 16))
