"""The forward pass of SL2P, on its comma-separated files as stored.

Source: senbox-org/s2tbx, commit 33f36f1: ``2 (x - min) / (max - min) - 1``; ``tanh(W1 x + b1)``; ``W2 h + b2``;
``0.5 (y + 1) (max - min) + min``; then values outside their bounds are clamped to them within a tolerance, and
flagged beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.composed.extremes import Extremes
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.programs.declared import Declared, chosen_activations, chosen_orientations, chosen_rule
from reference.trace import Program, chain

Array = NDArray[Any]


def program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    *,
    activation: Declared = None,
    output_activation: str | None = None,
    orientation: Declared = None,
    scaling: str | None = None,
    dtype: Any = np.float64,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: ``Normalisation`` and ``Denormalisation`` (n, 2) minimum and maximum; ``Weights_Layer1_Neurons``
            (units, inputs), ``Weights_Layer1_Bias``, ...; ``ExtremeCases`` (n, 3) tolerance, minimum and maximum, or
            none.
        attributes: none is read.
        activation: one spelling for all hidden layers (tanh where None), or a list for all layers.
        output_activation: spelling for the last layer; linear where None.
        orientation: of the kernels; units-first where None.
        scaling: another rule for both ends, or "none".
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the arrays do not make a network, or a declaration does not fit them.
    """
    del attributes
    count = sum(name.endswith("_Neurons") for name in arrays)
    activations = chosen_activations(["tanh"] * (count - 1) + ["linear"], activation, output_activation)
    rule = chosen_rule("[-1,1]", scaling)
    steps: list[Any] = []
    if rule is not None:
        low, high = arrays["Normalisation"].T
        steps.append(Scaling("Norm_in", ("inputs",), low, high, rule, False, dtype))
    for n, way in enumerate(chosen_orientations("units-first", orientation, count), start=1):
        kernel, bias = arrays[f"Weights_Layer{n}_Neurons"], arrays[f"Weights_Layer{n}_Bias"].reshape(-1)
        shape = (bias.size, -1) if way == "units-first" else (-1, bias.size)
        before = steps[-1].name if steps else "inputs"
        steps.append(Dense(f"Layer{n}", (before,), kernel.reshape(shape), bias, activations[n - 1], way, dtype))
    if rule is not None:
        low, high = arrays["Denormalisation"].T
        steps.append(Scaling("Norm_out", (steps[-1].name,), low, high, rule, True, dtype))
    if "ExtremeCases" in arrays:
        tolerance, least, greatest = arrays["ExtremeCases"].T
        steps.append(Extremes("Extremes", (steps[-1].name,), least, greatest, np.abs(tolerance), dtype))
    return chain(steps)
