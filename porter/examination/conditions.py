"""Rows on which the conditions of somebody's own code turn, for a step that agrees on all others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.ports.blocks import Asked

Array = NDArray[Any]

MET = "rows on which the port's own conditions turn"


def rows_met(conditions: Asked, seen: Iterable[Sequence[Array]]) -> tuple[tuple[Array, ...], ...]:
    """Rows that have conditions answer as no row so far had them.

    Args:
        conditions: of a piece of a port.
        seen: (rows, ...) for each tensor that it takes, that were compared already.
    """
    for rows in seen:
        conditions.see(*rows)
    return tuple(conditions.rows(np.random.default_rng(0)))
