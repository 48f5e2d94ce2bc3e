"""What is wrong with the arrays that a port shows, each explained by the file's, then all of a layer together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.diagnosis.graphs.graph import is_last, layer_before
from porter.diagnosis.graphs.layouts import layouts
from porter.diagnosis.kernels import describe_constant, describe_relation, initial_values
from porter.diagnosis.matching import UNCHANGED, Layout, Match, match_layouts, number_changes
from porter.examination.graphs.slots import NEUTRAL, Slot, put
from porter.examination.graphs.suspect import Suspect, wanted_in
from porter.examination.numbers import describe_entries, describe_permutation, is_reversal, match_vectors, rounded
from porter.examination.pasting import remade

Array = NDArray[Any]

WHAT = "{what}"
NEARLY_ALL = 0.5
"""Share of the entries from which on an array is another one with some entries changed."""


@dataclass(frozen=True)
class ArrayReading:
    """The explanation of one array.

    Attributes:
        slot: where it stands.
        causes: what is wrong with it, with ``{what}`` for its name; empty where nothing is.
        tried: how many explanations were compared.
        source: the layer whose array it is, or None where none fits.
        twins: other layers whose array it may be as well.
        exact: the file's numbers that stand for every entry; None where some are left over.
    """

    slot: Slot
    causes: tuple[Cause, ...] = ()
    tried: int = 0
    source: str | None = None
    twins: tuple[str, ...] = ()
    exact: Array | None = None


def explain_arrays(suspect: Suspect) -> tuple[ArrayReading, ...]:
    """The explanation of every array of the step, those that the port lacks included."""
    if not suspect.found:
        return ()
    readings: list[ArrayReading] = []
    order: Array | None = None
    for slot in suspect.slots:
        if slot.path not in suspect.found:
            readings += _absent(suspect, slot)
            continue
        reading, moved = _explain(suspect, slot, order)
        order = moved if moved is not None and "kernel" in slot.variable else order
        readings.append(reading)
    return tuple(readings)


def _absent(suspect: Suspect, slot: Slot) -> list[ArrayReading]:
    neutral = NEUTRAL.get(slot.variable)
    if slot.array is None or neutral is None or (slot.array == neutral).all():
        return []
    code = "bias.missing" if slot.is_added else "kernel.unset"
    argument = {"bias": "use_bias", "beta": "center"}.get(slot.variable, "scale")
    remedy = f"{remade(suspect.layer, {argument: 'True'}, weights=False)}\n{suspect.assign_all()}"
    message = f"the layer has no {slot.what}; the file has one"
    return [ArrayReading(slot, (Cause(code, suspect.name, message, remedy),), 1)]


def _explain(suspect: Suspect, slot: Slot, order: Array | None) -> tuple[ArrayReading, Array | None]:
    found = suspect.found[slot.path]
    own = wanted_in(slot, found)
    if own.shape == found.shape and suspect.equal(found, own).all():
        return ArrayReading(slot, (), 1, suspect.name, exact=own), None
    constant = _constant(suspect, slot, found, own)
    if constant is not None:
        return ArrayReading(slot, (constant,), 1, exact=found), None
    candidates = list(layouts(suspect, slot, found.shape))
    if order is not None and own.shape == found.shape and own.shape[-1] == len(order):
        candidates.append(_follow(suspect, own, order))
    exact = match_layouts(found, candidates, suspect, [UNCHANGED])
    best = max(exact, key=lambda match: match.share, default=Match(0.0))
    if best.share == 1:
        return _reading(suspect, slot, found, best, exact), None
    moved = _permuted(suspect, slot, found, own)
    if moved is not None:
        return moved
    changed = match_layouts(found, candidates, suspect, number_changes(suspect, WHAT)[1:])
    best = max([*exact, *changed], key=lambda match: match.share, default=best)
    return _reading(suspect, slot, found, best, [*exact, *changed]), None


def _constant(suspect: Suspect, slot: Slot, found: Array, own: Array) -> Cause | None:
    """One number throughout, or what Keras begins with."""
    value = float(found.flat[0]) if found.size else 0.0
    if slot.is_added and not found.any() and own.any():
        return Cause(
            "bias.missing", suspect.name, "the {what} is zero throughout; the file has one", suspect.assign(slot)
        )
    if slot.is_added and own.any() and _is_forget_bias(slot, found):
        message = "the {what} still has its initial values: 1 for the gate that forgets, 0 elsewhere"
        return Cause("bias.missing", suspect.name, message, suspect.assign(slot))
    told = describe_constant(found, own)
    if told is None and found.size == 1 and value == NEUTRAL.get(slot.variable):
        told = f"every entry is {value:g}"
    if told is None:
        return None
    code = "bias.values" if slot.is_added else "kernel.unset"
    return Cause(code, suspect.name, f"the {{what}} still has initial values: {told}", suspect.assign(slot))


def _is_forget_bias(slot: Slot, found: Array) -> bool:
    units = found.shape[-1] // 4
    wanted = np.zeros(4 * units)
    wanted[units : 2 * units] = 1.0
    return "cell" in slot.path and found.shape == wanted.shape and bool((found == wanted).all())


def _reading(suspect: Suspect, slot: Slot, found: Array, best: Match, every: Sequence[Match]) -> ArrayReading:
    remedy = suspect.assign(slot)
    if best.layout is None or best.change is None or best.share < NEARLY_ALL:
        return ArrayReading(slot, (_unrelated(suspect, slot, found),), len(every))
    layout, change = best.layout, best.change
    causes = [Cause(one.code, suspect.name, one.message, remedy) for one in (layout, change) if one.code]
    if slot.is_added:
        causes = [replace(cause, code="bias.negated") if _is_sign(cause) else cause for cause in causes]
    wanted = change.apply(layout.array)
    differs = ~suspect.equal(found, wanted)
    if differs.any():
        causes.append(_entries(suspect, slot, found, wanted, differs))
    exact = None if differs.any() else wanted
    return ArrayReading(slot, tuple(causes), len(every), layout.source, _twins(best, every), exact)


def _is_sign(cause: Cause) -> bool:
    return cause.message.startswith("every entry") and "opposite sign" in cause.message


def _twins(best: Match, every: Sequence[Match]) -> tuple[str, ...]:
    """Other layers of the file that account for every entry as well."""
    sources = [
        other.layout.source
        for other in every
        if other.share == best.share == 1 and other.layout is not None and other.change is UNCHANGED
    ]
    own = None if best.layout is None else best.layout.source
    return tuple(dict.fromkeys(source for source in sources if source != own)) if best.change is UNCHANGED else ()


def _entries(suspect: Suspect, slot: Slot, found: Array, wanted: Array, differs: Array) -> Cause:
    code = "bias.values" if slot.is_added else "kernel.values"
    told = describe_entries(found, rounded(wanted, suspect.dtype), differs)
    return Cause(code, suspect.name, f"entries of the {{what}} differ: {told}", suspect.assign(slot))


def _unrelated(suspect: Suspect, slot: Slot, found: Array) -> Cause:
    """Numbers that are none of the file's: an initializer's, a multiple, or something else."""
    own, remedy = wanted_in(slot, found), suspect.assign(slot)
    if own.shape != found.shape:
        message = f"the {{what}} has the shape {found.shape} for {own.shape}"
        return Cause("unexplained", suspect.name, message, remedy)
    if slot.is_added or slot.array is None:
        return _entries(suspect, slot, found, own, ~suspect.equal(found, own))
    initial = initial_values(found, own) if found.ndim > 1 else None
    if initial is not None:
        return Cause("kernel.unset", suspect.name, f"the {{what}} {initial[0]}", remedy)
    relation = describe_relation(found.reshape(-1, found.shape[-1]), own.reshape(-1, own.shape[-1]))
    if relation is not None:
        return Cause("kernel.values", suspect.name, relation.replace("the kernel", "the {what}"), remedy)
    return _entries(suspect, slot, found, own, ~suspect.equal(found, own))


def _follow(suspect: Suspect, own: Array, order: Array) -> Layout:
    """The array in the order in which the kernel's units stand."""
    cause = _permutation(suspect, order)
    return Layout(suspect.name, cause.code, cause.message, own[..., order])


