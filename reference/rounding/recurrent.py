"""Rounding bounds of recurrent layers, carried along time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.bidirectional import Bidirectional
from reference.operations.conv_lstm_cell import ConvLSTMCell
from reference.operations.convolving import convolve
from reference.operations.gru_cell import GRUCell
from reference.operations.part import Part
from reference.operations.recurrent import Recurrent
from reference.operations.simple_cell import SimpleCell
from reference.precision import Format, Precision
from reference.rounding.functions import activation_error
from reference.rounding.sums import kept_sum_error, own_format
from reference.trace import LayerTrace
from reference.windows import as_stored, channels_last, pad_for_windows

Array = NDArray[Any]
Inputs = tuple[Array, ...]


class _Carried:
    """Bounds carried along the time of one recurrent layer.

    A state's bound is what its own arithmetic and the bounds of what it was made of allow; each step adds to it.
    """

    def __init__(self, cell: Any, precision: Precision, own: Format) -> None:
        self.cell, self.precision, self.own = cell, precision, own

    def apply(self, activation: Activation, z: Array, error: Array) -> tuple[Array, Array]:
        """Value and bound after an activation."""
        a = activation(z)
        return a, activation_error(activation, z, a, error, self.precision.format, self.own)

    def times(self, a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        """Value and bound of a product."""
        value, u = a[0] * b[0], self.precision.format.unit + self.own.unit
        moved = np.abs(a[0]) * b[1] + np.abs(b[0]) * a[1] + a[1] * b[1]
        return value, moved + u * (np.abs(value) + moved) + self.precision.format.tiny

    def plus(self, a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        """Value and bound of a sum."""
        value, u = a[0] + b[0], self.precision.format.unit + self.own.unit
        return value, a[1] + b[1] + u * (np.abs(value) + a[1] + b[1])

    def linear(self, v: Array, kernel: Array, recurrent: bool) -> Array:
        """The product of a step's input, or of its state, with a kernel."""
        cell = self.cell
        if not isinstance(cell, ConvLSTMCell):
            return np.asarray(v @ kernel)
        ones = [1] * len(cell.strides)
        strides, dilation = (ones, ones) if recurrent else (cell.strides, cell.dilation)
        padding = cell.recurrent_padding if recurrent else cell.padding
        return convolve(pad_for_windows(v, kernel.shape[:-2], strides, dilation, padding), kernel, strides, dilation)

    def product(self, v: Array, error: Array | None, kernel: Array, recurrent: bool) -> tuple[Array, Array, Array]:
        """Value, magnitude and bound (without the summation's own) of one product."""
        size, kind = self.linear(np.abs(v), np.abs(kernel), recurrent), self.precision.format
        cast = self.precision.variable_error(kernel)
        cast = np.maximum(cast, np.where(np.abs(kernel) < kind.flushed, np.abs(kernel), 0.0))
        moved = self.linear(np.abs(v), cast, recurrent) if cast.any() else np.zeros(size.shape)
        lost = np.where(np.abs(v) < kind.flushed, np.abs(v), 0.0)
        if error is not None or lost.any():
            moved = moved + self.linear(lost if error is None else error + lost, np.abs(kernel) + cast, recurrent)
        if self.precision.operand_error:
            moved = moved + self.precision.operand_error * (size + moved)
        return self.linear(v, kernel, recurrent), size, moved

    def gates(self, x: Array, h: Array, h_error: Array, columns: slice, bias: Array | None) -> tuple[Array, Array]:
        """Preactivations of some gates: both products and the bias."""
        kernel = self.cell.kernel.astype(np.float64)[..., columns]
        recurrent = self.cell.recurrent.astype(np.float64)[..., columns]
        carried = h_error if h_error.any() else None
        inputs, states = self.product(x, None, kernel, False), self.product(h, carried, recurrent, True)
        z, size, moved = (one + two for one, two in zip(inputs, states, strict=True))
        parts = np.abs(inputs[0]) + np.abs(states[0])
        if bias is not None:
            part = bias.astype(np.float64)[..., columns]
            if part.ndim == 2:
                parts, size, part = parts + np.abs(part[0]), size + np.abs(part[0]), part.sum(axis=0)
            z, size, parts = z + part, size + np.abs(part), parts + np.abs(part)
            moved = moved + np.max(self.precision.variable_error(bias.astype(np.float64))) * 2
        count = np.prod(kernel.shape[:-1]) + np.prod(recurrent.shape[:-1]) + 2
        return z, moved + self.summed(size + moved, parts + moved, float(count))

    def summed(self, size: Array, parts: Array, count: float) -> Array:
        """Rounding in the sum of both products and the biases.

        Args:
            size: magnitudes of all terms.
            parts: of the two products and the biases alone: with 16 bits, what is rounded to them.
            count: of terms.
        """
        # Each product is rounded once, and at most three sums of what is left, none of them larger than all parts.
        return kept_sum_error(size, parts, count, 3, self.precision, self.own)

    def step(self, x: Array, states: tuple[Array, ...], errors: tuple[Array, ...]) -> tuple[Any, Any]:
        """The states after a step and their bounds."""
        if isinstance(self.cell, SimpleCell):
            z, error = self.gates(x, states[0], errors[0], slice(None), self.cell.bias)
            value, bound = self.apply(self.cell.activation, z, error)
            return (value,), (bound,)
        if isinstance(self.cell, GRUCell):
            return self.gru(x, states[0], errors[0])
        z, error = self.gates(x, states[0], errors[0], slice(None), self.cell.bias)
        parts = list(zip(np.split(z, 4, axis=-1), np.split(error, 4, axis=-1), strict=True))
        gate = self.cell.recurrent_activation
        new, forget, out = (self.apply(gate, *parts[i]) for i in (0, 1, 3))
        candidate = self.apply(self.cell.activation, *parts[2])
        c = self.plus(self.times(forget, (states[1], errors[1])), self.times(new, candidate))
        h = self.times(out, self.apply(self.cell.activation, *c))
        return (h[0], c[0]), (h[1], c[1])

    def gru(self, x: Array, h: Array, h_error: Array) -> tuple[Any, Any]:
        """Update and reset gate, candidate, and the mean of old and new."""
        cell, units = self.cell, self.cell.recurrent.shape[0]
        both, last = slice(0, 2 * units), slice(2 * units, None)
        z, error = self.gates(x, h, h_error, both, cell.bias)
        halves = zip(np.split(z, 2, axis=-1), np.split(error, 2, axis=-1), strict=True)
        update, reset = (self.apply(cell.recurrent_activation, *half) for half in halves)
        bias = (None, None) if cell.bias is None else tuple(cell.bias) if cell.bias.ndim == 2 else (cell.bias, None)
        zero, nothing = np.zeros(h.shape), np.zeros(h.shape)
        inputs = self.gates(x, zero, nothing, last, bias[0])
        if cell.reset_after:
            inner = self.gates(np.zeros(x.shape), h, h_error, last, bias[1])
            candidate = self.plus(inputs, self.times(reset, inner))
        else:
            candidate = self.plus(inputs, self.gates(np.zeros(x.shape), *self.times(reset, (h, h_error)), last, None))
        fresh = self.apply(cell.activation, *candidate)
        rest = self.plus((np.ones(h.shape), zero), (-update[0], update[1]))
        value, bound = self.plus(self.times(update, (h, h_error)), self.times(rest, fresh))
        return (value,), (bound,)


