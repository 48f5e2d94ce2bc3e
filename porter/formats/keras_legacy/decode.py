"""HDF5 and JSON of Keras 1 and 2 to plain data; nothing is interpreted, and nothing executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from porter.errors import KerasFileError
from porter.formats.archives import guarded
from porter.formats.keras_legacy.entries import MODELS
from porter.formats.keras_legacy.errors import JsonError, NotAModelError, WeightsError
from porter.formats.keras_legacy.fields import reading
from porter.formats.keras_legacy.store import is_store, stored_weights
from porter.formats.opened import OpenedFile
from porter.network.weight_file import WeightFile

Array = NDArray[Any]

FORMAT = "keras-legacy"
LARGEST_JSON = 16 << 20
"""Characters; far more than an architecture has."""


def is_keras_hdf5(opened: OpenedFile) -> bool:
    """HDF5 with the attributes that Keras writes, at the root or in ``model_weights``."""
    if not opened.is_hdf5:
        return False
    attributes = opened.hdf5.stored_attributes
    signs = ("model_config", "layer_names", "layer_names0", "keras_version")
    return any(sign in attributes or f"model_weights@{sign}" in attributes for sign in signs)


def is_json(opened: OpenedFile) -> bool:
    """Text that begins as JSON does, and soon speaks of a class or of layers, as Keras' architectures do."""
    begin = opened.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    speaks = any(word in opened.head for word in (b"class_name", b'"layers"', b"model_config"))
    return begin in (b"{", b"[", b'"') and speaks and not opened.is_hdf5


def decode_hdf5(opened: OpenedFile) -> WeightFile:
    """Arrays as ``"layer/weight name"`` and attributes of a whole model or of weights alone.

    Returns:
        Attributes ``model_config`` (parsed, as ``as_model`` gives it; absent for weights alone), ``keras_version``,
        ``backend``, ``layer_names`` and ``weight_names`` by layer.

    Raises:
        UnreadableError: damaged, saved by Keras 3, or without what it lists.
    """
    prefix = "model_weights" if "model_weights" in opened.hdf5.groups else ""
    found: dict[str, Any] = {key: _text(opened, prefix, key) for key in ("keras_version", "backend")}
    _refuse_keras3(opened, found["keras_version"])
    names = _listed(opened, f"{prefix}@" if prefix else "", "layer_names")
    weight_names = {name: _listed(opened, f"{_join(prefix, name)}@", "weight_names") for name in names}
    arrays = {}
    for layer, inner in weight_names.items():
        for name in inner:
            arrays[f"{layer}/{name}"] = _array(opened, _join(prefix, layer, name))
    if "model_config" in opened.hdf5.stored_attributes:
        model = as_model(opened.path, _parse(opened.path, str(opened.hdf5.attribute("model_config"))))
        found["model_config"] = {key: model[key] for key in ("class_name", "config")}
    found |= {"layer_names": names, "weight_names": weight_names}
    return WeightFile(opened.path, FORMAT, opened.sha256, arrays, found)


def decode_archive(opened: OpenedFile) -> WeightFile:
    """A ``.keras`` archive of Keras 2.12 to 2.15; the same attributes as ``decode_hdf5`` gives.

    Raises:
        UnreadableError: damaged, or without what it lists.
    """
    text = opened.member("config.json")
    _check_length(opened.path, text.size)
    with guarded(f"{opened.path}: config.json"):
        model = as_model(opened.path, _parse(opened.path, (text.data or b"").decode("utf-8")), late=True)
    found = {"keras_version": opened.keras_archive or None, "backend": "tensorflow", "model_config": model}
    with opened.member("model.weights.h5") as store:
        arrays = _from_store(store, model)
    return WeightFile(opened.path, FORMAT, opened.sha256, _flat(arrays), {**found, **_names(arrays)})


def decode_store(opened: OpenedFile, model: Mapping[str, Any]) -> WeightFile:
    """A ``.weights.h5`` file of Keras 2.12 to 2.15, by the architecture that it belongs to.

    Raises:
        UnreadableError: damaged, or of another model.
    """
    arrays = _from_store(opened, model)
    found = {"keras_version": None, "backend": "tensorflow", **_names(arrays)}
    return WeightFile(opened.path, FORMAT, opened.sha256, _flat(arrays), found)


def _from_store(opened: OpenedFile, model: Mapping[str, Any]) -> dict[str, dict[str, Array]]:
    with reading(str(opened.path)):
        if not is_store(opened):
            raise WeightsError(f"{opened.path} holds no weights as Keras 2.12 to 2.15 kept them")
        return stored_weights(opened, model)


