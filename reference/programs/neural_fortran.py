"""The forward pass of neural-fortran's networks, on the arrays as they stand in its text.

Source: modern-fortran/neural-fortran, commits 6454673 and 1acb099: ``a = activation(matmul(transpose(w), a) + b)`` with
``w`` of (inputs, units) in Fortran's order; sigmoid where nobody names an activation.
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
        arrays: ``biases/1``, ``weights/1``, ...: flat, as written.
        attributes: ``dims``: sizes of the layers, the inputs' first; ``activations``: names behind it, where the
                version writes them.
        activation: one spelling for all hidden layers, or a list for all layers; the file's where None.
        output_activation: spelling for the last layer.
        orientation: how the flat weights are to be read; units-first where None.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the arrays do not fit the sizes, or a declaration does not.
    """
    dims = attributes["dims"]
    last = len(dims) - 1
    named = attributes.get("activations", ["sigmoid"] * last)
    activations = chosen_activations(named, activation, output_activation)
    ways = chosen_orientations("units-first", orientation, last)
    steps = []
    for n in range(1, last + 1):
        flat = arrays[f"weights/{n}"]
        if ways[n - 1] == "units-first":
            weights = np.transpose(flat.reshape((dims[n - 1], dims[n]), order="F"))
        else:
            weights = flat.reshape(dims[n - 1], dims[n])
        before = f"Layer{n - 1}" if n > 1 else "inputs"
        bias = arrays[f"biases/{n}"]
        steps.append(Dense(f"Layer{n}", (before,), weights, bias, activations[n - 1], ways[n - 1], dtype))
    return chain(steps)
