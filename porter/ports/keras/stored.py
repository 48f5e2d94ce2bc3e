"""Arrays of a Keras model that were kept without it: they go into the model that porter builds of the legacy file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError, first_line
from porter.network import Network

Array = NDArray[Any]

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
BESIDE = ("optimizer", "keras_api", "save_counter", ".OPTIMIZER_SLOT", "_CHECKPOINTABLE", "seed_generator", "metrics")
"""Parts of names in a checkpoint of what is no array of a layer."""


@dataclass(frozen=True)
class StoredArrays:
    """A file of arrays alone.

    Attributes:
        path: of it.
        dtype: of its arrays, "float32" or "float64".
        load: puts them into a model of the same layers.
        describes: what wrote it, for people.
    """

    path: Path
    dtype: str
    load: Callable[[Any], None]
    describes: str

    def into(self, network: Network, placement: str | None = None) -> Any:
        """The model that porter builds of a network, holding these arrays.

        Args:
            network: the legacy network.
            placement: where the model has the scaling; None for "inside".

        Raises:
            PortError: they are not the arrays of such a model.
        """
        from porter.ports.keras.build import build

        model = build(network, placement="inside" if placement is None else placement, dtype=self.dtype)
        for weight in model.weights:  # what is not loaded must not pass for what was
            if "float" in str(weight.dtype):
                weight.assign(np.full(weight.shape, np.nan, np.float32))
        try:
            self.load(model)
        except PortError:
            raise
        except Exception as error:  # Keras' and TensorFlow's own kinds
            raise self._unfit(first_line(error)) from error
        missing = [weight.path for weight in model.weights if _is_unset(weight)]
        if missing:
            raise self._unfit(f"nothing for {', '.join(missing)}")
        return model

    def _unfit(self, found: str) -> PortError:
        return PortError(
            f"the port {self.path}", found=found, expected="the arrays of the model that porter builds of this file",
            remedy="verify the whole model (.keras), or say where it has the scaling with --placement",
        )  # fmt: skip


def _is_unset(weight: Any) -> bool:
    from keras import ops

    values = np.asarray(ops.convert_to_numpy(weight))
    return values.dtype.kind == "f" and bool(np.isnan(values).all()) and values.size > 0


def open_weights(path: Path) -> StoredArrays:
    """A ``.weights.h5`` of Keras 3.

    Raises:
        UnreadableError: a damaged or hostile file.
    """
    from porter.formats.opened import open_file

    with open_file(path) as opened:  # looks at its structure before anything else does
        names = list(opened.hdf5.datasets)
        kept = [name for name in names if not _is_beside(name)][:4]
        wide = any(opened.hdf5.read(name).dtype == np.float64 for name in kept)

    def load(model: Any) -> None:
        model.load_weights(path)
        own = _saved_names(model)
        _check_all_taken([name for name in names if name.strip("/") not in own and not _is_beside(name)])

    return StoredArrays(path, "float64" if wide else "float32", load, "Keras")


def _saved_names(model: Any) -> set[str]:
    """What Keras calls the arrays of a model in such a file."""
    import h5py

    found = set[str]()
    with tempfile.TemporaryDirectory(prefix="porter-") as folder:
        own = Path(folder) / "own.weights.h5"
        model.save_weights(own)
        with h5py.File(own) as file:
            file.visititems(lambda name, one: found.add(name) if isinstance(one, h5py.Dataset) else None)
    return found


def _is_beside(name: str) -> bool:
    return any(part in name for part in BESIDE)


def _check_all_taken(left: list[str]) -> None:
    """What is left over belongs to layers that the file's own model has, and the legacy network has not.

    Raises:
        PortError: something is.
    """
    if left:
        raise PortError(
            "arrays of a Keras model", found=f"{', '.join(left[:6])}, which belong to no layer of this network",
            expected="the arrays of the model that porter builds of this file, and no others",
            remedy="verify the whole model (.keras), which shows its layers",
        )  # fmt: skip


def open_checkpoint(prefix: Path) -> StoredArrays:
    """A checkpoint of TensorFlow: of a Keras 3 model, or what Keras 2's ``save_weights`` wrote.

    Raises:
        PortError: it cannot be read.
    """
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        dtypes = {str(dtype.as_numpy_dtype.__name__) for dtype in reader.get_variable_to_dtype_map().values()
                  if dtype.is_floating}  # fmt: skip
    except Exception as error:  # TensorFlow's own kinds
        raise PortError(
            f"the port {prefix}", found=f"TensorFlow cannot read it: {first_line(error)}", expected="a checkpoint"
        ) from error

    def load(model: Any) -> None:
        names = reader.get_variable_to_shape_map()
        if any(name.startswith("model/_operations") for name in names):
            tf.train.Checkpoint(model=model).read(str(prefix)).assert_existing_objects_matched().expect_partial()
            _check_all_taken(_left_over(model, [name for name in names if _is_array(name)]))
        else:
            assign_by_layer(model, {name: reader.get_tensor(name) for name in names if _is_array(name)})

    return StoredArrays(prefix, "float64" if "float64" in dtypes else "float32", load, "TensorFlow")


def _left_over(model: Any, names: list[str]) -> list[str]:
    """Arrays in a checkpoint of layers behind those that a model has."""
    layers = len(model.operations)
    places = {name: re.match(r"model/_operations/(\d+)/", name) for name in names}
    return [name for name, place in places.items() if place is None or int(place[1]) >= layers]


def _is_array(name: str) -> bool:
    return name.endswith(VALUE) and not _is_beside(name)


def assign_by_layer(model: Any, arrays: Mapping[str, Array]) -> None:
    """Arrays by their names in a checkpoint, to the layers in their order.

    Raises:
        PortError: other layers, or arrays of other shapes.
    """
    groups: dict[str, dict[str, Array]] = {}
    for name in sorted(arrays, key=natural):
        parent, _, role = name.removesuffix(VALUE).rpartition("/")
        groups.setdefault(parent, {})[role.lstrip("_")] = arrays[name]
    layers = [layer for layer in model.layers if layer.weights]
    told = [f"{parent} {[array.shape for array in each.values()]}" for parent, each in groups.items()]
    if len(groups) != len(layers):
        raise PortError("a checkpoint", found=f"{len(groups)} layers: {', '.join(told)[:300]}",
                        expected=f"{len(layers)}")  # fmt: skip
    for layer, (parent, group) in zip(layers, groups.items(), strict=True):
        for weight in layer.weights:
            array = group.get(weight.name)
            if array is None or array.shape != tuple(weight.shape):
                held = ", ".join(f"{role} {each.shape}" for role, each in group.items())
                raise PortError(f"{parent} of a checkpoint", found=held,
                                expected=f"{weight.name} {tuple(weight.shape)} for {layer.name}")  # fmt: skip
            weight.assign(array)


def natural(name: str) -> list[Any]:
    """By which names are sorted as people count: numbers in them as numbers."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
