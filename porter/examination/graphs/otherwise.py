"""A port at parity with code of its own, called in other batches, again and again, and as ``predict`` runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.conduct import Compute, Conduct, Trace, watch
from porter.examination.graphs.feeds import sizes
from porter.examination.graphs.judged import Judged
from porter.examination.graphs.judging import compare_seen, named_tensors
from porter.examination.graphs.pairing import KerasPairing
from porter.examination.graphs.stateful import is_fixed
from porter.examination.graphs.suspect import Seen
from porter.examination.graphs.view import trains
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph import PortGraph
from reference.trace import Program

Array = NDArray[Any]


@dataclass(frozen=True)
class _Ways:
    """How the tensors of a port are had, and which of them a step takes and gives.

    Attributes:
        compute: all of them, from tensors of the inputs.
        ends: keys of the program's outputs.
        fed: by step, its inputs by name with their keys.
        given: by step, the key of what it gives.
    """

    compute: Compute
    ends: Sequence[Any]
    fed: Mapping[str, Mapping[str, Any]]
    given: Mapping[str, Any]


def call_otherwise(
    network: KerasNetwork,
    program: Program,
    graph: PortGraph,
    feeds: Mapping[str, Array],
    judged: Sequence[Judged],
    pairing: KerasPairing | None,
) -> tuple[list[Cause], Conduct]:
    """What shows in other calls alone.

    Args:
        network: as read.
        program: its forward pass.
        graph: the port.
        feeds: (rows, ...) by input.
        judged: every step, at parity in the usual calls.
        pairing: what computes each step; None for the layers of the same names.

    Returns:
        The mistakes, and what was seen.
    """
    if is_fixed(graph.model) or trains(graph.model) or any(map(_mixes_rows, program.steps)):
        return [], Conduct()
    ways = _by_name(network, graph.model, program, judged) if pairing is None else _paired(pairing, judged)
    if ways is None:
        return [], Conduct()
    shapes = [np.shape(values)[1:] for values in feeds.values()]
    conduct = watch(graph, list(feeds.values()), sizes(graph, shapes)[1], compute=ways.compute)
    found: dict[str, Cause] = {}
    for trace in conduct.traces:
        for one in _wrong_in(trace, ways, judged):
            found.setdefault(one.step.name, _cause(one, f"gives other numbers for the same rows: {trace.probes}"))
    if conduct.is_unsteady:
        found = {judged[-1].step.name: _cause(judged[-1], "gives other numbers when it is called again")}
    return list(found.values()), conduct


def _mixes_rows(step: Any) -> bool:
    """Whether the file itself has a layer whose outputs depend on the batch that a row stands in."""
    return getattr(step, "statistics", None) == "batch"


def _cause(one: Judged, what: str) -> Cause:
    remedy = "take out what is random, keeps a state, or depends on the number of rows and the way it is called"
    return Cause("call.unsteady", one.step.name, f"the port {what}", remedy)


def _by_name(network: KerasNetwork, model: Any, program: Program, judged: Sequence[Judged]) -> _Ways | None:
    tensors = named_tensors(network, model, program)
    if tensors is None:
        return None
    names, inputs = [step.name for step in program.steps], [each.name for each in network.inputs]
    every = keras.Function(model.inputs, [tensors[name] for name in names])

    def compute(fed: Sequence[Any]) -> dict[str, Any]:
        found = keras.tree.flatten(every(list(fed)))
        return dict(zip((*inputs, *names), (*fed, *found), strict=True))

    fed = {
        one.step.name: {name: name for name in dict.fromkeys((*one.step.inputs, *one.suspect.sources))}
        for one in judged
        if one.suspect is not None
    }
    return _Ways(compute, _ends(network), fed, {name: name for name in names})


def _ends(network: KerasNetwork) -> list[str]:
    return [ref.name if ref.index == 0 else f"{ref.name}#{ref.index}" for ref in network.outputs]


def _paired(pairing: KerasPairing, judged: Sequence[Judged]) -> _Ways:
    port = pairing.port

    def compute(fed: Sequence[Any]) -> dict[Any, Any]:
        tensors = dict(zip(port.graph.inputs, fed, strict=True))
        for piece in port.pieces:
            piece.compute(tensors)
        return tensors

    fed, given = {}, {}
    for one in judged:
        if one.suspect is None:
            continue
        pair = pairing[one.step.name]
        if pair.key is not None:
            fed[one.step.name] = dict(zip(one.suspect.step.inputs, pair.fed, strict=True))
            given[one.step.name] = pair.key
    return _Ways(compute, pairing.ends, fed, given)


def _wrong_in(trace: Trace, ways: _Ways, judged: Sequence[Judged]) -> Iterator[Judged]:
    """Steps that a trace contradicts; the last, where the whole is not what its parts are."""
    for one in judged:
        sources, key = ways.fed.get(one.step.name), ways.given.get(one.step.name)
        if one.suspect is None or sources is None or key is None:
            continue
        sources = {name: source for name, source in sources.items() if source in trace.values}
        # A step that gives something else than one row for each of its input's cannot be taken row by row.
        if any(len(trace.values[each]) != len(trace.values[key]) for each in sources.values()):
            continue
        rows = trace.rows(key, *sources.values())
        if len(rows):
            fed = {name: np.asarray(trace.values[source][rows], np.float64) for name, source in sources.items()}
            part = Seen(trace.probes, fed, np.asarray(trace.values[key][rows], np.float64))
            if compare_seen(one, part).exceeding:
                yield one
    parts = [trace.values[key] for key in ways.ends]
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(trace.whole, parts, strict=True)):
        yield judged[-1]
