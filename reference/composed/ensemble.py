"""Several members' outputs made one: the plain mean, or the mean of those near it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import FORMATS, Precision, round_to
from reference.rounding.bounds import register
from reference.trace import LayerTrace

Array = NDArray[Any]

PLAIN, WITHIN = "mean", "mean within one deviation"


@dataclass(frozen=True)
class Ensemble:
    """The mean of the members' outputs.

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        members: how many.
        rule: "mean"; or "mean within one deviation": of those whose distance from the mean is strictly below the
            sample standard deviation (of n - 1).
        dtype: in which the arithmetic is done.
    """

    name: str
    inputs: tuple[str, ...]
    members: int
    rule: str = PLAIN
    dtype: Any = np.float64

    @property
    def width(self) -> tuple[int, int]:
        """(inputs, outputs)."""
        return self.members, 1

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, members) to (rows, 1)."""
        y = x.astype(self.dtype, copy=False)
        with np.errstate(all="ignore"):
            mean = y.mean(axis=1, keepdims=True)
            if self.rule == PLAIN:
                return LayerTrace(self.name, mean)
            inside = np.abs(y - mean) < y.std(axis=1, ddof=1, keepdims=True)
            return LayerTrace(self.name, np.sum(np.where(inside, y, 0), axis=1, keepdims=True) / inside.sum(1)[:, None])

    def probes(self) -> Array:
        """(rows, members) with some members near the others' mean and some far from it, at several sizes."""
        rng = np.random.default_rng(self.members)
        rows = rng.normal(size=(64, self.members)) + 5 * rng.normal(size=(64, 1))
        rows[:16, 0] += 10
        rows[16:32, -1] -= 10
        return np.concatenate([rows, 100 * rows[:16], 1e-3 * rows[:16]])


def _rounding(
    step: Ensemble, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Any
) -> Array:
    """The members' own errors and the sum's; anything where rounding decides whether a member counts.

    The mean moves by at most the mean of the errors, the deviation by their Euclidean norm over the root of n - 1,
    for it is the length of a projection.
    """
    del trace
    y = np.asarray(inputs[0], np.float64)
    error = np.abs(round_to(y, precision.compute) - y)
    if input_error is not None:
        error = error + np.asarray(input_error[0])
    unit = precision.format.unit + FORMATS[np.dtype(step.dtype).name].unit
    own = (step.members + 4) * unit * np.max(np.abs(y), axis=1, keepdims=True) + precision.format.tiny
    allowed = np.max(error, axis=1, keepdims=True) + own
    if step.rule == PLAIN:
        return allowed
    mean, deviation = y.mean(axis=1, keepdims=True), y.std(axis=1, ddof=1, keepdims=True)
    slack = error + error.mean(axis=1, keepdims=True) + 4 * own
    slack = slack + np.linalg.norm(error, axis=1, keepdims=True) / np.sqrt(step.members - 1)
    undecided = np.any(np.abs(np.abs(y - mean) - deviation) <= slack, axis=1, keepdims=True)
    return np.where(undecided, np.inf, allowed)


register(Ensemble, _rounding)
