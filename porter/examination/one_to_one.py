"""A port of several inputs or outputs, as one that takes the network's columns and gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.judging import cast
from porter.ports.keras.graph import QUIET, PortGraph
from porter.ports.keras.nodes import Key, PortNode
from porter.ports.port import Port

Array = NDArray[Any]

SEEN_ROWS = 64


@dataclass(frozen=True)
class OneToOne(PortGraph):
    """A port whose inputs are fed with consecutive columns of one array, and of whose outputs one is looked at.

    Attributes:
        edges: where each input's columns begin, and where the last one's end.
        picked: which of the model's outputs.
        of: how many outputs the model has.
    """

    edges: tuple[int, ...] = ()
    picked: int = 0
    of: int = 1

    def __call__(self, *feeds: Array) -> tuple[Array, ...]:
        """The output that is looked at, for (rows, columns)."""
        whole, parts = self._taken_apart(*feeds)
        return (whole(*parts)[self.picked],)

    def call_plainly(self, *feeds: Array) -> tuple[Array, ...]:
        """The same as a person calls it, without a word on training."""
        whole, parts = self._taken_apart(*feeds)
        return (whole.call_plainly(*parts)[self.picked],)

    def outputs_of(self, tensors: Sequence[Any], mode: Mapping[str, bool] = QUIET) -> list[Any]:
        """The output that is looked at, as a tensor."""
        parts = [tensors[0][:, start:stop] for start, stop in pairwise(self.edges)]
        return [super().outputs_of(parts, mode)[self.picked]]

    def _taken_apart(self, rows: Array) -> tuple[PortGraph, list[Array]]:
        """The port as it is, and what its inputs are fed with."""
        parts = [rows[:, start:stop] for start, stop in pairwise(self.edges)]
        whole = PortGraph(**{field.name: getattr(self, field.name) for field in fields(PortGraph)})
        return replace(whole, input_dtypes=self.input_dtypes * len(parts)), parts

    def describe(self) -> tuple[str, ...]:
        """What is other than in the file, in sentences."""
        said = []
        if len(self.edges) > 2:
            widths = ", ".join(str(b - a) for a, b in pairwise(self.edges))
            said.append(f"the port takes its columns through {len(self.edges) - 1} inputs ({widths} columns, in order)")
        if self.of > 1:
            said.append(f"the port has {self.of} outputs; number {self.picked + 1} was judged, the others were not")
        return tuple(said)


def one_to_one(graph: Port, inputs: Array, expected: Array) -> Port:
    """The port as a function of one array to one array; the same graph where it is that already.

    Args:
        graph: the port.
        inputs: (rows, n) of the network.
        expected: (rows, m) what the network makes of the first of them.

    Raises:
        PortError: inputs that do not add up to the network's columns, or no output of its width.
    """
    if not isinstance(graph, PortGraph) or (len(graph.inputs) == 1 and len(graph.outputs) == 1):
        return graph
    widths = _widths(graph, inputs.shape[1])
    edges = tuple(int(edge) for edge in np.cumsum([0, *widths]))
    joint = max(key for node in graph.nodes for key in (*node.inputs, *node.outputs)) + 1
    split = _split_node(joint, graph, edges)
    nodes = graph.nodes if len(widths) == 1 else (split, *graph.nodes)
    values = {field.name: getattr(graph, field.name) for field in fields(PortGraph)}
    values.update(
        inputs=graph.inputs if len(widths) == 1 else (joint,),
        nodes=nodes,
        input_dtypes=graph.input_dtypes[:1],
        input_shapes=((inputs.shape[1],),),
    )
    whole = OneToOne(**values, edges=edges, of=len(graph.outputs))
    picked = _picked(whole, inputs[: len(expected)], expected)
    return replace(whole, picked=picked, outputs=(graph.outputs[picked],))


def _widths(graph: PortGraph, columns: int) -> list[int]:
    shapes = graph.input_shapes
    widths = [shape[0] for shape in shapes if len(shape) == 1 and shape[0] is not None]
    if len(shapes) == 1 and shapes[0] == (None,):
        return [columns]
    if len(widths) != len(shapes) or sum(widths) != columns or len(set(graph.input_dtypes)) != 1:
        raise PortError(
            "the port's inputs",
            found=f"{len(shapes)} of shapes {', '.join(str(shape) for shape in shapes)}",
            expected=f"{columns} columns in one tensor, or in several of (rows, columns) in their order",
            remedy="verify a model that takes the network's columns in their order",
        )
    return widths


def _picked(whole: OneToOne, rows: Array, expected: Array) -> int:
    """The output that is nearest to the network's, among those of its width."""
    gaps = []
    for number in range(whole.of):
        found = np.asarray(replace(whole, picked=number)(cast(rows, whole.input_dtypes[0]))[0]).astype(np.float64)
        fits = found.size == expected.size
        with np.errstate(all="ignore"):
            gap = float(np.max(np.abs(found.reshape(expected.shape) - expected), initial=0)) if fits else np.inf
        gaps.append((not fits, np.inf if np.isnan(gap) else gap))
    best = min(range(whole.of), key=gaps.__getitem__)
    if gaps[best][0]:
        raise PortError(
            "the port's outputs",
            found=f"{whole.of}, none of {expected.shape[1]} columns",
            expected=f"one of {expected.shape[1]} columns, as the network has",
            remedy="check that this is the port of that network",
        )
    return best


class _Split:
    """Hands out consecutive columns."""

    def __init__(self, edges: Sequence[int]) -> None:
        self.name, self._edges = "inputs", edges

    def __call__(self, rows: Any) -> list[Any]:
        return [rows[:, start:stop] for start, stop in zip(self._edges, self._edges[1:], strict=False)]


class _Arguments:
    """One tensor, in the way in which Keras records what a call took."""

    def __init__(self, tensor: Any) -> None:
        self.keras_tensors, self.kwargs = [tensor], dict[str, Any]()

    def fill_in(self, values: Mapping[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (values[id(self.keras_tensors[0])],), {}


def _split_node(joint: Key, graph: PortGraph, edges: tuple[int, ...]) -> PortNode:
    dtype = graph.input_dtypes[0]
    whole = SimpleNamespace(shape=(None, edges[-1]), dtype=dtype)
    parts = [SimpleNamespace(shape=(None, stop - start), dtype=dtype) for start, stop in pairwise(edges)]
    record = SimpleNamespace(arguments=_Arguments(whole), outputs=parts)
    return PortNode("inputs", _Split(edges), record, (joint,), graph.inputs, {id(whole): joint})
