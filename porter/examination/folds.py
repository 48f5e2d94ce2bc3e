"""Scaling steps that a port has multiplied into the dense layer beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.judging import judge
from porter.examination.pairing import Pair, Pairing
from porter.examination.probes import layer_rows
from porter.examination.suspect import Stored
from porter.ports.blocks import Atom, Block
from reference.composed.folding import changes_nothing, fold
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.precision import Precision

Array = NDArray[Any]


def find_folds(pairing: Pairing, rng: np.random.Generator) -> dict[str, str]:
    """Scaling steps that the neighbouring layer computes as well, by name: the layer's name."""
    found: dict[str, str] = {}
    absent = [pair.step for pair in pairing.pairs if isinstance(pair.step, Scaling) and pair.block is None]
    dense = pairing.dense
    before = next((step for step in absent if not step.inverse), None)
    after = next((step for step in absent if step.inverse and step.inputs == (dense[-1].step.name,)), None)
    if before is not None and _agrees_folded(dense[0], before, after if len(dense) == 1 else None, rng):
        found[before.name] = dense[0].step.name
    if after is not None and dense[-1].step.activation.name == "linear":
        if len(dense) == 1 and before is not None:
            found.update({after.name: dense[-1].step.name} if before.name in found else {})
        elif _agrees_folded(dense[-1], None, after, rng):
            found[after.name] = dense[-1].step.name
    return found


def _agrees_folded(pair: Pair, before: Scaling | None, after: Scaling | None, rng: np.random.Generator) -> bool:
    """Whether the layer follows the folded form more closely than its own; what is wrong beside is named later.

    A scaling that changes nothing is in the layer as it stands.
    """
    block = pair.block
    if block is None:
        return False
    folded = _fold(pair, before, after)
    if changes_nothing(pair.step, folded):
        return True
    own, other = Stored.of(pair.step), Stored.of(folded)
    shown = None if block.dense is None else block.dense.kernel
    if shown is not None and shown.shape == own.kernel.shape:
        shares = [_share(shown, each.kernel, block.precision) for each in (other, own)]
        return shares[0] > 0.3 and (shares[0] > shares[1] or (shares[0] == shares[1] and _is_nearer(block, other, own)))
    sets = layer_rows(other.kernel, other.bias, rng)
    return all(judge(folded, block.run, rows, block.precision).is_parity for rows in sets.values())


def _is_nearer(block: Block, folded: Stored, own: Stored) -> bool:
    """Whether the bias tells that the scaling is folded, where the kernel is the same either way."""
    bias = None if block.dense is None else block.dense.bias
    found = np.zeros(own.kernel.shape[1]) if bias is None else bias
    distances = [np.abs(found - (0.0 if each.bias is None else each.bias)).sum() for each in (folded, own)]
    return bool(distances[0] < distances[1])


def _fold(pair: Pair, before: Scaling | None, after: Scaling | None) -> Dense:
    """The layer with the scaling in it, as exact as the arithmetic in which the port may have made it.

    That of its sums, which says most; with 16 bits that of its results, where the weights that it shows need it.
    """
    assert pair.block is not None
    dense, precision = pair.block.dense, pair.block.precision
    kind = precision.accumulator
    folded = fold(pair.step, before, after, kind.unit, kind.tiny)
    if not precision.is_short or dense is None or dense.kernel is None or _explains(folded, dense, precision):
        return folded
    return fold(pair.step, before, after, precision.format.unit, precision.format.tiny)


def _explains(folded: Dense, dense: Atom, precision: Precision) -> bool:
    """Whether the weights that a port shows are the folded ones, to within the fold's own arithmetic and the cast."""
    wanted, kernel, bias = Stored.of(folded), dense.kernel, dense.bias
    assert kernel is not None and wanted.bias is not None
    if kernel.shape != wanted.kernel.shape:
        return True
    error = np.asarray(folded.weights_error)
    error = error.T if wanted.units_first else error
    near = np.abs(kernel - wanted.kernel) <= error + precision.variable_error(wanted.kernel)
    moved = np.abs((0.0 if bias is None else bias) - wanted.bias)
    return bool(near.all() and np.all(moved <= folded.bias_error + precision.variable_error(wanted.bias)))


def _share(found: Array, wanted: Array, precision: Precision) -> float:
    """Share of the entries that are the wanted ones to the port's format, in some order (a transposed layer counts)."""
    room = 2e-3 * np.abs(wanted) + precision.variable_error(wanted)
    near = np.abs(found - wanted) <= room
    if found.shape[0] == found.shape[1]:
        near |= np.abs(found.T - wanted) <= room
    return float(near.mean())


def folded_steps(pairing: Pairing, folds: Mapping[str, str]) -> dict[str, Any]:
    """The steps as they are to be judged, by name: a folded scaling is multiplied into its layer."""
    scalings = {pair.step.name: pair.step for pair in pairing.pairs if pair.step.name in folds}
    before = next((step for step in scalings.values() if not step.inverse), None)
    after = next((step for step in scalings.values() if step.inverse), None)
    steps = {pair.step.name: pair.step for pair in pairing.pairs}
    dense = pairing.dense
    first, last = dense[0].step, dense[-1].step
    if before is not None:
        # The layer takes the network's inputs now; their name stays in the program.
        steps[first.name] = _fold(dense[0], before, after if first is last else None)
    if after is not None and first is not last:
        steps[last.name] = _fold(dense[-1], None, after)
    return steps
