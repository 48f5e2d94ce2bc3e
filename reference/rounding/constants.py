"""How accurate the platforms' elementary functions are: measured, not guessed.

``error <= u (relative abs(g) + argument abs(x) + absolute)``, in units u of the format, for every x.
``benchmarks/activation_accuracy.py`` measures them again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation

Array = NDArray[Any]


@dataclass(frozen=True)
class Accuracy:
    """Constants of one function in one format.

    Attributes:
        relative: times abs(g), g the function's value.
        argument: times abs(x), x its argument.
        absolute: times 1.
    """

    relative: float = 0.0
    argument: float = 0.0
    absolute: float = 0.0


@dataclass(frozen=True)
class Measurement:
    """Where constants were measured.

    Attributes:
        backend: of Keras, ``"tensorflow"``; or what runs files, as it calls itself.
        version: of the backend, without the patch level.
        keras: likewise; "" where Keras has no part in it.
        device: kind of device, ``"cpu"``.
        processor: its instruction sets.
        paths: ways to run a function.
        formats: in which they were measured.
    """

    backend: str
    version: str
    keras: str
    device: str
    processor: str
    paths: tuple[str, ...]
    formats: tuple[str, ...] = ("float64", "float32", "float16", "bfloat16")


MEASURED = (
    Measurement(
        "tensorflow",
        "2.21",
        "3.15",
        "cpu",
        "x86-64 with AVX-512 and FMA",
        ("eager", "graph", "graph fused behind a product or a convolution", "XLA", "odd lengths"),
    ),
    Measurement(
        "jax",
        "0.11",
        "3.15",
        "gpu",
        "NVIDIA H100",
        ("eager", "XLA", "XLA fused behind a product", "odd lengths"),
        ("float32", "float16", "bfloat16"),
    ),
    Measurement(
        "onnxruntime",
        "1.32",
        "",
        "cpu",
        "x86-64 with AVX-512 and FMA",
        ("as porter writes them", "operators of ONNX", "optimized behind a product", "odd lengths"),
        ("float32",),
    ),
    Measurement(
        "onnx.reference",
        "1.23",
        "",
        "cpu",
        "x86-64 with AVX-512 and FMA",
        ("as porter writes them", "operators of ONNX", "odd lengths"),
        ("float32",),
    ),
    Measurement(
        "LiteRT",
        "2.3",
        "3.15",
        "cpu",
        "x86-64 with AVX-512 and FMA",
        ("plain kernels", "odd lengths"),
        ("float32",),
    ),
)


def measured_on(backend: str, version: str, device: str, formats: Collection[str]) -> bool:
    """Whether the constants of the formats were measured with this version (``"2.21.0"``) on this kind of device."""
    here = (backend, ".".join(version.split(".")[:2]), device)
    return any((each.backend, each.version, each.device) == here and set(formats) <= set(each.formats)
               for each in MEASURED)  # fmt: skip


# The largest error in units: of every float32 in the range where the function is neither its tangent at 0 nor
# constant, rounded up. sigmoid, elu, selu, hard_sigmoid: the absolute terms allow for 0.5 + 0.5 tanh(x / 2),
# exp(x) - 1 and x / 6 + 0.5, which other versions and runtimes compute. softmax: beside what its sum explains.
# gelu is that of oneDNN fused behind a product (6.39 with AVX-512, 4.6 with AVX2 or SSE; 2.3 by itself, 2.6 on the
# H100), softsign the H100's (2.5 on the CPU), silu onnxruntime's (3.49; 3.0 in Keras); everywhere else Keras' on a CPU
# are the larger. The other runtimes were measured by benchmarks/runtime_accuracy.py.
_FLOAT32: Mapping[str, Accuracy] = {
    "linear": Accuracy(),
    "identity": Accuracy(),
    "tanh": Accuracy(6.2),
    "relu": Accuracy(2.0),
    "leaky_relu": Accuracy(2.0),
    "relu6": Accuracy(),
    "thresholded_relu": Accuracy(),
    "sigmoid": Accuracy(8.4, 0, 3),
    "cut_sigmoid": Accuracy(8.4, 0, 3),
    "softsign": Accuracy(2.9),
    "softplus": Accuracy(8.1),
    "elu": Accuracy(6.4, 0, 1.2),
    "selu": Accuracy(7.0, 0, 2.7),
    "exponential": Accuracy(5.6),
    "gelu": Accuracy(0, 6.5),
    "gelu_tanh": Accuracy(0, 4.1),
    "silu": Accuracy(0, 3.5),
    "mish": Accuracy(0, 6.4),
    "hard_sigmoid": Accuracy(2, 0, 2),
    "hard_sigmoid_keras2": Accuracy(2, 0, 2),
    "hard_tanh": Accuracy(),
    "scaled_tanh": Accuracy(10.5),
    "softmax": Accuracy(14.0),
    "logistic_table": Accuracy(1),  # the cast of an entry; finding it counts as an error of the argument
    "table": Accuracy(1),  # likewise
    "cos_degrees": Accuracy(2, 0, 2),
    "log10": Accuracy(5, 0, 1),
    "ln": Accuracy(5),
    "pow10": Accuracy(5.6),
    "exp": Accuracy(5.6),
    # Not measured but derived: roots and products are rounded once each. y**8 in three squares has 4 + 2 + 1 units,
    # a root of a root 1 / 2 + 1; twice that leaves room for a power function of a few units.
    "root4": Accuracy(8),
    "pow8": Accuracy(14),
    "relu_square": Accuracy(4),
    "sqrt": Accuracy(2),
    "root8": Accuracy(8),
    "square": Accuracy(2),
    "pow4": Accuracy(6),
    "cos": Accuracy(2, 0, 2),
}
# Sampled, 16,384 numbers a binade, and 15 % more than the largest seen.
_FLOAT64: Mapping[str, Accuracy] = {
    **_FLOAT32,
    "tanh": Accuracy(8.8),
    "sigmoid": Accuracy(4, 0, 1),
    "cut_sigmoid": Accuracy(4, 0, 1),
    "softsign": Accuracy(2.3),
    "softplus": Accuracy(9.0),
    "elu": Accuracy(8.7, 0, 1.3),
    "selu": Accuracy(9.6, 0, 2.7),
    "exponential": Accuracy(2.7),
    "gelu": Accuracy(4, 1),
    "gelu_tanh": Accuracy(4, 1),
    "silu": Accuracy(4.2, 0.1),
    "mish": Accuracy(9.3, 0.1),
    "scaled_tanh": Accuracy(13),
    "softmax": Accuracy(8),
}
# Every number; the two 16-bit formats differ by less than the rounding up.
_SHORT: Mapping[str, Accuracy] = {
    **_FLOAT32,
    "tanh": Accuracy(1.1),
    "sigmoid": Accuracy(2.6, 0, 0.5),
    "cut_sigmoid": Accuracy(2.6, 0, 0.5),
    "softsign": Accuracy(2.1),
    "softplus": Accuracy(8.0),
    "elu": Accuracy(2.6, 0, 1.1),
    "selu": Accuracy(3.6, 0, 2.0),
    "exponential": Accuracy(1.2),
    "gelu": Accuracy(2.3, 0.34),  # that of TensorFlow 2.16 with Keras 3.3; 0.2 is enough for the newest
    "gelu_tanh": Accuracy(3.0, 0.4),
    "silu": Accuracy(3.0, 0.05),
    "mish": Accuracy(3.4, 0.35),
    "scaled_tanh": Accuracy(3.3),
    "softmax": Accuracy(10),
    "log10": Accuracy(3),
    "ln": Accuracy(1.2),
    "pow10": Accuracy(1.2),
    "exp": Accuracy(1.2),
}
ACCURACY: Mapping[str, Mapping[str, Accuracy]] = {
    "float64": _FLOAT64,
    "float32": _FLOAT32,
    "float16": _SHORT,
    "bfloat16": _SHORT,
}


def accuracy_of(function: Activation | str, kind: str) -> Accuracy:
    """The constants of an activation with its parameters, or of a transform by name, in one format.

    Raises:
        KeyError: nothing was measured for that function or format.
    """
    if isinstance(function, str):
        return ACCURACY[kind][function]
    constants, parameters = ACCURACY[kind][function.name], function.parameters
    if function.name == "relu" and not parameters:
        return Accuracy()
    if function.name == "relu" and parameters.get("threshold", 0.0):
        slope, threshold = parameters.get("negative_slope", 0.0), parameters["threshold"]
        return replace(constants, argument=2 * abs(slope), absolute=2 * abs(slope * threshold))
    if function.name == "elu":
        return replace(constants, absolute=constants.absolute * max(1.0, abs(parameters.get("alpha", 1.0))))
    return constants


BY_SIGMOID = "2 sigmoid(2 x) - 1"
WRITTEN_OUT: Mapping[str, Mapping[str, float]] = {
    "tanh": {BY_SIGMOID: 2.0, "a quotient of exponentials": 18.0},
    "softplus": {"log(1 + exp(x))": 9.0},
}
"""By activation: formulas for it, the closest first, and unit roundoffs of 1 that each may cost, since near zero two
numbers of that size are subtracted or added. Two exponentials of 6 units each, relative to their sum, and three
roundings of at most 2; one exponential of 6 beside 1, the sum's rounding, and the logarithm's own. The first of tanh:
the sum's, beside twice what the sigmoid is off by."""


