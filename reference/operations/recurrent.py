"""Recurrent layers: a cell, and the way its states are carried along time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.limits import check_steps
from reference.operations.convolution import convolve
from reference.trace import LayerTrace
from reference.windows import Padding, as_stored, channels_last, pad_for_windows

Array = NDArray[Any]
States = tuple[Array, ...]
MergeMode = Literal["concat", "sum", "mul", "ave"]


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
        z = _biased(x @ self.kernel.astype(x.dtype), self.bias) + states[0] @ self.recurrent.astype(x.dtype)
        return (self.activation(z),)


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
        z = _biased(x @ self.kernel.astype(x.dtype), self.bias) + states[0] @ self.recurrent.astype(x.dtype)
        return lstm_gates(z, states[1], self.activation, self.recurrent_activation)


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
        inputs = np.split(_biased(x @ self.kernel.astype(x.dtype), bias), 3, axis=-1)
        inner_bias = np.zeros(3 * units, x.dtype) if inner_bias is None else inner_bias.astype(x.dtype)
        gates = h @ recurrent[:, : 2 * units] + inner_bias[: 2 * units]
        update = self.recurrent_activation(inputs[0] + gates[:, :units])
        reset = self.recurrent_activation(inputs[1] + gates[:, units:])
        if self.reset_after:
            inner = reset * (h @ recurrent[:, 2 * units :] + inner_bias[2 * units :])
        else:
            inner = (reset * h) @ recurrent[:, 2 * units :]
        return (update * h + (1 - update) * self.activation(inputs[2] + inner),)


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
        return _biased(convolve(x, self.kernel.astype(x.dtype), self.strides, self.dilation), self.bias)

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


def lstm_gates(z: Array, c: Array, activation: Activation, recurrent_activation: Activation) -> States:
    """h' and c' from the gates' preactivations, (..., 4 units) in the order i, f, c, o."""
    z_input, z_forget, z_cell, z_output = np.split(z, 4, axis=-1)
    c = recurrent_activation(z_forget) * c + recurrent_activation(z_input) * activation(z_cell)
    return (recurrent_activation(z_output) * activation(c), c)


def run(
    cell: Cell, x: Array, states: States, mask: Array | None, *, reverse: bool = False, zeros: bool = False
) -> tuple[Array, States]:
    """Carry the states along axis 1; a masked step repeats the output before it and leaves the states alone.

    Args:
        cell: the step.
        x: (rows, steps, ...).
        states: before the first step.
        mask: (rows, steps) of bool, or None.
        reverse: begin at the end; the outputs stay in the order they were computed in.
        zeros: a masked step gives zeros instead.

    Returns:
        Outputs (rows, steps, ...) and the last states.

    Source: Keras 2 backend/tensorflow_backend.py, rnn.
    """
    output, outputs = np.zeros_like(states[0]), []
    order = range(x.shape[1])
    for time in reversed(order) if reverse else order:
        fresh = cell.step(x[:, time], states)
        if mask is None:
            states, output = fresh, fresh[0]
        else:
            counts = mask[:, time].reshape((-1,) + (1,) * (output.ndim - 1)).astype(bool)
            states = tuple(np.where(counts, new, old) for new, old in zip(fresh, states, strict=True))
            output = np.where(counts, fresh[0], 0.0 if zeros else output)
        outputs.append(output)
    return np.stack(outputs, axis=1), states


