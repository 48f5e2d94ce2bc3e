"""Several steps judged as one: where an implementation has no tensor between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import Precision
from reference.rounding import allowed_error, register
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

    def rounding(self, arrays: tuple[Array, ...], precision: Precision) -> Array:
        """The last step's bound where the steps before it are exact; unbounded where they are not."""
        traces = self._traces(arrays)
        before = zip(self.steps[:-1], traces[:-1], strict=True)
        exact = all(not np.any(allowed_error(step, fed, trace, precision)) for step, (fed, trace) in before)
        fed, trace = traces[-1]
        return allowed_error(self.steps[-1], fed, trace, precision) if exact else np.full(trace.outputs.shape, np.inf)


register(Together, lambda step, inputs, trace, precision, input_error: step.rounding(inputs, precision))
