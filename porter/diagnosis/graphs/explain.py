"""From a suspect step to its causes: arrays first, then how it is configured, alone and in pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.diagnosis.activations import is_same, replaced_in_places
from porter.diagnosis.graphs.arrays import ArrayReading, effective, explain_arrays, merge_readings
from porter.diagnosis.graphs.hidden import with_arrays_read_out
from porter.diagnosis.graphs.variants import pairs, singles
from porter.diagnosis.layers import Diagnosis
from porter.diagnosis.scalings import explain_scaling
from porter.examination.compare import Comparison
from porter.examination.functions import ALONE
from porter.examination.graphs.suspect import Seen, Suspect, Variant, differing
from porter.examination.pasting import activated, quoted
from reference.activations import Activation
from reference.operations.elementwise import Elementwise
from reference.operations.scaling import Scaling

Array = NDArray[Any]

MOST_PAIRS = 3000
"""Pairs of hypotheses that are tried."""
WINDOWS = ("padding", "strides")
"""Mistakes by which a layer's windows stand elsewhere."""
LARGEST = 2**17
"""Numbers that a step may give for pairs to be tried at all."""
CLOSE = 1.5
"""Explanations whose errors differ by less than this factor are as good as each other; the first is taken."""


Fit = tuple[tuple[Variant, ...], Comparison]


@dataclass(frozen=True)
class FileLayer:
    """A layer of the file, by name."""

    name: str


def explain_step(suspect: Suspect, before: Comparison) -> Diagnosis:
    """Name what is wrong with a step.

    Args:
        suspect: the step.
        before: as it was judged.
    """
    if suspect.trained:
        return _without_training(suspect, before)
    if isinstance(suspect.step, Scaling) and suspect.alone is not None:
        return _scaled(suspect, suspect.alone, before)
    if before.where.startswith(ALONE):
        return Diagnosis((_replaced_in_places(suspect, before),), before, before, 0)
    alone = _configured_alone(suspect, before)
    if alone is not None:
        return alone
    suspect, moved = _read_out(suspect)
    readings = explain_arrays(suspect)
    causes = (*moved, *merge_readings(readings))
    step = effective(suspect, readings)
    after, tried = suspect.judge(step), sum(reading.tried for reading in readings)
    twins = tuple(twin for reading in readings for twin in reading.twins)
    if not after.is_parity:
        found = _configured(suspect, step, before)
        tried += found.tried
        causes = _without_repeats((*causes, *found.causes))
        after, twins = found.after or after, (*twins, *found.twins)
    if not after.is_parity or not causes:
        causes = (*causes, _unexplained(suspect, before))
    return Diagnosis(causes, before, after, tried, twins, source=_source(causes, readings))


def _scaled(suspect: Suspect, alone: Callable[[Array, str], Seen], before: Comparison) -> Diagnosis:
    """What the port scales by, found from rows of its own."""
    others = tuple(s for s in suspect.program.steps if isinstance(s, Scaling) and s.name != suspect.name)
    unit = suspect.precision.format.unit
    found = explain_scaling(suspect.step, lambda rows: alone(rows, "a grid").actual, unit, others)
    remedy = f"take porter.build(network).get_layer({quoted(suspect.name)}) in its place"
    return Diagnosis((replace(found.cause, remedy=remedy),), before, before, found.tried)


def _replaced_in_places(suspect: Suspect, before: Comparison) -> Cause:
    own = getattr(suspect.step, "activation", None)
    remedy = f"give {suspect.layer} the activations that the file has"
    if isinstance(own, Activation):
        is_apart = len(suspect.layers) > 1 or isinstance(suspect.step, Elementwise)
        remedy = activated(suspect.layer, own.name, own.parameters, is_apart)
    return replaced_in_places(suspect.name, own, before, remedy)


def _without_training(suspect: Suspect, before: Comparison) -> Diagnosis:
    """What runs in training mode is named and calmed; then the rest is explained by itself."""
    names = ", ".join(suspect.trained)
    cause = Cause(
        "mode.training", suspect.name, f"{names} was called with training=True", f"call {names} without training=True"
    )
    calm = replace(suspect, seen=suspect.calm, trained=())
    after = calm.judge(suspect.step)
    if after.is_parity and not any(reading.causes for reading in explain_arrays(calm)):
        return Diagnosis((cause,), before, after, 1)
    found = explain_step(calm, after)
    return replace(found, causes=(cause, *found.causes), before=before)


def _configured_alone(suspect: Suspect, before: Comparison) -> Diagnosis | None:
    """A step that hides its arrays, explained by how it is configured: that needs no digit of them."""
    if suspect.found or all(slot.array is None for slot in suspect.slots):
        return None
    tried, fits = _fitting(suspect, ((one,) for one in singles(suspect, suspect.step)), before)
    if not fits or not _best(fits)[1].is_parity:
        return None
    found = _told(suspect, fits, tried)
    assert found.after is not None
    return Diagnosis(found.causes, before, found.after, tried, found.twins)


