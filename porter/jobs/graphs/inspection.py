"""What is in a legacy Keras file, said without running, building or even understanding all of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from porter.errors import PorterError
from porter.formats.keras_legacy.entries import MODELS
from porter.formats.keras_legacy.fields import reading
from porter.formats.keras_legacy.options import KerasOptions
from porter.formats.keras_legacy.reader import decode, known_backend, read_keras, version_of
from porter.formats.keras_legacy.store import is_store
from porter.formats.keras_legacy.walk import CODE
from porter.formats.opened import OpenedFile

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class LayerListed:
    """One layer, as it is listed.

    Attributes:
        name: path of names.
        kind: its class.
        calls: how often the graph calls it; 1 in a Sequential.
        parameters: numbers stored for it; 0 inside a nested model or a wrapper, whose own line has them.
        activation: as written, that of the gates after it; or None.
    """

    name: str
    kind: str
    calls: int
    parameters: int
    activation: str | None


@dataclass(frozen=True)
class KerasContents:
    """A legacy Keras file, looked into.

    Attributes:
        file: its name.
        sha256: of its bytes.
        kind: "whole model", "architecture" or "weights".
        keras_version: that saved it, or what its arguments show.
        backend: that trained it, or None where nothing says.
        layers: in the order listed.
        hazards: layers that hold code, or names of code.
        refusal: why it cannot be ported as it is, or None.
    """

    file: str
    sha256: str
    kind: str
    keras_version: str
    backend: str | None
    layers: tuple[LayerListed, ...]
    hazards: tuple[str, ...]
    refusal: str | None

    def _table(self) -> Iterator[str]:
        """A line a layer, as wide as the names are."""
        names = max([5, *(len(one.name) for one in self.layers)])
        kinds = max([5, *(len(one.kind) for one in self.layers)])
        yield f"  {'layer':{names}}  {'class':{kinds}}  {'calls':>5}  {'parameters':>11}  activation"
        for one in self.layers:
            numbers = f"{one.calls:5}  {one.parameters:11,}"
            yield f"  {one.name:{names}}  {one.kind:{kinds}}  {numbers}  {one.activation or ''}".rstrip()

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)})

    def render(self, width: int, color: bool) -> str:
        """The same in lines."""
        del color
        lines = [
            f"{self.file}: {self.kind} of Keras {self.keras_version}",
            f"  backend  {self.backend or 'not stored'}",
            "",
            *(line[: max(width, 40)] for line in self._table()),
        ]
        lines += ["", *(f"  hazard: {hazard}" for hazard in self.hazards)] if self.hazards else []
        lines += (
            ["", "  It cannot be ported as it is:", *(f"    {line}" for line in self.refusal.splitlines())]
            if self.refusal
            else []
        )
        return "\n".join(lines) + "\n"


def look_into(opened: OpenedFile, options: KerasOptions) -> KerasContents:
    """List what a file holds; what cannot be read is said, not raised, once the file itself is sound.

    Raises:
        UnreadableError: the file is damaged, or holds no model.
    """
    if is_store(opened):
        return _store(opened, options)
    source = decode(opened)
    stored = {
        name: sum(int(np.size(source.arrays[f"{name}/{inner}"])) for inner in names)
        for name, names in source.attributes["weight_names"].items()
    }
    with reading(str(opened.path)):
        model = source.attributes.get("model_config")
        config = {} if model is None else model["config"]
        listed = tuple(_listed(config, "", stored)) if model else _weights(stored)
        kind = "weights" if model is None else "whole model" if source.attributes["layer_names"] else "architecture"
        version = source.attributes.get("keras_version") or f"{version_of(source)[0]}, by its arguments"
    hazards = tuple(f"{one.name} is a {one.kind}: {CODE[one.kind]}" for one in listed if one.kind in CODE)
    backend, refusal = None, None
    try:
        backend = known_backend(source, options.backend)
        read_keras(opened, options)
    except PorterError as error:
        refusal = str(error)
    return KerasContents(opened.path.name, source.sha256, kind, version, backend, listed, hazards, refusal)


def _store(opened: OpenedFile, options: KerasOptions) -> KerasContents:
    """Weights that are kept by the places of their layers in a model."""
    stored: dict[str, int] = {}
    for name, dataset in opened.hdf5.datasets.items():
        layer = name.split("/vars/")[0].partition("/")[2] or name
        stored[layer] = stored.get(layer, 0) + math.prod(dataset.shape or ())
    refusal = None
    try:
        read_keras(opened, options)
    except PorterError as error:
        refusal = str(error)
    version = "2.12 or later, by its layout"
    return KerasContents(opened.path.name, opened.sha256, "weights", version, None, _weights(stored), (), refusal)


def _weights(stored: Mapping[str, int]) -> tuple[LayerListed, ...]:
    return tuple(LayerListed(name, "", 0, count, None) for name, count in stored.items())


def _listed(config: Any, path: str, stored: Mapping[str, int]) -> Iterator[LayerListed]:
    """The layers of a model and of the models in it."""
    for entry in config if isinstance(config, list) else config["layers"]:
        inner, kind = entry.get("config", {}), str(entry["class_name"])
        settings = inner if isinstance(inner, Mapping) else {}
        name = f"{path}{entry.get('name', settings.get('name', kind))}"
        calls = max(1, len(entry.get("inbound_nodes") or []))
        yield LayerListed(name, kind, calls, stored.get(name, 0), _activations(settings))
        if kind in MODELS:
            yield from _listed(inner, f"{name}/", stored)
            continue
        wrapped = [
            settings[key] for key in ("layer", "backward_layer", "cell") if isinstance(settings.get(key), Mapping)
        ]
        yield from _listed(wrapped, f"{name}/", stored)
        if kind == "Merge" and settings.get("layers"):
            yield from _listed(settings["layers"], path, stored)


def _activations(settings: Mapping[str, Any]) -> str | None:
    keys = ("activation", "recurrent_activation", "inner_activation")
    names = [settings[key] for key in keys if isinstance(settings.get(key), str)]
    return ", ".join(names) if names else None
