"""Pieces of Python that every layer is written with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import CUT, GELU_TANH_SCALE, SELU_ALPHA, SELU_SCALE, Activation

Array = NDArray[Any]

PER_LINE = 4

FUNCTIONS: Mapping[str, str] = {
    "linear": "return x",
    "tanh": "return np.tanh(x)",
    "relu6": "return np.clip(x, 0, 6)",
    "sigmoid": "small = np.exp(-np.abs(x))\n    return np.where(x >= 0, one, small) / (one + small)",
    "softsign": "return x / (one + np.abs(x))",
    "softplus": "return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))",
    "selu": f"return REAL({SELU_SCALE!r}) * np.where(x > 0, x, REAL({SELU_ALPHA!r}) * np.expm1(np.minimum(x, 0)))",
    "exponential": "return np.exp(x)",
    "gelu": "return x / 2 * np.vectorize(math.erfc, otypes=[REAL])(-x / REAL(math.sqrt(2)))",
    "gelu_tanh": f"inner = REAL({GELU_TANH_SCALE!r}) * (x + REAL(0.044715) * x * x * x)\n"
    "    return x * sigmoid(2 * inner)",
    "silu": "return x * sigmoid(x)",
    "mish": "return x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))",
    "hard_sigmoid": "return np.clip(x / 6 + REAL(0.5), 0, 1)",
    "hard_sigmoid_keras2": "return np.clip(REAL(0.2) * x + REAL(0.5), 0, 1)",
    "hard_tanh": "return np.clip(x, -1, 1)",
    "softmax": "shifted = np.exp(x - x.max(axis=-1, keepdims=True))\n"
    "    return shifted / shifted.sum(axis=-1, keepdims=True)",
    "relu": "bent = np.where(x >= threshold, x, 0 * one if slope == 0 else REAL(slope) * (x - REAL(threshold)))\n"
    "    bent = np.where(np.isnan(x), x, bent)\n"
    "    return bent if largest is None else np.minimum(bent, REAL(largest))",
    "leaky_relu": "return np.where(x >= 0, x, REAL(negative_slope) * x)",
    "elu": "return np.where(x > 0, x, REAL(alpha) * np.expm1(np.minimum(x, 0)))",
    "thresholded_relu": "return np.where(np.isnan(x) | (x > REAL(theta)), x, 0 * one)",
    "scaled_tanh": "return REAL(amplitude) * np.tanh(REAL(slope) * x)",
    "cut_sigmoid": f"return np.where(x < {-CUT!r}, 0 * one, np.where(x > {CUT!r}, one, sigmoid(x)))",
}
"""The body of each activation; ``one`` is 1 in the file's precision."""
ARGUMENTS: Mapping[str, str] = {
    "relu": ", largest=None, slope=0.0, threshold=0.0",
    "leaky_relu": ", negative_slope=0.2",
    "elu": ", alpha=1.0",
    "thresholded_relu": ", theta=1.0",
    "scaled_tanh": ", amplitude=1.7159, slope=2.0 / 3.0",
}
RENAMED = {"relu": {"max_value": "largest", "negative_slope": "slope", "threshold": "threshold"}}
NEEDED = {"silu": ("sigmoid",), "cut_sigmoid": ("sigmoid",), "gelu_tanh": ("sigmoid",)}


def array(name: str, numbers: Array, dtype: np.dtype[Any], kind: str = "REAL") -> Iterator[str]:
    """An assignment of the nearest numbers of that dtype, each with as many digits as it takes to come back."""
    values = np.asarray(numbers).astype(dtype)
    yield f"{name} = np.array(["
    for row in values.reshape(-1, values.shape[-1]):
        spelt = [_literal(value) for value in row]
        for start in range(0, len(spelt), PER_LINE):
            yield f"    {', '.join(spelt[start : start + PER_LINE])},"
    yield f"], {kind}).reshape({', '.join(str(size) for size in values.shape)})"


def _literal(value: Any) -> str:
    if np.isfinite(value):
        return str(value) if value.dtype != np.float64 else repr(float(value))
    return "float('nan')" if np.isnan(value) else f"float('{'-' if value < 0 else ''}inf')"


def called(activation: Activation, argument: str) -> str:
    """A call of an activation."""
    if activation.name == "linear":
        return argument
    names = RENAMED.get(activation.name, {})
    given = {key: value for key, value in activation.parameters.items() if key != "axis"}
    return f"{activation.name}({', '.join([argument, *(f'{names.get(k, k)}={v!r}' for k, v in given.items())])})"
