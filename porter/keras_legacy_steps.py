"""One step of a legacy Keras program: judged on given inputs, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.compare import Comparison, compare_outputs
from reference.precision import Precision
from reference.rounding import allowed_error, inevitable_overflow, platform_allowance

Array = NDArray[Any]

OWN_ROWS = "rows of the network's inputs"


def compare_step(step: Any, fed: tuple[Array, ...], actual: Array, precision: Precision, probes: str) -> Comparison:
    """A step's outputs by the reference against what the port made of the same inputs.

    Raises:
        KeyError: the step, as it is configured, has no bound.
    """
    trace = step(*fed)
    allowed = allowed_error(step, fed, trace, precision) + platform_allowance(step, fed, trace, precision)
    expected = np.asarray(trace.outputs, np.float64)
    return compare_outputs(expected, actual, allowed, probes=probes, unheld=inevitable_overflow(trace, precision))


def count_different_weights(step: Any, operations: Iterable[Any], precision: Precision) -> int:
    """How many exposed weights are not the cast of the step's own arrays, where both have the same shapes."""
    arrays = arrays_of(step)
    for operation in operations if arrays else ():
        weights = [np.asarray(weight, np.float64) for weight in getattr(operation, "weights", ())]
        if weights and [weight.shape for weight in weights] == [array.shape for array in arrays]:
            casts = [precision.as_variable(array.astype(np.float64)) for array in arrays]
            return sum(
                int(np.count_nonzero(np.abs(weight - cast) > np.spacing(np.abs(cast).astype(np.float32))))
                for weight, cast in zip(weights, casts, strict=True)
            )
    return 0


def arrays_of(step: Any) -> list[Array]:
    """The arrays that a step computes with, in Keras' order of a layer's variables."""
    if getattr(step, "divisor", "sqrt(variance+epsilon)") != "sqrt(variance+epsilon)":
        return []  # the port has a variance that was made of the stored deviation
    if hasattr(step, "forward"):
        return arrays_of(step.forward) + arrays_of(step.backward)
    holder = getattr(step, "cell", step)
    roles = (
        "depthwise", "pointwise", "weights", "kernel", "recurrent", "bias", "gamma", "beta", "mean", "spread", "alpha",
        "table",
    )  # fmt: skip
    found = [getattr(holder, role, None) for role in roles]
    return [array for array in found if isinstance(array, np.ndarray)]
