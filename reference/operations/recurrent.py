"""Recurrent layers: a cell, and the way its states are carried along time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.limits import check_steps
from reference.operations.cell import Cell, States
from reference.trace import LayerTrace
from reference.windows import as_stored, channels_last

Array = NDArray[Any]


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
