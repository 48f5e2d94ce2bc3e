"""Rows for the inputs of a legacy Keras network, as its port takes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.domain import HOLDS, SHORT, check_input_dtypes, documented
from porter.examination.graphs.lengths import fill_shapes, merged, shapes_inside, takes
from porter.examination.graphs.masked_rows import masked_inputs, with_masks
from porter.examination.graphs.probes import ELEMENTS
from porter.formats.programs import build_program
from porter.network.graph import KerasNetwork
from porter.network.words import WHOLE, words_of
from porter.ports.keras.graph import PortGraph
from porter.ports.keras.nodes import INACTIVE

Array = NDArray[Any]

HELD = 2**25
"""Numbers in all layers for all rows together: what a verification holds from end to end; at least one row."""
MOST_ROWS = 16
LENGTHS = (13, 17, 150)
"""Along open axes: odd ones, which the usual strides divide otherwise than twelve, and one of a long series."""
OTHER_ROWS, OTHERS_HELD = 3, 2**21
"""Rows of such a length, and numbers in all layers for one row up to which it is tried."""
PIXELS = 128
"""Values of whole numbers that nothing looks up: as many as all these dtypes hold."""


def draw_feeds(
    network: KerasNetwork,
    graph: PortGraph,
    given: Sequence[Array] | None,
    rng: np.random.Generator,
    like: Sequence[Array] | None = None,
) -> dict[str, Array]:
    """Rows for each input, in the port's own dtype: whole numbers where an Embedding looks them up.

    Args:
        network: as read.
        graph: of the port.
        given: recorded inputs that replace random ones, or None.
        rng: draws the others.
        like: recorded inputs of whose lengths the random ones are, or None.

    Raises:
        PortError: another number of inputs.
        UsageError: open axes for which no length fits.
    """
    if len(graph.inputs) != len(network.inputs) or (given is not None and len(given) != len(network.inputs)):
        raise PortError(
            f"the port {graph.model.name}", found=f"{len(graph.inputs)} inputs", expected=f"{len(network.inputs)}"
        )
    dtypes = dict(zip((each.name for each in network.inputs), graph.input_dtypes, strict=True))
    active = [node for node in graph.nodes if type(node.operation).__name__ not in INACTIVE]
    first = [node for node in active if not set(graph.inputs).isdisjoint(node.inputs)]
    greatest = _greatest(network, graph)
    check_input_dtypes(graph, {node.compute_dtype for node in first or active}, greatest)
    _check_words(graph, greatest)
    if given is not None:
        rows = {each.name: np.asarray(values) for each, values in zip(network.inputs, given, strict=True)}
    else:
        rows = _draw(network, _shapes(network, graph, like), rng, lambda shapes: count_rows(graph, shapes))
    rows = with_masks(rows, masked_inputs(network), given is not None)
    return {name: values.astype(dtypes[name]) for name, values in rows.items()}


def draw_other_lengths(network: KerasNetwork, graph: PortGraph, rng: np.random.Generator) -> Iterator[dict[str, Array]]:
    """Few rows for each of ``LENGTHS`` along the axes that the file and the port leave open, where both take that.

    Nothing where there is no such axis, nor of a length at which the layers compute too many numbers.
    """
    known = [each.shape for each in network.inputs]
    shapes = [merged(row, own) for row, own in zip(graph.input_shapes, known, strict=True)]
    if all(None not in shape for shape in shapes):
        return
    accepts = _acceptance(network)
    for length in LENGTHS:
        filled = [tuple(length if n is None else n for n in shape) for shape in shapes]
        if not takes(graph, filled) or sizes(graph, filled)[1] > OTHERS_HELD or not accepts(filled):
            continue
        rows = _draw(network, filled, rng, lambda _: OTHER_ROWS)
        rows = with_masks(rows, masked_inputs(network), recorded=False)
        dtypes = dict(zip(rows, graph.input_dtypes, strict=True))
        yield {name: values.astype(dtypes[name]) for name, values in rows.items()}


def _acceptance(network: KerasNetwork) -> Callable[[Sequence[tuple[int, ...]]], bool]:
    """Whether the legacy program takes rows of some shapes."""
    program = build_program(network)

    def accepts(shapes: Sequence[tuple[int, ...]]) -> bool:
        zeros = {name: np.zeros((1, *shape)) for name, shape in zip(program.inputs, shapes, strict=True)}
        try:
            program(zeros)
        except (ValueError, IndexError, TypeError, ArithmeticError, MemoryError):
            return False
        return True

    return accepts


def _check_words(graph: PortGraph, greatest: Mapping[int, int]) -> None:
    """Refuse a layer that rounds words before a table looks them up: everything behind it gets other words."""
    for node in graph.nodes:
        kind, most = type(node.operation).__name__, max((greatest.get(key, 0) for key in node.inputs), default=0)
        if kind != "Embedding" and node.compute_dtype in SHORT and most > HOLDS[node.compute_dtype]:
            raise PortError(
                f"the port {graph.model.name}, layer {node.name}",
                found=f"words to {most:,} through a {kind} in {node.compute_dtype}, which does not hold each of them",
                expected="words as they are, up to the layer that looks them up",
                remedy='build the layers in front of that one with dtype="float32"',
            )


def _greatest(network: KerasNetwork, graph: PortGraph) -> dict[int, int]:
    """By key of the port's inputs of whole numbers, the greatest that it takes; 0 where nobody says."""
    words = words_of(network)
    return {
        key: max(0, words.get(each.name, 0) - 1)
        for key, each in zip(graph.inputs, network.inputs, strict=True)
        if each.dtype in WHOLE or each.name in words
    }