def _flat(arrays: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    return {f"{layer}/{name}": array for layer, inner in arrays.items() for name, array in inner.items()}


def _names(arrays: Mapping[str, Mapping[str, Array]]) -> dict[str, Any]:
    return {"layer_names": list(arrays), "weight_names": {layer: list(inner) for layer, inner in arrays.items()}}


def decode_json(opened: OpenedFile) -> WeightFile:
    """The architecture in a JSON file; the same attributes as ``decode_hdf5`` gives, without arrays.

    Raises:
        JsonError: not JSON, or too large.
        NotAModelError: JSON of something else.
    """
    _check_length(opened.path, opened.size)
    try:
        text = opened.path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError(f"{opened.path} is not text in UTF-8", found=str(error)) from error
    model = as_model(opened.path, _parse(opened.path, text))
    found: dict[str, Any] = {"model_config": {key: model[key] for key in ("class_name", "config")}}
    for key in ("keras_version", "backend"):
        value = model.get(key)
        found[key] = value if isinstance(value, str) else None
    _refuse_keras3(opened, found["keras_version"])
    return WeightFile(opened.path, FORMAT, opened.sha256, {}, {**found, "layer_names": [], "weight_names": {}})


def as_model(path: Path, value: Any, *, late: bool = False) -> dict[str, Any]:
    """What a configuration means, in whichever of its forms it was written: class_name and config.

    JSON inside JSON is opened; the bare configuration of a Sequential (a list, or a mapping without inputs) or of a
    Model is given its class name. What looks like Keras 3's is refused, unless it is known to be of a ``late`` Keras 2.

    Raises:
        NotAModelError: none of those.
    """
    if isinstance(value, str):
        value = _parse(path, value)
    if isinstance(value, list):
        return {"class_name": "Sequential", "config": value}
    if not isinstance(value, Mapping):
        raise NotAModelError(f"{path} holds no model", found=type(value).__name__, expected="a Keras architecture")
    if isinstance(value.get("model_config"), str | Mapping) and "class_name" not in value:
        return as_model(path, value["model_config"])
    if "class_name" not in value and "layers" in value:
        bare = "Model" if "input_layers" in value else "Sequential"
        return {"class_name": bare, "config": dict(value)}
    kind, config = value.get("class_name"), value.get("config")
    if isinstance(config, str):
        config = _parse(path, config)
    if kind not in MODELS or not isinstance(config, Mapping | list):
        raise NotAModelError(
            f"{path} holds no model",
            found=f"a {kind}" if isinstance(kind, str) else f"the keys {', '.join(sorted(map(str, value))[:8])}",
            expected=f"a {', '.join(MODELS)}",
            remedy="give the file that model.to_json() or model.save() wrote",
        )
    if not late and isinstance(value.get("module"), str) and "build_config" in value:
        _raise_keras3(path, "the configuration has `module` and `build_config`")
    if late:
        return {"class_name": kind, "config": config}
    return {**value, "config": config}


def _check_length(path: Path, length: int) -> None:
    if length > LARGEST_JSON:
        raise JsonError(f"{path} is too large for an architecture", found=f"{length:,} characters of JSON")


def _parse(path: Path, text: str) -> Any:
    _check_length(path, len(text))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise JsonError(f"{path} holds no valid JSON", found=str(error).splitlines()[0]) from error


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _text(opened: OpenedFile, prefix: str, key: str) -> str | None:
    for name in (key, f"{prefix}@{key}"):
        if name in opened.hdf5.stored_attributes:
            value = opened.hdf5.attribute(name)
            return value if isinstance(value, str) else None
    return None


def _listed(opened: OpenedFile, prefix: str, key: str) -> list[str]:
    """An attribute that is a list of names; Keras split those of more than 64 KB into numbered parts."""
    there: Mapping[str, Any] = opened.hdf5.stored_attributes
    names: list[Any] = []
    numbered = takewhile(there.__contains__, (f"{prefix}{key}{number}" for number in count()))
    parts = [opened.hdf5.attribute(name) for name in ([prefix + key] if prefix + key in there else numbered)]
    for part in parts:
        names += part if isinstance(part, list) else [part]
    if not parts or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise WeightsError(
            f"{opened.path}: the attribute {prefix + key!r}",
            found="it is missing" if not parts else "something else than a list of different names",
            expected="the names that Keras wrote",
            remedy="the file is damaged: save the model again",
        )
    return names


def _array(opened: OpenedFile, name: str) -> Array:
    name = "/".join(part for part in name.split("/") if part)
    if name not in opened.hdf5.datasets:
        raise WeightsError(f"{opened.path}: the array {name!r} is listed, and not there", remedy="save the model again")
    return opened.hdf5.read(name)


def _refuse_keras3(opened: OpenedFile, version: str | None) -> None:
    if version is not None and version.split(".")[0].isdigit() and int(version.split(".")[0]) >= 3:
        _raise_keras3(opened.path, f"Keras version {version}")


def _raise_keras3(path: Path, found: str) -> None:
    raise KerasFileError(
        f"{path} was saved by Keras 3, and is no legacy file",
        found=found,
        expected="Keras 1 or 2",
        remedy=f"load it with keras.saving.load_model; as a port: porter verify LEGACY {path.name}",
    )
