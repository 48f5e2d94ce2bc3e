"""What stands in a port beside the steps: shown to do nothing, on special values too, or told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.conditions import rows_met
from porter.examination.judging import Refused, cast, judge_values, run_piece
from porter.examination.pairing import Pairing
from porter.examination.pasting import taken_out
from porter.examination.probes import wide_rows
from porter.examination.special import UNBOUNDED, Reach, special_rows
from porter.ports.blocks import Atom, Block
from reference.precision import FORMATS, round_to

Array = NDArray[Any]
ProbesOf = Callable[[Any, Block], Mapping[str, Array]]
"""Probes for one step alone, by name."""

OWN_ROUNDING = 4.0
"""Unit roundoffs that an operation may cost which does nothing, as a multiplication by 1 written as a scaling does."""


@dataclass(frozen=True)
class Account:
    """What a port holds beside the steps it was paired with.

    Attributes:
        causes: operations that do something which the file does not.
        notes: what was seen of others.
        unexercised: operations with a condition that was never met, a sentence each.
    """

    causes: tuple[Cause, ...] = ()
    notes: tuple[str, ...] = ()
    unexercised: tuple[str, ...] = ()


SURPLUS = 4.0
"""How many times the mean error without a piece the error with it is, where the piece is none of the step's own."""
NEARER = 2.0
"""How many times the error with a piece the error without it is, where the piece is there to make it smaller."""
NEARLY = 2.0**-8
"""Of the largest number that an operation takes, what it may change at most for one that nearly hands on."""


def take_account(
    pairing: Pairing,
    steps: Mapping[str, Any],
    atoms: Sequence[Atom],
    tensors: Mapping[int, Array],
    ordinary: Mapping[str, Array],
    probes_of: ProbesOf,
    *,
    is_rewritten: bool = False,
    taken_in: str | None = None,
) -> Account:
    """Hold every piece of a port that no step was paired with, and every way to treat a missing value, against nothing.

    Args:
        pairing: of the port.
        steps: the legacy steps as they were judged, by name.
        atoms: of the port, in order.
        tensors: a trace of the port on ordinary rows.
        ordinary: by step at parity, (rows, n) of what the port hands it.
        probes_of: draws probes for a step alone.
        is_rewritten: whether the port was judged along its own way, where many pieces together may compute a step.
        taken_in: the format of the port's inputs, in which it may hand out its outputs as well.
    """
    causes = [cause for atom in _unclaimed(pairing, atoms) for cause in _not_idle(pairing, atoms, atom, tensors)]
    notes = []
    for pair in pairing.pairs:
        if pair.block is not None:
            step, rows = steps[pair.step.name], ordinary.get(pair.step.name)
            found = [] if is_rewritten else list(_surplus(step, pair.block, rows, probes_of))
            causes.extend(found or _nearly_idle(step, pair.block, rows, atoms, tensors, probes_of, taken_in))
            swallowed = _loses_nan(pair.step.name, steps[pair.step.name], pair.block, tensors)
            if isinstance(swallowed, Cause):
                causes.append(swallowed)
            elif swallowed is not None:
                notes.append(swallowed)
    return Account(tuple(causes), tuple(notes), tuple(_unexercised(atoms, tensors)))


def _surplus(step: Any, block: Block, rows: Array | None, probes_of: ProbesOf) -> Iterator[Cause]:
    """Pieces of a block that the step does without, and that take the block further from it.

    A bound that holds the whole block may hold a little more than the step: 1e-7 added behind a layer, a factor near 1.
    """
    active = [atom for atom in block.atoms if atom.kind not in ("identity", "merge")]
    if rows is None or not len(rows) or len(active) < 2:
        return
    fed = cast(rows, block.precision.compute)
    wanted = np.asarray(step(fed.astype(np.float64)).outputs, np.float64)
    whole = _run_block(block, fed, wanted.shape)
    for atom in active:
        if atom.is_core or whole is None:
            continue
        rest = replace(block, atoms=tuple(each for each in block.atoms if each is not atom))
        without = _run_block(rest, fed, wanted.shape)
        if without is None or not _is_better(step, fed, wanted, without, whole, block):
            continue
        # An activation that ordinary rows hardly bend is one that others do.
        if not _does_without(step, block, rest, probes_of(step, block)):
            continue
        place = np.unravel_index(int(np.argmax(np.abs(whole - without))), whole.shape)
        name, told = ", ".join(atom.names), f"{without[place]:.9g} without it is {whole[place]:.9g} with it"
        if atom.description:
            name += f" ({atom.description})"
        message = f"{name} changes what it gives by little; the file has nothing there"
        yield Cause("unexplained", step.name, message, taken_out(atom.names), told)


