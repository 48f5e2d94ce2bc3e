"""What rounding can explain in a Jacobian: bounds on the difference between a correct port's and the reference's.

A port's gradient is a product of the same factors that the reference multiplies: kernels as cast, and slopes that it
computes from its own argument or value. Each is off by what is known of that argument or value, and by one rounding an
operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.composed.ensemble import PLAIN, Ensemble
from reference.composed.extremes import Extremes
from reference.derivatives.activations import derivative
from reference.derivatives.steps import DEGREE, TRANSFORMS, kernel_of, local_jacobian
from reference.operations.dense import Activate, Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform
from reference.precision import FORMATS, Precision
from reference.rounding.bounds import INFLATION, Errors, allowed_error, platform_allowance
from reference.rounding.constants import accuracy_of
from reference.rounding.products import CASTS
from reference.trace import LayerTrace

Array = NDArray[Any]

FACTORS = 5
"""Roundings of an entry on its way: by the slope (whose layer may be three, as scaled_tanh is), the kernel, the sum."""


def allowed_jacobian(step: Any, x: Array, precision: Precision, input_error: Array | None = None) -> Array:
    """The largest abs(port - reference) of a step's Jacobian that rounding can explain.

    Args:
        step: a step of a program.
        x: (rows, inputs) where the reference takes it.
        precision: of the port's layer.
        input_error: how far from x the port may take its own, of its shape; exactly there where None.

    Returns:
        (rows, outputs, inputs) float64; infinite where the slope jumps within reach, so that nothing can be said.

    Raises:
        KeyError: no bound is derived for this class of step, or for its activation.
    """
    rule = _RULES.get(type(step))
    if rule is None:
        raise KeyError(f"no bound on the derivative of {type(step).__name__}")
    x = np.asarray(x, np.float64)
    trace = step(x)
    with np.errstate(all="ignore"):
        bound = np.asarray(rule(step, x, trace, precision, input_error)) * INFLATION + 2 * precision.format.tiny
    bound[np.isnan(bound)] = np.inf
    return bound


def end_to_end_jacobian(steps: Sequence[Any], x: Array, precisions: Sequence[Precision]) -> tuple[Array, Array]:
    """The Jacobian of a chain, and how far that of a correct port may lie from it, both fed with the same inputs.

    Sound but loose: the errors of all factors are taken to add up, and each layer of the port to be fed with what is
    farthest from the reference's own.

    Args:
        steps: each takes what the one before gives.
        x: (rows, inputs) float64.
        precisions: of the port, one a step.

    Returns:
        (rows, outputs, inputs) float64 each. A sum of n products is off by n + 1 units in any order of summation.

    Raises:
        KeyError: a step of which no bound is derived.

    Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.7.
    """
    total = np.broadcast_to(np.eye(x.shape[1]), (len(x), x.shape[1], x.shape[1]))
    size, reach, shift, flushed = total, total, np.zeros(x.shape), np.zeros((len(x), 1, x.shape[1]))
    for step, precision in zip(steps, precisions, strict=True):
        with np.errstate(all="ignore"):
            matrix = local_jacobian(step, x)
            most = np.abs(matrix) + allowed_jacobian(step, x, precision, shift)
            terms = matrix.shape[2]
            unit = precision.accumulator.unit * (terms + 1) + precision.format.unit * FACTORS
            # Backwards, what underflows before a step meets the product of all in front of it, and nothing behind it.
            flushed = flushed + terms * precision.format.tiny * reach.sum(axis=1, keepdims=True)
            total, size = matrix @ total, np.abs(matrix) @ size
            reach = most @ reach * (1 + CASTS * unit) * (1 + precision.operand_error) + terms * precision.format.tiny
        trace = step(x)
        shift = allowed_error(step, (x,), trace, precision, input_error=(shift,))
        shift = shift + platform_allowance(step, (x,), trace, precision)
        x = np.asarray(trace.outputs, np.float64)
    with np.errstate(all="ignore"):
        bound = np.where(np.isnan(reach), np.inf, (reach - size + flushed) * INFLATION)
    return total, np.where(np.isnan(bound), np.inf, bound)


@dataclass(frozen=True)
class _Slopes:
    """What is known where a slope is taken, all (rows, units).

    Attributes:
        z: the argument.
        y: the function of it.
        dz: how far the port's argument may lie from z.
        dy: how far its value may lie from y.
        unit: of both sides' roundings together.
        kind: format of the port.
    """

    z: Array
    y: Array
    dz: Array
    dy: Array
    unit: float
    kind: str

    def jumps(self, *places: float) -> Array:
        """Whether a place where the slope jumps is within reach; the place itself may have been rounded."""
        reach = [self.dz + 4 * self.unit * (np.abs(self.z) + abs(place)) for place in places]
        near = [np.abs(self.z - place) <= each for place, each in zip(places, reach, strict=True)]
        return np.any(near, axis=0)


def slope_error(activation: Activation, at: _Slopes) -> Array:
    """A bound on abs(port - reference) of g'.

    Raises:
        KeyError: none is derived for this activation.
    """
    if activation.name not in _SLOPES:
        raise KeyError(f"no bound on the derivative of {activation.name}")
    return _SLOPES[activation.name](at, **activation.parameters)


def _tanh_error(at: _Slopes) -> Array:
    """Of 1 - y^2, and of (1 - y)(1 + y): the value's own error, a square, a difference, a product."""
    moved = (2 * np.abs(at.y) + at.dy) * at.dy
    return moved + at.unit * ((np.abs(at.y) + at.dy) ** 2 + 3 * (np.abs(1 - at.y**2) + moved))


