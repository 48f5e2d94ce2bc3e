"""Which tensor of a file stands for which step of a legacy graph: by its name, or by the numbers in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.compare import compare_outputs
from porter.examination.judging import cast
from porter.exports.choice import Choice, describe_choice, describe_order
from porter.ports.exercise import Exercise, Unexercised, walk_back
from porter.ports.file_atoms import precision_of
from porter.ports.file_graph import FileGraph, Key
from porter.ports.onnx_cells import walk as walk_cell
from porter.ports.traced import TracedPort
from reference.precision import Precision
from reference.rounding.bounds import allowed_error
from reference.rounding.recurrent_steps import directions
from reference.trace import LayerTrace, Program

Array = NDArray[Any]
Order = tuple[int, ...]

NEAR = 1e-3
"""Of the range of what a step gives: nearer than that, a tensor is taken to be meant as it."""
LEAST = 2.0**-126
AHEAD = 3
"""Steps that may have been folded into one."""


@dataclass(frozen=True)
class Place:
    """Where a step's numbers are.

    Attributes:
        key: the tensor.
        order: of its axes, to be those of the step.
        sides: of a row of the tensor.
    """

    key: Key
    order: Order
    sides: tuple[int, ...] = ()

    def read(self, tensors: Mapping[Key, Array], shape: tuple[int, ...]) -> Array:
        """The step's numbers in its own layout."""
        return np.transpose(tensors[self.key], self.order).reshape(shape)

    def write(self, values: Array) -> Array:
        """The tensor that holds a step's numbers."""
        whole = (len(values), *self.sides)
        turned = values.reshape([whole[axis] for axis in self.order])
        return np.ascontiguousarray(np.transpose(turned, np.argsort(self.order)))


@dataclass(frozen=True)
class UnrolledStates:
    """The states of a recurrent layer that is written out: tensors among all that are computed from its input.

    Attributes:
        file: the graph.
        taken: the sequence.
        dtypes: of the tensors.
        rows: shape of a row of each.
        parts: what the sequence was put together of.
    """

    file: FileGraph
    taken: Place
    dtypes: Mapping[Key, Any]
    rows: Mapping[Key, tuple[int, ...]]
    parts: tuple[Key, ...] = ()

    def __call__(self, step: Any, at: int, x: Array, begin: tuple[Array, ...], mask: Array | None) -> tuple[Array, ...]:
        """As ``reference.rounding.recurrent_steps`` asks for them: at each time step those nearest to what it makes.

        Raises:
            KeyError: none is near.
        """
        if mask is not None or x.ndim != 3:
            raise KeyError("masked time steps that are written out")
        tensors, states, found = self._behind(x, begin[0].shape), begin, list[tuple[Array, ...]]()
        for part in np.moveaxis(x[:, ::-1] if step.reverse else x, 1, 0):
            wanted = step.cell.step(part, states)
            states = tuple(self._nearest(tensors, each) for each in wanted)
            found.append(states)
        return tuple(np.stack(parts, axis=1) for parts in zip(*found, strict=True))

    def _behind(self, x: Array, shape: tuple[int, ...]) -> list[Array]:
        """Every tensor of a state's size that is computed from the sequence alone."""
        own = {self.taken.key: self.taken.write(x).astype(self.dtypes[self.taken.key])}
        given = own | divided(self.parts, x, self.rows, self.dtypes)
        known, wanted = set(given), list[Key]()
        for node in self.file.nodes:
            if node.inputs and set(node.inputs) <= known and not set(node.outputs) <= known:
                known |= set(node.outputs)
                wanted += node.outputs
        made = self.file.run_between(given, wanted)
        size = int(np.prod(shape))
        return [np.asarray(each, np.float64).reshape(shape) for each in made.values()
                if each.size == size and len(each) == shape[0] and each.dtype.kind == "f"]  # fmt: skip

    @staticmethod
    def _nearest(tensors: Sequence[Array], wanted: Array) -> Array:
        gaps = [_gap(each, wanted) for each in tensors]
        best = int(np.argmin(gaps)) if gaps else 0
        if not gaps or not gaps[best] <= NEAR * max(float(np.ptp(wanted)), LEAST):
            raise KeyError("no tensor of the file is the state after a time step")
        return tensors[best]


