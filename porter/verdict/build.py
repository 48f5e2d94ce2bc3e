"""From an examined case to the report: rows, findings, links, notes, and one verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from porter.diagnosis.diagnose import Named
from porter.examination.case import Case, Judged
from porter.examination.domain import port_limits
from porter.examination.power import word_power
from porter.examination.search import Counterexample, search_inputs, why_unsearched
from porter.formats.samples import Samples
from porter.reading.check import check_reading
from porter.reading.held import hold_port
from porter.report.model import Finding, LayerRow
from porter.report.report import Report
from porter.verdict.assemble import Judgement, assemble, compared_row, name_finding
from porter.verdict.illustration import collect_pictures
from porter.verdict.notes import build_notes
from porter.verdict.provenance import verification
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
    question = _open_question(case)
    judgement = Judgement(
        rows=[_row(case, one) for one in case.judged],
        findings=[_finding(case, one) for one in named],
        is_settled=question is None and case.is_compared,
        note=_build_note(case, searched, unsearched),
        notes=build_notes(case, question, searched),
        is_wrong=searched is not None and searched.exceeds,
        counterexample=searched.as_dict() if searched is not None and searched.row is not None else None,
        pictures=collect_pictures(case, named),
    )
    provenance = verification(
        case.network, port=source, seed=case.seed, placement=case.placement, rows=len(case.inputs)
    )
    return assemble(judgement, reading, held, provenance, has_samples=golden is not None)


def _row(case: Case, one: Judged) -> LayerRow:
    if one.pair.block is None or one.verdict == "uncompared":
        outside = case.placement == "outside" and isinstance(one.pair.step, Scaling)
        names = _folded_names(case, one) if one.pair.block is None else one.names
        return LayerRow(
            one.name, names, one.verdict, where="declared outside the port" if outside else one.reason or None
        )
    return compared_row(one)


def _folded_names(case: Case, one: Judged) -> tuple[str, ...]:
    if not one.verdict.startswith("folded into "):
        return ()
    return case[one.verdict.removeprefix("folded into ")].names


def _finding(case: Case, named: Named) -> Finding:
    return name_finding(named.cause, case[named.cause.layer].names, named.judged, named.diagnosis)


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
