"""Legacy files made for tests: the layout that Keras 1 and 2 wrote, with whatever variant a test asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    """One entry of a Sequential."""
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def node(entry: dict[str, Any], *takes: Any) -> dict[str, Any]:
    """An entry of a graph: with its name beside it, and what each call takes."""
    calls = [[[take, 0, 0, {}] if isinstance(take, str) else list(take) for take in call] for call in takes]
    return {**entry, "name": entry["config"]["name"], "inbound_nodes": calls}


def model(layers: Sequence[Any], inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> dict[str, Any]:
    """A Sequential, or a Model where inputs are given."""
    if not inputs:
        return {"class_name": "Sequential", "config": list(layers)}
    ends = {"input_layers": [[name, 0, 0] for name in inputs], "output_layers": [[name, 0, 0] for name in outputs]}
    return {"class_name": "Model", "config": {"name": "model_1", "layers": list(layers), **ends}}


def write(
    path: Path,
    config: Any,
    weights: Mapping[str, Mapping[str, Any]],
    *,
    version: str | None = "2.2.4",
    backend: str | None = "tensorflow",
    group: str = "model_weights",
    as_bytes: bool = False,
    chunked: bool = False,
) -> Path:
    """A whole model in HDF5, or weights alone where ``config`` is None."""

    def text(value: str) -> Any:
        return np.bytes_(value) if as_bytes else value

    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = text(config if isinstance(config, str) else json.dumps(config))
        holder = file.create_group(group) if group else file
        for key, value in (("keras_version", version), ("backend", backend)):
            if value is not None:
                file.attrs[key] = text(value)
        _names(holder, "layer_names", list(weights), chunked)
        for name, arrays in weights.items():
            inner = holder.create_group(name)
            _names(inner, "weight_names", list(arrays), chunked)
            for each, array in arrays.items():
                inner[each] = array
    return path


def _names(holder: Any, key: str, names: list[str], chunked: bool) -> None:
    stored = np.array([name.encode() for name in names]) if names else np.zeros(0)
    if not chunked or not names:
        holder.attrs[key] = stored
        return
    for number, part in enumerate(np.array_split(stored, min(2, len(names)))):
        holder.attrs[f"{key}{number}"] = part


def dense(rng: np.random.Generator, name: str, inputs: int, units: int, *, suffix: str = ":0") -> dict[str, Any]:
    """Kernel and bias of a Dense under Keras 2's names."""
    return {
        f"{name}/kernel{suffix}": rng.normal(size=(inputs, units)).astype(np.float32),
        f"{name}/bias{suffix}": rng.normal(size=units).astype(np.float32),
    }
