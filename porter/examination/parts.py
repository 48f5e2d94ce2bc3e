"""The arrays of one legacy layer in the layers of a port that compute it together: blocks of its units or inputs."""

from __future__ import annotations

from collections.abc import Iterator
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


def parts_that_differ(step: Dense, block: Block) -> int | None:
    """How many entries of a port's kernels and biases are not the cast of the stored ones.

    Args:
        step: on the port's own units.
        block: what computes it, of any number of layers.

    Returns:
        None where its arrays are not those of the step in blocks: hidden, multiplied, or something else's.
    """
    parts = [part for atom in block.atoms if atom.arrays is not None for part in atom.arrays()]
    stored = Stored.of(step)
    kernel, bias = stored.kernel, np.zeros(stored.kernel.shape[1]) if stored.bias is None else stored.bias
    held, biases = np.zeros(kernel.shape, int), np.zeros(len(bias))
    slack, bias_slack = _slack(step, kernel, bias)
    wrong, summands = 0, np.zeros(len(bias), int)
    for read, beside, dtype in parts:
        own, added = _without_ones(read, beside, kernel.shape)
        places = next(_places(own, kernel), None)
        if places is None:
            return None
        grid = np.ix_(*places)
        held[grid] += 1
        same = equal_within_ulp(own, kernel[grid], dtype)
        wrong += int(np.count_nonzero(~(same | (np.abs(own - kernel[grid]) <= slack[grid] + ulp(own, dtype)))))
        if added is not None:
            biases[places[1]] += added
            summands[places[1]] += added != 0
    if not parts or (held != 1).any():
        return None
    if (summands <= 1).all():
        coarsest = max((part[2] for part in parts), key=lambda name: FORMATS[name].unit)
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


def _places(own: Array, kernel: Array) -> Iterator[Places]:
    """Where in a kernel another one stands as a block of whole columns, or of whole rows."""
    every = [np.arange(size) for size in kernel.shape]
    if own.shape[0] == kernel.shape[0]:
        columns = _nearest(own.T, kernel.T)
        if columns is not None:
            yield every[0], columns
    if own.shape[1] == kernel.shape[1]:
        rows = _nearest(own, kernel)
        if rows is not None:
            yield rows, every[1]


def _nearest(own: Array, vectors: Array) -> Array | None:
    """(n,) which of some vectors each of others is, each once; None where one is none of them."""
    sizes = np.sum(vectors * vectors, axis=1)
    gaps = np.sum(own * own, axis=1)[:, np.newaxis] + sizes - 2 * own @ vectors.T
    found = np.argmin(gaps, axis=1)
    near = gaps[np.arange(len(own)), found] <= NEAR**2 * sizes[found]
    return found if near.all() and len(np.unique(found)) == len(found) else None
