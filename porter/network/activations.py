"""Activations by the names that people give them."""

from __future__ import annotations

import ast
import inspect
import math
import re

from porter.errors import UnknownActivationError
from reference.activations import BY_COEFFICIENTS, FUNCTIONS, LOOKED_UP, Activation
from reference.rational import KEYS, bends

ALIASES = {
    "identity": "linear",
    "none": "linear",
    "purelin": "linear",
    "tansig": "tanh",
    "logsig": "sigmoid",
    "logistic": "sigmoid",
    "poslin": "relu",
    "rectifier": "relu",
    "swish": "silu",
    "hardtanh": "hard_tanh",
    "satlins": "hard_tanh",
    "hardsigmoid": "hard_sigmoid",
    "leakyrelu": "leaky_relu",
    "lecun_tanh": "scaled_tanh",
    "gelu_exact": "gelu",
    "gelu_approximate": "gelu_tanh",
    "exp": "exponential",
}

_SPELLING = re.compile(r"\s*([A-Za-z_][\w-]*)\s*(?:\((.*)\))?\s*", re.DOTALL)


def parse_activation(text: str) -> Activation:
    """The activation that a spelling such as ``"tanh"`` or ``"leaky_relu(negative_slope=0.1)"`` names.

    Case does not matter, hyphens count as underscores, and the names of other tools are understood ("tansig").

    Raises:
        UnknownActivationError: no such activation, or parameters that it does not take.
    """
    match = _SPELLING.fullmatch(text)
    name = match[1].lower().replace("-", "_") if match is not None else ""
    name = ALIASES.get(name, name)
    if match is None or name not in (*FUNCTIONS, *BY_COEFFICIENTS):
        raise UnknownActivationError(
            f"activation {text!r} is not known",
            expected=", ".join(FUNCTIONS),
            remedy='give one of these names, with parameters as in "leaky_relu(negative_slope=0.1)"',
        )
    parameters = _parameters(text, name, match[2])
    if name in BY_COEFFICIENTS and not bends(parameters):
        raise UnknownActivationError(
            f"activation {text!r}: its coefficients leave no function of its argument",
            expected="coefficients of a quotient, as in rational(p1=1, q0=1, q2=0.5), which is z / (1 + 0.5 z^2)",
        )
    return Activation(name, parameters)


def format_activation(activation: Activation) -> str:
    """The spelling that ``parse_activation`` turns into an equal activation; every digit is kept.

    Tables have none: their entries are left out.
    """
    if activation.name in LOOKED_UP:
        return str(activation)
    inner = ", ".join(f"{key}={value!r}" for key, value in activation.parameters.items())
    return f"{activation.name}({inner})" if inner else activation.name


def _parameters(text: str, name: str, inside: str | None) -> dict[str, float]:
    """``key=number`` pairs; anything else is refused."""
    if inside is None or not inside.strip():
        return {}
    known = KEYS if name in BY_COEFFICIENTS else tuple(inspect.signature(FUNCTIONS[name]).parameters)[1:]
    found: dict[str, float] = {}
    for part in inside.split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        number = _number(value)
        if key not in known or number is None or key in found:
            raise UnknownActivationError(
                f"activation {text!r}: {part.strip()!r} is not a parameter that {name} takes",
                expected=", ".join(f"{parameter}=NUMBER" for parameter in known) if known else "no parameters",
            )
        found[key] = number
    return found


def _number(text: str) -> float | None:
    """A finite number as it is spelt: an integer stays one."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value
