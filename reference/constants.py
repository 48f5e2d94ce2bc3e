"""How accurate the platforms' elementary functions are: measured, not guessed.

``error <= u (relative abs(g) + argument abs(x) + absolute)``, in units u of the format, for every x.
``benchmarks/activation_accuracy.py`` measures them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reference.activations import Activation


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


_FLOAT32: Mapping[str, Accuracy] = {
    "linear": Accuracy(),
    "tanh": Accuracy(6.2),
    "relu": Accuracy(2.0),
    "leaky_relu": Accuracy(2.0),
    "relu6": Accuracy(),
    "sigmoid": Accuracy(8.4, 0, 3),
    "softsign": Accuracy(2.5),
    "softplus": Accuracy(8.1),
    "elu": Accuracy(6.3, 0, 1.2),
    "selu": Accuracy(7.0, 0, 2.7),
    "exponential": Accuracy(5.6),
    "gelu": Accuracy(0, 2.3),
    "gelu_tanh": Accuracy(0, 4.1),
    "silu": Accuracy(0, 3.1),
    "mish": Accuracy(0, 6.0),
    "hard_sigmoid": Accuracy(2, 0, 2),
    "hard_sigmoid_keras2": Accuracy(2, 0, 2),
    "hard_tanh": Accuracy(),
    "scaled_tanh": Accuracy(12.0),
    "softmax": Accuracy(8.0),
    "cos_degrees": Accuracy(2, 0, 2),
    "log10": Accuracy(5, 0, 1),
    "ln": Accuracy(4),
    "pow10": Accuracy(8),
    "exp": Accuracy(5.6),
    "identity": Accuracy(),
}
_FLOAT64: Mapping[str, Accuracy] = {
    **{name: Accuracy(2 * c.relative + 2, 2 * c.argument, 2 * c.absolute) for name, c in _FLOAT32.items()},
    "tanh": Accuracy(8.8),
    "scaled_tanh": Accuracy(14.0),
    "softplus": Accuracy(7.4),
    "linear": Accuracy(),
    "identity": Accuracy(),
    "relu6": Accuracy(),
    "hard_tanh": Accuracy(),
}
_SHORT: Mapping[str, Accuracy] = {
    **{name: Accuracy(2 * c.relative + 4, 2 * c.argument, 2 * c.absolute) for name, c in _FLOAT32.items()},
    "softplus": Accuracy(8),
    "mish": Accuracy(9, 6),
    "gelu": Accuracy(14, 3),
    "linear": Accuracy(),
    "identity": Accuracy(),
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


PLATFORM_DEVIATIONS: Mapping[tuple[str, str], tuple[float, str]] = {
    ("gelu", "float64"): (4.5e-9, "tf.nn.gelu has sqrt(1/2) as a float32 constant"),
    ("gelu_tanh", "float64"): (6e-10, "tf.nn.gelu has sqrt(2/pi) as a float32 constant"),
    ("leaky_relu", "float64"): (2.0**-24, "tf.nn.leaky_relu keeps its slope in float32"),
}
"""(activation, format) to the error over abs(x) that the platform makes, and why."""


def platform_deviation(activation: Activation, kind: str) -> float:
    """The error over abs(x) that the platform is known to make beyond its format, 0.0 where none is known."""
    factor, _ = PLATFORM_DEVIATIONS.get((activation.name, kind), (0.0, ""))
    if activation.name == "leaky_relu":
        slope = activation.parameters.get("negative_slope", 0.2)
        return factor * abs(slope)
    return factor