def one_step(
    cell: Any, x: Array, states: tuple[Array, ...], precision: Precision, own: Format
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The states after one step, and their bounds, from states that both sides have exactly.

    Args:
        cell: the step.
        x: (rows, ...) float64, as the port's format holds it.
        states: before the step, likewise.
        precision: of the port.
        own: format of the reference.
    """
    return _Carried(cell, precision, own).step(x, states, tuple(np.zeros(state.shape) for state in states))


def carry(step: Recurrent, inputs: Inputs, precision: Precision) -> tuple[Array, tuple[Array, ...]]:
    """Bounds of a recurrent layer's outputs (as it gives them) and of its last states."""
    x = np.moveaxis(inputs[0], 2, -1) if step.channels_first else inputs[0]
    mask = inputs[-1].astype(bool) if step.masked else None
    given = inputs[1 : len(inputs) - step.masked]
    states = tuple(channels_last(state, step.channels_first) for state in given) or step.cell.begin(x[:, 0])
    errors, bounds = tuple(np.zeros(state.shape) for state in states), []
    carried, order = _Carried(step.cell, precision, own_format(step)), range(x.shape[1])
    last = np.zeros(states[0].shape)
    for time in reversed(order) if step.reverse else order:
        fresh, fresh_errors = carried.step(x[:, time], states, errors)
        if mask is None:
            states, errors, last = fresh, fresh_errors, fresh_errors[0]
        else:
            counts = mask[:, time].reshape((-1,) + (1,) * (last.ndim - 1))
            states = tuple(np.where(counts, new, old) for new, old in zip(fresh, states, strict=True))
            errors = tuple(np.where(counts, new, old) for new, old in zip(fresh_errors, errors, strict=True))
            last = np.where(counts, fresh_errors[0], 0.0 if step.zeros else last)
        bounds.append(last)
    outputs = np.stack(bounds, axis=1) if step.return_sequences else last
    if step.channels_first:
        outputs = np.moveaxis(outputs, -1, 2 if step.return_sequences else 1)
    return outputs, tuple(as_stored(error, step.channels_first) for error in errors)


def recurrent_error(step: Recurrent, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """Of the outputs."""
    return carry(step, inputs, precision)[0]


def carry_both(step: Bidirectional, inputs: Inputs, precision: Precision) -> tuple[Array, Array, tuple[Array, ...]]:
    """Bounds of both directions, in the order of time, and of all states."""
    masks = inputs[-1:] if step.forward.masked else ()
    given = inputs[1 : len(inputs) - len(masks)]
    half = len(given) // 2
    ahead, ahead_states = carry(step.forward, (inputs[0], *given[:half], *masks), precision)
    back, back_states = carry(step.backward, (inputs[0], *given[half:], *masks), precision)
    if step.backward.return_sequences:
        back = back[:, ::-1]
    return ahead, back, ahead_states + back_states


def bidirectional_error(step: Bidirectional, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """Of both directions' outputs, merged."""
    ahead, back, _ = carry_both(step, inputs, precision)
    first, second = (trace.outputs for trace in step.halves(*inputs))
    return merged_error(step, (first, second), (ahead, back), precision)


def merged_error(
    step: Bidirectional, halves: tuple[Array, Array], errors: tuple[Array, Array], precision: Precision
) -> Array:
    """Of two directions made one, each within its own error."""
    (first, second), (ahead, back) = halves, errors
    if step.merge_mode is None:
        return ahead
    if step.merge_mode == "concat":
        return np.concatenate([ahead, back], axis=-1)
    u = precision.format.unit + own_format(step.forward).unit
    if step.merge_mode == "mul":
        moved = np.abs(first) * back + np.abs(second) * ahead + ahead * back
        return moved + u * (np.abs(first * second) + moved)
    share = 0.5 if step.merge_mode == "ave" else 1.0
    return share * (ahead + back + 2 * u * (np.abs(first) + np.abs(second) + ahead + back))


def part_error(step: Part, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """Of a state, or of the second direction."""
    if isinstance(step.step, Recurrent):
        return carry(step.step, inputs, precision)[1][step.index]
    _, back, states = carry_both(step.step, inputs, precision)
    return ((back, *states) if step.step.merge_mode is None else states)[step.index]
