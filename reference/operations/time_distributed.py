"""A layer applied at every time step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class TimeDistributed:
    """The same step or program on every time step alone. Source: Keras 2 documentation, TimeDistributed."""

    name: str
    inputs: tuple[str, ...]
    inner: Any

    def __call__(self, x: Array, *rest: Array) -> LayerTrace:
        """(rows, steps, ...) to (rows, steps, ...)."""
        rows, steps = x.shape[:2]
        flat = x.reshape((rows * steps, *x.shape[2:]))
        result = self.inner(flat)
        outputs = result.outputs if isinstance(result, LayerTrace) else result[0]
        return LayerTrace(self.name, outputs.reshape((rows, steps, *outputs.shape[1:])))
