"""Which piece of the port computes which legacy step: by structure, and by what agrees when judged alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.judging import judge
from porter.examination.probes import wide_rows
from porter.ports.blocks import Atom, Block
from reference.composed.forms import equivalent_forms
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform
from reference.precision import Precision
from reference.trace import Program

Array = NDArray[Any]

AGREES, RELATED, FITS = 3.0, 2.5, 1.6
"""Scores of a pair whose outputs agree, whose weights are the same numbers, whose shapes alone fit.

Two pairs that merely fit (3.2) outweigh one that agrees beside two gaps (3.0): two layers exchanged stay paired in
their places, so that they can be named as exchanged.
"""


@dataclass(frozen=True)
class Pair:
    """A legacy step and the port's block that computes it, or None where nothing does."""

    step: Any
    block: Block | None


@dataclass(frozen=True)
class Pairing:
    """The whole port against the whole program.

    Attributes:
        pairs: one a legacy step, in order.
        extra: blocks of the port that no legacy step accounts for.
        ties: layers that another alignment would have paired just as well.
        strays: pieces without a matrix that stand where the legacy network has no step.
        merges: atoms that take more than one tensor, each with the name of the layer in front of it.
    """

    pairs: tuple[Pair, ...]
    extra: tuple[Block, ...] = ()
    ties: tuple[str, ...] = ()
    merges: tuple[tuple[Atom, str], ...] = ()
    strays: tuple[Block, ...] = ()

    def __getitem__(self, layer: str) -> Pair:
        return next(pair for pair in self.pairs if pair.step.name == layer)

    @property
    def dense(self) -> tuple[Pair, ...]:
        """The pairs of dense steps alone."""
        return tuple(pair for pair in self.pairs if isinstance(pair.step, Dense))


def pair_chain(program: Program, pieces: Sequence[Atom], rows: Array, rng: np.random.Generator) -> Pairing:
    """Pair a chain of legacy steps with a chain of the port's atoms.

    Args:
        program: a chain: steps before the first dense one, dense steps, steps after the last.
        pieces: the port's atoms in order of computation.
        rows: (rows, inputs) of the network, to judge the steps before the first layer with.
        rng: draws the probes that decide.
    """
    atoms = [atom for atom in pieces if atom.kind != "merge"]
    steps = program.steps
    dense = [i for i, step in enumerate(steps) if isinstance(step, Dense)]
    before, layers, after = steps[: dense[0]], steps[dense[0] : dense[-1] + 1], steps[dense[-1] + 1 :]
    default = _default_precision(atoms)
    cores = [i for i, atom in enumerate(atoms) if atom.is_core]
    first = cores[0] if cores else len(atoms)
    maker = _Maker(atoms, default)
    last = cores[-1] if cores else len(atoms)
    bounds = [*cores, len(atoms)]
    groups = [maker.block(bounds[k], bounds[k + 1]) for k in range(len(cores) - 1)]
    trailing = [i for i in range(last + 1, len(atoms)) if atoms[i].kind != "identity"]
    pairs = _split(before, range(first), maker, lambda step: rows[:64], None)
    ending = maker.block(last, last + 1) if cores else None
    matched, extra, ties = _align(layers, [*groups, *([ending] if ending is not None else [])], rng)
    tail = _split((matched[-1].step, *after), trailing, maker, lambda step: _local(step, rng), ending)
    found = (*pairs, *matched[:-1], *_attach(matched[-1], tail, ending))
    claimed = {
        atom.key for block in (*(pair.block for pair in found), *extra) if block is not None for atom in block.atoms
    }
    strays = [
        maker.block(i, i + 1) for i, atom in enumerate(atoms) if atom.key not in claimed and atom.kind != "identity"
    ]
    return Pairing(found, tuple(extra), tuple(ties), _merges(found, pieces), tuple(strays))


def has_transforms(program: Program, pieces: Sequence[Atom], rows: Array, rng: np.random.Generator) -> bool:
    """Whether a port computes every function of the columns that a chain has at its ends; the arguments as above."""
    pairs = [pair for pair in pair_chain(program, pieces, rows, rng).pairs if isinstance(pair.step, Transform)]
    return all(
        pair.block is not None
        and _agreement(pair.step, pair.block, rows[:64] if pair.step is program.steps[0] else _local(pair.step, rng))
        for pair in pairs
    )


def _merges(pairs: Sequence[Pair], pieces: Sequence[Atom]) -> tuple[tuple[Atom, str], ...]:
    owner = {atom.key: pair.step.name for pair in pairs if pair.block is not None for atom in pair.block.atoms}
    found, before = [], pairs[0].step.name
    for atom in pieces:
        before = owner.get(atom.key, before)
        if atom.kind == "merge":
            found.append((atom, before))
    return tuple(found)


@dataclass(frozen=True)
class _Maker:
    atoms: Sequence[Atom]
    default: Precision

    def block(self, start: int, stop: int) -> Block:
        return Block(tuple(self.atoms[start:stop]), self.default)


def _default_precision(atoms: Sequence[Atom]) -> Precision:
    declared = [atom.precision for atom in atoms if atom.precision is not None and atom.kind != "identity"]
    dense = [atom.precision for atom in atoms if atom.precision is not None and atom.kind == "dense"]
    return (dense or declared or [Precision("float32", "float32")])[0]


