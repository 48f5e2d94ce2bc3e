"""What became of one step of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from porter.examination.compare import Comparison
from porter.examination.graphs.suspect import Suspect
from porter.examination.judged import UNKNOWN, JudgedStep
from reference.precision import Precision

Compare = Callable[[Any, tuple[NDArray[Any], ...], NDArray[Any], str], Comparison]


@dataclass(frozen=True, kw_only=True)
class Judged(JudgedStep):
    """A step of a graph with what was seen of it.

    Attributes:
        precision: in which the port computes it.
        names: of the port's layers.
        suspect: the step with all that a diagnosis needs; None where it was not compared.
        whole_differs: code of the mistake, where the port called as a whole gives something else than its layers one by
            one; told by the last step.
        masked: names of the masks that are judged with it and masked something.
        form: how the port writes its activation, where that is another way to write the same.
        is_far: whether nothing but rows far outside of what a network reaches shows what is wrong.
        compare: how it is compared, where that is not the suspect's own way.
    """

    precision: Precision = UNKNOWN
    names: tuple[str, ...] = ()
    suspect: Suspect | None = None
    whole_differs: str = ""
    masked: frozenset[str] = frozenset()
    form: str = ""
    is_far: bool = False
    compare: Compare | None = None
