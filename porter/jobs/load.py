"""Weights of a legacy Keras file into a model that the user has built: by name and shape, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.formats.keras_legacy.decode import decode_store, is_keras_hdf5
from porter.formats.keras_legacy.errors import NotAModelError, WeightsError
from porter.formats.keras_legacy.fields import Fields, reading
from porter.formats.keras_legacy.layers import Spec
from porter.formats.keras_legacy.options import KerasOptions
from porter.formats.keras_legacy.reader import decode, known_backend, version_of
from porter.formats.keras_legacy.roles import Stored
from porter.formats.keras_legacy.store import is_store
from porter.formats.keras_legacy.table import TABLE, translate
from porter.formats.opened import open_file
from porter.jobs.provenance import is_saved_model
from porter.network import Claim
from porter.network.graph import Era, KerasLayer
from porter.network.weight_file import WeightFile

Array = NDArray[Any]

ORDER = (
    *(f"{name}_{role}" for name in ("query", "key", "value", "attention_output") for role in ("kernel", "bias")),
    "depthwise_kernel", "pointwise_kernel", "kernel", "recurrent_kernel", "bias", "gamma", "beta", "moving_mean",
    "moving_variance", "embeddings", "alpha", "scale", "concat_score_weight",
)  # fmt: skip


def load_weights(model: Any, path: str | Path, *, backend: str | None = None) -> tuple[Claim, ...]:
    """Put the weights of a legacy ``.h5`` file into a model; all of them, or none.

    Layers are matched by name, arrays by their names and shapes; kernels are turned where Theano trained them.

    Args:
        model: a keras.Model that is built.
        path: a file of ``save_weights`` or ``save`` of Keras 1 or 2, or a model that Keras 3 saved: a port.
        backend: that trained it, where the file does not say.

    Returns:
        What was matched with what, and what the file leaves open: the activations above all.

    Raises:
        UnreadableError: the file is not what it should be.
        WeightsError: layers of the model without weights in the file, or the other way round, or other shapes.
        UsageError: the backend is needed and not known; a model that is not built.
    """
    KerasOptions(backend=backend)
    if is_saved_model(path):
        return _from_port(model, Path(path))
    with open_file(path) as opened:
        if not (is_keras_hdf5(opened) or is_store(opened) or opened.keras_archive is not None):
            raise NotAModelError(f"{opened.path} holds no weights of Keras", expected="HDF5 of model.save_weights()")
        with reading(str(path)):
            source = decode_store(opened, _as_config(model)) if is_store(opened) else decode(opened)
    with reading(str(path)):
        found = match_layers(model, source, backend)
    for layer, arrays in found:
        layer.set_weights(arrays)
    return tuple(_claims(found))


def _as_config(model: Any) -> dict[str, Any]:
    """A model's class and configuration, as a file of its time would have them."""
    kind = "Sequential" if type(model).__name__ == "Sequential" else "Functional"
    return {"class_name": kind, "config": model.get_config()}


def _from_port(model: Any, path: Path) -> tuple[Claim, ...]:
    """The weights of a model that Keras 3 saved, by the names and shapes of its layers; all of them, or none."""
    from porter.ports.keras.graph import read_port

    theirs = {layer.name: layer for layer in _leaves(read_port(path)) if layer.weights}
    mine = {layer.name: layer for layer in _leaves(model) if layer.weights}
    if not mine:
        raise UsageError(f"model {model.name}", found="no weights", expected="a model that is built")
    _check_same_names(path, mine, theirs)
    for name, layer in mine.items():
        shapes = [[tuple(weight.shape) for weight in each.weights] for each in (theirs[name], layer)]
        if shapes[0] != shapes[1]:
            raise WeightsError(
                f"{path}: layer {name!r}", found=", ".join(map(str, shapes[0])),
                expected=f"shapes {', '.join(map(str, shapes[1]))}",
            )  # fmt: skip
    for name, layer in mine.items():
        layer.set_weights(theirs[name].get_weights())
    return tuple(
        Claim(name, "weights", f"{len(layer.weights)} arrays, by name and shape", "shape")
        for name, layer in mine.items()
    )


