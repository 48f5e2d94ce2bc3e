"""Every way in which an array of the file may stand in the place of another, or of itself, in a port."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.graphs.graph import flattened_from
from porter.diagnosis.matching import Layout
from porter.examination.graphs.slots import Slot, slots, take
from porter.examination.graphs.suspect import Suspect
from reference.operations.conv_lstm_cell import ConvLSTMCell
from reference.operations.gru_cell import GRUCell
from reference.operations.lstm_cell import LSTMCell

Array = NDArray[Any]
Option = tuple[str, str, Array]

GATES = {LSTMCell: "ifco", ConvLSTMCell: "ifco", GRUCell: "zrh"}
"""Letters of the gates in the order in which they stand along the last axis."""


def layouts(suspect: Suspect, slot: Slot, shape: tuple[int, ...]) -> Iterator[Layout]:
    """Every layout that has the wanted shape, the right one first; equal ones once.

    Messages have ``{what}`` where the array's own name goes.
    """
    seen: list[Array] = []
    for source, options in _sources(suspect, slot):
        for code, message, array in options:
            wide = np.asarray(array, np.float64)
            if wide.shape == shape and not any(np.array_equal(wide, other) for other in seen):
                seen.append(wide)
                yield Layout(source, code, message, wide)


def _sources(suspect: Suspect, slot: Slot) -> Iterator[tuple[str, Iterator[Option]]]:
    if slot.array is not None:
        yield suspect.name, _own(suspect, slot, slot.array)
    yield from foreign(suspect, slot)


def _own(suspect: Suspect, slot: Slot, own: Array) -> Iterator[Option]:
    yield "", "", own
    for family in (cudnn, normalization, gates, exchanged, flatten_order, words, added, bias_rows):
        yield from family(suspect, slot, own)
    if own.ndim > 1 and slot.variable not in ("bias", "embeddings", "alpha"):
        yield from axes(own)


def axes(own: Array) -> Iterator[Option]:
    """A kernel transposed, turned round, or with its axes in another order, reshaped where that is of another shape."""
    space = tuple(range(own.ndim - 2))
    swapped = np.swapaxes(own, -1, -2)
    if math.prod(own.shape[:-2]) == 1:
        yield "kernel.transposed", "the {what} stands transposed", swapped
    if space:
        yield "kernel.flipped", "the {what} is turned round along all axes of space", np.flip(own, space)
        for axis in space:
            yield "kernel.flipped", f"the {{what}} stands in reverse order along axis {axis}", np.flip(own, axis)
    else:
        yield "kernel.flipped", "the {what}'s rows and columns stand in reverse order", own[::-1, ::-1]
    for order in list(permutations(range(own.ndim)))[1:] if space else []:
        yield "kernel.axes", f"the axes of the {{what}} stand in the order {order}", np.transpose(own, order)
    yield from reshaped(own)


def reshaped(own: Array) -> Iterator[Option]:
    """The numbers in another order of memory, under the right shape."""
    message = "the {what} was read in %s order where it is written in %s order"
    yield "kernel.reshaped", message % ("Fortran", "C"), np.reshape(own.ravel(), own.shape, order="F")
    yield "kernel.reshaped", message % ("C", "Fortran"), np.reshape(own.ravel(order="F"), own.shape)
    for order in list(permutations(range(own.ndim)))[1:] if own.ndim > 2 else []:
        message = f"the {{what}}'s axes are taken in the order {order} and then reshaped, not moved"
        yield "kernel.axes", message, np.transpose(own, order).reshape(own.shape)
        lengths = [own.shape[order.index(axis)] for axis in range(own.ndim)]
        yield "kernel.axes", message, np.transpose(own.reshape(lengths), order)


def cudnn(suspect: Suspect, slot: Slot, own: Array) -> Iterator[Option]:
    """A recurrent kernel as cuDNN keeps it: of each gate (units, inputs) in memory, under the shape (inputs, units).

    Source: cuDNN documentation, cudnnGetRNNLinLayerMatrixParams; Keras 2.3.1, engine/saving.py.
    """
    letters = GATES.get(type(take(suspect.step, slot.path[:-1])))
    if letters is None or own.ndim != 2 or slot.variable not in ("kernel", "recurrent_kernel"):
        return
    parts = np.split(own, len(letters), axis=1)
    message = "the {what} stands in cuDNN's layout, in which the arrays of a CuDNN layer are stored"
    yield "kernel.reshaped", message, np.hstack([part.T.reshape(part.shape) for part in parts])


def normalization(suspect: Suspect, slot: Slot, own: Array) -> Iterator[Option]:
    """Another parameter of the same normalization; a deviation for a variance."""
    if slot.variable not in ("gamma", "beta", "moving_mean", "moving_variance"):
        return
    for other in suspect.slots:
        if other.array is not None and other.path != slot.path:
            yield "batch_norm.order", f"its {{what}} is the file's {other.what}", other.array
    if slot.variable == "moving_variance":
        wide = own.astype(np.float64)
        with np.errstate(invalid="ignore"):
            yield "batch_norm.order", "its {what} is the deviation, the root of the file's", np.sqrt(wide)
        yield "batch_norm.order", "its {what} is the square of the file's", wide**2


def gates(suspect: Suspect, slot: Slot, own: Array) -> Iterator[Option]:
    """The gates of a recurrent cell in another order."""
    letters = GATES.get(type(take(suspect.step, slot.path[:-1])))
    if letters is None:
        return
    parts = np.split(own, len(letters), axis=-1)
    for order in list(permutations(range(len(letters))))[1:]:
        message = f"its gates stand in the order {', '.join(letters[i] for i in order)} for {', '.join(letters)}"
        yield "recurrent.gates", message, np.concatenate([parts[i] for i in order], axis=-1)


def exchanged(suspect: Suspect, slot: Slot, own: Array) -> Iterator[Option]:
    """The input kernel for the recurrent one; one direction for the other."""
    holder = take(suspect.step, slot.path[:-1])
    other = {"kernel": "recurrent", "recurrent": "kernel"}.get(slot.path[-1])
    if other is not None and hasattr(holder, other):
        message = "the input kernel and the recurrent kernel are exchanged"
        yield "recurrent.swapped", message, getattr(holder, other)
    if slot.path[0] in ("forward", "backward"):
        across = "backward" if slot.path[0] == "forward" else "forward"
        array = take(suspect.step, (across, *slot.path[1:]))
        if array is not None:
            yield "recurrent.direction", "its two directions have each other's arrays", array
    del own


def bias_rows(suspect: Suspect, slot: Slot, own: Array) -> Iterator[Option]:
    """The bias of a GRU that has one for its inputs and one for its states, and of one that has not."""
    if slot.variable != "bias" or not isinstance(take(suspect.step, slot.path[:-1]), GRUCell):
        return
    if own.ndim == 1:
        yield "", "", np.stack([own, np.zeros_like(own)])
        return
    yield "recurrent.swapped", "the bias of the inputs and that of the states are exchanged", own[::-1]
    yield "", "", own.astype(np.float64).sum(axis=0)
    yield "", "", own[0]


def flatten_order(suspect: Suspect, slot: Slot, own: Array) -> Iterator[Option]:
    """The rows of a dense kernel behind a Flatten, for axes flattened in another order."""
    shape = flattened_from(suspect) if slot.path[-1] == "weights" else None
    if shape is None:
        return
    units = own.shape[-1]
    for order in list(permutations(range(len(shape))))[1:]:
        message = f"its inputs are flattened in the order {order} of the axes {shape}"
        turned = np.transpose(own.reshape((*shape, units)), (*order, len(shape)))
        yield "flatten.order", message, turned.reshape(own.shape)
        lengths = [shape[axis] for axis in order]
        back = np.transpose(own.reshape((*lengths, units)), (*np.argsort(order), len(shape)))
        yield "flatten.order", message, back.reshape(own.shape)


def words(suspect: Suspect, slot: Slot, own: Array) -> Iterator[Option]:
    """An embedding's rows moved by one: a vocabulary that begins at 1, or has one more word in front."""
    del suspect
    if slot.variable != "embeddings" or len(own) < 2:
        return
    for step, where in ((1, "before"), (-1, "behind")):
        message = f"each word has the row of the word {where} it"
        moved = np.roll(own, step, axis=0)
        yield "kernel.values", message, moved
        for filler in (np.zeros_like(own[0]), own[0], own[-1]):
            filled = moved.copy()
            filled[0 if step > 0 else -1] = filler
            yield "kernel.values", f"{message}, and one is filled up", filled


def added(suspect: Suspect, slot: Slot, own: Array) -> Iterator[Option]:
    """Mistakes of a bias."""
    del suspect
    if not slot.is_added:
        return
    yield "bias.negated", "the {what} has the opposite sign", -own
    yield "bias.values", "the {what} is added twice", 2 * own
    yield "bias.values", "the {what} stands in reverse order", own[..., ::-1]


def foreign(suspect: Suspect, slot: Slot) -> Iterator[tuple[str, Iterator[Option]]]:
    """The same array of other layers."""
    code = "biases.swapped" if slot.is_added else "layers.swapped"
    for step in suspect.program.steps:
        if step.name == suspect.name:
            continue
        for other in slots(step):
            if other.variable == slot.variable and other.array is not None and other.array is not slot.array:
                yield step.name, iter([(code, f"its {{what}} is that of {step.name}", other.array)])
