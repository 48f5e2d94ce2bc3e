"""The derivative of each activation, one small function each, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import (
    GELU_TANH_SCALE,
    SELU_ALPHA,
    SELU_SCALE,
    Activation,
    sigmoid,
    softplus,
)
from reference.rational import coefficients, horner, rational

Array = NDArray[Any]


def derivative(activation: Activation, z: Array, y: Array) -> Array:
    """g'(z) of an elementwise activation.

    Args:
        activation: g.
        z: any shape, float64.
        y: g(z).

    Raises:
        KeyError: no derivative is known for it; the message lists those that are.
    """
    if activation.name not in DERIVATIVES:
        raise KeyError(f"no derivative of {activation.name}; known are {', '.join(DERIVATIVES)}")
    with np.errstate(all="ignore"):
        return np.asarray(DERIVATIVES[activation.name](z, y, **activation.parameters), np.float64)


def _between(low: float, high: float, slope: float) -> Callable[[Array, Array], Array]:
    """The slope of a line that is held to its values at both ends."""
    return lambda z, y: np.where((z > low) & (z < high), slope, 0.0)


def _relu(
    z: Array, y: Array, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
) -> Array:
    inner = np.where(z >= threshold, 1.0, negative_slope)
    return inner if max_value is None else np.where(y >= max_value, 0.0, inner)


def _logistic(z: Array, y: Array) -> Array:
    """y (1 - y), of a table's entry as of the function's value.

    Source: senbox-org/snap-engine, commit 048ce3a: ``act * (1.0 - act)``, with the activation out of the table.
    """
    return y * (1 - y)


def _selu(z: Array, y: Array) -> Array:
    return SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(z, 0)))


def _gelu(z: Array, y: Array) -> Array:
    """The distribution function, and z times the density, of the standard normal distribution."""
    cumulative = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in z.ravel()]).reshape(z.shape)
    return cumulative + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _gelu_tanh(z: Array, y: Array) -> Array:
    """Of z sigmoid(2 t), with t = sqrt(2/pi) (z + 0.044715 z^3)."""
    gate = sigmoid(2 * GELU_TANH_SCALE * (z + 0.044715 * z**3))
    return gate + z * gate * (1 - gate) * 2 * GELU_TANH_SCALE * (1 + 3 * 0.044715 * z**2)


def _silu(z: Array, y: Array) -> Array:
    gate = sigmoid(z)
    return gate * (1 + z * (1 - gate))


def _mish(z: Array, y: Array) -> Array:
    bent = np.tanh(softplus(z))
    return bent + z * (1 - bent**2) * sigmoid(z)


def _scaled_tanh(z: Array, y: Array, amplitude: float = 1.7159, slope: float = 2.0 / 3.0) -> Array:
    return amplitude * slope * (1 - np.tanh(slope * z) ** 2)


def _rational(z: Array, y: Array, **parameters: float) -> Array:
    """(N' - R D') / D."""
    numerator, denominator = coefficients(parameters)
    above, below = (horner([n * each for n, each in enumerate(part)][1:] or [0.0], z)
                    for part in (numerator, denominator))  # fmt: skip
    return np.asarray((above - rational(z, **parameters) * below) / horner(denominator, z))


DERIVATIVES: Mapping[str, Callable[..., Array]] = {
    "linear": lambda z, y: np.ones_like(z),
    "tanh": lambda z, y: 1 - y**2,
    "relu": _relu,
    "leaky_relu": lambda z, y, negative_slope=0.2: np.where(z >= 0, 1.0, negative_slope),
    "relu6": _between(0, 6, 1.0),
    "sigmoid": _logistic,
    "softsign": lambda z, y: 1 / (1 + np.abs(z)) ** 2,
    "softplus": lambda z, y: sigmoid(z),
    "elu": lambda z, y, alpha=1.0: np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0))),
    "selu": _selu,
    "exponential": lambda z, y: y,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "hard_sigmoid": _between(-3, 3, 1 / 6),
    "hard_sigmoid_keras2": _between(-2.5, 2.5, 0.2),
    "thresholded_relu": lambda z, y, theta=1.0: np.where(z > theta, 1.0, 0.0),
    "hard_tanh": _between(-1, 1, 1.0),
    "scaled_tanh": _scaled_tanh,
    "logistic_table": _logistic,
    "cut_sigmoid": _logistic,
    "rational": _rational,
}
"""By the names of activations; softmax, which is not elementwise, is left out."""
