"""Inputs of a legacy network whose numbers are whole: words that a table looks up, and what their dtype says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from porter.network.graph import KerasNetwork

WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")
"""Dtypes of whole numbers."""
MOVES = ("Crop", "Flatten", "Identity", "Pad", "Permute", "Repeat", "Reshape")
"""Operations that hand on the numbers they take, beside joins; a zero that is added is a word, too."""


def words_of(network: KerasNetwork) -> dict[str, int]:
    """How many words the Embeddings and encodings know that an input goes to, moved about or not, wrapped or not."""
    known: dict[str, int] = {}
    calls = {call.name for call in network.calls}
    for name, rows in _carried(network):
        if name not in calls:
            known[name] = min(known.get(name, rows), rows)
    return known


def carriers(network: KerasNetwork) -> frozenset[str]:
    """Names of the calls that hand on words to the tables that look them up."""
    return frozenset(name for name, _ in _carried(network)) & {call.name for call in network.calls}


def _carried(network: KerasNetwork) -> Iterator[tuple[str, int]]:
    """Names of inputs and calls whose numbers are words, and of how many."""
    calls = {call.name: call for call in network.calls}
    for call in network.calls:
        rows = _rows_of_tables(network.layer(call.layer))
        names = [] if rows is None else [call.inputs[0].name]
        while names:
            name = names.pop()
            yield name, rows or 0
            if name in calls and _hands_on(network.layer(calls[name].layer)):
                names += [ref.name for ref in calls[name].inputs]


def _hands_on(layer: Any) -> bool:
    return layer.operation in MOVES or layer.parameters.get("mode") == "Concatenate"


def _rows_of_tables(layer: Any) -> int | None:
    """How many words an Embedding knows, or those inside TimeDistributed."""
    if layer.model is not None:
        return min(words_of(layer.model).values(), default=None)
    if layer.operation == "TimeDistributed":
        return _rows_of_tables(layer.inner[0])
    key = {"Embedding": "rows", "CategoryEncoding": "tokens"}.get(layer.operation)
    return None if key is None else int(layer.parameters[key])
