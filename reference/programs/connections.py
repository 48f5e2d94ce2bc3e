"""The forward pass of a listing of connections: every unit adds up weight times value, and its bias.

Activations are nobody's: tanh in hidden layers and linear outputs, where nothing else is declared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.programs.declared import Declared, chosen_activations
from reference.programs.wired import peeled, wired_program
from reference.trace import Program

Array = NDArray[Any]


def program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    *,
    activation: Declared = None,
    output_activation: str | None = None,
    orientation: Declared = None,
    dtype: Any = np.float64,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: ``weights``, one a connection.
        attributes: ``connections``: the words before the weight: source and target, or layer, source and target.
        activation: one spelling for all hidden layers, or a list for all layers; tanh where None.
        output_activation: spelling for the last layer; linear where None.
        orientation: whether a kernel stands as it is (units-first, where None) or was meant the other way round.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the connections make no chain of layers, or a declaration does not fit.
    """
    is_flat = len(attributes["connections"][0]) == 2
    numbers = sorted({0 if is_flat else _number(words[0]) for words in attributes["connections"]})
    wires, bias = [], {}
    for words, weight in zip(attributes["connections"], arrays["weights"], strict=True):
        layer = 0 if is_flat else numbers.index(_number(words[0])) + 1
        target = _unit(words[-1], layer)
        if words[-2].lower() == "bias":
            bias[target] = weight
        else:
            wires.append((_unit(words[-2], 0 if is_flat else layer - 1), target, weight))
    targets = {target for _, target, _ in wires}
    inputs = sorted({source for source, _, _ in wires} - targets)
    layers = peeled(inputs, sorted(wires, key=lambda wire: wire[1]), np.float64)
    biases = [np.array([bias[unit] for unit in units]) if units[0] in bias else None for units, _ in layers]
    own = ["tanh"] * (len(layers) - 1) + ["linear"]
    activations = chosen_activations(own, activation, output_activation)
    return wired_program([matrix for _, matrix in layers], biases, activations, orientation, dtype)


def _number(word: str) -> int:
    return int(re.sub(r"\D", "", word))


def _unit(word: str, layer: int) -> tuple[int, int, str]:
    return layer, _number(word), re.sub(r"\d", "", word)
