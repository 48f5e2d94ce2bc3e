"""One pure, warning-free function per activation, elementwise unless it says otherwise.

Every function takes and returns an array of any shape in float32 or float64 and keeps its dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.logistic_table import logistic_table
from reference.rational import rational
from reference.table import table

Array = NDArray[Any]

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
TANH_AMPLITUDE, TANH_SLOPE = 1.7159, 2.0 / 3.0
"""Of scaled_tanh, where no parameter says otherwise."""
CUT = 15.0
"""Of cut_sigmoid: beyond it is constant."""
GELU_TANH_SCALE = 0.7978845608028654  # sqrt(2/pi)


def linear(x: Array) -> Array:
    """x. Domain: all reals."""
    return x


def tanh(x: Array) -> Array:
    """Hyperbolic tangent. Source: np.tanh, as OC-SMART calls it."""
    return np.tanh(x)


def relu(x: Array, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0) -> Array:
    """x above the threshold, slope * (x - threshold) below, at most max_value. Source: Keras ReLU layer."""
    bent = np.where(x >= threshold, x, _sloped(x - np.asarray(threshold, x.dtype), negative_slope))
    bent = np.where(np.isnan(x), x, bent)
    return bent if max_value is None else np.minimum(bent, np.asarray(max_value, x.dtype))


def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """x for x >= 0, negative_slope * x below. Source: Keras 3 leaky_relu (default slope 0.2)."""
    return np.where(x >= 0, x, _sloped(x, negative_slope))


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6). Source: Keras relu6."""
    return np.clip(x, 0, 6)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), evaluated without overflow on either side."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def softsign(x: Array) -> Array:
    """x / (1 + abs(x))."""
    return x / (1 + np.abs(x))


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) as max(x, 0) + log1p(exp(-abs(x)))."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x for x > 0, alpha * (exp(x) - 1) below. Source: Clevert et al. 2015."""
    return np.where(x > 0, x, np.asarray(alpha, x.dtype) * np.expm1(np.minimum(x, 0)))


def selu(x: Array) -> Array:
    """scale * elu(x, alpha) with the fixed point constants of Klambauer et al. 2017."""
    with np.errstate(over="ignore"):
        return np.asarray(SELU_SCALE, x.dtype) * elu(x, SELU_ALPHA)


def exponential(x: Array) -> Array:
    """exp(x). Overflows to inf, silently."""
    with np.errstate(over="ignore"):
        return np.exp(x)


def gelu(x: Array) -> Array:
    """x * Phi(x) with the normal distribution function, exactly. Source: Hendrycks and Gimpel 2016, eq. 1."""
    half = x.astype(np.float64) / 2
    return (half * _erfc(-x.astype(np.float64) / math.sqrt(2))).astype(x.dtype)


def gelu_tanh(x: Array) -> Array:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Source: Hendrycks and Gimpel 2016."""
    with np.errstate(over="ignore"):
        inner = np.asarray(GELU_TANH_SCALE, x.dtype) * (x + np.asarray(0.044715, x.dtype) * x * x * x)
        # 0.5 (1 + tanh(t)) = sigmoid(2t), which keeps the left tail.
        return x * sigmoid(2 * inner)


def silu(x: Array) -> Array:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


def mish(x: Array) -> Array:
    """x * tanh(softplus(x)). Source: Misra 2019."""
    return x * np.tanh(softplus(x))


def hard_sigmoid(x: Array) -> Array:
    """clip(x/6 + 0.5, 0, 1). Source: Keras 3 activations.hard_sigmoid."""
    return np.clip(x / 6 + np.asarray(0.5, x.dtype), 0, 1)


def hard_sigmoid_keras2(x: Array) -> Array:
    """clip(0.2 x + 0.5, 0, 1). Source: Keras 1 and 2 activations.hard_sigmoid."""
    return np.clip(np.asarray(0.2, x.dtype) * x + np.asarray(0.5, x.dtype), 0, 1)


def thresholded_relu(x: Array, theta: float = 1.0) -> Array:
    """x for x > theta, 0 at and below. Source: Keras 2 documentation, ThresholdedReLU."""
    return np.where(np.isnan(x), x, np.where(x > np.asarray(theta, x.dtype), x, np.zeros_like(x)))


def hard_tanh(x: Array) -> Array:
    """clip(x, -1, 1)."""
    return np.clip(x, -1, 1)


def scaled_tanh(x: Array, amplitude: float = TANH_AMPLITUDE, slope: float = TANH_SLOPE) -> Array:
    """amplitude * tanh(slope * x). Source: LeCun et al. 1998, Efficient BackProp, section 4.4."""
    return np.asarray(amplitude, x.dtype) * np.tanh(np.asarray(slope, x.dtype) * x)


def softmax(x: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """exp(x - max) / sum(exp(x - max)) along ``axis``; not elementwise."""
    with np.errstate(over="ignore"):
        shifted = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return shifted / np.sum(shifted, axis=axis, keepdims=True)


def cut_sigmoid(x: Array) -> Array:
    """The logistic function, exactly 0 below -15 and 1 above 15. Source: R's nnet (src/nnet.c, sigmoid)."""
    return np.where(x < -CUT, np.zeros_like(x), np.where(x > CUT, np.ones_like(x), sigmoid(x)))


