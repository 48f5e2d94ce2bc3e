"""Rounding bounds of preprocessing layers, and of normalizations and attention that came with tf.keras 2.4 to 2.12."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.affine import Affine
from reference.operations.einsum_dense import EinsumDense
from reference.operations.encoding import CategoryEncoding, Discretization
from reference.operations.group_normalization import GroupNormalization
from reference.operations.multi_head_attention import MultiHeadAttention, Projection
from reference.operations.resizing import CenterCrop, Resized
from reference.operations.standardization import Standardization
from reference.operations.unit_normalization import UnitNormalization
from reference.precision import Format, Precision
from reference.rounding.functions import activation_error
from reference.rounding.quotients import moments
from reference.rounding.sums import (
    RSQRT,
    both_units,
    contraction_error,
    own_format,
    quotient_error,
    root_error,
    sum_error,
)
from reference.trace import LayerTrace

Array = NDArray[Any]
Inputs = tuple[Array, ...]


def affine_error(step: Affine, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """A product and a sum, of numbers that the port casts."""
    factor, shift = step.factor.astype(np.float64), step.shift.astype(np.float64)
    product = np.abs(inputs[0] * factor)
    moved = np.abs(inputs[0]) * precision.variable_error(factor) + precision.variable_error(shift)
    error: Any = moved
    for kind in (precision.format, own_format(step)):
        error = error + kind.unit * (2 * product + np.abs(trace.outputs) + moved) + 2 * kind.tiny
    return np.asarray(error)


def standardization_error(step: Standardization, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """A root, then a difference and a quotient; or a product and a sum."""
    own, u = own_format(step), both_units(precision, own_format(step))
    centres, variances = (step.column(value, inputs[0]) for value in (step.centres, step.variances))
    deviations = step.deviations(inputs[0]).astype(np.float64)
    root = root_error(variances, precision.variable_error(variances), precision, own) + 2 * u * deviations
    cast = precision.variable_error(centres)
    if step.inverted:
        product = np.abs(inputs[0]) * (deviations + root)
        moved = np.abs(inputs[0]) * root + cast
        return moved + u * (2 * product + np.abs(trace.outputs) + moved) + 4 * precision.format.tiny
    above = inputs[0] - centres
    return quotient_error(above, u * np.abs(above) + cast, deviations, root, precision, own)


def resized_error(step: Resized, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array | float:
    """Four neighbours, whose weights are rounded as the places are that they follow from; nearest ones are moved."""
    if step.method == "nearest":
        return 0.0
    x = np.abs(step.cropped(inputs[0]))
    down, across = step.weights(x.shape[1], step.height), step.weights(x.shape[2], step.width)
    # A place that falls on a pixel may come out beside it: its neighbours count as well.
    down, across = _widened(down), _widened(across)
    around = np.einsum("pw,nowc->nopc", across, np.einsum("oh,nhwc->nowc", down, x))
    places = max(*x.shape[1:3], *trace.outputs.shape[1:3])
    # The interpolation itself is float32, whatever the layer computes in, and is then cast.
    kind = precision if precision.compute == "float64" else Precision("float32", "float32")
    error = sum_error(around, 4 * places + 8, kind, own_format(step))
    return error + precision.format.unit * (np.abs(trace.outputs) + error)


def _widened(weights: Array) -> Array:
    near = (weights > 0).astype(float)
    near[:, 1:] += weights[:, :-1] > 0
    near[:, :-1] += weights[:, 1:] > 0
    return np.minimum(near, 1.0)


def center_crop_error(step: CenterCrop, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array | float:
    """None where it is cut out, an interpolation's where it is enlarged."""
    if inputs[0].shape[1] >= step.height and inputs[0].shape[2] >= step.width:
        return 0.0
    resized = Resized(step.name, step.inputs, step.height, step.width, "bilinear", True, step.dtype)
    return resized_error(resized, inputs, trace, precision)


def group_normalization_error(
    step: GroupNormalization, inputs: Inputs, trace: LayerTrace, precision: Precision
) -> Array:
    """Mean, the mean of squares about it, root and quotient, each with the errors of those before; then affine.

    As x * factor + (beta - mean * factor), too.
    """
    x = inputs[0]
    split, axes = step.apart(x)
    own, u = own_format(step), both_units(precision, own_format(step))
    mean, of_far, variance, of_variance = moments(split, axes, precision, own)
    inside = variance + step.epsilon
    epsilon = precision.variable_error(np.asarray(step.epsilon, np.float64))
    root = root_error(inside, of_variance + epsilon + u * inside, precision, own)
    error = quotient_error(split - mean, of_far, np.sqrt(inside), root, precision, own).reshape(x.shape)
    # Multiplied by the reciprocal before the mean is taken out, both products are rounded.
    apart = ((np.abs(split) + np.abs(mean)) / np.sqrt(inside)).reshape(x.shape)
    gamma, beta = np.abs(step.column(step.gamma, x.ndim, 1)), np.abs(step.column(step.beta, x.ndim, 0))
    total = gamma * (error + (RSQRT + 6) * u * apart) + u * (3 * beta + np.abs(trace.outputs))
    for value, weight in ((step.gamma, apart + error), (step.beta, 1.0)):
        if value is not None:
            total = total + step.column(precision.variable_error(value.astype(np.float64)), x.ndim, 0) * weight
    return np.asarray(total + 4 * precision.format.tiny)


