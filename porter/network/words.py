"""Inputs of a legacy network whose numbers are whole: words that a table looks up, and what their dtype says."""

from __future__ import annotations

from typing import Any

from porter.network.graph import KerasNetwork

WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")
"""Dtypes of whole numbers."""
MOVES = ("Crop", "Flatten", "Identity", "Permute", "Repeat", "Reshape")
"""Operations that hand on the numbers they take."""


def words_of(network: KerasNetwork) -> dict[str, int]:
    """How many words the Embeddings and encodings know that an input goes to, moved about or not, wrapped or not."""
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
    key = {"Embedding": "rows", "CategoryEncoding": "tokens"}.get(layer.operation)
    return None if key is None else int(layer.parameters[key])
