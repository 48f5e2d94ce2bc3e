"""The cell of LSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.cell import States, biased

Array = NDArray[Any]


@dataclass(frozen=True)
class LSTMCell:
    """c' = f c + i activation(z_c), h' = o activation(c'), gates in the order i, f, c, o along the columns.

    Source: Keras 2 documentation, LSTM; Hochreiter and Schmidhuber 1997.
    """

    kernel: Array
    recurrent: Array
    bias: Array | None
    activation: Activation
    recurrent_activation: Activation

    def begin(self, x: Array) -> States:
        """Zeros (rows, units), twice: h and c."""
        zeros = np.zeros((len(x), len(self.recurrent)), x.dtype)
        return (zeros, zeros)

    def step(self, x: Array, states: States) -> States:
        """(rows, inputs) and h, c to h', c'."""
        z = biased(x @ self.kernel.astype(x.dtype), self.bias) + states[0] @ self.recurrent.astype(x.dtype)
        return lstm_gates(z, states[1], self.activation, self.recurrent_activation)


def lstm_gates(z: Array, c: Array, activation: Activation, recurrent_activation: Activation) -> States:
    """h' and c' from the gates' preactivations, (..., 4 units) in the order i, f, c, o."""
    z_input, z_forget, z_cell, z_output = np.split(z, 4, axis=-1)
    c = recurrent_activation(z_forget) * c + recurrent_activation(z_input) * activation(z_cell)
    return (recurrent_activation(z_output) * activation(c), c)
