"""The forward pass of CANYON-MED, on its text files as stored.

Source: MarineFou/CANYON-MED, commit b167b60: for each member ``(2/3) (x - mean) / std``, two hidden layers of
``1.7159 tanh(2 n / 3)``, a linear one, ``1.5 y std + mean``; then the mean of ten members, or, where there are two
sets, of those members that lie strictly within one sample standard deviation of the mean.

The members stand side by side: each layer of all of them is one product with a matrix that has their kernels along its
diagonal, which is what each would compute alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.composed.ensemble import PLAIN, WITHIN, Ensemble
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.programs.declared import Declared, chosen_activations
from reference.trace import Program, chain

Array = NDArray[Any]

_KERNEL = re.compile(r"poids_(.+)_IW_(([A-Za-z])_)?(\d+)")
CONSTANTS = 4 * 2.0**-53
PARTS = (("IW", "b1"), ("LW1", "b2"), ("LW2", "b3"))


def program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    *,
    activation: Declared = None,
    output_activation: str | None = None,
    dtype: Any = np.float64,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: ``poids_VAR_IW_1`` (units, inputs), ``poids_VAR_b1_1`` (units, 1), ..., ``moy_VAR`` and ``std_VAR``
            (1, inputs + 1), by the names of the files; those of one variable, of all members or of one.
        attributes: none is read.
        activation: one spelling for both hidden layers, or a list of three.
        output_activation: spelling for the last layer.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the arrays do not make a network, or a declaration does not fit them.
    """
    del attributes
    found = [match for match in map(_KERNEL.fullmatch, arrays) if match is not None]
    found.sort(key=lambda match: (match[3] or "", int(match[4])))
    members = [(match[1], match[2] or "", match[4]) for match in found]
    sets = sorted({group for _, group, _ in members})
    activations = chosen_activations(["scaled_tanh", "scaled_tanh", "linear"], activation, output_activation)
    ends = {group: _ends(arrays, members[0][0], group) for group in sets}
    width = len(ends[sets[0]][0]) - 1
    steps: list[Any] = [_into(ends, sets, width, dtype)]
    for number, (kernel, bias) in enumerate(PARTS):
        parts = [(arrays[f"poids_{v}_{kernel}_{g}{n}"], arrays[f"poids_{v}_{bias}_{g}{n}"]) for v, g, n in members]
        starts = [sets.index(group) * width for _, group, _ in members] if number == 0 else None
        weights = _diagonal([part[0] for part in parts], starts, width * len(sets))
        biases = np.concatenate([part[1].reshape(-1) for part in parts])
        before = steps[-1].name
        steps.append(Dense(f"Layer{number + 1}", (before,), weights, biases, activations[number], "units-first", dtype))
    mean, deviation = (np.array([ends[group][part][-1] for _, group, _ in members]) for part in (0, 1))
    steps.append(Scaling("Norm_out", ("Layer3",), mean, 1.5 * deviation, "mean-std", True, dtype))
    if len(members) > 1:
        rule = WITHIN if len(sets) > 1 else PLAIN
        steps.append(Ensemble("Ensemble", ("Norm_out",), len(members), rule, dtype))
    return chain(steps)


def _ends(arrays: Mapping[str, Array], variable: str, group: str) -> tuple[Array, Array]:
    """Means and deviations of a set's inputs and, last, of its output."""
    ending = f"{variable}_{group}".rstrip("_")
    return arrays[f"moy_{ending}"].reshape(-1), arrays[f"std_{ending}"].reshape(-1)


def _into(ends: Mapping[str, tuple[Array, Array]], sets: Sequence[str], width: int, dtype: Any) -> Any:
    """The scaling of the inputs; for several sets one beside the other, as a matrix of one entry a row."""
    if len(sets) == 1:
        mean, deviation = ends[sets[0]]
        return Scaling("Norm_in", ("inputs",), mean[:width], 1.5 * deviation[:width], "mean-std", False, dtype)
    scale = [1 / (1.5 * ends[group][1][:width]) for group in sets]
    weights = np.concatenate([np.diag(part) for part in scale])
    bias = np.concatenate([-ends[group][0][:width] / (1.5 * ends[group][1][:width]) for group in sets])
    # The factors are quotients, which another may round otherwise.
    slack = (CONSTANTS * np.abs(weights), CONSTANTS * np.abs(bias))
    return Dense("Norm_in", ("inputs",), weights, bias, Activation("linear"), "units-first", dtype, *slack)


def _diagonal(kernels: Sequence[Array], starts: Sequence[int] | None, width: int) -> Array:
    """Kernels (units, inputs) below each other, each on its own columns."""
    if starts is None:
        widths = [kernel.shape[1] for kernel in kernels]
        starts, width = [sum(widths[:n]) for n in range(len(widths))], sum(widths)
    rows = []
    for kernel, start in zip(kernels, starts, strict=True):
        row = np.zeros((len(kernel), width))
        row[:, start : start + kernel.shape[1]] = kernel
        rows.append(row)
    return np.concatenate(rows)