def _attach(last: Pair, tail: Sequence[Pair], ending: Block | None) -> tuple[Pair, ...]:
    """The pair of the last layer with the trailing atoms that belong to it, then the pairs behind it."""
    if last.block is None or ending is None or last.block.atoms != ending.atoms:
        return (last, *tail[1:])
    own = tail[0].block
    whole = replace(ending, atoms=(*ending.atoms, *(own.atoms if own is not None else ())))
    return (Pair(last.step, whole), *tail[1:])


def _split(
    steps: Sequence[Any],
    positions: Sequence[int],
    maker: _Maker,
    probes: Callable[[Any], Array],
    head: Block | None,
) -> list[Pair]:
    """Share consecutive atoms out among consecutive steps so that most of them agree.

    With ``head``, the first step is the layer that ``head`` begins, and may get no atom of these.
    """
    if not steps:
        return []
    positions = list(positions)
    best: tuple[float, list[Pair]] | None = None
    for cuts in combinations_with_replacement(range(len(positions) + 1), len(steps) - 1):
        edges = [0, *cuts, len(positions)]
        pairs = [Pair(step, _between(positions[edges[k] : edges[k + 1]], maker)) for k, step in enumerate(steps)]
        score = sum(_share_score(pair, probes(pair.step), head if k == 0 else None) for k, pair in enumerate(pairs))
        if best is None or score > best[0]:
            best = (score, pairs)
    assert best is not None
    return best[1]


def _between(positions: Sequence[int], maker: _Maker) -> Block | None:
    return maker.block(positions[0], positions[-1] + 1) if positions else None


def _share_score(pair: Pair, rows: Array, head: Block | None) -> float:
    block = pair.block
    if head is not None:
        atoms = (*head.atoms, *(block.atoms if block is not None else ()))
        score = _agreement(pair.step, replace(head, atoms=atoms), rows)
        kinds = [atom.kind for atom in (block.atoms if block is not None else ())]
        return score + (0.1 if "activation" in kinds else -0.05 * len(kinds))
    if block is None:
        return 0.0
    is_affine = all(atom.kind == "affine" for atom in block.atoms)
    preferred = (0.2 if is_affine else -0.2) if isinstance(pair.step, Scaling) else 0.01
    return _agreement(pair.step, block, rows) + preferred


def _agreement(step: Any, block: Block, rows: Array) -> float:
    forms = (step, *equivalent_forms(step))
    try:
        return 1.0 if any(judge(form, block.run, rows, block.precision).is_parity for form in forms) else 0.0
    except Exception:  # a wrong grouping may not even run; then it does not agree
        return 0.0


def _local(step: Any, rng: np.random.Generator) -> Array:
    width = step.width[0]
    basis = np.zeros((16, width))  # and not the whole basis of a wide layer
    basis[1 + np.arange(min(15, width)), np.arange(min(15, width))] = 1.0
    return np.concatenate([basis, wide_rows(width, rng)[:16]])


def _align(
    layers: Sequence[Dense], groups: Sequence[Block], rng: np.random.Generator
) -> tuple[list[Pair], list[Block], list[str]]:
    if len(layers) == len(groups) and all(_fits(s, b) for s, b in zip(layers, groups, strict=True)):
        return [Pair(step, block) for step, block in zip(layers, groups, strict=True)], [], []
    scores = np.array([[_score(step, block, rng) for block in groups] for step in layers])
    scores = scores.reshape(len(layers), len(groups))
    matched, ties = _best_path(scores)
    used = {j for j in matched if j is not None}
    pairs = [Pair(step, None if j is None else groups[j]) for step, j in zip(layers, matched, strict=True)]
    return pairs, [block for j, block in enumerate(groups) if j not in used], [layers[i].name for i in ties]


def _fits(step: Dense, block: Block) -> bool:
    return any(atom.is_core and atom.width == step.width for atom in block.atoms)


def _score(step: Dense, block: Block, rng: np.random.Generator) -> float:
    if not _fits(step, block):
        return -np.inf
    if _agreement(step, block, _local(step, rng)):
        return AGREES
    kernel = None if block.dense is None else block.dense.kernel
    if kernel is not None and _share_numbers(step, kernel):
        return RELATED
    return FITS


def _share_numbers(step: Dense, kernel: Array) -> bool:
    stored = np.sort(step.weights.astype(np.float32), axis=None)
    return bool(np.mean(stored == np.sort(kernel.astype(np.float32), axis=None)) > 0.5)


def _best_path(scores: Array) -> tuple[list[int | None], list[int]]:
    """The monotone alignment of the highest total score, gaps at zero, and the rows where another is as good."""
    n, m = scores.shape
    total = np.zeros((n + 1, m + 1))
    for i in range(n):
        for j in range(m):
            total[i + 1, j + 1] = max(total[i, j + 1], total[i + 1, j], total[i, j] + scores[i, j])
    matched: list[int | None] = [None] * n
    ties: list[int] = []
    i, j = n, m
    while i and j:
        options = (total[i - 1, j - 1] + scores[i - 1, j - 1], total[i - 1, j], total[i, j - 1])
        pick = int(np.argmax(np.isclose(options, total[i, j], rtol=0, atol=1e-9)))
        if pick == 0 and options[1] == options[0]:
            ties.append(i - 1)
        if pick == 0:
            matched[i - 1] = j - 1
        i, j = (i - 1, j - 1) if pick == 0 else (i - 1, j) if pick == 1 else (i, j - 1)
    return matched, ties[::-1]
