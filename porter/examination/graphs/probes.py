"""What every step of a port is fed with: what the port itself hands it, and wide numbers of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.agreement import draw_wide, takes_words
from porter.examination.graphs.far import far_numbers
from porter.examination.graphs.functions import compare_functions
from porter.examination.graphs.masked_rows import draw_counts, draw_numbers, put_value
from porter.examination.graphs.pairing import KerasPairing
from porter.examination.graphs.pieces import Pieces
from porter.examination.graphs.states import Recurrence, recurrent_layers
from porter.examination.graphs.steps import OWN_ROWS, arrays_of
from porter.examination.graphs.suspect import Seen, Suspect, without_folding
from porter.examination.graphs.view import operations_of, unchanged, variables_of, walk_back
from porter.examination.probes import FAR
from porter.ports.blocks import Asked
from porter.ports.keras.conditions import conditions_of
from porter.ports.keras.foreign import is_own
from porter.ports.keras.nodes import Key
from reference.composed.together import Together
from reference.operations.embedding import Embedding
from reference.operations.local_convolution import LocalConvolution
from reference.operations.masking import Mask, Masking
from reference.operations.time_distributed import TimeDistributed
from reference.precision import Precision, round_to
from reference.rounding.recurrent_steps import is_stepped
from reference.trace import Program

Array = NDArray[Any]
K = TypeVar("K")

FLOATS = ("float64", "float32", "float16", "bfloat16")
ELEMENTS = 2**21
"""Numbers in the widest layer for all rows together: what a verification holds at a time."""
ROWS_THROUGH = 10
"""Rows that are drawn for a layer that masks and the step behind it: every kind of mask twice."""
ONE_ROW = "a batch of one row"
FEW, SPARSE_ROWS = 8, "rows of few numbers"
"""Products of a sum that are not zero in sparse rows, on average."""
WIDE_ELEMENTS, WIDE_ROWS = 2**13, 64
"""Wide rows of a layer alone: as many as keep to so many numbers, but 3 at least."""


@dataclass(frozen=True)
class Port:
    """A port on its way through a verification.

    Attributes:
        model: keras.Model.
        program: the legacy network's.
        tensors: of the port, by step and input name.
        values: what they are on the network's inputs.
        reference: the same by the reference, end to end.
        single: as ``values``, on one of the rows alone.
    """

    model: Any
    program: Program
    tensors: Mapping[str, Any]
    values: Mapping[str, Array]
    reference: Mapping[str, Any]
    single: Mapping[str, Array] = field(default_factory=dict)

    @cached_property
    def known(self) -> dict[int, str]:
        """Names by the identity of the tensor, of those that a legacy step or input stands for."""
        return {id(tensor): name for name, tensor in self.tensors.items() if name in self.values}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of what every step and input gives, without the rows."""
        return {name: np.shape(value)[1:] for name, value in self.values.items()}


def make_suspect(
    step: Any, port: Port, precision: Precision, names: tuple[str, ...], rng: np.random.Generator | None
) -> Suspect:
    """A step with what was seen of it: the network's rows, then wide ones on what the port's layer really takes.

    Args:
        step: of the legacy program.
        port: which is judged.
        precision: in which it computes the step.
        names: of its layers that do.
        rng: of the wide rows; None for none.
    """
    sources, trained = walk_back(port.tensors[step.name], port.known)
    wanted = [name for name in dict.fromkeys((*step.inputs, *sources)) if name in port.values]
    fed = {name: np.asarray(port.values[name], np.float64) for name in wanted}
    seen = [Seen("rows of the network's inputs", fed, np.asarray(port.values[step.name], np.float64))]
    if not trained and step.name in port.single:
        alone = {name: np.asarray(port.single[name], np.float64) for name in wanted}
        seen += fresh(seen[0], Seen(ONE_ROW, alone, np.asarray(port.single[step.name], np.float64)))
    drawn = None if rng is None or looks_up(step) else _draw_wide(port, step, sources, rng)
    outside = None
    if drawn is not None:
        shapes = {name: port.shapes[name] for name in drawn}
        numbers = None if trained else far_numbers(step, shapes, port.shapes[step.name], precision)
        wide, outside = _run_both(port, step, drawn, numbers)
        seen += wide
    calm = [_run_alone(port, step, _only(part.fed, sources), training=False) for part in seen if trained]
    operations = [operation for operation in operations_of(port.model) if operation.name in names]
    found = _shown(step, operations)

    def sparse() -> Seen | None:
        thin = None if drawn is None or trained else thinned(step, drawn, np.random.default_rng(0))
        return None if thin is None else replace(_run_alone(port, step, thin), probes=SPARSE_ROWS)

    def ask(rows: Array, probes: str) -> Seen:
        return _run_alone(port, step, dict.fromkeys(sources, rows), probes=probes)

    one = Suspect(
        step, names, tuple(seen), precision, found, port.program, sources or step.inputs, port.shapes, trained,
        tuple(calm), recurrence_of(step, operations), sparse, lambda: outside,
        lambda: compare_functions(step, operations, precision, port.shapes[step.name]),
        None if trained or rng is None or len(set(sources)) != 1 else ask, _is_own(operations),
    )  # fmt: skip
    if trained or rng is None or not sources:
        return one
    return replace(
        one,
        conditions=lambda: _conditions(port, step, tuple(dict.fromkeys(sources))),
        ask=lambda fed, probes: _run_alone(port, step, fed, probes=probes),
    )