def match_layers(model: Any, source: WeightFile, backend: str | None) -> list[tuple[Any, list[Array]]]:
    """Each layer that has weights, with its arrays in its own dtype; nothing is set yet."""
    layers = {layer.name: layer for layer in _leaves(model) if layer.weights}
    stored = {name: inner for name, inner in source.attributes["weight_names"].items() if inner}
    if not layers:
        raise UsageError(f"model {model.name}", found="no weights", expected="a model that is built")
    _check_names(source, layers, stored)
    era = Era(version_of(source), known_backend(source, backend))
    found = []
    for name, layer in layers.items():
        where = f"{source.path}: layer {name!r}"
        arrays = Stored(where, {inner: source.arrays[f"{name}/{inner}"] for inner in stored[name]})
        found.append((layer, _arranged(layer, arrays, era)))
        if arrays.by_order:
            raise WeightsError(
                f"{where}: the names of its arrays do not say which is which", found=", ".join(stored[name]),
                expected=f"names that end in {', '.join(weight.name for weight in layer.weights)}",
            )  # fmt: skip
    return found


def _leaves(model: Any) -> list[Any]:
    return [leaf for layer in model.layers for leaf in (_leaves(layer) if hasattr(layer, "layers") else [layer])]


def _check_names(source: WeightFile, layers: Mapping[str, Any], stored: Mapping[str, Sequence[str]]) -> None:
    _check_same_names(source.path, layers, stored)


def _check_same_names(path: Path, layers: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    lacking = [name for name in layers if name not in stored]
    left = [name for name in stored if name not in layers]
    if lacking or left:
        parts = [f"the model's {', '.join(map(repr, lacking[:6]))} are not in the file"] if lacking else []
        parts += [f"the file's {', '.join(map(repr, left[:6]))} are not in the model"] if left else []
        raise WeightsError(
            f"{path}: {'nothing' if len(lacking) == len(layers) else 'not everything'} matches by name",
            found="; ".join(parts),
            expected="the same layers under the same names in both",
            remedy="name the model's layers as the file does",
        )


def _arranged(layer: Any, stored: Stored, era: Era) -> list[Array]:
    """A layer's arrays in Keras 3 order, layout and dtype.

    Raises:
        WeightsError: another shape.
    """
    kind = type(layer).__name__
    if kind == "Bidirectional":
        ahead, back = stored.halves()
        return _arranged(layer.forward_layer, ahead, era) + _arranged(layer.backward_layer, back, era)
    if kind == "TimeDistributed":
        return _arranged(layer.layer, stored, era)
    if kind not in TABLE:
        raise WeightsError(f"{stored.where}: weights of a {kind} are not known", expected=", ".join(sorted(TABLE)))
    made: KerasLayer = translate(Spec(layer.name, kind, Fields(stored.where, _config(layer, stored, era)), stored, era))
    arrays = [made.weights[role] for role in ORDER if role in made.weights]
    shapes = [tuple(weight.shape) for weight in layer.weights]
    if [array.shape for array in arrays] != shapes:
        raise WeightsError(
            f"{stored.where}: the stored arrays have other shapes than the model's",
            found=", ".join(str(array.shape) for array in arrays), expected=", ".join(map(str, shapes)),
        )  # fmt: skip
    with np.errstate(over="ignore"):
        return [array.astype(np.dtype(w.dtype)) for array, w in zip(arrays, layer.weights, strict=True)]


def _config(layer: Any, stored: Stored, era: Era) -> dict[str, Any]:
    """The layer's own configuration, as the version that saved the weights would have written it."""
    config = {key: value for key, value in layer.get_config().items() if "activation" not in key}
    config = {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}
    config["dtype"] = "float32"
    if type(layer).__name__ == "BatchNormalization" and any("running" in name for name in stored.arrays):
        config["mode"] = 0
    if era.version[0] > 1 or not any(
        name.rstrip(":0")[-2:] in ("_W", "_U", "_b") or "_W_" in name for name in stored.arrays
    ):
        return config
    config |= {"W_regularizer": None, "consume_less": "cpu" if len(stored.arrays) in (9, 12) else "gpu"}
    if "data_format" in config:
        config["dim_ordering"] = "th" if config["data_format"] == "channels_first" else "tf"
    if "filters" in config:
        config["nb_filter"] = config["filters"]
    return config


def _claims(found: Sequence[tuple[Any, list[Array]]]) -> list[Claim]:
    claims = []
    for layer, arrays in found:
        claims.append(Claim(layer.name, "weights", f"{len(arrays)} arrays, by name and shape", "shape"))
        config = layer.get_config()
        for key in ("activation", "recurrent_activation"):
            value = config.get(key)
            if value is not None and value != "linear":
                told = "a file of weights alone says nothing of activations: it is the model's own"
                if value == "hard_sigmoid":
                    told += "; Keras 3's hard_sigmoid is another function than that of Keras 1 and 2"
                claims.append(Claim(layer.name, key, str(value), "assumed", told))
    return claims
