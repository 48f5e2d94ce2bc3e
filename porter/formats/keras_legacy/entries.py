"""Layers as an architecture lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from porter.formats.keras_legacy.errors import ConfigError, UnknownModeError
from porter.formats.keras_legacy.fields import Fields

MODELS = ("Sequential", "Model", "Functional")


@dataclass(frozen=True)
class Entry:
    """A layer as it is listed: its class, its name, its configuration, its calls."""

    kind: str
    name: str
    config: Any
    inbound: Sequence[Any]
    path: str

    @property
    def is_model(self) -> bool:
        """Whether it is a model itself."""
        return self.kind in MODELS


def cell_of(entry: Entry, where: str) -> tuple[str, Fields]:
    """Class and configuration of a layer; of RNN around one cell, those of the layer that it amounts to."""
    if not isinstance(entry.config, Mapping):
        raise ConfigError(f"{where}: config", found=type(entry.config).__name__, expected="names and values")
    if entry.kind != "RNN":
        return entry.kind, Fields(where, entry.config)
    cell = Fields(where, entry.config).get("cell")
    kinds = {"SimpleRNNCell": "SimpleRNN", "LSTMCell": "LSTM", "GRUCell": "GRU"}
    kind = cell.get("class_name") if isinstance(cell, Mapping) else None
    if kind not in kinds:
        raise UnknownModeError(f"{where}: RNN around {kind!r}", expected=f"one of {', '.join(kinds)}")
    outer = {key: value for key, value in entry.config.items() if key not in ("cell", "name")}
    return kinds[kind], Fields(where, {**cell["config"], **outer})
