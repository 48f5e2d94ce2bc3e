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

ALTERED = 0.01
"""Share of its weights by which a kernel that cannot be read may be off where nobody would say that it is right."""


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


def shows_altered(step: Any, sets: Iterable[Array], precision: Precision) -> bool:
    """Whether a kernel that is off by ``ALTERED`` would have exceeded the bound, where 16 bits leave that open.

    Args:
        step: of the legacy program.
        sets: (rows, inputs) each, as the port was fed with them.
        precision: in which the port computes.
    """
    if not isinstance(step, Dense) or not precision.is_short or not np.any(step.weights):
        return True
    wrong = replace(step, weights=np.asarray(step.weights, np.float64) * (1 + ALTERED))
    return any(_shows(step, wrong, np.asarray(rows, np.float64), precision) for rows in sets)


def _shows(step: Any, wrong: Any, fed: Array, precision: Precision) -> bool:
    trace = step(fed)
    allowed = allowed_error(step, (fed,), trace, precision) + platform_allowance(step, (fed,), trace, precision)
    with np.errstate(all="ignore"):
        error = np.abs(np.asarray(wrong(fed).outputs) - trace.outputs)
    return bool(np.any(error > allowed, where=np.isfinite(allowed) & np.isfinite(trace.outputs)))


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