def _draw(
    network: KerasNetwork, shapes: Sequence[tuple[int, ...]], rng: np.random.Generator, count: Callable[[Any], int]
) -> dict[str, Array]:
    words, rows = words_of(network), count(shapes)
    drawn: dict[str, Array] = {}
    for each, shape in zip(network.inputs, shapes, strict=True):
        if each.name in words:
            drawn[each.name] = _with_ends(rng.integers(0, words[each.name], (rows, *shape)), words[each.name], rng)
            continue
        if each.dtype in WHOLE and each.dtype != "bool":
            drawn[each.name] = rng.integers(0, PIXELS, (rows, *shape))
            continue
        values = rng.normal(0, 1, (rows, *shape))
        if rows > 1:
            values[-1] *= 10
        values[0] = 0 if rows > 3 else values[0]
        drawn[each.name] = documented(network.input_range, values)
    return drawn


def _with_ends(drawn: Array, count: int, rng: np.random.Generator) -> Array:
    """Words in every row of which the first two and the last are that a table has: masks and limits stand there."""
    rows = drawn.reshape(len(drawn), -1)
    ends = np.unique([0, min(1, count - 1), count - 1])[: rows.shape[1]]
    for row in rows:
        row[rng.permutation(rows.shape[1])[: len(ends)]] = ends
    return rows.reshape(drawn.shape)


def _shapes(network: KerasNetwork, graph: PortGraph, like: Sequence[Array] | None) -> list[tuple[int, ...]]:
    """Of a row of each input: as recorded, as the file says, or as short as both sides take."""
    known: list[Any] = [each.shape for each in network.inputs]
    if like is not None and len(like) == len(known):
        known = [np.shape(values)[1:] for values in like]
    return fill_shapes(graph, known, _acceptance(network))


def count_rows(graph: PortGraph, shapes: Sequence[tuple[int, ...]]) -> int:
    """How many rows of these shapes are fed: as few as keep what all layers compute within ``HELD``; one at least."""
    widest, total = sizes(graph, shapes)
    return int(np.clip(min(ELEMENTS // max(widest, 1), HELD // max(total, 1)), 1, MOST_ROWS))


def sizes(graph: PortGraph, shapes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """How many numbers the widest layer computes for one row, and all of them together."""
    found = [math.prod(shape) for shape in (*shapes, *shapes_inside(graph, shapes))]
    return max(found), sum(found)


def note_of(graph: PortGraph, feeds: Mapping[str, Array]) -> str | None:
    """What is said where fewer rows were fed than usual, because of what they fill; None elsewhere."""
    rows, shapes = len(next(iter(feeds.values()))), [np.shape(values)[1:] for values in feeds.values()]
    widest, total = sizes(graph, shapes)
    if rows > count_rows(graph, shapes) or rows == MOST_ROWS:
        return None
    return (
        f"{rows} {'row' if rows == 1 else 'rows'} at a time: the layers compute {total:,} numbers for each, the widest "
        f"{widest:,}"
    )
