"""What the verification of a legacy Keras port found, as a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from porter.diagnosis.diagnose import Named
from porter.examination.graphs.judged import Judged
from porter.examination.power import word_power
from porter.ports.runtime import current_runtime
from porter.report.model import Finding, LayerRow
from porter.verdict.assemble import Judgement, compared_row, name_finding
from porter.verdict.notes import runtime_notes
from reference.rounding.recurrent_steps import is_stepped


def judgement_of(
    judged: Sequence[Judged],
    named: Sequence[Named],
    rows: int,
    structure: Sequence[Finding] = (),
    told: Sequence[str] = (),
    doubts: Sequence[str] = (),
) -> Judgement:
    """What became of every step of a graph, for the report.

    Args:
        judged: one a step.
        named: what is wrong, by ``diagnose_legacy``.
        rows: that the network was fed with.
        structure: mistakes of the graph itself.
        told: how the port was paired, and what it was fed with.
        doubts: why a person may run the port otherwise than it was called here.
    """
    missed = [one for one in judged if one.verdict == "uncompared"]
    whole = any(bool(one.whole_differs) for one in judged)
    notes = [*doubts, *(f"{one.step.name} was not compared: {one.reason}" for one in missed)]
    if whole:
        notes.append("the port called as a whole gives something else than its layers one by one")
    notes += [f"{one.step.name}: {one.form}" for one in judged if one.form]
    formats = {one.precision.compute for one in judged}
    notes += [*_left_out(judged), *told, *_notes(judged), *runtime_notes(current_runtime(), formats)]
    power = word_power(one.comparison.coarseness for one in judged if one.verdict in ("parity", "mismatch"))
    return Judgement(
        rows=[_row(one) for one in judged],
        findings=[*(_finding(judged, one) for one in named), *structure],
        is_settled=bool(judged) and not missed and not doubts,
        note=f"{len(judged) - len(missed)} of {len(judged)} steps compared, on {rows} rows and on wide ones; {power}; "
        "no search",
        notes=notes,
        is_wrong=whole,
    )


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
        return LayerRow(one.step.name, one.names, one.verdict, cumulative=one.cumulative, where=one.reason or None)
    return compared_row(one)


def _finding(judged: Sequence[Judged], named: Named) -> Finding:
    target = next(other for other in judged if other.step.name == named.cause.layer)
    return name_finding(named.cause, target.names, named.judged, named.diagnosis)
