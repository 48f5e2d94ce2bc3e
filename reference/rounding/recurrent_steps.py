"""Recurrent layers judged a time step at a time, each from the states that the implementation itself was in.

A bound that is carried along many steps grows by a factor a step until it allows everything. From the
implementation's own states every step has the bound of one step, and the steps together account for the sequence:
if each state is what the legacy cell makes of the one before it and of that step's input, the sequence was read in the
legacy order, by the legacy cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.composed.together import Together
from reference.operations.bidirectional import Bidirectional, merge_directions
from reference.operations.cell import States
from reference.operations.part import Part
from reference.operations.recurrent import Recurrent
from reference.operations.time_distributed import TimeDistributed
from reference.precision import Precision, round_to
from reference.rounding.recurrent import merged_error, one_step
from reference.rounding.sums import own_format
from reference.windows import as_stored, channels_last

Array = NDArray[Any]
Inputs = tuple[Array, ...]
Provide = Callable[[Recurrent, int, Array, States, Array | None], States]
"""(step, 0 or 1 for the second direction, x, initial states, mask) to the implementation's own states after each time
step, in the order in which they are computed: each (rows, steps, ...), channels last."""

NUMBERS = 2**20
"""Gate values that are computed at a time."""


@dataclass(frozen=True)
class Stepped:
    """What a recurrent step gives if each time step begins at the implementation's own states.

    Attributes:
        outputs: of the step's own shape.
        allowed: of the same shape.
        states: of each state, (expected, found, allowed) after every time step.
    """

    outputs: Array
    allowed: Array
    states: tuple[tuple[Array, Array, Array], ...] = ()


def is_stepped(step: Any) -> bool:
    """Whether a step is a recurrent layer, or holds one that decides its bound."""
    if isinstance(step, Together):
        return is_stepped(step.steps[-1])
    if isinstance(step, TimeDistributed):
        return isinstance(step.inner, Recurrent | Bidirectional)
    return isinstance(step, Recurrent | Bidirectional | Part)


def directions(step: Any) -> tuple[Recurrent, ...]:
    """The recurrent layers of a step: one, or that along time and that against it; of any other step none."""
    if not is_stepped(step):
        return ()
    if isinstance(step, Together):
        return directions(step.steps[-1])
    if isinstance(step, Part):
        return directions(step.step)
    if isinstance(step, TimeDistributed):
        return directions(step.inner)
    return (step.forward, step.backward) if isinstance(step, Bidirectional) else (step,)


def step_through(step: Any, inputs: Inputs, provide: Provide, precision: Precision) -> Stepped:
    """Every time step from the implementation's own states.

    Args:
        step: for which ``is_stepped``.
        inputs: what both sides were fed, in numbers that the implementation's format holds.
        provide: the implementation's states.
        precision: of the implementation.

    Raises:
        KeyError: steps judged together of which an earlier one rounds.
    """
    if isinstance(step, Together):
        return step_through(step.steps[-1], step.fed_last(inputs, precision), provide, precision)
    if isinstance(step, TimeDistributed):
        return _at_every_place(step, inputs, provide, precision)
    whole = step.step if isinstance(step, Part) else step
    with np.errstate(all="ignore"):
        sides = _sides(whole, inputs, provide, precision)
    found = tuple(part for side in sides for part in side.checks)
    if isinstance(step, Part):
        return Stepped(*_part(step, sides), found)
    if isinstance(whole, Bidirectional):
        return Stepped(*_merged(whole, sides, precision), found)
    return Stepped(sides[0].outputs, sides[0].allowed, found)


@dataclass(frozen=True)
class _Side:
    """One direction: outputs as the layer gives them, the last states, and every state."""

    outputs: Array
    allowed: Array
    last: tuple[tuple[Array, Array], ...]
    checks: tuple[tuple[Array, Array, Array], ...]


def _at_every_place(step: TimeDistributed, inputs: Inputs, provide: Provide, precision: Precision) -> Stepped:
    x = inputs[0]
    flat = step_through(step.inner, (x.reshape((-1, *x.shape[2:])),), provide, precision)
    shape = (*x.shape[:2], *flat.outputs.shape[1:])
    return Stepped(flat.outputs.reshape(shape), flat.allowed.reshape(shape), flat.states)


def _sides(step: Any, inputs: Inputs, provide: Provide, precision: Precision) -> list[_Side]:
    if isinstance(step, Recurrent):
        return [_one_direction(step, 0, inputs, provide, precision)]
    masks = inputs[-1:] if step.forward.masked else ()
    given = inputs[1 : len(inputs) - len(masks)]
    half = len(given) // 2
    return [
        _one_direction(one, at, (inputs[0], *states, *masks), provide, precision)
        for at, (one, states) in enumerate(((step.forward, given[:half]), (step.backward, given[half:])))
    ]


def _one_direction(step: Recurrent, at: int, inputs: Inputs, provide: Provide, precision: Precision) -> _Side:
    x = np.moveaxis(inputs[0], 2, -1) if step.channels_first else inputs[0]
    mask = inputs[-1].astype(bool) if step.masked else None
    given = inputs[1 : len(inputs) - step.masked]
    begin = tuple(channels_last(state, step.channels_first) for state in given) or step.cell.begin(x[:, 0])
    found = provide(step, at, x, begin, mask)
    before = tuple(np.concatenate([b[:, None], f[:, :-1]], axis=1) for b, f in zip(begin, found, strict=True))
    ahead, counts = (x[:, ::-1], None if mask is None else mask[:, ::-1]) if step.reverse else (x, mask)
    values, bounds = _all_steps(step, ahead, before, precision)
    outputs, allowed = values[0], bounds[0]
    if counts is not None:
        places = counts.reshape((*counts.shape, *(1,) * (outputs.ndim - 2)))
        values = tuple(np.where(places, new, old) for new, old in zip(values, before, strict=True))
        bounds = tuple(np.where(places, bound, 0.0) for bound in bounds)
        outputs, allowed = _masked_outputs(step, outputs, allowed, places, found[0])
    checks = tuple(zip(values, found, bounds, strict=True))
    last = tuple((value[:, -1], bound[:, -1]) for value, bound in zip(values, bounds, strict=True))
    last = tuple((as_stored(v, step.channels_first), as_stored(b, step.channels_first)) for v, b in last)
    return _Side(_as_given(step, outputs), _as_given(step, allowed), last, checks)


def _masked_outputs(
    step: Recurrent, outputs: Array, allowed: Array, counts: Array, found: Array
) -> tuple[Array, Array]:
    """At a masked time step the last output that counted, or zeros; before the first one zeros."""
    begun = np.logical_or.accumulate(counts, axis=1)
    repeated = np.zeros(()) if step.zeros else np.where(begun, found, 0.0)
    # The state that is repeated was had in another call than the output: both are within the bound of their step.
    steps = np.arange(counts.shape[1]).reshape((1, -1, *(1,) * (counts.ndim - 2)))
    left = np.maximum.accumulate(np.where(counts, steps, 0), axis=1)
    kept = np.zeros(()) if step.zeros else np.where(begun, 2 * np.take_along_axis(allowed, left, axis=1), 0.0)
    return np.where(counts, outputs, repeated), np.where(counts, allowed, kept)


def _as_given(step: Recurrent, array: Array) -> Array:
    array = array if step.return_sequences else array[:, -1]
    if not step.channels_first:
        return array
    return np.moveaxis(array, -1, 2 if step.return_sequences else 1)


def _all_steps(step: Recurrent, x: Array, before: States, precision: Precision) -> tuple[States, States]:
    """Every time step of every row at once, as many as fit."""
    rows, steps = x.shape[:2]
    flat = x.reshape((-1, *x.shape[2:]))
    states = tuple(state.reshape((-1, *state.shape[2:])) for state in before)
    size = int(np.prod(flat.shape[1:])) + 4 * int(np.prod(states[0].shape[1:]))
    block, own = max(NUMBERS // max(size, 1), 1), own_format(step)
    parts = [
        one_step(step.cell, flat[at : at + block], tuple(s[at : at + block] for s in states), precision, own)
        for at in range(0, len(flat), block)
    ]
    values, bounds = (
        tuple(np.concatenate([part[which][k] for part in parts]) for k in range(len(states))) for which in (0, 1)
    )
    inflated = tuple(np.where(np.isnan(bound), np.inf, bound * (1 + 1e-9)) for bound in bounds)
    shaped = tuple(v.reshape((rows, steps, *v.shape[1:])) for v in values)
    return shaped, tuple(b.reshape((rows, steps, *b.shape[1:])) for b in inflated)


def _merged(step: Bidirectional, sides: list[_Side], precision: Precision) -> tuple[Array, Array]:
    halves = [(side.outputs, side.allowed) for side in sides]
    if step.backward.return_sequences:
        halves[1] = (halves[1][0][:, ::-1], halves[1][1][:, ::-1])
    (ahead, ahead_error), (back, back_error) = halves
    allowed = merged_error(step, (ahead, back), (ahead_error, back_error), precision)
    return merge_directions(ahead, back, step.merge_mode), allowed


def _part(step: Part, sides: list[_Side]) -> tuple[Array, Array]:
    parts = [state for side in sides for state in side.last]
    if isinstance(step.step, Bidirectional) and step.step.merge_mode is None:
        turned = slice(None, None, -1 if step.step.backward.return_sequences else 1)
        back = sides[1]
        parts.insert(0, (back.outputs[:, turned], back.allowed[:, turned]))
    return parts[step.index]


def held(array: Array, precision: Precision) -> Array:
    """An array as the implementation's format holds it; a mask as it is."""
    return array if array.dtype == bool else round_to(array, precision.compute)
