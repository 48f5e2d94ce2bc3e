"""Configurations of one chain of arrays run through the first samples, many at a time, and held against the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.identification.candidate import Candidate, Member
from porter.identification.candidates import WHOLE_ROWS, activation
from porter.identification.columns import OUTPUTS, applied, intervals
from porter.identification.ends import End
from porter.identification.pool import Pool
from porter.identification.skeletons import KernelReading, Skeleton

Array = NDArray[Any]

MOST_NUMBERS = 1 << 22
"""Numbers of all configurations in one layer at a time."""
MOST_HITS = 200_000
"""Configurations that agree in one number and are looked at in others."""
CLOSE, COARSE = 1e-4, 3e-3
"""Of an output and its column: within which an output is thought to agree; where inputs are printed with few digits."""
SEEN_ROWS, SEEN_COLUMNS = 2, 6

Front = tuple[tuple[str, ...], End]


@dataclass(frozen=True)
class Screen:
    """The numbers of the samples against which configurations are held first.

    Attributes:
        inputs: (rows, n) of these rows.
        columns: which outputs are looked at.
        least: (functions, rows, columns) what an argument of each function of the outputs is at least.
        greatest: likewise.
        even: (functions,) whether the sign of the argument does not matter.
        whole: (rows, outputs) all outputs of these rows.
    """

    inputs: Array
    columns: Array
    least: Array
    greatest: Array
    even: Array
    whole: Array

    @classmethod
    def of(cls, inputs: Array, outputs: Array, resolution: Array, *, coarse: bool) -> Screen:
        """From (rows, n) and (rows, m) samples; rows with NaN are left out where others are there."""
        usable = np.flatnonzero(np.isfinite(outputs).all(axis=1))
        rows = _telling_rows(outputs, usable)
        columns = _telling_columns(outputs[usable])
        scale = np.max(np.abs(outputs[usable]), axis=0) if usable.size else np.ones(outputs.shape[1])
        scale = np.maximum(scale, 1e-3 * np.max(scale, initial=0.0))
        close = (COARSE if coarse else CLOSE) * (np.abs(outputs) + scale) + 2 * resolution
        picked = np.ix_(rows, columns)
        least, greatest, even = _arguments(outputs[picked], close[picked])
        several = np.stack([np.isin(column, _repeated(column)) for column in outputs.T], axis=1)[picked]
        if len(usable) > SEEN_ROWS and not several.all():  # a bound, or a dead unit, says nothing of the network
            least[:, several], greatest[:, several] = -np.inf, np.inf
        return cls(inputs[rows], columns, least, greatest, even, outputs[rows])


def _telling_rows(outputs: Array, usable: Array) -> Array:
    """Rows whose outputs lie apart from the others', and from what many rows have alike (a bound, a dead unit)."""
    if usable.size <= SEEN_ROWS:
        return usable
    values = outputs[usable]
    with np.errstate(all="ignore"):
        spread = np.ptp(values, axis=0)
        apart = np.abs(values - np.median(values, axis=0)) / np.where(spread > 0, spread, 1.0)
    repeated = np.stack([np.isin(column, _repeated(column)) for column in values.T], axis=1)
    score = np.mean(np.minimum(apart, 0.4), axis=1) - np.mean(repeated, axis=1)
    return usable[np.sort(np.argsort(-score, kind="stable")[:SEEN_ROWS])]


def _repeated(column: Array) -> Array:
    values, counts = np.unique(column, return_counts=True)
    return values[counts > 1]


def _telling_columns(outputs: Array) -> Array:
    """Columns that vary, spread over all."""
    varies = np.ptp(outputs, axis=0) > 0 if len(outputs) > 1 else outputs[0] != 0
    found = np.flatnonzero(varies) if np.any(varies) else np.arange(outputs.shape[1])
    return found[np.unique(np.linspace(0, len(found) - 1, SEEN_COLUMNS).round().astype(int))]


