"""A factor and an offset for every number, or for every channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class Affine:
    """x * factor + shift.

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        factor: one number, or an array that is spread over the last axes.
        shift: likewise.
        dtype: in which the arithmetic is done.

    Source: tf.keras 2 documentation, Rescaling.
    """

    name: str
    inputs: tuple[str, ...]
    factor: Array
    shift: Array
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to the same shape."""
        x = x.astype(self.dtype, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            return LayerTrace(self.name, x * self.factor.astype(self.dtype) + self.shift.astype(self.dtype))
