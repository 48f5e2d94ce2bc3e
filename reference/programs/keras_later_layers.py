"""What the layers computed that came with tf.keras 2.2 to 2.13: configuration to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reference.operations.affine import Affine
from reference.operations.einsum_dense import EinsumDense
from reference.operations.encoding import CategoryEncoding, Discretization
from reference.operations.group_normalization import GroupNormalization
from reference.operations.multi_head_attention import MultiHeadAttention
from reference.operations.resizing import CenterCrop, Resized
from reference.operations.shaping import Rearrangement, identity
from reference.operations.standardization import Standardization
from reference.operations.unit_normalization import UnitNormalization
from reference.programs.keras_call import Call, activation_named
from reference.programs.keras_operations import Given


class UnknownSettingError(ValueError):
    """A mode of a layer that this program does not follow."""


def handed_on(call: Call) -> Any:
    """An augmentation, which does nothing at inference."""
    return Rearrangement(call.name, call.inputs, identity, call.dtype)


def plain(value: Any) -> Any:
    """A number or list, out of the mapping in which late versions wrote NumPy's own."""
    while isinstance(value, Mapping):
        value = value["config"] if "config" in value else value["value"]
    return value


def rescaling(call: Call) -> Any:
    """Rescaling: inputs * scale + offset."""
    scale, offset = (
        np.asarray(plain(call.get(key, default=d)), np.float64) for key, d in (("scale", 1), ("offset", 0))
    )
    return Affine(call.name, call.inputs, scale, offset, call.dtype)


def normalization(call: Call) -> Any:
    """Normalization, by the stored mean and variance, or those of the configuration."""
    axis = call.get("axis", default=-1)
    axes = () if axis is None else tuple(axis) if isinstance(axis, list) else (axis,)
    if call.weights:
        mean, variance = call.weights[:2]
    else:
        mean, variance = (np.asarray(plain(call.get(key)), np.float64) for key in ("mean", "variance"))
    means, variances = np.asarray(mean), np.asarray(variance)
    invert = bool(call.get("invert", default=False))
    return Standardization(call.name, call.inputs, means, variances, axes, invert, call.dtype)


def resizing(call: Call) -> Any:
    """Resizing."""
    return Resized(
        call.name, call.inputs, int(call.get("height")), int(call.get("width")),
        call.get("interpolation", default="bilinear"), bool(call.get("crop_to_aspect_ratio", default=False)),
        call.dtype,
    )  # fmt: skip


def random_crop(call: Call) -> Any:
    """RandomCrop at inference. Source: tf.keras 2.15, RandomCrop, smart_resize."""
    size = int(call.get("height")), int(call.get("width"))
    return Resized(call.name, call.inputs, *size, "bilinear", True, call.dtype)


def center_crop(call: Call) -> Any:
    """CenterCrop."""
    return CenterCrop(call.name, call.inputs, int(call.get("height")), int(call.get("width")), call.dtype)


def mode_of(call: Call, default: str) -> Any:
    """How whole numbers are written out; "binary" was the name of "multi_hot" before 2.6."""
    mode = call.get("output_mode", default=default)
    return "multi_hot" if mode == "binary" else mode


def category_encoding(call: Call) -> Any:
    """CategoryEncoding."""
    tokens = int(call.get("num_tokens", "max_tokens"))
    return CategoryEncoding(call.name, call.inputs, tokens, mode_of(call, "multi_hot"), call.dtype)


def discretization(call: Call) -> Any:
    """Discretization."""
    boundaries = tuple(float(each) for each in plain(call.get("bin_boundaries", "bins")))
    return Discretization(call.name, call.inputs, boundaries, mode_of(call, "int"), call.dtype)


def group_normalization(call: Call) -> Any:
    """GroupNormalization."""
    arrays = list(call.weights)
    gamma = arrays.pop(0) if call.get("scale", default=True) else None
    beta = arrays.pop(0) if call.get("center", default=True) else None
    return GroupNormalization(
        call.name, call.inputs, gamma, beta, int(call.get("groups", default=32)),
        float(call.get("epsilon", default=1e-3)), int(call.get("axis", default=-1)), call.dtype,
    )  # fmt: skip


def unit_normalization(call: Call) -> Any:
    """UnitNormalization."""
    axis = call.get("axis", default=-1)
    return UnitNormalization(
        call.name, call.inputs, tuple(axis) if isinstance(axis, list) else (axis,), dtype=call.dtype
    )


def einsum_dense(call: Call) -> Any:
    """EinsumDense."""
    bias = call.weights[1] if call.get("bias_axes") is not None else None
    equation, act = str(call.get("equation")), activation_named(call.get("activation"))
    return EinsumDense(call.name, call.inputs, equation, call.weights[0], bias, act, call.dtype)


def multi_head_attention(call: Call) -> Any:
    """MultiHeadAttention; its arrays are those of query, key, value and output, each with its bias."""
    step = 1 + bool(call.get("use_bias", default=True))
    maps: list[Any] = [(*call.weights[at : at + step], None)[:2] for at in range(0, 4 * step, step)]
    others = call.arguments.others
    given = [call.arguments.first, others.get("value"), others.get("key")]
    inputs = tuple(call.inputs[each.index] for each in given if isinstance(each, Given))
    silent = {key: value for key, value in others.items() if key not in ("value", "key", "use_causal_mask") and value}
    if silent or any(mask is not None for mask in call.masks):
        raise UnknownSettingError(f"{call.name} is called with {', '.join(silent) or 'a mask'}")
    causal = bool(others.get("use_causal_mask"))
    query, key, value, output = maps
    return MultiHeadAttention(call.name, inputs, query, key, value, output, causal, call.dtype)


LATER: Mapping[str, Callable[[Call], Any]] = {
    **{name: handed_on for name in (
        "Identity", "RandomBrightness", "RandomContrast", "RandomFlip", "RandomHeight", "RandomRotation",
        "RandomTranslation", "RandomWidth", "RandomZoom",
    )},
    "CategoryEncoding": category_encoding,
    "CenterCrop": center_crop,
    "Discretization": discretization,
    "EinsumDense": einsum_dense,
    "GroupNormalization": group_normalization,
    "MultiHeadAttention": multi_head_attention,
    "Normalization": normalization,
    "RandomCrop": random_crop,
    "Rescaling": rescaling,
    "Resizing": resizing,
    "UnitNormalization": unit_normalization,
}  # fmt: skip
