"""Which outputs of a file were judged, where it has more of them than the network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from porter.ports.file_graph import FileGraph, Key

Array = NDArray[Any]


@dataclass(frozen=True)
class Choice:
    """What is to be said of it.

    Attributes:
        told: which were judged, and which were not; "" where there was nothing to choose.
        doubt: why somebody may take another for the network's; "" where nobody would.
    """

    told: str = ""
    doubt: str = ""


def describe_choice(
    file: FileGraph,
    tensors: Mapping[Key, Array],
    judged: Sequence[Key],
    shown: Collection[Key],
    recorded: Collection[str],
) -> Choice:
    """Who loads a file takes its first output, or the one that bears the network's name for it.

    Args:
        file: the graph.
        tensors: (rows, ...) of the outputs at least.
        judged: those that were judged as the network's.
        shown: tensors that were judged as what a layer gives.
        recorded: the network's names of its outputs.
    """
    if len(file.outputs) <= len(judged):
        return Choice()
    doubts = (_doubt(file, tensors, key, judged, recorded) for key in judged)
    rest = [key for key in file.outputs if key not in {*judged, *shown}]
    told = f"of the outputs {_names(file, file.outputs)}, {_names(file, judged)} was judged as the network's"
    told += f", and {_names(file, rest)} not at all" if rest else ", the others as its layers'"
    return Choice(told, next(filter(None, doubts), ""))


def describe_order(names: Sequence[str]) -> str:
    """What is to be said of outputs that bear the network's names, and stand in another order."""
    return (
        "the outputs were judged by their names, and do not stand in the network's order, which is "
        f"{', '.join(names)}: whoever takes them by their numbers gets others"
    )


def _doubt(
    file: FileGraph, tensors: Mapping[Key, Array], key: Key, judged: Sequence[Key], recorded: Collection[str]
) -> str:
    """Why another output may be taken for this one."""
    own = tensors[key]
    rivals = [each for each in file.outputs if each not in judged and not _same(tensors[each], own)]
    named = [each for each in rivals if {file.names.get(each), file.called.get(each)} & {*recorded}]
    orders = [order for order in (file.outputs, file.numbered) if key in order]
    before = [each for each in rivals if any(order.index(each) < order.index(key) for order in orders)]
    if not (named or before):
        return ""
    other, why = (named[0], "bears its name") if named else (before[0], "comes first")
    return (
        f"{_names(file, [key])} is nearest to the network's output and was judged; {_names(file, [other])} gives "
        f"others and {why}: whoever takes that gets another network; leave one of them in the file"
    )


def _same(one: Array, other: Array) -> bool:
    return bool(one.size == other.size and one.tobytes() == other.tobytes())


def _names(file: FileGraph, keys: Sequence[Key]) -> str:
    return ", ".join(file.names.get(key) or f"number {file.outputs.index(key) + 1}" for key in keys)
