"""What a user puts in the place of a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class Replacement:
    """What the user put in the place of a layer that this package does not run: a function of arrays."""

    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Array]

    def __call__(self, *arrays: Array) -> LayerTrace:
        """Whatever the user's function takes and gives."""
        return LayerTrace(self.name, np.asarray(self.function(*arrays)))
