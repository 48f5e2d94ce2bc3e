"""A saved Keras model that is a chain of dense layers, read as data: nothing of it is run, and Keras is not loaded."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, UnbuildableError, UnreadableError
from porter.formats.archives import names_of, read_member
from porter.formats.opened import OpenedFile, open_file
from porter.formats.options import ReadOptions
from porter.formats.registry import Family, register
from porter.network import Claim, Dense, Layer, Network, Scaling
from porter.network.weight_file import WeightFile
from reference.activations import FUNCTIONS, Activation
from reference.operations.dense import Dense as DenseStep
from reference.operations.scaling import Rule
from reference.operations.scaling import Scaling as ScalingStep
from reference.trace import Program, chain

Array = NDArray[Any]
Config = Mapping[str, Any]

FAMILY = "keras-chain"
AFFINE, INVERSE = "affine", "inverse"
"""The rule of a scaling that says its factors; and the declaration of those that lead out of a network."""
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
NOTHING = {"InputLayer", "Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization"}
"""Layers that hand on what they take, once the training is over."""
RENAMED = {"swish": "silu", "leakyrelu": "leaky_relu", "relu6": "relu6"}
OBJECTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "LeakyReLU": ("leaky_relu", {"negative_slope": "negative_slope"}),
    "ReLU": ("relu", {"max_value": "max_value", "negative_slope": "negative_slope", "threshold": "threshold"}),
    "ELU": ("elu", {"alpha": "alpha"}),
    "Softmax": ("softmax", {}),
}
"""Layers that are an activation: its name, and its parameters by theirs."""


@dataclass(frozen=True)
class _Saved:
    """A saved model.

    Attributes:
        path: of the file.
        layers: the configurations of its layers, in order of computation.
        arrays: by layer name, its variables in order.
        record: porter's record of how it was made, or nothing.
    """

    path: Path
    layers: Sequence[Config]
    arrays: Mapping[str, Sequence[Array]]
    record: Mapping[str, Any]


def is_saved(path: Path) -> bool:
    """Whether a file is an archive as Keras 3 saves it."""
    return path.suffix == ".keras" and path.is_file()


def read_chain(path: Path) -> Network:
    """A saved chain of dense layers and scalings as a network.

    Raises:
        UnreadableError: no such archive.
        UnbuildableError: a layer that is none of these, or no chain.
    """
    saved = _read(path)
    layers = tuple(_layers(saved))
    if not any(isinstance(layer, Dense) for layer in layers):
        raise _refused(path, "no dense layer")
    source = WeightFile(path, FAMILY, hashlib.sha256(path.read_bytes()).hexdigest(), _named(layers))
    claims = (Claim(layers[0].name, "formula", "as Keras computes it", "declared", "the model says so itself"),)
    return Network(path.stem, FAMILY, source, layers, claims, input_range=_range(layers))


def placement_of(path: Path) -> str | None:
    """Where the model has the scaling, by porter's record; None where there is none."""
    placement = _record(path).get("options", {}).get("placement")
    return placement if isinstance(placement, str) else None


def variables_of(path: Path) -> Mapping[str, Sequence[Array]]:
    """The variables of every layer of a saved model, by the layer's name, in Keras' order."""
    return _read(path).arrays


