"""The forward pass of the functions that MATLAB's genFunction writes, on their constants as they stand there.

Source: MathWorks' documentation of genFunction, mapminmax and mapstd: ``gain .* (x - xoffset) + ymin`` (or ``ymean``)
before; ``f(b + W a)`` in every layer; ``(y - ymin) ./ gain + xoffset`` behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.dense import Dense
from reference.operations.scaling import Rule, Scaling
from reference.programs.declared import Declared, chosen_activations, chosen_orientations, chosen_rule
from reference.trace import Program, chain

Array = NDArray[Any]

NAMES = {"poslin": "relu", "satlin": "relu(max_value=1.0)", "satlins": "hard_tanh"}
"""Transfer functions that go by another name here; the others are known by their own."""


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
        arrays: ``IW1_1``, ``LW2_1``, ... (units, inputs), ``b1``, ...; ``x1_step1.xoffset``, ``x1_step1.gain`` and
            ``x1_step1.ymin`` or ``.ymean``, and the same of ``y1_step1``, where there are such.
        attributes: ``transfer_functions``: a name a layer.
        activation: one spelling for all hidden layers, or a list for all layers; the file's where None.
        output_activation: spelling for the last layer.
        orientation: of the kernels; units-first where None.
        scaling: another rule for both ends, or "none".
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the arrays do not make a network, or a declaration does not fit them.
    """
    transfers = [NAMES.get(name, name) for name in attributes["transfer_functions"]]
    activations = chosen_activations(transfers, activation, output_activation)
    count = len(activations)
    steps: list[Any] = _scaling("Norm_in", "x1_step1", arrays, "inputs", scaling, dtype)
    for n, way in enumerate(chosen_orientations("units-first", orientation, count), start=1):
        kernel, bias = arrays["IW1_1" if n == 1 else f"LW{n}_{n - 1}"], arrays[f"b{n}"].reshape(-1)
        before = steps[-1].name if steps else "inputs"
        steps.append(Dense(f"Layer{n}", (before,), kernel, bias, activations[n - 1], way, dtype))
    return chain([*steps, *_scaling("Norm_out", "y1_step1", arrays, steps[-1].name, scaling, dtype)])


def _scaling(
    name: str, settings: str, arrays: Mapping[str, Array], before: str, declared: str | None, dtype: Any
) -> list[Any]:
    """The affine step; a minimum and a maximum where it goes to [-1, 1], a mean and a deviation elsewhere."""
    if f"{settings}.gain" not in arrays:
        return []
    offset, gain = (arrays[f"{settings}.{key}"].reshape(-1) for key in ("xoffset", "gain"))
    is_range = f"{settings}.ymin" in arrays and bool(np.all(arrays[f"{settings}.ymin"] == -1))
    own: Rule = "[-1,1]" if is_range else "mean-std"
    level = arrays[f"{settings}.ymin" if f"{settings}.ymin" in arrays else f"{settings}.ymean"].reshape(-1)
    first, second = (offset, offset + 2 / gain) if is_range else (offset - level / gain, 1 / gain)
    rule = chosen_rule(own, declared)
    return [] if rule is None else [Scaling(name, (before,), first, second, rule, name == "Norm_out", dtype)]
