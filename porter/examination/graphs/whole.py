"""A port called as a whole beside its parts: the same rows, one row alone, the same call again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.pairing import KerasPairing
from porter.examination.graphs.pieces import Pieces
from porter.examination.graphs.stateful import (
    batch_rows,
    call_afresh,
    is_fixed,
    reset,
    stateful_layers,
    states_of,
    two_batches,
)
from porter.examination.graphs.view import evaluating
from porter.ports.keras.state import preserved

Array = NDArray[Any]


def compare_whole(model: Any, calls: Sequence[tuple[list[Array], list[Array]]]) -> str:
    """The code of what is wrong with a port as a whole; "" where it gives the very bits that its parts give.

    Args:
        model: the port.
        calls: what it is fed with, and what its parts gave.
    """
    for feeds, parts in calls:
        if not _same(call_whole(model, feeds), parts):
            return _why(model, feeds, parts)
    feeds, parts = calls[0]
    # As a person calls it, who says nothing of training.
    return "" if _same(call_whole(model, feeds, plainly=True), parts) else "call.overridden"


def _why(model: Any, feeds: list[Array], parts: list[Array]) -> str:
    """Whether it differs from call to call, or from its own layers, or by what stands beside the legacy ones."""
    first, again = (call_whole(model, feeds) for _ in range(2))
    if not _same(first, again):
        return "call.unsteady"
    with evaluating(model):
        own = keras.tree.flatten(keras.Function(model.inputs, model.outputs)(feeds))
    return "call.overridden" if _same(own, parts) else "unexplained"


def _same(whole: Sequence[Any], parts: Sequence[Any]) -> bool:
    return all(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in zip(whole, parts, strict=True))


def keeps_on(pairing: KerasPairing, feeds: Mapping[str, Array]) -> bool:
    """Whether a port that keeps its state gives, in two calls in a row, what its pieces give from the same states."""
    graph = pairing.port.graph
    layers, begin, same = stateful_layers(graph.model), dict[int, list[Any]](), True
    with preserved(graph.model), evaluating(graph.model):
        reset(layers)
        for batch in two_batches(feeds, batch_rows(graph.model)):
            parts = Pieces(graph, batch, begin)
            whole = graph(*batch)
            same &= all(
                np.array_equal(np.asarray(a), parts.values[key], equal_nan=True)
                for a, key in zip(whole, pairing.ends, strict=True)
            )
            begin = states_of(layers)
    return same


def call_whole(model: Any, feeds: list[Array], *, plainly: bool = False) -> list[Any]:
    """The outputs of a port, in order; called ``plainly``, without a word on training."""
    mode = {} if plainly else {"training": False}
    structure = getattr(model, "_inputs_struct", feeds if len(feeds) > 1 else feeds[0])

    def call(batch: list[Array]) -> list[Any]:
        return list(keras.tree.flatten(model(keras.tree.pack_sequence_as(structure, batch), **mode)))

    with evaluating(model):
        if not is_fixed(model):
            return call(feeds)
        with preserved(model):
            return call_afresh(model, feeds, call)
