"""Layers as an architecture lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from porter.formats.keras_legacy.errors import ConfigError, UnknownModeError
from porter.formats.keras_legacy.fields import Fields
from porter.formats.keras_legacy.recurrent import CONV_LSTMS
from porter.network.graph import KerasInput

MODELS = ("Sequential", "Model", "Functional")
WRAPPERS = ("Bidirectional", "TimeDistributed", "RNN", "SpectralNormalization")
RECURRENT = ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", *CONV_LSTMS)
MOST_AXES = 32


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


def input_of(name: str, entry: Entry | None, where: str) -> KerasInput:
    """An input's shape and dtype, as far as its layer says."""
    config = entry.config if entry is not None and isinstance(entry.config, Mapping) else {}
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    if shape is None and config.get("input_dim") is not None and (entry is None or entry.kind != "Embedding"):
        steps = "input_length" in config
        shape = [None, config.get("input_length"), config["input_dim"]] if steps else [None, config["input_dim"]]
    if shape is None and entry is not None and entry.kind == "Embedding":
        length = config.get("input_length")
        shape = [None, *(length if isinstance(length, list) else [length])]
    if shape is not None and not (
        isinstance(shape, list) and 0 < len(shape) <= MOST_AXES and all(map(_is_length, shape))
    ):
        raise ConfigError(f"{where}: batch_input_shape", found=repr(shape)[:80], expected="a list of whole numbers")
    dtype = config.get("dtype", config.get("input_dtype")) if entry is not None and entry.kind != "Embedding" else None
    whole = dtype if isinstance(dtype, str) else "float32"
    return KerasInput(name, None, whole) if shape is None else KerasInput(name, tuple(shape[1:]), whole, shape[0])


def _is_length(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31)
