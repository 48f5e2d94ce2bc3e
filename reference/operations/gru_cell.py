"""The cell of GRU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.cell import States, biased

Array = NDArray[Any]


@dataclass(frozen=True)
class GRUCell:
    """h' = z h + (1 - z) activation(candidate), gates in the order z, r, h along the columns.

    ``reset_after``: the reset gate multiplies the recurrent product (cuDNN; bias (2, 3 units)) and not its input.
    Source: Keras 2 documentation, GRU (both variants); Cho et al. 2014, arXiv:1406.1078v1 and v3.
    """

    kernel: Array
    recurrent: Array
    bias: Array | None
    activation: Activation
    recurrent_activation: Activation
    reset_after: bool = False

    def begin(self, x: Array) -> States:
        """Zeros (rows, units)."""
        return (np.zeros((len(x), len(self.recurrent)), x.dtype),)

    def step(self, x: Array, states: States) -> States:
        """(rows, inputs) and (rows, units) to (rows, units)."""
        h, units = states[0], len(self.recurrent)
        recurrent = self.recurrent.astype(x.dtype)
        bias, inner_bias = (self.bias, None) if self.bias is None or self.bias.ndim == 1 else self.bias
        inputs = np.split(biased(x @ self.kernel.astype(x.dtype), bias), 3, axis=-1)
        inner_bias = np.zeros(3 * units, x.dtype) if inner_bias is None else inner_bias.astype(x.dtype)
        gates = h @ recurrent[:, : 2 * units] + inner_bias[: 2 * units]
        update = self.recurrent_activation(inputs[0] + gates[:, :units])
        reset = self.recurrent_activation(inputs[1] + gates[:, units:])
        if self.reset_after:
            inner = reset * (h @ recurrent[:, 2 * units :] + inner_bias[2 * units :])
        else:
            inner = (reset * h) @ recurrent[:, 2 * units :]
        return (update * h + (1 - update) * self.activation(inputs[2] + inner),)
