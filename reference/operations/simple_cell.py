"""The cell of SimpleRNN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.cell import States, biased

Array = NDArray[Any]


@dataclass(frozen=True)
class SimpleCell:
    """h' = activation(x W + h U + b).

    Kernels are (inputs, units) and (units, units). Source: Keras 2 documentation, SimpleRNN.
    """

    kernel: Array
    recurrent: Array
    bias: Array | None
    activation: Activation

    def begin(self, x: Array) -> States:
        """Zeros (rows, units)."""
        return (np.zeros((len(x), len(self.recurrent)), x.dtype),)

    def step(self, x: Array, states: States) -> States:
        """(rows, inputs) and (rows, units) to (rows, units)."""
        z = biased(x @ self.kernel.astype(x.dtype), self.bias) + states[0] @ self.recurrent.astype(x.dtype)
        return (self.activation(z),)