def _conditions(port: Port, step: Any, sources: Sequence[str]) -> Asked | None:
    """Those of somebody's own code between what a step takes and what it gives."""
    inputs = [port.tensors[name] for name in sources]
    cut = _cut(inputs, port.tensors[step.name], None)
    operations = getattr(cut, "operations", None) or [port.tensors[step.name]._keras_history.operation]
    return conditions_of(
        lambda *given: keras.tree.flatten(cut(list(given)))[0], operations,
        [port.shapes[name] for name in sources], [each.dtype for each in inputs], _words(step),
        [each.shape[1:] for each in inputs],
    )  # fmt: skip


def _words(step: Any) -> int | None:
    """How many words there are for a step that takes them; None for one that takes numbers."""
    tables = [part for part in getattr(step, "steps", (step,)) if isinstance(part, Embedding)]
    return len(tables[0].table) if tables else None


def _run_both(
    port: Port, step: Any, drawn: Mapping[str, Array], numbers: Mapping[str, Array] | None
) -> tuple[list[Seen], Seen | None]:
    """What the port's layer gives for wide rows, and for those far outside: in one call, unless it refuses these."""
    if numbers is None:
        return tried(lambda: _run_alone(port, step, drawn)), None
    if not _is_apart(step):
        return _apart(port, step, drawn, numbers)
    both = {name: np.concatenate([rows, numbers[name].astype(rows.dtype)]) for name, rows in drawn.items()}
    count = len(next(iter(drawn.values())))
    for found in tried(lambda: _run_alone(port, step, both)):
        if len(found.actual) == len(next(iter(both.values()))):
            return [_part(found, slice(count), found.probes)], _part(found, slice(count, None), FAR)
    return _apart(port, step, drawn, numbers)


def _apart(
    port: Port, step: Any, drawn: Mapping[str, Array], numbers: Mapping[str, Array]
) -> tuple[list[Seen], Seen | None]:
    wide = tried(lambda: _run_alone(port, step, drawn))
    return wide, next(iter(tried(lambda: _run_alone(port, step, numbers, probes=FAR))), None)


def _is_apart(step: Any) -> bool:
    """Whether a row comes out the same whatever rows stand beside it: not if their statistics normalize it."""
    return all(getattr(part, "statistics", "moving") == "moving" for part in getattr(step, "steps", (step,)))


def _part(seen: Seen, rows: slice, probes: str) -> Seen:
    return Seen(probes, {name: values[rows] for name, values in seen.fed.items()}, seen.actual[rows])


def fresh(rows: Seen, alone: Seen) -> list[Seen]:
    """One row alone, unless the step took and gave the very bits of that row among the others: judged already."""
    pairs = [(rows.actual, alone.actual), *((rows.fed[name], alone.fed[name]) for name in alone.fed)]
    return [] if all(_same_bits(one_row(every), one) for every, one in pairs) else [alone]


def _same_bits(one: Array, other: Array) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def tried(run: Callable[[], Seen]) -> list[Seen]:
    """What a piece gives for rows of its own; nothing where it refuses them, as a layer that asserts its range does."""
    try:
        return [run()]
    except Exception:  # somebody's own layer may raise anything
        return []


def recurrence_of(step: Any, operations: Sequence[Any]) -> Recurrence | None:
    """The port's recurrent layers of a step, where that is one to be judged a time step at a time."""
    layers = recurrent_layers(operations) if is_stepped(step) else ()
    return Recurrence(layers) if layers else None


def looks_up(step: Any) -> bool:
    """Whether a step takes words, of which no wide numbers can be drawn."""
    if isinstance(step, Program):
        return any(map(looks_up, step.steps))
    if isinstance(step, TimeDistributed):
        return looks_up(step.inner)
    return takes_words(step)


def _shown(step: Any, operations: Sequence[Any]) -> dict[tuple[str, ...], Array]:
    """The arrays that a port's layers show, by their place in the step."""
    if isinstance(step, LocalConvolution):
        return {}  # Keras has no such layer: whatever a port makes one of holds the numbers in a way of its own
    found = {path: np.asarray(each).astype(np.float64) for path, each in variables_of(step, operations).items()}
    return without_folding(step, found)