def _sloped(x: Array, slope: float) -> Array:
    """Slope * x; zero for the slope 0 whatever x, so that an infinite x gives no NaN."""
    return np.zeros_like(x) if slope == 0 else np.asarray(slope, x.dtype) * x


def _erfc(x: Array) -> Array:
    """Complementary error function in float64, through the standard library: NumPy has none.

    70 ns an element; rational approximations in NumPy (Cephes) were no faster, and less accurate.
    """
    flat = np.fromiter(map(math.erfc, x.ravel()), dtype=np.float64, count=x.size)
    return flat.reshape(x.shape)


FUNCTIONS: Mapping[str, Callable[..., Array]] = {
    "linear": linear,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "relu6": relu6,
    "sigmoid": sigmoid,
    "softsign": softsign,
    "softplus": softplus,
    "elu": elu,
    "selu": selu,
    "exponential": exponential,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": silu,
    "mish": mish,
    "hard_sigmoid": hard_sigmoid,
    "hard_sigmoid_keras2": hard_sigmoid_keras2,
    "thresholded_relu": thresholded_relu,
    "hard_tanh": hard_tanh,
    "scaled_tanh": scaled_tanh,
    "softmax": softmax,
    "logistic_table": logistic_table,
    "cut_sigmoid": cut_sigmoid,
}
BY_COEFFICIENTS: Mapping[str, Callable[..., Array]] = {"rational": rational}
"""What is no function before its coefficients are given."""
LOOKED_UP: Mapping[str, Callable[..., Array]] = {"table": table}
"""What is no function before its entries are given, which no spelling has in it."""
_UNNAMED = {**BY_COEFFICIENTS, **LOOKED_UP}


@dataclass(frozen=True)
class Activation:
    """An activation by name, with the parameters that differ from the function's defaults.

    Attributes:
        name: of the function.
        parameters: of the function.
        form: the formula by which a port writes it out, the same on paper and less exact in floating point; "" where
            it calls the function itself (``reference.composed.forms``).

    Raises:
        KeyError: no activation of that name, or none without its coefficients; the message lists those that exist.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""

    def __post_init__(self) -> None:
        if self.name not in FUNCTIONS and not (self.name in _UNNAMED and self.parameters):
            raise KeyError(f"no activation {self.name!r}; known are {', '.join(FUNCTIONS)}")

    def __call__(self, x: Array) -> Array:
        """Apply it to an array of any shape."""
        function = _UNNAMED[self.name] if self.name in _UNNAMED else FUNCTIONS[self.name]
        return function(x, **self.parameters)

    def __str__(self) -> str:
        inner = ", ".join(_shown(key, value) for key, value in self.parameters.items() if value is not None)
        return f"{self.name}({inner})" if inner else self.name


def _shown(key: str, value: Any) -> str:
    """A parameter, or of a table how many entries there are."""
    return f"{len(value)} {key}" if isinstance(value, tuple) and key == "values" else f"{key}={value:g}"
