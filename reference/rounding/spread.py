"""How far an activation can move when its argument does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import CUT, FUNCTIONS, GELU_TANH_SCALE, SELU_ALPHA, SELU_SCALE, Activation, sigmoid, softplus
from reference.rounding.rational import moved
from reference.rounding.table import jumps

Array = NDArray[Any]

SMALL = 2.0**-10
"""Up to this radius the Taylor bound is within 0.1 % or so of the truth; above it the ends are evaluated."""
JUMP = float(1 - sigmoid(np.array(CUT)))
"""Of the cut logistic function, at either end."""
NEAR = 2.0**-6
"""The same for functions whose slope changes by a known factor at most: within 3 % there."""


def spread(activation: Activation, z: Array, a: Array, radius: Array) -> Array:
    """A bound on abs(g(t) - g(z)) for every t with abs(t - z) <= radius, elementwise (softmax: jointly).

    Args:
        activation: g.
        z: (rows, units) float64.
        a: g(z), same shape.
        radius: same shape, non-negative, infinite where nothing is known of t, not even that it is a number.

    Returns:
        Same shape; infinite where the radius is, because the port's argument may then be NaN; NaN only where
        g(z) is not finite.
    """
    with np.errstate(all="ignore"):
        bound = _BOUNDS[activation.name](z, a, radius, **activation.parameters)
        if np.max(radius, initial=0) <= NEAR:  # and no radius is NaN
            return bound
        if activation.name in _RANGES:
            bound = np.fmin(bound, _RANGES[activation.name])
        known = np.isfinite(radius)
        if activation.name == "softmax":
            known = np.all(known, axis=activation.parameters.get("axis", -1), keepdims=True)
        return np.where(known & ~np.isnan(bound), bound, np.inf)


_RANGES: Mapping[str, float] = {
    "tanh": 2.0,
    "sigmoid": 1.0,
    "softsign": 2.0,
    "relu6": 6.0,
    "hard_sigmoid": 1.0,
    "hard_sigmoid_keras2": 1.0,
    "hard_tanh": 2.0,
    "softmax": 1.0,
    "logistic_table": 1.0,
    "cut_sigmoid": 1.0,
}


def _at_ends(name: str) -> Callable[..., Array]:
    """For a monotone function: the larger difference at the two ends."""

    def bound(z: Array, a: Array, radius: Array, **parameters: Any) -> Array:
        function = FUNCTIONS[name]
        upper, lower = function(z + radius, **parameters), function(z - radius, **parameters)
        return np.maximum(np.abs(upper - a), np.abs(a - lower))

    return bound


def _clipped(low: float, high: float) -> Callable[..., Array]:
    """For min(max(z, low), high), which neither side rounds: no end is formed, whose rounding would cut the radius."""

    def bound(z: Array, a: Array, radius: Array) -> Array:
        up = np.minimum(np.where(z < low, np.maximum(z + radius - low, 0.0), radius), high - a)
        down = np.minimum(np.where(z > high, np.maximum(high - (z - radius), 0.0), radius), a - low)
        return np.maximum(up, down)

    return bound


def _taylor(slope: Callable[[Array, Array], Array], curvature: float, lipschitz: float) -> Callable[..., Array]:
    """abs(g'(z)) radius + sup abs(g'') radius^2 / 2, at most sup abs(g') radius."""

    def bound(z: Array, a: Array, radius: Array) -> Array:
        steepest = np.abs(slope(z, a))
        steepest += curvature / 2 * radius
        return np.minimum(steepest, lipschitz, out=steepest) * radius

    return bound


def _monotone(name: str, slope: Callable[[Array, Array], Array], curvature: float) -> Callable[..., Array]:
    """Taylor where every radius is small, which is cheap, else the ends."""
    near, far = _taylor(slope, curvature, np.inf), _at_ends(name)

    def bound(z: Array, a: Array, radius: Array) -> Array:
        return (near if np.max(radius, initial=0) <= SMALL else far)(z, a, radius)

    return bound


def _mean_value(name: str, slope: Callable[[Array], Array], rate: float) -> Callable[..., Array]:
    """The largest g' within the radius times the radius, where abs((log g')') <= rate; far off the ends.

    ``slope`` gives g' from g, short of it by some rounding of numbers of size 1.
    """
    far = _at_ends(name)

    def bound(z: Array, a: Array, radius: Array) -> Array:
        largest = np.max(radius, initial=0)
        if not largest <= NEAR:
            return far(z, a, radius)
        steepest = slope(a)
        steepest += 2.0**-51
        steepest *= radius
        steepest *= np.exp(rate * largest)
        return steepest

    return bound


def _linear(z: Array, a: Array, radius: Array) -> Array:
    return radius


def _exponential(z: Array, a: Array, radius: Array) -> Array:
    return a * np.expm1(radius)


def _scaled_tanh(z: Array, a: Array, radius: Array, amplitude: float = 1.7159, slope: float = 2.0 / 3.0) -> Array:
    inner = _BOUNDS["tanh"](z * slope, a / amplitude, radius * abs(slope))
    return abs(amplitude) * np.fmin(inner, 2.0)


def _relu(
    z: Array,
    a: Array,
    radius: Array,
    max_value: float | None = None,
    negative_slope: float = 0.0,
    threshold: float = 0.0,
) -> Array:
    """The ends and, where it falls or jumps, every breakpoint in between; it jumps at a threshold other than 0."""
    if max_value is None and negative_slope == threshold == 0:
        return _clipped(0.0, np.inf)(z, a, radius)
    parameters = {"max_value": max_value, "negative_slope": negative_slope, "threshold": threshold}
    bound = _at_ends("relu")(z, a, radius, **parameters)
    if threshold == 0 and negative_slope >= 0:
        return bound
    ceiling = np.inf if max_value is None else max_value
    for at, value in ((threshold, threshold), (threshold, 0.0), (ceiling, ceiling)):
        inside = np.abs(z - at) <= radius
        bound = np.where(inside, np.maximum(bound, np.abs(min(value, ceiling) - a)), bound)
    return bound


def _leaky_relu(z: Array, a: Array, radius: Array, negative_slope: float = 0.2) -> Array:
    return _relu(z, a, radius, None, negative_slope)


def _thresholded_relu(z: Array, a: Array, radius: Array, theta: float = 1.0) -> Array:
    """Within reach of the threshold either side of the jump; else x or nothing."""
    jump = np.maximum(np.abs(a), np.maximum(np.abs(z), abs(theta)) + radius)
    return np.where(np.abs(z - theta) <= radius, jump, np.where(z > theta, radius, 0.0))


def _elu(z: Array, a: Array, radius: Array, alpha: float = 1.0) -> Array:
    bound = _at_ends("elu")(z, a, radius, alpha=alpha)
    return bound if alpha >= 0 else np.where(np.abs(z) <= radius, np.maximum(bound, np.abs(a)), bound)


def _selu(z: Array, a: Array, radius: Array) -> Array:
    return SELU_SCALE * _elu(z, a / SELU_SCALE, radius, SELU_ALPHA)


def _gelu_slope(z: Array, a: Array) -> Array:
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    return np.where(z == 0, 0.5, a / z) + np.where(np.isfinite(z), z, 0) * density


def _gelu_tanh_slope(z: Array, a: Array) -> Array:
    gate = sigmoid(2 * GELU_TANH_SCALE * (z + 0.044715 * z**3))
    inner = 2 * GELU_TANH_SCALE * (z + 3 * 0.044715 * z**3)
    return gate + np.where(gate * (1 - gate) == 0, 0, inner * gate * (1 - gate))


def _silu_slope(z: Array, a: Array) -> Array:
    gate = sigmoid(z)
    return gate + a * (1 - gate)


def _mish_slope(z: Array, a: Array) -> Array:
    gate = np.tanh(softplus(z))
    return gate + np.where(gate == 1, 0, z * (1 - gate * gate)) * sigmoid(z)


def _softmax(z: Array, a: Array, radius: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """Each output is monotone in every logit, so that its extremes lie at corners, which are known in closed form."""
    up, down = np.expm1(radius), -np.expm1(-radius)  # e^r - 1 and 1 - e^-r
    rest, raised, lowered = _others(a, axis), a * np.exp(radius), a * np.exp(-radius)
    above = a * (rest * up + _others(a * down, axis)) / (raised + _others(lowered, axis))
    below = a * (rest * down + _others(a * up, axis)) / (lowered + _others(raised, axis))
    return np.maximum(np.abs(above), np.abs(below))


def _others(terms: Array, axis: int | tuple[int, ...]) -> Array:
    """The sum of all the other terms, for each; the largest is left out of its own sum rather than subtracted."""
    largest = np.max(terms, axis=axis, keepdims=True)
    is_largest = terms == largest
    ties = np.sum(is_largest, axis=axis, keepdims=True) - 1
    without = np.sum(np.where(is_largest, 0, terms), axis=axis, keepdims=True) + np.where(ties > 0, ties * largest, 0)
    return np.where(is_largest, without, np.sum(terms, axis=axis, keepdims=True) - terms)


def _cut_sigmoid(z: Array, a: Array, radius: Array) -> Array:
    """That of the logistic function, and a jump at either end that may be crossed."""
    jumps = (np.abs(z - CUT) <= radius).astype(np.float64) + (np.abs(z + CUT) <= radius)
    return np.asarray(_BOUNDS["sigmoid"](z, sigmoid(z), radius) + jumps * JUMP)


# sup abs(g'') and sup abs(g'), rounded up: tests/reference/test_spread.py finds them again.
_BOUNDS: Mapping[str, Callable[..., Array]] = {
    "linear": _linear,
    "tanh": _mean_value("tanh", lambda a: 1 - a * a, 2.0),
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "relu6": _clipped(0.0, 6.0),
    "sigmoid": _mean_value("sigmoid", lambda a: a * (1 - a), 1.0),
    "softsign": _monotone("softsign", lambda z, a: (1 - np.abs(a)) ** 2, 2.0),
    "softplus": _monotone("softplus", lambda z, a: -np.expm1(-a), 0.25),
    "elu": _elu,
    "selu": _selu,
    "exponential": _exponential,
    "gelu": _taylor(_gelu_slope, 0.798, 1.13),
    "gelu_tanh": _taylor(_gelu_tanh_slope, 0.80, 1.13),
    "silu": _taylor(_silu_slope, 0.5, 1.1),
    "mish": _taylor(_mish_slope, 0.645, 1.09),
    "hard_sigmoid": _at_ends("hard_sigmoid"),
    "hard_sigmoid_keras2": _at_ends("hard_sigmoid_keras2"),
    "hard_tanh": _clipped(-1.0, 1.0),
    "scaled_tanh": _scaled_tanh,
    "softmax": _softmax,
    "thresholded_relu": _thresholded_relu,
    "logistic_table": _at_ends("logistic_table"),
    "cut_sigmoid": _cut_sigmoid,
    "rational": moved,
    "table": jumps,
}
