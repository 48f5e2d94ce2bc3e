"""Several steps judged as one: where an implementation has no tensor between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import Precision
from reference.rounding.bounds import allowed_error, register
from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class Together:
    """Steps that feed each other; the last one's name and output are those of all.

    Attributes:
        name: of the last step.
        inputs: what the steps take from outside.
        steps: in order of computation.
    """

    name: str
    inputs: tuple[str, ...]
    steps: tuple[Any, ...]

    def __call__(self, *arrays: Array) -> LayerTrace:
        """The last step's trace."""
        return self._traces(arrays)[-1][1]

    def values(self, arrays: tuple[Array, ...]) -> dict[str, Array]:
        """What each step gives, by name."""
        return {trace.name: trace.outputs for _, trace in self._traces(arrays)}

    def _traces(self, arrays: tuple[Array, ...]) -> list[tuple[tuple[Array, ...], LayerTrace]]:
        """What each step was fed with, and what it made of it."""
        values = dict(zip(self.inputs, arrays, strict=True))
        found = []
        for step in self.steps:
            fed = tuple(values[name] for name in step.inputs)
            trace = step(*fed)
            values[step.name] = trace.outputs
            found.append((fed, trace))
        return found

    def fed_last(self, arrays: tuple[Array, ...], precision: Precision) -> tuple[Array, ...]:
        """What the last step is fed with.

        Raises:
            KeyError: a step before it rounds.
        """
        traces = self._traces(arrays)
        if not self._is_exact(traces, precision):
            raise KeyError(f"what comes before {self.name} is rounded")
        return traces[-1][0]

    def _is_exact(self, traces: list[tuple[tuple[Array, ...], LayerTrace]], precision: Precision) -> bool:
        before = zip(self.steps[:-1], traces[:-1], strict=True)
        return all(not np.any(allowed_error(step, fed, trace, precision)) for step, (fed, trace) in before)

    def rounding(self, arrays: tuple[Array, ...], precision: Precision) -> Array:
        """The last step's bound where the steps before it are exact; unbounded where they are not."""
        traces = self._traces(arrays)
        fed, trace = traces[-1]
        if not self._is_exact(traces, precision):
            return np.full(trace.outputs.shape, np.inf)
        return allowed_error(self.steps[-1], fed, trace, precision)


register(Together, lambda step, inputs, trace, precision, input_error: step.rounding(inputs, precision))
