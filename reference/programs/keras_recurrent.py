"""Recurrent layers of legacy Keras: configuration to step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.conv_lstm_cell import ConvLSTMCell
from reference.operations.gru_cell import GRUCell
from reference.operations.lstm_cell import LSTMCell
from reference.operations.recurrent import Recurrent
from reference.operations.simple_cell import SimpleCell
from reference.programs.keras_call import Call, UnsupportedError, activation_named
from reference.programs.keras_convolution import dilation_of, kernel_of, padding_of, strides_of
from reference.programs.keras_weights import CONV_LSTMS, use_bias
from reference.windows import Padding

Array = NDArray[Any]


def gates_of(weights: Sequence[Array], order: Sequence[int]) -> tuple[Array, ...]:
    """Kernel, recurrent kernel and bias of one-array-a-gate files, the gates put in ``order``."""
    parts = [weights[start::3] for start in range(3)]
    return tuple(np.concatenate([part[gate] for gate in order], axis=-1) for part in parts)


def from_cudnn(weights: Sequence[Array], gates: int) -> tuple[Array, ...]:
    """Kernels of a CuDNN layer, which lie in memory as (units, inputs) for each gate, as (inputs, units).

    Source: Keras 2.3.1 engine/saving.py, _convert_rnn_weights; cuDNN documentation, cudnnGetRNNLinLayerMatrixParams.
    """
    kernel, recurrent, bias = weights
    turned = [part.reshape(part.shape[::-1]).T for part in np.split(kernel, gates, axis=1)]
    inner = [part.T for part in np.split(recurrent, gates, axis=1)]
    bias = bias.reshape((2, -1))
    return np.hstack(turned), np.hstack(inner), bias


def cell_of(call: Call, kind: str) -> Any:
    """The cell of a recurrent layer, from its arrays."""
    weights, act = call.weights, activation_named(call.get("activation", default="tanh"))
    late = "sigmoid" if call.era.version >= (2, 3) else "hard_sigmoid"
    gate = activation_named(call.get("recurrent_activation", "inner_activation", default=late))
    if kind == "SimpleRNN":
        return SimpleCell(weights[0], weights[1], call.bias, act)
    if kind == "CuDNNLSTM":
        kernel, recurrent, bias = from_cudnn(weights, 4)
        return LSTMCell(kernel, recurrent, bias[0].astype(np.float64) + bias[1], act, Activation("sigmoid"))
    if kind == "CuDNNGRU":
        kernel, recurrent, bias = from_cudnn(weights, 3)
        return GRUCell(kernel, recurrent, bias, act, Activation("sigmoid"), reset_after=True)
    if len(weights) == 12:
        weights = gates_of(weights, (0, 2, 1, 3)) if kind not in CONV_LSTMS else weights
    elif len(weights) == 9:
        weights = gates_of(weights, (0, 1, 2))
    last = weights[2] if use_bias(call.config) else None
    if kind == "LSTM":
        return LSTMCell(weights[0], weights[1], last, act, gate)
    if kind == "GRU":
        return GRUCell(weights[0], weights[1], last, act, gate, bool(call.get("reset_after", default=False)))
    return _conv_lstm_cell(call, act, gate, int(kind[-2]))


def _conv_lstm_cell(call: Call, act: Activation, gate: Activation, dims: int) -> ConvLSTMCell:
    weights = list(call.weights)
    if len(weights) == 12:
        weights = [kernel_of(call, array, 2) if array.ndim == 4 else array for array in weights]
        kernel, recurrent, bias = gates_of(weights, (0, 2, 1, 3))
    else:
        kernel, recurrent = (kernel_of(call, array, dims) for array in weights[:2])
        bias = weights[2] if use_bias(call.config) else None  # type: ignore[assignment]
    inner: Padding = "half" if call.era.flips else "same"
    return ConvLSTMCell(
        kernel, recurrent, bias, act, gate, strides_of(call, dims), dilation_of(call, dims), padding_of(call), inner
    )


def recurrent(call: Call, kind: str) -> Recurrent:
    """SimpleRNN, LSTM, GRU, ConvLSTM2D, their CuDNN forms, and RNN around a cell."""
    if kind == "RNN":
        inner = call.get("cell")
        if inner["class_name"] not in ("SimpleRNNCell", "LSTMCell", "GRUCell"):
            raise UnsupportedError(f"RNN around {inner['class_name']}")
        cell = cell_of(replace(call, config=inner["config"]), inner["class_name"].removesuffix("Cell"))
    else:
        cell = cell_of(call, kind)
    if call.get("time_major", default=False):
        raise UnsupportedError("time_major: steps before rows")
    masks = tuple(mask for mask in call.masks[:1] if mask is not None)
    return Recurrent(
        call.name, call.inputs + masks, cell, bool(call.get("return_sequences", default=False)),
        bool(call.get("go_backwards", default=False)), bool(masks), bool(call.get("zero_output_for_mask")),
        kind in CONV_LSTMS and call.channels_first, call.dtype, bool(call.get("stateful", default=False)),
    )  # fmt: skip
