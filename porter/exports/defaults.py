"""A file as its runtime runs it unless it is told otherwise, beside its operations one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import compare_outputs
from porter.ports.file_port import FilePort

Array = NDArray[Any]


@dataclass(frozen=True)
class Defaults:
    """The file as its runtime runs it unless it is told otherwise, beside its operations one by one.

    Attributes:
        same: whether it gave the same bits.
        largest: the largest difference.
        exceeding: how many elements lie outside the end-to-end bound; None where no bound could be held against them.
        allowed: the bound at the worst element.
    """

    same: bool
    largest: float = 0.0
    exceeding: int | None = None
    allowed: float = 0.0


def hold_defaults(port: FilePort, rows: Array, sides: Callable[[], tuple[Array, Array | None]]) -> Defaults:
    """Run the whole file as anybody would.

    Args:
        port: of one output.
        rows: (rows, columns) of the network's inputs, as the port takes them.
        sides: gives (rows, n) what the reference makes of them, and the end-to-end bound, or None where there is none;
            asked for where the bits differ alone.
    """
    own = np.asarray(port(rows)[0])
    usual = np.asarray(port.file.call([rows])[port.picked])
    if own.dtype == usual.dtype and own.shape == usual.shape and own.tobytes() == usual.tobytes():
        return Defaults(same=True)
    with np.errstate(invalid="ignore"):
        gap = usual.astype(np.float64) - own.astype(np.float64) if usual.shape == own.shape else np.array([np.inf])
    largest = float(np.nanmax(np.abs(gap), initial=0.0))
    expected, allowed = sides()
    if allowed is None:
        return Defaults(same=False, largest=largest)
    found = compare_outputs(expected, usual.astype(np.float64).reshape(len(usual), -1), allowed)
    return Defaults(False, largest, found.exceeding, found.allowed)
