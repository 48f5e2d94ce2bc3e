"""Which functions of single columns may stand before the scaling of the inputs, and behind that of the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.identification.ends import End
from reference.operations.transforms import FUNCTIONS

Array = NDArray[Any]

INPUTS = ("identity", "log10", "ln", "cos_degrees", "sqrt", "root4", "cos", "square")
OUTPUTS = ("identity", "pow10", "exp", "pow8", "square", "relu_square", "pow4", "sqrt", "log10", "ln")
ANGLES = 3
SLACK = 0.02
"""Of a range: how far outside a sample may lie and still be one of it."""
DEVIATIONS = 8.0
MOST_MIXED = 24
"""Combinations of functions that fit the ranges of single columns."""


def alike(inputs: Array) -> list[tuple[str, ...]]:
    """One function for all columns, and angles followed by logarithms, where they are defined on (rows, n) samples."""
    width = inputs.shape[1]
    patterns = [(name,) * width for name in INPUTS]
    if width > ANGLES:
        for name in ("log10", "ln"):
            patterns.append(("cos_degrees",) * ANGLES + (name,) * (width - ANGLES))
    return [pattern for pattern in patterns if np.isfinite(applied(pattern, inputs)).all()]


def applied(functions: Sequence[str], values: Array) -> Array:
    """(rows, n) through a function a column."""
    if set(functions) == {"identity"}:
        return values
    with np.errstate(all="ignore"):
        columns = [FUNCTIONS[name](values[:, place]) for place, name in enumerate(functions)]
    return np.stack(columns, axis=1)


def fitting(inputs: Array, end: End) -> list[tuple[str, ...]]:
    """Functions a column by which samples come to lie in the range that an end says, the likeliest first.

    Empty where all columns lie in it as they are, or where some column cannot be brought there.
    """
    if end.recipe is None:
        return []
    limit = (1 + SLACK) if "minimum" in end.recipe.given else DEVIATIONS
    choices: list[list[str]] = []
    for column in range(inputs.shape[1]):
        own = _fits(inputs[:, column], end, column, limit)
        if not own:
            return []
        choices.append(own)
    first = tuple(own[0] for own in choices)
    found = [first]
    for name in INPUTS:  # the same function wherever it fits
        found.append(tuple(name if name in own else own[0] for own in choices))
    several = [place for place, own in enumerate(choices) if len(own) > 1]
    for place in several[:MOST_MIXED]:
        for name in choices[place][1:]:
            found.append((*first[:place], name, *first[place + 1 :]))
    distinct = list(dict.fromkeys(found))
    return [each for each in distinct if set(each) != {"identity"}][:MOST_MIXED]


def _fits(values: Array, end: End, column: int, limit: float) -> list[str]:
    """The functions that bring a column into its range; as it is, if it lies there and fills it, and then no other."""
    low = -limit if end.recipe is None or end.recipe.chosen_rule != "[0,1]" else -SLACK
    filled: list[tuple[float, str]] = []
    for name in INPUTS:
        with np.errstate(all="ignore"):
            t = FUNCTIONS[name](values) * end.scale[column] + end.offset[column]
        if np.isfinite(t).all() and np.all(t >= low) and np.all(t <= limit):
            filled.append((float(np.ptp(t)) if len(t) > 1 else 0.0, name))
    if any(name == "identity" for _, name in filled) and len(values) == 1:
        return ["identity", *(name for _, name in filled if name != "identity")]
    return [name for _, name in sorted(filled, key=lambda pair: -pair[0])]


@dataclass(frozen=True)
class Backwards:
    """What a function of the outputs takes to give a value between two, one or two intervals.

    Attributes:
        inverse: of the increasing part.
        is_even: whether the negative of an argument gives the same.
        least: below which it gives nothing; values up to there come from everything below an argument of ``floor``.
        floor: None where every value has one argument.
    """

    inverse: Callable[[Any], Any]
    is_even: bool = False
    least: float = -np.inf
    floor: float | None = None


BACKWARDS: Mapping[str, Backwards] = {
    "identity": Backwards(lambda y: y),
    "pow10": Backwards(np.log10, least=0.0),
    "exp": Backwards(np.log, least=0.0),
    "pow8": Backwards(lambda y: np.sqrt(np.sqrt(np.sqrt(y))), is_even=True, least=0.0),
    "pow4": Backwards(lambda y: np.sqrt(np.sqrt(y)), is_even=True, least=0.0),
    "square": Backwards(np.sqrt, is_even=True, least=0.0),
    "relu_square": Backwards(np.sqrt, least=0.0, floor=0.0),
    "relu": Backwards(lambda y: y, least=0.0, floor=0.0),
    "sqrt": Backwards(np.square, least=0.0),
    "log10": Backwards(lambda y: np.power(10.0, y)),
    "ln": Backwards(np.exp),
}


def intervals(name: str, low: float, high: float) -> list[tuple[float, float]]:
    """The arguments for which a function of the outputs gives something between two values."""
    back = BACKWARDS[name]
    if high < back.least:
        return []
    with np.errstate(all="ignore"):
        upper = float(back.inverse(np.float64(high)))
        if low > back.least:
            lower = float(back.inverse(np.float64(low)))
        elif back.floor is None and (back.is_even or name == "sqrt"):
            lower = 0.0
        else:
            lower = -np.inf
    if not np.isfinite(upper):
        return []
    return [(lower, upper), (-upper, -lower)] if back.is_even else [(lower, upper)]
