"""The activations that are tried, by the names that a recipe gives them."""

from __future__ import annotations

from functools import cache

from porter.network.activations import parse_activation
from reference.activations import Activation

COMMON = (
    "tanh", "sigmoid", "relu", "linear", "softsign", "logistic_table", "scaled_tanh", "softplus", "elu",
    "leaky_relu(negative_slope=0.01)", "leaky_relu(negative_slope=0.2)", "leaky_relu(negative_slope=0.3)", "hard_tanh",
)  # fmt: skip
"""Those that are tried in every layer by itself, however many layers there are."""
RARE = (
    "leaky_relu(negative_slope=0.1)", "silu", "gelu_tanh", "selu", "relu6", "hard_sigmoid", "hard_sigmoid_keras2",
    "mish", "exponential", "gelu",
)  # fmt: skip
HIDDEN = (*COMMON, *RARE)
OUTPUT = ("linear", *(name for name in HIDDEN if name != "linear"))
WHOLE_ROWS = ("softmax",)
"""Those that need all columns of a row."""


@cache
def activation(name: str) -> Activation:
    """The activation of that name."""
    return parse_activation(name)
