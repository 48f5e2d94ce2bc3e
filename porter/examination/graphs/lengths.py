"""How long the axes are made that a legacy Keras file leaves open: as short as its graph takes, from twelve on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import keras

from porter.errors import UsageError
from porter.ports.keras.graph import PortGraph
from porter.ports.keras.nodes import PortNode

Shape = tuple[int | None, ...]
Accepts = Callable[[Sequence[tuple[int, ...]]], bool]

LENGTH = 12
"""Steps or pixels along an open axis, where the graph takes so many."""
SHORT = 64
"""Lengths up to here are tried one by one, longer ones by doubling and then halving the gap."""
LONGEST = 2**17
JOINS = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
FEW = 24
"""Lengths up to here are also tried in pairs, where two open axes want to differ."""


def fill_shapes(graph: PortGraph, known: Sequence[Shape | None], accepts: Accepts | None = None) -> list[Any]:
    """The shapes of a row of each input, with the open axes filled in.

    Args:
        graph: of the port.
        known: what the legacy file, or recorded samples, say of the shape of each input; None where nothing.
        accepts: whether the legacy program takes rows of these shapes, too.

    Raises:
        UsageError: no length is taken by the whole graph.
    """
    shapes = [merged(row, own) for row, own in zip(graph.input_shapes, known, strict=True)]
    count = sum(n is None for shape in shapes for n in shape)
    if count == 0:
        return shapes

    def tried(lengths: Sequence[int]) -> list[tuple[int, ...]] | None:
        rest = iter(lengths)
        filled = [tuple(next(rest) if n is None else n for n in shape) for shape in shapes]
        fits = takes(graph, filled) and (accepts is None or accepts(filled))
        return filled if fits else None

    for lengths in _candidates(count):
        found = tried(lengths)
        if found is not None:
            return found
    found = _long(count, tried)
    if found is not None:
        return found
    raise UsageError(
        f"the open axes of {graph.model.name}",
        found=f"no length up to {LONGEST:,} that every layer takes, and on which its joins agree",
        expected="rows of the lengths that the model was made for",
        remedy="give golden samples, whose lengths are used: --samples golden.npz (samples=)",
    )


def merged(row: Shape, own: Shape | None) -> Shape:
    """The shape of a row that a port takes, with what the file says of axes that the port leaves open."""
    if own is None or len(own) != len(row):
        return tuple(row)
    return tuple(other if n is None else n for n, other in zip(row, own, strict=True))


def _candidates(count: int) -> Iterator[tuple[int, ...]]:
    """All axes alike, from twelve up, then shorter; then two kinds of axes that differ."""
    for n in (*range(LENGTH, SHORT + 1), *range(LENGTH - 1, 0, -1)):
        yield (n,) * count
    if count == 1:
        return
    for first, second in sorted(product(range(1, FEW + 1), repeat=2), key=sum):
        for at in range(1, count):
            if first != second:
                yield (first,) * at + (second,) * (count - at)


def _long(count: int, tried: Callable[[Sequence[int]], Any]) -> Any:
    """The shortest accepted length beyond the short ones, as far as acceptance grows with length."""
    low, high, found = SHORT, 2 * SHORT, None
    while high <= LONGEST:
        found = tried((high,) * count)
        if found is not None:
            break
        low, high = high, 2 * high
    while found is not None and high - low > 1:
        middle = (low + high) // 2
        closer = tried((middle,) * count)
        low, high = (low, middle) if closer is not None else (middle, high)
        found = closer or found
    return found


def takes(graph: PortGraph, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether every layer of a port takes rows of these shapes, by its own account; nothing is computed."""
    try:
        return all(n >= 1 for shape in _follow(graph, shapes) for n in shape)
    except (ValueError, TypeError, ArithmeticError, RuntimeError, IndexError):
        return False


def shapes_inside(graph: PortGraph, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """What every layer gives for rows of these shapes; what it says of itself, as far as it says it."""
    try:
        return list(_follow(graph, shapes))
    except (ValueError, TypeError, ArithmeticError, RuntimeError, IndexError):
        return [
            tuple(LENGTH if n is None else n for n in tensor.shape[1:])
            for node in graph.nodes for tensor in node.node.outputs
        ]  # fmt: skip


def _follow(graph: PortGraph, shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """The shape of a row of every tensor of the graph.

    Raises:
        ValueError: a layer that does not take what comes to it, or joins that do not agree.
    """
    specs = {
        key: keras.KerasTensor((1, *shape), dtype)
        for key, shape, dtype in zip(graph.inputs, shapes, graph.input_dtypes, strict=True)
    }
    for node in graph.nodes:
        fed = {source: specs[key] for source, key in node.sources.items()}
        if type(node.operation).__name__ in JOINS:
            _check_joined(node, list(fed.values()))
        arguments, keywords = node.node.arguments.fill_in(fed)
        given = keras.tree.flatten(node.operation.compute_output_spec(*arguments, **keywords))
        if any(None in spec.shape for spec in given):  # it says what it was built for, and is followed instead
            given = keras.tree.flatten(keras.Operation.compute_output_spec(node.operation, *arguments, **keywords))
        yield from (tuple(spec.shape[1:]) for spec in given)
        specs.update(zip(node.outputs, given, strict=True))


def _check_joined(node: PortNode, specs: Sequence[Any]) -> None:
    """What is joined has the same lengths along its open axes, which Keras itself does not ask everywhere.

    Raises:
        ValueError: it has not: a length of one that is spread over the others' is no agreement.
    """
    tensors = node.node.input_tensors
    axis = node.operation.axis % len(tensors[0].shape) if hasattr(node.operation, "axis") else None
    for at, lengths in enumerate(zip(*(spec.shape for spec in specs), strict=False)):
        is_open = any(at < len(tensor.shape) and tensor.shape[at] is None for tensor in tensors)
        if at not in (0, axis) and is_open and len(set(lengths)) > 1:
            raise ValueError(f"{node.name} joins {lengths}")
