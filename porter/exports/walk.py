"""A traced port beside the program: every step fed with what the port itself gave before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.compare import Comparison, compare_outputs, merge_comparisons
from porter.examination.judging import can_overflow, cast, compare_step, judge_values
from porter.exports.walked_states import WalkedStates, own_states, walked_states
from porter.ports.traced import TracedPort
from reference.precision import Precision
from reference.rounding.bounds import allowed_error
from reference.rounding.recurrent_steps import is_stepped, step_through
from reference.trace import Program

Array = NDArray[Any]
Feeds = Mapping[str, Array]

WIDE = "wide rows of its own"
WIDE_ROWS, WIDE_NUMBERS = 64, 2**16
WIDE_SIZES = (0.3, 3.0, 30.0)
"""What a layer is fed with alone: numbers in which it saturates, and such in which it does not."""


@dataclass(frozen=True)
class Seen:
    """What one step was fed with and gave, on one set of rows.

    Attributes:
        probes: what the rows are.
        fed: (rows, ...) for each input, as the port has it.
        actual: (rows, ...) what the port gave.
        carried: how far each input may lie from what the port had, where it does not show it; None where it does.
        is_far: whether the rows lie far outside a network's range.
        states: gives the states of a recurrent layer after each time step; None where they are hidden.
    """

    probes: str
    fed: tuple[Array, ...]
    actual: Array
    carried: tuple[Array, ...] | None = None
    is_far: bool = False
    states: Any = None

    def judge(self, step: Any, precision: Precision, most: int | None = None) -> Comparison:
        """A step against what the port gave, on at most so many of the rows.

        Raises:
            KeyError: the step has no bound.
        """
        fed, actual = tuple(array[:most] for array in self.fed), self.actual[:most]
        if self.carried is not None:
            return self._judge_span(step, fed, actual, tuple(array[:most] for array in self.carried), precision)
        stepped = self._by_time_steps(step, fed, actual, precision)
        if stepped is not None:
            return stepped
        if len(fed) == 1 and fed[0].ndim == 2 and actual.ndim == 2:
            found = judge_values(step, fed[0], actual, precision, self.probes, is_far=self.is_far)
        else:
            found = compare_step(step, fed, actual, precision, self.probes)
        # What Keras' backends are known to do wrong is no excuse for another runtime.
        return replace(found, exceeding=found.exceeding + found.by_platform, by_platform=0)

    def _by_time_steps(
        self, step: Any, fed: tuple[Array, ...], actual: Array, precision: Precision
    ) -> Comparison | None:
        """A recurrent layer one time step after the other, each from the port's own states; None for any other."""
        if self.states is None or not is_stepped(step):
            return None
        try:
            found = step_through(step, fed, self.states, precision)
        except KeyError:  # the states are hidden after all
            return None
        # States that were walked agree with the cell that walked them; what the port gave alone says something.
        states = () if isinstance(self.states, WalkedStates) else found.states
        sides = [(found.outputs, actual, found.allowed), *states]
        return merge_comparisons(
            compare_outputs(wanted, np.asarray(own, np.float64), allowed, probes=self.probes, may_overflow=self.is_far)
            for wanted, own, allowed in sides
        )

    def with_walked_states(self, step: Any, precision: Precision) -> Seen:
        """The same, the hidden states of a recurrent layer walked by the legacy cell."""
        return replace(self, states=walked_states(step, self.actual, precision))

    def _judge_span(
        self, step: Any, fed: tuple[Array, ...], actual: Array, carried: tuple[Array, ...], precision: Precision
    ) -> Comparison:
        trace = step(*fed)
        allowed = allowed_error(step, fed, trace, precision, input_error=carried)
        expected = np.asarray(trace.outputs, np.float64)
        shown = getattr(step, "shown", None)
        if shown is not None:
            expected, actual = shown(expected), shown(np.asarray(actual, np.float64))
        may_overflow = self.is_far and can_overflow(step, fed, trace, precision)
        return compare_outputs(expected, actual, allowed, probes=self.probes, may_overflow=may_overflow)


