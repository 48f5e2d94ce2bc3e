"""Convolutions and pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.keras_legacy.errors import UnknownModeError
from porter.formats.keras_legacy.spec import Spec, Translation, check_bias

Array = NDArray[Any]


def window_arguments(spec: Spec, dims: int) -> dict[str, Any]:
    """Strides, dilation, padding and layout of a sliding window."""
    fields = spec.fields
    return {
        "dims": dims,
        "strides": fields.each("strides", "subsample", "subsample_length", count=dims, default=1),
        "dilation": fields.each("dilation_rate", "atrous_rate", count=dims, default=1),
        "padding": padding_of(spec),
        "channels_first": spec.channels_first,
    }


def padding_of(spec: Spec) -> str:
    """The padding rule; "same" on Theano is "half"."""
    options = ("valid", "same", "causal", "full")
    rule = spec.fields.choice("padding", "border_mode", options=options, default="valid")
    return "half" if rule == "same" and spec.is_theano else str(rule)


def size_of(spec: Spec, dims: int) -> tuple[int, ...]:
    """The window of a convolution."""
    fields = spec.fields
    if "nb_row" in fields:
        keys = {2: ("nb_row", "nb_col"), 3: ("kernel_dim1", "kernel_dim2", "kernel_dim3")}[dims]
        return tuple(fields.whole(key) for key in keys)
    if "kernel_dim1" in fields:
        return tuple(fields.whole(f"kernel_dim{axis}") for axis in (1, 2, 3))
    return fields.each("kernel_size", "filter_length", count=dims)


def convolution(spec: Spec, dims: int) -> Translation:
    """Conv1D to Conv3D."""
    filters, size = spec.fields.whole("filters", "nb_filter"), size_of(spec, dims)
    groups = spec.fields.whole("groups", default=1)
    parameters = window_arguments(spec, dims) | {
        "filters": filters, "size": size, "groups": groups, "activation": spec.activation, "use_bias": spec.with_bias,
    }  # fmt: skip
    weights = spec.learned()
    if weights:
        kernel = kernel_layout(spec, weights["kernel"], dims, size, filters)
        weights["kernel"] = spec.check("kernel", turned(spec, kernel, dims), (*size, None, filters))
        check_bias(spec, weights, filters)
    return "Conv", parameters, weights


def kernel_layout(spec: Spec, kernel: Array, dims: int, size: tuple[int, ...], filters: int) -> Array:
    """A kernel as (*window, channels, filters), from Keras 1's layouts: four axes in 1-D, filters first in "th"."""
    if dims == 1 and kernel.ndim == 4:
        if kernel.shape[:2] == (size[0], 1) and kernel.shape[3] == filters:
            return kernel[:, 0]
        spec.check("kernel", kernel, (filters, None, size[0], 1))
        return np.moveaxis(kernel[..., 0], (0, 1), (2, 1))
    if spec.fields.get("dim_ordering", default="tf") == "th" and kernel.ndim == dims + 2:
        return np.moveaxis(kernel, (0, 1), (-1, -2))
    return kernel


def turned(spec: Spec, kernel: Array, dims: int) -> Array:
    """The kernel for a cross-correlation: Theano's is turned round in every dimension of space."""
    return kernel[(slice(None, None, -1),) * dims] if spec.is_theano else kernel


def depthwise(spec: Spec, dims: int) -> Translation:
    """DepthwiseConv1D and 2D; their kernels are a cross-correlation's on every backend."""
    size, many = size_of(spec, dims), spec.fields.whole("depth_multiplier", default=1)
    parameters = window_arguments(spec, dims) | {
        "size": size, "multiplier": many, "activation": spec.activation, "use_bias": spec.with_bias,
    }  # fmt: skip
    weights = spec.learned()
    if weights:
        weights["kernel"] = spec.check("depthwise_kernel", weights.pop("depthwise_kernel"), (*size, None, many))
        weights = {key: weights[key] for key in ("kernel", "bias") if key in weights}
        check_bias(spec, weights, weights["kernel"].shape[-2] * many)
    return "DepthwiseConv", parameters, weights


