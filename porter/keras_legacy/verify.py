"""Legacy Keras network against port: by the names of its layers, or by what they compute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.diagnose import Named
from porter.errors import PortError
from porter.formats.keras_legacy.graph import KerasNetwork
from porter.keras_legacy.diagnosis.diagnose import diagnose_legacy
from porter.keras_legacy.feeds import draw_feeds, note_of
from porter.keras_legacy.judging import Judged, judge_by_name, judge_paired, with_whole
from porter.keras_legacy.mask_mistakes import Altered, altered_masks
from porter.keras_legacy.pairing import check_ends, pair_port
from porter.keras_legacy.report import build_legacy_report, with_samples
from porter.keras_legacy.samples import check_legacy_reading, hold_legacy
from porter.keras_legacy.stateful import batch_rows, is_fixed
from porter.keras_legacy.strays import find_lost_states, find_structure, find_unaccounted
from porter.port_graph import PortGraph, read_graph
from porter.programs import build_program, follow
from porter.report.model import Finding, Report
from porter.samples import load_samples
from reference.recurrent_steps import directions
from reference.trace import Program

Array = NDArray[Any]


@dataclass(frozen=True)
class Examined:
    """A port of a legacy Keras network, judged and not yet explained.

    Attributes:
        judged: one a step.
        structure: mistakes of the graph itself.
        notes: how it was paired.
    """

    judged: Sequence[Judged]
    structure: Sequence[Finding] = ()
    notes: Sequence[str] = ()

    @property
    def is_parity(self) -> bool:
        """Whether nothing is wrong with it."""
        wrong = any(one.verdict == "mismatch" or bool(one.whole_differs) for one in self.judged)
        return not wrong and not self.structure

    @property
    def mistakes(self) -> int:
        """How many there are: of steps, of the graph, and in what was left uncompared."""
        wrong = sum(one.verdict in ("mismatch", "uncompared") or bool(one.whole_differs) for one in self.judged)
        return wrong + len(self.structure)

    @property
    def is_trained(self) -> bool:
        """Whether any step was called in training mode, which gives other numbers each time."""
        return any(one.suspect is not None and one.suspect.trained for one in self.judged)


def verify_legacy(
    network: KerasNetwork, model: Any, *, samples: Any = None, seed: int = 0, wide: bool = True, diagnosed: bool = True
) -> Report:
    """The report of ``examine_legacy`` alone; without what is wrong, where it need not be ``diagnosed``."""
    return examine_legacy(network, model, samples=samples, seed=seed, wide=wide, diagnosed=diagnosed)[0]


def examine_legacy(
    network: KerasNetwork,
    model: Any,
    *,
    samples: Any = None,
    seed: int = 0,
    wide: bool = True,
    diagnosed: bool = True,
    source: str | Path | None = None,
) -> tuple[Report, list[Named], Sequence[Judged]]:
    """Judge a port of a legacy Keras network, layer by layer.

    Args:
        network: as read, with weights.
        model: a keras.Model, by whatever names its layers go; never changed.
        samples: recorded inputs and outputs: the path of a file, or a pair; the inputs then replace random ones.
        seed: of the random inputs.
        wide: whether every layer is also fed with wide random numbers of its own.
        diagnosed: whether mismatches are explained.
        source: path of the port, where it came from a file.

    Returns:
        The report, which never raises for a mismatch; what is wrong, and every step as it was judged.

    Raises:
        PortError: a port with other inputs, or one that breaks down when it is called.
    """
    graph, rng = read_graph(model), np.random.default_rng(seed)
    golden = load_samples(samples, network)
    reading = None if golden is None else check_legacy_reading(network, golden)
    feeds = draw_feeds(network, graph, None if golden is None else golden.inputs, rng)
    check_ends(network, graph)
    try:
        found = _examine(network, graph, feeds, rng if wide else None)
    except PortError:
        rows = batch_rows(model)
        if rows is None:
            raise
        # Something in it takes batches of its own size alone.
        feeds = {name: np.resize(each, (rows, *each.shape[1:])) for name, each in feeds.items()}
        found = _examine(network, graph, feeds, None)
    named = diagnose_legacy(found.judged) if diagnosed else []
    held = note_of(graph, feeds)
    notes = found.notes if held is None else (*found.notes, held)
    report = build_legacy_report(network, found.judged, named, feeds, seed, found.structure, notes, source)
    if golden is not None and reading is not None:
        precisions = {one.step.name: one.precision for one in found.judged}
        report = with_samples(report, reading, hold_legacy(network, graph, golden, precisions, reading.fit))
    return report, named, found.judged


def _examine(
    network: KerasNetwork, graph: PortGraph, feeds: Mapping[str, Array], rng: np.random.Generator | None
) -> Examined:
    """The port against the program, and against programs with a mistake in their masks where it is none of its own."""
    program = build_program(network)
    found = _examine_program(network, program, graph, feeds, rng)
    if found.is_parity or found.is_trained:
        return found
    best, fewest = found, found.mistakes
    for altered in altered_masks(program, graph):
        other = _examine_program(network, altered.program, graph, feeds, rng)
        if not other.mistakes:
            return _with_masks(found, other, altered, program)
        if other.mistakes + len(altered.causes) < fewest:
            best, fewest = _with_masks(found, other, altered, program), other.mistakes + len(altered.causes)
    return best


def has_others(graph: PortGraph, judged: Sequence[Judged]) -> bool:
    """Whether a port that bears the legacy names has operations beside those, and beside what porter itself builds."""
    known = {name for one in judged for name in one.names}
    names = {node.name for node in graph.nodes if node.kind != "identity"}
    return any(name not in known and not re.match(r"op\d+_", name) for name in names)


def _calmed(judged: list[Judged], calm: list[Judged], idle: Sequence[Finding]) -> list[Judged]:
    """What was judged, or what was judged on ordinary rows alone, where pieces beside the steps explain the rest.

    Far outside of a network's range a clip shows as a mistake of the layer behind it.
    """
    wrong = sum(one.verdict == "mismatch" for one in judged)
    return calm if Examined(calm).is_parity and 0 < wrong <= len(idle) else judged


def _with_masks(found: Examined, other: Examined, altered: Altered, program: Program) -> Examined:
    """What was judged against an altered program, with the steps that were altered."""
    judged = {one.step.name: one for one in found.judged} | {one.step.name: one for one in other.judged}
    told = "; ".join(cause.message for cause in altered.causes)
    wrong = {name: replace(judged[name], verdict="mismatch", reason=told, suspect=None) for name in altered.steps}
    every = tuple((judged | wrong)[step.name] for step in program.steps)
    names = {one.step.name: one.names for one in every}
    findings = [
        Finding(
            cause.code, cause.layer, names.get(cause.layer, ()), f"{cause.layer}: {cause.message}", "", cause.remedy
        )
        for cause in altered.causes
    ]
    return Examined(every, (*findings, *other.structure), other.notes)


def _examine_program(
    network: KerasNetwork,
    program: Program,
    graph: PortGraph,
    feeds: Mapping[str, Array],
    rng: np.random.Generator | None,
) -> Examined:
    """By the legacy names where the port bears them; by what agrees where it does not, or wears them elsewhere."""
    # The reference goes first: it refuses what nothing can hold.
    reference = follow(network, program, {name: feeds[name].astype(np.float64) for name in program.inputs})
    reference = {name: replace(trace, preactivation=None) for name, trace in reference.items()}
    # The pieces of a port can be run on any number of rows, and leave its states alone.
    apart = is_fixed(graph.model) or any(side.stateful for step in program.steps for side in directions(step))
    judged = None if apart else judge_by_name(network, graph.model, program, reference, feeds, rng)
    by_name = None if judged is None else Examined(judged)
    if by_name is not None and by_name.is_parity and has_others(graph, by_name.judged):
        pairing = pair_port(network, program, graph, feeds)
        return Examined(by_name.judged, find_unaccounted(pairing, program))
    if by_name is not None and (by_name.is_parity or by_name.is_trained):
        return by_name
    pairing = pair_port(network, program, graph, feeds)
    if by_name is not None and pairing.by_name:
        others = has_others(graph, by_name.judged)
        idle = find_unaccounted(pairing, program) if others else []
        calm = judge_by_name(network, graph.model, program, reference, feeds, None) if idle else None
        return by_name if calm is None else Examined(_calmed(list(by_name.judged), calm, idle), idle)
    structure = [*find_structure(pairing, program), *find_lost_states(pairing, program)]
    idle = [] if structure else find_unaccounted(pairing, program)
    structure = structure or idle
    judged = judge_paired(pairing, program, reference, rng)
    judged = _calmed(judged, judge_paired(pairing, program, reference, None), idle) if idle else judged
    # A mistake of the graph makes the whole differ as a matter of course.
    paired = Examined(judged if structure else with_whole(judged, pairing, feeds), structure, pairing.notes)
    return paired if by_name is None or paired.is_parity else by_name
