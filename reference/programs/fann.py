"""The forward pass of FANN's layered networks (``fann_run``), on the neurons and connections as they are listed.

Source: libfann/fann, commit 0ecce54: each neuron adds up weight times value over its own connections, times its
steepness; sigmoid is ``1 / (1 + exp(-2 x))``, symmetric sigmoid ``tanh(x)``, symmetric Elliot ``x / (1 + abs(x))``. The
argument is held to 150 / steepness on either side: here of linear outputs alone; the reader says where it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.composed.extremes import Extremes
from reference.operations.dense import Dense
from reference.programs.declared import Declared, chosen_activations, chosen_orientations
from reference.trace import Program, chain

Array = NDArray[Any]

LINEAR, SIGMOID = 0, 3
LARGEST = 150.0
"""Argument of a function, over the steepness."""
NAMES = {0: "linear", SIGMOID: "sigmoid", 5: "tanh", 11: "softsign", 12: "relu(max_value=1.0)", 13: "hard_tanh"}


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
        arrays: ``neurons`` (n, 3) number of connections, activation function, steepness; ``connections`` (m, 2) the
            neuron that it comes from, and its weight, neuron by neuron.
        attributes: ``layer_sizes``: neurons a layer, with a bias neuron, which is its last.
        activation: one spelling for all hidden layers, or a list for all layers; the file's where None.
        output_activation: spelling for the last layer.
        orientation: whether a kernel stands as it is (units-first, where None) or was meant the other way round.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: a declaration does not fit.
    """
    neurons, connections = arrays["neurons"], arrays["connections"]
    ends = np.cumsum(neurons[:, 0]).astype(int)
    firsts = [0, *np.cumsum(attributes["layer_sizes"]).tolist()]
    layers = []
    for number in range(1, len(firsts) - 1):
        before, first, last = firsts[number - 1 : number + 2]
        matrix = np.zeros((last - 1 - first, first - before))
        for unit, neuron in enumerate(range(first, last - 1)):
            for origin, weight in connections[ends[neuron] - int(neurons[neuron, 0]) : ends[neuron]]:
                matrix[unit, int(origin) - before] = weight
        kind = int(neurons[first, 1])
        factor = neurons[first : last - 1, 2] * (2 if kind == SIGMOID else 1)
        layers.append((factor[:, None] * matrix, kind))
    activations = chosen_activations([NAMES[kind] for _, kind in layers], activation, output_activation)
    steps: list[Any] = []
    for n, ((matrix, _), way) in enumerate(
        zip(layers, chosen_orientations("units-first", orientation, len(layers)), strict=True)
    ):
        units, inputs = len(matrix), matrix.shape[1] - 1
        shape = (units, inputs) if way == "units-first" else (inputs, units)
        kernel = matrix[:, :-1].reshape(shape)
        steps.append(
            Dense(f"Layer{n + 1}", (f"Layer{n}" if n else "inputs",), kernel, matrix[:, -1], activations[n], way, dtype)
        )
    if layers[-1][1] == LINEAR:
        bound = LARGEST / neurons[firsts[-2] : firsts[-1] - 1, 2]
        steps.append(Extremes("Extremes", (steps[-1].name,), -bound, bound, np.full(bound.shape, np.inf), dtype))
    return chain(steps)
