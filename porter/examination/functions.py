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
from reference.table import step_of

Array = NDArray[Any]

ALONE = "the activation alone"
FINE, FINE_BINADES = 10, (-12, 4)
"""Every number of so many binary digits, from 2 ** -12 to 2 ** 4: where the preactivations of most layers lie."""
WRITTEN_OUT, AT_REST = 16.0, 4.0
"""Units of one, and of what comes out, that a formula of exponentials may be off by beside the bound: however it is
written, somewhere it takes the difference of numbers of that size; and units of one where the function has come to its
limit, and the formula with it."""
AT_A_BEND = 8.0
"""Units of a parameter within which a threshold that the port's format rounds lies on either side of a number."""
ROWS, ROWS_NUMBERS = 2048, 2**19
"""Rows for a function that looks at the whole of one, and how many numbers they may be."""


@cache
def _numbers() -> Array:
    """(numbers,) zero, no number, infinities, and both signs of every size."""
    sizes = 2.0 ** np.arange(*FINE_BINADES)[:, np.newaxis] * (1 + np.arange(2**FINE) / 2**FINE)
    return np.concatenate([sizes.ravel(), -sizes.ravel(), numbers_of_every_size(), np.array(SINGLE)])


def compare_function(
    activation: Activation, run: Callable[[Array], Array], width: int, precision: Precision
) -> Comparison:
    """An activation of the file against a function of the port that should be it.

    Args:
        activation: the file's.
        run: the port's, (rows, width) to (rows, width).
        width: how many columns it takes.
        precision: in which it computes.

    Returns:
        Figures only where it is wrong: its bound is no measure of the layer's, and its numbers are none of the layer's
        elements. Nothing where the function refuses the numbers, or the activation looks at several rows together.
    """
    known = tuple(activation.parameters.items())
    if activation.name != "softmax":
        return merge_comparisons(_compare(part, run, width) for part in _wanted(activation.name, known, precision))
    if activation.parameters.get("axis", -1) != -1:
        return Comparison()
    return merge_comparisons(_compare(part, run, width) for part in _wanted_rows(width, precision))


@dataclass(frozen=True)
class _Wanted:
    """What an activation gives for some numbers, and how far a port may be off.

    Every array is (numbers,), or (rows, width) where numbers count together.
    """

    z: Array
    expected: Array
    allowed: Array
    unheld: Array
    is_far: bool
    keeps_nan: bool = False


@lru_cache(maxsize=16)
def _wanted(name: str, parameters: tuple[tuple[str, float], ...], precision: Precision) -> tuple[_Wanted, ...]:
    """The numbers near zero, and those far away, where a function written out may overflow."""
    kind = precision.format
    ends = kind.largest * np.array([0.5, 1.0])
    own = _between(Activation(name, dict(parameters))) if name == "table" else np.zeros(0)
    numbers = cast(np.concatenate([_numbers(), ends, -ends, own]), precision.compute)
    # Nothing whose last digits the platform may flush to zero.
    sizes = np.abs(numbers.astype(np.float64))
    is_held = ~(sizes <= 4 * kind.tiny / kind.unit) | (sizes == 0)
    for bend in (float(each) for _, each in parameters if isinstance(each, int | float)):
        is_held &= ~(np.abs(sizes - abs(bend)) <= AT_A_BEND * kind.unit * abs(bend))
    numbers = numbers[is_held]
    is_plain = name in WITHOUT_EXPONENTIALS
    step, found = Activate(ALONE, (), Activation(name, dict(parameters))), []
    is_far = np.abs(numbers) > np.log(kind.largest) / MULTIPLE
    for far in (False, True):
        z = numbers[is_far == far]
        one = _judged(step, z.astype(np.float64)[:, np.newaxis], precision, far)
        slack = 0.0 if is_plain else _slack(step.activation, z.astype(np.float64), one.expected[:, 0], kind.unit)
        found.append(replace(
            one, z=z, expected=one.expected[:, 0], allowed=one.allowed[:, 0] + slack, unheld=one.unheld[:, 0],
            # A comparison with no number is false, and where people write such functions with one they mean numbers.
            keeps_nan=name == "linear" or not (is_plain or name in ("logistic_table", "table")),
        ))  # fmt: skip
    return tuple(found)