@dataclass(frozen=True)
class Walked:
    """One step of the program, with all that the port gave for it.

    Attributes:
        step: of the program.
        precision: in which the port computes it.
        seen: one a set of rows; empty where the port does not show it.
        folded_into: the step that it is judged with, where the port does not show it.
        cumulative: the largest error end to end; None where it was not seen.
    """

    step: Any
    precision: Precision
    seen: tuple[Seen, ...] = ()
    folded_into: str = ""
    cumulative: float | None = None

    @property
    def name(self) -> str:
        """Row name."""
        return str(self.step.name)


@dataclass
class _Values:
    """What stands at the entrance of the steps that follow: the port's numbers, or the reference's with their error."""

    arrays: dict[str, Array] = field(default_factory=dict)
    errors: dict[str, Array] = field(default_factory=dict)


def walk(program: Program, port: TracedPort, sets: Mapping[str, tuple[Feeds, bool]]) -> list[Walked]:
    """Run the port on sets of rows, and line up what it gave with the steps.

    Args:
        program: the legacy forward pass.
        port: which gives what its layers give.
        sets: by what they are: (rows, ...) by program input, and whether they lie far outside the range.

    Raises:
        PortError: the port cannot be run.
        KeyError: a step that the port does not show has no bound.
    """
    seen: dict[str, list[Seen]] = {step.name: [] for step in program.steps}
    errors: dict[str, float] = {}
    shown: set[str] = set()
    for probes, (feeds, is_far) in sets.items():
        tensors = traced(program, port, feeds)
        shown |= set(tensors)
        for name, one in _line_up(program, port, feeds, tensors, probes, is_far):
            seen[name].append(one)
        if not is_far:
            _accumulate(program, feeds, tensors, errors)
    for step in program.steps:
        seen[step.name] += _alone(step, port, seen[step.name])
    return [
        Walked(
            step,
            port.precision_of(step.name),
            tuple(seen[step.name]),
            "" if step.name in shown else _next_shown(program, step.name, shown),
            errors.get(step.name),
        )
        for step in program.steps
    ]


