"""Pieces of C that every layer is written with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import CUT, GELU_TANH_SCALE, SELU_ALPHA, SELU_SCALE, Activation

Array = NDArray[Any]

PER_LINE = 5

# The body of each activation of one number z; F(name) is the function of the file's precision, R(number) its literal.
FUNCTIONS: Mapping[str, str] = {
    "tanh": "return F(tanh)(z);",
    "relu6": "return z < 0 ? 0 : z > 6 ? 6 : z;",
    "sigmoid": "const real small = F(exp)(-F(fabs)(z));\n    return (z >= 0 ? 1 : small) / (1 + small);",
    "softsign": "return z / (1 + F(fabs)(z));",
    "softplus": "return (z > 0 ? z : 0) + F(log1p)(F(exp)(-F(fabs)(z)));",
    "selu": f"return R({SELU_SCALE!r}) * (z > 0 ? z : R({SELU_ALPHA!r}) * F(expm1)(z));",
    "exponential": "return F(exp)(z);",
    "gelu": "return z / 2 * F(erfc)(-z / R(1.4142135623730951));",
    "gelu_tanh": f"return z * act_sigmoid(2 * (R({GELU_TANH_SCALE!r}) * (z + R(0.044715) * z * z * z)));",
    "silu": "return z * act_sigmoid(z);",
    "mish": "return z * F(tanh)((z > 0 ? z : 0) + F(log1p)(F(exp)(-F(fabs)(z))));",
    "hard_sigmoid": "const real t = z / 6 + R(0.5);\n    return t < 0 ? 0 : t > 1 ? 1 : t;",
    "hard_sigmoid_keras2": "const real t = R(0.2) * z + R(0.5);\n    return t < 0 ? 0 : t > 1 ? 1 : t;",
    "hard_tanh": "return z < -1 ? -1 : z > 1 ? 1 : z;",
    "relu": "const real bent = z >= threshold ? z : slope == 0 ? 0 : slope * (z - threshold);\n"
    "    return z != z ? z : bent > largest ? largest : bent;",
    "leaky_relu": "return z >= 0 ? z : slope * z;",
    "elu": "return z > 0 ? z : alpha * F(expm1)(z);",
    "thresholded_relu": "return z != z ? z : z > theta ? z : 0;",
    "scaled_tanh": "return amplitude * F(tanh)(slope * z);",
    "cut_sigmoid": f"return z < -R({CUT!r}) ? 0 : z > R({CUT!r}) ? 1 : act_sigmoid(z);",
}
ARGUMENTS: Mapping[str, tuple[tuple[str, str, float], ...]] = {
    "relu": (
        ("slope", "negative_slope", 0.0), ("threshold", "threshold", 0.0), ("largest", "max_value", float("inf")),
    ),
    "leaky_relu": (("slope", "negative_slope", 0.2),),
    "elu": (("alpha", "alpha", 1.0),),
    "thresholded_relu": (("theta", "theta", 1.0),),
    "scaled_tanh": (("amplitude", "amplitude", 1.7159), ("slope", "slope", 2.0 / 3.0)),
}  # fmt: skip
"""Of an activation with parameters: its name in C, in the reference, and the value where none is given."""
NEEDED = {"silu": ("sigmoid",), "cut_sigmoid": ("sigmoid",), "gelu_tanh": ("sigmoid",)}


def literal(value: Any, is_double: bool) -> str:
    """A number, exactly: ``0x1.8p+1``."""
    number = float(value)
    if not np.isfinite(number):
        return "NAN" if np.isnan(number) else "-INFINITY" if number < 0 else "INFINITY"
    text = re.sub(r"\.?0*p", "p", number.hex(), count=1)
    return text if is_double else f"{text}f"


def array(name: str, numbers: Array, dtype: np.dtype[Any], kind: str = "real") -> Iterator[str]:
    """A constant array of the nearest numbers of that dtype; the last axis runs fastest."""
    values = np.asarray(numbers).astype(dtype)
    is_double = dtype == np.float64
    yield f"static const {kind} {name}[{values.size}] = {{"
    for row in values.reshape(-1, values.shape[-1]):
        spelt = [literal(value, is_double) for value in row]
        for start in range(0, len(spelt), PER_LINE):
            yield f"    {', '.join(spelt[start : start + PER_LINE])},"
    yield from ("};", "")


def called(activation: Activation, argument: str, is_double: bool) -> str:
    """An activation of one number, which is written once."""
    if activation.name == "linear":
        return argument
    given = [activation.parameters.get(key, value) for _, key, value in ARGUMENTS.get(activation.name, ())]
    numbers = "".join(f", {literal(np.inf if each is None else each, is_double)}" for each in given)
    return f"act_{activation.name}({argument}{numbers})"


def activated(activation: Activation, n: int, is_double: bool) -> Iterator[str]:
    """An activation of the first numbers of ``y``, in place; ``j`` is declared."""
    if activation.name == "softmax":
        yield "    {"
        yield "        real largest = y[0], sum = 0;"
        yield f"        for (j = 1; j < {n}; j++) if (y[j] > largest || y[j] != y[j]) largest = y[j];"
        yield f"        for (j = 0; j < {n}; j++) sum += y[j] = F(exp)(y[j] - largest);"
        yield f"        for (j = 0; j < {n}; j++) y[j] /= sum;"
        yield "    }"
    elif activation.name != "linear":
        yield f"    for (j = 0; j < {n}; j++) y[j] = {called(activation, 'y[j]', is_double)};"
