"""What each legacy Keras layer computed, by the version and backend that saved it: configuration to step.

Every builder takes a ``Call`` and follows the documentation of the layer in its own version; arrays are taken as
stored, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from reference.activations import Activation
from reference.operations.elementwise import Elementwise
from reference.operations.embedding import Embedding
from reference.operations.masking import Masking
from reference.operations.prelu import PReLU
from reference.operations.shaping import (
    crop,
    identity,
    pad,
    permute,
    repeat,
)
from reference.operations.timewise import TimewiseDense
from reference.programs.keras_call import Call, UnsupportedError, activation_named
from reference.programs.keras_convolution import (
    convolution,
    depthwise,
    global_pooling,
    local,
    pooling,
    separable,
    transposed,
)
from reference.programs.keras_later_layers import LATER
from reference.programs.keras_normalization import batch_normalization, layer_normalization
from reference.programs.keras_recurrent import recurrent
from reference.programs.keras_shaping import (
    attention,
    dot,
    flattened,
    merged,
    merged_keras1,
    moved,
    on_edges,
    reshaped,
    upsampling,
)
from reference.programs.keras_weights import BATCH_NORMALIZATIONS, CONV_LSTMS


def dense(call: Call) -> Any:
    """Dense; on more than two axes along the last one. Source: Keras 2 documentation, Dense."""
    act = activation_named(call.get("activation"))
    return TimewiseDense(call.name, call.inputs, call.weights[0], call.bias, act, "inputs-first", call.dtype)


def elementwise(call: Call, activation: Activation) -> Any:
    """An activation as a layer of its own."""
    return Elementwise(call.name, call.inputs, activation, call.dtype)


def relu_layer(call: Call) -> Any:
    """ReLU of Keras 2.2 on. Source: Keras 2.3.1 layers/advanced_activations.py."""
    top, slope = call.get("max_value"), float(call.get("negative_slope", default=0) or 0)
    parameters = {"max_value": top, "negative_slope": slope, "threshold": float(call.get("threshold", default=0) or 0)}
    return elementwise(call, Activation("relu", parameters))


def softmax_layer(call: Call) -> Any:
    """Softmax; over several axes where a list is given."""
    axis = call.get("axis", default=-1)
    return elementwise(call, Activation("softmax", {"axis": tuple(axis) if isinstance(axis, list) else axis}))


def single(activation: str, parameter: str, *keys: str, default: float) -> Callable[[Call], Any]:
    """A layer that is an activation with one parameter."""

    def build(call: Call) -> Any:
        return elementwise(call, Activation(activation, {parameter: float(call.get(*keys, default=default))}))

    return build


def embedding(call: Call) -> Any:
    """Embedding."""
    return Embedding(call.name, call.inputs, call.weights[0], call.dtype)


def masking(call: Call) -> Any:
    """Masking."""
    return Masking(call.name, call.inputs, float(call.get("mask_value", default=0.0)), call.dtype)


def prelu(call: Call) -> Any:
    """PReLU."""
    return PReLU(call.name, call.inputs, call.weights[0], call.dtype)


IDENTITIES = (
    "InputLayer", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise",
    "GaussianDropout", "AlphaDropout", "ActivityRegularization",
)  # fmt: skip


BUILDERS: Mapping[str, Callable[[Call], Any]] = {
    **{name: partial(moved, function=identity) for name in IDENTITIES},
    **{name: dense for name in ("Dense", "TimeDistributedDense")},
    **{f"Conv{n}D": partial(convolution, dims=n) for n in (1, 2, 3)},
    **{f"Convolution{n}D": partial(convolution, dims=n) for n in (1, 2, 3)},
    **{f"AtrousConvolution{n}D": partial(convolution, dims=n) for n in (1, 2)},
    **{f"DepthwiseConv{n}D": partial(depthwise, dims=n) for n in (1, 2)},
    "SeparableConv1D": partial(separable, dims=1),
    "SeparableConv2D": partial(separable, dims=2),
    "SeparableConvolution2D": partial(separable, dims=2),
    **{f"Conv{n}DTranspose": partial(transposed, dims=n) for n in (1, 2, 3)},
    "Deconvolution2D": partial(transposed, dims=2),
    "LocallyConnected1D": partial(local, dims=1),
    "LocallyConnected2D": partial(local, dims=2),
    **{f"MaxPooling{n}D": partial(pooling, kind="max", dims=n) for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": partial(pooling, kind="average", dims=n) for n in (1, 2, 3)},
    **{f"GlobalMaxPooling{n}D": partial(global_pooling, kind="max") for n in (1, 2, 3)},
    **{f"GlobalAveragePooling{n}D": partial(global_pooling, kind="average") for n in (1, 2, 3)},
    **{name: batch_normalization for name in BATCH_NORMALIZATIONS},
    "LayerNormalization": layer_normalization,
    **{
        name: partial(recurrent, kind=name)
        for name in ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", *CONV_LSTMS, "RNN")
    },
    **{f"ZeroPadding{n}D": partial(on_edges, function=pad, key="padding", dims=n) for n in (1, 2, 3)},
    **{f"Cropping{n}D": partial(on_edges, function=crop, key="cropping", dims=n) for n in (1, 2, 3)},
    **{f"UpSampling{n}D": partial(upsampling, dims=n) for n in (1, 2, 3)},
    "Flatten": flattened,
    "Reshape": reshaped,
    "Permute": lambda call: moved(call, permute, order=tuple(call.get("dims"))),
    "RepeatVector": lambda call: moved(call, repeat, times=int(call.get("n"))),
    "Activation": lambda call: elementwise(call, activation_named(call.get("activation"))),
    "ReLU": relu_layer,
    "LeakyReLU": single("leaky_relu", "negative_slope", "alpha", "negative_slope", default=0.3),
    "ELU": single("elu", "alpha", "alpha", default=1.0),
    "ThresholdedReLU": single("thresholded_relu", "theta", "theta", default=1.0),
    "PReLU": prelu,
    "Softmax": softmax_layer,
    **{
        name: partial(merged, mode=name.lower())
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    },
    "Merge": merged_keras1,
    "Dot": dot,
    "Embedding": embedding,
    "Masking": masking,
    "Attention": partial(attention, kind="Attention"),
    "AdditiveAttention": partial(attention, kind="AdditiveAttention"),
    **LATER,
}  # fmt: skip


def build(kind: str, call: Call) -> Any:
    """The step of one call of one layer.

    Raises:
        UnsupportedError: a layer that is not in the table, or a mode that is not followed.
    """
    if kind not in BUILDERS:
        raise UnsupportedError(f"layer {call.name!r} is a {kind}, which this program does not follow")
    return BUILDERS[kind](call)