def _wide(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    sizes = rng.choice(WIDE_SIZES, (shape[0],) + (1,) * (len(shape) - 1))
    return np.asarray(rng.standard_normal(shape) * sizes)


def _alone(step: Any, port: TracedPort, seen: Sequence[Seen]) -> list[Seen]:
    """A layer fed with wide numbers of its own, where its runtime runs it alone and it takes such numbers."""
    first = next((one for one in seen if one.carried is None and not one.is_far), None)
    if port.alone is None or first is None or any(np.asarray(each).dtype.kind != "f" for each in first.fed):
        return []
    size = max(sum(each[:1].size for each in first.fed), first.actual[:1].size, 1)
    count = int(np.clip(WIDE_NUMBERS // size, 2, WIDE_ROWS))
    rng = np.random.default_rng(0)
    precision = port.precision_of(step.name)
    rows = [_fed(_wide(rng, (count, *each.shape[1:])), precision) for each in first.fed]
    if is_stepped(step):  # the states of a layer are what another layer's were: activations
        rows[1:] = [_fed(rng.uniform(-1, 1, each.shape), precision) for each in rows[1:]]
    try:
        actual = port.alone(step.name, rows)
        step(*rows)
    except Exception:  # a runtime, or the reference, may refuse whatever it was not made for
        return []
    return [Seen(WIDE, tuple(rows), np.asarray(actual, np.float64), states=port.states.get(step.name))]


def traced(program: Program, port: TracedPort, feeds: Feeds) -> dict[str, Array]:
    """What the port gives, its outputs by the names of the steps that give the program's.

    Raises:
        PortError: another number of outputs; or the port cannot be run.
    """
    if len(port.outputs) != len(program.outputs):
        raise PortError(
            f"the port {port.name}", found=f"{len(port.outputs)} outputs: {', '.join(port.outputs)}",
            expected=f"{len(program.outputs)}: {', '.join(program.outputs)}",
        )  # fmt: skip
    tensors = port.trace([feeds[name] for name in program.inputs])
    for own, wanted in zip(port.outputs, program.outputs, strict=True):
        tensors[wanted] = tensors[own]  # what is called, whatever a layer of that name gives
    return {name: np.asarray(values) for name, values in tensors.items()}


def _line_up(
    program: Program, port: TracedPort, feeds: Feeds, tensors: Mapping[str, Array], probes: str, is_far: bool
) -> list[tuple[str, Seen]]:
    values = _Values({name: _fed(array, port.precision) for name, array in feeds.items()})
    found = []
    for step in program.steps:
        precision = port.precision_of(step.name)
        fed = tuple(_fed(values.arrays[name], precision) for name in step.inputs)
        carried = tuple(
            values.errors.get(name, np.zeros(array.shape)) for name, array in zip(step.inputs, fed, strict=True)
        )
        has_error = any(name in values.errors for name in step.inputs)
        if step.name in tensors:
            actual = np.asarray(tensors[step.name], np.float64)
            states = port.states.get(step.name) or own_states(step, fed, actual, precision)
            found.append((step.name, Seen(probes, fed, actual, carried if has_error else None, is_far, states)))
            values.arrays[step.name] = actual
            continue
        trace = step(*fed)
        values.arrays[step.name] = np.asarray(trace.outputs)
        values.errors[step.name] = allowed_error(step, fed, trace, precision, input_error=carried)
    return found


def _fed(values: Array, precision: Precision) -> Array:
    """As the port's layer takes them, in float64; words and flags as they are."""
    array = np.asarray(values)
    return cast(array, precision.compute).astype(np.float64) if array.dtype.kind == "f" else array


def _next_shown(program: Program, name: str, shown: set[str]) -> str:
    """The first step behind that the port shows; "" where none takes it."""
    reached = {name}
    for step in program.steps:
        if reached & set(step.inputs):
            if step.name in shown:
                return str(step.name)
            reached.add(step.name)
    return ""


def _accumulate(program: Program, feeds: Feeds, tensors: Mapping[str, Array], errors: dict[str, float]) -> None:
    """The largest error of every step from end to end."""
    for name, trace in program.trace(feeds).items():
        wanted, found = np.asarray(trace.outputs, np.float64), tensors.get(name)
        if found is None or found.shape != wanted.shape:
            continue
        with np.errstate(all="ignore"):
            error = np.abs(found.astype(np.float64) - wanted)
        errors[name] = max(errors.get(name, 0.0), float(np.max(error, initial=0.0, where=np.isfinite(error))))


def spread_rows(limits: Array | None, width: int, rows: int, rng: np.random.Generator) -> Array:
    """Rows beyond the documented range, which bring hidden units where its own never do: four and sixteen times it.

    Args:
        limits: (width, 2) the range; None: then of numbers near 1.
        width: how many inputs.
        rows: how many.
        rng: draws them.
    """
    low, high = (-np.ones(width), np.ones(width)) if limits is None else (limits[:, 0], limits[:, 1])
    centre, half = (low + high) / 2, (high - low) / 2
    scale = rng.choice([2.0, 4.0, 16.0], size=(rows, 1))
    return np.asarray(centre + half * scale * rng.uniform(-1, 1, (rows, width)))


def as_feeds(names: Sequence[str], arrays: Sequence[Array], precision: Precision | None = None) -> dict[str, Array]:
    """Arrays by program input, rounded to numbers that float32 holds, so that ports of any precision get the same.

    A port that computes in float64 gets numbers of all its digits: what it cuts off its inputs is a mistake.
    """
    is_double = precision is not None and precision.compute == "float64"
    return {
        name: array if is_double or not np.issubdtype(array.dtype, np.floating)
        else array.astype(np.float32).astype(np.float64)
        for name, array in zip(names, arrays, strict=True)
    }  # fmt: skip
