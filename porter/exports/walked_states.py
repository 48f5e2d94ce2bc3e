"""States of a recurrent layer that a port hides: the legacy cell's own, in the port's format, on what the port shows.

Whatever states a walk gives, agreement proves the step: what the port gives after the last time step is then within
the bound of one step of what the legacy cell makes of the sequence. Disagreement proves nothing where states were
hidden: in long sequences a right port may have come to others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.cell import States
from reference.operations.recurrent import Recurrent
from reference.precision import Precision
from reference.rounding.recurrent_steps import held

Array = NDArray[Any]


@dataclass(frozen=True)
class WalkedStates:
    """As ``reference.rounding.recurrent_steps`` asks for them.

    Attributes:
        precision: of the port's layer.
        shown: (rows, steps, ...) the first state after each time step, in the order of computation; None where the port
            does not give it.
    """

    precision: Precision
    shown: Array | None = None

    def __call__(self, step: Recurrent, at: int, x: Array, begin: States, mask: Array | None) -> States:
        """The states after each time step."""
        del at
        ahead, counts = (x[:, ::-1], None if mask is None else mask[:, ::-1]) if step.reverse else (x, mask)
        states, found = begin, list[States]()
        for time in range(ahead.shape[1]):
            fresh = tuple(held(np.asarray(each), self.precision) for each in step.cell.step(ahead[:, time], states))
            if self.shown is not None:
                fresh = (self.shown[: len(x), time], *fresh[1:])  # of the first rows, where no more are asked for
            if counts is not None:
                places = counts[:, time].reshape((-1,) + (1,) * (fresh[0].ndim - 1))
                fresh = tuple(np.where(places, new, old) for new, old in zip(fresh, states, strict=True))
            states = fresh
            found.append(states)
        return tuple(np.stack(parts, axis=1) for parts in zip(*found, strict=True))


def walked_states(step: Any, actual: Array, precision: Precision) -> WalkedStates:
    """Those of one step, from what the port gave for it."""
    is_shown = isinstance(step, Recurrent) and step.return_sequences and not step.masked and not step.channels_first
    return WalkedStates(precision, actual if is_shown else None)


def own_states(step: Any, fed: tuple[Array, ...], actual: Array, precision: Precision) -> WalkedStates | None:
    """Those of a layer whose only state is what it gives after every time step; None for any other."""
    states = walked_states(step, actual, precision)
    if states.shown is None or actual.shape[:2] != fed[0].shape[:2] or len(step.cell.begin(fed[0][:1, 0])) != 1:
        return None
    return states