def time_steps(file: FileGraph, place: Place, shape: tuple[int, ...], tensors: Mapping[Key, Array]) -> tuple[Key, ...]:
    """The tensors that a sequence was put together of, which the file may go on from; none of anything else.

    Args:
        file: the graph.
        place: of the sequence.
        shape: of a row of it.
        tensors: a trace, in which they have to be its time steps.
    """
    makers = {made: node for node in file.nodes for made in node.outputs}
    maker = makers.get(place.key)
    while maker is not None and len(maker.inputs) == 1:  # turned, after it was put together
        maker = makers.get(maker.inputs[0])
    if maker is None or len(shape) < 2 or len(maker.inputs) != shape[0]:
        return ()
    rows = len(tensors[place.key])
    sequence = place.read(tensors, (rows, *shape)).reshape(rows, shape[0], -1)
    same = all(_same(tensors[each], sequence[:, time]) for time, each in enumerate(maker.inputs))
    return maker.inputs if same else ()


def _same(part: Array, wanted: Array) -> bool:
    return part.size == wanted.size and np.array_equal(
        part.reshape(wanted.shape), wanted, equal_nan=part.dtype.kind == "f"
    )


def divided(
    parts: Sequence[Key], x: Array, rows: Mapping[Key, tuple[int, ...]], dtypes: Mapping[Key, Any]
) -> dict[Key, Array]:
    """The time steps of a sequence as the file has them.

    Args:
        parts: as ``time_steps`` gives them.
        x: (rows, steps, ...) the sequence.
        rows: shape of a row of each tensor.
        dtypes: of the tensors.
    """
    return {each: x[:, time].reshape(len(x), *rows[each]).astype(dtypes[each]) for time, each in enumerate(parts)}