def _logistic_error(at: _Slopes) -> Array:
    """Of y (1 - y): the value's own error, a difference, two products."""
    moved = (np.abs(1 - 2 * at.y) + at.dy) * at.dy
    return moved + 4 * at.unit * (np.abs(at.y * (1 - at.y)) + moved)


def _softsign_error(at: _Slopes) -> Array:
    """Of 1 / (1 + |z|)^2, steepest at the end next to zero: a sum, a square of it, a quotient."""
    most = 1 / (1 + np.maximum(np.abs(at.z) - at.dz, 0)) ** 2
    return most - 1 / (1 + np.abs(at.z)) ** 2 + 5 * at.unit * most


def _softplus_error(at: _Slopes) -> Array:
    """Of the logistic function, whose slope is 1/4 at most."""
    accuracy = accuracy_of(Activation("sigmoid"), at.kind)
    return np.asarray(at.dz / 4 + at.unit * (accuracy.relative + accuracy.absolute))


def _scaled_tanh_error(at: _Slopes, amplitude: float = 1.7159, slope: float = 2.0 / 3.0) -> Array:
    """That of tanh, times amplitude and slope, each of them rounded."""
    share = at.dy / abs(amplitude) + 2 * at.unit * np.abs(at.y / amplitude)
    inner = replace(at, y=at.y / amplitude, dy=share)
    return abs(amplitude * slope) * (_tanh_error(inner) + 4 * at.unit * np.abs(1 - inner.y**2))


def _exponential_error(at: _Slopes) -> Array:
    return np.asarray(at.dy + at.unit * np.abs(at.y))


def _elu_error(at: _Slopes, alpha: float = 1.0) -> Array:
    """Below zero of y + alpha, or of alpha exp(z): three roundings of numbers of that size."""
    below = at.dy + 3 * at.unit * (np.abs(at.y) + 2 * abs(alpha)) + at.unit * 8 * abs(alpha)
    return np.where(at.jumps(0.0), np.inf if alpha != 1 else below + at.dz, np.where(at.z > 0, 2 * at.unit, below))


def _pieces(*places: float, slope: float = 1.0) -> Callable[..., Array]:
    """A constant that may be rounded, between the places where it jumps."""
    return lambda at: np.where(at.jumps(*places), np.inf, 4 * at.unit * slope)


