"""Rows for a layer that hides its arrays or is not Keras' own: each weight, each word, and what few rows meet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.far import PLAIN, SUMS
from porter.examination.graphs.flattened import BLOCK, flattened
from porter.examination.graphs.steps import arrays_of
from porter.examination.probes import MAGNIFIED_PRODUCT, basis_rows, blocks, layer_rows, reaching_rows
from reference.composed.together import Together
from reference.operations.dense import Dense
from reference.operations.elementwise import Elementwise
from reference.operations.embedding import Embedding
from reference.operations.local_convolution import LocalConvolution
from reference.precision import Precision
from reference.rounding.recurrent_steps import is_stepped

Array = NDArray[Any]

MAGNITUDES = (1.0, 8.0, 64.0, 2.0**12, 2.0**18)
"""Of numbers that stand alone in a sum, or nearly so: of a small weight the product has to outweigh the bias."""
WIDER = (1.0, 16.0, 300.0)
"""Of rows for steps whose bounds say little far outside of their range: ordinary numbers, and pixels."""
LEAST_ROWS, MOST_ROWS, MOST = 16, 256, 2**20
"""How many of each, and how many numbers they may be, what they are made to included."""
STEPPED = 64
"""How many times as much a number costs where every time step takes the one before it."""


def is_plain(step: Any) -> bool:
    """Whether a step is made of sums and of what is done to single numbers, which far rows show as they are."""
    parts = step.steps if isinstance(step, Together) else (step,)
    return all(isinstance(part, PLAIN) and not isinstance(part, Elementwise) for part in parts)


def reaching_numbers(
    step: Any, shape: tuple[int, ...], given: tuple[int, ...], precision: Precision
) -> Iterator[Array]:
    """Blocks of rows for a step of one input: of sums each weight, of a table each word, of anything else many rows.

    Args:
        step: of a legacy program.
        shape: of a row of what it takes.
        given: of a row of what it gives.
        precision: in which the port computes it.
    """
    parts = step.steps if isinstance(step, Together) else (step,)
    rng, size = np.random.default_rng(0), int(np.prod(shape)) + int(np.prod(given))
    tables = [part for part in parts if isinstance(part, Embedding)]
    if tables:
        made = _words(len(tables[0].table), shape)
    elif not all(isinstance(part, (*PLAIN, LocalConvolution)) for part in parts):
        is_walked = any(map(is_stepped, parts))
        made = _wider(size * (STEPPED if is_walked else 1), shape, rng, settled=is_walked and len(shape) > 1)
    else:
        summing = [part for part in parts if isinstance(part, (*SUMS, LocalConvolution))]
        made = _rows(summing[0], shape, precision.format.largest / 16, rng) if summing else iter(())
    for rows in made:
        for _, block in blocks(rows, max(1, BLOCK // size)):
            yield block.reshape(len(block), *shape)


def _words(count: int, shape: tuple[int, ...]) -> Iterator[Array]:
    """Every word of a table, in rows of words."""
    length = int(np.prod(shape))
    yield np.resize(np.arange(count), (-(-count // length), length))


def _wider(cost: int, shape: tuple[int, ...], rng: np.random.Generator, settled: bool) -> Iterator[Array]:
    """Many rows, and rows as wide as anybody's inputs: what few rows do not meet, and where caps are.

    ``settled`` ones follow, whose wide time steps leave states at their ends, of which an ordinary step at either end
    of the sequence shows every weight that takes them.
    """
    count = int(np.clip(MOST // cost, LEAST_ROWS, MOST_ROWS))
    for magnitude in WIDER:
        yield magnitude * rng.normal(size=(count, *shape))
    if settled:
        rows = WIDER[1] * rng.normal(size=(2 * count, *shape))
        rows[:count, -1] /= 4 * WIDER[1]
        rows[count:, 0] /= 4 * WIDER[1]
        yield rows


def _rows(part: Any, shape: tuple[int, ...], largest: float, rng: np.random.Generator) -> Iterator[Array]:
    flat = flattened(part, shape)
    if isinstance(part, Dense) and flat is not None:
        for rows in layer_rows(flat.own.kernel, flat.own.bias, rng, None, largest).values():
            yield from flat.placed(rows)
        return
    basis = basis_rows(int(np.prod(shape)), rng, read=True)
    most = min(MAGNIFIED_PRODUCT, largest) / np.prod([np.max(np.abs(array), initial=1.0) for array in arrays_of(part)])
    for magnitude in MAGNITUDES:
        if magnitude <= max(1.0, most):
            yield magnitude * basis[1:]
    if flat is not None:
        yield from flat.placed(reaching_rows(flat.own.kernel, flat.own.bias, rng))
