"""A report as one self-contained HTML page."""

from __future__ import annotations

import hashlib
import math
import os
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as escape_html

from porter.report import wording
from porter.report.model import Finding, LayerRow, ReportData
from porter.report.pictures import Pictures, draw
from porter.report.plots import positive
from porter.report.wording import number, printable

NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)")
MOODS = {
    "parity": "good",
    "proven": "good",
    "shape": "good",
    "samples": "good",
    "declared": "good",
    "mismatch": "bad",
    "contradicted": "bad",
    "not checked": "soft",
}
LEAST, MOST = -4.0, 4.0  # decades of isolated over allowed that every bar shows


@dataclass(frozen=True)
class Bar:
    """Isolated over allowed error on a logarithmic axis; ``width`` and ``bound`` in percent of the axis."""

    ratio: float
    width: float
    bound: float

    @property
    def over(self) -> bool:
        """Whether the error is more than the allowed one."""
        return not self.ratio <= 1

    @property
    def told(self) -> str:
        """The ratio in words."""
        return wording.margin(self.ratio)


def render_html(report: ReportData) -> str:
    """One page: what was verified, the verdict and the layers; then findings with their remedies, and all else.

    Nothing is loaded from anywhere, and no script runs but the page's own, named by its hash: it copies what is to be
    pasted, opens what is folded for print, and gives the frame of a notebook the page's height. Every text is escaped.
    Pictures are drawn where matplotlib is installed; where it is not, the page says so.
    """
    pictures = draw(report)
    templates = environment()
    script = templates.get_template("page.js").render()
    context = {
        "report": report,
        "headline": wording.headline(report),
        "tally": wording.tally(report),
        "sides": wording.sides(report),
        "dtypes": wording.dtypes(report),
        "typical": _typical(report),
        "overall": max(_typical(report).values(), default=None) if report.verdict == "parity" else None,
        "mended": wording.mended(report),
        "setting": wording.setting(report),
        "several": len(report.findings) > 1,
        "cards": _cards(report, pictures),
        "of_layer": _of_layer(report),
        "script": Markup(script),  # the template's own text
        "script_hash": f"sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        "rows": list(zip(report.layers, bars(report.layers), strict=True)),
        "compared": any(row.isolated is not None for row in report.layers),
        "pictures": pictures,
        "share": wording.share,
        "slopes": wording.slopes(report),
        "links": wording.links(report),
        "counts": wording.evidence_counts(report.claims),
        "unproven": wording.unproven(report.claims),
        "counterexample": wording.flatten(report.counterexample or {}),
        "provenance": wording.flatten(report.provenance),
    }
    return templates.get_template("page.html").render(context)


def _of_layer(report: ReportData) -> dict[str, list[tuple[int, Finding]]]:
    """Findings with their numbers, by layer."""
    found: dict[str, list[tuple[int, Finding]]] = {}
    for place, finding in enumerate(report.findings, start=1):
        found.setdefault(finding.layer, []).append((place, finding))
    return found


def _cards(report: ReportData, pictures: Pictures) -> list[tuple[Any, ...]]:
    """One a layer, in the order of their first findings: what its findings share, and each of them."""
    cards = []
    for layer, findings in _of_layer(report).items():
        told, remedies = [], dict[str, int]()
        for place, each in findings:
            first = remedies.setdefault(each.remedy, place)
            remedy = wording.remedy_blocks(each) if first == place else [(False, f"that of {first}")]
            figures = wording.figures(report, each)
            told.append((place, each, wording.cause_of(each), remedy, figures, pictures.of(each)))
        shared = next((facts for _, each in findings if (facts := wording.measured(report, each))), [])
        cards.append((layer, findings[0][1].port_layer, shared, told))
    return cards


def _typical(report: ReportData) -> dict[str, float]:
    """The largest error over allowed error of each layer on inputs of the network, where it was measured."""
    found = {name: positive(values) for name, values in report.pictures.get("scaled_errors", {}).items()}
    return {name: float(values.max()) if values.size else 0.0 for name, values in found.items()}


def figures(text: object) -> Markup:
    """A text whose numbers are not broken at the end of a line."""
    parts = NUMBER.split(printable(text))
    return Markup("").join(
        Markup('<span class="n">{}</span>').format(part) if at % 2 else escape_html(part)
        for at, part in enumerate(parts)
    )


def parts(name: object) -> Markup:
    """A name that may be broken at its dots and underscores, where it has no room in one line."""
    return Markup(re.sub(r"(?<=[._])", "<wbr>", str(escape_html(printable(name)))))


def render_frame(report: ReportData) -> str:
    """The page in a frame of its own, for a notebook: neither one's style touches the other's."""
    page = escape(render_html(report))
    return f'<iframe srcdoc="{page}" style="width:100%;height:40rem;border:0" title="{report.verdict}"></iframe>'


def bars(rows: Iterable[LayerRow]) -> list[Bar | None]:
    """A bar for each row that was compared, all on one axis."""
    ratios = [_ratio(row) for row in rows]
    decades = [math.log10(ratio) for ratio in ratios if ratio is not None and 0 < ratio < math.inf]
    most = max([MOST, *decades])

    def percent(decade: float) -> float:
        return round(100 * min(max((decade - LEAST) / (most - LEAST), 0), 1), 1)

    def width(ratio: float) -> float:
        return 0.0 if ratio == 0 else percent(math.log10(ratio) if ratio < math.inf else most)

    return [None if ratio is None else Bar(ratio, width(ratio), percent(0)) for ratio in ratios]


def _ratio(row: LayerRow) -> float | None:
    if row.isolated is None or row.allowed is None:
        return None
    if not math.isfinite(row.isolated) or row.allowed == 0:
        return 0.0 if row.isolated == 0 else math.inf
    return row.isolated / row.allowed


def mood(verdict: str) -> str:
    """The class that colours a verdict; one that is neither good nor bad is in doubt."""
    return MOODS.get(verdict, "soft" if verdict.startswith("folded") else "doubt")


def environment() -> Environment:
    """Templates that escape every text and spell out invisible characters."""
    templates = Environment(
        loader=PackageLoader("porter.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(value),
    )
    templates.filters |= {
        "figures": figures,
        "mood": mood,
        "parts": parts,
        "number": number,
        "evidence": wording.EVIDENCE.__getitem__,
        "ratio": lambda value: value if isinstance(value, str) else wording.margin(value),
    }
    return templates


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file whole or not at all."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
