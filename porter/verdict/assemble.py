"""One way from what was judged to the report: rows, findings and samples to links and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from porter.codes import Cause
from porter.diagnosis.evidence import word_evidence
from porter.diagnosis.layers import Diagnosis
from porter.examination.judged import JudgedStep
from porter.reading.check import Reading
from porter.reading.held import Held, held_finding, note_of_held
from porter.report.model import Finding, LayerRow, Verdict
from porter.report.report import Report
from porter.verdict.provenance import now

OTHER_NOTES = {
    "build": {
        "save": "the port was judged as it was given; porter.port saves, loads and judges again",
        "export": "no exported file was given",
    },
    "export": {
        "build": "no Keras model stands between the file and this port",
        "save": "no Keras model was saved",
    },
}
"""What is said of the links that were not judged, by the one that was."""


@dataclass(frozen=True)
class Judgement:
    """What a verification found, whatever the family and whatever runs the port.

    Attributes:
        rows: one a step.
        findings: mistakes of the port.
        is_settled: whether every step was compared or is part of one that was, and nothing is in doubt.
        note: what was compared, with what.
        notes: what the report says beside its verdict.
        is_wrong: whether something is wrong that no row and no finding tells.
        link: which link of the chain was judged.
    """

    rows: Sequence[LayerRow]
    findings: Sequence[Finding]
    is_settled: bool
    note: str
    notes: Sequence[str] = ()
    is_wrong: bool = False
    link: Literal["build", "export"] = "build"
    counterexample: Mapping[str, Any] | None = None
    pictures: Mapping[str, Any] = field(default_factory=dict)


def assemble(
    judgement: Judgement, reading: Reading, held: Held | None, provenance: Mapping[str, Any], *, has_samples: bool
) -> Report:
    """The report of a verification.

    Args:
        judgement: what was found.
        reading: whether the file is read rightly.
        held: the port beside golden samples; None without them, or where it could not be run on them.
        provenance: what the verification rests on.
        has_samples: whether golden samples were given.
    """
    findings = sorted(judgement.findings, key=_certainty)
    last = judgement.rows[-1]
    if held is not None and held.exceeding and not findings and reading.cause is None:
        findings = [held_finding(held, last.layer, last.port_layer)]
    rows = [_with_finding(row, findings) for row in judgement.rows]
    wrong = judgement.is_wrong or bool(findings) or any(row.verdict == "mismatch" for row in rows)
    link: Verdict = "mismatch" if wrong else "parity" if judgement.is_settled else "inconclusive"
    if reading.cause is not None:
        findings.insert(0, _contradiction(reading.cause, rows))
    note = judgement.note + (note_of_held(held) if has_samples else "")
    return Report(
        verdict="mismatch" if reading.cause is not None else link,
        links={"reading": reading.verdict, "build": "not checked", "save": "not checked", "export": "not checked"}
        | {judgement.link: link},
        link_notes={"reading": reading.note, "build": note, "save": "", "export": note} | OTHER_NOTES[judgement.link],
        layers=tuple(rows),
        claims=reading.claims,
        findings=tuple(findings),
        notes=tuple(judgement.notes),
        provenance=provenance,
        counterexample=judgement.counterexample,
        pictures=judgement.pictures,
        telling_inputs=tuple(each.as_dict() for each in reading.telling),
        when=now(),
    )


def _certainty(finding: Finding) -> tuple[bool, bool]:
    """What is certain stands first; "unexplained" is the least that can be said."""
    return finding.code == "unexplained", not finding.certain


def _with_finding(row: LayerRow, findings: Sequence[Finding]) -> LayerRow:
    """No row is at parity at which a mistake is named, as one of its neighbour or of what stands behind it."""
    is_named = any(finding.layer == row.layer for finding in findings)
    return replace(row, verdict="mismatch") if is_named and row.verdict == "parity" else row


def _contradiction(cause: Cause, rows: Sequence[LayerRow]) -> Finding:
    layer = cause.layer if any(row.layer == cause.layer for row in rows) else rows[-1].layer
    return Finding(cause.code, layer, (), cause.message, cause.detail, cause.remedy)


def name_finding(
    cause: Cause, names: tuple[str, ...], shown: JudgedStep | None = None, diagnosis: Diagnosis | None = None
) -> Finding:
    """A cause as the report has it.

    Args:
        cause: what is wrong.
        names: of the port's layers concerned.
        shown: the step that showed it, as it was judged; None for a mistake of structure.
        diagnosis: what was found there.
    """
    evidence = cause.detail
    if shown is not None:
        evidence = word_evidence(shown.comparison, shown.weights_differ, diagnosis, cause.detail)
    return Finding(
        code=cause.code,
        layer=cause.layer,
        port_layer=names,
        message=f"{cause.layer}: {cause.message}",
        evidence=evidence,
        remedy=cause.remedy,
        certain=diagnosis is None or (diagnosis.is_explained and not diagnosis.twins),
    )


def compared_row(one: JudgedStep) -> LayerRow:
    """The row of a step that was compared."""
    found = one.comparison
    return LayerRow(
        layer=one.name,
        port_layer=one.names,
        verdict=one.verdict,
        isolated=found.error,
        cumulative=one.cumulative,
        allowed=found.allowed,
        where=found.where,
        elements=found.elements,
        exceeding=found.exceeding,
        rtol=found.rtol,
        dtype=one.precision.compute,
        power=found.coarseness if np.isfinite(found.coarseness) else None,
        would_show=one.would_show,
    )
