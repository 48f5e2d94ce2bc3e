"""Plain arithmetic between layers, as operations of Keras 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from porter.formats.keras_legacy.operations import Place
from porter.network.graph import KerasLayer
from porter.ports.keras.builders.layers import Apply, Site, named
from porter.ports.keras.names import legal_name

Parameters = Mapping[str, Any]
Compute = Callable[..., Any]


def operation(layer: KerasLayer, site: Site) -> Apply:
    """One function of tensors and constants."""
    p = layer.parameters
    name = legal_name(layer.name)
    if p["function"] == "resize":
        height, width = p["size"]
        made = layers.Resizing(height, width, p["method"], data_format="channels_last", name=name, dtype=site.policy)
        return lambda tensors, masks: [made(tensors[0])]
    compute = COMPUTED[p["function"]](p)
    dtype = keras.DTypePolicy(site.policy).compute_dtype

    def apply(*tensors: Any) -> Any:
        given = [tensors[each.number] if isinstance(each, Place) else _constant(each, dtype) for each in p["operands"]]
        return compute(*given)

    return named(name, apply, site)


def _constant(value: Any, dtype: str) -> Any:
    """A number as it is; numbers in lists as an array in the dtype of the layers."""
    return value if isinstance(value, int | float) else np.asarray(value).astype(np.dtype(dtype))


def _as_it_is(function: Compute) -> Callable[[Parameters], Compute]:
    return lambda p: function


def _sum(*values: Any) -> Any:
    total = values[0]
    for value in values[1:]:
        total = ops.add(total, value)
    return total


def _sliced(p: Parameters) -> Compute:
    parts = tuple(
        Ellipsis if part[0] == "ellipsis" else slice(*part[1:]) if part[0] == "slice" else part[1]
        for part in p["parts"]
    )
    return lambda x: x[parts]


def _expanded(p: Parameters) -> Compute:
    return lambda x: ops.expand_dims(x, p["axis"][0])


def _reduced(function: Compute) -> Callable[[Parameters], Compute]:
    return lambda p: lambda x: function(x, axis=p["axis"], keepdims=p["keepdims"])


def _softmax(p: Parameters) -> Compute:
    axis = p["axis"][0] if len(p["axis"]) == 1 else p["axis"]
    return lambda x: ops.softmax(x, axis=axis)


def _unit(p: Parameters) -> Compute:
    def compute(x: Any) -> Any:
        square = ops.sum(ops.square(x), axis=p["axis"], keepdims=True)
        return ops.divide(x, ops.sqrt(ops.maximum(square, p["epsilon"])))

    return compute


def _padded(p: Parameters) -> Compute:
    if p["mode"] == "constant":
        return lambda x: ops.pad(x, p["amounts"], mode="constant", constant_values=p["value"])
    return lambda x: ops.pad(x, p["amounts"], mode=p["mode"])


def _matmul(x: Any, y: Any) -> Any:
    return ops.matmul(x, y)


COMPUTED: Mapping[str, Callable[[Parameters], Compute]] = {
    "abs": _as_it_is(ops.abs), "add": _as_it_is(_sum),
    "clip": _as_it_is(lambda x, low, high: ops.minimum(ops.maximum(x, low), high)),
    "concat": lambda p: lambda *xs: ops.concatenate(list(xs), axis=p["axis"]),
    "cube": _as_it_is(lambda x: ops.multiply(ops.multiply(x, x), x)), "divide": _as_it_is(ops.true_divide),
    "elu": _as_it_is(ops.elu), "exp": _as_it_is(ops.exp), "expand_dims": _expanded,
    "gelu": lambda p: lambda x: ops.gelu(x, approximate=bool(p["approximate"])), "identity": _as_it_is(lambda x: x),
    "l2_normalize": _unit, "leaky_relu": lambda p: lambda x: ops.leaky_relu(x, p["alpha"]),
    "matmul": _as_it_is(_matmul), "maximum": _as_it_is(ops.maximum), "minimum": _as_it_is(ops.minimum),
    "multiply": _as_it_is(ops.multiply), "negative": _as_it_is(ops.negative), "pad": _padded,
    "reciprocal": _as_it_is(lambda x: ops.true_divide(1.0, x)), "reduce_max": _reduced(ops.max),
    "reduce_mean": _reduced(ops.mean),
    "reduce_min": _reduced(ops.min), "reduce_sum": _reduced(ops.sum), "relu": _as_it_is(ops.relu),
    "relu6": _as_it_is(ops.relu6), "reshape": lambda p: lambda x: ops.reshape(x, (-1, *p["shape"])),
    "rsqrt": _as_it_is(ops.rsqrt), "selu": _as_it_is(ops.selu), "sigmoid": _as_it_is(ops.sigmoid),
    "silu": _as_it_is(ops.silu), "slice": _sliced, "softmax": _softmax, "softplus": _as_it_is(ops.softplus),
    "softsign": _as_it_is(ops.softsign), "sqrt": _as_it_is(ops.sqrt), "square": _as_it_is(ops.square),
    "squared_difference": _as_it_is(lambda x, y: ops.square(ops.subtract(x, y))),
    "squeeze": lambda p: lambda x: ops.squeeze(x, axis=p["axis"]),
    "stack": lambda p: lambda *xs: ops.stack(list(xs), axis=p["axis"]), "subtract": _as_it_is(ops.subtract),
    "tanh": _as_it_is(ops.tanh), "tile": lambda p: lambda x: ops.tile(x, p["multiples"]),
    "transpose": lambda p: lambda x: ops.transpose(x, p["perm"]),
}  # fmt: skip
