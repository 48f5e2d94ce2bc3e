"""What the spelling of an activation means: ``"tansig"``, ``"leaky_relu(negative_slope=0.1)"``."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from typing import Any

from reference.activations import FUNCTIONS, Activation

ALIASES: Mapping[str, str] = {
    "identity": "linear",
    "purelin": "linear",
    "none": "linear",
    "tansig": "tanh",
    "logsig": "sigmoid",
    "logistic": "sigmoid",
    "poslin": "relu",
    "satlins": "hard_tanh",
    "leakyrelu": "leaky_relu",
    "swish": "silu",
    "exp": "exponential",
    "gelu_exact": "gelu",
    "gelu_approximate": "gelu_tanh",
}
_SPELLING = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:\((.*)\))?\s*", re.DOTALL)


def parse_activation(text: str) -> Activation:
    """An activation from its spelling: a name, then parameters in brackets where they differ from the defaults.

    Raises:
        ValueError: the spelling is not ``name`` or ``name(key=value, ...)``, or the name or a parameter is not known;
            the message lists those that are.
    """
    match = _SPELLING.fullmatch(text)
    if match is None:
        raise ValueError(f"activation {text!r}: expected name or name(parameter=value, ...)")
    spelt = match[1].lower()
    name = ALIASES.get(spelt, spelt)
    if name not in FUNCTIONS:
        raise ValueError(f"activation {text!r}: no such name; known are {', '.join(sorted({*FUNCTIONS, *ALIASES}))}")
    parameters = _parameters(text, match[2] or "")
    known = list(inspect.signature(FUNCTIONS[name]).parameters)[1:]
    unknown = [key for key in parameters if key not in known]
    if unknown:
        raise ValueError(f"activation {text!r}: no parameter {unknown[0]!r}; known are {', '.join(known) or 'none'}")
    return Activation(name, parameters)


def _parameters(text: str, inner: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in inner.split(","))):
        key, equals, value = item.partition("=")
        try:
            parameters[key.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"activation {text!r}: {item!r} is not parameter=number") from error
        if not equals or not isinstance(parameters[key.strip()], int | float | None):
            raise ValueError(f"activation {text!r}: {item!r} is not parameter=number")
    return parameters
