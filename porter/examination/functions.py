"""An activation that a port shows, held against the file's on numbers of every size, whatever its layer can reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison, compare_outputs, merge_comparisons
from porter.examination.judging import MULTIPLE, WITHOUT_EXPONENTIALS, Refused, cast, run_piece
from porter.examination.special import SINGLE, numbers_of_every_size
from reference.activations import Activation
from reference.operations.dense import Activate
from reference.precision import Precision
from reference.rounding.bounds import allowed_error, inevitable_overflow, platform_allowance

Array = NDArray[Any]

ALONE = "the activation alone"
FINE, FINE_BINADES = 10, (-12, 4)
"""Every number of so many binary digits, from 2 ** -12 to 2 ** 4: where the preactivations of most layers lie."""
WRITTEN_OUT = 16.0
"""Units of one, and of what comes out, that a formula of exponentials may be off by beside the bound: however it is
written, somewhere it takes the difference of numbers of that size."""
AT_A_BEND = 8.0
"""Units of a parameter within which a threshold that the port's format rounds lies on either side of a number."""


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
    known = tuple(activation.parameters.items())
    return merge_comparisons(_compare(part, run, width) for part in _wanted(activation.name, known, precision))


@dataclass(frozen=True)
class _Wanted:
    """What an activation gives for some numbers, and how far a port may be off; every array is (numbers,)."""

    z: Array
    expected: Array
    allowed: Array
    unheld: Array
    is_far: bool


@lru_cache(maxsize=16)
def _wanted(name: str, parameters: tuple[tuple[str, float], ...], precision: Precision) -> tuple[_Wanted, ...]:
    """The numbers near zero, and those far away, where a function written out may overflow."""
    numbers, kind = cast(_numbers(), precision.compute), precision.format
    # Nothing whose last digits the platform may flush to zero, and nothing beside what the format holds.
    sizes = np.abs(numbers.astype(np.float64))
    is_held = ((sizes > 4 * kind.tiny / kind.unit) & (sizes < kind.largest / 4)) | (sizes == 0)
    for bend in (float(each) for _, each in parameters if isinstance(each, int | float)):
        is_held &= np.abs(sizes - abs(bend)) > AT_A_BEND * kind.unit * abs(bend)
    numbers = numbers[is_held]
    slack = 0.0 if name in WITHOUT_EXPONENTIALS else WRITTEN_OUT * kind.unit
    is_near = np.abs(numbers) <= np.log(kind.largest) / MULTIPLE
    step, found = Activate(ALONE, (), Activation(name, dict(parameters))), []
    for z, is_far in ((numbers[is_near], False), (numbers[~is_near], True)):
        fed = z.astype(np.float64)[:, np.newaxis]
        trace = step(fed)
        allowed = allowed_error(step, (fed,), trace, precision) + platform_allowance(step, (fed,), trace, precision)
        allowed = allowed + slack * (1 + np.abs(np.nan_to_num(trace.outputs)))
        expected, unheld = np.asarray(trace.outputs), np.asarray(inevitable_overflow(trace, precision))
        found.append(_Wanted(z, expected[:, 0], allowed[:, 0], unheld[:, 0], is_far))
    return tuple(found)


def _compare(wanted: _Wanted, run: Callable[[Array], Array], width: int) -> Comparison:
    z, expected, allowed, unheld = (
        np.resize(each, (-(-len(each) // width), width))
        for each in (wanted.z, wanted.expected, wanted.allowed, wanted.unheld)
    )
    try:
        actual = np.asarray(run_piece(run, z)).astype(np.float64)
    except Refused:
        return Comparison()
    if actual.shape != z.shape:
        return Comparison()
    found = compare_outputs(expected, actual, allowed, probes=ALONE, unheld=unheld, may_overflow=wanted.is_far)
    if not found.exceeding:
        return replace(found, elements=0, ratio=-1.0, coarseness=np.inf, inevitable=0, unbounded=0, overflowed=0)
    return replace(found, coarseness=np.inf, where=f"{ALONE}, at {float(z[found.index]):.6g}")