def _permutation(suspect: Suspect, order: Array) -> Cause:
    code, what = ("outputs.permuted", "outputs") if is_last(suspect) else ("units.permuted", "units")
    message = f"the {what} stand in another order: {describe_permutation(order, what)}"
    return Cause(code, suspect.name, message, "")


def _permuted(suspect: Suspect, slot: Slot, found: Array, own: Array) -> tuple[ArrayReading, Array | None] | None:
    """Units or inputs of the right array in another order."""
    if own.shape != found.shape or found.ndim < 2 or slot.variable == "bias":
        return None
    last = _order(suspect, found, own, -1)
    if last is not None:
        cause, exact = replace(_permutation(suspect, last), remedy=suspect.assign(slot)), np.take(own, last, axis=-1)
        if is_reversal(last) and not _bias_follows(suspect, last):
            message = "the {what}'s columns stand in reverse order"
            return ArrayReading(slot, (_flipped(suspect, slot, message),), 2, suspect.name, exact=exact), None
        return ArrayReading(slot, (cause,), 2, suspect.name, exact=exact), last
    first = _order(suspect, found, own, -2)
    if first is None:
        return None
    before = layer_before(suspect)
    if before is None or "recurrent" in slot.path or "table" in slot.path:
        message = f"the inputs stand in another order: {describe_permutation(first, 'inputs')}"
        cause = Cause("inputs.permuted", suspect.name, message, suspect.assign(slot))
    elif is_reversal(first):
        cause = _flipped(suspect, slot, "the {what}'s rows stand in reverse order")
    else:
        message = f"it takes the units of {before} in another order: {describe_permutation(first, 'units')}"
        cause = Cause("units.permuted", suspect.name, message, suspect.assign(slot))
    return ArrayReading(slot, (cause,), 3, suspect.name, exact=np.take(own, first, axis=-2)), None


