"""Numbers far outside of anything a network reaches, for layers that compute the same formula there."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.steps import arrays_of
from porter.examination.probes import FAR_MAGNITUDES, FILL_VALUES, far_rows
from reference.composed.together import Together
from reference.operations.affine import Affine
from reference.operations.batch_normalization import BatchNormalization
from reference.operations.convolution import Convolution
from reference.operations.dense import Dense
from reference.operations.depthwise_convolution import DepthwiseConvolution
from reference.operations.einsum_dense import EinsumDense
from reference.operations.elementwise import Elementwise
from reference.operations.prelu import PReLU
from reference.operations.separable_convolution import SeparableConvolution
from reference.operations.timewise import TimewiseDense
from reference.operations.transposed_convolution import TransposedConvolution
from reference.precision import Precision

Array = NDArray[Any]
K = TypeVar("K", bound=Hashable)

SUMS = (
    Convolution, Dense, DepthwiseConvolution, EinsumDense, SeparableConvolution, TimewiseDense, TransposedConvolution,
)  # fmt: skip
"""Steps that add products up, so that one weight may drown among the others."""
PLAIN = (*SUMS, Affine, BatchNormalization, Elementwise, PReLU)
"""Steps whose bound holds wherever nothing overflows."""
MOST = 2**18
"""Numbers that such rows may be, what they are made to included."""


def far_numbers(
    step: Any, shapes: Mapping[K, tuple[int, ...]], given: tuple[int, ...], precision: Precision
) -> dict[K, Array] | None:
    """Rows of every magnitude and of fill values for what a step takes; None where the step cannot be asked so.

    Args:
        step: of a legacy program.
        shapes: of a row of the one tensor that it takes, by its key.
        given: of a row of what it gives.
        precision: in which the port computes it.
    """
    parts = step.steps if isinstance(step, Together) else (step,)
    if len(shapes) != 1 or not all(isinstance(part, PLAIN) for part in parts):
        return None
    ((key, shape),) = shapes.items()
    if any(getattr(getattr(part, "activation", None), "name", "") == "softmax" for part in parts):
        return None
    width = int(np.prod(shape))
    size = 1.0
    for part in parts:
        size *= max(1.0, *(float(np.abs(array).sum()) for array in arrays_of(part)), 1.0)
    largest = precision.format.largest / 16
    if not 0 < _count(largest / size) * max(width, int(np.prod(given))) <= MOST:
        return None
    rows = far_rows(width, largest, np.random.default_rng(0), size)
    return {key: rows.reshape(len(rows), *shape)}


def _count(most: float) -> int:
    """How many rows ``far_rows`` gives."""
    magnitudes = sum(each < most for each in FAR_MAGNITUDES)
    return 2 * magnitudes + sum(abs(each) < most for each in FILL_VALUES)
