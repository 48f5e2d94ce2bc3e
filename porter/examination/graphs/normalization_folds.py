"""Batch normalizations that a port has multiplied into the layers in front of them: the program as it would have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from porter.examination.compare import Comparison
from porter.examination.graphs.judged import Judged
from porter.ports.keras.graph import PortGraph
from reference.composed.normalized import fold_normalization
from reference.operations.batch_normalization import BatchNormalization
from reference.precision import FORMATS
from reference.trace import Program


@dataclass(frozen=True)
class Folded:
    """A program without some of its batch normalizations.

    Attributes:
        program: with those in the layers in front of them.
        hosts: names of these, by the name of the normalization.
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
                every.append(
                    Judged(step, Comparison(), f"folded into {host.step.name}", host.precision, host.names, None)
                )
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


def fold_normalizations(program: Program, graph: PortGraph, judged: Sequence[Judged]) -> Folded | None:
    """The program with what the port has no layer for multiplied into the layers in front; None where there is none.

    Args:
        program: the legacy network's.
        graph: of the port.
        judged: its steps, as judged against that program.
    """
    absent = {one.step.name for one in judged if one.verdict == "uncompared"}
    alone = {one.step.name for one in judged if one.verdict == "parity"}  # nothing is multiplied into these
    if not any(type(node.operation).__name__ == "BatchNormalization" for node in graph.nodes):
        absent = {step.name for step in program.steps}
    unit = FORMATS["float64" if _is_float64(graph) else "float32"].unit
    steps = {step.name: step for step in program.steps}
    taken = [name for step in program.steps for name in step.inputs] + list(program.outputs)
    shapes = next((one.suspect.shapes for one in judged if one.suspect is not None), {})
    hosts: dict[str, str] = {}
    for name, step in list(steps.items()):
        host = steps.get(step.inputs[0])
        if not isinstance(step, BatchNormalization) or name not in absent or name in program.outputs or host is None:
            continue
        if host.name in alone or taken.count(host.name) > 1 or host.name not in shapes:
            continue
        whole = fold_normalization(host, step, unit, len(shapes[host.name]) + 1)
        if whole is not None:
            steps[whole.name], hosts[name] = whole, whole.name
    if not hosts:
        return None
    kept = tuple(_rewired(step, hosts) for name, step in steps.items() if name not in hosts)
    return Folded(replace(program, steps=kept), hosts)


def _rewired(step: Any, hosts: Mapping[str, str]) -> Any:
    inputs = tuple(hosts.get(name, name) for name in step.inputs)
    return step if inputs == tuple(step.inputs) else replace(step, inputs=inputs)


def _is_float64(graph: PortGraph) -> bool:
    return all(weight.dtype == "float64" for weight in graph.model.weights)
