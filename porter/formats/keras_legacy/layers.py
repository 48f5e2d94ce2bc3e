"""Each legacy layer as a canonical one: arguments under Keras 3 names, arrays in Keras 3 layout.

The table is the allow-list: a class that is not in it is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.keras_legacy.errors import BackendQuestionError, UnknownModeError, WeightsError
from porter.formats.keras_legacy.fields import Fields
from porter.formats.keras_legacy.roles import BATCH_NORMALIZATIONS, KERAS1_GATES, Stored, roles_of
from porter.network.graph import Era
from reference.activation_names import parse_activation

Array = NDArray[Any]
Translation = tuple[str, dict[str, Any], dict[str, Array]]

RECURRENT_FLAGS = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask", "stateful")
ACTIVATIONS = {
    "hard_sigmoid": "hard_sigmoid_keras2", "swish": "silu", "linear": "linear", "tanh": "tanh", "relu": "relu",
    "sigmoid": "sigmoid", "softmax": "softmax", "softplus": "softplus", "softsign": "softsign", "elu": "elu",
    "selu": "selu", "exponential": "exponential", "gelu": "gelu", "silu": "silu", "mish": "mish", "relu6": "relu6",
    "leaky_relu": "leaky_relu",
}  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """One layer to be translated.

    Attributes:
        path: of names, in the model.
        kind: legacy class.
        fields: its configuration.
        stored: its arrays, or None for an architecture alone.
        era: who saved it.
    """

    path: str
    kind: str
    fields: Fields
    stored: Stored | None
    era: Era

    @property
    def channels_first(self) -> bool:
        """Whether its arrays have the channels before space."""
        known = ("channels_last", "channels_first", "tf", "th", None, "default")
        layout = self.fields.choice("data_format", "dim_ordering", options=known, default=None)
        if layout == "default":
            raise UnknownModeError(f"{self.fields.where}: dim_ordering 'default' depends on the machine that ran it")
        return layout in ("channels_first", "th")

    @property
    def is_theano(self) -> bool:
        """Whether Theano ran it.

        Raises:
            BackendQuestionError: nothing says so or otherwise.
        """
        if self.era.backend is None:
            raise BackendQuestionError(
                f"{self.fields.where}: what this {self.kind} computes depends on the backend that trained it",
                found="Keras 1 stores no backend, and no weight name ends in ':0' as TensorFlow's do",
                expected="--backend theano or --backend tensorflow (backend=)",
                remedy="ask where the model comes from: its kernels do not show which way round they are meant",
            )
        return self.era.backend == "theano"

    @property
    def activation(self) -> str:
        """Its activation, under the reference's names."""
        return activation_of(self.fields, "activation", default="linear")

    @property
    def with_bias(self) -> bool:
        """Whether it has a bias."""
        return self.fields.flag("use_bias", "bias", default=True)

    def arrays(self) -> dict[str, Array]:
        """Its stored arrays by role."""
        return {} if self.stored is None else self.stored.take(roles_of(self.kind, self.fields))

    def learned(self) -> dict[str, Array]:
        """Kernel and bias under Keras 3 names, whatever the version called them."""
        renamed = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}
        return {renamed.get(role, role): array for role, array in self.arrays().items()}

    def check(self, role: str, array: Array, shape: tuple[int | None, ...]) -> Array:
        """An array whose shape is known as far as ``shape`` says.

        Raises:
            WeightsError: it is another.
        """
        fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if not fits:
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise WeightsError(
                f"{self.fields.where}: the array of {role!r}",
                found=f"shape {array.shape}",
                expected=f"({wanted})",
                remedy="the file is damaged, or its weights are those of another model",
            )
        return array


