"""From an examined case to the report: rows, findings, links, notes, and one verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from porter.diagnosis.diagnose import Named
from porter.diagnosis.evidence import word_evidence
from porter.examination.case import Case, Judged
from porter.examination.domain import port_limits
from porter.examination.power import word_power
from porter.examination.search import Counterexample, search_inputs, why_unsearched
from porter.formats.samples import Samples
from porter.reading.check import Reading, check_reading
from porter.reading.held import Held, held_finding, hold_port, note_of_held
from porter.report.model import Finding, LayerRow, Verdict
from porter.report.report import Report
from porter.verdict.illustration import collect_pictures
from porter.verdict.notes import build_notes
from porter.verdict.provenance import verification
from porter.verdict.rows import agree
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling


def build_report(
    case: Case, named: Sequence[Named], *, golden: Samples | None, search: bool, source: str | Path | None
) -> Report:
    """Judge every link, and word what was found.

    Args:
        case: the examined port.
        named: what is wrong with it, by ``diagnose``.
        golden: golden samples, or None.
        search: whether Hypothesis goes on looking.
        source: path of the port, where it came from a file.
    """
    reading = check_reading(case.program, case.network.claims, golden, port_limits(case.program, outside=False))
    held = None if golden is None else hold_port(case, golden, reading.fit)
    unsearched = why_unsearched(case) if search else ""
    searched = search_inputs(case) if search and not unsearched else None
    findings = _findings(case, reading, named, held)
    rows = agree((_row(case, one) for one in case.judged), findings)
    question = _open_question(case)
    verdict = _verdict(case, reading, findings, question, searched)
    return Report(
        verdict=verdict,
        links={
            "reading": reading.verdict,
            "build": _build_link(case, findings, question, searched),
            "save": "not checked",
            "export": "not checked",
        },
        link_notes={
            "reading": reading.note,
            "build": _build_note(case, searched, unsearched) + ("" if golden is None else note_of_held(held)),
            "save": "the port was judged as it was given; porter.port saves, loads and judges again",
            "export": "no exported file was given",
        },
        layers=rows,
        claims=reading.claims,
        findings=findings,
        notes=build_notes(case, question, searched),
        provenance=verification(
            case.network, port=source, seed=case.seed, placement=case.placement, rows=len(case.inputs)
        ),
        counterexample=searched.as_dict() if searched is not None and searched.row is not None else None,
        pictures=collect_pictures(case, named),
        telling_inputs=tuple(each.as_dict() for each in reading.telling),
    )


def _row(case: Case, one: Judged) -> LayerRow:
    found, block = one.comparison, one.pair.block
    if block is None or one.verdict == "uncompared":
        outside = case.placement == "outside" and isinstance(one.pair.step, Scaling)
        names = _folded_names(case, one) if block is None else block.names
        return LayerRow(
            one.name, names, one.verdict, where="declared outside the port" if outside else one.reason or None
        )
    return LayerRow(
        layer=one.name,
        port_layer=block.names,
        verdict=one.verdict,
        isolated=found.error,
        cumulative=one.cumulative,
        allowed=found.allowed,
        where=found.where,
        elements=found.elements,
        exceeding=found.exceeding,
        rtol=found.rtol,
        dtype=block.precision.compute,
        power=found.coarseness,
        would_show=one.would_show,
    )


def _folded_names(case: Case, one: Judged) -> tuple[str, ...]:
    if not one.verdict.startswith("folded into "):
        return ()
    block = case[one.verdict.removeprefix("folded into ")].pair.block
    return block.names if block is not None else ()


def _findings(case: Case, reading: Reading, named: Sequence[Named], held: Held | None) -> tuple[Finding, ...]:
    findings = [_finding(case, one) for one in named]
    # What is certain stands first; "unexplained" is the least that can be said.
    findings.sort(key=lambda finding: (finding.code == "unexplained", not finding.certain))
    if reading.cause is not None:
        cause = reading.cause
        findings.insert(0, Finding(cause.code, cause.layer, (), cause.message, cause.detail, cause.remedy))
    elif held is not None and held.exceeding and not findings:
        block = case.judged[-1].pair.block
        findings.append(held_finding(held, case.judged[-1].name, () if block is None else block.names))
    return tuple(findings)


def _finding(case: Case, named: Named) -> Finding:
    cause, one, diagnosis = named.cause, named.judged, named.diagnosis
    target = case[cause.layer]
    block = target.pair.block
    return Finding(
        code=cause.code,
        layer=cause.layer,
        port_layer=block.names if block is not None else (),
        message=f"{cause.layer}: {cause.message}",
        evidence=word_evidence(one.comparison, one.weights_differ, diagnosis, cause.detail),
        remedy=cause.remedy,
        certain=diagnosis is None or (diagnosis.is_explained and not diagnosis.twins),
    )


def _open_question(case: Case) -> str | None:
    """What has to be declared before a verdict is possible, or None."""
    if case.declared_placement is not None:
        return None
    scalings = [one for one in case.judged if isinstance(one.pair.step, Scaling)]
    absent = [one for one in scalings if one.verdict == "uncompared" and one.pair.block is None]
    if not absent or len(absent) < len(scalings):
        return None
    names = " and ".join(one.name for one in absent)
    return f"the port has no {names}: is the scaling done outside of it? Say --placement outside if so"


def _verdict(
    case: Case, reading: Reading, findings: Sequence[Finding], question: str | None, searched: Counterexample | None
) -> Verdict:
    if reading.cause is not None or findings or any(one.verdict == "mismatch" for one in case.judged):
        return "mismatch"
    if searched is not None and searched.exceeds:
        return "mismatch"
    return "inconclusive" if question is not None or not case.is_compared else "parity"


def _build_link(case: Case, findings: Sequence[Finding], question: str | None, searched: Counterexample | None) -> str:
    if (
        any(not finding.code.startswith("reading.") for finding in findings)
        or any(one.verdict == "mismatch" for one in case.judged)
        or (searched is not None and searched.exceeds)
    ):
        return "mismatch"
    return "inconclusive" if question is not None or not case.is_compared else "parity"


def _build_note(case: Case, searched: Counterexample | None, unsearched: str) -> str:
    dense = [one for one in case.judged if isinstance(one.step, Dense)]
    probed = sum(one.probed for one in dense)
    elements = sum(one.comparison.elements for one in case.judged)
    note = (
        f"{len(case.inputs):,} network inputs and {probed:,} probes of single layers: {elements:,} elements against "
        f"the bound of their own layer; {word_power(one.comparison.coarseness for one in case.judged)}"
    )
    if searched is not None:
        return f"{note}; {searched.examples} inputs searched by Hypothesis"
    return f"{note}; no search" + (f": {unsearched}" if unsearched else "")
