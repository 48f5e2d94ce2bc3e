"""The forward pass of R's nnet, on its weights as they are named (``b->h1``), or as one vector beside its sizes.

Source: cran/nnet, commit 2245c5e (src/nnet.c): unit by unit a weighted sum of the bias unit, 1, and of units before;
logistic for the first ``nsunits`` units, exactly 0 below -15 and 1 above 15, else the sum, and a softmax over the
outputs where ``softmax`` holds.
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
    exact_activations: bool = False,
    dtype: Any = np.float64,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: ``weights`` (connections,); or ``n`` (3,) and ``wts`` (connections,), and ``nsunits`` and ``softmax``.
        attributes: ``connections``: names of the weights.
        activation: one spelling for all hidden layers, or a list for all layers; logistic where None.
        output_activation: spelling for the last layer; what the file says, else logistic, where None.
        orientation: whether a kernel stands as it is (units-first, where None) or was meant the other way round.
        exact_activations: whether the logistic function is left uncut.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the weights make no chain of layers, or a declaration does not fit.
    """
    own = "sigmoid" if exact_activations else "cut_sigmoid"
    if "wts" in arrays:
        sizes = [int(size) for size in np.ravel(arrays["n"])]
        weights, last = np.ravel(arrays["wts"]), _last(arrays, sizes, own)
        names = _names(*sizes)
    else:
        weights, last = arrays["weights"], own
        names = [tuple(name.split("->")) for name in attributes["connections"]]
    listed = sorted(zip(names, weights, strict=True), key=lambda each: _order(each[0][1]))
    bias = {target: weight for (source, target), weight in listed if source == "b"}
    wires = [(source, target, weight) for (source, target), weight in listed if source != "b"]
    inputs = sorted({source for source, _, _ in wires if source[0] == "i"}, key=_order)
    layers = peeled(inputs, wires, weights.dtype.newbyteorder("="))
    functions = [own] * (len(layers) - 1) + [last]
    biases = [np.array([bias[unit] for unit in units]) for units, _ in layers]
    activations = chosen_activations(functions, activation, output_activation)
    return wired_program([matrix for _, matrix in layers], biases, activations, orientation, dtype)


def _order(unit: str) -> tuple[str, int]:
    return unit[0], int(unit[1:] or 0)


def _names(inputs: int, hidden: int, outputs: int) -> list[tuple[str, str]]:
    """(source, target) of each weight, in order of the targets, the bias first."""
    before = [f"i{n}" for n in range(1, inputs + 1)]
    middle = [f"h{n}" for n in range(1, hidden + 1)]
    found = [(source, target) for target in middle for source in ("b", *before)]
    return found + [(source, f"o{n}") for n in range(1, outputs + 1) for source in ("b", *(middle or before))]


def _last(arrays: Mapping[str, Array], sizes: list[int], own: str) -> str:
    if "softmax" in arrays and np.ravel(arrays["softmax"])[0]:
        return "softmax"
    is_linear = "nsunits" in arrays and int(np.ravel(arrays["nsunits"])[0]) <= sizes[0] + sizes[1] + 1
    return "linear" if is_linear else own