def activation_of(fields: Fields, *keys: str, default: str) -> str:
    """An activation by name, with its parameters in brackets where a layer stands for it; null is none.

    Raises:
        UnknownModeError: a name that neither Keras 1 nor Keras 2 had, or another object.
    """
    value = fields.get(*keys, default=default)
    if value is None:
        return "linear"
    if isinstance(value, Mapping) and value.get("class_name") in OBJECTS:
        inner = value.get("config")
        return OBJECTS[value["class_name"]](Fields(fields.where, inner if isinstance(inner, Mapping) else {}))
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        value = value.get("config")  # as the format of Keras 2.12 on writes functions of Keras' own
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise UnknownModeError(
            f"{fields.where}: {keys[0]}", found=repr(value), expected=f"one of {', '.join(ACTIVATIONS)}",
            remedy="a function of the user's own cannot be read; set it aside with --replace LAYER=module:function",
        )  # fmt: skip
    return ACTIVATIONS[value]


def _relu_object(fields: Fields) -> str:
    top = fields.get("max_value", default=None)
    given = {key: fields.get(key, default=0) or 0 for key in ("negative_slope", "threshold")}
    parts = [f"{key}={fields.number(key)}" for key, value in given.items() if value]
    parts += [] if top is None else [f"max_value={fields.number('max_value')}"]
    return f"relu({', '.join(parts)})" if parts else "relu"


def _softmax_object(fields: Fields) -> str:
    axis = fields.get("axis", default=-1)
    if axis != -1:
        raise UnknownModeError(f"{fields.where}: a Softmax over axis {axis!r} as activation", expected="the last axis")
    return "softmax"


OBJECTS: Mapping[str, Callable[[Fields], str]] = {
    "LeakyReLU": lambda fields: f"leaky_relu(negative_slope={fields.number('alpha', 'negative_slope', default=0.3)})",
    "ELU": lambda fields: f"elu(alpha={fields.number('alpha', default=1.0)})",
    "ThresholdedReLU": lambda fields: f"thresholded_relu(theta={fields.number('theta', default=1.0)})",
    "ReLU": _relu_object,
    "Softmax": _softmax_object,
}
"""Layers that stand for an activation of another layer, as the reference spells them."""


def dense(spec: Spec) -> Translation:
    """Dense, on the last axis."""
    units = spec.fields.whole("units", "output_dim")
    weights = spec.learned()
    if weights:
        spec.check("kernel", weights["kernel"], (None, units))
        _check_bias(spec, weights, units)
    return "Dense", {"units": units, "activation": spec.activation, "use_bias": spec.with_bias}, weights


def _check_bias(spec: Spec, weights: Mapping[str, Array], *shape: int) -> None:
    if "bias" in weights:
        spec.check("bias", weights["bias"], shape)


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
        weights["kernel"] = spec.check("kernel", _turned(spec, kernel, dims), (*size, None, filters))
        _check_bias(spec, weights, filters)
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


def _turned(spec: Spec, kernel: Array, dims: int) -> Array:
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
        _check_bias(spec, weights, weights["kernel"].shape[-2] * many)
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
        _check_bias(spec, weights, filters)
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
        weights["kernel"] = spec.check("kernel", _turned(spec, kernel, dims), (*size, filters, None))
        _check_bias(spec, weights, filters)
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


