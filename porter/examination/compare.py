"""Expected against actual, element by element, within what rounding can explain: pure, silent, total."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.power import measure_coarseness

Array = NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """The outcome of one or more comparisons of the same step.

    Attributes:
        elements: how many were compared.
        exceeding: how many lie outside their allowed error.
        ratio: the largest error over allowed error; above 1 rounding cannot explain it.
        error: absolute error of that element.
        allowed: its allowed error.
        expected: its value on the reference's side.
        actual: its value on the port's side.
        where: which element it is, for people.
        index: (row, unit) of it within its probe set.
        span: the largest magnitude expected of its unit, to which a relative tolerance would refer.
        by_platform: elements that only a known inaccuracy of the platform explains.
        inevitable: elements left out because the port's dtype cannot hold the reference's own value.
        unbounded: elements left out because a partial sum of theirs may overflow in the port's dtype.
        overflowed: elements left out far outside a network's range, where the port's way to write the step overflows
            and the reference's does not.
        coarseness: the allowed error as a share of the range of what the step gives, as ``measure_coarseness`` has it;
            of several sets of probes, that of the most telling one.
    """

    elements: int = 0
    exceeding: int = 0
    ratio: float = 0.0
    error: float = 0.0
    allowed: float = 0.0
    expected: float = 0.0
    actual: float = 0.0
    where: str = ""
    index: tuple[int, ...] = ()
    span: float = 0.0
    by_platform: int = 0
    inevitable: int = 0
    unbounded: int = 0
    overflowed: int = 0
    coarseness: float = float("inf")

    @property
    def is_parity(self) -> bool:
        """Something was compared, and nothing exceeds what is allowed."""
        return self.elements > 0 and self.exceeding == 0

    @property
    def rtol(self) -> float:
        """The tolerance, relative to the unit's largest value, that would have passed the worst element."""
        return self.error / self.span if self.span > 0 else float("inf") if self.error > 0 else 0.0


def compare_outputs(
    expected: Array, actual: Array, allowed: Array, *, probes: str = "rows", unheld: Array | None = None,
    first_row: int = 0, first_place: int = 0, may_overflow: Array | bool = False,
) -> Comparison:  # fmt: skip
    """Compare two arrays of one shape.

    Args:
        expected: (rows, ...) from the reference.
        actual: (rows, ...) from the port, any float dtype.
        allowed: (rows, ...) what rounding can explain; an element where it is inf cannot be judged and is left out.
        probes: what the rows are, for ``where``.
        unheld: (rows, ...) bool: where the port's dtype cannot hold what the reference itself computes; overflow
            is inevitable there, and the element is left out, as is one where the reference is not finite.
        first_row: the number of the first row among its probes, where this is one block of them.
        first_place: the same along the second axis.
        may_overflow: where a formula written out may overflow and another does not, far outside a network's range: an
            element that is no number there on the port's side alone is counted and left out. Broadcasts to (rows, ...).

    A NaN on one side only, or an infinity that the other side does not share, exceeds every bound.
    """
    if expected.shape != actual.shape:
        return Comparison(
            elements=max(expected.size, 1), exceeding=max(expected.size, 1), ratio=float("inf"),
            error=float("inf"), where=f"shape {actual.shape} for {expected.shape}",
        )  # fmt: skip
    if expected.size == 0:
        return Comparison()
    wide = np.asarray(actual, dtype=np.float64)
    with np.errstate(all="ignore"):
        error = np.abs(wide - expected)
        if _is_plain(error, allowed, unheld):
            unbounded = inevitable = overflowed = np.zeros((), bool)
            ratio = np.divide(error, allowed, out=np.zeros(error.shape), where=error > 0)
        else:
            same = (wide == expected) | (np.isnan(wide) & np.isnan(expected))
            error = np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))
            unbounded = np.isinf(allowed)
            inevitable = ~np.isfinite(expected) | (False if unheld is None else unheld)
            overflowed = ~np.isfinite(wide) & ~inevitable & ~unbounded & may_overflow
            ratio = np.where(error == 0, 0.0, np.where(allowed > 0, error / allowed, np.inf))
            ratio = np.where(np.isnan(ratio) | (np.isinf(error) & np.isfinite(allowed)), np.inf, ratio)
            ratio = np.where(inevitable | unbounded | overflowed, 0.0, ratio)
    index = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    inner = [int(i) for i in index[1:]]
    place = (first_row + int(index[0]), *(i + first_place * (at == 0) for at, i in enumerate(inner)))
    unit = np.abs(expected.reshape(len(expected), -1)[:, int(np.ravel_multi_index(index[1:], ratio.shape[1:]))])
    return Comparison(
        elements=int(ratio.size - np.count_nonzero(inevitable | unbounded | overflowed)),
        exceeding=int(np.count_nonzero(ratio > 1)),
        ratio=float(ratio[index]),
        error=float(error[index]),
        allowed=float(allowed[index]),
        expected=float(expected[index]),
        actual=float(wide[index]),
        where=f"{probes}, row {place[0]}, unit {', '.join(str(i) for i in place[1:])}",
        index=place,
        span=float(np.max(unit[np.isfinite(unit)], initial=0.0)),
        inevitable=int(np.count_nonzero(inevitable)),
        unbounded=int(np.count_nonzero(unbounded & ~inevitable)),
        overflowed=int(np.count_nonzero(overflowed)),
        coarseness=measure_coarseness(expected, allowed, inevitable if inevitable.ndim else None),
    )


def _is_plain(error: Array, allowed: Array, unheld: Array | None) -> bool:
    """Whether every number is finite, and none is left out: nearly always, and much cheaper."""
    return bool(
        np.isfinite(np.max(error)) and np.isfinite(np.max(allowed)) and np.min(allowed) >= 0
        and (unheld is None or not unheld.any())
    )  # fmt: skip


def merge_comparisons(comparisons: Iterable[Comparison]) -> Comparison:
    """One comparison over all the elements of several; the worst element is that of the worst."""
    every = list(comparisons)
    if not every:
        return Comparison()
    worst = max(every, key=lambda one: (one.ratio, one.error))
    return replace(
        worst,
        elements=sum(one.elements for one in every),
        exceeding=sum(one.exceeding for one in every),
        by_platform=sum(one.by_platform for one in every),
        inevitable=sum(one.inevitable for one in every),
        unbounded=sum(one.unbounded for one in every),
        overflowed=sum(one.overflowed for one in every),
        coarseness=min(one.coarseness for one in every),
    )