def _nearly_idle(
    step: Any,
    block: Block,
    rows: Array | None,
    atoms: Sequence[Atom],
    tensors: Mapping[int, Array],
    probes_of: ProbesOf,
    taken_in: str | None,
) -> Iterator[Cause]:
    """Pieces of a block that nearly hand on what is usual and do more to other numbers, and that its step needs not."""
    active = [atom for atom in block.atoms if atom.kind not in ("identity", "merge")]
    if rows is None or not len(rows) or len(active) < 2:
        return
    for atom in active:
        if atom.is_core or not _nearly_hands_on(atom, tensors[atom.entry]):
            continue
        # A cast to what the layer behind it computes in is what that layer does by itself.
        reach, compute = _reach(atoms, atom), _computed_behind(atoms, atom, taken_in)
        told = what_it_changes(atom, tensors[atom.entry], compute, reach=reach, may_refuse=True)
        rest = replace(block, atoms=tuple(each for each in block.atoms if each is not atom))
        sets = {"ordinary rows": rows, "rows of the other sign": _other_sign(step, rows), **probes_of(step, block)}
        if told is None or not _does_without(step, block, rest, sets):
            continue
        if "nan" in told and _makes_numbers_of_nan(step, rows):
            continue
        if _is_nearer(step, block, rest, rows):
            continue
        names = ", ".join(atom.names)
        message = f"{names} ({atom.description}) changes what passes through it; the file has nothing there"
        yield Cause("unexplained", step.name, message, taken_out(atom.names), told)


def _computed_behind(atoms: Sequence[Atom], atom: Atom, taken_in: str | None) -> str | None:
    """The format in which the next piece computes that does anything; behind the last that of the port's inputs."""
    at = next(number for number, each in enumerate(atoms) if each.key == atom.key)
    active = (each for each in atoms[at + 1 :] if each.kind not in ("identity", "merge") and each.precision is not None)
    following = next(active, None)
    return taken_in if following is None or following.precision is None else following.precision.compute


def _nearly_hands_on(atom: Atom, ordinary: Array) -> bool:
    """Whether a piece changes ordinary numbers by little, beside the largest of them."""
    if str(ordinary.dtype) not in FORMATS:
        return False
    try:
        found = run_piece(atom.run, ordinary)
    except Refused:
        return False
    if found.size != ordinary.size:
        return False
    given, made = ordinary.astype(np.float64), np.asarray(found, np.float64).reshape(ordinary.shape)
    with np.errstate(invalid="ignore"):
        change = np.abs(made - given)
    return bool(np.all(change <= NEARLY * np.max(np.abs(given), initial=0.0)))


def _other_sign(step: Any, rows: Array) -> Array:
    """The rows turned about, as far as the step itself makes numbers of them: a transform has no probes of its own."""
    turned = -rows
    with np.errstate(all="ignore"):
        outputs = np.asarray(step(turned.astype(np.float64)).outputs, np.float64)
    kept: Array = turned[np.isfinite(outputs).reshape(len(turned), -1).all(axis=1)]
    return kept


def _makes_numbers_of_nan(step: Any, rows: Array) -> bool:
    """Whether the file's own formula hands no missing value on, as one that looks its values up."""
    outputs = step(np.full((1, *np.shape(rows)[1:]), np.nan)).outputs
    return bool(np.isfinite(np.asarray(outputs, np.float64)).all())


def _does_without(step: Any, block: Block, rest: Block, sets: Mapping[str, Array]) -> bool:
    """Whether the rest of a block keeps the step's bound on every probe that the whole can be run on."""
    for name, probes in sets.items():
        fed = cast(probes, rest.precision.compute)
        if not len(fed):
            continue
        try:
            actual = run_piece(rest.run, fed)
        except Refused:
            if _can_run(block, fed):
                return False
            continue
        if not judge_values(step, fed, actual, rest.precision, name, is_far=name != "basis probes").is_parity:
            return False
    return True


def _can_run(block: Block, rows: Array) -> bool:
    try:
        run_piece(block.run, rows)
    except Refused:
        return False
    return True


def _is_nearer(step: Any, block: Block, rest: Block, rows: Array) -> bool:
    """Whether a whole block comes much nearer to its step than the rest of it, so that it is there for something."""
    fed = cast(rows, block.precision.compute)
    wanted = np.asarray(step(fed.astype(np.float64)).outputs, np.float64)
    whole, without = (_run_block(each, fed, wanted.shape) for each in (block, rest))
    if whole is None or without is None:
        return True
    with np.errstate(invalid="ignore"):
        far, near = np.abs(whole - wanted), np.abs(without - wanted)
    held = np.isfinite(far) & np.isfinite(near)
    return bool(NEARER * far[held].sum() < near[held].sum())