@dataclass(frozen=True)
class Recurrent:
    """A recurrent layer: SimpleRNN, LSTM, GRU or ConvLSTM2D, by its cell.

    Attributes:
        name: legacy name.
        inputs: the sequence, then the initial states if given, then the mask if ``masked``.
        cell: the step.
        return_sequences: all outputs, or the last.
        reverse: Keras' ``go_backwards``.
        masked: whether the last input is a mask.
        zeros: whether masked steps give zeros, as tf.keras has it inside Bidirectional.
        channels_first: whether a step's arrays are (rows, channels, *space).
        dtype: in which the arithmetic is done.
        stateful: whether a call begins where the last one ended; this step begins anew, as after a reset.
    """

    name: str
    inputs: tuple[str, ...]
    cell: Any
    return_sequences: bool = False
    reverse: bool = False
    masked: bool = False
    zeros: bool = False
    channels_first: bool = False
    dtype: Any = np.float64
    stateful: bool = False

    def __call__(self, x: Array, *rest: Array) -> LayerTrace:
        """(rows, steps, ...) to (rows, steps, ...) or (rows, ...); the states are traced."""
        check_steps(x.shape[1])
        x = x.astype(self.dtype, copy=False)
        if self.channels_first:
            x = np.moveaxis(x, 2, -1)
        mask = rest[-1] if self.masked else None
        given = rest[:-1] if self.masked else rest
        states = tuple(channels_last(state.astype(self.dtype), self.channels_first) for state in given)
        with np.errstate(over="ignore", invalid="ignore"):
            begin = states or self.cell.begin(x[:, 0])
            outputs, states = run(self.cell, x, begin, mask, reverse=self.reverse, zeros=self.zeros)
        outputs = outputs if self.return_sequences else outputs[:, -1]
        if self.channels_first:
            outputs = np.moveaxis(outputs, -1, 2) if self.return_sequences else np.moveaxis(outputs, -1, 1)
        return LayerTrace(self.name, outputs, states=tuple(as_stored(s, self.channels_first) for s in states))


@dataclass(frozen=True)
class Bidirectional:
    """Two recurrent layers, one along time and one against it; the second's sequence is turned back.

    Source: Keras 2 documentation, Bidirectional; Schuster and Paliwal 1997.
    """

    name: str
    inputs: tuple[str, ...]
    forward: Recurrent
    backward: Recurrent
    merge_mode: MergeMode | None

    def halves(self, x: Array, *rest: Array) -> tuple[LayerTrace, LayerTrace]:
        """The trace of each of the two."""
        masks = rest[-1:] if self.forward.masked else ()
        given = rest[: len(rest) - len(masks)]
        half = len(given) // 2
        ahead, back = self.forward(x, *given[:half], *masks), self.backward(x, *given[half:], *masks)
        if self.backward.return_sequences:
            back = LayerTrace(back.name, back.outputs[:, ::-1], states=back.states)
        return ahead, back

    def __call__(self, x: Array, *rest: Array) -> LayerTrace:
        """(rows, steps, ...) to what the two give, merged; without a merge mode, the first one's."""
        ahead, back = self.halves(x, *rest)
        merged = merge_directions(ahead.outputs, back.outputs, self.merge_mode)
        return LayerTrace(self.name, merged, states=ahead.states + back.states)


def merge_directions(ahead: Array, back: Array, mode: MergeMode | None) -> Array:
    """The outputs of both directions, made one."""
    if mode == "concat":
        return np.concatenate([ahead, back], axis=-1)
    if mode == "sum":
        return ahead + back
    if mode == "mul":
        return ahead * back
    if mode == "ave":
        return (ahead + back) / 2
    return ahead


@dataclass(frozen=True)
class Part:
    """One more output of a step that has several: a state, or the second direction."""

    name: str
    inputs: tuple[str, ...]
    step: Any
    index: int

    def __call__(self, *inputs: Array) -> LayerTrace:
        """The step's inputs to its output number ``index`` (0 is the first state)."""
        if isinstance(self.step, Bidirectional) and self.step.merge_mode is None:
            ahead, back = self.step.halves(*inputs)
            return LayerTrace(self.name, (back.outputs, *ahead.states, *back.states)[self.index])
        return LayerTrace(self.name, self.step(*inputs).states[self.index])


@dataclass(frozen=True)
class TimeDistributed:
    """The same step or program on every time step alone. Source: Keras 2 documentation, TimeDistributed."""

    name: str
    inputs: tuple[str, ...]
    inner: Any

    def __call__(self, x: Array, *rest: Array) -> LayerTrace:
        """(rows, steps, ...) to (rows, steps, ...)."""
        rows, steps = x.shape[:2]
        flat = x.reshape((rows * steps, *x.shape[2:]))
        result = self.inner(flat)
        outputs = result.outputs if isinstance(result, LayerTrace) else result[0]
        return LayerTrace(self.name, outputs.reshape((rows, steps, *outputs.shape[1:])))


def _biased(z: Array, bias: Array | Sequence[float] | None) -> Array:
    return z if bias is None else z + np.asarray(bias, z.dtype)
