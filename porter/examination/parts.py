"""The arrays of one legacy layer in the layers of a port that compute it together: blocks of its units or inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.numbers import equal_within_ulp, ulp
from porter.examination.suspect import Stored
from porter.ports.blocks import Block
from reference.operations.dense import Dense
from reference.precision import FORMATS

Array = NDArray[Any]
Places = tuple[Array, Array]
"""(rows,), (columns,) of a kernel."""

NEAR = 0.5
"""How far, beside its length, a column or row may lie from the file's own to be that one with a mistake in it."""


@dataclass(frozen=True)
class Part:
    """The arrays of one of a port's layers, and where in the legacy layer's they stand.

    Attributes:
        places: rows and columns.
        kernel: (rows, columns) float64.
        bias: (columns,) float64, or None.
        dtype: in which the port holds them.
    """

    places: Places
    kernel: Array
    bias: Array | None
    dtype: str


def lay_out(step: Dense, block: Block, near: float = NEAR) -> list[Part] | None:
    """Every array of a block in its place: together they are the step's kernel, each entry once.

    Args:
        step: on the port's own units.
        block: what computes it, of any number of layers.
        near: how far, beside its length, a column or row may lie from the file's own to be that one.

    Returns:
        None where its arrays are not those of the step in blocks: hidden, multiplied, or something else's.
    """
    kernel = Stored.of(step).kernel
    held, found = np.zeros(kernel.shape, int), []
    for atom in block.atoms:
        for read, beside, dtype in () if atom.arrays is None else atom.arrays():
            own, added = _without_ones(read, beside, kernel.shape)
            places = next(_places(own, kernel, near), None)
            if places is None:
                return None
            held[np.ix_(*places)] += 1
            found.append(Part(places, own, added, dtype))
    return found if found and (held == 1).all() else None


def read_parts(step: Dense, block: Block) -> tuple[Array, Array, str] | None:
    """The port's kernel (inputs, units) and bias (units,) of a step, put together, and their coarsest dtype.

    None as above, but whatever mistake is in them.
    """
    parts = lay_out(step, block, near=np.inf)
    if parts is None or len(parts) < 2:
        return None
    shape = Stored.of(step).kernel.shape
    kernel, bias = np.zeros(shape), np.zeros(shape[-1])
    for part in parts:
        kernel[np.ix_(*part.places)] = part.kernel
        if part.bias is not None:
            bias[part.places[1]] += part.bias
    return kernel, bias, _coarsest(parts)


def _coarsest(parts: Sequence[Part]) -> str:
    return max((part.dtype for part in parts), key=lambda name: FORMATS[name].unit)


def parts_that_differ(step: Dense, block: Block) -> int | None:
    """How many entries of a port's kernels and biases are not the cast of the stored ones; None as in ``lay_out``."""
    parts = lay_out(step, block)
    if parts is None:
        return None
    stored = Stored.of(step)
    kernel = stored.kernel
    bias = np.zeros(kernel.shape[1]) if stored.bias is None else stored.bias
    slack, bias_slack = _slack(step, kernel, bias)
    wrong, biases, summands = 0, np.zeros(len(bias)), np.zeros(len(bias), int)
    for part in parts:
        grid, own = np.ix_(*part.places), part.kernel
        same = equal_within_ulp(own, kernel[grid], part.dtype)
        wrong += int(np.count_nonzero(~(same | (np.abs(own - kernel[grid]) <= slack[grid] + ulp(own, part.dtype)))))
        if part.bias is not None:
            biases[part.places[1]] += part.bias
            summands[part.places[1]] += part.bias != 0
    if (summands <= 1).all():
        coarsest = _coarsest(parts)
        same = equal_within_ulp(biases, bias, coarsest)
        wrong += int(np.count_nonzero(~(same | (np.abs(biases - bias) <= bias_slack + ulp(biases, coarsest)))))
    return wrong


def _slack(step: Dense, kernel: Array, bias: Array) -> tuple[Array, Array]:
    """How far the port's own arrays may lie from the step's beside the cast: (inputs, units), (units,)."""
    if step.weights_error is None or step.bias_error is None:
        return np.zeros(kernel.shape), np.zeros(bias.shape)
    error = step.weights_error.T if step.orientation == "units-first" else step.weights_error
    own = (error - step.by_blocks * np.abs(kernel), step.bias_error - step.by_blocks * np.abs(bias))
    return np.maximum(own[0], 0.0), np.maximum(own[1], 0.0)


def _without_ones(own: Array, added: Array | None, shape: tuple[int, ...]) -> tuple[Array, Array | None]:
    """A kernel and a bias, where the bias is the last row of the kernel, for a column of ones."""
    if added is None and own.shape == (shape[0] + 1, shape[1]):
        return own[:-1], own[-1]
    return own, added


def _places(own: Array, kernel: Array, near: float) -> Iterator[Places]:
    """Where in a kernel another one stands as a block of whole columns, or of whole rows."""
    every = [np.arange(size) for size in kernel.shape]
    if own.shape[0] == kernel.shape[0]:
        columns = _nearest(own.T, kernel.T, near)
        if columns is not None:
            yield every[0], columns
    if own.shape[1] == kernel.shape[1]:
        rows = _nearest(own, kernel, near)
        if rows is not None:
            yield rows, every[1]


def _nearest(own: Array, vectors: Array, limit: float) -> Array | None:
    """(n,) which of some vectors each of others is, each once; None where one is none of them."""
    if len(own) > len(vectors):
        return None
    sizes = np.sum(vectors * vectors, axis=1)
    gaps = np.sum(own * own, axis=1)[:, np.newaxis] + sizes - 2 * own @ vectors.T
    found = np.argmin(gaps, axis=1)
    if len(np.unique(found)) < len(found) and np.isinf(limit):
        found = _nearest_first(gaps)
    near = gaps[np.arange(len(own)), found] <= limit**2 * sizes[found]
    return found if near.all() and len(np.unique(found)) == len(found) else None


def _nearest_first(gaps: Array) -> Array:
    """(n,) a column for each row, each once: the nearest pair first."""
    left, found = gaps.copy(), np.zeros(len(gaps), int)
    for _ in range(len(gaps)):
        row, column = divmod(int(np.argmin(left)), left.shape[1])
        found[row] = column
        left[row], left[:, column] = np.inf, np.inf
    return found
