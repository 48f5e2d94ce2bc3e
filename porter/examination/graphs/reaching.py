"""Numbers that show every weight of a layer whose arrays cannot be read: alone, magnified, or where a unit is steep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.far import PLAIN
from porter.examination.graphs.steps import arrays_of
from porter.examination.probes import MAGNIFIED_PRODUCT, basis_rows, blocks, layer_rows, reaching_rows
from porter.examination.suspect import Stored
from reference.composed.together import Together
from reference.operations.convolution import Convolution
from reference.operations.dense import Dense
from reference.operations.local_convolution import LocalConvolution
from reference.precision import Precision
from reference.windows import as_stored, count_before

Array = NDArray[Any]

SUMS = tuple(each for each in PLAIN if each.__name__ not in ("Affine", "BatchNormalization", "Elementwise", "PReLU"))
"""Steps that add products up, so that one weight may drown among the others."""
MAGNITUDES = (1.0, 8.0, 64.0, 2.0**12, 2.0**18)
"""Of numbers that stand alone in a sum, or nearly so: of a small weight the product has to outweigh the bias."""
BLOCK = 2**21
"""Numbers of a block of rows, what they are made to included."""


def reaching_numbers(
    step: Any, shape: tuple[int, ...], given: tuple[int, ...], precision: Precision
) -> Iterator[Array]:
    """Blocks of rows for a step of one input; none where the step is not made of sums whose bounds hold everywhere.

    Args:
        step: of a legacy program.
        shape: of a row of what it takes.
        given: of a row of what it gives.
        precision: in which the port computes it.
    """
    parts = step.steps if isinstance(step, Together) else (step,)
    summing = [part for part in parts if isinstance(part, (*SUMS, LocalConvolution))]
    if not summing or not all(isinstance(part, (*PLAIN, LocalConvolution)) for part in parts):
        return
    rng, size = np.random.default_rng(0), int(np.prod(shape)) + int(np.prod(given))
    for rows in _rows(summing[0], shape, min(MAGNIFIED_PRODUCT, precision.format.largest / 16), rng):
        for _, block in blocks(rows, max(1, BLOCK // size)):
            yield block.reshape(len(block), *shape)


def _rows(part: Any, shape: tuple[int, ...], largest: float, rng: np.random.Generator) -> Iterator[Array]:
    if isinstance(part, Dense):
        stored = Stored.of(part)
        for rows in layer_rows(stored.kernel, stored.bias, rng, None, largest).values():
            yield _side_by_side(rows, int(np.prod(shape[:-1])))
        return
    basis = basis_rows(int(np.prod(shape)), rng, read=True)
    most = largest / max(1.0, *(float(np.abs(array).sum()) for array in arrays_of(part)))
    for magnitude in MAGNITUDES:
        if magnitude <= max(1.0, most):
            yield magnitude * basis[1:]
    if isinstance(part, Convolution) and part.groups == 1:
        kernel = part.kernel.reshape(-1, part.kernel.shape[-1])
        yield from _in_windows(reaching_rows(kernel, part.bias, rng), part, shape)


def _side_by_side(rows: Array, places: int) -> Array:
    """(ceil(n / places), places, inputs): rows for a layer that treats every place alone."""
    missing = -len(rows) % places
    return np.concatenate([rows, rows[:1].repeat(missing, axis=0)]).reshape(-1, places, rows.shape[1])


def _in_windows(rows: Array, part: Convolution, shape: tuple[int, ...]) -> Iterator[Array]:
    """Each row in one window of an array of zeros, as many windows beside each other as do not overlap."""
    *space, channels = (*shape[1:], shape[0]) if part.channels_first else shape
    window = part.kernel.shape[:-2]
    axes = [_starts(part, *each) for each in zip(space, window, part.strides, part.dilation, strict=True)]
    places = np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")], axis=-1)
    if not len(places):
        return
    for _, block in blocks(rows, len(places) * max(1, BLOCK // int(np.prod(shape)))):
        images = np.zeros((-(-len(block) // len(places)), *space, channels))
        for number, row in enumerate(block.reshape(len(block), *window, channels)):
            at = places[number % len(places)]
            spots = tuple(
                slice(start, start + (size - 1) * spread + 1, spread)
                for start, size, spread in zip(at, window, part.dilation, strict=True)
            )
            images[number // len(places)][spots] = row
        yield as_stored(images, part.channels_first)


def _starts(part: Convolution, length: int, size: int, stride: int, spread: int) -> Array:
    """Where along an axis windows begin that lie inside and do not overlap."""
    span = (size - 1) * spread + 1
    before = count_before(part.padding, length, span, stride)
    first = -(-before // stride) * stride - before
    return np.arange(first, length - span + 1, -(-span // stride) * stride)
