"""Legacy Keras network against port: by the names of its layers, or by what they compute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.diagnosis.graphs.diagnose import diagnose_legacy
from porter.diagnosis.graphs.telling import telling_mistakes
from porter.errors import PortError
from porter.examination.examine import examine
from porter.examination.graphs.as_chain import as_chain, judged_of, resized
from porter.examination.graphs.feeds import draw_feeds, draw_other_lengths, note_of
from porter.examination.graphs.idle import is_harmless
from porter.examination.graphs.judged import Judged
from porter.examination.graphs.judging import judge_by_name, judge_paired, with_whole
from porter.examination.graphs.mask_mistakes import Altered, altered_masks
from porter.examination.graphs.normalization_folds import fold_normalizations
from porter.examination.graphs.otherwise import call_otherwise
from porter.examination.graphs.pairing import KerasPairing, check_ends, pair_port
from porter.examination.graphs.stateful import batch_rows, is_fixed
from porter.examination.graphs.strays import find_lost_states, find_own_masks, find_structure, find_unaccounted
from porter.examination.steadiness import own_calls
from porter.formats.programs import build_program, follow
from porter.formats.samples import Samples
from porter.network.graph import KerasNetwork
from porter.ports.keras.dictionaries import in_order
from porter.ports.keras.graph import PortGraph, read_graph
from porter.reading.graphs import hold_legacy
from porter.reading.of_network import reading_of
from porter.report.model import Finding
from porter.report.report import Report
from porter.verdict.assemble import assemble, name_finding
from porter.verdict.graphs import judgement_of
from porter.verdict.notes import equivalence_notes
from porter.verdict.provenance import verification
from reference.rounding.recurrent_steps import directions
from reference.trace import Program

Array = NDArray[Any]

CHAIN_ROWS = 512
"""Random rows for a port that is examined as a chain."""


@dataclass(frozen=True)
class Examined:
    """A port of a legacy Keras network, judged and not yet explained.

    Attributes:
        judged: one a step.
        structure: mistakes of the graph itself.
        notes: how it was paired.
        pairing: what computes each step, where that was not told by the names.
    """

    judged: Sequence[Judged]
    structure: Sequence[Finding] = ()
    notes: Sequence[str] = ()
    pairing: KerasPairing | None = None

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
    def is_far(self) -> bool:
        """Whether nothing is wrong but what only rows far outside of what a network reaches show."""
        wrong = [one for one in self.judged if one.verdict == "mismatch" or one.whole_differs]
        return bool(wrong) and all(one.is_far and not one.whole_differs for one in wrong) and not self.structure

    @property
    def is_trained(self) -> bool:
        """Whether any step was called in training mode, which gives other numbers each time."""
        return any(one.suspect is not None and one.suspect.trained for one in self.judged)


def examine_legacy(
    network: KerasNetwork,
    model: Any,
    *,
    golden: Samples | None = None,
    seed: int = 0,
    diagnosed: bool = True,
    source: str | Path | None = None,
) -> tuple[Report, Sequence[Judged]]:
    """Judge a port of a legacy Keras network, layer by layer.

    Args:
        network: as read, with weights.
        model: a keras.Model, by whatever names its layers go; never changed.
        golden: recorded inputs, which then replace random ones, and outputs; or None.
        seed: of the random inputs.
        diagnosed: whether mismatches are explained.
        source: path of the port, where it came from a file.

    Returns:
        The report, which never raises for a mismatch, and every step as it was judged.

    Raises:
        PortError: a port with other inputs, or one that breaks down when it is called.
    """
    model = in_order(model, [each.name for each in network.inputs], [ref.name for ref in network.outputs])
    graph, rng = read_graph(model), np.random.default_rng(seed)
    program = build_program(network)
    reading = reading_of(network, program, golden)
    feeds = draw_feeds(network, graph, None if golden is None else golden.inputs, rng)
    check_ends(network, graph)
    try:
        found = _examine(network, graph, feeds, rng)
    except PortError:
        rows = batch_rows(model)
        if rows is None:
            raise
        # Something in it takes batches of its own size alone.
        feeds = {name: np.resize(each, (rows, *each.shape[1:])) for name, each in feeds.items()}
        found = _examine(network, graph, feeds, None)
    doubts: tuple[str, ...] = own_calls(model)
    if found.is_parity:
        found = _at_other_lengths(network, graph, found, rng)
    if found.is_parity:
        causes, conduct = call_otherwise(network, program, graph, feeds, found.judged, found.pairing)
        names = {one.step.name: one.names for one in found.judged}
        causes = [*causes, *find_own_masks(graph, program)]
        structure = [name_finding(cause, names[cause.layer]) for cause in causes]
        doubts = (*doubts, *conduct.doubts)
        found = replace(found, structure=structure, notes=(*found.notes, *conduct.notes))
    named = diagnose_legacy(found.judged) if diagnosed else []
    fed, rows = note_of(graph, feeds), len(next(iter(feeds.values())))
    told = found.notes if fed is None else (*found.notes, fed)
    judgement = judgement_of(found.judged, named, rows, found.structure, told, doubts)
    precisions = {one.step.name: one.precision for one in found.judged}
    held = None if golden is None else hold_legacy(network, graph, golden, precisions, reading.fit)
    provenance = verification(network, port=source, seed=seed, placement=None, rows=rows)
    report = assemble(judgement, reading, held, provenance, has_samples=golden is not None)
    return report, found.judged


def _at_other_lengths(network: KerasNetwork, graph: PortGraph, found: Examined, rng: np.random.Generator) -> Examined:
    """What was found, or what is wrong along axes that the file leaves open, at other lengths than the first.

    Padding, strides and what is cut off show at some lengths and not at others.
    """
    for feeds in draw_other_lengths(network, graph, rng):
        try:
            other = _examine(network, graph, feeds, None)
        except PortError:
            continue
        if other.mistakes:
            length = max(size for each in feeds.values() for size in each.shape[1:])
            told = f"what is wrong shows along open axes of {length}, and not of those tried first"
            return replace(other, notes=(*other.notes, told))
    return found


def _examine(
    network: KerasNetwork, graph: PortGraph, feeds: Mapping[str, Array], rng: np.random.Generator | None
) -> Examined:
    """The port against the program, and against programs with a mistake in their masks where it is none of its own."""
    program = build_program(network)
    found = _examine_program(network, program, graph, feeds, rng)
    if found.is_parity or found.is_trained:
        return found
    chained = _as_chain(network, program, graph)
    if chained is not None:
        return chained
    best, fewest = found, found.mistakes
    for folded in fold_normalizations(program, graph, found.judged):
        other = _examine_program(network, folded.program, graph, feeds, rng)
        if other.mistakes < fewest:
            judged = folded.completed(program, other.judged)
            best, fewest = replace(other, judged=judged, notes=(*other.notes, *folded.notes)), other.mistakes
        if not fewest:
            return best
    for altered in altered_masks(program, graph):
        other = _examine_program(network, altered.program, graph, feeds, rng)
        if not other.mistakes:
            return _with_masks(found, other, altered, program)
        if other.mistakes + len(altered.causes) < fewest:
            best, fewest = _with_masks(found, other, altered, program), other.mistakes + len(altered.causes)
    return best


def _as_chain(network: KerasNetwork, program: Program, graph: PortGraph) -> Examined | None:
    """The port of a chain of dense layers that computes it in another way; None where it does not."""
    chain, forms = as_chain(network, program), tuple[str, ...]()
    if chain is None:
        return None
    chain, forms = resized(chain, graph) or (chain, forms)
    try:
        case = examine(network, graph, seed=0, placement="inside", rows=CHAIN_ROWS, program=chain.program)
    except PortError:
        return None
    if not case.is_parity:
        return None
    notes = [f"equivalent form, for all inputs: {sentence}" for sentence in forms]
    notes += [note for one in case.judged for note in equivalence_notes(one)]
    return Examined(judged_of(case, program, chain), (), notes)


def _placed(judged: Sequence[Judged], structure: Sequence[Finding]) -> Examined:
    """An operation that only special or far numbers show, told at the step that these show it at."""
    far = [one for one in judged if one.is_far]
    if not far or not structure:
        return Examined(judged, structure)
    name, names = far[0].step.name, far[0].names
    told = [
        replace(
            one,
            layer=name,
            port_layer=names,
            message=one.message.replace(f"{one.layer}: ", f"{name}: ").replace(", behind it,", ", in front of it,"),
        )
        for one in structure
    ]
    return Examined([replace(one, suspect=None) if one.is_far else one for one in judged], told)


def has_others(graph: PortGraph, judged: Sequence[Judged]) -> bool:
    """Whether a port that bears the legacy names has operations beside those, and beside what porter itself builds."""
    known = {name for one in judged for name in one.names}
    names = {node.name for node in graph.nodes if not is_harmless(node)}
    return any(name not in known and not re.match(r"op\d+_", name) for name in names)


def _with_masks(found: Examined, other: Examined, altered: Altered, program: Program) -> Examined:
    """What was judged against an altered program, with the steps that were altered."""
    judged = {one.step.name: one for one in found.judged} | {one.step.name: one for one in other.judged}
    told = "; ".join(cause.message for cause in altered.causes)
    wrong = {name: replace(judged[name], verdict="mismatch", reason=told, suspect=None) for name in altered.steps}
    every = tuple((judged | wrong)[step.name] for step in program.steps)
    names = {one.step.name: one.names for one in every}
    findings = [name_finding(cause, names.get(cause.layer, ())) for cause in altered.causes]
    return Examined(every, (*findings, *other.structure), other.notes)


def _told(pairing: KerasPairing, causes: Sequence[Cause]) -> list[Finding]:
    return [name_finding(cause, pairing[cause.layer].names) for cause in causes]


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
    judged = None if apart else judge_by_name(network, graph.model, program, reference, feeds, rng, telling_mistakes)
    by_name = None if judged is None else Examined(judged)
    if by_name is not None and (by_name.is_parity or by_name.is_far) and has_others(graph, by_name.judged):
        pairing = pair_port(network, program, graph, feeds)
        structure = _told(pairing, find_unaccounted(pairing, program))
        if structure or by_name.is_parity:
            return _placed(by_name.judged, structure)
    if by_name is not None and (by_name.is_parity or by_name.is_trained):
        return by_name
    pairing = pair_port(network, program, graph, feeds)
    if by_name is not None and pairing.by_name:
        return by_name
    structure = _told(pairing, [*find_structure(pairing, program), *find_lost_states(pairing, program)])
    judged = judge_paired(pairing, program, reference, rng, telling_mistakes)
    if not structure:
        placed = _placed(judged, _told(pairing, find_unaccounted(pairing, program)))
        judged, structure = list(placed.judged), list(placed.structure)
    # A mistake of the graph makes the whole differ as a matter of course.
    paired = Examined(judged if structure else with_whole(judged, pairing, feeds), structure, pairing.notes, pairing)
    return paired if by_name is None or paired.is_parity else by_name
