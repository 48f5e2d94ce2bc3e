"""Steps that make one array of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.limits import check_size
from reference.trace import LayerTrace

Array = NDArray[Any]


Mode = Literal["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"]


def merge(arrays: tuple[Array, ...], mode: Mode, axis: int = -1) -> Array:
    """Arrays of like shape, or of shapes that broadcast as Keras 2 does: missing axes are put after the rows.

    Source: Keras 2 documentation, merge layers; layers/merge.py, _Merge.call.
    """
    if mode == "concatenate":
        check_size("an array put together", sum(array.size for array in arrays))
        return np.concatenate(arrays, axis=axis)
    most = max(array.ndim for array in arrays)
    arrays = tuple(a.reshape((len(a),) + (1,) * (most - a.ndim) + a.shape[1:]) for a in arrays)
    check_size("a merged array", *np.broadcast_shapes(*(array.shape for array in arrays)))
    if mode == "subtract":
        return arrays[0] - arrays[1]
    fold = {"multiply": np.multiply, "maximum": np.maximum, "minimum": np.minimum}.get(mode, np.add)
    total = arrays[0]
    for array in arrays[1:]:
        total = fold(total, array)
    return np.asarray(total / len(arrays) if mode == "average" else total)


@dataclass(frozen=True)
class Merge:
    """Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, and the modes of Keras 1 by those names."""

    name: str
    inputs: tuple[str, ...]
    mode: Mode
    axis: int = -1
    dtype: Any = np.float64

    def __call__(self, *arrays: Array) -> LayerTrace:
        """Arrays of (rows, ...) to one."""
        with np.errstate(over="ignore", invalid="ignore"):
            cast = tuple(array.astype(self.dtype, copy=False) for array in arrays)
            return LayerTrace(self.name, merge(cast, self.mode, self.axis))
