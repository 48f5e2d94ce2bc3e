"""Pieces of Fortran that every layer is written with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.exports.c_text import ARGUMENTS
from reference.activations import CUT, GELU_TANH_SCALE, SELU_ALPHA, SELU_SCALE, Activation

Array = NDArray[Any]

PER_LINE, PER_STATEMENT = 3, 120
LONGEST = 120
"""Of a line; the standard allows 132."""

# The body of each activation of one number z, which gives y.
FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "tanh": ("y = tanh(z)",),
    "relu6": ("y = z", "if (z < 0) y = 0", "if (z > 6) y = 6"),
    "sigmoid": ("y = exp(-abs(z))", "if (z >= 0) then", "  y = 1 / (1 + y)", "else", "  y = y / (1 + y)", "end if"),
    "softsign": ("y = z / (1 + abs(z))",),
    "softplus": ("y = log1p(exp(-abs(z)))", "if (z > 0) y = z + y"),
    "selu": ("y = z", f"if (.not. z > 0) y = {SELU_ALPHA!r}_wp * expm1(z)", f"y = {SELU_SCALE!r}_wp * y"),
    "exponential": ("y = exp(z)",),
    "gelu": ("y = z / 2 * erfc(-z / 1.4142135623730951_wp)",),
    "gelu_tanh": (f"y = z * act_sigmoid(2 * ({GELU_TANH_SCALE!r}_wp * (z + 0.044715_wp * z * z * z)))",),
    "silu": ("y = z * act_sigmoid(z)",),
    "mish": ("y = log1p(exp(-abs(z)))", "if (z > 0) y = z + y", "y = z * tanh(y)"),
    "hard_sigmoid": ("y = z / 6 + 0.5_wp", "if (y < 0) y = 0", "if (y > 1) y = 1"),
    "hard_sigmoid_keras2": ("y = 0.2_wp * z + 0.5_wp", "if (y < 0) y = 0", "if (y > 1) y = 1"),
    "hard_tanh": ("y = z", "if (z < -1) y = -1", "if (z > 1) y = 1"),
    "relu": (
        "y = z", "if (z < threshold) y = slope * (z - threshold)",
        "if (z < threshold .and. .not. abs(slope) > 0) y = 0",
        "if (y > largest) y = largest",
    ),
    "leaky_relu": ("y = z", "if (z < 0) y = slope * z"),
    "elu": ("y = z", "if (.not. z > 0) y = alpha * expm1(z)"),
    "thresholded_relu": ("y = z", "if (z <= theta) y = 0"),
    "scaled_tanh": ("y = amplitude * tanh(slope * z)",),
    "cut_sigmoid": ("y = act_sigmoid(z)", f"if (z < -{CUT!r}_wp) y = 0", f"if (z > {CUT!r}_wp) y = 1"),
}  # fmt: skip
HELPERS: Mapping[str, tuple[str, ...]] = {
    # Kahan's way: exact to a few last bits where 1 + z or exp(z) loses the digits of a small z.
    "log1p": ("w = 1 + z", "y = z", "if (abs(w - 1) > 0) y = log(w) * (z / (w - 1))"),
    "expm1": (
        "w = exp(z)", "y = w - 1", "if (abs(z) < 1) then", "  y = z",
        "  if (abs(w - 1) > 0) y = (w - 1) * (z / log(w))", "end if",
    ),
    "pow4": ("w = z * z", "y = w * w"),
    "pow8": ("w = z * z", "w = w * w", "y = w * w"),
    "relu_square": ("y = z * z", "if (z < 0) y = 0"),
    "relu": ("y = z", "if (z < 0) y = 0"),
}  # fmt: skip
"""Functions of one number that the language does not have; ``w`` is a number of their own."""
NEEDS_HELPER = {
    "softplus": ("log1p",), "mish": ("log1p",), "elu": ("expm1",), "selu": ("expm1",),
}  # fmt: skip


def literal(value: Any, is_double: bool, kind: str = "wp") -> str:
    """A number of 17 or 9 digits, from which its kind's nearest is the number itself; the largest for infinity.

    It is written out, for the data statement takes no function of the language.
    """
    number = float(value)
    if not np.isfinite(number):
        number = float(np.copysign(np.finfo(np.float64 if is_double else np.float32).max, number))
    return f"{number:.{16 if is_double else 8}e}_{kind}"


def array(name: str, numbers: Array, dtype: np.dtype[Any], kind: str = "wp") -> Iterator[str]:
    """A variable that nothing assigns, in statements of few lines; a row of the array is a column here."""
    values, is_double = np.asarray(numbers).astype(dtype), dtype == np.float64
    shape = ",".join(str(size) for size in values.shape[::-1])
    yield f"  real({kind}), save :: {name}({shape})"
    for index, row in enumerate(np.atleast_2d(values), start=1):
        place = f"i_,{index}" if values.ndim > 1 else "i_"
        for start in range(0, len(row), PER_STATEMENT):
            part = [literal(value, is_double, kind) for value in row[start : start + PER_STATEMENT]]
            yield f"  data ({name}({place}), i_={start + 1},{start + len(part)}) / &"
            lines = [", ".join(part[at : at + PER_LINE]) for at in range(0, len(part), PER_LINE)]
            yield from (f"    {line}, &" for line in lines[:-1])
            yield f"    {lines[-1]} /"


def whole(name: str, numbers: Array) -> Iterator[str]:
    """The same of whole numbers, in one row."""
    yield f"  integer, save :: {name}({len(numbers)})"
    for start in range(0, len(numbers), 4 * PER_STATEMENT):
        part = [str(int(each)) for each in numbers[start : start + 4 * PER_STATEMENT]]
        yield f"  data ({name}(i_), i_={start + 1},{start + len(part)}) / &"
        lines = [", ".join(part[at : at + 12]) for at in range(0, len(part), 12)]
        yield from (f"    {line}, &" for line in lines[:-1])
        yield f"    {lines[-1]} /"


def called(activation: Activation, argument: str, is_double: bool) -> str:
    """An activation of one number or of an array, element by element."""
    if activation.name == "linear":
        return f"({argument})"
    given = [activation.parameters.get(key, value) for _, key, value in ARGUMENTS.get(activation.name, ())]
    numbers = "".join(f", {literal(np.inf if each is None else each, is_double)}" for each in given)
    return f"act_{activation.name}({argument}{numbers})"


def activated(activation: Activation, target: str, is_double: bool) -> Iterator[str]:
    """An activation of an array in place."""
    if activation.name == "softmax":
        yield from (f"{target} = exp({target} - maxval({target}))", f"{target} = {target} / sum({target})")
    elif activation.name != "linear":
        yield f"{target} = {called(activation, target, is_double)}"


def folded(lines: Iterable[str]) -> Iterator[str]:
    """Lines that are too long, broken at a blank."""
    for line in lines:
        rest, indent = line, ""
        while len(rest) > LONGEST and not rest.lstrip().startswith("!"):
            at = rest.rfind(" ", len(indent) + 1, LONGEST - 2)
            if at <= len(indent):
                break
            yield f"{rest[:at]} &"
            indent = " " * (len(line) - len(line.lstrip()) + 4)
            rest = indent + rest[at + 1 :]
        yield rest
