"""Layers without windows and without memory, in operations of ONNX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.exports.onnx_activations import activate
from porter.exports.onnx_site import OnnxSite
from porter.exports.unit import Make, Unit
from reference.activation_names import parse_activation
from reference.activations import Activation

Array = NDArray[Any]


def named_activation(site: OnnxSite, tensor: str, spelt: str) -> str:
    """The activation of that name behind a tensor."""
    return activate(site, tensor, parse_activation(spelt))


def dense(site: OnnxSite, unit: Unit) -> list[str]:
    """Dense, on the last axis."""
    product = site.add("MatMul", unit.inputs[0], site.real(unit.weights["kernel"]))
    if "bias" in unit.weights:
        product = site.add("Add", product, site.real(unit.weights["bias"]))
    return [named_activation(site, product, unit.parameters["activation"])]


def activation_layer(site: OnnxSite, unit: Unit) -> list[str]:
    """An activation as a layer of its own."""
    p = unit.parameters
    return [activate(site, unit.inputs[0], Activation(p["function"], p["arguments"]))]


def prelu(site: OnnxSite, unit: Unit) -> list[str]:
    """PReLU: a slope of its own for each unit below zero."""
    x, alpha = unit.inputs[0], site.real(unit.weights["alpha"])
    return [site.add("Where", site.add("Less", x, site.real(0)), site.add("Mul", x, alpha), x)]


def along(array: Array, axis: int, rank: int) -> Array:
    """One number a channel, shaped to be broadcast over rows of a rank that counts the rows' own axis."""
    shape = [1] * rank
    shape[axis % rank] = -1
    return array.reshape(shape)


def batch_norm(site: OnnxSite, unit: Unit) -> list[str]:
    """BatchNormalization as a line through each channel, computed in float64 and cast once."""
    p, weights = unit.parameters, {role: array.astype(np.float64) for role, array in unit.weights.items()}
    variance = weights["moving_variance"]
    divisor = variance + p["epsilon"] if p["early"] else np.sqrt(variance + p["epsilon"])
    scale = weights.get("gamma", np.ones_like(divisor)) / divisor
    offset = weights.get("beta", np.zeros_like(divisor)) - weights["moving_mean"] * scale
    rank = len(unit.shapes[0]) + 1
    return [site.affine(unit.inputs[0], along(scale, p["axis"], rank), along(offset, p["axis"], rank))]


def _moments(site: OnnxSite, x: str, axes: Sequence[int]) -> tuple[str, str]:
    """What is left without the mean, and the variance."""
    apart = site.add("Sub", x, site.add("ReduceMean", x, axes=list(axes), keepdims=1))
    return apart, site.add("ReduceMean", site.add("Mul", apart, apart), axes=list(axes), keepdims=1)


def own_statistics(site: OnnxSite, unit: Unit) -> list[str]:
    """Modes 1 and 2 of Keras 1: the data's own mean and spread, then gamma and beta."""
    p, rank = unit.parameters, len(unit.shapes[0]) + 1
    by_sample = unit.layer.operation == "SampleNorm"
    axes = [rank - 1] if by_sample else [axis for axis in range(rank) if axis != p["axis"] % rank]
    apart, variance = _moments(site, unit.inputs[0], axes)
    inside = 0.0 if by_sample and p["first"] else p["epsilon"]
    divisor = site.add("Sqrt", site.add("Add", variance, site.real(inside)) if inside else variance)
    if (not p["first"] if by_sample else p["early"]) or inside == 0.0:
        divisor = site.add("Add", divisor, site.real(p["epsilon"]))
    return [_scaled(site, unit, site.add("Div", apart, divisor), -1 if by_sample else p["axis"])]


def _scaled(site: OnnxSite, unit: Unit, tensor: str, axis: int) -> str:
    rank = len(unit.shapes[0]) + 1
    if "gamma" in unit.weights:
        tensor = site.add("Mul", tensor, site.real(along(unit.weights["gamma"], axis, rank)))
    if "beta" in unit.weights:
        tensor = site.add("Add", tensor, site.real(along(unit.weights["beta"], axis, rank)))
    return tensor


def layer_norm(site: OnnxSite, unit: Unit) -> list[str]:
    """LayerNormalization over some axes of each row."""
    p, rank = unit.parameters, len(unit.shapes[0]) + 1
    axes = sorted(axis % rank for axis in p["axis"])
    apart, variance = _moments(site, unit.inputs[0], axes)
    tensor = site.add("Div", apart, site.add("Sqrt", site.add("Add", variance, site.real(p["epsilon"]))))
    sizes = [unit.shapes[0][axis - 1] for axis in axes]
    shape = [sizes[axes.index(axis)] if axis in axes else 1 for axis in range(rank)]
    for role, operation in (("gamma", "Mul"), ("beta", "Add")):
        if role in unit.weights:
            tensor = site.add(operation, tensor, site.real(unit.weights[role].reshape(shape)))
    return [tensor]


