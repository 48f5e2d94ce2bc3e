"""The Jacobian of each step, and of a program: dy/dx by the chain rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.composed.ensemble import PLAIN, Ensemble
from reference.composed.extremes import Extremes
from reference.derivatives.activations import derivative
from reference.operations.dense import Activate, Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform

Array = NDArray[Any]

LN10 = float(np.log(10.0))
DEGREE = float(np.pi / 180)


def jacobian(steps: Sequence[Any], x: Array) -> Array:
    """Of steps that follow each other, as ffbp's original builds it: forwards, one step's matrix after the other.

    Args:
        steps: each takes what the one before gives.
        x: (rows, inputs) float64.

    Returns:
        (rows, outputs, inputs) float64: how much each output changes with each input.

    Raises:
        KeyError: a step whose derivative is not known.
    """
    total = np.broadcast_to(np.eye(x.shape[1]), (len(x), x.shape[1], x.shape[1]))
    for step in steps:
        with np.errstate(all="ignore"):
            total = local_jacobian(step, x) @ total
        x = np.asarray(step(x).outputs, np.float64)
    return total


def local_jacobian(step: Any, x: Array) -> Array:
    """Of one step.

    Args:
        step: a step of a program.
        x: (rows, inputs) float64, what it takes.

    Returns:
        (rows, outputs, inputs) float64; NaN where the step has no derivative, because it gives no number.

    Raises:
        KeyError: no derivative is known for this class of step, or for its activation.
    """
    rule = next((rule for kind, rule in _RULES.items() if isinstance(step, kind)), None)
    if rule is None:
        known = ", ".join(kind.__name__ for kind in _RULES)
        raise KeyError(f"no derivative of {type(step).__name__}; known are {known}")
    with np.errstate(all="ignore"):
        return rule(step, np.asarray(x, np.float64))


def kernel_of(step: Dense) -> Array:
    """(units, inputs) float64."""
    weights = step.weights if step.orientation == "units-first" else step.weights.T
    return np.asarray(weights, np.float64)


def _dense(step: Dense, x: Array) -> Array:
    trace = step(x)
    assert trace.preactivation is not None
    if step.activation.name == "softmax":
        return _softmax(np.asarray(trace.outputs, np.float64)) @ kernel_of(step)
    slopes = derivative(step.activation, np.asarray(trace.preactivation, np.float64), np.asarray(trace.outputs))
    return slopes[:, :, None] * kernel_of(step)


def _softmax(y: Array) -> Array:
    """y_i (d_ik - y_k): every output changes with every argument."""
    return _diagonal(y) - y[:, :, None] * y[:, None, :]


def _activate(step: Activate, x: Array) -> Array:
    return _diagonal(derivative(step.activation, x, np.asarray(step(x).outputs, np.float64)))


def _scaling(step: Scaling, x: Array) -> Array:
    return _diagonal(np.broadcast_to(step.affine[0], x.shape))


def _transform(step: Transform, x: Array) -> Array:
    y = np.asarray(step(x).outputs, np.float64)
    slopes = np.empty_like(x)
    for name in set(step.functions):
        columns = np.array([function == name for function in step.functions])
        slopes[:, columns] = TRANSFORMS[name](x[:, columns], y[:, columns])
    return _diagonal(slopes)


def _extremes(step: Extremes, x: Array) -> Array:
    inside = (x >= step.least) & (x <= step.greatest)
    return _diagonal(np.where(np.isnan(step(x).outputs), np.nan, inside.astype(np.float64)))


def _ensemble(step: Ensemble, x: Array) -> Array:
    """Every member that counts has the same share; which of them count does not change with their values."""
    if step.rule == PLAIN:
        counts = np.ones(x.shape)
    else:
        counts = np.abs(x - x.mean(axis=1, keepdims=True)) < x.std(axis=1, ddof=1, keepdims=True)
    return np.asarray((counts / counts.sum(axis=1, keepdims=True))[:, None, :])


def _diagonal(slopes: Array) -> Array:
    """(rows, n) as (rows, n, n)."""
    return np.asarray(slopes[:, :, None] * np.eye(slopes.shape[1]))


TRANSFORMS: Mapping[str, Callable[[Array, Array], Array]] = {
    "identity": lambda x, y: np.ones_like(x),
    "cos_degrees": lambda x, y: -np.sin(np.deg2rad(x)) * DEGREE,
    "log10": lambda x, y: 1 / (x * LN10),
    "ln": lambda x, y: 1 / x,
    "pow10": lambda x, y: y * LN10,
    "exp": lambda x, y: y,
    "sqrt": lambda x, y: 0.5 / y,
    "root4": lambda x, y: 0.25 / y**3,
    "root8": lambda x, y: 0.125 / y**7,
    "square": lambda x, y: 2 * x,
    "pow4": lambda x, y: 4 * x**3,
    "pow8": lambda x, y: 8 * x**7,
    "relu_square": lambda x, y: 2 * np.maximum(x, 0),
    "relu": lambda x, y: np.where(x > 0, 1.0, 0.0),
    "cos": lambda x, y: -np.sin(x),
}
"""Of ``reference.operations.transforms.FUNCTIONS``, of the argument and the value."""

_RULES: Mapping[type, Callable[..., Array]] = {
    Dense: _dense,
    Activate: _activate,
    Scaling: _scaling,
    Transform: _transform,
    Extremes: _extremes,
    Ensemble: _ensemble,
}
