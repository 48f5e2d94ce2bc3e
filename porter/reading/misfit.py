"""How far samples may lie from a formula at worst, and how far they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.samples import Samples
from porter.reading.arithmetic import side_by_side
from reference.precision import Precision
from reference.rounding.bounds import allowed_error, platform_allowance
from reference.trace import Program

Array = NDArray[Any]

LOOSEST = 1500.0
"""By how much a worst-case bound exceeds what runs really do, where measured; it stands in for one that is infinite."""


def misfit(
    program: Program, golden: Samples, dtype: str, most: int | None = None, visible: Array | None = None
) -> float:
    """Largest abs(sample - reference) over the end-to-end bound of an evaluation in ``dtype`` by another's code.

    Args:
        program: a legacy forward pass.
        golden: the samples.
        dtype: in which the original software computed.
        most: how many rows at most.
        visible: (columns,) by how much runs of the formula differ, for the outputs whose bound is infinite; where None,
            such a bound allows nothing.
    """
    golden = golden if most is None else golden.first(most)
    outputs, expected, allowed = side_by_side(golden.outputs), *bounded(program, golden, Precision(dtype, "float64"))
    if expected.shape != outputs.shape:
        return np.inf
    if visible is not None:
        allowed = np.where(np.isfinite(allowed), allowed, LOOSEST * visible)
    allowed = allowed + side_by_side(golden.resolution)
    if not np.isfinite(allowed).all():  # a bound that allows anything proves nothing
        return np.inf
    with np.errstate(all="ignore"):
        ratio = np.where(expected == outputs, 0.0, np.abs(expected - outputs) / allowed)
    return float(np.max(np.where(np.isnan(ratio), np.inf, ratio), initial=0.0))


def bounded(program: Program, golden: Samples, precision: Precision | Mapping[str, Precision]) -> tuple[Array, Array]:
    """What the reference gives on samples, and how far a right evaluation may lie from it, both (rows, columns).

    Args:
        program: a legacy forward pass.
        golden: the samples; how exactly their inputs are known counts.
        precision: of the evaluation, for all steps or by step name.
    """
    values = dict(zip(program.inputs, golden.inputs, strict=True))
    errors = dict(zip(program.inputs, golden.input_resolution, strict=True))
    for step in program.steps:
        inputs, carried = (tuple(each[name] for name in step.inputs) for each in (values, errors))
        trace = step(*inputs)
        chosen = precision if isinstance(precision, Precision) else precision[step.name]
        values[step.name] = np.asarray(trace.outputs, np.float64)
        errors[step.name] = _allowed(step, inputs, trace, chosen, carried)
    return side_by_side([values[name] for name in program.outputs]), side_by_side(
        [errors[name] for name in program.outputs]
    )


def _allowed(step: Any, inputs: Any, trace: Any, precision: Precision, carried: Any) -> Array:
    try:
        allowed = allowed_error(step, inputs, trace, precision, input_error=carried)
        return allowed + platform_allowance(step, inputs, trace, precision)
    except (KeyError, NotImplementedError):  # no bound is known
        return np.full(np.shape(trace.outputs), np.inf)