def _relu_error(
    at: _Slopes, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
) -> Array:
    places = (threshold,) if max_value is None else (threshold, max_value)
    return np.where(at.jumps(*places), np.inf, _in_float32(at, negative_slope))


def _leaky_relu_error(at: _Slopes, negative_slope: float = 0.2) -> Array:
    return np.where(at.jumps(0.0), np.inf, _in_float32(at, negative_slope))


def _in_float32(at: _Slopes, slope: float) -> float:
    """A slope that Keras and TensorFlow keep in float32, whatever the layer computes in."""
    return (2 * at.unit + FORMATS["float32"].unit) * abs(slope) + at.unit


_SLOPES: Mapping[str, Callable[..., Array]] = {
    "linear": lambda at: np.zeros_like(at.z),
    "tanh": _tanh_error,
    "scaled_tanh": _scaled_tanh_error,
    "sigmoid": _logistic_error,
    "logistic_table": _logistic_error,
    "cut_sigmoid": _logistic_error,
    "softsign": _softsign_error,
    "softplus": _softplus_error,
    "exponential": _exponential_error,
    "elu": _elu_error,
    "relu": _relu_error,
    "leaky_relu": _leaky_relu_error,
    "relu6": _pieces(0, 6),
    "hard_tanh": _pieces(-1, 1),
    "hard_sigmoid": _pieces(-3, 3),
    "hard_sigmoid_keras2": _pieces(-2.5, 2.5),
    "thresholded_relu": lambda at, theta=1.0: _pieces(theta)(at),
}


def _dense(step: Dense, x: Array, trace: LayerTrace, precision: Precision, input_error: Array | None) -> Array:
    affine = replace(step, activation=Activation("linear"))
    at = _Slopes(
        np.asarray(trace.preactivation, np.float64),
        np.asarray(trace.outputs, np.float64),
        allowed_error(affine, (x,), affine(x), precision, input_error=_of(input_error)),
        _value_error(step, x, trace, precision, input_error),
        _unit(step, precision),
        precision.compute,
    )
    error = slope_error(step.activation, at) + precision.format.tiny
    slopes = np.abs(derivative(step.activation, at.z, at.y))
    kernel = kernel_of(step)
    cast = precision.variable_error(kernel)
    if step.weights_error is not None:
        cast = cast + (step.weights_error if step.orientation == "units-first" else step.weights_error.T)
    grown = (1 + at.unit) ** FACTORS * (1 + precision.operand_error)
    reach = (slopes + error)[:, :, None] * (np.abs(kernel) + cast) * grown
    return np.asarray(reach - slopes[:, :, None] * np.abs(kernel))


def _activate(step: Activate, x: Array, trace: LayerTrace, precision: Precision, input_error: Array | None) -> Array:
    y = np.asarray(trace.outputs, np.float64)
    dy = _value_error(step, x, trace, precision, input_error)
    at = _Slopes(x, y, _shift(x, precision, input_error), dy, _unit(step, precision), precision.compute)
    return _diagonal(slope_error(step.activation, at) + FACTORS * at.unit * np.abs(derivative(step.activation, x, y)))


def _scaling(step: Scaling, x: Array, trace: LayerTrace, precision: Precision, input_error: Array | None) -> Array:
    """The factor, whichever way a port computes it: a width inherits the casts of both its ends."""
    first, second = (np.asarray(part, np.float64) for part in (step.first, step.second))
    spoilt = 0.0 if step.rule == "mean-std" else (np.abs(first) + np.abs(second)) / np.abs(second - first)
    error = CASTS * _unit(step, precision) * np.abs(step.affine[0]) * (6 + spoilt)
    return _diagonal(np.broadcast_to(error, x.shape))


def _transform(step: Transform, x: Array, trace: LayerTrace, precision: Precision, input_error: Array | None) -> Array:
    y = np.asarray(trace.outputs, np.float64)
    dy = _value_error(step, x, trace, precision, input_error)
    dx, unit = _shift(x, precision, input_error), _unit(step, precision)
    slopes = np.empty_like(x)
    for name in set(step.functions):
        columns = np.array([function == name for function in step.functions])
        slopes[:, columns] = _transform_error(name, x[:, columns], y[:, columns], dx[:, columns], dy[:, columns], unit)
    return _diagonal(slopes)