def embedding(site: OnnxSite, unit: Unit) -> list[str]:
    """A table of rows by number."""
    return [site.add("Gather", site.real(unit.weights["embeddings"]), site.cast(unit.inputs[0], "int64"), axis=0)]


def masking(site: OnnxSite, unit: Unit) -> list[str]:
    """Time steps that hold nothing but what is masked made zero."""
    value = float(np.float32(unit.parameters["value"]))
    differs = site.add("Not", site.add("Equal", unit.inputs[0], site.real(value)))
    counts = site.add("ReduceMax", site.cast(differs), axes=[-1], keepdims=1)
    return [site.add("Mul", unit.inputs[0], counts)]


def flatten(site: OnnxSite, unit: Unit) -> list[str]:
    """All axes but the rows' made one, the channels turned last where asked."""
    x, rank = unit.inputs[0], len(unit.shapes[0]) + 1
    if unit.parameters["channels_first"] and rank > 2:
        x = site.transpose(x, [0, *range(2, rank), 1])
    return [site.reshape(x, [0, -1])]


def reshape(site: OnnxSite, unit: Unit) -> list[str]:
    """Another shape, one side of which may be left to be found."""
    return [site.reshape(unit.inputs[0], [0, *unit.parameters["shape"]])]


def permute(site: OnnxSite, unit: Unit) -> list[str]:
    """Axes in another order."""
    return [site.transpose(unit.inputs[0], [0, *unit.parameters["order"]])]


def repeat(site: OnnxSite, unit: Unit) -> list[str]:
    """(rows, n) to (rows, times, n)."""
    wider = site.add("Unsqueeze", unit.inputs[0], site.whole([1]))
    return [site.add("Tile", wider, site.whole([1, int(unit.parameters["times"]), 1]))]


def space_axes(unit: Unit) -> list[int]:
    """The axes of space."""
    first = unit.parameters.get("channels_first", False)
    rank = len(unit.shapes[0]) + 1
    return list(range(2, rank)) if first else list(range(1, rank - 1))


def pad(site: OnnxSite, unit: Unit) -> list[str]:
    """Zeros before and behind each dimension of space."""
    rank = len(unit.shapes[0]) + 1
    before, behind = [0] * rank, [0] * rank
    for axis, (first, last) in zip(space_axes(unit), unit.parameters["amounts"], strict=True):
        before[axis], behind[axis] = int(first), int(last)
    return [site.add("Pad", unit.inputs[0], site.whole([*before, *behind]))]


def crop(site: OnnxSite, unit: Unit) -> list[str]:
    """So many places taken away before and behind each dimension of space."""
    amounts = unit.parameters["amounts"]
    ends = [-int(last) if last else np.iinfo(np.int64).max for _, last in amounts]
    return [site.slice(unit.inputs[0], [int(first) for first, _ in amounts], ends, space_axes(unit))]


def upsample(site: OnnxSite, unit: Unit) -> list[str]:
    """Each element so many times along each dimension of space."""
    scales = np.ones(len(unit.shapes[0]) + 1, np.float32)
    sizes = unit.parameters["sizes"]
    scales[space_axes(unit)] = sizes if isinstance(sizes, list | tuple) else [sizes]
    return [site.add(
        "Resize", unit.inputs[0], "", site.constant(scales), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )]  # fmt: skip


