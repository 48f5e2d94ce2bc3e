"""What Keras accepts: names of layers, of activations, of dtype policies."""

from __future__ import annotations

import re
from typing import Any

import keras

DTYPES = ("float32", "float64", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16")

FUSED = (
    *("linear", "tanh", "relu", "leaky_relu", "relu6", "sigmoid", "softsign", "softplus", "elu", "selu"),
    *("exponential", "gelu", "silu", "mish", "hard_sigmoid", "hard_tanh", "softmax"),
)


def legal_name(name: str) -> str:
    """The nearest name that Keras and TensorFlow accept for a layer."""
    legal = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)
    return legal if re.match(r"[A-Za-z0-9.]", legal) else f"layer{legal}"


def name_operations(model: Any) -> None:
    """Name what keras.ops made, which Keras counts through the process, after the order in this model."""
    bare = [operation for operation in model.operations if not isinstance(operation, keras.layers.Layer)]
    for number, operation in enumerate(bare):
        operation.name = f"op{number}_{type(operation).__name__.lower()}"