def form_units(activation: Activation, a: Array, kind: str) -> Array:
    """Unit roundoffs that an activation's formula may cost beside those of the function itself.

    Args:
        activation: with a ``form``.
        a: its values, of any shape.
        kind: name of the format in which the port computes.

    Raises:
        KeyError: a form that the activation does not have.
    """
    units = np.full(np.shape(a), WRITTEN_OUT[activation.name][activation.form])
    if activation.form != BY_SIGMOID:
        return units
    sigmoid = accuracy_of("sigmoid", kind)
    return np.asarray(units + 2 * np.abs(a) + sigmoid.relative * (1 + a) + 2 * sigmoid.absolute)


PLATFORM_DEVIATIONS: Mapping[tuple[str, str], tuple[float, str]] = {
    ("gelu", "float64"): (4.5e-9, "TensorFlow's gelu has sqrt(1/2) as a float32 constant"),
    ("gelu_tanh", "float64"): (6e-10, "TensorFlow's gelu has sqrt(2/pi) as a float32 constant"),
    ("leaky_relu", "float64"): (2.0**-24, "TensorFlow's leaky_relu keeps its slope in float32"),
    ("relu", "float64"): (2.0**-24, "Keras' relu keeps its slope and its largest value in float32"),
}
"""(activation, format) to the relative error of the constant, or the error over abs(x) of gelu, and why."""


def platform_deviation(activation: Activation, kind: str) -> tuple[float, float]:
    """What the platform is known to do wrong beyond its format: error over abs(x), and error anywhere; else zeros."""
    factor, _ = PLATFORM_DEVIATIONS.get((activation.name, kind), (0.0, ""))
    if activation.name == "leaky_relu":
        return factor * abs(activation.parameters.get("negative_slope", 0.2)), 0.0
    if activation.name == "relu":
        largest = activation.parameters.get("max_value")
        slope = activation.parameters.get("negative_slope", 0.0)
        threshold = activation.parameters.get("threshold", 0.0)
        return factor * abs(slope), factor * (abs(slope * threshold) + (0.0 if largest is None else abs(largest)))
    return factor, 0.0