def _is_own(operations: Sequence[Any]) -> bool:
    return len(operations) == 1 and is_own(operations[0])


def one_row(rows: Array) -> Array:
    """A batch of one of them: not the first, which may be zeros."""
    return rows[min(1, len(rows) - 1) :][:1]


def thinned(step: Any, drawn: Mapping[K, Array], rng: np.random.Generator) -> dict[K, Array] | None:
    """Rows of numbers most of which are made zero: a sum of few products has a small bound, however many it may have.

    None where the step adds up few products anyway.
    """
    terms = max((int(np.prod(array.shape[:-1])) for array in arrays_of(step)), default=0)
    if terms <= FEW or len(drawn) != 1:
        return None
    return {
        key: values * (rng.random(values.shape) < FEW / terms).astype(values.dtype) for key, values in drawn.items()
    }


def _only(fed: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    return {name: fed[name] for name in names}


def _draw_wide(port: Port, step: Any, sources: Sequence[str], rng: np.random.Generator) -> dict[str, Array] | None:
    """Wide random numbers for a layer alone: where a network's inputs never go, a mistake would not be seen.

    More rows the smaller the layer; none where it would take too many numbers.
    """
    # A layer may take the same tensor twice, as attention does.
    shapes = {name: port.shapes[name] for name in sources}
    size = sum(int(np.prod(shape)) for shape in (*shapes.values(), port.shapes[step.name]))
    if not shapes or size > ELEMENTS:
        return None
    rows = int(np.clip(WIDE_ELEMENTS // max(size, 1), 3, WIDE_ROWS))
    return {name: draw_numbers(step, (rows, *shape), port.tensors[name].dtype, rng) for name, shape in shapes.items()}


def _run_alone(
    port: Port, step: Any, fed: Mapping[str, Array], training: bool | None = None, probes: str = "wide rows"
) -> Seen:
    """What the port's layer alone makes of numbers for what it takes."""
    inputs, output = [port.tensors[name] for name in fed], port.tensors[step.name]
    given = {name: values.astype(port.tensors[name].dtype) for name, values in fed.items()}
    with unchanged(port.model):
        found = _cut(inputs, output, training)(list(given.values()))
    probes = probes if training is None else "rows with nothing in training mode"
    return Seen(
        probes,
        {name: np.asarray(values, np.float64) for name, values in given.items()},
        np.asarray(found, np.float64),
    )


def _cut(inputs: Sequence[Any], output: Any, training: bool | None) -> Callable[[list[Array]], Any]:
    """What lies between some tensors of the port and another."""
    try:
        # A Function costs less than a Model, and leaves every call its own mode.
        if training is None:
            return keras.Function(list(inputs), output)
        model = keras.Model(list(inputs), output)
        return lambda given: model(given, training=training)
    except ValueError:
        # Keras cannot cut a model between two calls of one layer; the layer can be called.
        operation, number, _ = output._keras_history
        if [id(tensor) for tensor in operation._inbound_nodes[number].input_tensors] != list(map(id, inputs)):
            raise
        return lambda given: operation(*map(keras.ops.convert_to_tensor, given))


def _through_masks(step: Together, pairing: KerasPairing, program: Program, rng: np.random.Generator) -> list[Seen]:
    """A step behind a layer that masks, on rows of that layer's input: a port may hand masks on beside its tensors."""
    pair, port = pairing[step.name], pairing.port
    assert pair.key is not None
    keys = dict(zip(step.inputs, pair.fed, strict=True))
    makers = {each.name: each for each in program.steps if isinstance(each, Masking | Embedding)}
    behind = [name for name in keys if name in makers and makers[name].inputs[0] in keys]
    free = [name for name in keys if name not in behind]
    masks = [each for each in step.steps[:-1] if isinstance(each, Mask) and each.kind in ("any", "nonzero")]
    if len(free) != 1 or len(masks) != 1 or not port.between([keys[free[0]]], pair.key)[1]:
        return []
    own = port.values[keys[free[0]]]
    values = _draw_masked(masks[0], [makers[name] for name in behind], (ROWS_THROUGH, *own.shape[1:]), own.dtype, rng)
    fed = {free[0]: values.astype(np.float64)}
    compute = pairing.precision(step.name).compute
    fed.update({name: round_to(makers[name](fed[free[0]]).outputs, compute) for name in behind})
    actual = port.run({keys[free[0]]: values}, pair.key)
    return [Seen("rows with masked time steps", fed, np.asarray(actual, np.float64))]


def _draw_masked(
    mask: Mask, makers: Sequence[Any], shape: tuple[int, ...], dtype: Any, rng: np.random.Generator
) -> Array:
    """Wide numbers, or words that every table has, some time steps masked."""
    tables = [len(maker.table) for maker in makers if isinstance(maker, Embedding)]
    if mask.kind == "any" or not tables:
        return draw_numbers(mask, shape, dtype, rng)
    words = rng.integers(0, min(tables), shape).astype(dtype)
    return put_value(words, 0, draw_counts(*shape[:2])) if len(shape) > 1 else words


def make_paired_suspect(pairing: KerasPairing, name: str, program: Program, rng: np.random.Generator | None) -> Suspect:
    """A step with what was seen of the pieces of a port that it was paired with.

    Args:
        pairing: of the port.
        name: of the step, which the port has a tensor for.
        program: the legacy network's.
        rng: of the wide rows; None for none.
    """
    pair, port, actual = pairing[name], pairing.port, pairing.actual(name)
    assert pair.key is not None and actual is not None
    key = pair.key
    step = pair.step
    seen = [Seen(OWN_ROWS, dict(zip(step.inputs, pairing.fed(name), strict=True)), actual)]
    if port.single:
        alone_fed = {
            each: np.asarray(port.single[at], np.float64) for each, at in zip(step.inputs, pair.fed, strict=True)
        }
        seen += fresh(seen[0], Seen(ONE_ROW, alone_fed, np.asarray(port.single[key], np.float64)))
    drawn = None if rng is None else draw_wide(step, port, pair.fed, rng)
    operations = pairing.operations(name)
    found = _shown(step, operations)

    def run(given: Mapping[Key, Array], probes: str) -> Seen:
        fed = {each: np.asarray(given[key], np.float64) for each, key in zip(step.inputs, pair.fed, strict=True)}
        return Seen(probes, fed, np.asarray(port.run(given, key), np.float64))

    if rng is not None and drawn is None and isinstance(step, Together):
        seen += _through_masks(step, pairing, program, rng)
    is_apart = rng is not None and port.between(pair.fed, pair.key)[1]
    alone = drawn is not None and is_apart
    if drawn is not None and alone:
        seen += tried(lambda: run(drawn, "wide rows"))

    def sparse() -> Seen | None:
        thin = thinned(step, drawn, np.random.default_rng(0)) if drawn is not None and alone else None
        return None if thin is None else run(thin, SPARSE_ROWS)

    def far() -> Seen | None:
        rows = {at: port.values[at].shape[1:] for at in dict.fromkeys(pair.fed)}
        given = far_numbers(step, rows, port.values[key].shape[1:], pairing.precision(name)) if alone else None
        if given is None:
            return None
        cast = {at: values.astype(port.values[at].dtype) for at, values in given.items()}
        found = tried(lambda: run(cast, FAR))
        return found[0] if found else None

    def ask(rows: Array, probes: str) -> Seen:
        return run({pair.fed[0]: rows.astype(port.values[pair.fed[0]].dtype)}, probes)

    keys = {each: one.key for each, one in pairing.pairs.items()} | dict(pairing.inputs)
    shapes = {each: port.values[key].shape[1:] for each, key in keys.items() if key is not None}
    return Suspect(
        step, pair.names, tuple(seen), pairing.precision(name), found, program, step.inputs, shapes,
        recurrence=recurrence_of(step, operations), sparse=sparse, far=far,
        functions=lambda: compare_functions(step, pairing.parts(name), pairing.precision(name), shapes[name]),
        alone=ask if is_apart and len(set(pair.fed)) == 1 else None, is_own=_is_own(operations),
        conditions=(lambda: _conditions_between(port, step, pair.fed, key)) if is_apart else None,
        ask=lambda fed, probes: run(_by_key(port, step, pair.fed, fed), probes),
    )  # fmt: skip


def _by_key(port: Pieces, step: Any, keys: Sequence[Key], fed: Mapping[str, Array]) -> dict[Key, Array]:
    """What a step is fed with by the keys of the port's tensors, in their dtypes."""
    return {
        key: np.asarray(fed[name]).astype(port.values[key].dtype) for name, key in zip(step.inputs, keys, strict=True)
    }


def _conditions_between(port: Pieces, step: Any, fed: Sequence[Key], key: Key) -> Asked | None:
    """Those of somebody's own code between what a step is fed with and what it gives."""
    keys = tuple(dict.fromkeys(fed))
    values = [port.values[each] for each in keys]
    declared = [port.graph.shapes.get(key, value.shape) for key, value in zip(keys, values, strict=True)]
    return conditions_of(
        lambda *given: port.compute(dict(zip(keys, given, strict=True)), key),
        [port.pieces[at].operation for at in port.between(keys, key)[0]], [each.shape[1:] for each in values],
        [str(each.dtype) for each in values], _words(step), [each[1:] for each in declared],
    )  # fmt: skip
