"""What Keras 3 has for each canonical legacy layer: one layer where it can be, else several of Keras' own in a row.

Of the layers that stand for one legacy layer the last bears its name, so that what it gives is found by that name.
Arrays with the channels first are turned and turned back, because TensorFlow's convolutions on a CPU want them last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras import layers, ops

from porter.network.graph import KerasLayer
from porter.ports.keras.builders.convolution import convolution, depthwise, local, separable, transposed
from porter.ports.keras.builders.merging import attention, dot, merge
from porter.ports.keras.builders.normalization import batch_norm, layer_norm, own_statistics
from porter.ports.keras.builders.pooling import global_pooling, pooling
from porter.ports.keras.builders.recurrent import bidirectional, conv_lstm, recurrent, time_distributed
from porter.ports.keras.builders.shaping import bilinear, flatten, on_edges, upsampling
from porter.ports.keras.builders.site import (
    Apply,
    Site,
    apart,
    hard_sigmoid_layers,
    in_a_row,
    masked_value,
    named,
    scaled_tanh_layers,
)
from porter.ports.keras.names import legal_name
from porter.ports.keras.rational import rational


def dense(layer: KerasLayer, site: Site) -> Apply:
    """Dense, the activation fused."""
    p, behind = layer.parameters, apart(layer, site)
    fused = None if behind else site.activation(p["activation"])
    main = ("kernel", lambda name: site.keep(
        layers.Dense(p["units"], fused, p["use_bias"], name=name, dtype=site.policy), layer.weights, "kernel", "bias"
    ))  # fmt: skip
    return in_a_row(legal_name(layer.name), main, *behind)


def activation_layer(layer: KerasLayer, site: Site) -> Apply:
    """An activation as a layer of its own."""
    function, arguments = layer.parameters["function"], layer.parameters["arguments"]
    name = legal_name(layer.name)
    if function == "hard_sigmoid_keras2":
        return in_a_row(name, *hard_sigmoid_layers(site))
    if function == "scaled_tanh":
        return in_a_row(name, *scaled_tanh_layers(site, **arguments))
    if function == "rational":
        return named(name, lambda x: rational(x, **arguments), site)
    kinds = {"relu": layers.ReLU, "leaky_relu": layers.LeakyReLU, "elu": layers.ELU, "softmax": layers.Softmax}
    if function == "thresholded_relu":
        kinds[function], arguments = layers.ReLU, {"threshold": arguments["theta"]}
    if arguments:
        return in_a_row(name, ("it", lambda name: kinds[function](**arguments, name=name, dtype=site.policy)))
    plain = "linear" if function == "linear" else site.activation(function)
    return in_a_row(name, ("it", lambda name: layers.Activation(plain, name=name, dtype=site.policy)))


def prelu(layer: KerasLayer, site: Site) -> Apply:
    """PReLU."""
    shared = layer.parameters["shared_axes"]
    return in_a_row(legal_name(layer.name), ("it", lambda name: site.keep(
        layers.PReLU(shared_axes=shared, name=name, dtype=site.policy), layer.weights, "alpha"
    )))  # fmt: skip


def one(kind: str, *arguments: str) -> Callable[[KerasLayer, Site], Apply]:
    """A Keras layer that takes these parameters by position."""

    def build(layer: KerasLayer, site: Site) -> Apply:
        values = [layer.parameters[key] for key in arguments]
        made = getattr(layers, kind)
        return in_a_row(legal_name(layer.name), ("it", lambda name: made(*values, name=name, dtype=site.policy)))

    return build


def embedding(layer: KerasLayer, site: Site) -> Apply:
    """Embedding; its mask is computed beside it."""
    p = layer.parameters
    return in_a_row(legal_name(layer.name), ("it", lambda name: site.keep(
        layers.Embedding(p["rows"], p["width"], name=name, dtype=site.policy), layer.weights, "embeddings"
    )))  # fmt: skip


def masking(layer: KerasLayer, site: Site) -> Apply:
    """Masking as a product with its mask, which is handed on as a tensor of its own."""
    made = layers.Multiply(name=legal_name(layer.name), dtype=site.policy)

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        counts = ops.any(ops.not_equal(tensors[0], masked_value(layer)), axis=-1, keepdims=True)
        return [made([tensors[0], ops.cast(counts, tensors[0].dtype)])]

    return apply


OPERATIONS: Mapping[str, Callable[[KerasLayer, Site], Apply]] = {
    "Activation": activation_layer,
    "Attention": attention,
    "BatchNorm": batch_norm,
    "Bidirectional": bidirectional,
    "Bilinear": bilinear,
    "Conv": convolution,
    "ConvLSTM": conv_lstm,
    "ConvTranspose": transposed,
    "Crop": on_edges("Cropping"),
    "Dense": dense,
    "DepthwiseConv": depthwise,
    "Dot": dot,
    "Embedding": embedding,
    "Flatten": flatten,
    "GlobalPool": global_pooling,
    "Identity": one("Identity"),
    "LayerNorm": layer_norm,
    "LocalConv": local,
    "Masking": masking,
    "Merge": merge,
    "PReLU": prelu,
    "Pad": on_edges("ZeroPadding"),
    "Permute": one("Permute", "order"),
    "Pool": pooling,
    "Recurrent": recurrent,
    "Repeat": one("RepeatVector", "times"),
    "Reshape": one("Reshape", "shape"),
    "RowsNorm": own_statistics,
    "SampleNorm": own_statistics,
    "SeparableConv": separable,
    "TimeDistributed": time_distributed,
    "Upsample": upsampling,
}