def _arguments(outputs: Array, close: Array) -> tuple[Array, Array, Array]:
    shape = (len(OUTPUTS), *outputs.shape)
    least, greatest, even = np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(len(OUTPUTS), bool)
    for number, name in enumerate(OUTPUTS):
        for place in np.ndindex(*outputs.shape):
            found = intervals(name, float(outputs[place] - close[place]), float(outputs[place] + close[place]))
            if found:
                least[(number, *place)], greatest[(number, *place)] = found[0]
            even[number] |= len(found) > 1
    return least, greatest, even


@dataclass(frozen=True)
class Plan:
    """What is tried with a chain.

    Attributes:
        fronts: functions of the inputs' columns, and their scaling.
        readings: for each layer, which of its slot's readings.
        hidden: for each hidden layer, activations.
        output: activations of the last layer.
        backs: scalings of the outputs.
    """

    fronts: Sequence[Front]
    readings: Sequence[Sequence[KernelReading]]
    hidden: Sequence[Sequence[str]]
    output: Sequence[str]
    backs: Sequence[End]

    @property
    def states(self) -> float:
        """How many configurations reach the last layer."""
        count = float(len(self.fronts))
        for readings in self.readings:
            count *= len(readings)
        for names in self.hidden:
            count *= len(names)
        return count

    def work(self, widths: Sequence[int]) -> float:
        """Multiplications, about."""
        count, total = float(len(self.fronts)), 0.0
        for place, readings in enumerate(self.readings):
            count *= len(readings)
            units = SEEN_COLUMNS if place == len(self.readings) - 1 else widths[place + 1]
            total += count * widths[place] * units * SEEN_ROWS
            count *= len(self.hidden[place]) if place < len(self.hidden) else 1
            total += count * units * 20 * SEEN_ROWS
        return total + count * len(self.output) * 60


