"""Activations that stand alone as steps, with or without weights of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class Elementwise:
    """An activation as a step of its own."""

    name: str
    inputs: tuple[str, ...]
    activation: Activation
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to the same shape."""
        x = x.astype(self.dtype, copy=False)
        return LayerTrace(self.name, self.activation(x), x)
