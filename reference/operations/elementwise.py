"""Activations that stand alone as steps, with or without weights of their own."""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass(frozen=True)
class Replacement:
    """What the user put in the place of a layer that this package does not run: a function of arrays."""

    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Array]

    def __call__(self, *arrays: Array) -> LayerTrace:
        """Whatever the user's function takes and gives."""
        return LayerTrace(self.name, np.asarray(self.function(*arrays)))
