"""The forward pass of ffbp's networks as C2RCC computes it, on the blocks of their text files as they stand there.

Source: senbox-org/s3tbx, commit 87a854a, and snap-engine, commit 048ce3a: ``(x - min) / (max - min)`` without
clipping; in every plane, the last one too, ``tab(b + W a)`` with W row by row as (units, inputs), where ``tab`` is a
table of the logistic function; ``a * (max - min) + min``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.logistic_table import ENTRIES
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.programs.declared import Declared, chosen_activations, chosen_orientations, chosen_rule
from reference.trace import Program, chain

Array = NDArray[Any]

__all__ = ["ENTRIES", "program"]


def program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    *,
    activation: Declared = None,
    output_activation: str | None = None,
    orientation: Declared = None,
    scaling: str | None = None,
    exact_activations: bool = False,
    dtype: Any = np.float64,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: ``inputs`` and ``outputs`` (n, 2) minimum and maximum; ``bias/1``, ... and ``wgt/0``, ... flat.
        attributes: ``planes``: the size of every plane.
        activation: one spelling for all hidden planes, or a list for all; the table where None.
        output_activation: spelling for the last plane.
        orientation: how the flat weights are to be read; units-first where None.
        scaling: another rule for both ends, or "none".
        exact_activations: whether the logistic function takes the table's place.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the arrays do not make a network, or a declaration does not fit them.
    """
    planes = [int(size) for size in attributes["planes"]]
    count = len(planes) - 1
    own = ["sigmoid" if exact_activations else "logistic_table"] * count
    activations = chosen_activations(own, activation, output_activation)
    rule = chosen_rule("[0,1]", scaling)
    steps: list[Any] = []
    if rule is not None:
        low, high = np.asarray(arrays["inputs"]).T
        steps.append(Scaling("Norm_in", ("inputs",), low, high, rule, False, dtype))
    for n, way in enumerate(chosen_orientations("units-first", orientation, count)):
        shape = (planes[n + 1], planes[n]) if way == "units-first" else (planes[n], planes[n + 1])
        weights, bias = np.asarray(arrays[f"wgt/{n}"]).reshape(shape), np.asarray(arrays[f"bias/{n + 1}"])
        before = steps[-1].name if steps else "inputs"
        steps.append(Dense(f"Layer{n + 1}", (before,), weights, bias, activations[n], way, dtype))
    if rule is not None:
        low, high = np.asarray(arrays["outputs"]).T
        steps.append(Scaling("Norm_out", (steps[-1].name,), low, high, rule, True, dtype))
    return chain(steps)
