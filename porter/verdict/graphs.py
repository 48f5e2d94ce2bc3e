"""What the verification of a legacy Keras port found, as a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.diagnose import Named
from porter.diagnosis.evidence import word_evidence
from porter.examination.graphs.judged import Judged
from porter.examination.power import word_power
from porter.network.graph import KerasNetwork
from porter.ports.runtime import current_runtime
from porter.reading.check import Reading
from porter.reading.held import Held, held_finding, note_of_held
from porter.report.model import Finding, LayerRow, Verdict
from porter.report.report import Report
from porter.verdict.notes import runtime_notes
from porter.verdict.provenance import verification
from porter.verdict.rows import agree
from reference.rounding.recurrent_steps import is_stepped

Array = NDArray[Any]

ORDER = ("proven", "declared", "assumed", "contradicted")


def build_legacy_report(
    network: KerasNetwork,
    judged: Sequence[Judged],
    named: Sequence[Named],
    feeds: Mapping[str, Array],
    seed: int,
    structure: Sequence[Finding] = (),
    pairing_notes: Sequence[str] = (),
    source: str | Path | None = None,
) -> Report:
    """The report of every step as it was judged.

    Args:
        network: as read.
        judged: one a step.
        named: what is wrong, by ``diagnose_legacy``.
        feeds: what the network was fed with.
        seed: that drew it.
        structure: mistakes of the graph itself.
        pairing_notes: how a port with other names was paired.
        source: path of the port, where it came from a file.
    """
    rows, whole = tuple(_row(one) for one in judged), any(bool(one.whole_differs) for one in judged)
    findings = tuple(sorted((*(_finding(judged, one) for one in named), *structure), key=_certainty))
    missed = [one for one in judged if one.verdict == "uncompared"]
    wrong = any(one.verdict == "mismatch" for one in judged)
    verdict: Verdict = "mismatch" if findings or whole or wrong else "inconclusive" if missed or not rows else "parity"
    count = len(next(iter(feeds.values())))
    notes = [f"{one.step.name} was not compared: {one.reason}" for one in missed]
    if whole:
        notes.append("the port called as a whole gives something else than its layers one by one")
    formats = {one.precision.compute for one in judged}
    notes += [f"{one.step.name}: {one.form}" for one in judged if one.form]
    notes += [*_left_out(judged), *pairing_notes, *_notes(judged), *runtime_notes(current_runtime(), formats)]
    return Report(
        verdict=verdict,
        links={"reading": _reading(network), "build": verdict, "save": "not checked", "export": "not checked"},
        link_notes={
            "reading": "the file and what the user said; recorded outputs of the original would prove it",
            "build": f"{len(rows) - len(missed)} of {len(rows)} steps compared, on {count} rows and on wide ones; "
            f"{word_power(row.power for row in rows)}; no search",
            "save": "the port was judged as it was given; porter.port saves, loads and judges again",
            "export": "no exported file was given",
        },
        layers=agree(rows, findings),
        claims=network.claims,
        findings=findings,
        notes=tuple(notes),
        provenance=verification(network, port=source, seed=seed, placement=None, rows=count),
    )


def _reading(network: KerasNetwork) -> str:
    """The weakest evidence of any claim."""
    ranks = {"shape": 0, "samples": 0, "declared": 1, "assumed": 2, "contradicted": 3}
    return ORDER[max((ranks[claim.evidence] for claim in network.claims), default=1)]


def _notes(judged: Sequence[Judged]) -> list[str]:
    """How recurrent layers were judged."""
    suspects = [one.suspect for one in judged if one.suspect is not None and is_stepped(one.suspect.step)]
    shown = [suspect.recurrence is not None and not suspect.recurrence.is_hidden for suspect in suspects]
    notes = ["recurrent layers are judged a time step at a time, each from the state that the port itself was in"]
    carried = "recurrent layers whose states the port does not show are bounded along all their steps: sound, and loose"
    return (notes if any(shown) else []) + ([] if all(shown) else [carried])


def _left_out(judged: Sequence[Judged]) -> Iterator[str]:
    """Elements that could not be held against a bound."""
    for one in judged:
        if one.comparison.inevitable:
            yield (
                f"{one.step.name}: {one.comparison.inevitable:,} elements were left out, because the reference's own "
                "values do not fit the port's dtype"
            )
        if one.comparison.unbounded:
            yield (
                f"{one.step.name}: {one.comparison.unbounded:,} elements were left out: their sums may overflow the "
                "port's dtype"
            )


def _row(one: Judged) -> LayerRow:
    if one.verdict not in ("parity", "mismatch"):
        return LayerRow(one.step.name, one.names, one.verdict, cumulative=one.cumulative, where=one.reason)
    found = one.comparison
    return LayerRow(
        one.step.name, one.names, one.verdict, found.error, one.cumulative, found.allowed, found.where,
        found.elements, found.exceeding, found.rtol, one.precision.compute,
        found.coarseness if np.isfinite(found.coarseness) else None, one.would_show,
    )  # fmt: skip


def _certainty(finding: Finding) -> tuple[bool, bool]:
    """What is certain stands first; "unexplained" is the least that can be said."""
    return finding.code == "unexplained", not finding.certain


def _finding(judged: Sequence[Judged], named: Named) -> Finding:
    cause, one, diagnosis = named.cause, named.judged, named.diagnosis
    target = next(other for other in judged if other.step.name == cause.layer)
    evidence = word_evidence(one.comparison, one.weights_differ, diagnosis, cause.detail)
    certain = diagnosis is None or (diagnosis.is_explained and not diagnosis.twins)
    return Finding(
        cause.code, cause.layer, target.names, f"{cause.layer}: {cause.message}", evidence, cause.remedy, certain
    )


def with_samples(report: Report, reading: Reading, held: Held | None) -> Report:
    """The report with what recorded outputs say about the reading, and about the port.

    Args:
        report: of the port, without them.
        reading: judged by them.
        held: the port beside them; None where it could not be run on them.
    """
    last, notes = report.layers[-1], {**report.link_notes, "reading": reading.note}
    findings, verdict, build = report.findings, report.verdict, report.links["build"]
    notes["build"] += note_of_held(held)
    if reading.cause is not None:
        cause, verdict = reading.cause, "mismatch"
        layer = next((row.layer for row in report.layers if row.layer == cause.layer), last.layer)
        finding = Finding(cause.code, layer, (), cause.message, cause.detail, cause.remedy)
        findings = (finding, *findings)
    elif held is not None and held.exceeding and not findings:
        findings, verdict, build = (held_finding(held, last.layer, last.port_layer),), "mismatch", "mismatch"
    return replace(
        report, verdict=verdict, findings=findings, claims=reading.claims, link_notes=notes,
        layers=agree(report.layers, findings),
        links={**report.links, "reading": reading.verdict, "build": build},
        telling_inputs=tuple(each.as_dict() for each in reading.telling),
    )  # fmt: skip