def _transform_error(name: str, x: Array, y: Array, dx: Array, dy: Array, unit: float) -> Array:
    """What the argument's and the value's errors make of a slope, and its own roundings.

    A slope that is computed from the value is monotonic in it, as one that is computed from the argument is in that:
    its largest change lies at an end.
    """
    if name == "identity":
        return np.zeros_like(x)
    if name in ("cos", "cos_degrees"):  # the argument in radians is rounded, the sine is a few units off, and 1 at most
        factor, inner = (DEGREE, np.deg2rad(x)) if name == "cos_degrees" else (1.0, x)
        return np.asarray(factor * (dx * factor + unit * (3 * np.abs(inner) + 8)))
    slope = TRANSFORMS[name]
    low, high = slope(x - dx, y - dy), slope(x + dx, y + dy)
    at = slope(x, y)
    moved = np.maximum(np.abs(low - at), np.abs(high - at))
    jumps = np.abs(x) <= dx if name in ("relu", "relu_square") else x - dx <= 0 if name in POSITIVE else False
    return np.where(jumps, np.inf, moved + ROUNDINGS * unit * (np.abs(at) + moved))


POSITIVE = ("log10", "ln", "sqrt", "root4", "root8")
ROUNDINGS = 24
"""Products and quotients in a slope: three squares or roots, each of some four factors, and constants."""


def _extremes(step: Extremes, x: Array, trace: LayerTrace, precision: Precision, input_error: Array | None) -> Array:
    """0 or 1, which are exact; anything where a bound or a limit is within reach."""
    limits = (step.least, step.greatest, step.least - step.tolerance, step.greatest + step.tolerance)
    size = np.maximum(np.abs(step.least), np.abs(step.greatest))
    reach = _shift(x, precision, input_error) + 4 * _unit(step, precision) * (np.abs(x) + size)
    near = np.any([np.abs(x - limit) <= reach for limit in limits], axis=0)
    return _diagonal(np.where(near, np.inf, 0.0))


def _ensemble(step: Ensemble, x: Array, trace: LayerTrace, precision: Precision, input_error: Array | None) -> Array:
    """A share, rounded; anything where rounding decides whether a member counts.

    A port may add up the members that count as products with 0 and 1, or divide by their number in either order.
    """
    undecided = ~np.isfinite(_value_error(step, x, trace, precision, input_error))
    share = np.abs(local_jacobian(step, x)) * FACTORS * _unit(step, precision)
    return np.where(undecided[:, :, None] & (step.rule != PLAIN), np.inf, share)


def _of(input_error: Array | None) -> Errors | None:
    return None if input_error is None else (input_error,)


def _value_error(step: Any, x: Array, trace: LayerTrace, precision: Precision, input_error: Array | None) -> Array:
    """How far the port's values may lie from the step's."""
    error = allowed_error(step, (x,), trace, precision, input_error=_of(input_error))
    return error + platform_allowance(step, (x,), trace, precision)


def _shift(x: Array, precision: Precision, input_error: Array | None) -> Array:
    """How far the port's argument may lie from x."""
    return precision.cast_error(x) + (0.0 if input_error is None else input_error)


def _unit(step: Any, precision: Precision) -> float:
    return precision.format.unit + FORMATS[np.dtype(step.dtype).name].unit


def _diagonal(slopes: Array) -> Array:
    """(rows, n) as (rows, n, n); what is not on the diagonal is exactly zero on both sides."""
    n = slopes.shape[1]
    found = np.zeros((len(slopes), n, n))
    found[:, np.arange(n), np.arange(n)] = slopes
    return found


_RULES: Mapping[type, Callable[..., Array]] = {
    Dense: _dense,
    Activate: _activate,
    Scaling: _scaling,
    Transform: _transform,
    Extremes: _extremes,
    Ensemble: _ensemble,
}
