"""An input that tells two readings of a file apart, which agree wherever the samples were taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.dense import Dense
from reference.trace import Program

Array = NDArray[Any]

POOL = 2048
"""Random rows, and as many random corners, that are tried first."""
UNITS, STEPS, MOVES = 12, 12, 256
"""Units that are pushed to where the readings part, how often, and along how many inputs at a time."""
ROUNDS = 8
"""Rows that are tried of a graph."""
UNDOCUMENTED = 100.0
"""Where the file documents no range, inputs up to so many times the largest of the samples are tried."""
GRID = np.unique(np.concatenate([np.linspace(-20, 20, 4001), np.geomspace(20, 1e4, 200), -np.geomspace(20, 1e4, 200)]))
RELATIVE = 2.0**-18
"""Of an output: a difference below this is not told apart where outputs are larger than on any sample."""


@dataclass(frozen=True)
class Telling:
    """An input on which two readings differ.

    Attributes:
        layer: whose convention it is.
        convention: which.
        reading: how the file is read.
        other: how else it might be.
        row: (inputs,) to be run through the original software.
        outputs: (outputs,) what the file gives as it is read.
        others: (outputs,) what it gives as it might be.
    """

    layer: str
    convention: str
    reading: str
    other: str
    row: Array
    outputs: Array
    others: Array

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        named = {name: getattr(self, name) for name in ("layer", "convention", "reading", "other")}
        arrays = {"input": self.row, "outputs": self.outputs, "other_outputs": self.others}
        return named | {name: array.tolist() for name, array in arrays.items()}


def search_box(limits: Array | None, inputs: Array) -> Array:
    """(n, 2) where inputs are looked for: the documented range, or far beyond the samples where there is none."""
    if limits is not None:
        return np.sort(np.asarray(limits, np.float64), axis=1)
    reach = UNDOCUMENTED * np.maximum(np.max(np.abs(inputs), axis=0, initial=0.0), 1.0)
    return np.stack([-reach, reach], axis=1)


def find_telling(program: Program, other: Program, box: Array, visible: Array) -> tuple[Array, Array, Array] | None:
    """An input of the box on which two programs differ visibly; None where none was found.

    Args:
        program: a chain of one input.
        other: the same with a step read otherwise.
        box: (n, 2) least and largest value of each input.
        visible: (outputs,) the least difference that shows.

    Returns:
        The row (n,), and what either gives (outputs,).
    """
    rng = np.random.default_rng(0)
    pool = pool_rows(box, rng)
    for rows in chain([pool], _pushed(program, other, box, pool, rng)):
        with np.errstate(all="ignore"):
            ours, theirs = (np.asarray(each(rows)[0], np.float64) for each in (program, other))
            excess = np.abs(ours - theirs) / (visible + RELATIVE * np.minimum(np.abs(ours), np.abs(theirs)))
        shown = np.max(np.where(np.isnan(excess), 0.0, excess), axis=1)
        best = int(np.argmax(shown))
        if shown[best] > 1:
            return rows[best], ours[best], theirs[best]
    return None


def find_telling_rows(
    program: Program, other: Program, inputs: Sequence[Array], visible: Array
) -> tuple[Array, Array, Array] | None:
    """The same for graphs: rows put together from numbers of the samples are tried, and numbers of any size."""
    rng, whole = np.random.default_rng(0), all(np.all(each == np.round(each)) for each in inputs)
    for _ in range(ROUNDS):
        rows = [rng.choice(each.reshape(-1), (1, *each.shape[1:])) for each in inputs]
        if not whole:
            size = rng.choice([0.1, 1.0, 10.0])
            rows = [each + size * rng.standard_normal(each.shape) for each in rows]
        with np.errstate(all="ignore"):
            ours, theirs = (_flat(each(dict(zip(program.inputs, rows, strict=True)))) for each in (program, other))
        if ours.shape != theirs.shape or np.any(np.abs(ours - theirs) > visible + RELATIVE * np.abs(ours)):
            return _flat(rows), ours, theirs
    return None


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.asarray(each, np.float64).reshape(-1) for each in arrays])


def pool_rows(box: Array, rng: np.random.Generator) -> Array:
    """Random rows of a box (n, 2), as many of its corners, and its middle."""
    low, high = box.T
    inside = low + (high - low) * rng.uniform(0, 1, (POOL, len(box)))
    corners = np.where(rng.integers(0, 2, (POOL, len(box))) == 1, high, low)
    return np.concatenate([inside, corners, ((low + high) / 2)[None]])


def _pushed(program: Program, other: Program, box: Array, pool: Array, rng: np.random.Generator) -> Iterator[Array]:
    """Rows that drive single units of the layer in question towards where its two readings part."""
    place = next(i for i, (a, b) in enumerate(zip(program.steps, other.steps, strict=True)) if a is not b)
    mine, theirs = program.steps[place], other.steps[place]
    if not isinstance(mine, Dense) or not isinstance(theirs, Dense) or mine.activation == theirs.activation:
        return
    before = program.steps[: place + 1]
    z = _preactivation(before, pool)
    with np.errstate(all="ignore"):
        apart = GRID[~np.isclose(mine.activation(GRID), theirs.activation(GRID), rtol=1e-9, atol=1e-12)]
    for unit, sign in _nearest(z, apart):
        yield from _climb(before, unit, sign, pool[np.argmax(sign * z[:, unit])], box, rng)


def _preactivation(steps: Any, rows: Array) -> Array:
    values = rows
    with np.errstate(all="ignore"):
        for step in steps[:-1]:
            values = step(values).outputs
        return np.asarray(steps[-1].preactivation(values), np.float64)


def _nearest(z: Array, apart: Array) -> list[tuple[int, int]]:
    """(unit, direction), those with the shortest way to an argument on which the readings part first."""
    ways = []
    for sign in (1, -1):
        places = np.sort(sign * apart)
        reached = np.max(sign * z, axis=0)
        index = np.searchsorted(places, reached)
        ways += [
            (float(places[i] - far), unit, sign)
            for unit, (i, far) in enumerate(zip(index, reached, strict=True))
            if i < len(places)
        ]
    return [(unit, sign) for _, unit, sign in sorted(ways)[:UNITS]]


def _climb(steps: Any, unit: int, sign: int, start: Array, box: Array, rng: np.random.Generator) -> Iterator[Array]:
    """From corner to corner, each move the best of single inputs put to either end of its range, and of all at once."""
    row, height = start, -np.inf
    for _ in range(STEPS):
        moved = rng.permutation(len(box))[:MOVES]
        single = np.repeat(row[None], 2 * len(moved), axis=0)
        for end in (0, 1):
            single[np.arange(len(moved)) * 2 + end, moved] = box[moved, end]
        heights = sign * _preactivation(steps, np.concatenate([row[None], single]))[:, unit]
        gain = (heights[1:] - heights[0]).reshape(-1, 2)
        together = row.copy()
        better = gain.max(axis=1) > 0
        together[moved[better]] = box[moved[better], gain.argmax(axis=1)[better]]
        tries = np.concatenate([single, together[None]])
        reached = sign * _preactivation(steps, tries)[:, unit]
        best = int(np.argmax(reached))
        yield tries[[best, -1]]
        if not reached[best] > max(height, heights[0]):
            return
        row, height = tries[best], reached[best]
