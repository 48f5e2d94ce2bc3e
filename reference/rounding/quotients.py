"""Rounding bounds of layers that divide by a spread or a length: normalizations, and dots of vectors made length 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.batch_normalization import BatchNormalization
from reference.operations.dot import Dot, batch_dot
from reference.operations.layer_normalization import LayerNormalization
from reference.precision import Format, Precision
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


def batch_normalization_error(
    step: BatchNormalization, inputs: Inputs, trace: LayerTrace, precision: Precision
) -> Array:
    """For (x - mean) / sqrt(variance + epsilon) * gamma + beta, and for x * factor + (beta - mean * factor)."""
    if step.statistics != "moving":
        return _own_statistics(step, inputs[0], trace, precision)
    x = inputs[0]
    centre, spread = step.centre_and_spread(x)
    divisor = step.divide_by(spread)
    of_root = _root_cast(step, divisor, precision)
    gamma, beta = np.abs(step.column(step.gamma, x.ndim, 1)), np.abs(step.column(step.beta, x.ndim, 0))
    # Every term is a factor of each channel times one of two arrays of the inputs' size, which are gone through once.
    by_distance: Any = gamma * of_root / divisor
    divisor = divisor / (1 + of_root)  # the least that the port may divide by
    constant: Any = 0.0
    kinds = (precision.format, own_format(step))
    for kind in kinds:
        # Numbers that count as zero, and what underflows: the factor gamma / divisor, the quotient, three products.
        by_distance = by_distance + kind.unit * (RSQRT + 6) * gamma / divisor + kind.flushed / divisor + kind.tiny
        constant = constant + 2 * kind.unit * beta + kind.flushed * 2 * gamma / divisor + kind.tiny * (gamma + 4)
    for value, weight in ((step.beta, 1.0), (step.mean, gamma / divisor)):
        if value is not None:
            constant = constant + step.column(precision.variable_error(value.astype(np.float64)), x.ndim, 0) * weight
    if step.gamma is not None:
        cast = step.column(precision.variable_error(step.gamma.astype(np.float64)), x.ndim, 0)
        by_distance = by_distance + cast / divisor
    error = np.abs(x)
    error += np.abs(centre)
    error *= by_distance
    error += constant
    error += sum(kind.unit for kind in kinds) * np.abs(trace.outputs)
    return np.asarray(error)


def _root_cast(step: BatchNormalization, divisor: Array, precision: Precision) -> Array | float:
    """Relative error of the divisor because the port's variance is cast: 1 / sqrt(1 - e) - 1, e that of its square.

    Infinite where nothing may be left of it.
    """
    if step.spread is None:
        return 0.0
    square = divisor * divisor
    variance = (
        square - step.epsilon if step.divisor == "deviation+epsilon" else step.column(step.spread, square.ndim, 1)
    )
    relative = precision.variable_error(np.asarray(variance, np.float64)) / square
    return np.where(relative < 1, 1 / np.sqrt(1 - np.minimum(relative, 1)) - 1, np.inf)


def _own_statistics(step: BatchNormalization, x: Array, trace: LayerTrace, precision: Precision) -> Array:
    """Mean, distance from it, mean of squares, root and quotient, each with the errors of those before.

    Then gamma and beta, which the port may apply as a batch normalization of mean 0 and variance 1.
    """
    own, u = own_format(step), both_units(precision, own_format(step))
    mean, of_far, variance, of_variance = moments(x, step.axes(x.ndim), precision, own)
    epsilon = np.asarray(step.epsilon, np.float64)
    cast = precision.variable_error(epsilon)
    inside = 0.0 if step.divisor == "deviation+epsilon" else epsilon
    root = root_error(variance + inside, of_variance + cast + u * (variance + inside), precision, own)
    divisor = step.divide_by(step.centre_and_spread(x)[1])
    error = quotient_error(x - mean, of_far, divisor, root + cast + u * divisor, precision, own)
    return _affine(step, np.abs(x - mean) / divisor, error, trace, precision)


def _affine(step: BatchNormalization, y: Array, error: Array, trace: LayerTrace, precision: Precision) -> Array:
    """Of gamma y + beta."""
    learned = [None if value is None else value.astype(np.float64) for value in (step.gamma, step.beta)]
    casts = [None if value is None else precision.variable_error(value) for value in learned]
    gamma, beta = np.abs(step.column(learned[0], y.ndim, 1)), np.abs(step.column(learned[1], y.ndim, 0))
    moved = gamma * error + step.column(casts[0], y.ndim, 0) * (y + error) + step.column(casts[1], y.ndim, 0)
    for kind in (precision.format, own_format(step)):
        size = (RSQRT + 6) * gamma * (y + error) + 2 * beta + np.abs(trace.outputs)
        moved = moved + kind.unit * size + kind.tiny * (4 + gamma + y + error)
    return np.asarray(moved)


def moments(x: Array, axes: tuple[int, ...], precision: Precision, own: Format) -> tuple[Array, Array, Array, Array]:
    """Mean, a bound on the error of x - mean, variance, and a bound on its error as a mean of squares."""
    count = int(np.prod([x.shape[axis] for axis in axes]))
    mean, variance = np.mean(x, axis=axes, keepdims=True), np.var(x, axis=axes, keepdims=True)
    far, u = np.abs(x - mean), both_units(precision, own)
    of_far = sum_error(np.mean(np.abs(x), axis=axes, keepdims=True), count + 2, precision, own) + u * far
    squares = np.mean(2 * far * of_far + of_far**2, axis=axes, keepdims=True)
    return mean, of_far, variance, squares + (count + 3) * u * variance + 2 * precision.format.tiny


def layer_normalization_error(
    step: LayerNormalization, inputs: Inputs, trace: LayerTrace, precision: Precision
) -> Array:
    """Mean, then the mean of squares about it, then the quotient, each with the errors of those before."""
    x = inputs[0]
    axes = tuple(axis % x.ndim for axis in step.axes)
    u = both_units(precision, own_format(step))
    mean, of_far, variance, of_variance = moments(x, axes, precision, own_format(step))
    shape = _spread_out(x, axes)
    gamma, of_gamma = _learned(step.gamma, 1.0, shape, precision)
    beta, of_beta = _learned(step.beta, 0.0, shape, precision)
    relative = of_variance / (variance + step.epsilon)
    shrunk = np.where(relative < 0.5, 1 / np.sqrt(1 - np.minimum(relative, 0.5)) - 1, np.inf)
    reach, root = np.abs(x) + np.abs(mean), np.sqrt(variance + step.epsilon)
    factor = gamma / root
    error = (of_far * factor + of_gamma * reach / root) * (1 + shrunk) + of_beta
    error = error + reach * factor * (shrunk + (RSQRT + 6) * u) + u * (2 * beta + np.abs(trace.outputs))
    # What underflows: the factor, the quotient, three products; and numbers that count as zero.
    kind = precision.format
    return error + kind.tiny * (reach + gamma + 4) + kind.flushed * (2 * factor + reach / root)


def _learned(value: Array | None, default: float, shape: list[int], precision: Precision) -> tuple[Array, Array]:
    """Magnitudes of gamma or beta, and what their cast moves them by, to be broadcast."""
    wide = np.full(1, default) if value is None else value.astype(np.float64).reshape(shape)
    return np.abs(wide), precision.variable_error(wide)


def _spread_out(x: Array, axes: tuple[int, ...]) -> list[int]:
    return [x.shape[axis] if axis in axes else 1 for axis in range(x.ndim)]


def dot_error(step: Dot, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """A sum of products, of the arrays or of vectors made length 1; or its quotient by both lengths (Keras 1)."""
    x, y = inputs
    own, count = own_format(step), x.shape[step.axes[0]]
    if step.cosine:
        return _cosine(step, x, y, precision)
    if not step.normalize:
        return contraction_error(batch_dot(np.abs(x), np.abs(y), step.axes), count, precision, own)
    (one, one_error), (two, two_error) = (
        _length_1(array, axis, precision, own) for array, axis in zip(inputs, step.axes, strict=True)
    )
    moved = batch_dot(one_error, two + two_error, step.axes) + batch_dot(one, two_error, step.axes)
    size = batch_dot(one + one_error, two + two_error, step.axes)
    return moved + contraction_error(size, count, precision, own)


def _length_1(x: Array, axis: int, precision: Precision, own: Format) -> tuple[Array, Array]:
    """abs(x) / max(sqrt(sum x^2), 1e-6) and its bound: a sum of squares, its root, a quotient."""
    square = np.sum(x * x, axis=axis, keepdims=True)
    root = root_error(square, sum_error(square, x.shape[axis], precision, own), precision, own)
    least = np.asarray(1e-6)
    length = np.maximum(np.sqrt(square), least)
    error = quotient_error(np.abs(x), np.zeros(x.shape), length, root + precision.variable_error(least), precision, own)
    return np.abs(x) / length, error


def _cosine(step: Dot, x: Array, y: Array, precision: Precision) -> Array:
    """Both sums of squares, their product, its root (at least 1e-7), and the quotient of the product by it."""
    own, (first, second) = own_format(step), step.axes
    u = both_units(precision, own)
    product, of_product = _dot_and_error(x, y, step.axes, precision, own)
    xx, xx_error = _dot_and_error(x, x, (first, first), precision, own)
    yy, yy_error = _dot_and_error(y, y, (second, second), precision, own)
    both = xx * yy
    both_error = np.abs(xx) * yy_error + np.abs(yy) * xx_error + xx_error * yy_error
    both_error = both_error + u * (np.abs(both) + both_error) + precision.format.tiny
    least = np.asarray(1e-7)
    root = root_error(both, both_error, precision, own) + precision.variable_error(least)
    # Products of two vectors that are not the same may be negative, and their root then no number.
    root = np.where((both <= both_error) & (x.ndim > 2), np.inf, root)
    bound = quotient_error(product, of_product, np.maximum(np.sqrt(both), least), root, precision, own)
    return np.expand_dims(bound, 1)


def _dot_and_error(x: Array, y: Array, axes: tuple[int, int], precision: Precision, own: Format) -> tuple[Array, Array]:
    size = batch_dot(np.abs(x), np.abs(y), axes)
    return batch_dot(x, y, axes), contraction_error(size, x.shape[axes[0]], precision, own)
