"""A report as text for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

from rich.box import Box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from porter.report import wording
from porter.report.model import Finding, LayerRow, ReportData
from porter.report.wording import number, printable

STYLES = {
    "parity": "green",
    "proven": "green",
    "consistent": "yellow",
    "mismatch": "red",
    "contradicted": "red",
    "not checked": "dim",
}
DOUBT = "yellow"
FACT = 10  # columns of a fact's name

# A ruled head in ASCII: the text must survive any pipe and any code page.
HEAD = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def render_text(report: ReportData, width: int = 80, color: bool = False) -> str:
    """The report in plain words, the verdict first.

    Args:
        report: what to show.
        width: columns; code to paste is never broken.
        color: whether to write ANSI colours.

    Returns:
        Lines that end in a newline.
    """
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as capture:
        _verdict(console, report)
        _findings(console, report)
        if report.verdict == "inconclusive":  # they say what is missing
            _notes(console, report)
        _layers(console, report.layers)
        _gradients(console, report)
        _witnesses(console, report)
        _chain(console, report)
        _claims(console, report)
        if report.verdict != "inconclusive":
            _notes(console, report)
        _pairs(console, "Counterexample", wording.flatten(report.counterexample or {}))
        _pairs(console, "Provenance", wording.flatten(report.provenance))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def style(verdict: str) -> str:
    """The style of a verdict; one that is neither good nor bad is in doubt."""
    return STYLES.get(verdict, "dim" if verdict.startswith("folded") else DOUBT)


def _text(text: object, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _title(console: Console, title: str) -> None:
    console.print()
    console.print(_text(title, "bold"))


def _verdict(console: Console, report: ReportData) -> None:
    console.print(_text(report.verdict.upper(), f"bold {style(report.verdict)}"))
    console.print(_text(wording.headline(report)))
    tally = wording.tally(report)
    if tally is not None and len(report.findings) > 1:
        console.print(_text(f"{tally}."))
    mended, setting = wording.mended(report), wording.setting(report)
    if mended is not None:
        console.print(_text(mended))
    if setting is not None:
        _title(console, "Before a remedy is pasted")
        _unbroken(console, None, setting)


def _findings(console: Console, report: ReportData) -> None:
    for index, finding in enumerate(report.findings, 1):
        _title(console, f"Finding {index} of {len(report.findings)}: {finding.code}")
        _finding(console, report, finding)


def _finding(console: Console, report: ReportData, finding: Finding) -> None:
    for name, text in wording.facts(report, finding):
        if name == "remedy":
            _remedy(console, finding)
        else:
            _fact(console, name, text)


def _remedy(console: Console, finding: Finding) -> None:
    for index, (code, text) in enumerate(wording.remedy_blocks(finding)):
        show = _unbroken if code else _fact
        show(console, "" if index else "remedy", text)


def _fact(console: Console, name: str, text: str) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(width=FACT)
    grid.add_column(overflow="fold")
    grid.add_row(_text(name), _text(text))
    console.print(Padding(grid, (0, 0, 0, 2)))


def _unbroken(console: Console, name: str | None, code: str) -> None:
    for index, line in enumerate(code.splitlines()):
        lead = f"{'' if index else name:<{FACT}}  " if name is not None else ""
        console.print(_text(f"  {lead}{line}"), soft_wrap=True)


def _layers(console: Console, rows: tuple[LayerRow, ...]) -> None:
    _title(console, "Layers")
    table = Table(box=HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="bold")
    for heading in ("layer", "port layer"):
        table.add_column(heading, overflow="fold")
    for heading in ("isolated", "allowed", "cumulative"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for row in rows:
        port = _text(", ".join(row.port_layer) if row.port_layer else "-")
        errors = (_text(number(value)) for value in (row.isolated, row.allowed, row.cumulative))
        table.add_row(_text(row.layer), port, *errors, _text(row.verdict, style(row.verdict)))
    console.print(Padding(table, (0, 0, 0, 2)))


def _gradients(console: Console, report: ReportData) -> None:
    if report.gradients is None:
        return
    _title(console, f"Gradients: {report.gradients.verdict}")
    table = Table(box=HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("derivatives of", overflow="fold")
    for heading in ("largest", "apart", "worst", "allowed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for one in wording.slopes(report):
        figures = (_text(number(value)) for value in (one.size, one.difference, one.error, one.allowed))
        table.add_row(_text(one.name), *figures, _text(one.verdict, style(one.verdict)))
    if table.row_count:
        console.print(Padding(table, (0, 0, 0, 2)))
    _bullets(console, None, [(report.gradients.note, "")])


def _witnesses(console: Console, report: ReportData) -> None:
    if not report.witnesses:
        return
    _title(console, "Witnesses")
    table = Table(box=HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="bold")
    for heading in ("runtime", "run by"):
        table.add_column(heading, overflow="fold")
    table.add_column("error", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for one in report.witnesses:
        cells = (_text(one.name), _text(one.run_by), _text(number(one.error)))
        table.add_row(*cells, _text(one.verdict, style(one.verdict)))
    console.print(Padding(table, (0, 0, 0, 2)))


def _chain(console: Console, report: ReportData) -> None:
    _title(console, "Chain")
    grid = _columns(3)
    for name, question, verdict, note in wording.links(report):
        grid.add_row(_text(name), _text(verdict, style(verdict)), _text(note if note else question))
    console.print(Padding(grid, (0, 0, 0, 2)))


def _claims(console: Console, report: ReportData) -> None:
    if not report.claims:
        return
    _title(console, f"Conventions: {wording.evidence_counts(report.claims)}")
    _bullets(console, None, wording.unproven(report.claims))


def _notes(console: Console, report: ReportData) -> None:
    _bullets(console, "Notes", ((note, "") for note in report.notes))


def _bullets(console: Console, title: str | None, items: Iterable[tuple[str, str]]) -> None:
    items = list(items)
    if not items:
        return
    if title is not None:
        _title(console, title)
    _grid(console, (("-", f"{item} {detail}".rstrip()) for item, detail in items), gap=1)


def _pairs(console: Console, title: str, pairs: Iterable[tuple[str, str]]) -> None:
    pairs = list(pairs)
    if pairs:
        _title(console, title)
        _grid(console, pairs)


def _grid(console: Console, pairs: Iterable[tuple[str, str]], gap: int = 2) -> None:
    grid = _columns(2, gap)
    for key, value in pairs:
        grid.add_row(_text(key), _text(value))
    console.print(Padding(grid, (0, 0, 0, 2)))


def _columns(count: int, gap: int = 2) -> Table:
    grid = Table.grid(padding=(0, gap, 0, 0), pad_edge=False)
    for _ in range(count):
        grid.add_column(overflow="fold")
    return grid