def _between(table: Activation) -> Array:
    """(entries - 1, 2) flat: what is a quarter and three quarters of the way from each entry of a table to the next."""
    first, values = table.parameters["first"], table.parameters["values"]
    step = step_of(first, table.parameters["last"], values)
    return np.asarray(first + step * (np.arange(len(values) - 1)[:, np.newaxis] + [0.25, 0.75])).ravel()


@lru_cache(maxsize=16)
def _wanted_rows(width: int, precision: Precision) -> tuple[_Wanted, ...]:
    """Rows of numbers near zero for a softmax; far from it one exponential takes its whole row along."""
    rng, limit = np.random.default_rng(0), min(FINE_BINADES[1], np.log2(np.log(precision.format.largest) / MULTIPLE))
    shape = max(8, min(ROWS, ROWS_NUMBERS // width)), width
    sizes = 2.0 ** rng.uniform(FINE_BINADES[0], limit, shape) * rng.choice([-1.0, 1.0], shape)
    sizes[::3] = sizes[::3, :1] * (1 + 2.0**-6 * rng.uniform(-1, 1, sizes[::3].shape))  # nearly a tie
    step = Activate(ALONE, (), Activation("softmax"))
    return (_judged(step, cast(sizes, precision.compute).astype(np.float64), precision, False),)


def _judged(step: Activate, fed: Array, precision: Precision, is_far: bool) -> _Wanted:
    expected = np.asarray(step(fed).outputs)
    # A limit is due at infinity as it is far away.
    end = np.sqrt(precision.format.largest)
    fed = np.where(np.isinf(fed) & np.isfinite(expected), np.clip(fed, -end, end), fed)
    trace = step(fed)
    allowed = allowed_error(step, (fed,), trace, precision) + platform_allowance(step, (fed,), trace, precision)
    return _Wanted(fed, expected, allowed, np.asarray(inevitable_overflow(trace, precision)), is_far)


def _slack(activation: Activation, z: Array, a: Array, unit: float) -> Array:
    """What the differences of large numbers in a formula may cost, (numbers,)."""
    with np.errstate(all="ignore"):
        is_at_rest = (np.abs(z) >= 1) & (np.abs(activation(2 * z) - a) <= unit / 2)
        return unit * np.where(is_at_rest, AT_REST, WRITTEN_OUT * (1 + np.abs(np.nan_to_num(a))))


def _compare(wanted: _Wanted, run: Callable[[Array], Array], width: int) -> Comparison:
    parts = (wanted.z, wanted.expected, wanted.allowed, wanted.unheld)
    z, expected, allowed, unheld = (np.resize(each, (-(-each.size // width), width)) for each in parts)
    try:
        actual = np.asarray(run_piece(run, z)).astype(np.float64)
    except Refused:
        return Comparison()
    if actual.shape != z.shape:
        return Comparison()
    found = compare_outputs(expected, actual, allowed, probes=ALONE, unheld=unheld, may_overflow=wanted.is_far)
    if wanted.keeps_nan and np.isfinite(actual[np.isnan(z)]).any():
        made = float(actual[np.isnan(z) & np.isfinite(actual)][0])
        return Comparison(1, 1, np.inf, np.inf, 0.0, np.nan, made, f"{ALONE}, at nan", coarseness=np.inf)
    if not found.exceeding:
        return replace(found, elements=0, ratio=-1.0, coarseness=np.inf, inevitable=0, unbounded=0, overflowed=0)
    return replace(found, coarseness=np.inf, where=f"{ALONE}, at {float(z[found.index]):.6g}")
