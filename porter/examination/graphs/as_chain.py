"""A graph that is a plain chain of dense layers, seen as one: what a port may compute in another way is found there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from porter.examination.case import Case
from porter.examination.case import Judged as Link
from porter.examination.graphs.judged import Judged
from porter.examination.rewriting.reduced import describe
from porter.examination.rewriting.reduction import reduce_chain
from porter.examination.rewriting.widened import shown_by, widen_chain
from porter.network import Dense as Layer
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph import PortGraph
from reference.operations.dense import Dense
from reference.operations.elementwise import Elementwise
from reference.operations.shaping import Rearrangement, identity
from reference.operations.timewise import TimewiseDense
from reference.trace import Program, chain


@dataclass(frozen=True)
class Chain:
    """A program of dense layers alone.

    Attributes:
        program: one step a dense layer, with the activation that follows it.
        within: of every other step, the dense layer that does its work.
    """

    program: Program
    within: Mapping[str, str]


def as_chain(network: KerasNetwork, program: Program) -> Chain | None:
    """The same function as dense layers, each with its activation; None where it is more than that."""
    shapes = [each.shape for each in network.inputs]
    if len(shapes) != 1 or shapes[0] is None or len(shapes[0]) != 1 or len(program.outputs) != 1:
        return None
    dense: list[Dense] = []
    within: dict[str, str] = {}
    before = program.inputs[0]
    for step in program.steps:
        if step.inputs != (before,):
            return None
        before = step.name
        if isinstance(step, TimewiseDense):
            plain = {field.name: getattr(step, field.name) for field in fields(step)}
            dense.append(Dense(**plain | {"inputs": (dense[-1].name if dense else "inputs",)}))
        elif dense and isinstance(step, Elementwise) and dense[-1].activation.name == "linear":
            dense[-1] = replace(dense[-1], activation=step.activation)
            within[step.name] = dense[-1].name
        elif dense and isinstance(step, Rearrangement) and step.function is identity:
            within[step.name] = dense[-1].name
        else:
            return None
    return Chain(chain(dense), within) if dense and program.outputs == (before,) else None


def resized(seen_as: Chain, graph: PortGraph) -> tuple[Chain, tuple[str, ...]] | None:
    """The chain with as many units as a port has, where those that are gone or more change nothing; and what they are.

    Args:
        seen_as: of the legacy network.
        graph: of the port.
    """
    port, steps = shown_by(graph), seen_as.program.steps
    dense = [Layer(step.name, step.weights, step.bias, step.activation) for step in steps]
    shapes = [kernel.shape for kernel, _ in port]
    if len(port) != len(dense) or shapes == [layer.kernel.shape for layer in dense]:
        return None
    reduction = reduce_chain(dense, merge=False, widths=[shape[1] for shape in shapes])
    if [layer.kernel.shape for layer in reduction.layers] == shapes:
        return _with(seen_as, reduction.layers), describe(reduction)
    found = widen_chain(dense, port)
    return None if found is None else (_with(seen_as, found[0]), found[1])


def _with(seen_as: Chain, layers: Sequence[Layer]) -> Chain:
    steps = [
        replace(step, weights=layer.kernel, bias=layer.bias)
        for step, layer in zip(seen_as.program.steps, layers, strict=True)
    ]
    return replace(seen_as, program=chain(steps))


def judged_of(case: Case, program: Program, seen_as: Chain) -> Sequence[Judged]:
    """What became of each step of a graph that was examined as a chain."""
    links = {link.name: link for link in case.judged}
    return [
        _of_link(step, links[step.name]) if step.name in links else _of_other(step, links[seen_as.within[step.name]])
        for step in program.steps
    ]


def _of_link(step: Any, link: Link) -> Judged:
    return Judged(
        step, link.verdict, link.comparison, link.cumulative, link.weights_differ, link.would_show, link.reason,
        precision=link.precision, names=link.names,
    )  # fmt: skip


def _of_other(step: Any, link: Link) -> Judged:
    verdict = f"folded into {link.name}"
    return Judged(step, verdict, link.comparison, reason=link.reason, precision=link.precision, names=link.names)
