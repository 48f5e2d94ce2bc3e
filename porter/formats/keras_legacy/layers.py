"""Each legacy layer as a canonical one: arguments under Keras 3 names, arrays in Keras 3 layout.

The table is the allow-list: a class that is not in it is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from porter.formats.keras_legacy.convolution import (
    convolution,
    depthwise,
    global_pooling,
    local,
    pooling,
    separable,
    transposed,
)
from porter.formats.keras_legacy.merging import MERGES, attention, dot, merge
from porter.formats.keras_legacy.normalization import batch_normalization, layer_normalization
from porter.formats.keras_legacy.recurrent import CONV_LSTMS, DIMENSIONS, recurrent
from porter.formats.keras_legacy.roles import BATCH_NORMALIZATIONS
from porter.formats.keras_legacy.shaping import edges, order_of, says_channels_first, shape_of, upsampling
from porter.formats.keras_legacy.spec import Spec, Translation, activation_of, check_bias, simple, whole_number
from reference.activation_names import parse_activation


def dense(spec: Spec) -> Translation:
    """Dense, on the last axis."""
    units = spec.fields.whole("units", "output_dim")
    weights = spec.learned()
    if weights:
        spec.check("kernel", weights["kernel"], (None, units))
        check_bias(spec, weights, units)
    return "Dense", {"units": units, "activation": spec.activation, "use_bias": spec.with_bias}, weights


def relu(spec: Spec) -> Translation:
    """ReLU; null arguments mean the defaults."""
    fields = spec.fields
    top = fields.get("max_value", default=None)
    slopes = {key: fields.get(key, default=0) for key in ("negative_slope", "threshold")}
    return "Activation", {
        "function": "relu",
        "arguments": {
            "max_value": None if top is None else fields.number("max_value"),
            **{key: 0.0 if value is None else fields.number(key, default=0) for key, value in slopes.items()},
        },
    }, {}  # fmt: skip


def activation_layer(function: str, argument: str, *keys: str, default: float) -> Callable[[Spec], Translation]:
    """An activation with one number, as a layer."""

    def translate(spec: Spec) -> Translation:
        arguments = {argument: spec.fields.number(*keys, default=default)}
        return "Activation", {"function": function, "arguments": arguments}, {}

    return translate


def activation_alone(spec: Spec) -> Translation:
    """Activation."""
    activation = parse_activation(activation_of(spec.fields, "activation", default="linear"))
    return "Activation", {"function": activation.name, "arguments": dict(activation.parameters)}, spec.arrays()


def softmax(spec: Spec) -> Translation:
    """Softmax, along one axis or over several."""
    axis = spec.fields.get("axis", default=-1)
    return (
        "Activation",
        {"function": "softmax", "arguments": {"axis": tuple(axis) if isinstance(axis, list) else axis}},
        {},
    )


def embedding(spec: Spec) -> Translation:
    """Embedding."""
    rows, width = spec.fields.whole("input_dim"), spec.fields.whole("output_dim")
    weights = dict(zip(("embeddings",), spec.arrays().values(), strict=False))
    if weights:
        spec.check("embeddings", weights["embeddings"], (rows, width))
    return "Embedding", {"rows": rows, "width": width}, weights


def prelu(spec: Spec) -> Translation:
    """PReLU."""
    axes = spec.fields.get("shared_axes", default=None)
    return "PReLU", {"shared_axes": None if axes is None else list(axes)}, spec.arrays()


IDENTITIES = (
    "InputLayer", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise",
    "GaussianDropout", "AlphaDropout", "ActivityRegularization",
)  # fmt: skip


TABLE: Mapping[str, Callable[[Spec], Translation]] = {
    **{kind: simple("Identity") for kind in IDENTITIES},
    "Dense": dense,
    "TimeDistributedDense": dense,
    **{f"Conv{n}D": partial(convolution, dims=n) for n in DIMENSIONS},
    **{f"Convolution{n}D": partial(convolution, dims=n) for n in DIMENSIONS},
    **{f"AtrousConvolution{n}D": partial(convolution, dims=n) for n in (1, 2)},
    **{f"DepthwiseConv{n}D": partial(depthwise, dims=n) for n in (1, 2)},
    "SeparableConv1D": partial(separable, dims=1),
    "SeparableConv2D": partial(separable, dims=2),
    "SeparableConvolution2D": partial(separable, dims=2),
    **{f"Conv{n}DTranspose": partial(transposed, dims=n) for n in DIMENSIONS},
    "Deconvolution2D": partial(transposed, dims=2),
    "LocallyConnected1D": partial(local, dims=1),
    "LocallyConnected2D": partial(local, dims=2),
    **{f"MaxPooling{n}D": partial(pooling, kind="max", dims=n) for n in DIMENSIONS},
    **{f"AveragePooling{n}D": partial(pooling, kind="average", dims=n) for n in DIMENSIONS},
    **{f"GlobalMaxPooling{n}D": partial(global_pooling, kind="max", dims=n) for n in DIMENSIONS},
    **{f"GlobalAveragePooling{n}D": partial(global_pooling, kind="average", dims=n) for n in DIMENSIONS},
    **{kind: batch_normalization for kind in BATCH_NORMALIZATIONS},
    "LayerNormalization": layer_normalization,
    **{kind: recurrent for kind in ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", *CONV_LSTMS)},
    **{f"ZeroPadding{n}D": edges("Pad", "padding", n) for n in DIMENSIONS},
    **{f"Cropping{n}D": edges("Crop", "cropping", n) for n in DIMENSIONS},
    **{f"UpSampling{n}D": partial(upsampling, dims=n) for n in DIMENSIONS},
    "Flatten": simple("Flatten", channels_first=says_channels_first),
    "Reshape": simple("Reshape", shape=shape_of),
    "Permute": simple("Permute", order=order_of),
    "RepeatVector": simple("Repeat", times=whole_number("n")),
    "Activation": activation_alone,
    "ReLU": relu,
    "LeakyReLU": activation_layer("leaky_relu", "negative_slope", "alpha", "negative_slope", default=0.3),
    "ELU": activation_layer("elu", "alpha", "alpha", default=1.0),
    "ThresholdedReLU": activation_layer("thresholded_relu", "theta", "theta", default=1.0),
    "PReLU": prelu,
    "Softmax": softmax,
    **{kind: merge for kind in MERGES},
    "Dot": dot,
    "Embedding": embedding,
    "Masking": simple("Masking", value=lambda spec: spec.fields.number("mask_value", default=0.0)),
    "Attention": attention,
    "AdditiveAttention": attention,
}  # fmt: skip