@dataclass(frozen=True)
class FilePairing:
    """Steps and tensors.

    Attributes:
        file: the graph.
        places: by step; steps that the file has no tensor for are left out.
        shapes: of a row of each step.
        by_name: whether every step was found by its name.
        precisions: in which each step is computed.
        takes: by step, where what it takes is; steps are left out that take what has no place.
        dtypes: of the tensors.
        sides: by recurrent step, how many directions it has.
        rows: shape of a row of each tensor.
        choice: which of its outputs are the network's.
        exercise: watches its operations.
        parts: of a sequence that the file has put together, its time steps.
    """

    file: FileGraph
    places: Mapping[str, Place]
    shapes: Mapping[str, tuple[int, ...]]
    by_name: bool
    precisions: Mapping[str, Precision] = field(default_factory=dict)
    takes: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    dtypes: Mapping[Key, Any] = field(default_factory=dict)
    sides: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[Key, tuple[int, ...]] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice)
    exercise: Exercise | None = None
    parts: Mapping[Key, tuple[Key, ...]] = field(default_factory=dict)

    def traced(self, outputs: Sequence[str]) -> TracedPort:
        """The file as a port that shows what its steps give."""
        coarsest = max(self.precisions.values(), key=lambda one: one.format.unit)
        return TracedPort(
            name=self.file.name,
            runtime=self.file.runtime,
            run=self._run,
            outputs=tuple(outputs),
            precision=coarsest,
            precisions=self.precisions,
            alone=self._alone,
            states={name: states for name in self.places if (states := self._states(name)) is not None},
            notes=tuple(filter(None, [self.choice.told])),
            doubts=tuple(filter(None, [self.choice.doubt])),
            left_open=self._left_open,
        )

    def _left_open(self, program: Program) -> Unexercised:
        places = {name: place.key for name, place in self.places.items()}
        return Unexercised() if self.exercise is None else self.exercise.left_open(program, places)

    def _alone(self, name: str, rows: Sequence[Array]) -> Array:
        place = self.places[name]
        if any(np.dtype(self.dtypes[taken.key]).kind != "f" for taken in self.takes[name]):
            raise PortError(f"the layer {name} alone", found="words or masks among what it takes")
        given = {
            taken.key: taken.write(np.asarray(each)).astype(self.dtypes[taken.key])
            for taken, each in zip(self.takes[name], rows, strict=True)
        }
        for taken, each in zip(self.takes[name], rows, strict=True):
            given = {**divided(self.parts.get(taken.key, ()), np.asarray(each), self.rows, self.dtypes), **given}
        _, between = walk_back(self.file, place.key, set(given))
        found = self.file.run_between(given, list(dict.fromkeys([*between, place.key])))
        if self.exercise is not None:
            self.exercise.see({**given, **found})
        return place.read(found, (len(rows[0]), *self.shapes[name]))

    def _states(self, name: str) -> Any:
        """What gives the states of a recurrent step; None where the file hides them."""
        if name not in self.takes or not self.sides[name]:
            return None
        taken = self.takes[name]
        cells = self._cells(self.places[name].key, {place.key for place in taken}) if self.file.cells else []
        if not cells and len(taken) == 1:
            parts = self.parts.get(taken[0].key, ())
            return UnrolledStates(self.file, taken[0], self.dtypes, self.rows, parts)
        if len(cells) != self.sides[name]:
            return None

        def provide(step: Any, at: int, x: Array, begin: tuple[Array, ...], mask: Array | None) -> tuple[Array, ...]:
            ahead = x[:, ::-1] if step.reverse else x
            counts = mask[:, ::-1] if step.reverse and mask is not None else mask
            if x.ndim == 3:
                return walk_cell(cells[at], ahead, begin, counts)
            turned = tuple(np.moveaxis(state, -1, 1) for state in begin)  # an image a time step, its channels first
            found = walk_cell(cells[at], np.moveaxis(ahead, -1, 2), turned, counts)
            return tuple(np.moveaxis(state, 2, -1) for state in found)

        return provide

    def _cells(self, key: Key, taken: set[Key]) -> list[Any]:
        """The recurrent operations between what a step takes and what it gives, in their order."""
        makers = {made: at for at, node in enumerate(self.file.nodes) for made in node.outputs}
        needed, pending = set[int](), [key]
        while pending:
            at = makers.get(pending.pop())
            if at is not None and at not in needed:
                needed.add(at)
                pending += [each for each in self.file.nodes[at].inputs if each not in taken]
        found = (self.file.nodes[at].outputs[0] for at in sorted(needed))
        return [self.file.cells[made] for made in found if made in self.file.cells]

    def _run(self, inputs: Sequence[Array]) -> dict[str, Array]:
        tensors = self.file.trace(inputs)
        if self.exercise is not None:
            self.exercise.see(tensors)
        rows = len(inputs[0])
        return {name: place.read(tensors, (rows, *self.shapes[name])) for name, place in self.places.items()}


def pair_file(file: FileGraph, program: Program, feeds: Mapping[str, Array]) -> FilePairing:
    """Pair a file with a program.

    Args:
        file: the graph.
        program: of the legacy network.
        feeds: (rows, ...) by program input, in order.

    Raises:
        PortError: other inputs, or outputs of other shapes.
    """
    tensors = file.trace(list(feeds.values()))
    given = {name: np.asarray(rows, np.float64) for name, rows in feeds.items()}
    traces = program.trace(given)
    shapes = {name: np.shape(trace.outputs)[1:] for name, trace in traces.items()}
    named = _by_name(file, program, traces, tensors)
    whole = len(named) == len(program.steps)
    places = named if whole else _ByNumbers(file, program, tensors).pair(given, named)
    outputs = file.outputs_by_name(program.outputs)
    for number, name in enumerate(program.outputs):
        if name in shapes:
            places = {**places, name: _end(replace(file, outputs=outputs), number, program, traces[name], tensors)}
    ordered = {step.name: places[step.name] for step in program.steps if step.name in places}
    default = _precision(file, tensors, file.keys) or Precision("float32", "float32")
    precisions = {name: _precision(file, tensors, [place.key]) or default for name, place in ordered.items()}
    inputs = {
        name: Place(each.key, tuple(range(tensors[each.key].ndim)), tensors[each.key].shape[1:])
        for name, each in zip(program.inputs, file.inputs, strict=True)
    }
    known = {**inputs, **{name: replace(each, sides=tensors[each.key].shape[1:]) for name, each in ordered.items()}}
    takes = {step.name: tuple(known[name] for name in step.inputs) for step in program.steps
             if all(name in known for name in step.inputs)}  # fmt: skip
    dtypes = {key: array.dtype for key, array in tensors.items()}
    sides = {step.name: len(directions(step)) for step in program.steps}
    rows = {key: array.shape[1:] for key, array in tensors.items()}
    ends = [ordered[name].key for name in program.outputs if name in ordered]
    choice = describe_choice(file, tensors, ends, {place.key for place in ordered.values()}, program.outputs)
    choice = choice if outputs == file.outputs else replace(choice, doubt=describe_order(program.outputs))
    parts = {place.key: time_steps(file, place, shapes[name], tensors) for name, place in ordered.items()}
    return FilePairing(
        file, ordered, shapes, whole, precisions, takes, dtypes, sides, rows, choice, Exercise(file, ends), parts
    )


