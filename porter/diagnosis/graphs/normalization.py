"""Mistakes of a normalization: another epsilon, read off the port where it is none of the usual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.suspect import Suspect, Variant
from reference.operations.batch_normalization import BatchNormalization
from reference.operations.layer_normalization import LayerNormalization

Array = NDArray[Any]

USUAL = (1e-3, 1e-5, 1e-6, 1e-4, 1e-2, 1e-7, 1e-8, 1e-12, 2e-5, 1.001e-5, 1.1e-5, 0.1, 0.0)


def epsilons(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """The usual values, then the one that the port's own outputs say."""
    if not isinstance(step, BatchNormalization | LayerNormalization):
        return
    code = "batch_norm.epsilon" if isinstance(step, BatchNormalization) else "layer_norm.epsilon"
    for epsilon in dict.fromkeys((*USUAL, *solved(suspect, step))):
        if epsilon != step.epsilon:
            message = f"its epsilon is {epsilon:.6g} for {step.epsilon:.6g}"
            yield Variant(code, message, suspect.configure(epsilon=step.epsilon), replace(step, epsilon=epsilon))


def solved(suspect: Suspect, step: Any) -> Iterator[float]:
    """The epsilon that makes the quotient what it is, where the variance is small enough to show it."""
    found = [
        _of_part(part.fed[step.inputs[0]], part.actual, step) for part in suspect.seen if step.inputs[0] in part.fed
    ]
    values = np.concatenate([np.zeros(0), *found])
    values = values[np.isfinite(values) & (values > 0)]
    if values.size == 0:
        return
    middle = float(np.median(values))
    for digits in (1, 2, 3, 4):
        yield float(f"{middle:.{digits}g}")
    yield middle


def _of_part(x: Array, actual: Array, step: Any) -> Array:
    """(n,) what each well conditioned element says, from the quarter with the smallest variance on."""
    if x.shape != actual.shape:
        return np.zeros(0)
    centre, spread, gamma, beta = _parts(x, step)
    with np.errstate(all="ignore"):
        root = gamma * (x - centre) / (actual - beta)
        epsilon = root**2 - spread
        spread = np.broadcast_to(spread, x.shape)
        far = np.abs(gamma * (x - centre)) > 0.1 * np.abs(beta) + 1e-6
    usable = far & (spread <= np.quantile(spread, 0.25))
    return np.asarray(epsilon[usable])


def _parts(x: Array, step: Any) -> tuple[Array, Array, Array, Array]:
    if isinstance(step, BatchNormalization):
        centre, spread = step.centre_and_spread(x)
        return centre, spread, step.column(step.gamma, x.ndim, 1), step.column(step.beta, x.ndim, 0)
    axes = tuple(sorted(axis % x.ndim for axis in step.axes))
    shape = [x.shape[axis] if axis in axes else 1 for axis in range(x.ndim)]
    gamma = np.ones(1) if step.gamma is None else np.asarray(step.gamma, np.float64).reshape(shape)
    beta = np.zeros(1) if step.beta is None else np.asarray(step.beta, np.float64).reshape(shape)
    return np.mean(x, axis=axes, keepdims=True), np.var(x, axis=axes, keepdims=True), gamma, beta
