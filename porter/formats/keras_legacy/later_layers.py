"""Layers that came with tf.keras 2.2 to 2.13 as canonical ones: preprocessing, further normalizations, attention."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.keras_legacy.errors import UnknownModeError
from porter.formats.keras_legacy.fields import Fields
from porter.formats.keras_legacy.spec import Spec, Translation, simple

Array = NDArray[Any]

AUGMENTATIONS = (
    "RandomBrightness", "RandomContrast", "RandomFlip", "RandomHeight", "RandomRotation", "RandomTranslation",
    "RandomWidth", "RandomZoom",
)  # fmt: skip
"""Layers that hand their input on at inference."""
LETTERS = re.compile(
    r"(\.\.\.)?[a-zA-Z]+,[a-zA-Z]+->(\.\.\.)?[a-zA-Z]+|[a-zA-Z]+(\.\.\.)?,[a-zA-Z]+->[a-zA-Z]+(\.\.\.)?"
)


def numbers_of(fields: Fields, key: str, default: Any) -> Array:
    """A number, or lists of numbers, as an array.

    Raises:
        ConfigError: something else.
    """
    value = fields.get(key, default=default)
    if isinstance(value, Mapping) and "value" in (inner := value.get("config", value)):
        value = inner["value"]  # as tf.keras 2.11 on wrote NumPy's own numbers
    try:
        array = np.asarray(value, np.float64)
    except (ValueError, TypeError) as error:
        raise fields.wrong((key,), value, "a number, or a list of numbers") from error
    if not np.isfinite(array).all():
        raise fields.wrong((key,), value, "finite numbers")
    return array


def rescaling(spec: Spec) -> Translation:
    """Rescaling."""
    scale, offset = numbers_of(spec.fields, "scale", 1.0), numbers_of(spec.fields, "offset", 0.0)
    return "Rescaling", {"scale": scale, "offset": offset}, {}


def normalization(spec: Spec) -> Translation:
    """Normalization, of stored statistics or of those in the configuration."""
    fields = spec.fields
    axis = fields.get("axis", default=-1)
    axes = None if axis is None else tuple(axis) if isinstance(axis, list) else (axis,)
    if axes is not None and not all(type(each) is int for each in axes):
        raise fields.wrong(("axis",), axis, "whole numbers")
    invert = fields.flag("invert", default=False)
    parameters: dict[str, Any] = {"axis": axes, "invert": invert}
    stored = spec.arrays()
    if stored:
        return "Normalization", parameters | {key: stored[key] for key in ("mean", "variance")}, {}
    if fields.get("mean", default=None) is not None:
        parameters |= {key: numbers_of(fields, key, 0.0) for key in ("mean", "variance")}
    return "Normalization", parameters, {}


def size_parameters(spec: Spec) -> dict[str, Any]:
    """Height and width, with the channels last."""
    if spec.fields.get("data_format", default="channels_last") not in ("channels_last", None):
        raise UnknownModeError(f"{spec.fields.where}: data_format", expected="channels_last")
    return {"height": spec.fields.whole("height"), "width": spec.fields.whole("width")}


def resizing(spec: Spec) -> Translation:
    """Resizing, by the nearest pixel or linearly."""
    known = ("bilinear", "nearest")
    how = spec.fields.get("interpolation", default="bilinear")
    if how not in known:
        raise UnknownModeError(
            f"{spec.fields.where}: interpolation {how!r}", expected=f"one of {', '.join(known)}",
            remedy=f"give a function in its place: --replace {spec.path}=module:function",
        )  # fmt: skip
    crops = spec.fields.flag("crop_to_aspect_ratio", default=False)
    return "Resizing", size_parameters(spec) | {"method": how, "crops": crops}, {}


def random_crop(spec: Spec) -> Translation:
    """RandomCrop, which at inference cuts the middle out in the proportions wanted, and resizes it."""
    if spec.era.version < (2, 8):
        raise UnknownModeError(
            f"{spec.fields.where}: RandomCrop of tf.keras {'.'.join(map(str, spec.era.version))}",
            found="it resized in another way before 2.8",
            remedy=f"give a function in its place: --replace {spec.path}=module:function",
        )
    return "Resizing", size_parameters(spec) | {"method": "bilinear", "crops": True}, {}


def center_crop(spec: Spec) -> Translation:
    """CenterCrop."""
    return "CenterCrop", size_parameters(spec), {}


def category_encoding(spec: Spec) -> Translation:
    """CategoryEncoding of whole numbers, without weights of their own."""
    fields = spec.fields
    mode = fields.choice("output_mode", options=("one_hot", "multi_hot", "count", "binary"), default="multi_hot")
    if fields.flag("sparse", default=False):
        raise UnknownModeError(f"{fields.where}: sparse", found="true", expected="dense outputs")
    tokens = fields.whole("num_tokens", "max_tokens")
    return "CategoryEncoding", {"tokens": tokens, "mode": "multi_hot" if mode == "binary" else mode}, {}


def discretization(spec: Spec) -> Translation:
    """Discretization by boundaries that the configuration has."""
    fields = spec.fields
    bins = fields.get("bin_boundaries", "bins", default=None)
    if not isinstance(bins, list):
        raise UnknownModeError(
            f"{fields.where}: boundaries that were learned from data are not in the configuration",
            expected="bin_boundaries", remedy=f"give a function in its place: --replace {spec.path}=module:function",
        )  # fmt: skip
    mode = fields.choice("output_mode", options=("int", "one_hot", "multi_hot", "count", "binary"), default="int")
    if fields.flag("sparse", default=False):
        raise UnknownModeError(f"{fields.where}: sparse", found="true", expected="dense outputs")
    boundaries = tuple(numbers_of(fields, "bin_boundaries" if "bin_boundaries" in fields else "bins", []).tolist())
    return "Discretization", {"boundaries": boundaries, "mode": "multi_hot" if mode == "binary" else mode}, {}


def group_normalization(spec: Spec) -> Translation:
    """GroupNormalization."""
    axis = spec.fields.get("axis", default=-1)
    if type(axis) is not int:
        raise UnknownModeError(f"{spec.fields.where}: axis", found=repr(axis), expected="one axis")
    groups = spec.fields.get("groups", default=32)
    return "GroupNorm", {
        "groups": -1 if groups == -1 else spec.fields.whole("groups", default=32), "axis": axis,
        "epsilon": spec.fields.number("epsilon", default=1e-3), "scale": spec.fields.flag("scale", default=True),
        "center": spec.fields.flag("center", default=True),
    }, spec.arrays()  # fmt: skip


def unit_normalization(spec: Spec) -> Translation:
    """UnitNormalization."""
    axis = spec.fields.get("axis", default=-1)
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    if not all(type(each) is int for each in axes):
        raise spec.fields.wrong(("axis",), axis, "whole numbers")
    return "UnitNorm", {"axis": axes}, {}


def einsum_dense(spec: Spec) -> Translation:
    """EinsumDense."""
    fields = spec.fields
    equation = str(fields.get("equation")).replace(" ", "")
    if not LETTERS.fullmatch(equation):
        raise fields.wrong(("equation",), equation, "an equation such as 'ab,bc->ac'")
    shape = fields.get("output_shape")
    shape = shape if isinstance(shape, list) else [shape]
    axes = fields.get("bias_axes", default=None)
    parameters = {
        "equation": equation, "output_shape": tuple(shape), "bias_axes": axes, "activation": spec.activation,
    }  # fmt: skip
    weights = spec.arrays()
    if weights:
        letters = equation.split(",")[1].split("->")[0]
        spec.check("kernel", weights["kernel"], (None,) * len(letters))
    return "EinsumDense", parameters, weights


def multi_head_attention(spec: Spec) -> Translation:
    """MultiHeadAttention over the steps of a sequence."""
    fields = spec.fields
    heads, width = fields.whole("num_heads"), fields.whole("key_dim")
    axes = fields.get("attention_axes", default=None)
    if axes not in (None, [1], (1,), 1) or fields.get("output_shape", default=None) not in (None, []):
        raise UnknownModeError(
            f"{fields.where}: attention_axes or output_shape", found=f"{axes!r}", expected="attention over the steps"
        )
    value = fields.get("value_dim", default=None)
    parameters = {
        "heads": heads, "width": width, "value_width": width if value is None else fields.whole("value_dim"),
        "use_bias": spec.with_bias,
    }  # fmt: skip
    weights = spec.arrays()
    if weights:
        for name in ("query", "key"):
            spec.check(f"{name}_kernel", weights[f"{name}_kernel"], (None, heads, width))
        spec.check("value_kernel", weights["value_kernel"], (None, heads, parameters["value_width"]))
        spec.check(
            "attention_output_kernel", weights["attention_output_kernel"], (heads, parameters["value_width"], None)
        )
        query = weights["query_kernel"].shape[0]
        spec.check("attention_output_kernel", weights["attention_output_kernel"], (None, None, query))
    return "MultiHead", parameters, weights


TRANSLATIONS: Mapping[str, Callable[[Spec], Translation]] = {
    **{name: simple("Identity") for name in (*AUGMENTATIONS, "Identity")},
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
}

REFUSED: Mapping[str, str] = {
    "Hashing": "it hashes strings or numbers into bins, which no layer of Keras 3 does in the same way",
    "HashedCrossing": "it hashes crossed features into bins, which no layer of Keras 3 does in the same way",
    "StringLookup": "it looks strings up, and a port takes numbers: look them up before the model",
    "IntegerLookup": "its vocabulary is no array of the file: look the numbers up before the model",
    "TextVectorization": "it splits text into words, and a port takes numbers: do it before the model",
    "DenseFeatures": "its feature columns are code and vocabularies outside the file",
    "SequenceFeatures": "its feature columns are code and vocabularies outside the file",
    "LinearModel": "its feature columns are code and vocabularies outside the file",
    "WideDeepModel": "it is a model of models with feature columns, which the file does not hold",
    "RandomFourierFeatures": "its kernel is drawn at random, and was an experiment that Keras 3 does not have",
    "KerasTensor": "a tensor, not a layer",
    "PeepholeLSTMCell": "Keras 3 has no LSTM with peepholes",
    "StackedRNNCells": "several cells in one layer: read them as layers of their own",
}
"""Classes of Keras' own that are not read, and why."""
