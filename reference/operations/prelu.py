"""PReLU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class PReLU:
    """x for x > 0, alpha x below; alpha has the input's shape without the rows, 1 along shared axes.

    Source: Keras 2 documentation, PReLU; He et al. 2015.
    """

    name: str
    inputs: tuple[str, ...]
    alpha: Array
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to the same shape."""
        x = x.astype(self.dtype, copy=False)
        return LayerTrace(self.name, np.where(x > 0, x, self.alpha.astype(self.dtype) * x), x)
