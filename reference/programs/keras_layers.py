"""What each legacy Keras layer computed, by the version and backend that saved it: configuration to step.

Every builder takes a ``Call`` and follows the documentation of the layer in its own version; arrays are taken as
stored, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.attention import Attention
from reference.operations.convolution import (
    Convolution,
    DepthwiseConvolution,
    LocalConvolution,
    SeparableConvolution,
    TransposedConvolution,
)
from reference.operations.elementwise import Elementwise, PReLU
from reference.operations.embedding import Embedding, Masking
from reference.operations.merging import Dot, Merge
from reference.operations.normalization import BatchNormalization, LayerNormalization
from reference.operations.pooling import GlobalPooling, Pooling
from reference.operations.recurrent import ConvLSTMCell, GRUCell, LSTMCell, Recurrent, SimpleCell
from reference.operations.shaping import (
    BilinearUpsampling,
    Rearrangement,
    crop,
    flatten,
    identity,
    pad,
    permute,
    repeat,
    repeat_elements,
    reshape,
)
from reference.operations.timewise import TimewiseDense
from reference.programs.keras_call import Call, Era, UnsupportedError, activation_named
from reference.programs.keras_later_layers import LATER
from reference.programs.keras_weights import BATCH_NORMALIZATIONS, CONV_LSTMS, use_bias
from reference.windows import Padding

Array = NDArray[Any]


def numbers(value: Any, count: int) -> tuple[int, ...]:
    """One number for every dimension, or a list of them."""
    values = [value] * count if isinstance(value, int) else list(value)
    if len(values) == 1:
        values = values * count
    return tuple(int(each) for each in values)


def padding_of(call: Call) -> Padding:
    """The padding rule; "same" means Theano's own on Theano."""
    rule = call.get("padding", "border_mode", default="valid")
    if rule == "same":
        return "half" if call.era.flips else "same"
    if rule not in ("valid", "causal", "full"):
        raise UnsupportedError(f"padding {rule!r}")
    chosen: Padding = rule
    return chosen


def kernel_of(call: Call, kernel: Array, dims: int) -> Array:
    """A kernel as (*window, inputs, outputs), to be cross-correlated.

    Source: Keras 2.3.1 engine/saving.py, preprocess_weights_for_loading (how Keras 1 stored them).
    """
    if dims == 1 and kernel.ndim == 4:
        length = call.get("filter_length")
        if kernel.shape[:2] != (length, 1):
            kernel = np.transpose(kernel, (2, 3, 1, 0))
        kernel = kernel[:, 0]
    elif call.get("dim_ordering") == "th":
        kernel = np.transpose(kernel, (*range(2, 2 + dims), 1, 0))
    return np.flip(kernel, axis=tuple(range(dims))) if call.era.flips else kernel


def strides_of(call: Call, dims: int) -> tuple[int, ...]:
    """How far a window moves."""
    return numbers(call.get("strides", "subsample", "subsample_length", default=1), dims)


def dilation_of(call: Call, dims: int) -> tuple[int, ...]:
    """How far apart a kernel's places are."""
    return numbers(call.get("dilation_rate", "atrous_rate", default=1), dims)


def dense(call: Call) -> Any:
    """Dense; on more than two axes along the last one. Source: Keras 2 documentation, Dense."""
    act = activation_named(call.get("activation"))
    return TimewiseDense(call.name, call.inputs, call.weights[0], call.bias, act, "inputs-first", call.dtype)


def convolution(call: Call, dims: int) -> Any:
    """Conv1D to Conv3D, and their Keras 1 names."""
    return Convolution(
        call.name, call.inputs, kernel_of(call, call.weights[0], dims), call.bias,
        activation_named(call.get("activation")), strides_of(call, dims), dilation_of(call, dims), padding_of(call),
        int(call.get("groups", default=1)), call.channels_first, call.dtype,
    )  # fmt: skip


def depthwise(call: Call, dims: int) -> Any:
    """DepthwiseConv1D and 2D; Keras turned their kernels for Theano itself."""
    return DepthwiseConvolution(
        call.name, call.inputs, call.weights[0], call.bias, activation_named(call.get("activation")),
        strides_of(call, dims), dilation_of(call, dims), padding_of(call), call.channels_first, call.dtype,
    )  # fmt: skip


def separable(call: Call, dims: int) -> Any:
    """SeparableConv1D and 2D; Keras turned their kernels for Theano itself."""
    first, second = call.weights[:2]
    if call.get("dim_ordering") == "th":
        first, second = (np.transpose(kernel, (2, 3, 1, 0)) for kernel in (first, second))
    return SeparableConvolution(
        call.name, call.inputs, first, second, call.bias, activation_named(call.get("activation")),
        strides_of(call, dims), dilation_of(call, dims), padding_of(call), call.channels_first, call.dtype,
    )  # fmt: skip


