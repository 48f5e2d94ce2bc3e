"""Rows of a table, and the masks that follow from what was looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.trace import LayerTrace

Array = NDArray[Any]


class WordError(IndexError):
    """A number that a table has no row for."""


@dataclass(frozen=True)
class Embedding:
    """table[x]; table (words, features). Source: Keras 2 documentation, Embedding."""

    name: str
    inputs: tuple[str, ...]
    table: Array
    dtype: Any = np.float64

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) of whole numbers to (rows, ..., features).

        Raises:
            WordError: a number that the table has no row for.
        """
        index = x.astype(np.int64)
        if index.size and (index.min() < 0 or index.max() >= len(self.table)):
            raise WordError(f"{self.name}: word {index.min()} to {index.max()}, the table has {len(self.table)} rows")
        return LayerTrace(self.name, self.table.astype(self.dtype)[index])
