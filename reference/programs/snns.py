"""The forward pass of SNNS in topological order, on units and connections as they are listed.

Source: SNNS 4.2/4.3 as in cbergmeir/RSNNS, commit 350c3a6 (trans_f). With the sum s over a unit's connections and its
bias b, ``Act_Logistic`` is ``1 / (1 + exp(-s - b))``, ``Act_LogSym`` that less 0.5, ``Act_TanH`` ``tanh(s + b)``,
``Act_Elliott`` ``(s + b) / (1 + abs(s + b))``, ``Act_IdentityPlusBias`` ``s + b``, and ``Act_Identity`` s alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.programs.declared import Declared, chosen_activations
from reference.programs.wired import peeled, wired_program
from reference.trace import Program

Array = NDArray[Any]

WITHOUT_BIAS = "Act_Identity"
NAMES = {
    "Act_Logistic": "sigmoid",
    "Act_LogSym": "scaled_tanh(amplitude=0.5, slope=0.5)",
    "Act_TanH": "tanh",
    "Act_Elliott": "softsign",
    "Act_IdentityPlusBias": "linear",
    WITHOUT_BIAS: "linear",
}


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
        arrays: ``bias`` (units,); ``sources``, ``targets`` and ``weights`` (connections,), units counted from 1.
        attributes: ``types`` and ``functions``: of each unit, by SNNS' names.
        activation: one spelling for all hidden layers, or a list for all layers; the file's where None.
        output_activation: spelling for the last layer.
        orientation: whether a kernel stands as it is (units-first, where None) or was meant the other way round.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the units make no chain of layers, or a declaration does not fit.
    """
    inputs = [number for number, kind in enumerate(attributes["types"], start=1) if kind == "i"]
    listed = zip(arrays["sources"].tolist(), arrays["targets"].tolist(), arrays["weights"], strict=True)
    layers = peeled(inputs, sorted(listed, key=lambda wire: wire[1]), arrays["weights"].dtype)
    functions = attributes["functions"]
    spelt = [NAMES[functions[units[0] - 1]] for units, _ in layers]
    biases = []
    for units, _ in layers:
        without = np.array([functions[unit - 1] == WITHOUT_BIAS for unit in units])
        own = arrays["bias"][np.array(units) - 1]
        biases.append(None if without.all() else np.where(without, np.zeros_like(own), own))
    activations = chosen_activations(spelt, activation, output_activation)
    return wired_program([matrix for _, matrix in layers], biases, activations, orientation, dtype)
