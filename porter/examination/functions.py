"""An activation that a port shows, held against the file's on numbers of every size, whatever its layer can reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison, merge_comparisons
from porter.examination.judging import MULTIPLE, Refused, cast, judge_values, run_piece
from porter.examination.special import SINGLE, numbers_of_every_size
from reference.activations import Activation
from reference.operations.dense import Activate
from reference.precision import Precision

Array = NDArray[Any]

ALONE = "the activation alone"
FINE, FINE_BINADES = 10, (-12, 4)
"""Every number of so many binary digits, from 2 ** -12 to 2 ** 4: where the preactivations of most layers lie."""


@cache
def _numbers() -> Array:
    """(numbers,) zero and both signs of every size."""
    sizes = 2.0 ** np.arange(*FINE_BINADES)[:, np.newaxis] * (1 + np.arange(2**FINE) / 2**FINE)
    single = np.array(SINGLE)
    return np.concatenate([sizes.ravel(), -sizes.ravel(), numbers_of_every_size(), single[np.isfinite(single)]])


def compare_function(
    activation: Activation, run: Callable[[Array], Array], width: int, precision: Precision
) -> Comparison:
    """An activation of the file against a function of the port that should be it.

    Args:
        activation: the file's, which treats every number alone.
        run: the port's, (rows, width) to (rows, width).
        width: how many columns it takes.
        precision: in which it computes.

    Returns:
        Figures only where it is wrong: its bound is no measure of the layer's, and its numbers are none of the layer's
        elements. Nothing where the function refuses the numbers, or the activation looks at several together.
    """
    if activation.name == "softmax":
        return Comparison()
    numbers, kind = cast(_numbers(), precision.compute), precision.format
    # Nothing whose last digits the platform may flush to zero, and nothing beside what the format holds.
    sizes = np.abs(numbers.astype(np.float64))
    numbers = numbers[((sizes > 4 * kind.tiny / kind.unit) & (sizes < kind.largest / 4)) | (sizes == 0)]
    is_near = np.abs(numbers) <= np.log(kind.largest) / MULTIPLE
    found = [
        _compare(activation, run, np.resize(part, (-(-len(part) // width), width)), precision, is_far)
        for part, is_far in ((numbers[is_near], False), (numbers[~is_near], True))
    ]
    return merge_comparisons(found)


def _compare(
    activation: Activation, run: Callable[[Array], Array], z: Array, precision: Precision, is_far: bool
) -> Comparison:
    try:
        actual = np.asarray(run_piece(run, z))
    except Refused:
        return Comparison()
    if actual.shape != z.shape:
        return Comparison()
    found = judge_values(Activate(ALONE, (), activation), z, actual, precision, ALONE, is_far=is_far)
    if not found.exceeding:
        return replace(found, elements=0, ratio=-1.0, coarseness=np.inf, inevitable=0, unbounded=0, overflowed=0)
    return replace(found, coarseness=np.inf, where=f"{ALONE}, at {float(z[found.index]):.6g}")
