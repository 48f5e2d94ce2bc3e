"""Numbers that show every weight of a layer whose arrays cannot be read: alone, magnified, or where a unit is steep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.far import PLAIN, SUMS
from porter.examination.graphs.steps import arrays_of
from porter.examination.probes import MAGNIFIED_PRODUCT, basis_rows, blocks, layer_rows, reaching_rows
from porter.examination.suspect import Stored
from reference.composed.together import Together
from reference.operations.convolution import Convolution
from reference.operations.dense import Dense
from reference.operations.elementwise import Elementwise
from reference.operations.embedding import Embedding
from reference.operations.local_convolution import LocalConvolution
from reference.precision import Precision
from reference.rounding.recurrent_steps import is_stepped
from reference.windows import as_stored, channels_last, count_before

Array = NDArray[Any]

MAGNITUDES = (1.0, 8.0, 64.0, 2.0**12, 2.0**18)
"""Of numbers that stand alone in a sum, or nearly so: of a small weight the product has to outweigh the bias."""
WIDER = (1.0, 16.0, 300.0)
"""Of rows for steps whose bounds say little far outside of their range: ordinary numbers, and pixels."""
LEAST_ROWS, MOST_ROWS, MOST = 16, 256, 2**20
"""How many of each, and how many numbers they may be, what they are made to included."""
STEPPED = 64
"""How many times as much a number costs where every time step takes the one before it."""
BLOCK = 2**21
"""Numbers of a block of rows, what they are made to included."""


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
        made = _wider(size * (STEPPED if any(map(is_stepped, parts)) else 1), shape, rng)
    else:
        summing = [part for part in parts if isinstance(part, (*SUMS, LocalConvolution))]
        largest = min(MAGNIFIED_PRODUCT, precision.format.largest / 16)
        made = _rows(summing[0], shape, largest, rng) if summing else iter(())
    for rows in made:
        for _, block in blocks(rows, max(1, BLOCK // size)):
            yield block.reshape(len(block), *shape)


def _words(count: int, shape: tuple[int, ...]) -> Iterator[Array]:
    """Every word of a table, in rows of words."""
    length = int(np.prod(shape))
    yield np.resize(np.arange(count), (-(-count // length), length))


def _wider(cost: int, shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[Array]:
    """Many rows, and rows as wide as anybody's inputs: what few rows do not meet, and where caps are."""
    count = int(np.clip(MOST // cost, LEAST_ROWS, MOST_ROWS))
    for magnitude in WIDER:
        yield magnitude * rng.normal(size=(count, *shape))


def _rows(part: Any, shape: tuple[int, ...], largest: float, rng: np.random.Generator) -> Iterator[Array]:
    flat = flattened(part, shape)
    if isinstance(part, Dense) and flat is not None:
        for rows in layer_rows(flat.own.kernel, flat.own.bias, rng, None, largest).values():
            yield from flat.placed(rows)
        return
    basis = basis_rows(int(np.prod(shape)), rng, read=True)
    most = largest / np.prod([np.max(np.abs(array), initial=1.0) for array in arrays_of(part)])
    for magnitude in MAGNITUDES:
        if magnitude <= max(1.0, most):
            yield magnitude * basis[1:]
    if flat is not None:
        yield from flat.placed(reaching_rows(flat.own.kernel, flat.own.bias, rng))


@dataclass(frozen=True)
class Flat:
    """A step as a dense layer on rows: whatever it does to one place of its input, or to one window.

    Attributes:
        own: that layer.
        placed: (n, inputs) rows to blocks of what the step takes, as many rows in one as do not touch each other.
        picked: what the step gives for a block to (m, units), of its rows in their order and of what fills it up.
    """

    own: Stored
    placed: Callable[[Array], Iterator[Array]]
    picked: Callable[[Array], Array]


def flattened(step: Any, shape: tuple[int, ...]) -> Flat | None:
    """A dense layer or a convolution of one group as ``Flat``; None for anything else.

    Args:
        step: of a legacy program.
        shape: of a row of what it takes.
    """
    if isinstance(step, Dense):
        own = Stored.of(step)
        places = int(np.prod(shape[:-1]))
        return Flat(
            own, lambda rows: iter([_side_by_side(rows, places)]), lambda given: given.reshape(-1, given.shape[-1])
        )
    if not isinstance(step, Convolution) or step.groups != 1:
        return None
    windows = _Windows.of(step, shape)
    kernel = np.asarray(step.kernel, np.float64).reshape(-1, step.kernel.shape[-1])
    bias = None if step.bias is None else np.asarray(step.bias, np.float64)
    own = Stored(step.name, kernel, bias, step.activation, kernel, False)
    return Flat(own, windows.placed, windows.picked) if len(windows.starts) else None


def _side_by_side(rows: Array, places: int) -> Array:
    """(ceil(n / places), places, inputs): rows for a layer that treats every place alone."""
    missing = -len(rows) % places
    return np.concatenate([rows, rows[:1].repeat(missing, axis=0)]).reshape(-1, places, rows.shape[1])


@dataclass(frozen=True)
class _Windows:
    """Windows of a convolution that lie inside its input and do not overlap.

    Attributes:
        step: the convolution.
        shape: (*space, channels) of a row of its input.
        starts: (windows, dimensions) where each begins.
        outputs: the same for what comes of it.
    """

    step: Convolution
    shape: tuple[int, ...]
    starts: Array
    outputs: Array

    @classmethod
    def of(cls, step: Convolution, shape: tuple[int, ...]) -> _Windows:
        *space, channels = (*shape[1:], shape[0]) if step.channels_first else shape
        starts, outputs = [], []
        for length, size, stride, spread in zip(
            space, step.kernel.shape[:-2], step.strides, step.dilation, strict=True
        ):
            span = (size - 1) * spread + 1
            before = count_before(step.padding, length, span, stride)
            first = -(-before // stride)
            numbers = np.arange(first, first + max(0, (length - span - first * stride + before) // stride + 1))
            apart = numbers[:: -(-span // stride)]
            outputs.append(apart)
            starts.append(apart * stride - before)
        grids = [
            np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")], axis=-1)
            for axes in (starts, outputs)
        ]
        return cls(step, (*space, channels), *grids)

    def placed(self, rows: Array) -> Iterator[Array]:
        """Each row in one window of an array of zeros."""
        window, count = self.step.kernel.shape[:-2], len(self.starts)
        for _, block in blocks(rows, count * max(1, BLOCK // int(np.prod(self.shape)))):
            images = np.zeros((-(-len(block) // count), *self.shape))
            for number, row in enumerate(block.reshape(len(block), *window, self.shape[-1])):
                spots = tuple(
                    slice(start, start + (size - 1) * spread + 1, spread)
                    for start, size, spread in zip(self.starts[number % count], window, self.step.dilation, strict=True)
                )
                images[number // count][spots] = row
            yield as_stored(images, self.step.channels_first)

    def picked(self, given: Array) -> Array:
        """What came of every window, (images * windows, filters)."""
        given = channels_last(given, self.step.channels_first)
        return given[:, *self.outputs.T].reshape(-1, given.shape[-1])
