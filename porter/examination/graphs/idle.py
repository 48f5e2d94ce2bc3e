"""Operations of a port beside the legacy steps: what seems to do nothing is asked on special values, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.graphs.kinds import applies_activation, can_compute
from porter.examination.graphs.pairing import KerasPairing
from porter.examination.graphs.pieces import Piece, Pieces, split
from porter.examination.pasting import taken_out
from porter.ports.keras.nodes import PortNode
from reference.trace import Program

Array = NDArray[Any]

SPECIAL = (np.nan, np.inf, -np.inf, 1e3, -1e3, 3e4, -3e4, 1e8, -1e8, 1e30, -1e30, 0.0)
"""Numbers that a clip, a cap, or a function against what is no number would change."""
MOVES = ("Flatten", "Reshape", "Permute", "Transpose", "ExpandDims", "Squeeze", "Identity", "Cast")


def find_idle(pairing: KerasPairing, program: Program, row_of: Callable[[Piece], str]) -> list[Cause]:
    """What no step accounts for, gives its input on the network's rows, and something else on special values.

    Args:
        pairing: of the port.
        program: of the legacy network.
        row_of: the step that an operation stands behind.
    """
    port = pairing.port
    strays = [piece for at, piece in enumerate(port.pieces) if not _is_known(pairing, program, at, piece)]
    causes = []
    for piece in strays:
        if _hands_on(port, piece) and _changes(port, piece):
            name = piece.node.name
            message = f"{name} ({piece.kind}), behind it, changes numbers that are special or far away"
            code = "activation.added" if piece.is_activation else "unexplained"
            causes.append(Cause(code, row_of(piece), message, taken_out([name])))
    return causes


def is_harmless(node: PortNode) -> bool:
    """Whether a call is none that ``find_idle`` asks, whatever it stands beside: numbers moved, or variables used.

    A layer with variables and an activation fused into it is asked for that activation.
    """
    operation = node.operation
    whole = bool(getattr(operation, "weights", ())) and len(split(node, 0)) == 1
    return node.kind == "identity" or whole or type(operation).__name__ in MOVES


def _is_known(pairing: KerasPairing, program: Program, at: int, piece: Piece) -> bool:
    """Whether a step that the piece belongs to can be computed by its kind, or it merely moves numbers."""
    if (
        piece.kind in MOVES
        or piece.node.kind == "identity"
        or piece.has_weights
        or pairing.port.values[piece.outputs[0]].dtype == np.bool_
    ):
        return True
    for step in program.steps:
        pair = pairing[step.name]
        parts = getattr(pair.step, "steps", (pair.step,))
        # A step that hands on what it takes was paired with that, and its own operation with nothing.
        belongs = at in pair.pieces or (pair.key is not None and pair.key in pair.fed)
        if belongs and any(can_compute(part, piece) for part in parts):
            return True
        if piece.is_activation and applies_activation(parts[-1]):
            applied = [other for other in pair.pieces if pairing.port.pieces[other].is_activation]
            # One that changes nothing there agrees with what stands in front of it, too.
            if applied[-1:] == [at] or (not applied and pair.key in piece.inputs):
                return True
    return False


def _hands_on(port: Pieces, piece: Piece) -> bool:
    """Whether it gives the very bits that it takes, on the network's rows."""
    if len(piece.inputs) != 1 or len(piece.outputs) != 1:
        return False
    given, made = (port.values[keys[0]] for keys in (piece.inputs, piece.outputs))
    return given.shape == made.shape and given.dtype == made.dtype and np.array_equal(given, made, equal_nan=True)


def _changes(port: Pieces, piece: Piece) -> bool:
    """Whether it gives anything else for special values."""
    given = port.values[piece.inputs[0]]
    if given.dtype.kind != "f":
        return False
    size = int(np.prod(given.shape[1:]))
    rows = min(len(SPECIAL), len(given))
    with np.errstate(over="ignore"):
        values = np.stack([np.resize(np.roll(SPECIAL, shift), size) for shift in range(rows)]).astype(given.dtype)
    values = values.reshape((rows, *given.shape[1:]))
    try:
        found = port.run({piece.inputs[0]: values}, piece.outputs[0])
    except Exception:  # somebody's own layer may raise anything
        return False
    return not np.array_equal(np.asarray(found), values, equal_nan=True)
