"""What became of one step of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from porter.examination.compare import Comparison
from porter.examination.graphs.suspect import Suspect
from reference.precision import Precision

Compare = Callable[[Any, tuple[NDArray[Any], ...], NDArray[Any], str], Comparison]


@dataclass(frozen=True)
class Judged:
    """One step with what was seen of it.

    Attributes:
        step: of the legacy program.
        comparison: over everything that it was fed with.
        verdict: as in ``LayerRow``.
        precision: in which the port computes it.
        names: of the port's layers.
        cumulative: the largest error end to end, or None.
        weights_differ: how many exposed weights are not the cast of the stored ones.
        reason: why it was not compared.
        suspect: the step with all that a diagnosis needs; None where it was not compared.
        whole_differs: code of the mistake, where the port called as a whole gives something else than its layers one by
            one; told by the last step.
        masked: names of the masks that are judged with it and masked something.
        would_show: codes of the mistakes that would have exceeded the bound, where they were tried: at small layers.
        form: how the port writes its activation, where that is another way to write the same.
        is_far: whether nothing but rows far outside of what a network reaches shows what is wrong.
        compare: how it is compared, where that is not the suspect's own way.
    """

    step: Any
    comparison: Comparison
    verdict: str
    precision: Precision
    names: tuple[str, ...]
    cumulative: float | None
    weights_differ: int = 0
    reason: str = ""
    suspect: Suspect | None = None
    whole_differs: str = ""
    masked: frozenset[str] = frozenset()
    would_show: tuple[str, ...] = ()
    form: str = ""
    is_far: bool = False
    compare: Compare | None = None
