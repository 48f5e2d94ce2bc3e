"""The forward pass of the Fortran-Keras Bridge, on the lines of its text files as they stand there.

Source: scientific-computing/FKB, commit a1c97d4: each dense layer is ``matmul(W, x) + b`` with W read row by row as
(units, inputs), then the activation named on the line behind it; a leaky relu is ``max(a x, x)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.dense import Dense
from reference.programs.declared import Declared, chosen_activations, chosen_orientations
from reference.trace import Program, chain

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
        arrays: ``biases/1``, ``weights/1``, ...: the values of a line, flat, in the order of the file.
        attributes: ``widths``: inputs, then the units of each dense layer; ``activations``: a name and a parameter,
            as printed, for each of them.
        activation: one spelling for all hidden layers, or a list for all layers; the file's where None.
        output_activation: spelling for the last layer.
        orientation: how the flat weights are to be read; units-first where None.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the arrays do not make a network, or a declaration does not fit them.
    """
    widths = [int(width) for width in attributes["widths"]]
    count = len(widths) - 1
    own = [_spelt(*pair) for pair in attributes["activations"]]
    activations = chosen_activations(own, activation, output_activation)
    steps = []
    for n, way in enumerate(chosen_orientations("units-first", orientation, count), start=1):
        shape = (widths[n], widths[n - 1]) if way == "units-first" else (widths[n - 1], widths[n])
        before = f"Layer{n - 1}" if n > 1 else "inputs"
        weights, bias = np.asarray(arrays[f"weights/{n}"]).reshape(shape), np.asarray(arrays[f"biases/{n}"])
        steps.append(Dense(f"Layer{n}", (before,), weights, bias, activations[n - 1], way, dtype))
    return chain(steps)


def _spelt(name: str, parameter: str) -> str:
    """The slope is held in single precision there."""
    return f"leaky_relu(negative_slope={float(np.float32(parameter))!r})" if name == "leakyrelu" else name
