"""A recurrent layer in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.operations.recurrent import Recurrent
from reference.trace import LayerTrace

Array = NDArray[Any]


MergeMode = Literal["concat", "sum", "mul", "ave"]


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
