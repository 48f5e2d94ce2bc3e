"""Operations of a port beside the legacy steps: what seems to do nothing is asked on special values, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.accounting import NEARER, NEARLY, OWN_ROUNDING, REACHABLE
from porter.examination.graphs.agreement import draw_wide
from porter.examination.graphs.far import far_numbers
from porter.examination.graphs.kinds import applies_activation, computes
from porter.examination.graphs.pairing import KerasPairing, Pair
from porter.examination.graphs.pieces import Piece, Pieces
from porter.examination.graphs.probes import make_paired_suspect
from porter.examination.graphs.suspect import Suspect
from porter.examination.pasting import taken_out
from porter.examination.special import UNBOUNDED, Reach, special_rows
from porter.ports.keras.foreign import is_own
from porter.ports.keras.nodes import Key, PortNode
from reference.precision import FORMATS
from reference.trace import Program

Array = NDArray[Any]
Part = tuple[Key, Key]
"""What lies between two tensors."""

MOVES = ("Flatten", "Reshape", "Permute", "Transpose", "ExpandDims", "Squeeze", "Identity", "Cast")
WORDS = 2**15
"""Whole numbers that an operation is asked about: the words of most vocabularies."""
SIZES_BEHIND = (1e-3, 1.0, 1e3)
"""Of the numbers that a layer may give, to see how far what follows it lets them go."""


def find_idle(pairing: KerasPairing, program: Program, row_of: Callable[[Piece], str]) -> list[Cause]:
    """What no step accounts for, nearly gives its input on the network's rows, and does more to special values.

    Args:
        pairing: of the port.
        program: of the legacy network.
        row_of: the step that an operation stands behind.
    """
    port = pairing.port
    causes = []
    for at, piece in enumerate(port.pieces):
        if len(piece.outputs) != 1 or _is_known(pairing, program, at, piece):
            continue
        source, key = _source(port, piece), piece.outputs[0]
        if source is None or not _nearly_hands_on(port, source, key):
            continue
        told = _changes(port, source, key)
        if told and not _is_fixed(pairing, program, at, source) and not _is_needed(pairing, program, at, (source, key)):
            name = piece.node.name
            message = f"{name} ({piece.kind}), behind it, changes numbers that are special or far away"
            code = "activation.added" if piece.is_activation else "unexplained"
            causes.append(Cause(code, row_of(piece), message, taken_out([name]), told))
    return causes


def is_harmless(node: PortNode) -> bool:
    """Whether a call is none that anybody asks, whatever it stands beside: Keras' own, which merely moves numbers."""
    return node.kind == "identity" or (type(node.operation).__name__ in MOVES and is_own(node.operation))


def _is_known(pairing: KerasPairing, program: Program, at: int, piece: Piece) -> bool:
    """Whether a step that the piece belongs to can be computed by its kind, or it merely moves numbers."""
    moves = piece.kind in MOVES and is_own(piece.operation)
    if moves or piece.node.kind == "identity" or pairing.port.values[piece.outputs[0]].dtype == np.bool_:
        return True
    for step in program.steps:
        pair = pairing[step.name]
        parts = getattr(pair.step, "steps", (pair.step,))
        # A step that hands on what it takes was paired with that, and its own operation with nothing.
        belongs = at in pair.pieces or (pair.key is not None and pair.key in pair.fed)
        beside = [pairing.port.pieces[other] for other in pair.pieces]
        if belongs and any(computes(part, piece, beside) for part in parts):
            return True
        if piece.is_activation and applies_activation(parts[-1]):
            applied = [other for other in pair.pieces if pairing.port.pieces[other].is_activation]
            # One that changes nothing there agrees with what stands in front of it, too.
            if applied[-1:] == [at] or (not applied and pair.key in piece.inputs):
                return True
    return False


def _source(port: Pieces, piece: Piece) -> Key | None:
    """The nearest tensor from which alone the output is computed, without variables; None where there is none."""
    if len(piece.inputs) == 1:
        return piece.inputs[0]
    for key in reversed(port.keys):
        if key != piece.outputs[0] and all(port.is_behind(each, key) for each in piece.inputs):
            positions, alone = port.between((key,), piece.outputs[0])
            if alone:
                return None if any(port.pieces[at].has_weights for at in positions) else key
    return None


def _nearly_hands_on(port: Pieces, source: Key, key: Key) -> bool:
    """Whether a tensor is another on the network's rows, or differs from it by little beside its largest number."""
    given, made = port.values[source], port.values[key]
    if given.dtype.kind in "iu" and given.dtype == made.dtype:
        return bool(np.array_equal(given, made))
    if given.shape != made.shape or given.dtype != made.dtype or str(given.dtype) not in FORMATS:
        return False
    before, after = given.astype(np.float64), made.astype(np.float64)
    with np.errstate(invalid="ignore"):
        changed = np.abs(after - before) > NEARLY * np.max(np.abs(before), initial=0.0)
    return not changed.any()