def _named(layers: Sequence[Layer]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for layer in layers:
        for key in ("kernel", "bias", "scale", "offset"):
            value = getattr(layer, key, None)
            if value is not None:
                arrays[f"{layer.name}/{key}"] = value
    return arrays


def _range(layers: Sequence[Layer]) -> Array | None:
    """Where the first scaling makes [-1, 1] of the inputs."""
    first = layers[0]
    if not isinstance(first, Scaling):
        return None
    low, high = (-1 - first.offset) / first.scale, (1 - first.offset) / first.scale
    return np.stack([np.minimum(low, high), np.maximum(low, high)], axis=1)


# --- the archive ----------------------------------------------------------------------------------------------------


def _read(path: Path) -> _Saved:
    try:
        config = json.loads(read_member(path, CONFIG))
        layers = config["config"]["layers"]
        if not isinstance(layers, list) or not all(isinstance(each.get("config"), dict) for each in layers):
            raise TypeError("layers")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{path} is no saved Keras model", found=f"{type(error).__name__}: {error}") from error
    return _Saved(path, _ordered(path, config["class_name"], layers), _variables(path), _record(path))


def _record(path: Path) -> Mapping[str, Any]:
    member = "porter_provenance.json"
    if member not in names_of(path):
        return {}
    try:
        record = json.loads(read_member(path, member))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _variables(path: Path) -> dict[str, list[Array]]:
    """By layer name; a group of variables bears the name of its layer. Those of two directions apart as well."""
    with tempfile.TemporaryDirectory(prefix="porter-") as folder:
        file = Path(folder) / "weights.h5"
        file.write_bytes(read_member(path, WEIGHTS))
        with open_file(file) as opened:
            hdf5 = opened.hdf5
            found: dict[str, list[Array]] = {}
            for name in sorted(hdf5.datasets, key=_place):
                group, _, _ = name.rpartition("/")
                key = f"{group}@name"
                layer = hdf5.attribute(key) if key in hdf5.stored_attributes else group.split("/")[1]
                # A cell's variables are those of the layer that it is in.
                layer = _outer(hdf5, group, str(layer))
                found.setdefault(layer, []).append(hdf5.read(name))
                for side in ("forward", "backward"):
                    if f"/{side}_layer/" in f"{group}/":
                        found.setdefault(f"{layer}/{side}", []).append(hdf5.read(name))
    return found


def _outer(hdf5: Any, group: str, name: str) -> str:
    parts = group.split("/")
    outer = f"{'/'.join(parts[:2])}/vars@name"
    return str(hdf5.attribute(outer)) if len(parts) > 3 and outer in hdf5.stored_attributes else name


def _place(name: str) -> tuple[str, int]:
    group, _, number = name.rpartition("/")
    return group, int(number) if number.isdigit() else 0


def _ordered(path: Path, kind: str, layers: Sequence[Config]) -> list[Config]:
    """The layers of a chain in the order in which they are called."""
    if kind == "Sequential":
        return list(layers)
    behind = {}
    for layer in layers:
        name = layer["config"].get("name", "")
        called = layer.get("inbound_nodes", [])
        if not called:
            start = name
            continue
        taken = list(_taken(called))
        if len(called) != 1 or len(taken) != 1 or taken[0] in behind:
            raise _refused(path, f"{name}, which is no link of a chain")
        behind[taken[0]] = layer
    order, at = [], start if layers else ""
    while at in behind:
        order.append(behind[at])
        at = behind[at]["config"]["name"]
    if len(order) + 1 != len(layers):
        raise _refused(path, "several inputs, or layers that nothing leads to")
    return order


def _taken(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        history = node.get("config", {}).get("keras_history") if node.get("class_name") == "__keras_tensor__" else None
        if history is not None:
            yield str(history[0])
            return
        for value in node.values():
            yield from _taken(value)
    elif isinstance(node, list):
        for value in node:
            yield from _taken(value)


# --- layers ---------------------------------------------------------------------------------------------------------


def _layers(saved: _Saved) -> Iterator[Layer]:
    pending: Dense | None = None
    for each in saved.layers:
        kind, config = each["class_name"], each["config"]
        name = str(config.get("name", kind))
        if kind in NOTHING:
            continue
        activation = _alone(saved.path, kind, config)
        if activation is not None and pending is not None and pending.activation.name == "linear":
            pending = Dense(pending.name, pending.kernel, pending.bias, activation)
            continue
        if pending is not None:
            yield pending
            pending = None
        if kind == "Dense":
            pending = _dense(saved, name, config)
        elif kind == "Rescaling":
            yield _scaling(saved, name, config)
        else:
            raise _refused(saved.path, f"{name} of class {kind}")
    if pending is not None:
        yield pending


def _dense(saved: _Saved, name: str, config: Config) -> Dense:
    arrays = list(saved.arrays.get(name, ()))
    expected = 2 if config.get("use_bias", True) else 1
    if len(arrays) != expected or arrays[0].ndim != 2:
        raise UnreadableError(f"{saved.path}: {name}", found=f"{len(arrays)} variables", expected=f"{expected}")
    activation = _activation(saved.path, name, config.get("activation", "linear"))
    return Dense(name, _native(arrays[0]), _native(arrays[1]) if expected == 2 else None, activation)


def _native(array: Array) -> Array:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _scaling(saved: _Saved, name: str, config: Config) -> Scaling:
    scale, offset = (np.asarray(_number(config[key]), np.float64) for key in ("scale", "offset"))
    scale, offset = np.broadcast_arrays(np.atleast_1d(scale), np.atleast_1d(offset))
    if scale.ndim != 1 or not (np.isfinite(scale).all() and np.isfinite(offset).all()):
        raise _refused(saved.path, f"{name}, which does not scale column by column")
    return Scaling(name, AFFINE, np.stack([offset, scale], axis=1), scale.copy(), offset.copy())


def _number(value: Any) -> Any:
    return value["config"]["value"] if isinstance(value, Mapping) else value


def _activation(path: Path, name: str, told: Any) -> Activation:
    if isinstance(told, Mapping):
        found = _alone(path, str(told.get("class_name")), told.get("config", {}))
        if found is not None:
            return found
        told = told.get("config") if isinstance(told.get("config"), str) else told.get("class_name")
    spelt = RENAMED.get(str(told), str(told))
    if spelt not in FUNCTIONS:
        raise _refused(path, f"the activation {told!r} of {name}")
    return Activation(spelt)


def _alone(path: Path, kind: str, config: Config) -> Activation | None:
    """The activation that a layer is; None for any other layer."""
    if kind == "Activation":
        return _activation(path, str(config.get("name")), config.get("activation", "linear"))
    if kind not in OBJECTS:
        return None
    name, keys = OBJECTS[kind]
    given = {own: _number(config[key]) for key, own in keys.items() if config.get(key) is not None}
    usual = {"negative_slope": 0.0, "threshold": 0.0} if name == "relu" else {}
    return Activation(name, {key: float(value) for key, value in given.items() if usual.get(key) != value})


def _refused(path: Path, found: str) -> UnbuildableError:
    return UnbuildableError(
        f"{path} cannot be exported from the saved model alone", found=found,
        expected="a chain of Dense, Activation and Rescaling layers",
        remedy="export the legacy file itself: porter export LEGACY --to FORMAT",
    )  # fmt: skip


# --- the formula ----------------------------------------------------------------------------------------------------


def program(network: Network, changes: Mapping[str, Any]) -> Program:
    """The forward pass as Keras documents it, on the arrays as saved."""
    dtype, steps, before = changes.get("dtype", np.float64), list[Any](), "inputs"
    for layer in network.layers:
        if isinstance(layer, Dense):
            step: Any = DenseStep(
                layer.name, (before,), layer.kernel, layer.bias, layer.activation, "inputs-first", dtype
            )
        else:
            assert isinstance(layer, Scaling)
            step = _scaling_step(layer, before, network.declarations.get(INVERSE, ()), dtype)
        steps.append(step)
        before = layer.name
    return chain(steps)


def _scaling_step(layer: Scaling, before: str, inverse: Sequence[str], dtype: Any) -> ScalingStep:
    """By the layer's own rule; scale x + offset is what undoes a mean (the offset) and a deviation (the scale)."""
    if layer.rule == AFFINE:
        return ScalingStep(layer.name, (before,), layer.offset, layer.scale, "mean-std", True, dtype)
    first, second = layer.stored.T
    return ScalingStep(layer.name, (before,), first, second, cast("Rule", layer.rule), layer.name in inverse, dtype)


def _never(opened: OpenedFile) -> bool:
    del opened
    return False


def _unread(opened: OpenedFile, options: ReadOptions) -> Network:
    del options
    return read_chain(opened.path)


READER = register(
    Family(FAMILY, "a saved Keras model of dense layers, as a source of exports", _never, _unread, program)
)
