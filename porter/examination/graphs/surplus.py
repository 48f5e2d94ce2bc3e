"""Operations inside the pieces that compute a legacy step, without which they compute it as well or better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.accounting import OWN_ROUNDING, SURPLUS
from porter.examination.compare import Comparison
from porter.examination.graphs.idle import MOVES
from porter.examination.graphs.kinds import applies_activation, computes
from porter.examination.graphs.pairing import KerasPairing, Pair
from porter.examination.graphs.pieces import Piece, Pieces
from porter.examination.graphs.probes import make_paired_suspect
from porter.examination.graphs.states import recurrent_layers
from porter.examination.graphs.suspect import Suspect
from porter.examination.pasting import taken_out
from porter.ports.keras.foreign import is_own
from porter.ports.keras.nodes import Key
from reference.trace import Program

Array = NDArray[Any]


def find_surplus(pairing: KerasPairing, program: Program) -> list[Cause]:
    """Pieces of a step at parity that change what passes through them, and that the step does without.

    A long sequence is forgotten, so that what is done to its beginning stays within the bound of its end; and a bound
    that holds a step may hold a little more than the step.

    Args:
        pairing: of the port.
        program: of the legacy network.
    """
    causes = []
    for step in program.steps:
        pair = pairing[step.name]
        pieces = [pairing.port.pieces[at] for at in pair.pieces]
        foreign = [piece for piece in pieces if not _is_own(pair, piece, pieces)]
        if pair.key is None or not foreign or len(pair.pieces) < 2:
            continue
        suspect = make_paired_suspect(pairing, step.name, program, None)
        causes += list(_surplus(pairing.port, pair, suspect, foreign))
    return causes


def _is_own(pair: Pair, piece: Piece, beside: Sequence[Piece]) -> bool:
    """Whether a piece may be what the step does, or moves numbers for it."""
    if (piece.kind in MOVES and is_own(piece.operation)) or piece.node.kind == "identity":
        return True
    parts = getattr(pair.step, "steps", (pair.step,))
    if piece.is_activation and applies_activation(parts[-1]):
        return True
    return any(computes(part, piece, beside) for part in parts)


def _surplus(port: Pieces, pair: Pair, suspect: Suspect, foreign: list[Piece]) -> Iterator[Cause]:
    assert pair.key is not None
    whole = _compared(suspect, port.values[pair.key])
    if whole is None or not whole.is_parity:
        return
    for piece in foreign:
        for stand_in in _stand_ins(port, piece):
            if _does_without(port, pair, suspect, piece, stand_in):
                name = piece.node.name
                message = f"{name} ({piece.kind}) changes what passes through it; the file has nothing there"
                yield Cause("unexplained", pair.step.name, message, taken_out([name]))
                break


def _stand_ins(port: Pieces, piece: Piece) -> Iterator[Array]:
    """What a piece would give, were it not there: what it takes; no initial state, where its output may be one."""
    if len(piece.outputs) != 1:
        return
    made = port.values[piece.outputs[0]]
    if made.dtype.kind != "f":
        return
    for key in dict.fromkeys(piece.inputs):
        given = port.values[key]
        if given.dtype == made.dtype and given.ndim == made.ndim and _changes(given, made):
            yield given
    if piece.outputs[0] in _initial_states(port) and made.any():
        yield np.zeros_like(made)


def _initial_states(port: Pieces) -> set[Key]:
    return {key for piece in port.pieces if recurrent_layers([piece.operation]) for key in piece.inputs[1:]}


def _changes(given: Array, made: Array) -> bool:
    """Whether a piece does more to its numbers than a rounding."""
    if given.shape != made.shape:
        return True
    limit = OWN_ROUNDING * float(np.finfo(made.dtype).eps) / 2 * np.abs(given) if made.dtype.itemsize > 2 else 0.0
    return bool(np.any(~np.isclose(given, made, rtol=0, atol=limit, equal_nan=True)))


def _does_without(port: Pieces, pair: Pair, suspect: Suspect, piece: Piece, stand_in: Array) -> bool:
    """Whether a step is at parity without a piece: of itself where it forgets, else only if that comes nearer."""
    assert pair.key is not None
    sources: Mapping[Key, Array] = {key: port.values[key] for key in pair.fed} | {piece.outputs[0]: stand_in}
    try:
        without = np.asarray(port.run(sources, pair.key), np.float64)
    except Exception:  # somebody's own layer may raise anything
        return False
    found = _compared(suspect, without)
    if found is None or not found.is_parity:
        return False
    return suspect.recurrence is not None or _is_nearer(suspect, np.asarray(port.values[pair.key], np.float64), without)


def _is_nearer(suspect: Suspect, whole: Array, without: Array) -> bool:
    """Whether the numbers without a piece lie much nearer to those of the step."""
    part = suspect.seen[0]
    wanted = np.asarray(suspect.step(*(part.fed[name] for name in suspect.step.inputs)).outputs, np.float64)
    if whole.shape != wanted.shape or without.shape != wanted.shape:
        return False
    with np.errstate(invalid="ignore"):
        change, near, far = np.abs(whole - without), np.abs(without - wanted), np.abs(whole - wanted)
        limit = OWN_ROUNDING * suspect.precision.format.unit * np.maximum(np.abs(whole), np.abs(without))
    held = np.isfinite(change) & np.isfinite(near) & np.isfinite(far)
    return bool((held & (change > limit)).any() and far[held].mean() > SURPLUS * near[held].mean())


def _compared(suspect: Suspect, actual: Array) -> Comparison | None:
    """A step against what stands for it, on the network's rows; None where it has no bound."""
    fed = tuple(suspect.seen[0].fed[name] for name in suspect.step.inputs)
    try:
        return suspect.compare(suspect.step, fed, np.asarray(actual, np.float64), "rows of the network's inputs")
    except (KeyError, ValueError, IndexError, TypeError):
        return None