def run(pool: Pool, skeleton: Skeleton, plan: Plan, screen: Screen, is_over: Callable[[], bool]) -> Iterator[Candidate]:
    """The configurations of a plan that give what the screen shows, until the time is over."""
    size = max(1, int(plan.states / max(len(plan.fronts), 1)))
    step = max(1, MOST_NUMBERS // (size * max(skeleton.widths) * max(len(screen.inputs), 1)))
    matrices = [[reading.canonical(pool) for reading in readings] for readings in plan.readings]
    for start in range(0, len(plan.fronts), step):
        if is_over():
            return
        fronts = plan.fronts[start : start + step]
        yield from _run(skeleton, plan, fronts, matrices, screen, is_over)


def _run(
    skeleton: Skeleton,
    plan: Plan,
    fronts: Sequence[Front],
    matrices: Sequence[Any],
    screen: Screen,
    is_over: Callable[[], bool],
) -> Iterator[Candidate]:
    with np.errstate(all="ignore"):
        fed = [applied(functions, screen.inputs) * end.scale + end.offset for functions, end in fronts]
        values, codes = np.stack(fed), np.arange(len(fronts))[:, None]
        for place, names in enumerate(plan.hidden):
            parts, marks = [], []
            for reading, (kernel, bias) in enumerate(matrices[place]):
                z = _product(values, kernel, bias)
                for number, name in enumerate(names):
                    parts.append(activation(name)(z))
                    marks.append(_marked(codes, reading, number))
            values, codes = np.concatenate(parts), np.concatenate(marks)
        for reading, (kernel, bias) in enumerate(matrices[-1]):
            marked = _marked(codes, reading)
            for number, name in enumerate(plan.output):
                a = _last(values, kernel, bias, name, screen.columns)
                for state, back, functions in _matching(a, plan.backs, screen, is_over):
                    if (name, functions) == ("exponential", "ln"):  # nothing at all
                        continue
                    width = plan.backs[back].scale.size
                    yield _candidate(plan, fronts, marked[state], number, plan.backs[back], (functions,) * width)


def _product(values: Array, kernel: Array, bias: Array | None) -> Array:
    states, rows, width = values.shape
    z = (values.reshape(-1, width) @ kernel).reshape(states, rows, -1)
    return z if bias is None else z + bias


def _marked(codes: Array, *numbers: int) -> Array:
    return np.concatenate([codes, np.tile(numbers, (len(codes), 1))], axis=1)


def _last(values: Array, kernel: Array, bias: Array | None, name: str, columns: Array) -> Array:
    """(states, rows, columns) what the last layer gives in the columns that are looked at."""
    if name in WHOLE_ROWS:
        return np.asarray(activation(name)(_product(values, kernel, bias))[:, :, columns])
    return activation(name)(_product(values, kernel[:, columns], None if bias is None else bias[columns]))


def _matching(
    a: Array, backs: Sequence[End], screen: Screen, is_over: Callable[[], bool]
) -> Iterator[tuple[int, int, str]]:
    """State, scaling, and a function of the outputs, of those whose numbers all agree."""
    scale = np.stack([back.scale[screen.columns] for back in backs])
    offset = np.stack([back.offset[screen.columns] for back in backs])
    row, column = _sharpest(screen)
    for states, numbers, functions in _agreeing(
        a[:, row, column], scale[:, column], offset[:, column], screen, row, column
    ):
        for start in range(0, len(states), MOST_HITS // 8):
            if is_over():
                return
            part = slice(start, start + MOST_HITS // 8)
            yield from _checked(a, states[part], numbers[part], functions[part], scale, offset, screen, column)


def _sharpest(screen: Screen) -> tuple[int, int]:
    """The number that least agrees with."""
    width = screen.greatest[0] - screen.least[0]
    with np.errstate(all="ignore"):
        relative = width / np.maximum(np.abs(screen.greatest[0]), 1e-300)
    relative = np.where(np.isnan(relative), np.inf, relative)  # a number that any value agrees with
    row, column = np.unravel_index(int(np.argmin(relative)), relative.shape)
    return int(row), int(column)


def _agreeing(
    a: Array, scale: Array, offset: Array, screen: Screen, row: int, column: int
) -> Iterator[tuple[Array, Array, Array]]:
    """States, scalings and functions with which one number comes out right, by bisection in the sorted states."""
    order = np.argsort(a)
    ordered = a[order]
    for function in range(len(OUTPUTS)):
        low, high = screen.least[function, row, column], screen.greatest[function, row, column]
        if not low <= high:
            continue
        for lower, upper in [(low, high), (-high, -low)] if screen.even[function] else [(low, high)]:
            first = np.searchsorted(ordered, lower * scale + offset, side="left")
            last = np.searchsorted(ordered, upper * scale + offset, side="right")
            counts = np.maximum(last - first, 0)
            total = int(counts.sum())
            if not total:
                continue
            backs = np.repeat(np.arange(len(scale)), counts)
            starts = np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
            states = order[starts + np.arange(total)]
            yield states, backs, np.full(total, function)


def _checked(
    a: Array, states: Array, backs: Array, functions: Array, scale: Array, offset: Array, screen: Screen, column: int
) -> Iterator[tuple[int, int, str]]:
    """Those of which every number comes out right: the column of the first by its function, others by any."""
    values = (a[states] - offset[backs][:, None]) / scale[backs][:, None]
    signed = np.where(screen.even[:, None, None, None], np.abs(values), values)
    right: Any = (signed >= screen.least[:, None]) & (signed <= screen.greatest[:, None])
    whole = right.all(axis=2)  # (functions, hits, columns)
    own = whole[functions, np.arange(len(states)), column]
    for hit in np.flatnonzero(whole.any(axis=0).all(axis=1) & own):
        yield int(states[hit]), int(backs[hit]), OUTPUTS[int(functions[hit])]


def _candidate(
    plan: Plan, fronts: Sequence[Front], code: Array, output: int, back: End, functions: tuple[str, ...]
) -> Candidate:
    front, rest = fronts[int(code[0])], code[1:].tolist()
    layers, names = [], []
    for place, hidden in enumerate(plan.hidden):
        layers.append(plan.readings[place][rest[2 * place]])
        names.append(hidden[rest[2 * place + 1]])
    layers.append(plan.readings[-1][rest[-1]])
    names.append(plan.output[output])
    member = Member(tuple(layers), front[1], back)
    return Candidate((member,), tuple(names), front[0], functions)
