"""The forward pass of a network that a recipe describes, on the arrays that it names.

OC-SMART's formula by the recipe's own activations, orientations and scaling, between functions of single columns; the
members of an ensemble stand side by side, and are made one behind the scaling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.composed.ensemble import Ensemble
from reference.composed.extremes import Extremes
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform
from reference.programs import oc_smart
from reference.trace import Program, chain

Array = NDArray[Any]

WEIGHTED = "weighted mean"
CONSTANTS = 4 * 2.0**-53
AROUND = ("Members", "Bounds", "Ensemble", "Tables")


def program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    *,
    transform_in: Sequence[str] | None = None,
    transform_out: Sequence[str] | None = None,
    ensemble: str | None = None,
    members: int = 1,
    tables: Mapping[str, Mapping[str, float]] | None = None,
    dtype: Any = np.float64,
    **declared: Any,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: as ``oc_smart.program`` takes them; ``Members/Norm_in`` (members, inputs, 2) mean and deviation of the
            inputs for each member; ``Bounds/least`` and ``Bounds/greatest`` (n,) and ``Bounds/tolerance``;
            the same of the inputs ``Bounds/input_least`` and ``Bounds/input_greatest``;
            ``Ensemble/weights`` (members,).
        attributes: likewise.
        transform_in: a function for each input, before everything else.
        transform_out: a function for each output, behind the scaling.
        ensemble: by which rule the members are made one.
        members: how many there are, whose outputs stand member by member.
        tables: by layer, ``first``, ``last`` and ``nearest`` of the entries ``Tables/Layer1`` (n,) that it looks up.
        dtype: in which the arithmetic is done.
        declared: what else ``oc_smart.program`` takes.

    Raises:
        ValueError: the arrays do not make a network, or a declaration does not fit them.
    """
    core = {name: array for name, array in arrays.items() if name.partition("/")[0] not in AROUND}
    if ensemble is not None:
        declared["orientation"] = "units-first"
    steps: list[Any] = list(oc_smart.program(core, attributes, dtype=dtype, **declared).steps)
    for name, where in (tables or {}).items():
        entries = Activation("table", {**where, "values": tuple(np.asarray(arrays[f"Tables/{name}"], float).tolist())})
        steps = [replace(step, activation=entries) if step.name == name else step for step in steps]
    if "Members/Norm_in" in arrays:
        steps.insert(0, _scaled_members(arrays["Members/Norm_in"], dtype))
    if transform_in is not None:
        steps.insert(0, Transform("Transform_in", ("inputs",), tuple(transform_in), dtype))
    outputs = 1 if ensemble is None else _width_of_members(arrays) // members
    if ensemble == WEIGHTED or outputs > 1:
        weights = np.asarray(arrays.get("Ensemble/weights", np.ones(members)), np.float64).reshape(-1)
        share = np.concatenate([np.eye(outputs) * (weight / weights.sum()) for weight in weights], axis=1)
        slack = CONSTANTS * np.abs(share)
        merging = Dense("Ensemble", ("",), share, None, Activation("linear"), "units-first", dtype, slack)
        scaled = [_of_one_member(steps.pop(), outputs)] if isinstance(steps[-1], Scaling) else []
        steps += [merging, *scaled]
    elif ensemble is not None:
        steps.append(Ensemble("Ensemble", ("",), members, ensemble, dtype))
    if transform_out is not None:
        steps.append(Transform("Transform_out", ("",), tuple(transform_out), dtype))
    if "Bounds/least" in arrays:
        steps.append(_bounds("Extremes", arrays, "", _width(steps[-1]), dtype))
    if "Bounds/input_least" in arrays:
        first = steps[0].width[0] if isinstance(steps[0], Dense) else _width(steps[0])
        steps.insert(0, _bounds("Extremes_in", arrays, "input_", first, dtype))
    names = ["inputs", *(step.name for step in steps)]
    return chain([replace(step, inputs=(before,)) for step, before in zip(steps, names, strict=False)])


def _of_one_member(last: Scaling, outputs: int) -> Scaling:
    """The scaling of all members' outputs, which is alike for all, behind their mean."""
    first, second = (np.asarray(each).reshape(-1, outputs) for each in (last.first, last.second))
    if np.any(first != first[0]) or np.any(second != second[0]):
        raise ValueError("members that scale their outputs otherwise, and a mean that comes before that")
    return replace(last, first=first[0], second=second[0])


def _width_of_members(arrays: Mapping[str, Array]) -> int:
    """Units of the last layer, in which the outputs of all members stand."""
    return len(np.asarray(arrays[f"Weights/Layer{sum(name.startswith('Weights/') for name in arrays)}"]))


def _scaled_members(own: Array, dtype: Any) -> Dense:
    """The inputs of every member, each by its own mean and deviation."""
    members = len(own)
    weights = np.concatenate([np.diag(1 / own[member, :, 1]) for member in range(members)])
    bias = (-own[:, :, 0] / own[:, :, 1]).reshape(-1)
    # The factors are quotients, which another may round otherwise.
    slack = (CONSTANTS * np.abs(weights), CONSTANTS * np.abs(bias))
    return Dense("Norm_in", ("inputs",), weights, bias, Activation("linear"), "units-first", dtype, *slack)


def _bounds(name: str, arrays: Mapping[str, Array], end: str, width: int, dtype: Any) -> Extremes:
    outside = np.abs(arrays.get(f"Bounds/{end}tolerance", np.inf))
    given = [arrays[f"Bounds/{end}least"], arrays[f"Bounds/{end}greatest"], outside]
    least, greatest, tolerance = (np.broadcast_to(np.asarray(each, np.float64).reshape(-1), (width,)) for each in given)
    return Extremes(name, ("",), least, greatest, tolerance, dtype)


def _width(step: Any) -> int:
    if isinstance(step, Dense):
        return step.width[1]
    if isinstance(step, Ensemble):
        return 1
    return len(step.functions) if isinstance(step, Transform) else len(step.first)