def separable(spec: Spec, dims: int) -> Translation:
    """SeparableConv1D and 2D; their kernels are a cross-correlation's on every backend."""
    size, many = size_of(spec, dims), spec.fields.whole("depth_multiplier", default=1)
    filters = spec.fields.whole("filters", "nb_filter")
    parameters = window_arguments(spec, dims) | {
        "size": size, "multiplier": many, "filters": filters, "activation": spec.activation,
        "use_bias": spec.with_bias,
    }  # fmt: skip
    weights = spec.learned()
    if weights:
        if spec.fields.get("dim_ordering", default="tf") == "th":
            for role in ("depthwise_kernel", "pointwise_kernel"):
                weights[role] = np.moveaxis(weights[role], (0, 1), (-1, -2))
        spec.check("depthwise_kernel", weights["depthwise_kernel"], (*size, None, many))
        spec.check("pointwise_kernel", weights["pointwise_kernel"], (*(1,) * dims, None, filters))
        check_bias(spec, weights, filters)
    return "SeparableConv", parameters, weights


def transposed(spec: Spec, dims: int) -> Translation:
    """Conv1DTranspose to Conv3DTranspose, Deconvolution2D."""
    filters, size = spec.fields.whole("filters", "nb_filter"), size_of(spec, dims)
    extra = spec.fields.get("output_padding", default=None)
    parameters = window_arguments(spec, dims) | {
        "filters": filters, "size": size, "activation": spec.activation, "use_bias": spec.with_bias,
        "output_padding": None if extra is None else spec.fields.each("output_padding", count=dims, least=0),
    }  # fmt: skip
    weights = spec.learned()
    if weights:
        kernel = weights["kernel"]
        if "dim_ordering" in spec.fields:
            kernel = kernel_layout(spec, kernel, dims, size, filters).swapaxes(-1, -2)
        weights["kernel"] = spec.check("kernel", turned(spec, kernel, dims), (*size, filters, None))
        check_bias(spec, weights, filters)
    return "ConvTranspose", parameters, weights


def local(spec: Spec, dims: int) -> Translation:
    """LocallyConnected1D and 2D, where one kernel a position is stored."""
    if spec.fields.get("implementation", default=1) != 1 or "nb_filter" in spec.fields:
        version = "of Keras 1" if "nb_filter" in spec.fields else f"{spec.fields.get('implementation')}"
        raise UnknownModeError(
            f"{spec.fields.where}: {spec.kind} in implementation {version}", expected="implementation 1 of Keras 2"
        )
    filters = spec.fields.whole("filters")
    parameters = window_arguments(spec, dims) | {
        "filters": filters, "size": size_of(spec, dims), "activation": spec.activation, "use_bias": spec.with_bias,
    }  # fmt: skip
    if parameters["padding"] != "valid":
        raise UnknownModeError(f"{spec.fields.where}: padding {parameters['padding']!r}", expected="'valid'")
    weights = spec.learned()
    if weights:
        kernel = spec.check("kernel", weights["kernel"], (None, None, filters))
        if kernel.shape[1] % math.prod(parameters["size"]):
            spec.check("kernel", kernel, (None, math.prod(parameters["size"]), filters))
        if parameters["channels_first"]:
            # Keras 2 flattens each patch in the layer's own layout; the port's patches have the channels last.
            apart = kernel.reshape((len(kernel), -1, *parameters["size"], filters))
            weights["kernel"] = np.moveaxis(apart, 1, -2).reshape(kernel.shape)
        if "bias" in weights:
            spec.check("bias", weights["bias"], (*(None,) * dims, filters))
            weights["bias"] = weights["bias"].reshape((-1, filters))
    return "LocalConv", parameters, weights


def pooling(spec: Spec, kind: str, dims: int) -> Translation:
    """Max and average pooling."""
    fields = spec.fields
    window = fields.each("pool_size", "pool_length", count=dims, default=2)
    given = fields.get("strides", "stride", default=None)
    strides = window if given is None else fields.each("strides", "stride", count=dims)
    rule = fields.choice("padding", "border_mode", options=("valid", "same"), default="valid")
    if rule == "same" and spec.is_theano:
        rule = "theano"
    first = dims > 0 and spec.channels_first
    return "Pool", {
        "kind": kind, "dims": dims, "size": window, "strides": strides, "padding": rule, "channels_first": first,
    }, {}  # fmt: skip


def global_pooling(spec: Spec, kind: str, dims: int) -> Translation:
    """Global max and average pooling."""
    keep = spec.fields.flag("keepdims", default=False)
    return "GlobalPool", {"kind": kind, "dims": dims, "channels_first": spec.channels_first, "keepdims": keep}, {}
