"""Rows of logits for the softmax of a runtime: the largest error over the allowed one, of any width and spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np

from reference.activations import Activation
from reference.operations.dense import Activate
from reference.precision import Precision
from reference.rounding.bounds import allowed_error
from reference.trace import LayerTrace

Array = np.ndarray[Any, Any]
Run = Callable[[Array], Array]
Paths = Callable[[int], Mapping[str, Run]]

WIDTHS = (2, 3, 7, 16, 100, 1000)
SPREADS = (2.0**-6, 0.25, 1.0, 4.0, 16.0, 40.0)
SHIFTS = (0.0, 30.0, -1000.0)
NUMBERS = 2**22
"""In all rows of one width."""


def logits(width: int, count: int, rng: np.random.Generator) -> Array:
    """(rows, width) of several spreads, and with other numbers added to all."""
    rows = max(count // (width * len(SPREADS) * len(SHIFTS)), 4)
    parts = [spread * rng.standard_normal((rows, width)) + shift for spread in SPREADS for shift in SHIFTS]
    return np.concatenate(parts)


def worst_softmax(paths_of: Paths, kind: str, count: int) -> tuple[float, float, str, float]:
    """(error over allowed error, largest distance between logits, path, seconds) where that is largest."""
    start, rng = time.perf_counter(), np.random.default_rng(2)
    worst = (0.0, 0.0, "")
    for width in WIDTHS:
        x = logits(width, count, rng).astype(kind)
        wide = x.astype(np.float64)
        expected, allowed = softmax_and_bound(wide, kind)
        for name, run in paths_of(width).items():
            error = np.abs(np.asarray(run(x), np.float64).reshape(x.shape) - expected)
            at = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error) / allowed)), error.shape)
            exact = exact_softmax(wide[at[0]], int(at[1]))
            found = float(np.asarray(run(x[at[0] : at[0] + 1]), np.float64).reshape(-1)[at[1]])
            ratio = max(float(abs(mpmath.mpf(found) - exact)), float(error[at])) / float(allowed[at])
            if ratio > worst[0]:
                worst = ratio, float(np.ptp(wide[at[0]])), f"{name}, rows of {width}"
    return (*worst, time.perf_counter() - start)


def softmax_and_bound(wide: Array, kind: str) -> tuple[Array, Array]:
    """(rows, width) what the reference gives, in more digits than the port has, and what rounding may make of it."""
    step = Activate("softmax", ("x",), Activation("softmax"), np.float64)
    shifted = wide.astype(np.longdouble) - wide.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    truth = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float64)
    trace = step(wide)
    single = LayerTrace(trace.name, trace.outputs, None if trace.preactivation is None else wide)
    return truth, allowed_error(step, (wide,), single, Precision(kind, kind))


def exact_softmax(row: Array, at: int) -> Any:
    """One number of it, with 60 digits."""
    with mpmath.workdps(60):
        terms = [mpmath.exp(mpmath.mpf(float(each))) for each in row]
        return terms[at] / mpmath.fsum(terms)