def _flipped(suspect: Suspect, slot: Slot, message: str) -> Cause:
    return Cause("kernel.flipped", suspect.name, message, suspect.assign(slot))


def _bias_follows(suspect: Suspect, order: Array) -> bool:
    """Whether the port's bias stands in that order as well."""
    for slot in suspect.slots:
        if slot.variable == "bias" and slot.array is not None and slot.path in suspect.found:
            found = suspect.found[slot.path]
            return found.shape[-1] == len(order) and bool(suspect.equal(found, slot.array[..., order]).all())
    return False


def _order(suspect: Suspect, found: Array, own: Array, axis: int) -> Array | None:
    rows, wanted = (np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1) for array in (found, own))
    match = match_vectors(rows, wanted, suspect.equal)
    return None if match is None or (match[0] == np.arange(len(match[0]))).all() else match[0]


def merge_readings(readings: Sequence[ArrayReading]) -> tuple[Cause, ...]:
    """The causes of a layer: what several arrays share once, what another cause accounts for left out."""
    whole = {reading.source for reading in readings for cause in reading.causes if cause.code == "layers.swapped"}
    groups: dict[tuple[str, str, str], list[tuple[ArrayReading, Cause]]] = defaultdict(list)
    for reading in readings:
        for cause in reading.causes:
            part = cause.code == "biases.swapped" and reading.source in whole
            same = replace(cause, code="layers.swapped") if part else cause
            groups[_key(same, reading)].append((reading, same))
    causes = [_worded(group) for group in groups.values()]
    if any(cause.code == "kernel.unset" for cause in causes):
        causes = [cause for cause in causes if cause.code != "bias.missing"]
    return _in_one_order(causes)


def _in_one_order(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Arrays of a normalization that are exchanged among each other as one mistake, with one remedy for all."""
    exchanged = [cause for cause in causes if cause.code == "batch_norm.order" and " is the file's " in cause.message]
    if len(exchanged) < 2:
        return tuple(causes)
    told = ", ".join(cause.message.removeprefix("its ").replace(" is the file's ", " is ") for cause in exchanged)
    message = f"its arrays stand in another order than the file's: {told}"
    one = replace(exchanged[0], message=message, remedy="\n".join(cause.remedy for cause in exchanged))
    return (one, *(cause for cause in causes if cause not in exchanged))


def _key(cause: Cause, reading: ArrayReading) -> tuple[str, str, str]:
    entries = reading.slot.attribute if "{what} differ" in cause.message else ""
    unset = cause.code == "kernel.unset"
    return cause.code, "" if unset else cause.message, entries


def _worded(group: Sequence[tuple[ArrayReading, Cause]]) -> Cause:
    names = list(dict.fromkeys(reading.slot.what for reading, _ in group))
    first = group[0][1]
    if first.code == "kernel.precision" and not all(reading.slot.is_added for reading, _ in group):
        first = replace(first, message=first.message.replace("the {what} was", "its weights were"))
    joined = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
    message = first.message.replace(WHAT, joined)
    if len(names) > 1:
        for single, several in (
            (" was ", " were "),
            (" stands ", " stand "),
            (" is that", " are those"),
            (" has ", " have "),
        ):
            message = message.replace(single, several, 1)
    return replace(first, message=message, remedy="\n".join(dict.fromkeys(cause.remedy for _, cause in group)))


def effective(suspect: Suspect, readings: Sequence[ArrayReading]) -> Any:
    """The step with the port's own arrays where they are not the file's.

    Of arrays that were read out to a few digits, the file's numbers that they stand for.
    """
    step, shown = suspect.step, {reading.slot.path: reading for reading in readings}
    for slot in suspect.slots:
        wrong = slot.path in shown and bool(shown[slot.path].causes)
        shape = None if slot.array is None else slot.array.shape
        exact = shown[slot.path].exact if wrong and not suspect.is_shown else None
        if exact is not None:
            step = put(step, slot.path, exact)
        elif slot.path in suspect.found and (wrong or suspect.found[slot.path].shape != shape):
            step = put(step, slot.path, suspect.found[slot.path])
        elif wrong:
            step = put(step, slot.path, None)
    return step
