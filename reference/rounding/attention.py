"""Rounding bound of attention without heads: scores, the softmax of those that count, and the sum of values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.attention import Attention
from reference.precision import Precision
from reference.rounding.functions import activation_error
from reference.rounding.sums import both_units, contraction_error, own_format, sum_error
from reference.trace import LayerTrace

Array = NDArray[Any]
Inputs = tuple[Array, ...]

MASKED = {"float16": 65504.0}
"""What is taken from a score that does not count: 1e9, or what float16 can hold. Source: Keras 3.15.1, attention.py."""


def attention_error(step: Attention, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """The scores' errors through the softmax, and with its shares into the sum of values.

    A key that does not count has no share on either side, as long as no score comes near the number that is taken
    from its own; a query for which no key counts is answered with some mean of the values, whichever: a format rounds
    its scores to multiples of 64 or so, and both answers lie between the least and the largest value.
    """
    arrays, masks = step.part(inputs)
    query, value = arrays[:2]
    own = own_format(step)
    scores, error = score_error(step, query, arrays[2] if len(arrays) > 2 else value, precision)
    allowed = step.allowed(scores.shape, masks[1])
    lost = np.max(np.abs(scores) + error, axis=-1, keepdims=True) > MASKED.get(precision.compute, 1e9) / 4
    lost = lost & ~allowed.all(axis=-1, keepdims=True)
    z, moved = np.where(allowed, scores, scores - 1e9), np.where(allowed, error, 0.0)
    softmax = Activation("softmax")
    shares = softmax(z)
    moved = activation_error(softmax, z, shares, moved, precision.format, own)
    size = np.abs(value)
    bound = moved @ size + contraction_error((shares + moved) @ size, value.shape[1], precision, own)
    none = ~allowed.any(axis=-1, keepdims=True)
    rounding = sum_error(size.sum(1, keepdims=True), 2 * value.shape[1] + 8, precision, own)
    anywhere = np.ptp(value, axis=1, keepdims=True) + rounding
    bound = np.where(none, np.inf if precision.compute == "float16" else anywhere, bound)
    bound = np.where(lost, np.inf, bound)
    return bound if masks[0] is None else np.where(masks[0][..., np.newaxis] | np.isinf(bound), bound, 0.0)


def score_error(step: Attention, query: Array, key: Array, precision: Precision) -> tuple[Array, Array]:
    """Scores and their bound: a sum of products, or of the tangents of sums, each with its own error.

    Infinite where the port's format may not hold them.
    """
    own, u = own_format(step), both_units(precision, own_format(step))
    scale = np.asarray(1.0 if step.scale is None else step.scale, np.float64)
    cast = precision.variable_error(scale)
    scores = step.scores(query, key)
    if step.score == "dot":
        plain = np.abs(query) @ np.swapaxes(np.abs(key), -1, -2)
        error = contraction_error(plain, query.shape[-1], precision, own)
        held = np.abs(query @ np.swapaxes(key, -1, -2)) + error < precision.format.largest / 2
        error = contraction_error(plain * np.abs(scale), query.shape[-1] + 2, precision, own) + plain * cast
        held &= np.abs(scores) + error < precision.format.largest / 2
        return scores, np.where(held, error, np.inf)
    both = query[:, :, np.newaxis, :] + key[:, np.newaxis, :, :]
    before = scale if step.score == "concat" else np.asarray(1.0)
    z = both * before
    z_error = u * 2 * np.abs(z) + (np.abs(both) * cast if step.score == "concat" else 0.0) + precision.format.tiny
    tanh = Activation("tanh")
    value = tanh(z)
    moved = activation_error(tanh, z, value, z_error, precision.format, own)
    weight = scale if step.score == "additive" else _weight(step)
    weight_cast = precision.variable_error(weight)
    size = np.sum(np.abs(weight) * (np.abs(value) + moved), axis=-1)
    error = np.sum(np.abs(weight) * moved + weight_cast * (np.abs(value) + moved), axis=-1)
    return scores, error + sum_error(size, query.shape[-1] + 2, precision, own)


def _weight(step: Attention) -> Array:
    return np.asarray(1.0 if step.score_weight is None else step.score_weight, np.float64)
