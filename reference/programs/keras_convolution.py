"""Convolutions and pooling of legacy Keras: configuration to step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.convolution import Convolution
from reference.operations.depthwise_convolution import DepthwiseConvolution
from reference.operations.global_pooling import GlobalPooling
from reference.operations.local_convolution import LocalConvolution
from reference.operations.pooling import Pooling
from reference.operations.separable_convolution import SeparableConvolution
from reference.operations.transposed_convolution import TransposedConvolution
from reference.programs.keras_call import Call, UnsupportedError, activation_named
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