def _reach(atoms: Sequence[Atom], atom: Atom) -> Reach:
    """Between which numbers a piece gets its input, whatever the last layer in front of it is fed with."""
    at = next(number for number, each in enumerate(atoms) if each.key == atom.key)
    first = next((number for number in range(at - 1, -1, -1) if atoms[number].is_core), None)
    if first is None or any(each.kind == "merge" for each in atoms[first:at]):
        return UNBOUNDED
    width, precision = atoms[first].width[0], atoms[first].precision
    if width is None or precision is None:
        return UNBOUNDED
    rows = wide_rows(width, np.random.default_rng(0))
    values = cast(np.concatenate([size * rows for size in (1e-3, 1.0, 1e3)]), precision.compute)
    try:
        for each in atoms[first:at]:
            values = run_piece(each.run, values)
    except Refused:
        return UNBOUNDED
    low, high = np.nanmin(values.astype(np.float64)), np.nanmax(values.astype(np.float64))
    return (-np.inf if low < -REACHABLE else float(low)), (np.inf if high > REACHABLE else float(high))


REACHABLE = 1e2
"""Beyond this a layer that was fed with numbers of a thousand has no end."""


def _is_better(step: Any, fed: Array, wanted: Array, without: Array, whole: Array, block: Block) -> bool:
    """Whether a block keeps its bound without a piece, and comes nearer by more than a rounding of its own."""
    unit = block.precision.format.unit
    with np.errstate(invalid="ignore"):
        change, size = np.abs(whole - without), np.maximum(np.abs(whole), np.abs(without))
        near, far = np.abs(without - wanted), np.abs(whole - wanted)
    held = np.isfinite(change) & np.isfinite(near) & np.isfinite(far)
    if not (held & (change > OWN_ROUNDING * unit * size)).any():
        return False
    if not far[held].mean() > SURPLUS * near[held].mean():
        return False
    return judge_values(step, fed, without, block.precision, "ordinary rows").is_parity


def _run_block(block: Block, rows: Array, shape: tuple[int, ...]) -> Array | None:
    """(rows, units) float64 of what a block gives; None where it cannot be run, or gives another shape."""
    try:
        found = np.asarray(run_piece(block.run, rows)).astype(np.float64)
    except Refused:
        return None
    return found.reshape(shape) if found.size == np.prod(shape) else None


def _unclaimed(pairing: Pairing, atoms: Sequence[Atom]) -> Iterator[Atom]:
    blocks = [pair.block for pair in pairing.pairs if pair.block is not None]
    claimed = {atom.key for block in (*blocks, *pairing.extra) for atom in block.atoms}
    return (atom for atom in atoms if atom.kind != "merge" and atom.key not in claimed)


def _not_idle(pairing: Pairing, atoms: Sequence[Atom], atom: Atom, tensors: Mapping[int, Array]) -> Iterator[Cause]:
    """The cause, where a piece that is no part of a step gives something else than it takes."""
    paired = [pair for pair in pairing.pairs if pair.block is not None]
    keys = [each.key for each in atoms]
    behind = [pair for pair in paired if keys.index(pair.block.leaving) < keys.index(atom.key)]  # type: ignore[union-attr]
    near = behind[-1] if behind else paired[0] if paired else None
    if near is None:
        return
    where = "behind" if behind else "in front of"
    # A cast to what the layer behind it computes in is what that layer does by itself.
    compute = None if behind or near.block is None else near.block.precision.compute
    held = near.block.precision.compute if behind and near.block is not None else None
    told = what_it_changes(atom, tensors[atom.entry], compute, held)
    if told is None:
        return
    name = f"{', '.join(atom.names)} ({atom.description})" if atom.description else ", ".join(atom.names)
    is_cast = atom.description == "Cast"
    yield Cause(
        "precision.port" if is_cast else "unexplained",
        near.step.name,
        f"{name} {where} it {'rounds' if is_cast else 'changes'} what passes through it; the file has nothing there",
        taken_out(atom.names),
        told,
    )


