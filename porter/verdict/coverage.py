"""What the inputs of a network never showed: branches of activations that no row reached."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.case import Case
from reference.operations.dense import Dense

Array = NDArray[Any]

BRANCHED = {"relu", "leaky_relu", "elu", "selu", "relu6"}
SATURATING = {"tanh", "sigmoid", "cut_sigmoid", "scaled_tanh", "hard_tanh", "hard_sigmoid", "hard_sigmoid_keras2"}
SATURATION = 3.0


def coverage_notes(case: Case) -> list[str]:
    """One sentence for each layer of whose activation the network's own inputs show only a part."""
    notes = []
    for one in case.judged:
        step = one.pair.step
        note = _layer_note(step, *case.reached[one.name]) if isinstance(step, Dense) else None
        notes += [note] if note is not None else []
    return notes


def _layer_note(step: Dense, lowest: Array, highest: Array) -> str | None:
    units = len(lowest)
    if step.activation.name in BRANCHED:
        never_negative, never_positive = int(np.sum(lowest >= 0)), int(np.sum(highest <= 0))
        parts = [f"{never_negative} of {units} units never see a negative"] if never_negative else []
        parts += [f"{never_positive} of {units} never a positive"] if never_positive else []
        if parts:
            seen = " and ".join(parts)
            return f"{step.name}: {seen} for inputs of the network; the layer alone was probed on both sides"
    if step.activation.name in SATURATING and np.max(np.maximum(-lowest, highest)) < SATURATION:
        return f"{step.name}: no unit saturates for inputs of the network; the layer alone was probed there as well"
    return None
