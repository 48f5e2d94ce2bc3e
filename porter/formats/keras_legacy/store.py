"""Weights as Keras 2.12 to 2.15 kept them in ``.keras`` and ``.weights.h5``: by place in the model, without names.

The layers of a model stand under the names of their classes, numbered in the order of the model; what they have is
numbered in Keras' order. Here they are given the names and the order of an older ``.h5`` file.
Source: Keras 2.15, saving/saving_lib.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from porter.formats.keras_legacy.entries import MODELS, Entry, cell_of
from porter.formats.keras_legacy.errors import WeightsError
from porter.formats.keras_legacy.fields import Fields
from porter.formats.keras_legacy.roles import roles_of
from porter.formats.opened import OpenedFile

Array = NDArray[Any]

ROOTS = ("layers", "_layer_checkpoint_dependencies")
"""Where the layers of a model stand, in 2.13 on and before."""
MAPS = {"query": "_query_dense", "key": "_key_dense", "value": "_value_dense", "attention_output": "_output_dense"}
FIXED = ("moving_mean", "moving_variance", "mean", "variance", "count", "vector_u")


def is_store(opened: OpenedFile) -> bool:
    """HDF5 in which the layers of a model stand by class and number."""
    if not opened.is_hdf5 or "layer_names" in opened.hdf5.stored_attributes:
        return False
    groups = opened.hdf5.groups
    return any(root in groups for root in ROOTS) and any(name.endswith("/vars") for name in groups)


@dataclass
class _Arrays:
    """What one layer has: names with places in the file, those that are trained and the others."""

    trained: list[tuple[str, str]] = field(default_factory=list)
    fixed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: _Arrays, frozen: bool) -> None:
        """Those of a layer inside, which counts as fixed where it is frozen."""
        self.trained += [] if frozen else other.trained
        self.fixed += [*(other.trained if frozen else []), *other.fixed]


def stored_weights(opened: OpenedFile, model: Mapping[str, Any]) -> dict[str, dict[str, Array]]:
    """The arrays of each layer of a model, under the names that an older file would have given them.

    Args:
        opened: the store.
        model: class_name and config.

    Raises:
        WeightsError: another model's store.
    """
    places = set(opened.hdf5.datasets)
    root = next(root for root in ROOTS if root in opened.hdf5.groups)
    walk = _Walk(opened, places)
    found = {}
    for entry, group in walk.groups(model["config"], root, model["class_name"]):
        arrays = walk.layer(entry, group, _name(entry))
        found[_name(entry)] = dict(arrays.trained + arrays.fixed)
    left = places - walk.used
    if left:
        raise WeightsError(
            f"{opened.path}: arrays of layers that the architecture does not have", found=", ".join(sorted(left)[:6]),
            expected="the weights of this model",
        )  # fmt: skip
    return {layer: {name: opened.hdf5.read(place) for name, place in arrays.items()} for layer, arrays in found.items()}


@dataclass
class _Walk:
    """One walk through a store.

    Attributes:
        opened: the store.
        places: names of all datasets.
        used: those that were met.
    """

    opened: OpenedFile
    places: set[str]
    used: set[str] = field(default_factory=set)

    def groups(self, config: Any, root: str, kind: str) -> list[tuple[Mapping[str, Any], str]]:
        """The layers of a model with the groups that are theirs: the first of a class has the first of its groups."""
        listed = config if isinstance(config, list) else config["layers"]
        entries = [entry for entry in listed if kind != "Sequential" or entry["class_name"] != "InputLayer"]
        groups = self._by_class(root)
        paired = []
        for name in dict.fromkeys(_snake(entry["class_name"]) for entry in entries):
            own = [entry for entry in entries if _snake(entry["class_name"]) == name]
            there = groups.get(name, [])
            if len(there) != len(own):
                there = [group for group in there if any(place.startswith(f"{group}/") for place in self.places)]
                own = [entry for entry in own if self._has_arrays(entry)]
            if len(there) != len(own):
                raise WeightsError(
                    f"{self.opened.path}: {len(there)} layers of class {name} in {root}", expected=f"{len(own)}",
                    remedy="the weights are those of another model",
                )  # fmt: skip
            paired += list(zip(own, there, strict=True))
        order = {id(entry): at for at, entry in enumerate(entries)}
        return sorted(paired, key=lambda pair: order[id(pair[0])])

    def _by_class(self, root: str) -> dict[str, list[str]]:
        found: dict[str, list[tuple[int, str]]] = {}
        for group in self.opened.hdf5.groups:
            inside = group.removeprefix(f"{root}/")
            if inside != group and "/" not in inside:
                known = [(inside, 0)]
                numbered = re.fullmatch(r"(.+)_(\d+)", inside)
                if numbered:
                    known.append((numbered[1], int(numbered[2])))
                for name, number in known:
                    found.setdefault(name, []).append((number, group))
        return {name: [group for _, group in sorted(each)] for name, each in found.items()}

    def _has_arrays(self, entry: Mapping[str, Any]) -> bool:
        if entry["class_name"] in MODELS:
            listed = entry["config"] if isinstance(entry["config"], list) else entry["config"]["layers"]
            return any(map(self._has_arrays, listed))
        inner = entry["config"].get("layer") if isinstance(entry["config"], Mapping) else None
        if isinstance(inner, Mapping):
            return self._has_arrays(inner)
        return bool(_roles(entry, self.opened)) or entry["class_name"] == "RNN"

    def layer(self, entry: Mapping[str, Any], group: str, path: str) -> _Arrays:
        """The arrays of a layer, those inside it too."""
        kind, config = entry["class_name"], entry["config"]
        found = _Arrays()
        if kind in MODELS:
            for inner, place in self.groups(config, self._root(group), kind):
                found.add(self.layer(inner, place, f"{path}/{_name(inner)}"), False)
        elif kind == "Bidirectional":
            inner = config["layer"]
            other = config.get("backward_layer") or inner
            found.add(self.layer(inner, f"{group}/forward_layer", f"{path}/forward_{_name(inner)}"), False)
            found.add(self.layer(other, f"{group}/backward_layer", f"{path}/backward_{_name(other)}"), False)
        elif kind in ("TimeDistributed", "SpectralNormalization"):
            found.add(self.layer(config["layer"], f"{group}/layer", f"{path}/{_name(config['layer'])}"), False)
            if kind == "SpectralNormalization":
                self.used.add(f"{group}/vars/0")  # the kernel once more
                found.fixed.append((f"{path}/vector_u:0", self._take(f"{group}/vars/1")))
        else:
            found = self._leaf(entry, group, path)
        whole = _Arrays()
        whole.add(found, isinstance(config, Mapping) and config.get("trainable") is False)
        return whole

    def _root(self, group: str) -> str:
        known = [f"{group}/{root}" for root in ROOTS if f"{group}/{root}" in self.opened.hdf5.groups]
        return known[0] if known else f"{group}/{ROOTS[0]}"

    def _leaf(self, entry: Mapping[str, Any], group: str, path: str) -> _Arrays:
        kind, roles = entry["class_name"], _roles(entry, self.opened)
        if kind == "MultiHeadAttention":
            sides = 1 + any(role.endswith("_bias") for role in roles)
            places = [f"{group}/{inner}/vars/{number}" for inner in MAPS.values() for number in range(sides)]
            roles = [f"{name}/{role}" for name in MAPS for role in ("kernel", "bias")[:sides]]
        else:
            cell = any(place.startswith(f"{group}/cell/vars/") for place in self.places)
            places = [f"{group}/cell/vars/{n}" if cell else f"{group}/vars/{n}" for n in range(len(roles))]
        found = _Arrays()
        for role, place in zip(roles, places, strict=True):
            part = found.fixed if role in FIXED else found.trained
            part.append((f"{path}/{role}:0", self._take(place)))
        return found

    def _take(self, place: str) -> str:
        if place not in self.places:
            raise WeightsError(
                f"{self.opened.path}: the array {place!r} is not there", remedy="the weights are of another model"
            )
        self.used.add(place)
        return place


def _roles(entry: Mapping[str, Any], opened: OpenedFile) -> Sequence[str]:
    """What a layer stores, in Keras' order; of an RNN, what its cell does."""
    where = f"{opened.path}: layer {_name(entry)!r}"
    config = entry["config"] if isinstance(entry["config"], Mapping) else {}
    kind, fields = cell_of(Entry(entry["class_name"], _name(entry), config, [], _name(entry)), where)
    return list(roles_of(kind, Fields(where, fields.values)))


def _name(entry: Mapping[str, Any]) -> str:
    config = entry["config"]
    name = entry.get("name", config.get("name") if isinstance(config, Mapping) else None)
    return str(name or entry["class_name"])


def _snake(kind: str) -> str:
    """How Keras spells a class in a store. Source: Keras 2.15, utils/generic_utils.py, to_snake_case."""
    name = re.sub(r"\W+", "", kind.rpartition(">")[2])
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
