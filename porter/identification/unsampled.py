"""What can be said of a file without samples: what shapes prove, and what the weights' statistics suggest."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.identification.identified import Identified
from porter.identification.pool import Pool
from porter.identification.skeletons import Skeleton
from porter.identification.widths import every_chain

Array = NDArray[Any]

ABSTAIN, LEAST_WIDTH = 0.1, 30
"""Difference of likeness, and size of a kernel, below which nothing is suggested."""
MEASURED = "right for {right} of the {told} square kernels of real networks of which it said something, of {cases}"
RIGHT, TOLD, CASES = 23, 24, 51
"""By ``benchmarks.orientation_hints``."""
MOST_SQUARE = 6


def without_samples(path: Path, pool: Pool, sha256: str) -> Identified:
    """What shapes and statistics say."""
    chains = every_chain(pool)
    if not chains:
        lines = ["no arrays of the file follow each other as layers do"]
        return Identified(path, "no samples", tuple(lines), sha256=sha256)
    likely = [chain for chain in chains if chain.cost <= chains[0].cost + 0.4]
    lines = _shapes(likely)
    if len(likely) == 1:
        lines += orientation_lines(pool, likely[0])
    lines += [
        "activations, scaling and transforms show in no shape: samples of the original software would",
        "`porter capture --language matlab|idl|fortran|c|java|python|r` prints how to record some",
    ]
    return Identified(path, "no samples", tuple(lines), sha256=sha256)


def _shapes(likely: list[Skeleton]) -> list[str]:
    if len(likely) > 1:
        ends = dict.fromkeys((chain.widths[0], chain.widths[-1]) for chain in likely)
        told = ", ".join(f"{inputs} to {outputs}" for inputs, outputs in ends)
        return [f"the arrays follow each other in {len(likely)} ways or more, from inputs to outputs {told}"]
    (chain,) = likely
    lines = [f"{'-'.join(map(str, chain.widths))}: the arrays follow each other so, if names do not mislead"]
    for number, slot in enumerate(chain.slots, start=1):
        own = slot.readings[0]
        bias = own.bias if own.bias_in is None else f"its {own.bias_in}"
        proven = len({reading.orientation for reading in slot.plain}) == 1
        how = f"{own.orientation} by its shape" if proven else f"{slot.inputs} x {slot.units}: its orientation is open"
        lines.append(f"Layer{number}: {own.array} ({how}), bias {bias or 'none'}")
    return lines


def orientation_lines(pool: Pool, chain: Skeleton) -> list[str]:
    """What the weights suggest of kernels whose shape does not tell how they stand."""
    found = likely_orientations(pool, chain)
    lines = []
    for place, (orientation, margin) in sorted(found.items()):
        name = chain.slots[place].readings[0].array
        if orientation is None:
            lines.append(f"{name}: its weights suggest neither orientation")
        else:
            hint = f"its weights suggest {orientation} (likeness {margin:.2f} apart)"
            lines.append(f"{name}: {hint}; a hint, no proof: {accuracy()}")
    return lines


def accuracy() -> str:
    """How often the hint was right where it was measured."""
    return MEASURED.format(right=RIGHT, told=TOLD, cases=CASES)


def likely_orientations(pool: Pool, chain: Skeleton) -> dict[int, tuple[str | None, float]]:
    """For each layer of open orientation what goes best with its neighbours, and by how much.

    Units that a layer weighs alike have weights that are alike before them: the products of kernels with themselves
    resemble each other on either side of a hidden layer, and do not if one of them is transposed.
    """
    ways = [len({reading.orientation for reading in slot.plain}) for slot in chain.slots]
    places = [place for place, count in enumerate(ways) if count > 1][:MOST_SQUARE]
    if not places:
        return {}
    scored = []
    for choice in itertools.product(*(chain.slots[place].plain for place in places)):
        chosen = dict(zip(places, choice, strict=True))
        kernels = [chosen.get(place, slot.readings[0]).canonical(pool)[0] for place, slot in enumerate(chain.slots)]
        likeness = sum(_likeness(one, two) for one, two in itertools.pairwise(kernels))
        scored.append((likeness, {place: reading.orientation for place, reading in chosen.items()}))
    best = max(scored, key=lambda each: each[0])
    found: dict[int, tuple[str | None, float]] = {}
    for place in places:
        rest = max(score for score, stands in scored if stands[place] != best[1][place])
        margin = float(best[0] - rest)
        speaks = margin > ABSTAIN and chain.slots[place].inputs >= LEAST_WIDTH
        found[place] = (best[1][place] if speaks else None, margin)
    return found


def _likeness(before: Array, after: Array) -> float:
    """Cosine between what two kernels make of the units between them, their common part taken out."""
    one, two = before.T @ before, after @ after.T
    one, two = (each / np.sqrt(np.outer(np.diag(each), np.diag(each)) + 1e-300) for each in (one, two))
    mask = ~np.eye(len(one), dtype=bool)
    a, b = one[mask], two[mask]
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size > 0 else 0.0