def _precision(file: FileGraph, tensors: Mapping[Key, Array], keys: Sequence[Key]) -> Precision | None:
    """The coarsest format of some tensors, with that in which the file keeps its arrays."""
    found = precision_of(tensors, keys)
    kept = next((node.variables for node in file.nodes if node.variables is not None), None)
    return found if found is None or kept is None else replace(found, variables=kept)


def _by_name(
    file: FileGraph, program: Program, traces: Mapping[str, LayerTrace], tensors: Mapping[Key, Array]
) -> dict[str, Place]:
    keys = {name: key for key, name in file.names.items() if key in tensors}
    found = {}
    for step in program.steps:
        shape = np.shape(traces[step.name].outputs)
        key = keys.get(step.name)
        if key is not None and tensors[key].shape == shape:
            found[step.name] = Place(key, tuple(range(len(shape))))
    return found


def _end(file: FileGraph, number: int, program: Program, trace: LayerTrace, tensors: Mapping[Key, Array]) -> Place:
    """Where an output of the network is: the file's own output of that number, in whatever layout."""
    outputs = [key for key in file.outputs if tensors[key].size == np.size(trace.outputs)]
    same = len(file.outputs) == len(program.outputs)
    candidates = [file.outputs[number]] if same else outputs
    fitting = list(_laid_out(candidates, tensors, np.asarray(trace.outputs)))
    if not fitting:
        found = ", ".join(str(tensors[key].shape) for key in file.outputs)
        raise PortError(
            f"the port {file.name}", found=f"outputs of shape {found}", expected=f"{np.shape(trace.outputs)}",
            remedy="check that this is the port of that network",
        )  # fmt: skip
    return min(fitting, key=lambda one: _gap(one[1], np.asarray(trace.outputs, np.float64)))[0]


def _gap(found: Array, expected: Array) -> float:
    with np.errstate(all="ignore"):
        gap = np.abs(np.asarray(found, np.float64) - expected)
    return float(np.nanmax(gap, initial=0.0)) if not np.isnan(gap).all() else np.inf


def _laid_out(keys: Sequence[Key], tensors: Mapping[Key, Array], expected: Array) -> Iterator[tuple[Place, Array]]:
    """Each tensor of as many numbers, in each order of its axes that gives the step's shape; sides of 1 count not."""
    wanted = tuple(side for side in expected.shape[1:] if side != 1)
    for key in keys:
        tensor = tensors[key]
        if tensor.ndim == 0 or len(tensor) != len(expected) or tensor.size != expected.size:
            continue
        for order in itertools.permutations(range(1, tensor.ndim)) if tensor.ndim <= 5 else ():
            sides = tuple(tensor.shape[axis] for axis in order if tensor.shape[axis] != 1)
            if sides == wanted:
                yield Place(key, (0, *order)), np.transpose(tensor, (0, *order)).reshape(expected.shape)
        if tensor.ndim == 2 and wanted != tensor.shape[1:]:  # laid out in one row
            yield Place(key, (0, 1)), tensor.reshape(expected.shape)


