"""A layer as a dense one on rows: what it does to one place of its input, or to one window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.probes import blocks
from porter.examination.suspect import Stored
from reference.operations.convolution import Convolution
from reference.operations.dense import Dense
from reference.windows import as_stored, channels_last, count_before

Array = NDArray[Any]

BLOCK = 2**21
"""Numbers of a block of rows."""


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
        return Flat(
            own, lambda rows: iter([_side_by_side(rows, shape[:-1])]), lambda given: given.reshape(-1, given.shape[-1])
        )
    if not isinstance(step, Convolution) or step.groups != 1:
        return None
    windows = _Windows.of(step, shape)
    kernel = np.asarray(step.kernel, np.float64).reshape(-1, step.kernel.shape[-1])
    bias = None if step.bias is None else np.asarray(step.bias, np.float64)
    own = Stored(step.name, kernel, bias, step.activation, kernel, False)
    return Flat(own, windows.placed, windows.picked) if len(windows.starts) else None


def _side_by_side(rows: Array, places: tuple[int, ...]) -> Array:
    """(ceil(n / places), *places, inputs): rows for a layer that treats every place alone."""
    missing = -len(rows) % int(np.prod(places))
    return np.concatenate([rows, rows[:1].repeat(missing, axis=0)]).reshape(-1, *places, rows.shape[1])


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
