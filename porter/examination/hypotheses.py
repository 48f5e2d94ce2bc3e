"""Mistakes of the usual kinds, made in the reference's own step: would they have shown on these rows?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.dense import Dense
from reference.precision import Precision
from reference.rounding.bounds import allowed_error, platform_allowance

Array = NDArray[Any]

FEW = 64
"""Rows of each set of probes on which they are tried."""


def telling_mistakes(step: Any, sets: Iterable[Array], precision: Precision) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes of the mistakes that were tried, and of those that would have exceeded the bound.

    Args:
        step: of the legacy program; there are none for a step without arrays.
        sets: (rows, inputs) each, as the port was fed with them.
        precision: in which the port computes.
    """
    wrong = dict(_mistakes(step))
    shown: set[str] = set()
    for rows in sets:
        left = [code for code in wrong if code not in shown]
        if not left:
            break
        fed = np.asarray(rows[:FEW], np.float64)
        trace = step(fed)
        allowed = allowed_error(step, (fed,), trace, precision) + platform_allowance(step, (fed,), trace, precision)
        for code in left:
            with np.errstate(all="ignore"):
                error = np.abs(np.asarray(wrong[code](fed).outputs) - trace.outputs)
            if np.any(error > allowed, where=np.isfinite(allowed) & np.isfinite(trace.outputs)):
                shown.add(code)
    return tuple(wrong), tuple(code for code in wrong if code in shown)


def _mistakes(step: Any) -> Iterator[tuple[str, Dense]]:
    if not isinstance(step, Dense):
        return
    weights = step.weights
    if weights.shape[0] == weights.shape[1] and not np.array_equal(weights, weights.T):
        yield "kernel.transposed", replace(step, weights=weights.T)
    if step.bias is not None and np.any(step.bias):
        yield "bias.missing", replace(step, bias=None)
    if np.any(weights):
        is_linear = step.activation.name == "linear"
        other = Activation("tanh" if is_linear else "linear")
        yield "activation.added" if is_linear else "activation.missing", replace(step, activation=other)
