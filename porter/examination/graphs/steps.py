"""What one step of a legacy Keras program is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.time_distributed import TimeDistributed
from reference.trace import Program

Array = NDArray[Any]

OWN_ROWS = "rows of the network's inputs"
ROLES = (
    "depthwise", "pointwise", "weights", "kernel", "recurrent", "bias", "gamma", "beta", "mean", "spread", "alpha",
    "table", "scale", "score_weight",
)  # fmt: skip


def arrays_of(step: Any) -> list[Array]:
    """The arrays that a step computes with, in Keras' order of a layer's variables."""
    if getattr(step, "statistics", "moving") != "moving":
        # What the port divides is normalized already.
        return [step.gamma, step.beta, np.zeros(len(step.beta)), np.ones(len(step.beta))]
    if getattr(step, "divisor", "sqrt(variance+epsilon)") != "sqrt(variance+epsilon)":
        return []  # the port has a variance that was made of the stored deviation
    if isinstance(step, TimeDistributed) and not isinstance(step.inner, Program):
        return arrays_of(step.inner)
    if hasattr(step, "forward"):
        return arrays_of(step.forward) + arrays_of(step.backward)
    holder = getattr(step, "cell", step)
    found = [getattr(holder, role, None) for role in ROLES]
    return [array for array in found if isinstance(array, np.ndarray)]
