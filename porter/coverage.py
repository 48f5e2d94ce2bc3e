"""What the inputs of a network never showed: branches of activations that no row reached."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.case import Case
from reference.dense import Dense

Array = NDArray[Any]

BRANCHED = {"relu", "leaky_relu", "elu", "selu", "relu6"}
SATURATING = {"tanh", "sigmoid", "scaled_tanh", "hard_tanh", "hard_sigmoid", "hard_sigmoid_keras2"}
SATURATION = 3.0
ROWS = 2048


def coverage_notes(case: Case) -> list[str]:
    """One sentence for each layer of whose activation the network's own inputs show only a part."""
    if case.placement == "outside":
        traces = {}
        rows = case.inputs[:ROWS]
        for one in case.judged:
            if isinstance(one.pair.step, Dense):
                traces[one.name] = one.pair.step(rows)
                rows = traces[one.name].outputs
    else:
        traces = case.program.trace(case.inputs[:ROWS])
    notes = []
    for one in case.judged:
        step = one.pair.step
        z = traces[one.name].preactivation if isinstance(step, Dense) else None
        note = None if z is None else _layer_note(step, z)
        notes += [note] if note is not None else []
    return notes


def _layer_note(step: Dense, z: Array) -> str | None:
    units = z.shape[1]
    if step.activation.name in BRANCHED:
        never_negative, never_positive = int(np.sum((z >= 0).all(axis=0))), int(np.sum((z <= 0).all(axis=0)))
        parts = [f"{never_negative} of {units} units never see a negative"] if never_negative else []
        parts += [f"{never_positive} of {units} never a positive"] if never_positive else []
        if parts:
            seen = " and ".join(parts)
            return f"{step.name}: {seen} for inputs of the network; the layer alone was probed on both sides"
    if step.activation.name in SATURATING:
        near = int(np.sum((np.abs(z) < SATURATION).all(axis=0)))
        if near == units:
            return f"{step.name}: no unit saturates for inputs of the network; the layer alone was probed there as well"
    return None