class _ByNumbers:
    """Step by step: the first tensor that is what the step makes of what the file itself feeds it with.

    Where none is, the file may have folded the step into the next, whose numbers are then looked for; else the step is
    given the tensor that stands in its place, so that what is wrong shows there.
    """

    def __init__(self, file: FileGraph, program: Program, tensors: Mapping[Key, Array]) -> None:
        self._file, self._program, self._tensors = file, program, tensors
        self._precision = _precision(file, tensors, file.keys) or Precision("float32", "float32")
        self._made = {key: at for at, node in enumerate(file.nodes) for key in node.outputs}

    def pair(self, feeds: Mapping[str, Array], known: Mapping[str, Place]) -> dict[str, Place]:
        """The tensors of all steps that have one.

        Args:
            feeds: (rows, ...) by program input.
            known: those that were found otherwise.
        """
        places, values = dict(known), dict(feeds)
        for step in self._program.steps:
            fed = self._cast([values[name] for name in step.inputs])
            trace = step(*fed)
            place = places.get(step.name) or self._agreeing(step, fed, trace)
            if place is None and not self._is_folded(step, values, trace):
                place = self._in_its_place(step, places, trace)
            values[step.name] = np.asarray(trace.outputs)
            if place is not None:
                places[step.name] = place
                values[step.name] = np.asarray(place.read(self._tensors, np.shape(trace.outputs)))
        return places

    def _cast(self, fed: Sequence[Array]) -> tuple[Array, ...]:
        compute = self._precision.compute
        return tuple(
            cast(each, compute).astype(np.float64) if np.asarray(each).dtype.kind == "f" else np.asarray(each)
            for each in fed
        )

    def _agreeing(self, step: Any, fed: tuple[Array, ...], trace: LayerTrace) -> Place | None:
        try:
            allowed = allowed_error(step, fed, trace, self._precision)
        except KeyError:  # no bound
            return self._near(trace)
        expected = np.asarray(trace.outputs, np.float64)
        for place, found in _laid_out(self._file.keys, self._tensors, expected):
            alike = (found.dtype == bool) == (np.asarray(trace.outputs).dtype == bool)
            if alike and compare_outputs(expected, np.asarray(found, np.float64), allowed).is_parity:
                return place
        return None

    def _near(self, trace: LayerTrace) -> Place | None:
        """A tensor that is so near to what a step gives that it is meant to be it; this pairs, and judges nothing."""
        expected = np.asarray(trace.outputs, np.float64)
        span = float(np.ptp(expected)) if expected.size else 0.0
        for place, found in _laid_out(self._file.keys, self._tensors, expected):
            if span and _gap(np.asarray(found, np.float64), expected) <= NEAR * span:
                return place
        return None

    def _is_folded(self, step: Any, values: Mapping[str, Array], trace: LayerTrace) -> bool:
        """Whether what one of the next steps makes of this one is there."""
        ahead = {**values, step.name: np.asarray(trace.outputs)}
        after = self._program.steps[self._program.steps.index(step) + 1 :]
        for other in after[:AHEAD]:
            if not set(other.inputs) <= set(ahead):
                return False
            found = other(*self._cast([ahead[name] for name in other.inputs]))
            if self._near(found) is not None:
                return True
            ahead[other.name] = np.asarray(found.outputs)
        return False

    def _in_its_place(self, step: Any, places: Mapping[str, Place], trace: LayerTrace) -> Place | None:
        """The last tensor of the step's shape behind what it takes, before a second operation with arrays follows."""
        taken = [places[name].key for name in step.inputs if name in places]
        start = max((self._made.get(key, -1) for key in taken), default=-1) + 1
        cores, keys = 0, list[Key]()
        for node in self._file.nodes[start:]:
            cores += node.is_core
            if cores > 1:
                break
            keys += node.outputs
        fitting = [place for place, _ in _laid_out(keys, self._tensors, np.asarray(trace.outputs))]
        return fitting[-1] if fitting else None
