"""Rows on which the conditions of somebody's own code turn, for a step that agrees on all others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison
from porter.examination.judging import Refused, judge
from porter.ports.blocks import Asked, Block

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


def judge_on_conditions(
    step: Any, block: Block, seen: Sequence[Array], sets: dict[str, Array]
) -> tuple[dict[str, Comparison], str]:
    """A step where the conditions of the port's own code turn, whose rows are added to its probes.

    Returns:
        What came of it by the name of the rows; and why nothing is known of a condition, or "".
    """
    conditions = block.conditions
    if conditions is None:
        return {}, ""
    rows = [each.reshape(len(each), -1) for (each,) in rows_met(conditions, [(each,) for each in seen])]
    if not rows:
        return {}, conditions.left_open()
    sets[MET] = np.concatenate(rows)
    try:
        found = judge(step, block.run, sets[MET], block.precision, MET, is_far=True)
    except Refused:
        return {}, conditions.left_open()
    quiet = found if found.exceeding else replace(found, ratio=-1.0)
    return {MET: replace(quiet, coarseness=np.inf)}, conditions.left_open()
