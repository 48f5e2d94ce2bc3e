"""One of several outputs of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from reference.operations.bidirectional import Bidirectional
from reference.trace import LayerTrace

Array = NDArray[Any]


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