def merge(site: OnnxSite, unit: Unit) -> list[str]:
    """The merge layers; of tensors of other ranks, axes are put behind the rows."""
    mode, tensors = unit.parameters["mode"], list(unit.inputs)
    if mode == "Concatenate":
        return [site.add("Concat", *tensors, axis=int(unit.parameters["axis"]))]
    most = max(map(len, unit.shapes))
    for at, shape in enumerate(unit.shapes):
        if len(shape) < most:
            tensors[at] = site.add("Unsqueeze", tensors[at], site.whole(list(range(1, 1 + most - len(shape)))))
    kind = {"Add": "Add", "Average": "Add", "Subtract": "Sub", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min"}
    total = tensors[0]
    for tensor in tensors[1:]:
        total = site.add(kind[mode], total, tensor)
    return [site.add("Div", total, site.real(len(tensors))) if mode == "Average" else total]


def dot(site: OnnxSite, unit: Unit) -> list[str]:
    """Sums of products along an axis of each of two tensors."""
    p = unit.parameters
    x, y = unit.inputs
    axes = [int(axis) % (len(shape) + 1) for axis, shape in zip(p["axes"], unit.shapes, strict=True)]
    if p["normalize"]:
        x, y = (_length_1(site, tensor, axis) for tensor, axis in zip((x, y), axes, strict=True))
    product = _products(site, (x, y), axes, unit)
    if p["cosine"]:
        squares = [_products(site, (one, one), [axis, axis], unit, alike=at)
                   for at, (one, axis) in enumerate(zip((x, y), axes, strict=True))]  # fmt: skip
        size = site.add("Max", site.add("Sqrt", site.add("Mul", *squares)), site.real(1e-7))
        product = site.add("Unsqueeze", site.add("Div", product, size), site.whole([1]))
    return [product]


def _length_1(site: OnnxSite, x: str, axis: int) -> str:
    square = site.add("ReduceSum", site.add("Mul", x, x), site.whole([axis]), keepdims=1)
    return site.add("Div", x, site.add("Sqrt", site.add("Max", square, site.real(1e-12))))


def _products(site: OnnxSite, pair: tuple[str, str], axes: Sequence[int], unit: Unit, alike: int | None = None) -> str:
    """Row by row, summed along one axis of each; a single number a row keeps an axis."""
    shapes = unit.shapes if alike is None else [unit.shapes[alike]] * 2
    letters = iter("abcdefghijklm")
    terms, rest = [], []
    for axis, shape in zip(axes, shapes, strict=True):
        term = ["r", *("k" if at == axis else next(letters) + "" for at in range(1, len(shape) + 1))]
        rest += [letter for letter in term[1:] if letter != "k"]
        terms.append("".join(term))
    found = site.add("Einsum", *pair, equation=f"{terms[0]},{terms[1]}->r{''.join(rest)}")
    return found if rest else site.add("Unsqueeze", found, site.whole([1]))


def identity(site: OnnxSite, unit: Unit) -> list[str]:
    """What does nothing at inference."""
    del site
    return [unit.inputs[0]]


def rescaling(site: OnnxSite, unit: Unit) -> list[str]:
    """scale x + offset."""
    p = unit.parameters
    return [site.affine(unit.inputs[0], np.asarray(p["scale"]), np.asarray(p["offset"]))]


def normalization(site: OnnxSite, unit: Unit) -> list[str]:
    """(x - mean) / the root of the variance, at least 1e-7; or the way back."""
    p, rank = unit.parameters, len(unit.shapes[0]) + 1
    mean, spread = np.asarray(p["mean"], np.float64), np.sqrt(np.asarray(p["variance"], np.float64))
    spread = np.maximum(spread, 1e-7)
    if mean.ndim:
        mean, spread = (each.reshape(_kept(p["axis"], unit, each.size, rank)) for each in (mean, spread))
    if p["invert"]:
        return [site.affine(unit.inputs[0], spread, mean)]
    return [site.add("Div", site.add("Sub", unit.inputs[0], site.real(mean)), site.real(spread))]


def _kept(axis: Any, unit: Unit, size: int, rank: int) -> list[int]:
    axes = [each % rank for each in (axis if isinstance(axis, list | tuple) else [axis] if axis is not None else [])]
    shape = [(unit.shapes[0][at - 1] or 1) if at in axes else 1 for at in range(rank)]
    if math.prod(shape) != size:
        raise UnbuildableError(f"{unit.name} as ONNX", found=f"{size} numbers", expected=f"{math.prod(shape)}")
    return shape


def unit_norm(site: OnnxSite, unit: Unit) -> list[str]:
    """Vectors of length 1 along some axes."""
    axes = site.whole([int(axis) for axis in unit.parameters["axis"]])
    x = unit.inputs[0]
    square = site.add("ReduceSum", site.add("Mul", x, x), axes, keepdims=1)
    return [site.add("Div", x, site.add("Sqrt", site.add("Max", square, site.real(1e-12))))]


LAYERS: Mapping[str, Make] = {
    "Activation": activation_layer,
    "BatchNorm": batch_norm,
    "Crop": crop,
    "Dense": dense,
    "Dot": dot,
    "Embedding": embedding,
    "Flatten": flatten,
    "Identity": identity,
    "LayerNorm": layer_norm,
    "Masking": masking,
    "Merge": merge,
    "Normalization": normalization,
    "PReLU": prelu,
    "Pad": pad,
    "Permute": permute,
    "Repeat": repeat,
    "Rescaling": rescaling,
    "Reshape": reshape,
    "RowsNorm": own_statistics,
    "SampleNorm": own_statistics,
    "UnitNorm": unit_norm,
    "Upsample": upsample,
}