def what_it_changes(
    atom: Atom,
    ordinary: Array,
    compute: str | None = None,
    held: str | None = None,
    reach: Reach = UNBOUNDED,
    may_refuse: bool = False,
) -> str | None:
    """An input on which a piece gives something else than it takes; None where it hands on everything.

    Tried on ordinary rows, infinities, no number, fill values, numbers of every size and both signs, and those on which
    its conditions turn; in a batch of one and of none.

    Args:
        atom: a piece of a port.
        ordinary: (rows, n) what the port hands it.
        compute: a format to which it may round; None for that of its input alone.
        held: the format of the numbers that come to it, where its input could hold more; or None.
        reach: the smallest and the largest number that can come to it.
        may_refuse: whether it may raise on what is special, which nobody overlooks.
    """
    if str(ordinary.dtype) not in FORMATS:
        return None  # words are looked up by the step behind
    rows, unit = _special_rows(ordinary, held, reach), FORMATS[str(ordinary.dtype)].unit
    conditions = atom.conditions
    met = () if conditions is None else rows_met(conditions, [(rows,)])
    with np.errstate(over="ignore"):
        turning = [each.astype(rows.dtype).reshape(-1, *rows.shape[1:]) for (each,) in met]
    turning = [each for each in turning if np.all((each >= reach[0]) & (each <= reach[1]))]
    for part in (rows, rows[:1], rows[:0], *turning):
        try:
            found = run_piece(atom.run, part)
        except Refused as error:
            return None if may_refuse else f"it cannot be run on {len(part)} rows: {error}"
        if found.size != part.size:
            return f"it makes {found.shape} of {part.shape}"
        wide, given = np.asarray(found, np.float64).reshape(part.shape), np.asarray(part, np.float64)
        changed = _differs(wide, given, unit)
        if compute is not None:
            changed &= _differs(wide, round_to(given, compute), 0.0)
        if changed.any():
            place = tuple(int(i) for i in np.argwhere(changed)[0])
            return f"{given[place]:.9g} becomes {wide[place]:.9g}"
    return None


def _differs(found: Array, given: Array, unit: float) -> Array:
    with np.errstate(invalid="ignore"):
        same = (found == given) | (np.isnan(found) & np.isnan(given))
        return ~(same | (np.abs(found - given) <= OWN_ROUNDING * unit * np.abs(given)))


def _special_rows(ordinary: Array, held: str | None, reach: Reach) -> Array:
    """Ordinary rows, then those of special numbers."""
    rows = ordinary.reshape(len(ordinary), -1)[-8:]
    return np.concatenate([rows, special_rows(rows.shape[1:], str(ordinary.dtype), reach, held)])


def _unexercised(atoms: Sequence[Atom], tensors: Mapping[int, Array]) -> Iterator[str]:
    """Conditions that did nothing to what passed through them: no numbers tell what they are for."""
    for atom in atoms:
        if atom.is_conditional and not atom.is_core and what_it_changes(atom, np.asarray(tensors[atom.entry])) is None:
            yield f"{', '.join(atom.names)} did nothing on any value tried: what it is for was not compared"


def _loses_nan(name: str, step: Any, block: Block, tensors: Mapping[int, Array]) -> Cause | str | None:
    """What becomes of a missing value that the legacy step hands on as one."""
    entry = np.asarray(tensors[block.entry])[-3:]
    if str(entry.dtype) not in FORMATS or not len(entry):
        return None
    rows = entry.reshape(len(entry), -1).copy()
    rows[np.arange(len(rows)), [0, rows.shape[1] // 2, -1][: len(rows)]] = np.nan
    wanted = _has_nan(step(rows.astype(np.float64)).outputs)
    lost = _losing_atom(block.atoms, rows.reshape(entry.shape), wanted)
    if lost is None:
        return None
    names = ", ".join(lost.names)
    if lost.is_core or lost.kind == "activation":
        return f"{name}: {names} makes a number of a missing value (NaN), which the legacy network hands on"
    message = f"{names} ({lost.description}) makes a number of a missing value (NaN), which the file's formula hands on"
    return Cause("unexplained", name, message, taken_out(lost.names))


def _losing_atom(atoms: Sequence[Atom], rows: Array, wanted: Array) -> Atom | None:
    """The first piece that makes numbers of a row that should hand on a NaN; None where the block hands it on."""
    values, lost = rows, None
    for atom in atoms:
        before = _has_nan(values) & wanted
        try:
            values = run_piece(atom.run, values)
        except Refused:
            return None
        if len(values) != len(wanted):  # rows laid out otherwise: which of them should hand it on cannot be told
            return None
        if lost is None and (before & ~_has_nan(values)).any():
            lost = atom
    return lost if (wanted & ~_has_nan(values)).any() else None


def _has_nan(values: Array) -> Array:
    """(rows,) bool."""
    wide = np.asarray(values).astype(np.float64)
    return np.asarray(np.isnan(wide.reshape(len(wide), -1)).any(axis=1))
