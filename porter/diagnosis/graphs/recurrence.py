"""Mistakes of a recurrent layer: its functions, its reset gate, its direction, and how two directions are merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.activations import candidates
from porter.diagnosis.graphs.functions import remedy_of
from porter.examination.graphs.suspect import Suspect, Variant
from reference.activations import Activation
from reference.operations.bidirectional import Bidirectional
from reference.operations.gru_cell import GRUCell
from reference.operations.recurrent import Recurrent

Array = NDArray[Any]


def inner_functions(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Another activation inside the recurrence."""
    if not isinstance(step, Recurrent):
        return
    for field in ("recurrent_activation", "activation"):
        own = getattr(step.cell, field, None)
        if own is None:
            continue
        for other in candidates(own):
            message = f"its {field} is {other} for {own}"
            cell = replace(step.cell, **{field: other})
            yield Variant("recurrent.activation", message, remedy_of(suspect, field, own), replace(step, cell=cell))


def exchanged_functions(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """The two activations in each other's place."""
    cell = getattr(step, "cell", None)
    gate, own = getattr(cell, "recurrent_activation", None), getattr(cell, "activation", None)
    if isinstance(gate, Activation) and isinstance(own, Activation) and gate != own:
        message = f"its activation is {gate} and its recurrent_activation {own}: they are exchanged"
        changed = replace(cell, activation=gate, recurrent_activation=own)  # type: ignore[type-var]
        remedy = suspect.configure(activation=own.name, recurrent_activation=gate.name)
        yield Variant("recurrent.activation", message, remedy, replace(step, cell=changed))


def reset_gates(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """The reset gate on the other side of the product."""
    cell = getattr(step, "cell", None)
    if not isinstance(cell, GRUCell):
        return
    bias = cell.bias
    if cell.reset_after and bias is not None and bias.ndim == 2:
        bias = np.concatenate([bias[:1], np.zeros_like(bias[:1])])
    message = f"its reset gate acts {'before' if cell.reset_after else 'after'} the product"
    remedy = suspect.configure(reset_after=cell.reset_after)
    other = replace(cell, reset_after=not cell.reset_after)
    yield Variant("recurrent.reset_after", message, remedy, replace(step, cell=other))
    yield Variant("recurrent.reset_after", message, remedy, replace(step, cell=replace(other, bias=bias)))


def directions(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """The sequence read from its other end, with its outputs in the order computed, or turned back."""
    if isinstance(step, Recurrent):
        message = f"it goes {'forwards' if step.reverse else 'backwards'} through the sequence"
        remedy = suspect.configure(go_backwards=step.reverse)
        other = replace(step, reverse=not step.reverse)
        yield Variant("recurrent.direction", message, remedy, other)
        if step.return_sequences:
            yield Variant("recurrent.direction", f"{message}, and its outputs are turned back", remedy, other,
                          undo=lambda actual: actual[:, ::-1])  # fmt: skip
            yield Variant("recurrent.direction", "its outputs are in the other order of time", remedy, step,
                          undo=lambda actual: actual[:, ::-1])  # fmt: skip


def halves(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Two directions merged in another way, or in the other order, or the second not turned back."""
    if not isinstance(step, Bidirectional):
        return
    for mode in ("concat", "sum", "mul", "ave"):
        if mode != step.merge_mode and step.merge_mode is not None:
            message = f"its directions are made one by {mode!r} for {step.merge_mode!r}"
            remedy = suspect.configure(merge_mode=step.merge_mode)
            yield Variant("merge.replaced", message, remedy, replace(step, merge_mode=mode))
    if step.merge_mode == "concat":
        remedy = "concatenate the forward outputs, then the backward ones"
        yield Variant("recurrent.direction", "the backward outputs stand before the forward ones", remedy, step,
                      undo=_exchange)  # fmt: skip
    if step.merge_mode == "concat" and step.backward.return_sequences:
        message = "the backward outputs are not turned back in time"
        yield Variant("recurrent.direction", message, "turn them: keras.ops.flip(outputs, axis=1)", step, undo=_turn)


def _exchange(actual: Array) -> Array:
    half = actual.shape[-1] // 2
    return np.concatenate([actual[..., half:], actual[..., :half]], axis=-1)


def _turn(actual: Array) -> Array:
    half = actual.shape[-1] // 2
    return np.concatenate([actual[..., :half], actual[:, ::-1, ..., half:]], axis=-1)
