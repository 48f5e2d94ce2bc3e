"""What every renderer says, in the same words and the same order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from porter.examination.pasting import is_code
from porter.network import Claim
from porter.report.json import plain
from porter.report.model import Finding, LayerRow, ReportData

if TYPE_CHECKING:  # it needs the whole examination, and `porter inspect` none of it
    from porter.examination.gradients import Slope

LINKS: Mapping[str, str] = {
    "reading": "is the file read as the original software reads it?",
    "build": "does the port compute what the legacy formula computes?",
    "save": "does the saved port, loaded again, still?",
    "export": "does the exported file, run by its own runtime, still?",
}

EVIDENCE: Mapping[str, str] = {
    "contradicted": "contradicted",
    "assumed": "assumed",
    "declared": "declared",
    "samples": "proven by golden samples",
    "shape": "proven by shape",
}

PROOF = "To prove it, give golden samples of the original software (--samples); or declare it."

REDUCED = ("float16", "bfloat16")
"""Formats whose rounding is coarser than that of float32, the usual one."""

READING = (
    "activation",
    "output_activation",
    "orientation",
    "scaling",
    "kind",
    "physical",
    "gains",
    "backend",
    "exact_activations",
)
"""Declarations that are options of ``porter.read`` under the same names."""

LISTED = 12
"""How many values of a list are shown to a person."""


def number(value: float | None) -> str:
    """Three significant digits; a dash where there is no number."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    return f"{value:.2e}" if math.isfinite(value) else str(value)


def margin(ratio: float) -> str:
    """An error over the allowed one in few digits, which never show 1 for what is not."""
    if not math.isfinite(ratio):
        return "beyond all bounds"
    if ratio in (0, 1):
        return f"{ratio:g}"
    if not 1e-3 <= ratio < 1e4:
        return f"{ratio:.1e}"
    shown = f"{ratio:.3g}" if 0.9 < ratio < 1.1 else f"{ratio:.2g}"
    if float(shown) == 1:
        return "> 0.999" if ratio < 1 else "> 1.00"
    return shown if ratio < 100 else f"{ratio:.0f}"


def share(exceeding: int, elements: int) -> str:
    """``"1,200 of 2,000 (60 %)"``; never rounds a few down to none, nor most up to all."""
    percent = 100 * exceeding / elements if elements else 0.0
    digits = f"{percent:.3g}" if f"{percent:.0f}" != "100" or exceeding == elements else "> 99"
    return f"{exceeding:,} of {elements:,} ({digits} %)"


