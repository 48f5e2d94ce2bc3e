"""In which arithmetic were samples made? The formula is run in several, and the samples are held against the spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.composed.runs import ORDERS, as_dtype, run_as, with_affine_scalings, with_rounded_numbers
from reference.operations.dense import Activate, Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform
from reference.precision import FORMATS
from reference.trace import Program

Array = NDArray[Any]
Feeds = Sequence[Array]

FACTOR = 2.0
"""How far beyond every run the samples may lie and still be one more of them.

Runs and samples are draws of one law: a sum of many roundings, near enough a normal one. The largest of thousands of
such draws varies by a fifth, and that of a few single numbers by half; libraries whose functions are less exact than
NumPy's (six last bits for the worst tanh known) reach up to 1.5 times the runs, where measured.
"""
FLOOR = (2.0, 1.0, 1.0, 2.0)
"""The least that runs are credited with in each statistic, in standard deviations: few numbers may be near zero."""
SLACK = 4
"""Roundings to float64 that a number may have gone through after it was a float32."""
INNER: tuple[type, ...] = (Dense, Activate)
PLAIN: tuple[type, ...] = (*INNER, Scaling, Transform)
BLOCK = 64
"""Rows at a time: every term of a sum is held at once."""
NOISY = ("library", "blocked")
"""Orders that are run again with every step off by its own rounding."""


@dataclass(frozen=True)
class Fit:
    """Samples held against one arithmetic.

    Attributes:
        arithmetic: which.
        factor: how many times farther from the formula the samples lie than its farthest run.
        visible: (columns,) the least difference that the samples would not hide, column by column.
    """

    arithmetic: Arithmetic
    factor: float
    visible: Array

    @property
    def is_explained(self) -> bool:
        """Whether the samples are what this arithmetic gives."""
        return self.factor <= FACTOR


@dataclass(frozen=True)
class Arithmetic:
    """One way to compute a formula.

    Attributes:
        name: for people: ``"float64"``, ``"float32"``.
        kind: the name of its format.
        program: the formula in it.
        centre: what its runs scatter around: the formula in float64 on the numbers that it works with.
        other: the formula in another format, which tells how large the rounding inside its steps is; None where they
            are plain layers.
        cast: what it makes of the inputs.
        coarse: whether its functions are the least exact that are known.
    """

    name: str
    kind: str
    program: Program
    centre: Program
    other: Program | None = None
    cast: Callable[[Array], Array] = lambda array: array
    coarse: bool = False

    def fed(self, inputs: Feeds) -> dict[str, Array]:
        """The inputs by name."""
        return {name: self.cast(each) for name, each in zip(self.program.inputs, inputs, strict=True)}


@dataclass(frozen=True)
class Spread:
    """What runs of a formula in one arithmetic give on the inputs of samples.

    Attributes:
        arithmetic: in which.
        middle: (rows, columns) float64, every output of the formula flattened and side by side.
        errors: (runs, rows, columns) how far each run lies from that.
    """

    arithmetic: Arithmetic
    middle: Array
    errors: Array

    @cached_property
    def scale(self) -> Array:
        """(rows, columns) one standard deviation: that of the runs at the element, averaged with that of its column."""
        square = np.mean(self.errors**2, axis=0)
        last_bit = FORMATS[self.arithmetic.kind].unit * np.abs(self.middle)
        return np.asarray(np.sqrt((square + np.mean(square, axis=0)) / 2 + last_bit**2))

    def fit(self, outputs: Array, resolution: Array) -> Fit:
        """Hold samples against the runs.

        Args:
            outputs: (rows, columns) of the samples.
            resolution: how exactly they are known; the runs are known no better.
        """
        rng = np.random.default_rng(0)
        scale = np.sqrt(self.scale**2 + resolution**2 / 3)
        runs = [_statistics(error + resolution * rng.uniform(-1, 1, error.shape), scale) for error in self.errors]
        # A run that overflows says nothing of those that do not.
        usable = [run for run in runs if np.isfinite(run).all()]
        limits = np.maximum(np.max(usable, axis=0, initial=0.0), FLOOR) if usable else np.zeros(len(FLOOR))
        with np.errstate(all="ignore"):
            factors = _statistics(outputs - self.middle, scale) / limits
        factor = float(np.max(factors)) if usable else np.inf
        return Fit(self.arithmetic, factor, np.max(scale, axis=0) * limits[0] * FACTOR)


def _statistics(errors: Array, scale: Array) -> Array:
    """The largest error; the root mean square of all, and of the worst column; the worst mean of a column."""
    with np.errstate(all="ignore"):
        z = np.where(errors == 0, 0.0, errors / scale)
        z = np.where(np.isnan(z), np.inf, z)
        columns = np.sqrt(np.mean(z**2, axis=0))
        means = np.abs(np.sum(z, axis=0)) / np.sqrt(len(z))
        means = np.where(np.isnan(means), np.inf, means)
        return np.array([np.max(np.abs(z)), np.sqrt(np.mean(z**2)), np.max(columns), np.max(means)])


def spread_of(arithmetic: Arithmetic, inputs: Feeds, input_resolution: Feeds, most: int | None = None) -> Spread:
    """Run the formula in this arithmetic, in every order of summation and with other libraries' last bits.

    Args:
        arithmetic: in which.
        inputs: (rows, ...) of the samples, for each input of the program.
        input_resolution: how exactly they are known: each run is fed with inputs that are off by as much at most.
        most: how many runs; all where None.
    """
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        middle = side_by_side(arithmetic.centre(arithmetic.fed(inputs), block=BLOCK))
        errors = [
            side_by_side(run(arithmetic.fed(_moved(inputs, input_resolution, rng)), block=BLOCK)) - middle
            for run in islice(_runs(arithmetic, rng), most)
        ]
    return Spread(arithmetic, middle, np.stack(errors))


def _runs(arithmetic: Arithmetic, rng: np.random.Generator) -> Iterator[Program]:
    """The noisy ones, which tell most, first; a graph, which costs more, in fewer orders."""
    for order in NOISY:
        yield run_as(arithmetic.program, order, rng, arithmetic.other, arithmetic.coarse)
    for order in ORDERS if arithmetic.other is None else NOISY:
        yield run_as(arithmetic.program, order, None)


def _moved(inputs: Feeds, resolution: Feeds, rng: np.random.Generator) -> list[Array]:
    return [x + h * rng.uniform(-1, 1, x.shape) if h.any() else x for x, h in zip(inputs, resolution, strict=True)]


def side_by_side(outputs: Sequence[Array]) -> Array:
    """(rows, columns) float64 of several outputs of any shape."""
    return np.concatenate([np.asarray(each, np.float64).reshape(len(each), -1) for each in outputs], axis=1)


def arithmetics(program: Program, short: Program | None = None) -> tuple[Arithmetic, ...]:
    """The ways in which original software may have computed a formula, the most exact first.

    Args:
        program: the formula in float64.
        short: the same in float32, where it is no chain of plain layers.
    """
    if short is not None or not all(isinstance(step, PLAIN) for step in program.steps):
        found = [Arithmetic("float64", "float64", program, program, short)]
        found += [] if short is None else [Arithmetic("float32", "float32", short, program, program, _cast)]
    else:
        found = list(_of_chain(program))
    return (*found, *(replace(each, coarse=True) for each in found))


def _of_chain(program: Program) -> Iterator[Arithmetic]:
    """Those of a chain of plain layers: scalings may be computed in another format, or by other constants."""
    affine = any(isinstance(step, Scaling) for step in program.steps)
    exact, short = Arithmetic("float64", "float64", program, program), _float32(program, PLAIN)
    yield exact
    if affine:
        yield replace(exact, program=with_affine_scalings(program))
        yield _float32(program, INNER)
    yield short
    if affine:
        yield replace(short, program=with_affine_scalings(short.program))


def _float32(program: Program, kinds: tuple[type, ...]) -> Arithmetic:
    """The formula with steps of these kinds in float32, on numbers that were rounded to it."""
    centre, inner = with_rounded_numbers(program, np.float32, kinds), kinds is INNER
    name = "float32 between scalings in float64" if inner else "float32"
    return Arithmetic(name, "float32", as_dtype(program, np.float32, kinds), centre, None, _same if inner else _cast)


def _same(array: Array) -> Array:
    return array


def _cast(array: Array) -> Array:
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def fits_float32(program: Program, arithmetic: Arithmetic, outputs: Feeds, resolution: Feeds) -> bool:
    """Whether the numbers of samples can have come out of float32: each is one, as far as its digits tell.

    Args:
        program: the formula in float64.
        arithmetic: in which it is thought to have been computed.
        outputs: of the samples.
        resolution: how exactly they are known.
    """
    for recorded, digits in zip(outputs, resolution, strict=True):
        is_whole = arithmetic.name == "float32"
        values, known = (recorded, digits) if is_whole else before_scaling(program, recorded, digits)
        with np.errstate(all="ignore"):
            nearest = values.astype(np.float32).astype(np.float64)
            told = known < np.spacing(np.abs(values).astype(np.float32)).astype(np.float64) / 4
            off = np.abs(values - nearest) > known + SLACK * np.spacing(np.abs(values))
        if np.any(told & off):
            return False
    return True


def before_scaling(program: Program, values: Array, known: Array) -> tuple[Array, Array]:
    """What went into the scaling steps at the end, which were computed in float64, and how exactly that is known."""
    for step in reversed(program.steps):
        if not isinstance(step, Scaling):
            break
        scale, offset = step.affine
        with np.errstate(all="ignore"):
            known = (known + SLACK * np.spacing(np.abs(values) + np.abs(offset))) / np.abs(scale)
            values = (values - offset) / scale
    return values, known


def numbers_of(program: Program, inputs: Feeds) -> int:
    """How many numbers all steps compute for one row."""
    row = {name: each[:1] for name, each in zip(program.inputs, inputs, strict=True)}
    with np.errstate(all="ignore"):
        return sum(int(np.size(trace.outputs)) for _, trace in program.walk(row))
