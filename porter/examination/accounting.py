"""What stands in a port beside the steps: shown to do nothing, on special values too, or told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.judging import Refused, cast, judge_values, run_piece
from porter.examination.pairing import Pairing
from porter.examination.pasting import taken_out
from porter.examination.probes import FAR_MAGNITUDES, FILL_VALUES
from porter.ports.blocks import Atom, Block
from reference.precision import FORMATS, round_to

Array = NDArray[Any]

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


def take_account(
    pairing: Pairing,
    steps: Mapping[str, Any],
    atoms: Sequence[Atom],
    tensors: Mapping[int, Array],
    ordinary: Mapping[str, Array],
) -> Account:
    """Hold every piece of a port that no step was paired with, and every way to treat a missing value, against nothing.

    Args:
        pairing: of the port.
        steps: the legacy steps as they were judged, by name.
        atoms: of the port, in order.
        tensors: a trace of the port on ordinary rows.
        ordinary: by step at parity, (rows, n) of what the port hands it.
    """
    causes = [cause for atom in _unclaimed(pairing, atoms) for cause in _not_idle(pairing, atoms, atom, tensors)]
    notes = []
    for pair in pairing.pairs:
        if pair.block is not None:
            causes.extend(_surplus(steps[pair.step.name], pair.block, ordinary.get(pair.step.name)))
            swallowed = _loses_nan(pair.step.name, steps[pair.step.name], pair.block, tensors)
            if isinstance(swallowed, Cause):
                causes.append(swallowed)
            elif swallowed is not None:
                notes.append(swallowed)
    return Account(tuple(causes), tuple(notes), tuple(_unexercised(atoms, tensors)))


def _surplus(step: Any, block: Block, rows: Array | None) -> Iterator[Cause]:
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
        place = np.unravel_index(int(np.argmax(np.abs(whole - without))), whole.shape)
        name, told = ", ".join(atom.names), f"{without[place]:.9g} without it is {whole[place]:.9g} with it"
        if atom.description:
            name += f" ({atom.description})"
        message = f"{name} changes what it gives by little; the file has nothing there"
        yield Cause("unexplained", step.name, message, taken_out(atom.names), told)


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


def what_it_changes(atom: Atom, ordinary: Array, compute: str | None = None, held: str | None = None) -> str | None:
    """An input on which a piece gives something else than it takes; None where it hands on everything.

    Tried on ordinary rows, infinities, no number, fill values, every magnitude of both signs; in a batch of one and of
    none.

    Args:
        atom: a piece of a port.
        ordinary: (rows, n) what the port hands it.
        compute: a format to which it may round; None for that of its input alone.
        held: the format of the numbers that come to it, where its input could hold more; or None.
    """
    if str(ordinary.dtype) not in FORMATS:
        return None  # words are looked up by the step behind
    rows, unit = _special_rows(ordinary, held), FORMATS[str(ordinary.dtype)].unit
    for part in (rows, rows[:1], rows[:0]):
        try:
            found = run_piece(atom.run, part)
        except Refused as error:
            return f"it cannot be run on {len(part)} rows: {error}"
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


def _special_rows(ordinary: Array, held: str | None) -> Array:
    """Ordinary rows, then one value in every column of a row."""
    dtype = ordinary.dtype
    rows = ordinary.reshape(len(ordinary), -1)[-8:]
    values = [np.nan, np.inf, -np.inf, 0.0, *FILL_VALUES, *FAR_MAGNITUDES, *(-each for each in FAR_MAGNITUDES)]
    with np.errstate(over="ignore"):
        special = (np.array(values) if held is None else round_to(np.array(values), held)).astype(dtype)
    return np.concatenate([rows, np.repeat(special[:, np.newaxis], rows.shape[1], axis=1)])


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
        if lost is None and (before & ~_has_nan(values)).any():
            lost = atom
    return lost if (wanted & ~_has_nan(values)).any() else None


def _has_nan(values: Array) -> Array:
    """(rows,) bool."""
    wide = np.asarray(values).astype(np.float64)
    return np.asarray(np.isnan(wide.reshape(len(wide), -1)).any(axis=1))