def printable(text: object) -> str:
    """The text without control, direction or other invisible characters, which are spelled out instead."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in str(text))


def links(report: ReportData) -> list[tuple[str, str, str, str]]:
    """(link, its question, verdict, evidence) in the order of the chain."""
    names = [*LINKS, *(name for name in report.links if name not in LINKS)]
    return [
        (name, LINKS.get(name, ""), report.links.get(name, "not checked"), report.link_notes.get(name, ""))
        for name in names
    ]


def headline(report: ReportData) -> str:
    """One sentence: what was found, and where."""
    if report.verdict == "parity":
        return _parity(report)
    if report.findings:
        first = report.findings[0]
        named = first.message.startswith(first.layer)
        return first.message if named else f"{first.layer}: {first.message}"
    layers = [row.layer for row in report.layers if row.verdict == "mismatch"]
    if layers:
        return f"{series(layers)}: the port differs by more than rounding explains."
    apart = [one.name for one in report.witnesses if one.verdict == "mismatch"]
    if report.verdict == "mismatch" and apart:
        return f"As run by {series(apart)}, the port differs by more than rounding explains."
    return _inconclusive(report)


def _parity(report: ReportData) -> str:
    assumed = sum(claim.evidence == "assumed" for claim in report.claims)
    reduced = [dtype for dtype in dtypes(report) if dtype in REDUCED]
    within = f", within the rounding of {series(reduced)}" if reduced else ", within rounding"
    sentence = f"The port computes what the legacy formula computes{within}, wherever it was compared."
    if assumed:
        sentence += f" That formula rests on {plural(assumed, 'assumed convention')}: see below."
    return sentence


def _inconclusive(report: ReportData) -> str:
    layers = [row.layer for row in report.layers if row.verdict == "uncompared"]
    if layers:
        return f"{series(layers)}: not compared, so parity is not shown."
    contradicted = [claim.layer for claim in report.claims if claim.evidence == "contradicted"]
    if contradicted:
        return f"{series(contradicted)}: a convention is contradicted, so parity is not shown."
    return "Parity is neither shown nor refuted; the notes say what is missing."


def dtypes(report: ReportData) -> list[str]:
    """In which the layers compute, each once, in their order."""
    return list(dict.fromkeys(row.dtype for row in report.layers if row.dtype is not None))


def sides(report: ReportData) -> tuple[str, str] | None:
    """Names of the legacy file and of the port, without their folders; None where nothing says them."""
    legacy, port = report.provenance.get("legacy"), report.provenance.get("port")
    if not isinstance(legacy, str):
        return None
    return Path(legacy).name, Path(port).name if isinstance(port, str) else "a model in memory"


def tally(report: ReportData) -> str | None:
    """``"5 mistakes in 4 of 7 layers"``; None where there is none."""
    if not report.findings:
        return None
    layers = len({finding.layer for finding in report.findings})
    return f"{plural(len(report.findings), 'mistake')} in {layers} of {plural(len(report.layers), 'layer')}"


def cause_of(finding: Finding) -> str:
    """What is wrong, without the layer, which stands beside it."""
    return finding.message.removeprefix(f"{finding.layer}: ")


def mended(report: ReportData) -> str | None:
    """What becomes of the port once every remedy is applied; None where that was not tried."""
    if report.after_remedy is None:
        return None
    remedies = "the remedy" if len(report.findings) == 1 else "all remedies"
    return f"With {remedies} applied, the port was verified again: {report.after_remedy}."


def facts(report: ReportData, finding: Finding) -> list[tuple[str, str]]:
    """The facts of a finding, always in this order; those that were not measured are left out."""
    port = f" (port: {', '.join(finding.port_layer)})" if finding.port_layer else ""
    cause = cause_of(finding) if finding.certain else f"{cause_of(finding)} (another explanation is left)"
    first = next(other for other in report.findings if other.layer == finding.layer)
    told = [("layer", finding.layer + port), *(measured(report, finding) if first == finding else [])]
    told += [("cause", cause), *(_evidence(finding) if _is_own(report, finding) else [])]
    return [*told, ("remedy", finding.remedy), *(_afterwards(report, finding) if _is_own(report, finding) else [])]


def figures(report: ReportData, finding: Finding) -> list[tuple[str, str]]:
    """The facts of a finding alone, beside layer, cause and remedy."""
    return [*_evidence(finding), *_afterwards(report, finding)] if _is_own(report, finding) else []


def _is_own(report: ReportData, finding: Finding) -> bool:
    """Whether its evidence is not what another finding of its layer has said before it."""
    first = next(
        other for other in report.findings if (other.layer, other.evidence) == (finding.layer, finding.evidence)
    )
    return first == finding


def measured(report: ReportData, finding: Finding) -> list[tuple[str, str]]:
    """The figures of its layer, which findings of one layer share; none of a finding on what is not its outputs."""
    return [] if finding.code.startswith(("reading.", "gradient.")) else _measured(_row(report, finding))


def slopes(report: ReportData) -> list[Slope]:
    """Rows on the derivatives of layers and of outputs; none where gradients were not asked for."""
    return [] if report.gradients is None else [*report.gradients.layers, *report.gradients.outputs]


def remedy_blocks(finding: Finding) -> list[tuple[bool, str]]:
    """(whether it is code to paste, text), in order."""
    lines = [line for line in finding.remedy.splitlines() if line.strip()]
    return [
        (code, dedent("\n".join(line if code else line.removeprefix("# ") for line in block)))
        for code, block in groupby(lines, key=_is_code)
    ]


def setting(report: ReportData) -> str | None:
    """Python that makes ``model`` and ``network``, on which remedies are pasted; None where there are none to paste."""
    if not any(code for finding in report.findings for code, _ in remedy_blocks(finding)):
        return None
    told = report.provenance.get("declarations", {})
    declared = "".join(f", {key}={value!r}" for key, value in told.items() if key in READING)
    recipe = report.provenance.get("recipe")
    if isinstance(recipe, str):  # it declares them, and more
        declared = f", recipe={recipe!r}"
    path, port = report.provenance.get("legacy"), report.provenance.get("port")
    lines = ["import keras", "import porter"]
    if not isinstance(path, str):
        return "\n".join([*lines, "# network and model are what was given to porter.verify"])
    lines.append(f"network = porter.read({path!r}{declared})")
    if not isinstance(port, str):
        return "\n".join([*lines, "# model is the keras.Model that was given to porter.verify"])
    if Path(port).suffix.lower() not in (".keras", ".h5", ".hdf5"):
        return "\n".join([*lines, f"model = {port!r}  # as a path: porter.verify opens it"])
    return "\n".join([*lines, f"model = keras.models.load_model({port!r}, compile=False)"])


def _is_code(line: str) -> bool:
    """Indented, or a line of Python (which a recipe's lines are as well); sentences are neither."""
    return line[0].isspace() or is_code(line)


def _row(report: ReportData, finding: Finding) -> LayerRow | None:
    return next((row for row in report.layers if row.layer == finding.layer), None)


def _measured(row: LayerRow | None) -> list[tuple[str, str]]:
    if row is None or row.isolated is None:
        return []
    place = f" at {row.where}" if row.where else ""
    told = [
        ("elements", f"{share(row.exceeding, row.elements)} differ by more than rounding explains"),
        ("worst", f"{number(row.isolated)}{place}; allowed {number(row.allowed)}"),
    ]
    if row.rtol is not None:
        told.append(("would pass", f"rtol={number(row.rtol)}, relative to the unit's range"))
    return told


def _evidence(finding: Finding) -> list[tuple[str, str]]:
    return [("evidence", finding.evidence)] if finding.evidence else []


def _afterwards(report: ReportData, finding: Finding) -> list[tuple[str, str]]:
    error = report.pictures.get("after_remedy", {}).get(finding.layer)
    return [] if error is None else [("afterwards", f"{number(error)} is the worst error after the remedy")]


def evidence_counts(claims: Iterable[Claim]) -> str:
    """``"1 assumed, 12 proven by shape"``, weakest first."""
    held = [claim.evidence for claim in claims]
    return ", ".join(f"{held.count(kind)} {words}" for kind, words in EVIDENCE.items() if kind in held)


def unproven(claims: Iterable[Claim]) -> list[tuple[str, str]]:
    """(what is contradicted or assumed, how to prove it), layers that share a convention in one sentence."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for kind in ("contradicted", "assumed"):
        for claim in (claim for claim in claims if claim.evidence == kind):
            key = (kind, claim.convention, claim.value, claim.detail)
            groups.setdefault(key, []).append(claim.layer)
    return [
        (f"{kind.capitalize()}: the {convention} of {series(layers)} is {value}.", detail if detail else PROOF)
        for (kind, convention, value, detail), layers in groups.items()
    ]


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested mapping as (dotted key, text) pairs, in its own order, without what is not known."""
    pairs: list[tuple[str, str]] = []
    for key, value in ((key, value) for key, value in mapping.items() if value is not None):
        name = f"{prefix}{key}"
        pairs += flatten(value, f"{name}.") if isinstance(value, Mapping) else [(name, _listed(plain(value)))]
    return pairs


def _listed(value: Any) -> str:
    """A list in full, or its beginning where it is long; the JSON has the rest."""
    if not isinstance(value, list):
        return str(value)
    shown = ", ".join(map(str, value[:LISTED]))
    return shown if len(value) <= LISTED else f"{shown}, ... ({len(value)} in all)"


def series(names: Iterable[str]) -> str:
    """``"a, b and c"``, each name once."""
    *most, last = dict.fromkeys(names)
    return f"{', '.join(most)} and {last}" if most else last


def plural(count: int, noun: str) -> str:
    """``"1 layer"``, ``"2 layers"``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
