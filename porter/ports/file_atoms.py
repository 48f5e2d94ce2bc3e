"""A file's graph cut into the smallest pieces that one tensor enters and one leaves, each run alone by its runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.ports.blocks import Atom, Kind
from porter.ports.file_graph import FileGraph, FileNode, Key
from reference.precision import FORMATS, Precision

Array = NDArray[Any]


def cut(graph: FileGraph, tensors: Mapping[Key, Array], end: Key, *, finely: bool = True) -> tuple[Atom, ...]:
    """The pieces between the only input and an output.

    Args:
        graph: of one input.
        tensors: a trace of it, which tells the shapes and dtypes.
        end: the output; what does not lead to it is left out.
        finely: whether layers that run beside each other are pieces of their own, of kind "merge" where they join.
    """
    start = graph.inputs[0].key
    found: list[Atom] = []
    for nodes, entry, leaving in _crossings(_ancestors(graph.nodes, end), start, end):
        if len(nodes) == 1 and _only_widens(nodes[0], tensors[entry], tensors[leaving]) and leaving != end:
            continue  # what follows is fed with the wider numbers
        if finely and sum(node.is_core for node in nodes) > 1:
            # What computes shapes hands on whole numbers, and is no piece of the network.
            found += [_alone(graph, tensors, node) for node in nodes if tensors[node.outputs[0]].dtype.kind not in "iu"]
        else:
            found.append(_atom(graph, tensors, nodes, entry, leaving))
    return tuple(found)


def _only_widens(node: FileNode, taken: Array, made: Array) -> bool:
    """Whether an operation hands on real numbers in a format that holds every one of them."""
    return (
        node.kind == "identity" and taken.dtype.kind == made.dtype.kind == "f" and taken.shape == made.shape
        and taken.dtype.itemsize < made.dtype.itemsize
    )  # fmt: skip


def _ancestors(nodes: Sequence[FileNode], end: Key) -> list[FileNode]:
    wanted, kept = {end}, []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted |= set(node.inputs) - set(node.shapes)  # a shape is no number that passes
    return kept[::-1]


def _crossings(nodes: Sequence[FileNode], start: Key, end: Key) -> Iterator[tuple[tuple[FileNode, ...], Key, Key]]:
    """Nodes between one tensor through which everything passes and the next, with both tensors."""
    last_use = {key: at for at, node in enumerate(nodes) for key in node.inputs if key not in node.shapes}
    live, entry = {start}, start
    pending: list[FileNode] = []
    for index, node in enumerate(nodes):
        pending.append(node)
        live = {key for key in live | set(node.outputs) if last_use.get(key, -1) > index or key == end}
        if len(live) == 1:
            (leaving,) = live
            yield tuple(pending), entry, leaving
            entry, pending = leaving, []


def _alone(graph: FileGraph, tensors: Mapping[Key, Array], node: FileNode) -> Atom:
    taken = node.inputs or (graph.inputs[0].key,)
    atom = _atom(graph, tensors, (node,), taken[0], node.outputs[0])
    if len(node.inputs) == 1:
        return atom
    return replace(atom, kind="merge")


def _atom(graph: FileGraph, tensors: Mapping[Key, Array], nodes: Sequence[FileNode], entry: Key, leaving: Key) -> Atom:
    single = nodes[0] if len(nodes) == 1 else None
    dense = [node for node in nodes if node.kind == "dense"]
    return Atom(
        names=tuple(dict.fromkeys(node.name for node in nodes)),
        kind=_kind(single, tensors, entry, leaving),
        run=_runner(graph, tensors, entry, leaving),
        entry=entry,
        key=leaving,
        precision=_precision(tensors, nodes),
        weights=dense[0].parameters if len(dense) == 1 else None,
        activation=single.activation if single is not None else None,
        is_core=any(node.is_core for node in nodes),
        is_conditional=any(node.is_conditional for node in nodes),
        width=(_columns(tensors[entry]), _columns(tensors[leaving])),
        description=single.operation if single is not None else "",
    )


def _kind(single: FileNode | None, tensors: Mapping[Key, Array], entry: Key, leaving: Key) -> Kind:
    """What a piece is; one that gave the very bits that it took, and does nothing but lay them out, does nothing."""
    if single is None:
        return "other"
    if single.kind == "identity" and tensors[entry].dtype != tensors[leaving].dtype:
        return "other"
    return single.kind


def _columns(tensor: Array) -> int | None:
    return None if tensor.ndim < 2 else int(np.prod(tensor.shape[1:]))


def _runner(graph: FileGraph, tensors: Mapping[Key, Array], entry: Key, leaving: Key) -> Callable[[Array], Array]:
    shape, dtype = tensors[entry].shape[1:], tensors[entry].dtype

    def run(x: Array) -> Array:
        rows = np.asarray(x)
        if rows.dtype.kind == "f" and dtype.kind != "f":
            raise TypeError(f"real numbers for {dtype}")  # which a runtime refuses, too
        with np.errstate(over="ignore", invalid="ignore"):
            fed = np.ascontiguousarray(rows.reshape(len(rows), *shape).astype(dtype))
        if entry == leaving:
            return fed
        start = graph.inputs[0].key  # for shapes that are computed from it
        given = {start: np.ones((len(fed), *tensors[start].shape[1:]), tensors[start].dtype), entry: fed}
        return graph.run_between(given, [leaving])[leaving]

    return run


def _precision(tensors: Mapping[Key, Array], nodes: Sequence[FileNode]) -> Precision | None:
    found = precision_of(tensors, [key for node in nodes for key in node.outputs])
    kept = [node.variables for node in nodes if node.variables is not None]
    return replace(found, variables=kept[0]) if found is not None and kept else found


def precision_of(tensors: Mapping[Key, Array], keys: Iterable[Key]) -> Precision | None:
    """The coarsest format of some tensors; None where none of them is of real numbers."""
    names = {str(tensors[key].dtype) for key in keys if key in tensors} & set(FORMATS)
    if not names:
        return None
    coarsest = max(names, key=lambda name: FORMATS[name].unit)
    return Precision(coarsest, coarsest)
