"""What a verification found: frozen, and without a word on how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from porter.network import Claim

if TYPE_CHECKING:  # it needs the whole examination, and `porter inspect` none of it
    from porter.examination.gradients import Gradients

Verdict = Literal["parity", "mismatch", "inconclusive", "drift"]
"""Of these, "drift" is that of a ``DriftReport`` alone: what was free to move has moved, and nothing else has."""
ORDER: tuple[Verdict, ...] = ("parity", "inconclusive", "mismatch")
"""Verdicts of a port, best first."""


@dataclass(frozen=True)
class LayerRow:
    """One step of the legacy program, judged.

    Attributes:
        layer: its legacy name.
        port_layer: names of the port's layers that compute it; empty where none does.
        verdict: ``"parity"``, ``"mismatch"``, ``"uncompared"`` or ``"folded into <layer>"``.
        isolated: absolute error at the worst element (the one with the largest error over allowed error), the
            layer fed with the port's own input; None where it was not compared.
        cumulative: the largest absolute error end to end up to this layer; judges nothing.
        allowed: what rounding can explain at the worst element.
        where: the worst element, for people: ``"row 17 of basis probes, unit 3"``.
        elements: how many elements were compared.
        exceeding: how many of them rounding cannot explain.
        rtol: the relative tolerance (of the unit's range) that would have passed.
        dtype: in which the port computes it.
        power: the allowed error as a share of the range of what the step gives, on the most telling probes; None
            where it was not compared.
        would_show: codes of the mistakes of its kind that would have exceeded the bound on these probes.
    """

    layer: str
    port_layer: tuple[str, ...]
    verdict: str
    isolated: float | None = None
    cumulative: float | None = None
    allowed: float | None = None
    where: str | None = None
    elements: int = 0
    exceeding: int = 0
    rtol: float | None = None
    dtype: str | None = None
    power: float | None = None
    would_show: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A mistake, named.

    Attributes:
        code: one of ``porter.diagnosis.CODES``.
        layer: exactly one row name.
        port_layer: the port's layers concerned.
        message: one sentence: what is wrong.
        evidence: the figures that show it.
        remedy: what to change, as a line to paste where possible.
        certain: False where another explanation is left.
    """

    code: str
    layer: str
    port_layer: tuple[str, ...]
    message: str
    evidence: str
    remedy: str
    certain: bool = True


@dataclass(frozen=True)
class Witness:
    """The port as one runtime runs it, judged.

    Attributes:
        name: of the runtime, as ``--runtime`` takes it; or "the port itself".
        run_by: what ran it, with its version.
        verdict: as that of a report.
        error: the largest error of an output against the reference, end to end; None where it was not seen.
        layers: one row a step of the legacy program.
        findings: mistakes of what this runtime runs.
        note: what was compared.
    """

    name: str
    run_by: str
    verdict: Verdict
    error: float | None
    layers: tuple[LayerRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class ReportData:
    """The result of a verification, as data.

    Attributes:
        verdict: "parity", "mismatch" or "inconclusive".
        links: one verdict a link of the chain. reading: "proven", "declared", "assumed" or "contradicted" (the
            weakest of its claims), or "consistent" where golden samples allow it but do not prove it; build, save,
            export: "parity", "mismatch", "inconclusive" or "not checked".
        link_notes: for each link, what was checked and with what.
        layers: one row a step of the legacy program.
        claims: one row a convention.
        findings: most certain first; empty where parity holds.
        notes: equivalent forms, platform deviations, coverage, what was not checked.
        provenance: sources with their SHA-256, versions, seed, options.
        counterexample: the smallest input found that shows the first mistake, or None.
        after_remedy: the verdict of the layers once every remedy is applied, verified again; None without findings.
        pictures: arrays for renderers, by name; not part of the JSON.
        telling_inputs: one for each two readings of the file that the golden samples cannot tell apart: ``layer``,
            ``convention``, ``reading``, ``other``, and an ``input`` to be run through the original software, with the
            ``outputs`` that it has as the file is read and the ``other_outputs``.
        gradients: the port's Jacobian beside the legacy one; None where it was not asked for.
        witnesses: the port as it is and as other runtimes run it, where these were asked for; ``verdict`` is then the
            worst of theirs, and ``layers`` and ``links`` are those of the port as it is.
        when: the time of the verification, in UTC; not part of the JSON, which is the same for the same files.
    """

    verdict: Verdict
    links: Mapping[str, str]
    link_notes: Mapping[str, str]
    layers: tuple[LayerRow, ...]
    claims: tuple[Claim, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    counterexample: Mapping[str, Any] | None = None
    after_remedy: str | None = None
    pictures: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    telling_inputs: tuple[Mapping[str, Any], ...] = ()
    gradients: Gradients | None = None
    witnesses: tuple[Witness, ...] = ()
    when: str | None = field(default=None, compare=False)
