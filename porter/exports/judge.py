"""A traced port judged: every step it shows on the port's own numbers, the outputs from end to end as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.diagnose import Named, same_once, whole_port
from porter.diagnosis.evidence import word_evidence
from porter.diagnosis.layers import Diagnosis, share_out
from porter.errors import PortError
from porter.examination.power import word_power
from porter.examination.suspect import Stored
from porter.exports.judged import Judged, is_shown, judge_step
from porter.exports.naming import explain
from porter.exports.program_modes import Mode
from porter.exports.row_sets import ORDINARY, draw_sets
from porter.exports.walk import Feeds, traced, walk
from porter.exports.whole import Whole, judge_whole, modes_of
from porter.formats.programs import build_program
from porter.formats.samples import Samples
from porter.network import Network
from porter.ports.exercise import Unexercised
from porter.ports.traced import TracedPort
from porter.reading.check import Reading
from porter.reading.held import Held, hold
from porter.reading.of_network import reading_of
from porter.report.model import Finding, LayerRow
from porter.report.report import Report
from porter.verdict.assemble import Judgement, assemble, compared_row, name_finding
from porter.verdict.provenance import verification, versions
from reference.operations.dense import Dense
from reference.trace import Program

Array = NDArray[Any]

UNSTEADY = "take out what is random or keeps a state"


def verify_traced(
    network: Network, port: TracedPort, *, golden: Samples | None = None, seed: int = 0, rows: int = 2000
) -> Report:
    """Judge a port that shows its layers, layer by layer, and its outputs from end to end.

    Args:
        network: the legacy network.
        port: run by its own runtime.
        golden: golden samples, or None.
        seed: of the inputs.
        rows: how many random rows inside the documented range; of a legacy Keras network as many as can be held.

    Returns:
        The report; its link "export" says what was judged, and with what.

    Raises:
        PortError: the port cannot be run.
    """
    program, rng = build_program(network), np.random.default_rng(seed)
    sets = draw_sets(network, program, port, golden, rng, rows)
    walked = walk(program, port, sets)
    if not any(one.seen for one in walked):
        raise PortError(f"the port {port.name}", found="no layer of the network, and no output", expected="its outputs")
    stored = {step.name: Stored.of(step) for step in program.steps if isinstance(step, Dense)}
    judged = [judge_step(one, port, stored) for one in walked]
    diagnoses = {
        one.name: explain(one.walked, program, port, one.comparison, one.weights_differ)
        for one in judged
        if one.verdict == "mismatch"
    }
    diagnoses = share_out(diagnoses, list(stored.values()))
    feeds = sets[ORDINARY][0]
    whole = judge_whole(program, port, feeds, [each for each, _ in sets.values()])
    findings = [*_findings(judged, diagnoses), *_findings_of_whole(judged, whole, port)]
    modes = modes_of(network, program, port, sets, is_right=not findings)
    findings += [mode.finding(judged[-1].name, port.name) for mode in modes if mode.code]
    unseen = Unexercised() if port.left_open is None else port.left_open(program)
    findings += random_findings(unseen, judged[-1].name, findings)
    doubts = (*port.doubts, *unseen.doubts)
    reading = reading_of(network, program, golden)
    judgement = Judgement(
        rows=[_row(one) for one in judged],
        findings=findings,
        is_settled=_is_compared(judged) and all(mode.is_judged for mode in modes) and not doubts,
        note="; ".join((*port.notes, _export_note(port, judged, sets, whole), *(mode.told for mode in modes))),
        notes=(*port.notes, *doubts, *_notes(judged, port, whole, modes)),
        link="export",
    )
    held = None if golden is None else _held(program, port, golden, reading)
    return assemble(judgement, reading, held, _provenance(network, port, seed, sets), has_samples=golden is not None)


def unjudged(network: Network, path: Path, reason: str) -> Report:
    """The report of a file that was written and not run."""
    program = build_program(network)
    judgement = Judgement(
        rows=[LayerRow(step.name, (), "uncompared", where=reason) for step in program.steps],
        findings=(),
        is_settled=False,
        note=reason,
        notes=(f"{path.name}: {reason}",),
        link="export",
    )
    provenance = verification(network, port=None, seed=0, placement=None, rows=0)
    report = assemble(judgement, reading_of(network, program, None), None, provenance, has_samples=False)
    return replace(report, links={**report.links, "export": "not checked"})


def _findings(judged: Sequence[Judged], diagnoses: Mapping[str, Diagnosis]) -> list[Finding]:
    found = [(one, diagnoses[one.name]) for one in judged if one.name in diagnoses]
    named = [Named(cause, one, diagnosis) for one, diagnosis in found for cause in diagnosis.causes]
    layers = sum(isinstance(one.step, Dense) for one in judged)
    told = whole_port(same_once(named), layers)
    return [name_finding(one.cause, (one.cause.layer,), one.judged, one.diagnosis) for one in told]


def _findings_of_whole(judged: Sequence[Judged], whole: Whole, port: TracedPort) -> list[Finding]:
    last = judged[-1].name
    found = []
    if not whole.is_steady:
        message = f"{last}: {port.name} gives other numbers for the same rows when it is run again"
        found.append(Finding("call.unsteady", last, (), message, "", UNSTEADY))
    if whole.apart:
        message = f"{last}: what is called of {port.name} gives other outputs than its layers, by {whole.apart:.3g}"
        remedy = f"hand on what the last layer gives, or write it anew with {port.portable}"
        found.append(Finding("call.overridden", last, (), message, "", remedy))
    if whole.comparison.exceeding and all(one.verdict != "mismatch" for one in judged):
        message = f"{last}: the outputs differ by more than rounding explains from end to end, though no layer does"
        evidence = word_evidence(whole.comparison, 0, None)
        found.append(Finding("unexplained", last, (), message, evidence, f"write it anew with {port.portable}"))
    return found


def random_findings(unseen: Unexercised, layer: str, found: Sequence[Finding]) -> list[Finding]:
    """The mistake of a port that draws random numbers or keeps a state, where it was not found already."""
    if not unseen.random or any(each.code == "call.unsteady" for each in found):
        return []
    return [Finding("call.unsteady", layer, (), f"{layer}: {unseen.random}", "", UNSTEADY)]


def _is_compared(judged: Sequence[Judged]) -> bool:
    """Whether every step was compared, or is part of one that was."""
    compared = [one.verdict == "parity" or one.verdict.startswith("folded into ") for one in judged]
    return all(compared) and any(one.comparison.elements for one in judged)


def _row(one: Judged) -> LayerRow:
    if one.verdict == "uncompared" or not one.walked.seen:
        return LayerRow(one.name, (), one.verdict, where=one.reason or None)
    return compared_row(one)


def _export_note(
    port: TracedPort, judged: Sequence[Judged], sets: Mapping[str, tuple[Feeds, bool]], whole: Whole
) -> str:
    rows = sum(len(next(iter(feeds.values()))) for feeds, _ in sets.values())
    elements = sum(one.comparison.elements for one in judged)
    shown = sum(bool(one.walked.seen) for one in judged)
    note = (
        f"{port.name} run by {port.runtime} on {rows:,} inputs: {shown} of {len(judged)} layers shown, {elements:,} "
        f"elements against the bound of their own layer; {word_power(one.comparison.coarseness for one in judged)}"
    )
    if port.weights is not None:
        held = sum(is_shown(one.walked, port) for one in judged)
        note += f"; the arrays of {held} layers read back" if held else ""
    if whole.reason:
        return f"{note}; no bound for the outputs from end to end: {whole.reason}"
    return (
        f"{note}; {whole.comparison.elements:,} outputs from end to end, at most {whole.comparison.error:.3g} off "
        f"where {whole.comparison.allowed:.3g} is allowed"
    )


def _held(program: Program, port: TracedPort, golden: Samples, reading: Reading) -> Held:
    """What the file gives on the inputs of golden samples."""
    tensors = traced(program, port, as_feeds_exactly(program, golden))
    precisions = {step.name: port.precision_of(step.name) for step in program.steps}
    found = [np.asarray(tensors[name], np.float64) for name in program.outputs]
    return hold(program, golden, found, precisions, fit=reading.fit)


def as_feeds_exactly(program: Program, golden: Samples) -> dict[str, Array]:
    """Golden inputs by the names of the program."""
    return dict(zip(program.inputs, (np.asarray(each) for each in golden.inputs), strict=True))


def _notes(judged: Sequence[Judged], port: TracedPort, whole: Whole, modes: Sequence[Mode]) -> tuple[str, ...]:
    notes = [note for one in judged for note in one.notes]
    notes += [f"{one.name}: not compared: {one.reason}" for one in judged if one.verdict == "uncompared"]
    if whole.surplus:
        told = ", ".join(whole.surplus)
        physical = any(name.startswith("Transform") for name in whole.surplus)
        question = ": was it made with --physical?" if physical else ""
        notes.append(f"the port has layers that the legacy formula has not, as it is read: {told}{question}")
    if whole.swallows:
        notes.append(f"{whole.swallows}: a missing value (NaN) becomes a number, which the legacy network hands on")
    notes += [mode.told for mode in modes if mode.is_told or not mode.is_judged]
    if port.alone is None:
        notes.append("the runtime shows what layers give and runs none alone: no layer was fed with probes of its own")
    return tuple(notes)


def _provenance(
    network: Network, port: TracedPort, seed: int, sets: Mapping[str, tuple[Feeds, bool]]
) -> dict[str, Any]:
    rows = sum(len(next(iter(feeds.values()))) for feeds, _ in sets.values())
    record = verification(network, port=port.path, seed=seed, placement=None, rows=rows)
    return record | {"port": str(port.path or port.name), "runtime": port.runtime, "versions": versions()}