def batch_normalization(spec: Spec) -> Translation:
    """BatchNormalization; early Keras 1 stored a deviation, of which the variance for Keras 3 is made."""
    fields = spec.fields
    axis = fields.get("axis", default=-1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if not isinstance(axis, int):
        raise UnknownModeError(f"{fields.where}: axis", found=repr(axis), expected="one axis")
    mode = fields.choice("mode", options=(0, 1, 2), default=0)
    version = (*spec.era.version, 0, 0)[:3]
    early = version < (1, 0, 6) or (version == (1, 0, 6) and spec.is_theano) if version[0] == 1 else False
    parameters = {
        "axis": axis, "epsilon": fields.number("epsilon", default=1e-3), "scale": fields.flag("scale", default=True),
        "center": fields.flag("center", default=True), "early": early, "first": version < (1, 0, 5),
    }  # fmt: skip
    weights = spec.arrays()
    renamed = {"running_mean": "moving_mean", "running_std": "moving_variance"}
    weights = {renamed.get(role, role): array for role, array in weights.items()}
    if mode:
        weights = {role: array for role, array in weights.items() if role in ("gamma", "beta")}
    return ("BatchNorm", "SampleNorm", "RowsNorm")[mode], parameters, weights


def layer_normalization(spec: Spec) -> Translation:
    """LayerNormalization."""
    axis = spec.fields.get("axis", default=-1)
    return "LayerNorm", {
        "axis": list(axis) if isinstance(axis, list) else [axis],
        "epsilon": spec.fields.number("epsilon", default=1e-3),
        "scale": spec.fields.flag("scale", default=True),
        "center": spec.fields.flag("center", default=True),
    }, spec.arrays()  # fmt: skip


def recurrent(spec: Spec) -> Translation:
    """SimpleRNN, LSTM, GRU and ConvLSTM1D to 3D, CuDNN's forms and those of Keras 1 made Keras 2's."""
    fields, kind = spec.fields, spec.kind.removeprefix("CuDNN")
    if fields.flag("time_major", default=False):
        raise UnknownModeError(f"{fields.where}: time_major", found="true", expected="rows before steps")
    units = fields.whole("units", "output_dim", "filters", "nb_filter")
    default = "sigmoid" if spec.era.version >= (2, 3) else "hard_sigmoid"
    gate = activation_of(fields, "recurrent_activation", "inner_activation", default=default)
    parameters: dict[str, Any] = {
        "kind": kind, "units": units, "use_bias": spec.with_bias,
        "activation": activation_of(fields, "activation", default="tanh"), "recurrent_activation": gate,
        "reset_after": kind == "GRU" and fields.flag("reset_after", default=False),
        **{key: fields.flag(key, default=False) for key in RECURRENT_FLAGS},
    }  # fmt: skip
    if spec.kind.startswith("CuDNN"):
        parameters |= {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": kind == "GRU"}
        parameters["use_bias"] = True
    dims = conv_dims(kind)
    if dims:
        parameters |= window_arguments(spec, dims) | {"size": size_of(spec, dims)}
        parameters["theano"] = spec.is_theano
    weights = _joined_gates(spec, kind)
    if weights:
        _check_recurrent(spec, kind, units, weights)
    return ("ConvLSTM" if dims else "Recurrent"), parameters, weights


def conv_dims(kind: str) -> int:
    """Dimensions of space of a ConvLSTM; 0 for any other layer."""
    return int(kind[-2]) if kind in CONV_LSTMS else 0


def _joined_gates(spec: Spec, kind: str) -> dict[str, Array]:
    """Kernel, recurrent kernel and bias, all gates side by side in Keras 2's order."""
    weights = spec.learned()
    if "W_i" in weights or "W_z" in weights:
        order = "ifco" if "W_i" in weights else KERAS1_GATES["GRU"]
        names = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}
        if kind == "ConvLSTM2D":
            size, filters = size_of(spec, 2), spec.fields.whole("nb_filter")
            weights = {
                role: kernel_layout(spec, array, 2, size, filters) if array.ndim == 4 else array
                for role, array in weights.items()
            }
        weights = {
            name: np.concatenate([weights[f"{letter}_{gate}"] for gate in order], axis=-1)
            for letter, name in names.items()
        }
    if conv_dims(kind) and weights:
        for role in ("kernel", "recurrent_kernel"):
            weights[role] = _turned(spec, weights[role], conv_dims(kind))
    return _from_cudnn(spec, weights, 4 if kind == "LSTM" else 3) if spec.kind.startswith("CuDNN") else weights


def _from_cudnn(spec: Spec, weights: dict[str, Array], gates: int) -> dict[str, Array]:
    """CuDNN keeps each gate's kernel as (units, inputs) in memory, the recurrent one transposed, and two biases."""
    if not weights:
        return weights
    units = spec.fields.whole("units")
    kernel, inner, bias = (weights[role] for role in ("kernel", "recurrent_kernel", "bias"))
    spec.check("kernel", kernel, (None, gates * units))
    spec.check("recurrent_kernel", inner, (units, gates * units))
    spec.check("bias", bias, (2 * gates * units,))
    blocks = [np.ascontiguousarray(block).reshape((units, -1)).T for block in np.split(kernel, gates, axis=1)]
    turned = [block.T for block in np.split(inner, gates, axis=1)]
    two = bias.reshape((2, -1))
    # An LSTM has one bias in Keras 2: the sum, kept in float64 so that only the port's own cast rounds it.
    joined = two[0].astype(np.float64) + two[1] if gates == 4 else two
    return {"kernel": np.hstack(blocks), "recurrent_kernel": np.hstack(turned), "bias": joined}


def _check_recurrent(spec: Spec, kind: str, units: int, weights: Mapping[str, Array]) -> None:
    gates = {"SimpleRNN": 1, "GRU": 3}.get(kind, 4)
    window = size_of(spec, conv_dims(kind)) if conv_dims(kind) else ()
    spec.check("kernel", weights["kernel"], (*window, None, gates * units))
    spec.check("recurrent_kernel", weights["recurrent_kernel"], (*window, units, gates * units))
    if "bias" in weights:
        two = kind == "GRU" and weights["bias"].ndim == 2
        spec.check("bias", weights["bias"], (2, gates * units) if two else (gates * units,))


def simple(operation: str, **keys: Any) -> Callable[[Spec], Translation]:
    """A layer without weights whose arguments are taken over: Keras 3 name to a function of its fields."""

    def translate(spec: Spec) -> Translation:
        return operation, {name: take(spec) for name, take in keys.items()}, spec.arrays()

    return translate


def pairs_of(spec: Spec, key: str, dims: int) -> tuple[tuple[int, int], ...]:
    """Before and after for each dimension, from all the ways in which that was written."""
    value = spec.fields.get(key, default=1)
    if isinstance(value, Mapping):
        sides = (("left_pad", "right_pad"),) if dims == 1 else (("top_pad", "bottom_pad"), ("left_pad", "right_pad"))
        inner = Fields(spec.fields.where, value)
        return tuple((inner.whole(a, default=0, least=0), inner.whole(b, default=0, least=0)) for a, b in sides)
    flat = spec.fields
    if isinstance(value, list) and value and all(isinstance(side, list) for side in value):
        rows = [Fields(flat.where, {key: side}).each(key, count=2, least=0) for side in value]
        if len(rows) == dims:
            return tuple((first, last) for first, last in rows)
        raise flat.wrong((key,), value, f"{dims} pairs")
    if isinstance(value, list) and len(value) == 2 * dims:
        numbers = flat.each(key, count=2 * dims, least=0)
        return tuple((numbers[at], numbers[at + 1]) for at in range(0, 2 * dims, 2))
    return tuple((each, each) for each in flat.each(key, count=dims, default=1, least=0))


def edges(operation: str, key: str, dims: int) -> Callable[[Spec], Translation]:
    """ZeroPadding and Cropping."""

    def translate(spec: Spec) -> Translation:
        first = dims > 1 and spec.channels_first
        return operation, {"dims": dims, "amounts": pairs_of(spec, key, dims), "channels_first": first}, {}

    return translate


def upsampling(spec: Spec, dims: int) -> Translation:
    """UpSampling, nearest or bilinear."""
    sizes = spec.fields.each("size", "length", count=dims, default=2)
    how = spec.fields.choice("interpolation", options=("nearest", "bilinear"), default="nearest")
    parameters = {"dims": dims, "sizes": sizes, "channels_first": dims > 1 and spec.channels_first}
    if how == "nearest":
        return "Upsample", parameters, {}
    if spec.is_theano:
        raise UnknownModeError(f"{spec.fields.where}: bilinear upsampling by Theano", expected="by TensorFlow")
    if spec.era.resizes_by_centres is None:
        raise UnknownModeError(
            f"{spec.fields.where}: bilinear upsampling in tf.keras {'.'.join(map(str, spec.era.version))}",
            found="nothing in the file that tells TensorFlow up to 1.14 from later ones, which resize differently",
        )
    return "Bilinear", parameters | {"centres": spec.era.resizes_by_centres}, {}


def merge(spec: Spec) -> Translation:
    """The merge layers of Keras 2, and Merge of Keras 1 by its mode."""
    fields = spec.fields
    if spec.kind != "Merge":
        axis = fields.get("axis", default=-1)
        return "Merge", {"mode": spec.kind, "axis": axis}, {}
    if fields.get("mode_type", default="raw") != "raw":
        from porter.formats.keras_legacy.errors import ExecutableLayerError

        raise ExecutableLayerError(
            f"{fields.where} is a Merge whose mode is code, which is not run",
            remedy=f"give a function in its place: --replace {spec.path}=module:function",
        )
    names = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate"}
    mode = fields.choice("mode", options=(*names, "dot", "cos"), default="sum")
    if mode in ("dot", "cos"):
        return "Dot", {"axes": _axes(fields, "dot_axes"), "normalize": False, "cosine": mode == "cos"}, {}
    return "Merge", {"mode": names[mode], "axis": fields.get("concat_axis", default=-1)}, {}


def dot(spec: Spec) -> Translation:
    """Dot of Keras 2."""
    normalize = spec.fields.flag("normalize", default=False)
    return "Dot", {"axes": _axes(spec.fields, "axes"), "normalize": normalize, "cosine": False}, {}


def _axes(fields: Fields, key: str) -> tuple[int, ...]:
    axes = fields.get(key, default=-1)
    if isinstance(axes, int):
        return (axes, axes)
    if not (isinstance(axes, list) and len(axes) == 2 and all(isinstance(axis, int) for axis in axes)):
        raise fields.wrong((key,), axes, "an axis, or one for each of two inputs")
    return tuple(axes)


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


def attention(spec: Spec) -> Translation:
    """Attention and AdditiveAttention."""
    fields = spec.fields
    options = ("dot", "concat")
    score = (
        "additive" if spec.kind == "AdditiveAttention" else fields.choice("score_mode", options=options, default="dot")
    )
    scale = fields.flag("use_scale", default=spec.kind == "AdditiveAttention")
    return (
        "Attention",
        {"score": score, "use_scale": scale, "causal": fields.flag("causal", default=False)},
        spec.arrays(),
    )


def _whole(key: str, *more: str, default: Any = None) -> Callable[[Spec], int]:
    return lambda spec: spec.fields.whole(key, *more, **({} if default is None else {"default": default}))


def _shape(spec: Spec) -> tuple[int, ...]:
    shape = spec.fields.get("target_shape", "dims")
    if not isinstance(shape, list) or not all(isinstance(n, int | None) and not isinstance(n, bool) for n in shape):
        raise spec.fields.wrong(("target_shape",), shape, "a list of whole numbers")
    return tuple(-1 if n is None else n for n in shape)


def _says_channels_first(spec: Spec) -> bool:
    return bool(spec.fields.get("data_format", default=None) == "channels_first")


def _order(spec: Spec) -> tuple[int, ...]:
    order = spec.fields.get("dims")
    if not isinstance(order, list) or sorted(order) != list(range(1, len(order) + 1)):
        raise spec.fields.wrong(("dims",), order, "the axes from 1 on, each once")
    return tuple(order)


IDENTITIES = (
    "InputLayer", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise",
    "GaussianDropout", "AlphaDropout", "ActivityRegularization",
)  # fmt: skip
DIMENSIONS = (1, 2, 3)
CONV_LSTMS = tuple(f"ConvLSTM{n}D" for n in DIMENSIONS)
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Merge")

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
    "Flatten": simple("Flatten", channels_first=_says_channels_first),
    "Reshape": simple("Reshape", shape=_shape),
    "Permute": simple("Permute", order=_order),
    "RepeatVector": simple("Repeat", times=_whole("n")),
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
