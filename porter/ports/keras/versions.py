"""What older versions of Keras 3 lack, asked of the version that is here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops


@cache
def keeps_arrays() -> bool:
    """Whether a saved Rescaling has its arrays again when it is loaded; before Keras 3.6 it has their configuration."""
    return "from_config" in vars(keras.layers.Rescaling)


@cache
def activates_by_layers() -> bool:
    """Whether a layer that is another's activation is loaded again; before Keras 3.6 it is not."""
    try:
        keras.activations.get(keras.saving.serialize_keras_object(keras.layers.ReLU(max_value=2.0)))
    except (ValueError, TypeError):
        return False
    return True


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
