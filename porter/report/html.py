"""A report as one self-contained HTML page."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from porter.report import wording
from porter.report.model import LayerRow, ReportData
from porter.report.pictures import draw
from porter.report.wording import number, printable

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


def render_html(report: ReportData) -> str:
    """One page: the verdict, the findings with their remedies, layers, pictures, chain, conventions, provenance.

    Nothing is loaded from anywhere and no script runs. Every text is escaped. Pictures are drawn where matplotlib is
    installed; where it is not, the page says so.
    """
    pictures = draw(report)
    cards = [
        (finding, wording.remedy_blocks(finding), wording.figures(report, finding), pictures.of(finding))
        for finding in report.findings
    ]
    context = {
        "report": report,
        "headline": wording.headline(report),
        "mended": wording.mended(report),
        "cards": cards,
        "rows": list(zip(report.layers, bars(report.layers), strict=True)),
        "pictures": pictures,
        "share": wording.share,
        "links": wording.links(report),
        "counts": wording.evidence_counts(report.claims),
        "unproven": wording.unproven(report.claims),
        "counterexample": wording.flatten(report.counterexample or {}),
        "provenance": wording.flatten(report.provenance),
    }
    return environment().get_template("page.html").render(context)


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
        "mood": mood,
        "number": number,
        "evidence": wording.EVIDENCE.__getitem__,
        "ratio": lambda value: value if isinstance(value, str) else f"{value:.3g}",
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
