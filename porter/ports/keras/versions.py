"""What older versions of Keras 3 lack, asked of the version that is here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops

from porter.errors import UnbuildableError


@cache
def keeps_arrays() -> bool:
    """Whether a saved Rescaling has its arrays again when it is loaded; before Keras 3.5 it has their configuration."""
    return "from_config" in vars(keras.layers.Rescaling)


@cache
def activates_by_layers() -> bool:
    """Whether a layer that is another's activation is loaded again; before Keras 3.10 it is not."""
    try:
        keras.activations.get(keras.saving.serialize_keras_object(keras.layers.ReLU(max_value=2.0)))
    except (ValueError, TypeError):
        return False
    return True


def too_old(where: str, what: str, since: str = "a newer one") -> UnbuildableError:
    """The refusal of what this Keras cannot do, and a newer one can.

    Args:
        where: the layer or the output.
        what: that the Keras which is here lacks.
        since: the first version that can.
    """
    return UnbuildableError(
        where,
        found=f"Keras {keras.__version__}, which {what}",
        expected=f"Keras {since}",
        remedy="pip install -U keras",
    )


PLAIN = {"hard_sigmoid_keras2": "the hard sigmoid of Keras 1 and 2"}
"""What an activation is called, where its name is porter's own."""


def lacks_layers_as_activations(where: str, names: Iterable[str]) -> UnbuildableError:
    """The refusal of a model that this Keras would not load again, for layers are the activations of others in it."""
    told = ", ".join(sorted({PLAIN.get(name, name) for name in names}))
    return too_old(where, f"loads no layer as the activation of another, as {told} would be", "3.10 or later")


def layers_as_activations(model: Any) -> list[str]:
    """Names of the activations of a model's layers, and of cells in them, that are layers themselves."""
    held = [part for layer in model._flatten_layers() for part in (layer, getattr(layer, "cell", None))]
    given = [getattr(part, key, None) for part in held for key in ("activation", "recurrent_activation")]
    return [each.name for each in given if isinstance(each, keras.layers.Layer)]


class _Attention:
    """Makes Keras' own layer from a configuration in which Keras takes the name of a score for that of a function."""

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> Any:
        score = config.get("score_mode")
        given = {**config, "score_mode": getattr(score, "__name__", score)} if score is not None else config
        return keras.layers.Attention.from_config(dict(given))


def repaired(suffix: str) -> dict[str, Any]:
    """What makes layers anew that Keras writes to a file of that kind, and cannot read from it again."""
    return {"Attention": _Attention} if suffix.lower() in (".h5", ".hdf5") else {}


@cache
def _takes_none_among_masks() -> bool:
    """Whether one of a layer's masks may be none; before Keras 3.5 all are given, or none is."""
    query, value, mask = keras.KerasTensor((1, 2, 3)), keras.KerasTensor((1, 2, 3)), keras.KerasTensor((1, 2), "bool")
    try:
        keras.layers.Attention()([query, value], mask=[None, mask])
    except ValueError:
        return False
    return True


@cache
def _spreads_masks() -> bool:
    """Whether an attention masks the same steps of the value for every step of the query, which some Keras 3 do not."""
    query, value = np.zeros((3, 2, 1), np.float32), np.zeros((3, 4, 1), np.float32)
    try:
        keras.layers.Attention()([query, value], mask=[np.ones((3, 2), bool), np.ones((3, 4), bool)])
    except Exception:  # TensorFlow's own, for shapes that do not go together
        return False
    return True


def attention_masks(tensors: Sequence[Any], masks: Sequence[Any], causal: bool) -> list[Any] | None:
    """The masks of query and value, as this Keras takes them; None where there is none.

    Args:
        tensors: query and value, (rows, steps, features) each.
        masks: (rows, steps) bool each, or None.
        causal: whether the layer masks later steps besides.
    """
    given = [*masks, None, None][:2]
    if all(mask is None for mask in given):
        return None
    if not _takes_none_among_masks():
        pairs = zip(given, tensors, strict=False)
        given = [ops.ones_like(tensor[..., 0], dtype="bool") if mask is None else mask for mask, tensor in pairs]
    if given[1] is not None and not causal and not _spreads_masks():
        given[1] = ops.expand_dims(given[1], 1)
    return given


@cache
def _attends_without_steps() -> bool:
    """Whether an attention takes rows of one axis, which attend to each other."""
    try:
        keras.layers.Attention()([np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)])
    except Exception:  # TensorFlow's own, for axes that are not there
        return False
    return True


def check_steps(where: str, query: Any) -> None:
    """Refuse an attention over rows without steps where this Keras has none.

    Raises:
        UnbuildableError: so it is.
    """
    if len(query.shape) < 3 and not _attends_without_steps():
        raise too_old(where, "has no attention over rows without steps")


def patches(images: Any, size: tuple[int, int], strides: tuple[int, int]) -> Any:
    """(rows, height, width, channels) to (rows, places down, places across, size x channels)."""
    try:
        return ops.image.extract_patches(images, size, strides=strides, padding="valid", data_format="channels_last")
    except UnboundLocalError:  # some Keras 3 forget the strides that they are given
        count = size[0] * size[1] * images.shape[-1]
        kernel = np.eye(count, dtype=images.dtype).reshape(*size, images.shape[-1], count)
        return ops.conv(images, kernel, strides, "valid", data_format="channels_last")


def by_operations(scale: Any, offset: Any, name: str, dtype: str) -> Callable[[Any], Any]:
    """What a Rescaling computes in float64, for a Keras that loads it without its arrays."""
    layer = keras.layers.Identity(name=name, dtype=dtype)
    return lambda tensor: layer(ops.add(ops.multiply(tensor, scale), offset))


def has_arrays(model: Any) -> bool:
    """Whether a model has a Rescaling with arrays, which Keras writes as what some versions do not read again."""
    given = [(one.scale, one.offset) for one in model._flatten_layers() if isinstance(one, keras.layers.Rescaling)]
    return any(isinstance(part, np.ndarray) for parts in given for part in parts)


def with_arrays(model: Any) -> Any:
    """A loaded model whose Rescaling layers have their arrays, where this Keras gives them something else."""
    for layer in () if keeps_arrays() else model._flatten_layers():
        if isinstance(layer, keras.layers.Rescaling):
            layer.scale, layer.offset = (_as_array(part) for part in (layer.scale, layer.offset))
    return model


def _as_array(part: Any) -> Any:
    """What a configuration that was never read stands for."""
    if isinstance(part, Mapping) and part.get("class_name") == "__numpy__":
        return np.array(part["config"]["value"], part["config"]["dtype"])
    return part


def to_radians(degrees: Any) -> Any:
    """Keras' own function, or what it computes."""
    return ops.deg2rad(degrees) if hasattr(ops, "deg2rad") else ops.multiply(degrees, math.pi / 180)