def _changes(port: Pieces, source: Key, key: Key) -> str:
    """What becomes of a special value, where that is anything else than the value; "" where it is not."""
    given = port.values[source]
    dtype = str(given.dtype)
    if given.dtype.kind in "iu":
        rows = np.resize(np.arange(WORDS, dtype=given.dtype), (-(-WORDS // given[0].size), *given.shape[1:]))
    else:
        rows = np.concatenate([given[-2:], special_rows(given.shape[1:], dtype, _reach(port, source))])
    try:
        found = np.asarray(port.run({source: rows}, key), np.float64)
    except Exception:  # somebody's own layer may raise anything
        return ""
    wanted = rows.astype(np.float64)
    with np.errstate(invalid="ignore"):
        same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
        if dtype in FORMATS:
            same |= np.abs(found - wanted) <= OWN_ROUNDING * FORMATS[dtype].unit * np.abs(wanted)
    if same.all():
        return ""
    place = tuple(int(i) for i in np.argwhere(~same)[0])
    return f"{wanted[place]:.9g} becomes {found[place]:.9g}"


def _reach(port: Pieces, target: Key) -> Reach:
    """Between which numbers a tensor lies, whatever the last layer with variables in front of it gives."""
    key = target
    while (at := port.maker.get(key)) is not None:
        maker = port.pieces[at]
        if maker.has_weights or len(maker.inputs) != 1:
            break
        key = maker.inputs[0]
    if at is None or key == target or str(port.values[key].dtype) not in FORMATS:
        return UNBOUNDED
    own = port.values[key]
    drawn = np.random.default_rng(0).standard_normal((len(own), *own.shape[1:]))
    rows = np.concatenate([size * drawn for size in SIZES_BEHIND]).astype(own.dtype)
    try:
        found = port.run({key: rows}, target).astype(np.float64)
    except Exception:  # somebody's own layer may raise anything
        return UNBOUNDED
    low, high = float(np.nanmin(found)), float(np.nanmax(found))
    return (-np.inf if low < -REACHABLE else low), (np.inf if high > REACHABLE else high)


def _is_needed(pairing: KerasPairing, program: Program, at: int, part: Part) -> bool:
    """Whether the step that a piece belongs to is wrong without it, or much less exact."""
    return any(not _does_without(pairing, program, name, pair, part) for name, pair in _owners(pairing, program, at))


def _owners(pairing: KerasPairing, program: Program, at: int) -> list[tuple[str, Pair]]:
    """The steps that a piece belongs to."""
    return [(step.name, pairing[step.name]) for step in program.steps if at in pairing[step.name].pieces]


def _is_fixed(pairing: KerasPairing, program: Program, at: int, source: Key) -> bool:
    """Whether a tensor is the same number whatever its step takes, as the state is that a loop begins with."""
    owners = [(name, pair) for name, pair in _owners(pairing, program, at) if pair.key is not None]
    for name, pair in owners:
        for rows in _rows(pairing, name, pair):
            values = rows[source] if source in rows else pairing.port.run(rows, source)
            if np.any(values != values.flat[0]):
                return False
    return bool(owners)


def _does_without(pairing: KerasPairing, program: Program, name: str, pair: Pair, part: Part) -> bool:
    if pair.key is None:
        return True
    port, suspect = pairing.port, make_paired_suspect(pairing, name, program, None)
    for rows in _rows(pairing, name, pair):
        try:
            whole, without = (np.asarray(each, np.float64) for each in _both(port, pair, part, rows))
            fed = tuple(np.asarray(rows[key], np.float64) for key in pair.fed)
            found = suspect.compare(suspect.step, fed, without, "rows without it")
        except Exception:  # somebody's own layer may raise anything, and a step may have no bound
            continue
        if not found.is_parity:
            return False
        if _is_nearer(suspect, fed, whole, without):
            return False
    return True


def _rows(pairing: KerasPairing, name: str, pair: Pair) -> Iterator[Mapping[Key, Array]]:
    """The network's own rows for a step, wide ones, and those far outside."""
    port = pairing.port
    yield {key: port.values[key] for key in pair.fed}
    drawn = draw_wide(pair.step, port, pair.fed, np.random.default_rng(0))
    if drawn is not None and port.between(pair.fed, pair.key)[1]:  # type: ignore[arg-type]
        yield drawn
        shapes = {key: port.values[key].shape[1:] for key in dict.fromkeys(pair.fed)}
        assert pair.key is not None
        far = far_numbers(pair.step, shapes, port.values[pair.key].shape[1:], pairing.precision(name))
        if far is not None:
            yield {key: values.astype(port.values[key].dtype) for key, values in far.items()}


def _both(port: Pieces, pair: Pair, part: Part, rows: Mapping[Key, Array]) -> tuple[Array, Array]:
    """What the port makes of some rows, and what it makes of them where one tensor is put in another's place."""
    assert pair.key is not None
    source, key = part
    given = rows[source] if source in rows else port.run(rows, source)
    return port.run(rows, pair.key), port.run({**rows, key: given}, pair.key)


def _is_nearer(suspect: Suspect, fed: tuple[Array, ...], whole: Array, without: Array) -> bool:
    """Whether a step comes much nearer with a piece, so that it is there for something."""
    wanted = np.asarray(suspect.step(*fed).outputs, np.float64)
    with np.errstate(all="ignore"):
        far, near = np.abs(whole - wanted), np.abs(without - wanted)
    held = np.isfinite(far) & np.isfinite(near)
    return bool(NEARER * far[held].sum() < near[held].sum())
