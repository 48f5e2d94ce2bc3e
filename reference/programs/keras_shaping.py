"""Layers of legacy Keras that move numbers about, or join tensors: configuration to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from reference.operations.attention import Attention
from reference.operations.bilinear_upsampling import BilinearUpsampling
from reference.operations.dot import Dot
from reference.operations.merging import Merge
from reference.operations.shaping import Rearrangement, flatten, repeat_elements, reshape
from reference.programs.keras_call import Call, UnsupportedError
from reference.programs.keras_convolution import numbers

Array = NDArray[Any]


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


def flattened(call: Call) -> Any:
    """Flatten; with the channels turned last where the layer says that they are first."""
    return moved(call, flatten, channels_first=call.get("data_format") == "channels_first")


def reshaped(call: Call) -> Any:
    """Reshape."""
    return moved(call, reshape, shape=tuple(-1 if n is None else n for n in call.get("target_shape", "dims")))
