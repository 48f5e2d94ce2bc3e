"""Clamps and flags behind a network: what the outputs are held to, where samples show that they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.identification.candidate import Bounds, Candidate
from porter.identification.pool import Pool, base_name, is_number_of_line
from porter.identification.refining import Golden, residuals
from reference.composed.extremes import Extremes

Array = NDArray[Any]

MOST_VECTORS, MOST_UNSHOWN = 9, 24
AGREE = 1e-3
LEAST_SHARE = 0.4
"""Of the numbers of the samples that a configuration has to give as they are."""


def agreeing_share(values: Array, golden: Golden) -> float:
    """How many of the samples' numbers are given, flags left out."""
    usable = np.isfinite(golden.outputs)
    return float(np.mean(residuals(values, golden)[usable] <= AGREE))


def bounded(pool: Pool, candidate: Candidate, golden: Golden) -> Iterator[tuple[Candidate, float]]:
    """The configuration held to bounds by which it gives all samples, with what is left; the file's own first."""
    values = candidate.predict(pool, golden.inputs)
    used = {name for reading in candidate.layers for name in (reading.array, reading.bias)}
    free = [name for name in pool.vectors if name not in used]
    for bounds in (*_stored(pool, free, golden.outputs.shape[1]), *_written(values, golden)):
        left = float(np.max(residuals(_held(values, bounds), golden)))
        if left <= AGREE:
            yield candidate.with_bounds(bounds), left


def unshown(pool: Pool, candidate: Candidate, golden: Golden) -> Iterator[Candidate]:
    """The configuration held to arrays that nothing else takes, where the samples would not show it.

    Samples that no bound is reached by do not tell whether there is one; an array that is left over suggests it.
    """
    values = candidate.predict(pool, golden.inputs)
    left_over = replace(candidate, bounds=None).unused(pool)
    free = [name for name in pool.vectors if base_name(name) in left_over]
    with np.errstate(invalid="ignore"):
        own = values if candidate.bounds is None else _held(values, candidate.bounds)
    for bounds in itertools.islice(_stored(pool, free, golden.outputs.shape[1]), MOST_UNSHOWN):
        if np.array_equal(_held(values, bounds), own, equal_nan=True):
            yield candidate.with_bounds(bounds)


def _held(values: Array, bounds: Bounds) -> Array:
    step = Extremes("Extremes", ("",), bounds.least, bounds.greatest, bounds.tolerance)
    return np.asarray(step(values).outputs)


def _stored(pool: Pool, free: Sequence[str], width: int) -> Iterator[Bounds]:
    """Two or three vectors of the file, those of one table first."""
    names = [name for name in free if pool.vectors[name].size in (width, 1)]
    names = [name for name in names if width == 1 or not is_number_of_line(name)]
    triples: list[tuple[str, str, str | None]] = [*itertools.permutations(names[:MOST_VECTORS], 3)]
    triples += [(one, two, None) for one, two in itertools.permutations(names, 2)]
    triples.sort(key=lambda each: len({base_name(name) for name in each if name is not None}))
    for least, greatest, tolerance in triples:
        low, high = (np.broadcast_to(pool.vector(name), (width,)).astype(np.float64) for name in (least, greatest))
        reach = np.full(width, np.inf)
        if tolerance is not None:
            reach = np.abs(np.broadcast_to(pool.vector(tolerance), (width,)).astype(np.float64))
        if np.all(low < high):
            yield Bounds((least, greatest, tolerance), low, high, reach)


def _written(values: Array, golden: Golden) -> Iterator[Bounds]:
    """Clamps to numbers that no array holds: what the samples have in several rows, where the network goes beyond."""
    if np.isnan(golden.outputs).any():
        return
    least, greatest = [], []
    for column, outputs in zip(values.T, golden.outputs.T, strict=True):
        apart = np.abs(column - outputs) > AGREE * np.max(np.abs(outputs))
        low, high = (outputs[apart & side] for side in (column < outputs, column > outputs))
        least.append(float(low[0]) if low.size else float(min(outputs.min(), column.min())) - 1e6)
        greatest.append(float(high[0]) if high.size else float(max(outputs.max(), column.max())) + 1e6)
    if np.all(np.array(least) < np.array(greatest)):
        yield Bounds((None, None, None), np.array(least), np.array(greatest), np.full(len(least), np.inf))


def held_residual(pool: Pool, candidate: Candidate, golden: Golden) -> float:
    """What is left of the samples behind a configuration with bounds."""
    assert candidate.bounds is not None
    return float(np.max(residuals(_held(candidate.predict(pool, golden.inputs), candidate.bounds), golden)))
