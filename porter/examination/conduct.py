"""What code of anybody's own may do otherwise than on the rows that were judged: other batches, later calls, graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import first_line
from porter.ports.keras.foreign import Kept, foreign_objects, foreign_parts, held_numbers, mixes_rows
from porter.ports.keras.graph import PortGraph
from porter.ports.keras.state import take_snapshot

Array = NDArray[Any]
Values = Mapping[Any, Any]
Compute = Callable[[Sequence[Any]], Values]
"""Tensors of the inputs to every tensor that is judged, by any key; in eager mode or inside a graph."""

SIZES = (
    32, 100, 1000, 5, 64, 17, 10_000, 7, 33, 256, 4097, *range(1, 20), 24, 31, 40, 48, 50, 63, 65, 128, 129, 200, 500,
    512, 1024, 2000, 5000, 16_384,
)  # fmt: skip
"""Rows of the batches that a port with code of its own is called with, the most usual first."""
FILE_SIZES = (32, 100, 1000, 17, 5000)
"""The same for a file, whose graph is run anew for each."""
ROWS = 8
"""Different rows in them."""
NUMBERS = 2**26
"""That the layers may compute in all those batches together, and an eighth of it in one."""
GRAPH_ROWS = 100


@dataclass(frozen=True)
class Trace:
    """Tensors of a port on some rows, where it did not give the bits that it gives for them otherwise.

    Attributes:
        probes: what the rows are.
        values: (rows, ...) by key.
        usual: the same rows in the batch that is judged anyway.
        whole: outputs of the model called with them as a whole.
    """

    probes: str
    values: Mapping[Any, Array]
    usual: Mapping[Any, Array]
    whole: Sequence[Array]

    def rows(self, *keys: Any) -> Array:
        """(n,) the rows of which some of these tensors hold other bits than usual."""
        lengths = [np.shape(self.values[key])[:1] for key in keys]
        changed = np.zeros(lengths[0], bool)
        if changed.ndim == 0 or len(set(lengths)) > 1:  # rows along another axis, or no plain array
            return np.zeros(0, int)
        for key in keys:
            usual = self.usual.get(key)
            changed |= True if usual is None else _differ(self.values[key], usual)
        return np.flatnonzero(changed)


@dataclass
class Conduct:
    """What was seen of a port that was called in other ways.

    Attributes:
        names: its own parts.
        traces: to be judged.
        is_unsteady: whether the same batch gave other bits when it was called again.
        doubts: what leaves a verdict open.
        notes: how it was called.
    """

    names: tuple[str, ...] = ()
    traces: list[Trace] = field(default_factory=list)
    is_unsteady: bool = False
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def watch(
    graph: Any, feeds: Sequence[Array], numbers: int, *, compute: Compute | None = None, trains: bool = False
) -> Conduct:
    """Call a port in batches of many sizes, often, and as ``predict`` does; ports of Keras' own code need none of it.

    Args:
        graph: the port, as a ``PortGraph`` or as a file's graph that is called and traced in the same way.
        feeds: (rows, ...) for each input, in the port's dtypes.
        numbers: how many its layers compute for one row.
        compute: its tensors, where that is another set than those of its graph.
        trains: whether a call in it was built in training mode, which moves its variables.
    """
    if not isinstance(graph, PortGraph):
        return _watch_file(graph, feeds, numbers)
    operations = [node.operation for node in graph.nodes]
    names = foreign_parts(graph.model, (*getattr(graph.model, "operations", ()), *operations))
    if not names and not any(map(_may_mix, graph.nodes)):
        return Conduct()
    found = Conduct(names)
    objects = foreign_objects(graph.model, (*getattr(graph.model, "operations", ()), *operations))
    rows = [feed[-ROWS:] for feed in feeds]
    try:
        compute = graph.compute if compute is None else compute
        evaluate = partial(_evaluated, compute, graph)
        usual = evaluate(rows)
        before, held = take_snapshot(graph.model), held_numbers(objects)
        sizes = [] if graph.batch is not None else list(_affordable(SIZES, numbers))
        _call_in_batches(found, graph, rows, evaluate, sizes, usual)
        if sizes:
            found.notes.append(_word_sizes(names, sizes))
        _call_in_graph(found, graph, rows, compute, usual)
    except Exception as error:  # a port of one size of batch alone, or whatever else somebody's own code raises
        found.notes.append(f"the port cannot be called in batches of {ROWS} rows: {first_line(error)}")
        return found
    now = held_numbers(objects)
    kept = [now[path] for path in held.keys() & now.keys() if held[path].word != now[path].word]
    _ask_states(found, graph, rows, () if trains else before.changed, kept)
    return found


def _ask_states(
    found: Conduct, graph: PortGraph, rows: Sequence[Array], variables: Sequence[Any], kept: Sequence[Kept]
) -> None:
    """Whether what moves on with every call has a say in what a port gives: it is moved on by far."""
    names = [str(getattr(each, "path", getattr(each, "name", "a variable"))) for each in variables]
    names += sorted(each.name for each in kept)
    if not names:
        return
    first = graph(*rows)
    moves = [_move(variable) for variable in variables] + [_set(each) for each in kept]
    told = f"{', '.join(dict.fromkeys(names))} changes from call to call"
    asked = all(move is not None for move in moves)
    with ExitStack() as stack:
        for step in FURTHER:
            for move in moves:
                if move is not None:
                    stack.enter_context(move(step))
            if not _same(graph(*rows), first):
                found.is_unsteady = True
                return
    if asked:
        found.notes.append(f"{told}, and has no say in what the port gives")
    else:
        found.doubts.append(f"{told}: what the port gives later was not compared")


FURTHER = (1, 1000, 10**6)
"""How much further a counter is put."""


def _move(variable: Any) -> Callable[[int], AbstractContextManager[None]]:
    @contextmanager
    def moved(step: int) -> Iterator[None]:
        from keras import ops

        before = np.asarray(ops.convert_to_numpy(variable)).copy()
        variable.assign((before + step).astype(before.dtype))
        try:
            yield
        finally:
            variable.assign(before)

    return moved


def _set(kept: Kept) -> Callable[[int], AbstractContextManager[None]] | None:
    """None of what is no single number, or cannot be set."""
    put, value = kept.put, kept.value
    if put is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None

    @contextmanager
    def moved(step: int) -> Iterator[None]:
        put(value + step)
        try:
            yield
        finally:
            put(value)

    return moved


def _may_mix(node: Any) -> bool:
    try:
        return mixes_rows(node)
    except (AttributeError, IndexError, TypeError):
        return True


def _watch_file(graph: Any, feeds: Sequence[Array], numbers: int) -> Conduct:
    """The same of a file that its own runtime runs: it keeps nothing in mind, and may still count its rows."""
    found = Conduct((graph.name,))
    if graph.batch is None:
        rows = [feed[-ROWS:] for feed in feeds]
        try:
            _call_in_batches(found, graph, rows, graph.trace, list(_affordable(FILE_SIZES, numbers)), graph.trace(rows))
        except Exception as error:  # whatever a runtime raises of another number of rows
            found.notes.append(f"the port cannot be called in batches of other sizes: {first_line(error)}")
    return found


def _call_in_batches(
    found: Conduct,
    graph: Any,
    rows: Sequence[Array],
    evaluate: Callable[[Sequence[Array]], Mapping[Any, Array]],
    sizes: Sequence[int],
    usual: Mapping[Any, Array],
) -> None:
    first = graph(*rows)
    for size in sizes:
        places = np.arange(size) % len(rows[0])
        fed = [feed[places] for feed in rows]
        whole = graph(*fed)
        if _same(whole, [output[places] for output in first]):
            continue
        if not _same(whole, graph(*fed)):
            found.is_unsteady = True
            return
        wanted = {key: each[places] for key, each in usual.items() if len(each) == len(rows[0])}
        found.traces.append(Trace(f"inputs of the network in a batch of {size:,}", evaluate(fed), wanted, whole))


def _word_sizes(names: Sequence[str], sizes: Sequence[int]) -> str:
    told = ", ".join(names) or "operations over all rows"
    return (
        f"{told}: code that nobody vouches for was called with batches of {len(sizes)} sizes, of {min(sizes)} to "
        f"{max(sizes):,} rows"
    )


def _affordable(sizes: Sequence[int], numbers: int) -> Iterator[int]:
    """The sizes that keep within ``NUMBERS``, each once."""
    left, seen = NUMBERS, set[int]()
    for size in sizes:
        cost = size * max(numbers, 1)
        if size in seen or cost > min(left, NUMBERS // 8):
            continue
        seen.add(size)
        left -= cost
        yield size


def _call_in_graph(
    found: Conduct, graph: PortGraph, rows: Sequence[Array], compute: Compute, usual: Mapping[Any, Array]
) -> None:
    """The port as ``predict`` runs it, traced once for any number of rows."""
    import keras

    if keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    keys = list(usual)

    def everything(*fed: Any) -> Any:
        values = compute(fed)
        return [values[key] for key in keys], graph.outputs_of(fed)

    shapes = [(graph.batch, *feed.shape[1:]) for feed in rows]
    signature = [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, graph.input_dtypes, strict=True)]
    count = graph.batch or GRAPH_ROWS
    places = np.arange(count) % len(rows[0])
    try:
        fed = [tf.convert_to_tensor(feed[places], dtype) for feed, dtype in zip(rows, graph.input_dtypes, strict=True)]
        with _one_by_one():
            tensors, whole = tf.function(everything, input_signature=signature, autograph=False)(*fed)
    except Exception as error:  # code that looks at numbers, or anything else that somebody's own call may do
        found.notes.append(f"the port cannot be run as a graph, as predict would: {first_line(error)}")
        return
    values = {key: np.asarray(tensor) for key, tensor in zip(keys, tensors, strict=True)}
    wanted = {key: each[places] for key, each in usual.items() if len(each) == len(rows[0])}
    found.traces.append(
        Trace(
            "inputs of the network in graph mode, as predict runs it",
            values,
            wanted,
            [np.asarray(each) for each in whole],
        )
    )


@contextmanager
def _one_by_one() -> Iterator[None]:
    """Graphs that run the operations they list, and none that were made one: these give the bits of eager mode."""
    import tensorflow as tf

    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        off = before.get("disable_meta_optimizer", False)
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": off})


def _evaluated(compute: Compute, graph: PortGraph, fed: Sequence[Array]) -> dict[Any, Array]:
    from keras import ops

    tensors = [ops.convert_to_tensor(feed, dtype=dtype) for feed, dtype in zip(fed, graph.input_dtypes, strict=True)]
    return {key: np.asarray(ops.convert_to_numpy(value)) for key, value in compute(tensors).items()}


def _same(one: Sequence[Array], other: Sequence[Array]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def _differ(one: Array, other: Array) -> Array:
    """(rows,) whether two tensors hold other numbers there."""
    if one.shape != other.shape:
        return np.ones(len(one), bool)
    same = one == other
    if one.dtype.kind not in "biu":
        same = same | (np.isnan(one) & np.isnan(other))
    return ~same.reshape(len(one), -1).all(axis=1)
