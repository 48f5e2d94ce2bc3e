"""What a port has multiplied into the layers beside it: the program as it would have it.

Batch normalizations and scalings go into the layer in front of them, scalings also into the only layer behind them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from porter.examination.graphs.judged import Judged
from porter.ports.keras.graph import PortGraph
from reference.composed.folding import fold
from reference.composed.normalized import fold_normalization
from reference.operations.batch_normalization import BatchNormalization
from reference.operations.scaling import Scaling
from reference.operations.shaping import Rearrangement, identity
from reference.operations.timewise import TimewiseDense
from reference.precision import FORMATS
from reference.trace import Program


@dataclass(frozen=True)
class Folded:
    """A program without some of its batch normalizations and scalings.

    Attributes:
        program: with those in the layers beside them.
        hosts: names of these, by the name of the normalization or scaling.
    """

    program: Program
    hosts: Mapping[str, str]

    def completed(self, program: Program, judged: Sequence[Judged]) -> tuple[Judged, ...]:
        """The steps as judged, and those that are folded, in the order of the whole program."""
        found = {one.step.name: one for one in judged}
        every = []
        for step in program.steps:
            if step.name in self.hosts:
                host = found[self.hosts[step.name]]
                every.append(Judged(step, f"folded into {host.step.name}", precision=host.precision, names=host.names))
            else:
                every.append(found[step.name])
        return tuple(every)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was compared with what, for people."""
        return tuple(
            f"the port has {name} multiplied into {host}, and is compared with the two together"
            for name, host in self.hosts.items()
        )


def fold_normalizations(program: Program, graph: PortGraph, judged: Sequence[Judged]) -> Iterator[Folded]:
    """Programs with what the port has no layer for multiplied into the layers in front, the likeliest first.

    Args:
        program: the legacy network's.
        graph: of the port.
        judged: its steps, as judged against that program.
    """
    shapes = next((one.suspect.shapes for one in judged if one.suspect is not None), {})
    agreeing = {one.step.name for one in judged if one.verdict == "parity"}
    units = ["float64", "float32"] if _is_float64(graph) else ["float32"]
    for absent, alone in _absent(program, graph, judged):
        for unit in units:
            folded = _folded(program, absent, alone, agreeing, shapes, FORMATS[unit].unit)
            if folded is not None:
                yield folded


def _absent(
    program: Program, graph: PortGraph, judged: Sequence[Judged]
) -> Iterator[tuple[Collection[str], Collection[str]]]:
    """Names of steps that the port may have no layer for, and of those into which nothing is multiplied."""
    names = {node.name for node in graph.nodes}
    uncompared = {one.step.name for one in judged if one.verdict == "uncompared"}
    scalings = {step.name for step in program.steps if isinstance(step, Scaling)} & uncompared
    normalizations = {step.name for step in program.steps if isinstance(step, BatchNormalization)} | scalings
    if names & {step.name for step in program.steps} and normalizations - names:
        yield normalizations - names, ()
    if not any(type(node.operation).__name__ == "BatchNormalization" for node in graph.nodes):
        yield normalizations, {one.step.name for one in judged if one.verdict == "parity"}
        return
    absent = uncompared & normalizations
    if absent != normalizations - names:
        yield absent, {one.step.name for one in judged if one.verdict == "parity"}


def _folded(
    program: Program, absent: Collection[str], alone: Collection[str], agreeing: Collection[str],
    shapes: Mapping[str, tuple[int, ...]], unit: float,
) -> Folded | None:  # fmt: skip
    steps = {step.name: step for step in program.steps}
    taken = [name for step in program.steps for name in step.inputs] + list(program.outputs)
    hosts, gives = dict[str, str](), dict[str, str]()
    for name, step in list(steps.items()):
        if name not in absent:
            continue
        if isinstance(step, Scaling):
            _fold_scaling(step, steps, taken, agreeing, hosts, gives, unit)
            continue
        host = steps.get(step.inputs[0])
        while host is not None and (host.name in hosts or _is_idle(host)) and taken.count(host.name) == 1:
            host = steps.get(host.inputs[0])
        if host is None or host.name in alone or taken.count(host.name) > 1 or host.name not in shapes:
            continue
        whole = fold_normalization(host, step, unit, len(shapes[host.name]) + 1)
        if whole is not None:
            steps[whole.name], hosts[name] = whole, whole.name
            # Who takes the normalization takes what it took, which may stand behind layers that do nothing.
            gives[name] = gives.get(step.inputs[0], step.inputs[0])
    if not hosts:
        return None
    kept = tuple(_rewired(step, gives) for name, step in steps.items() if name not in hosts)
    outputs = tuple(gives.get(name, name) for name in program.outputs)
    return Folded(replace(program, steps=kept, outputs=outputs), hosts)


def _fold_scaling(
    step: Scaling, steps: dict[str, Any], taken: Sequence[str], agreeing: Collection[str], hosts: dict[str, str],
    gives: dict[str, str], unit: float,
) -> None:  # fmt: skip
    """A scaling in the linear layer that only it takes, or in the layer that alone takes it; in none that agrees."""
    source = gives.get(step.inputs[0], step.inputs[0])
    before, after = steps.get(source), [each for each in steps.values() if step.name in each.inputs]
    whole = None
    if _is_host(before, agreeing) and before.activation.name == "linear" and taken.count(before.name) == 1:
        whole = fold(before, None, step, unit)
    elif len(after) == 1 and taken.count(step.name) == 1 and _is_host(after[0], agreeing):
        whole = fold(after[0], step, None, unit)
    if whole is not None:
        steps[whole.name], hosts[step.name], gives[step.name] = whole, whole.name, source


def _is_host(step: Any, agreeing: Collection[str]) -> TypeGuard[TimewiseDense]:
    return isinstance(step, TimewiseDense) and step.name not in agreeing and step.weights_error is None


def _is_idle(step: Any) -> bool:
    """Whether it gives what it takes, as a dropout does."""
    return isinstance(step, Rearrangement) and getattr(step.function, "func", step.function) is identity


def _rewired(step: Any, gives: Mapping[str, str]) -> Any:
    inputs = tuple(gives.get(name, name) for name in step.inputs)
    return step if inputs == tuple(step.inputs) else replace(step, inputs=inputs)


def _is_float64(graph: PortGraph) -> bool:
    return all(weight.dtype == "float64" for weight in graph.model.weights)