def _is_shaped(suspect: Suspect, step: Any) -> bool:
    """Whether a step gives arrays of the shape that the port's layer gives."""
    part = suspect.seen[0]
    try:
        given = step(*(part.fed[name][:1] for name in step.inputs)).outputs
    except (KeyError, ValueError, IndexError, TypeError):  # it does not take what the layer takes
        return False
    return bool(np.shape(given)[1:] == part.actual.shape[1:])


def _read_out(suspect: Suspect) -> tuple[Suspect, tuple[Cause, ...]]:
    """The suspect with arrays that it hides, and what is wrong with its windows where they are read out of others."""
    read = with_arrays_read_out(suspect)
    if read.found or all(slot.array is None for slot in suspect.slots):
        return read, ()
    for one in singles(suspect, suspect.step):
        if one.code in WINDOWS and one.prepare is None and one.undo is None and _is_shaped(suspect, one.step):
            read = with_arrays_read_out(replace(suspect, step=one.step))
            if read.found:
                return read, (Cause(one.code, suspect.name, one.message, one.remedy),)
    return suspect, ()


@dataclass(frozen=True)
class _Configured:
    """What is wrong with how a step is configured."""

    causes: tuple[Cause, ...] = ()
    after: Comparison | None = None
    tried: int = 0
    twins: tuple[str, ...] = ()


def _configured(suspect: Suspect, step: Any, before: Comparison) -> _Configured:
    """The hypotheses under which the step gives what the port gives: single ones, and pairs if there are none."""
    tried, fits = _fitting(suspect, ((one,) for one in singles(suspect, step)), before)
    size = sum(part.actual.size // max(len(part.actual), 1) for part in suspect.seen)
    if not fits and size <= LARGEST:
        more, fits = _fitting(suspect, pairs(suspect, step), before, most=MOST_PAIRS)
        tried += more
    return _told(suspect, fits, tried) if fits else _Configured(tried=tried)


def _told(suspect: Suspect, fits: Sequence[Fit], tried: int) -> _Configured:
    """The best explanation, and the others that are as good."""
    best, after = _best(fits)
    twins = tuple(_said(other) for other, _ in fits if _is_other(best, other))
    causes = tuple(Cause(one.code, suspect.name, one.message, one.remedy) for one in best)
    return _Configured(causes, after, tried, tuple(dict.fromkeys(twins)))


def _fitting(
    suspect: Suspect, options: Iterable[tuple[Variant, ...]], before: Comparison, most: int = 10**9
) -> tuple[int, list[Fit]]:
    tried, fits = 0, list[Fit]()
    for tried, option in enumerate(options, start=1):
        if suspect.fits(option[-1]) and _explains(after := suspect.judge(option[-1]), before):
            fits.append((option, after))
            if len(option) > 1 and len(fits) > 3:
                break
        if tried >= most:
            break
    return tried, fits


def _explains(after: Comparison, before: Comparison) -> bool:
    """Whether the error falls, and to less than a bound that the mistake itself would have kept to."""
    return not before.exceeding or (after.error < before.error and after.allowed < before.error)


def _best(fits: Sequence[Fit]) -> Fit:
    least = min(after.error for _, after in fits)
    return next(fit for fit in fits if fit[1].error <= CLOSE * least)


def _said(option: tuple[Variant, ...]) -> str:
    return " and ".join(one.message for one in option)


def _is_other(best: tuple[Variant, ...], other: tuple[Variant, ...]) -> bool:
    """Whether another explanation says something else, and not the same in other words."""
    if [one.code for one in best] != [one.code for one in other]:
        return True
    functions = [getattr(option[-1].step, "activation", None) for option in (best, other)]
    mine, theirs = functions
    return isinstance(mine, Activation) and isinstance(theirs, Activation) and not is_same(mine, theirs)


def _without_repeats(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    return tuple({(cause.code, cause.layer, cause.message): cause for cause in causes}.values())


def _source(causes: Sequence[Cause], readings: Sequence[ArrayReading]) -> FileLayer | None:
    """The layer whose arrays it has, where that is another."""
    if not causes or causes[0].code != "layers.swapped":
        return None
    return next((FileLayer(one.source) for one in readings if one.causes and one.source is not None), None)


def _unexplained(suspect: Suspect, before: Comparison) -> Cause:
    alone = Comparison() if suspect.functions is None or differing(suspect) else suspect.functions()
    if alone.exceeding:
        return _replaced_in_places(suspect, alone)
    names = ", ".join(suspect.layers) or suspect.name
    detail = f"the worst element is {before.actual:.9g} for {before.expected:.9g}" if before.exceeding else ""
    message = "rounding does not explain the difference, and nothing that was tried does"
    return Cause("unexplained", suspect.name, message, f"compare {names} with {suspect.name} by hand", detail)
