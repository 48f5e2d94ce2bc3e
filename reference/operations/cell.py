"""One time step of a recurrent layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation

Array = NDArray[Any]


States = tuple[Array, ...]


class Cell(Protocol):
    """One time step of a recurrent layer."""

    @property
    def activation(self) -> Activation:
        """Of the outputs."""
        ...

    def begin(self, x: Array) -> States:
        """The states before the first step, for a step's input (rows, ...)."""
        ...

    def step(self, x: Array, states: States) -> States:
        """The states after it; the first one is the output."""
        ...


def biased(z: Array, bias: Array | Sequence[float] | None) -> Array:
    """z with the bias added, where there is one."""
    return z if bias is None else z + np.asarray(bias, z.dtype)
