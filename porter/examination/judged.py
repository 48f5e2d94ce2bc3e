"""What became of one step of a program, whatever runs the port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from porter.examination.compare import Comparison
from porter.examination.power import has_power
from reference.precision import Precision

UNKNOWN = Precision("float32", "float32")
"""Of a step that the port has nothing for."""


@dataclass(frozen=True)
class JudgedStep:
    """One step of the legacy program with its verdict.

    Attributes:
        step: as judged (a scaling folded in, or its units reordered, where the port has it so).
        verdict: as in ``LayerRow``.
        comparison: over everything that was seen of it.
        cumulative: the largest error end to end, or None.
        weights_differ: how many exposed weights are not the cast of the stored ones.
        would_show: codes of the mistakes that would have exceeded the bound, where they were tried.
        reason: why it was not compared, where it was not.
    """

    step: Any
    verdict: str
    comparison: Comparison = field(default_factory=Comparison)
    cumulative: float | None = None
    weights_differ: int = 0
    would_show: tuple[str, ...] = ()
    reason: str = ""

    @property
    def name(self) -> str:
        """Row name."""
        return str(self.step.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the port's layers that compute it."""
        return (self.name,)

    @property
    def precision(self) -> Precision:
        """In which the port computes it."""
        return UNKNOWN


def verdict_of(
    found: Comparison, differ: int, precision: Precision, tried: Sequence[str], shown: Sequence[str], hidden: str = ""
) -> tuple[str, str]:
    """The verdict over everything that was seen, and why it is none: agreement within a loose bound says nothing.

    Args:
        found: over everything.
        differ: how many exposed weights are not the cast of the stored ones.
        precision: in which the port computes.
        tried: codes of the mistakes that were tried.
        shown: of those, which would have exceeded the bound.
        hidden: what the port does not show, as the end of a sentence.
    """
    if found.elements == 0:
        return "uncompared", "no element could be compared"
    if not found.is_parity or differ:
        return "mismatch", ""
    if not has_power(found.coarseness, precision):
        share = f"{found.coarseness:.2g} of the range of what it gives"
        return "uncompared", f"the bound says nothing here: rounding in {precision.compute} may come to {share}{hidden}"
    if tried and not shown:
        return "uncompared", f"the bound says nothing here: {', '.join(tried)} would have stayed within it"
    return "parity", ""