def transposed(call: Call, dims: int) -> Any:
    """Conv1DTranspose to Conv3DTranspose, and Deconvolution2D."""
    kernel, first = call.weights[0], call.get("dim_ordering")
    if first is not None:
        kernel = np.transpose(kernel, (2, 3, 0, 1) if first == "th" else (0, 1, 3, 2))
    kernel = np.flip(kernel, axis=tuple(range(dims))) if call.era.flips else kernel
    extra = call.get("output_padding")
    return TransposedConvolution(
        call.name, call.inputs, kernel, call.bias, activation_named(call.get("activation")), strides_of(call, dims),
        dilation_of(call, dims), padding_of(call), None if extra is None else numbers(extra, dims),
        call.channels_first, call.dtype,
    )  # fmt: skip


def local(call: Call, dims: int) -> Any:
    """LocallyConnected1D and 2D in the implementation that stores one kernel a position."""
    if call.get("implementation", default=1) != 1:
        raise UnsupportedError(f"LocallyConnected{dims}D with implementation {call.get('implementation')}")
    if "nb_filter" in call.config:
        raise UnsupportedError(f"LocallyConnected{dims}D of Keras 1")
    window = call.get("kernel_size", default=[call.get("nb_row"), call.get("nb_col")])
    return LocalConvolution(
        call.name, call.inputs, call.weights[0], call.bias, activation_named(call.get("activation")),
        numbers(window, dims), strides_of(call, dims), call.channels_first, call.dtype,
    )  # fmt: skip


def pooling(call: Call, kind: Any, dims: int) -> Any:
    """MaxPooling and AveragePooling in one to three dimensions."""
    window = numbers(call.get("pool_size", "pool_length", default=2), dims)
    strides = call.get("strides", "stride")
    rule = call.get("padding", "border_mode", default="valid")
    if rule == "same" and call.era.flips:
        rule = "theano-pool"
    strides = window if strides is None else numbers(strides, dims)
    return Pooling(call.name, call.inputs, kind, window, strides, rule, call.channels_first, call.dtype)


def global_pooling(call: Call, kind: Any) -> Any:
    """GlobalMaxPooling and GlobalAveragePooling."""
    masks = tuple(mask for mask in call.masks if mask is not None) if kind == "average" else ()
    keep = bool(call.get("keepdims", default=False))
    return GlobalPooling(call.name, call.inputs + masks, kind, call.channels_first, keep, bool(masks), call.dtype)


