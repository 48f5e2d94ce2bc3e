"""Plain arithmetic on arrays, with constants where a formula has them: what was written out between layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]

FUNCTIONS: Mapping[str, Callable[..., Array]] = {
    "abs": np.abs,
    "add": lambda *arrays: np.asarray(sum(arrays[1:], start=arrays[0])),
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "cube": lambda x: x * x * x,
    "divide": np.divide,
    "matmul": np.matmul,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "negative": np.negative,
    "reciprocal": lambda x: np.divide(np.asarray(1, x.dtype), x),
    "rsqrt": lambda x: np.divide(np.asarray(1, x.dtype), np.sqrt(x)),
    "sqrt": np.sqrt,
    "square": np.square,
    "squared_difference": lambda x, y: np.square(x - y),
    "subtract": np.subtract,
}


@dataclass(frozen=True)
class Arithmetic:
    """One function of ``FUNCTIONS``.

    Attributes:
        name: legacy name.
        inputs: the steps whose outputs it takes.
        function: key of ``FUNCTIONS``.
        operands: of the function, in its order: the number of an input, or a constant array.
        dtype: in which the arithmetic is done.

    Source: TensorFlow documentation, tf.math.
    """

    name: str
    inputs: tuple[str, ...]
    function: str
    operands: tuple[int | Array, ...]
    dtype: Any = np.float64

    def fill_in(self, arrays: Sequence[Array]) -> list[Array]:
        """The operands, with the arrays in their places."""
        return [
            (arrays[each] if isinstance(each, int) else each).astype(self.dtype, copy=False) for each in self.operands
        ]

    def __call__(self, *arrays: Array) -> LayerTrace:
        """(rows, ...) each, spread over each other, to (rows, ...)."""
        with np.errstate(all="ignore"):
            return LayerTrace(self.name, np.asarray(FUNCTIONS[self.function](*self.fill_in(arrays)), self.dtype))


REDUCTIONS: Mapping[str, Callable[..., Array]] = {"max": np.max, "mean": np.mean, "min": np.min, "sum": np.sum}


@dataclass(frozen=True)
class Reduction:
    """A mean, a sum, the least or the greatest along axes; never along the rows.

    Source: TensorFlow documentation, tf.math.reduce_mean.
    """

    name: str
    inputs: tuple[str, ...]
    function: str
    axes: tuple[int, ...]
    keeps: bool = False
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to (rows, ...) of fewer axes, or of length 1 along them."""
        reduce = REDUCTIONS[self.function]
        return LayerTrace(
            self.name, np.asarray(reduce(x.astype(self.dtype, copy=False), axis=self.axes, keepdims=self.keeps))
        )


@dataclass(frozen=True)
class Stack:
    """Arrays of one shape side by side along a new axis."""

    name: str
    inputs: tuple[str, ...]
    axis: int
    dtype: Any = np.float64

    def __call__(self, *arrays: Array) -> LayerTrace:
        """(rows, ...) each to (rows, ..., count, ...)."""
        return LayerTrace(self.name, np.stack([array.astype(self.dtype, copy=False) for array in arrays], self.axis))
