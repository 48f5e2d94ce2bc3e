"""Column-wise transforms between physical units and what a network takes or gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]

FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "cos_degrees": lambda x: np.cos(np.deg2rad(x)),
    "log10": np.log10,
    "ln": np.log,
    "pow10": lambda x: np.power(np.asarray(10, x.dtype), x),
    "exp": np.exp,
    "sqrt": np.sqrt,
    "root4": lambda x: np.sqrt(np.sqrt(x)),
    "root8": lambda x: np.sqrt(np.sqrt(np.sqrt(x))),
    "square": np.square,
    "pow4": lambda x: np.square(np.square(x)),
    "pow8": lambda x: np.square(np.square(np.square(x))),
    "relu_square": lambda x: np.square(np.maximum(x, 0)),
    "relu": lambda x: np.maximum(x, 0),
    "cos": np.cos,
}


@dataclass(frozen=True)
class Transform:
    """One function a column.

    Attributes:
        name: ``Transform_in`` or ``Transform_out``.
        inputs: the step whose outputs it takes, in a tuple of one.
        functions: one name of ``FUNCTIONS`` a column.
        dtype: in which the arithmetic is done.
    """

    name: str
    inputs: tuple[str, ...]
    functions: tuple[str, ...]
    dtype: Any = np.float64

    @property
    def width(self) -> tuple[int, int]:
        """(inputs, outputs)."""
        return len(self.functions), len(self.functions)

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, n) to (rows, n)."""
        outputs = np.array(x, dtype=self.dtype)
        with np.errstate(all="ignore"):
            for name in set(self.functions):
                columns = np.array([function == name for function in self.functions])
                outputs[:, columns] = FUNCTIONS[name](outputs[:, columns])
        return LayerTrace(self.name, outputs)