def batch_normalization(call: Call) -> Any:
    """BatchNormalization, with the modes of Keras 1.

    Source: layers/normalization.py of Keras 1.0.0, 1.0.5, 1.0.6, 1.2.2 and 2.3.1.
    """
    arrays = list(call.weights)
    gamma = arrays.pop(0) if call.get("scale", default=True) else None
    beta = arrays.pop(0) if call.get("center", default=True) else None
    mode: Any = {0: "moving", 1: "sample", 2: "batch"}[call.get("mode", default=0)]
    axis = call.get("axis", default=-1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if isinstance(axis, list):
        raise UnsupportedError(f"BatchNormalization over the axes {axis}")
    return BatchNormalization(
        call.name, call.inputs, gamma, beta, arrays[0], arrays[1], float(call.get("epsilon", default=1e-3)), axis,
        mode, _divisor(call.era, mode), call.dtype,
    )  # fmt: skip


def _divisor(era: Era, mode: str) -> Any:
    version = era.version + (0,) * 3
    early = version[0] == 1 and version[:3] <= (1, 0, 5)
    if version[0] == 1 and version[:3] == (1, 0, 6):
        early = era.flips
    if mode == "moving":
        return "deviation+epsilon" if early else "sqrt(variance+epsilon)"
    if mode == "sample":
        return "deviation+epsilon" if version[:3] < (1, 0, 5) else "sqrt(variance+epsilon)+epsilon"
    return "sqrt(variance+epsilon)+epsilon" if early else "sqrt(variance+epsilon)"


def layer_normalization(call: Call) -> Any:
    """LayerNormalization of tf.keras 2."""
    arrays = list(call.weights)
    gamma = arrays.pop(0) if call.get("scale", default=True) else None
    beta = arrays.pop(0) if call.get("center", default=True) else None
    axis = call.get("axis", default=-1)
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    return LayerNormalization(
        call.name, call.inputs, gamma, beta, float(call.get("epsilon", default=1e-3)), axes, call.dtype
    )


def gates_of(weights: Sequence[Array], order: Sequence[int]) -> tuple[Array, ...]:
    """Kernel, recurrent kernel and bias of one-array-a-gate files, the gates put in ``order``."""
    parts = [weights[start::3] for start in range(3)]
    return tuple(np.concatenate([part[gate] for gate in order], axis=-1) for part in parts)


def from_cudnn(weights: Sequence[Array], gates: int) -> tuple[Array, ...]:
    """Kernels of a CuDNN layer, which lie in memory as (units, inputs) for each gate, as (inputs, units).

    Source: Keras 2.3.1 engine/saving.py, _convert_rnn_weights; cuDNN documentation, cudnnGetRNNLinLayerMatrixParams.
    """
    kernel, recurrent, bias = weights
    turned = [part.reshape(part.shape[::-1]).T for part in np.split(kernel, gates, axis=1)]
    inner = [part.T for part in np.split(recurrent, gates, axis=1)]
    bias = bias.reshape((2, -1))
    return np.hstack(turned), np.hstack(inner), bias


def cell_of(call: Call, kind: str) -> Any:
    """The cell of a recurrent layer, from its arrays."""
    weights, act = call.weights, activation_named(call.get("activation", default="tanh"))
    late = "sigmoid" if call.era.version >= (2, 3) else "hard_sigmoid"
    gate = activation_named(call.get("recurrent_activation", "inner_activation", default=late))
    if kind == "SimpleRNN":
        return SimpleCell(weights[0], weights[1], call.bias, act)
    if kind == "CuDNNLSTM":
        kernel, recurrent, bias = from_cudnn(weights, 4)
        return LSTMCell(kernel, recurrent, bias[0].astype(np.float64) + bias[1], act, Activation("sigmoid"))
    if kind == "CuDNNGRU":
        kernel, recurrent, bias = from_cudnn(weights, 3)
        return GRUCell(kernel, recurrent, bias, act, Activation("sigmoid"), reset_after=True)
    if len(weights) == 12:
        weights = gates_of(weights, (0, 2, 1, 3)) if kind not in CONV_LSTMS else weights
    elif len(weights) == 9:
        weights = gates_of(weights, (0, 1, 2))
    last = weights[2] if use_bias(call.config) else None
    if kind == "LSTM":
        return LSTMCell(weights[0], weights[1], last, act, gate)
    if kind == "GRU":
        return GRUCell(weights[0], weights[1], last, act, gate, bool(call.get("reset_after", default=False)))
    return _conv_lstm_cell(call, act, gate, int(kind[-2]))


def _conv_lstm_cell(call: Call, act: Activation, gate: Activation, dims: int) -> ConvLSTMCell:
    weights = list(call.weights)
    if len(weights) == 12:
        weights = [kernel_of(call, array, 2) if array.ndim == 4 else array for array in weights]
        kernel, recurrent, bias = gates_of(weights, (0, 2, 1, 3))
    else:
        kernel, recurrent = (kernel_of(call, array, dims) for array in weights[:2])
        bias = weights[2] if use_bias(call.config) else None  # type: ignore[assignment]
    inner: Padding = "half" if call.era.flips else "same"
    return ConvLSTMCell(
        kernel, recurrent, bias, act, gate, strides_of(call, dims), dilation_of(call, dims), padding_of(call), inner
    )


def recurrent(call: Call, kind: str) -> Recurrent:
    """SimpleRNN, LSTM, GRU, ConvLSTM2D, their CuDNN forms, and RNN around a cell."""
    if kind == "RNN":
        inner = call.get("cell")
        if inner["class_name"] not in ("SimpleRNNCell", "LSTMCell", "GRUCell"):
            raise UnsupportedError(f"RNN around {inner['class_name']}")
        cell = cell_of(replace(call, config=inner["config"]), inner["class_name"].removesuffix("Cell"))
    else:
        cell = cell_of(call, kind)
    if call.get("time_major", default=False):
        raise UnsupportedError("time_major: steps before rows")
    masks = tuple(mask for mask in call.masks[:1] if mask is not None)
    return Recurrent(
        call.name, call.inputs + masks, cell, bool(call.get("return_sequences", default=False)),
        bool(call.get("go_backwards", default=False)), bool(masks), bool(call.get("zero_output_for_mask")),
        kind in CONV_LSTMS and call.channels_first, call.dtype, bool(call.get("stateful", default=False)),
    )  # fmt: skip


def moved(call: Call, function: Callable[..., Array], **parameters: Any) -> Rearrangement:
    """A step that moves numbers about."""
    return Rearrangement(call.name, call.inputs, partial(function, **parameters), call.dtype)


def pairs_of(value: Any, dims: int) -> tuple[tuple[int, int], ...]:
    """Before and after for each dimension: Keras 2 writes pairs, Keras 1 a number a dimension, or all in a row."""
    if isinstance(value, Mapping):
        sides = [("left_pad", "right_pad")] if dims == 1 else [("top_pad", "bottom_pad"), ("left_pad", "right_pad")]
        return tuple((int(value.get(a, 0)), int(value.get(b, 0))) for a, b in sides)
    if isinstance(value, int):
        return ((value, value),) * dims
    if all(isinstance(each, int) for each in value):
        if len(value) == dims and dims > 1:
            return tuple((each, each) for each in value)
        if len(value) == 1:
            return ((value[0], value[0]),)
        return tuple((value[at], value[at + 1]) for at in range(0, len(value), 2))
    return tuple((int(first), int(last)) for first, last in value)


def on_edges(call: Call, function: Callable[..., Array], key: str, dims: int) -> Any:
    """ZeroPadding and Cropping."""
    amounts = pairs_of(call.get(key, default=1), dims)
    return moved(call, function, amounts=amounts, channels_first=dims > 1 and call.channels_first)


def upsampling(call: Call, dims: int) -> Any:
    """UpSampling1D to 3D, by repetition or bilinear."""
    sizes: Any = numbers(call.get("size", "length", default=2), dims)
    if call.get("interpolation", default="nearest") == "nearest":
        return moved(call, repeat_elements, sizes=sizes, channels_first=dims > 1 and call.channels_first)
    if call.get("interpolation") != "bilinear" or call.era.flips:
        raise UnsupportedError(f"UpSampling2D with interpolation {call.get('interpolation')!r}")
    if call.era.centred_resize is None:
        raise UnsupportedError("bilinear UpSampling2D: TensorFlow 1.14 and 1.15 resize differently")
    return BilinearUpsampling(
        call.name,
        call.inputs,
        sizes,
        call.era.centred_resize,
        call.channels_first,
        call.dtype,
    )


def merged(call: Call, mode: Any) -> Any:
    """The merge layers of Keras 2."""
    return Merge(call.name, call.inputs, mode, int(call.get("axis", default=-1)), call.dtype)


def merged_keras1(call: Call) -> Any:
    """Merge of Keras 1, by its mode."""
    mode = call.get("mode", default="sum")
    if call.get("mode_type", default="raw") != "raw":
        raise UnsupportedError("Merge with a mode that is a function")
    if mode in ("dot", "cos"):
        axes = call.get("dot_axes", default=-1)
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        return Dot(call.name, call.inputs, pair, cosine=mode == "cos", dtype=call.dtype)
    names = {"sum": "add", "ave": "average", "mul": "multiply", "max": "maximum", "concat": "concatenate"}
    if mode not in names:
        raise UnsupportedError(f"Merge with mode {mode!r}")
    axis = int(call.get("concat_axis", default=-1))
    return Merge(call.name, call.inputs, names[mode], axis, call.dtype)  # type: ignore[arg-type]


def dot(call: Call) -> Any:
    """Dot of Keras 2."""
    axes = call.get("axes", default=-1)
    pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
    return Dot(call.name, call.inputs, pair, bool(call.get("normalize", default=False)), dtype=call.dtype)


def attention(call: Call, kind: str) -> Any:
    """Attention and AdditiveAttention."""
    weights = list(call.weights)
    scale = weights.pop(0) if call.get("use_scale", default=kind == "AdditiveAttention") else None
    score: Any = "additive" if kind == "AdditiveAttention" else call.get("score_mode", default="dot")
    masks = tuple(mask for mask in call.masks[:2] if mask is not None)
    query, value = (*call.masks, None, None)[:2]
    flags = (query is not None, value is not None)
    return Attention(
        call.name, call.inputs + masks, score, scale, weights[0] if weights else None,
        bool(call.get("causal", default=False)), flags, call.dtype,
    )  # fmt: skip


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


def flattened(call: Call) -> Any:
    """Flatten; with the channels turned last where the layer says that they are first."""
    return moved(call, flatten, channels_first=call.get("data_format") == "channels_first")


def reshaped(call: Call) -> Any:
    """Reshape."""
    return moved(call, reshape, shape=tuple(-1 if n is None else n for n in call.get("target_shape", "dims")))


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
