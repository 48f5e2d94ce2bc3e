"""What the spelling of an activation means: ``"tansig"``, ``"leaky_relu(negative_slope=0.1)"``."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping

from reference.activations import BY_COEFFICIENTS, FUNCTIONS, Activation
from reference.rational import KEYS, bends

ALIASES: Mapping[str, str] = {
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
    """An activation from its spelling: a name, then parameters in brackets where they differ from the defaults.

    Raises:
        ValueError: the spelling is not ``name`` or ``name(key=value, ...)``, or the name or a parameter is not known;
            the message lists those that are.
    """
    match = _SPELLING.fullmatch(text)
    if match is None:
        raise ValueError(f"activation {text!r}: expected name or name(parameter=value, ...)")
    spelt = match[1].lower().replace("-", "_")
    name = ALIASES.get(spelt, spelt)
    if name not in FUNCTIONS and name not in BY_COEFFICIENTS:
        raise ValueError(f"activation {text!r}: no such name; known are {', '.join(sorted({*FUNCTIONS, *ALIASES}))}")
    parameters = _parameters(text, match[2] or "")
    known = KEYS if name in BY_COEFFICIENTS else tuple(inspect.signature(FUNCTIONS[name]).parameters)[1:]
    unknown = [key for key in parameters if key not in known]
    if unknown:
        raise ValueError(f"activation {text!r}: no parameter {unknown[0]!r}; known are {', '.join(known) or 'none'}")
    if name in BY_COEFFICIENTS and not bends(parameters):
        raise ValueError(f"activation {text!r}: its coefficients leave no function of its argument")
    return Activation(name, parameters)


def _parameters(text: str, inner: str) -> dict[str, float]:
    parameters: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in inner.split(","))):
        key, _, spelt = item.partition("=")
        value = _number(spelt.strip())
        if value is None or key.strip() in parameters:
            raise ValueError(f"activation {text!r}: {item!r} is not parameter=number, once")
        parameters[key.strip()] = value
    return parameters


def _number(text: str) -> float | None:
    """A finite number; whole numbers stay whole, for an axis."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
