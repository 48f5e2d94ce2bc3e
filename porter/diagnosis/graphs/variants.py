"""Every hypothesis on how a step is configured, by family; wrappers take those of what they wrap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

from porter.diagnosis.graphs.arguments import interpolations, settings
from porter.diagnosis.graphs.functions import activations, followers, slopes
from porter.diagnosis.graphs.graph import edges, modes, moves
from porter.diagnosis.graphs.normalization import epsilons
from porter.diagnosis.graphs.recurrence import directions, exchanged_functions, halves, inner_functions, reset_gates
from porter.diagnosis.graphs.windows import dilations, paddings, pooling_kinds, pooling_windows, strides
from porter.examination.graphs.suspect import Suspect, Variant
from reference.operations.bidirectional import Bidirectional
from reference.operations.part import Part
from reference.operations.time_distributed import TimeDistributed

Family = Callable[[Suspect, Any], Iterator[Variant]]

FAMILIES: tuple[Family, ...] = (
    edges, modes, moves, epsilons, activations, slopes, paddings, strides, dilations, pooling_kinds, pooling_windows,
    reset_gates, directions, halves, exchanged_functions, inner_functions, interpolations, settings, followers,
)  # fmt: skip


def variants(family: Family, suspect: Suspect, step: Any) -> Iterator[Variant]:
    """What one family says of a step, or of the step or steps inside it."""
    if isinstance(step, Part):
        for one in variants(family, suspect, step.step):
            yield replace(one, step=replace(step, step=one.step), undo=None)
    elif isinstance(step, TimeDistributed) and hasattr(step.inner, "inputs") and not hasattr(step.inner, "steps"):
        inside = replace(suspect, shapes={}, seen=())
        for one in variants(family, inside, step.inner):
            if one.prepare is None and one.undo is None:
                yield replace(one, step=replace(step, inner=one.step))
    else:
        yield from family(suspect, step)
        if isinstance(step, Bidirectional):
            for one, other in zip(family(suspect, step.forward), family(suspect, step.backward), strict=False):
                if one.undo is None:
                    yield replace(one, step=replace(step, forward=one.step, backward=other.step))


def singles(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Each hypothesis alone."""
    for family in FAMILIES:
        yield from variants(family, suspect, step)


def pairs(suspect: Suspect, step: Any) -> Iterator[tuple[Variant, Variant]]:
    """Two hypotheses of different families, the second on the step as the first makes it."""
    for first, second in combinations(FAMILIES, 2):
        for one in variants(first, suspect, step):
            for two in variants(second, suspect, one.step):
                if one.prepare is None or two.prepare is None:
                    both = replace(two, prepare=one.prepare or two.prepare, undo=one.undo or two.undo)
                    yield one, both