def unit_normalization_error(step: UnitNormalization, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """A sum of squares, its root, a quotient."""
    x, own = inputs[0], own_format(step)
    square = step.squares(x)
    count = x.size // max(square.size, 1)
    least = np.asarray(step.least)
    below = np.sqrt(np.maximum(square, least))
    inside = sum_error(square, count, precision, own) + precision.variable_error(least)
    root = root_error(np.maximum(square, least), inside, precision, own)
    return quotient_error(x, np.zeros(x.shape), below, root, precision, own)


def einsum_error(step: EinsumDense, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """A sum of products, what underflows in it, the bias added to it, and the activation of that."""
    own, kind = own_format(step), precision.format
    x, kernel = np.abs(inputs[0]), np.abs(step.kernel.astype(np.float64))
    z = np.asarray(trace.preactivation, np.float64)
    size = step.linear(x, kernel)
    lost = kind.lost(x).max() * kernel.max(initial=0) + x.max(initial=0) * kind.lost(kernel).max()
    error = contraction_error(size, step.terms, precision, own) + step.terms * lost
    error = error + step.linear(x, precision.variable_error(step.kernel.astype(np.float64)))
    if step.bias is not None:
        cast = precision.variable_error(step.bias.astype(np.float64))
        error = error + both_units(precision, own) * (np.abs(z) + size) + np.max(cast)
    error = np.where(np.maximum(size, np.abs(z)) + error < kind.largest / 2, error, np.inf)
    return activation_error(step.activation, z, np.asarray(trace.outputs, np.float64), error, kind, own)


def multi_head_error(step: MultiHeadAttention, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """The projections' errors into the scores, through the softmax, into the sum of values, and through the last map.

    A key that does not count has no share on either side as long as no score comes near the number that is taken from
    its own. Infinite where the port's format may not hold the scores.
    """
    own, u = own_format(step), both_units(precision, own_format(step))
    query, value, *rest = inputs
    maps = ((query, step.query_map), (rest[0] if rest else value, step.key_map), (value, step.value_map))
    (q, q_error), (k, k_error), (v, v_error) = (_projected(step, x, mapping, precision, own) for x, mapping in maps)
    scaled_error = step.scale * q_error + 3 * u * np.abs(q) * step.scale
    scaled, turned, turned_error = q * step.scale, np.swapaxes(k, -1, -2), np.swapaxes(k_error, -1, -2)
    scores = scaled @ turned
    size = (np.abs(scaled) + scaled_error) @ (np.abs(turned) + turned_error)
    error = scaled_error @ (np.abs(turned) + turned_error) + np.abs(scaled) @ turned_error
    error = error + contraction_error(size, q.shape[-1] + 2, precision, own)
    allowed = np.broadcast_to(step.allowed(*scores.shape[-2:]), scores.shape)
    largest = np.max(np.abs(scores) + error, axis=-1, keepdims=True)
    lost = (largest > precision.format.largest / 2) | ((largest > 7000) & ~allowed.all(axis=-1, keepdims=True))
    softmax = Activation("softmax")
    z = np.where(allowed, scores, scores - 3e4)
    shares = softmax(z)
    moved = activation_error(softmax, z, shares, np.where(allowed, error, 0.0), precision.format, own)
    answers = shares @ v
    spread = (shares + moved) @ (np.abs(v) + v_error)
    of_answers = moved @ (np.abs(v) + v_error) + shares @ v_error
    of_answers = np.where(lost, np.inf, of_answers + contraction_error(spread, v.shape[2], precision, own))
    return _mapped_back(step, answers, of_answers, precision, own)


def _projected(
    step: MultiHeadAttention, x: Array, mapping: Projection, precision: Precision, own: Format
) -> tuple[Array, Array]:
    """A projection and its bound, both (rows, heads, steps, width)."""
    kernel, bias = mapping[0].astype(np.float64), mapping[1]
    size = np.einsum("btd,dnh->bnth", np.abs(x), np.abs(kernel), optimize=True)
    error = contraction_error(size, x.shape[-1] + 1, precision, own)
    error = error + np.einsum("btd,dnh->bnth", np.abs(x), precision.variable_error(kernel), optimize=True)
    value = step.project(x, mapping)
    if bias is not None:
        wide = bias.astype(np.float64)[:, np.newaxis, :]
        error = error + precision.variable_error(wide) + both_units(precision, own) * (np.abs(value) + np.abs(wide))
    return value, error + both_units(precision, own) * np.abs(value)


def _mapped_back(step: MultiHeadAttention, answers: Array, error: Array, precision: Precision, own: Format) -> Array:
    """The bound of the last map, whose inputs have errors of their own."""
    kernel, bias = step.output_map[0].astype(np.float64), step.output_map[1]
    cast = precision.variable_error(kernel)
    held = np.where(np.isinf(error), 0.0, error)
    size = np.einsum("bnth,nho->bto", np.abs(answers) + held, np.abs(kernel) + cast, optimize=True)
    total = np.einsum("bnth,nho->bto", held, np.abs(kernel) + cast, optimize=True)
    total = total + np.einsum("bnth,nho->bto", np.abs(answers), cast, optimize=True)
    total = total + contraction_error(size, kernel.shape[0] * kernel.shape[1] + 2, precision, own)
    if bias is not None:
        wide = bias.astype(np.float64)
        total = total + precision.variable_error(wide) + both_units(precision, own) * (size + np.abs(wide))
    lost = np.asarray(np.isinf(error).any(axis=(1, 3)))[..., np.newaxis]
    return np.where(lost, np.inf, total + 2 * both_units(precision, own) * size)


def exact(step: CategoryEncoding | Discretization, inputs: Inputs, trace: LayerTrace, precision: Precision) -> float:
    """Whole numbers that every format holds."""
    return 0.0
