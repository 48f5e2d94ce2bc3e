"""The forward pass of R's neuralnet (``compute``), on the rows of ``result.matrix`` as they are named.

Source: cran/neuralnet, commit c4e62da: each layer is ``act.fct(cbind(1, x) %*% w)``, where the rows of ``w`` are the
intercept and then the units before; the last has no ``act.fct`` where ``linear.output`` holds, which is the default.
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
        attributes: ``connections``: their names, ``Intercept.to.1layhid1``.
        activation: one spelling for all hidden layers, or a list for all layers; logistic where None.
        output_activation: spelling for the last layer; linear where None.
        orientation: whether a kernel stands as it is (units-first, where None) or was meant the other way round.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the connections make no chain of layers, or a declaration does not fit.
    """
    wires, bias, targets = [], {}, set()
    for name, weight in zip(attributes["connections"], arrays["weights"], strict=True):
        source, target = name.rsplit(".to.", 1)
        targets.add(target)
        if source == "Intercept":
            bias[target] = weight
        else:
            wires.append((source, target, weight))
    inputs = list(dict.fromkeys(source for source, _, _ in wires if source not in targets))
    layers = peeled(inputs, wires, np.float64)
    own = ["sigmoid"] * (len(layers) - 1) + ["linear"]
    biases = [np.array([bias[unit] for unit in units]) for units, _ in layers]
    activations = chosen_activations(own, activation, output_activation)
    return wired_program([matrix for _, matrix in layers], biases, activations, orientation, dtype)
