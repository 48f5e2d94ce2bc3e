"""The cell of ConvLSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.cell import States, biased
from reference.operations.convolving import convolve
from reference.operations.lstm_cell import lstm_gates
from reference.windows import Padding, pad_for_windows

Array = NDArray[Any]


@dataclass(frozen=True)
class ConvLSTMCell:
    """An LSTM cell whose products are convolutions: kernels (*window, channels or filters, 4 filters).

    Source: Keras 2 documentation, ConvLSTM2D; Shi et al. 2015 (without the peephole terms).
    """

    kernel: Array
    recurrent: Array
    bias: Array | None
    activation: Activation
    recurrent_activation: Activation
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Padding
    recurrent_padding: Padding = "same"

    def project(self, x: Array) -> Array:
        """What the input adds to the gates: (rows, *space, channels) to (rows, *outputs, 4 filters)."""
        x = pad_for_windows(x, self.kernel.shape[:-2], self.strides, self.dilation, self.padding)
        return biased(convolve(x, self.kernel.astype(x.dtype), self.strides, self.dilation), self.bias)

    def begin(self, x: Array) -> States:
        """Zeros (rows, *outputs, filters), twice: h and c."""
        zeros = np.zeros((*self.project(x).shape[:-1], self.recurrent.shape[-2]), x.dtype)
        return (zeros, zeros)

    def step(self, x: Array, states: States) -> States:
        """(rows, *space, channels) and h, c to h', c'."""
        ones = [1] * len(self.strides)
        h = pad_for_windows(states[0], self.recurrent.shape[:-2], ones, ones, self.recurrent_padding)
        z = self.project(x) + convolve(h, self.recurrent.astype(x.dtype), ones, ones)
        return lstm_gates(z, states[1], self.activation, self.recurrent_activation)
