"""Values held to bounds of their own, or flagged where they lie too far outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import FORMATS, Precision, round_to
from reference.rounding.bounds import register
from reference.trace import LayerTrace

Array = NDArray[Any]

CASTS = 3
"""Roundings of a limit on its way into a port: of the bound, of the tolerance, and of their sum."""


@dataclass(frozen=True)
class Extremes:
    """A value within the tolerance of a bound becomes the bound; one further outside becomes NaN, which flags it.

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        least: (n,) lower bound of each column.
        greatest: (n,) upper bound.
        tolerance: (n,) how far outside is forgiven; non-negative; infinite where nothing is flagged.
        dtype: in which the arithmetic is done.
        flag: (n,) what stands for a flag; NaN where None.
    """

    name: str
    inputs: tuple[str, ...]
    least: Array
    greatest: Array
    tolerance: Array
    dtype: Any = np.float64
    flag: Array | None = None

    @property
    def width(self) -> tuple[int, int]:
        """(inputs, outputs)."""
        return len(self.least), len(self.least)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, n) to (rows, n)."""
        y = x.astype(self.dtype, copy=False)
        with np.errstate(invalid="ignore"):
            far = (y < self.least - self.tolerance) | (y > self.greatest + self.tolerance) | np.isnan(y)
            held = np.clip(y, self.least, self.greatest).astype(self.dtype)
        flag = np.asarray(np.nan if self.flag is None else self.flag, self.dtype)
        return LayerTrace(self.name, np.where(far, flag, held))

    @property
    def _reach(self) -> Array:
        """(n,) the tolerance, 0 where it is infinite."""
        return np.where(np.isfinite(self.tolerance), self.tolerance, 0.0)

    @property
    def far(self) -> Array:
        """(n,) a number far outside for each column."""
        return self.greatest + 4 * (self._reach + self.greatest - self.least)

    def shown(self, values: Array) -> Array:
        """The same values with a number far outside for each flag, so that flags can be compared as values are."""
        return np.where(np.isnan(values), self.far, values)

    def probes(self) -> Array:
        """(rows, n) on either side of every limit."""
        span = self.greatest - self.least
        reach = np.where(self._reach > 0, self._reach, span / 100)
        below = [self.least - share * reach for share in (4.0, 1.5, 1.1, 0.9, 0.5, 0.1)]
        above = [self.greatest + share * reach for share in (0.1, 0.5, 0.9, 1.1, 1.5, 4.0)]
        inside = [self.least + share * span for share in (0.0, 0.01, 0.3, 0.7, 0.99, 1.0)]
        return np.array([*below, *inside, *above, self.least - 3 * span, self.greatest + 3 * span])


def _rounding(
    step: Extremes, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Any
) -> Array:
    """The value's own error, and a bound's cast; anything where a limit is within reach, for NaN lies beyond it."""
    del trace
    x = np.asarray(inputs[0], np.float64)
    shift = np.abs(round_to(x, precision.compute) - x)
    if input_error is not None:
        shift = shift + np.asarray(input_error[0])
    unit = precision.format.unit + FORMATS[np.dtype(step.dtype).name].unit
    finite = np.where(np.isfinite(step.tolerance), step.tolerance, 0.0)
    size = np.maximum(np.abs(step.least), np.abs(step.greatest)) + finite
    own = CASTS * unit * size + precision.format.tiny
    limits = (step.least - step.tolerance, step.greatest + step.tolerance)
    near = np.any([np.abs(x - limit) <= shift + own for limit in limits], axis=0)
    return np.where(near, np.inf, shift + own)


register(Extremes, _rounding)
