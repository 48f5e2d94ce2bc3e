"""A drift report as text for a terminal or a log."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from porter.learning.drift_model import DriftData, LayerDrift, OutputDrift, headline
from porter.report.terminal import HEAD
from porter.report.wording import flatten, plural, printable

STYLES = {
    "parity": "green",
    "identical": "green",
    "better": "green",
    "mismatch": "red",
    "frozen, moved": "red",
    "worse": "red",
    "drift": "cyan",
    "moved": "cyan",
}
MOST_OUTPUTS, MOST_TRIALS = 12, 10
WORDS = {"parity": "UNCHANGED", "mismatch": "MOVED", "inconclusive": "INCONCLUSIVE", "drift": "DRIFT"}
"""Parity is a word about ports; a tuned network that has not moved is unchanged."""


def render_drift(report: DriftData, width: int = 80, color: bool = False) -> str:
    """The report in plain words, the verdict first.

    Args:
        report: what to show.
        width: columns.
        color: whether to write ANSI colours.
    """
    console = Console(
        file=StringIO(), width=width, force_terminal=color, no_color=not color, highlight=False, markup=False,
        color_system="standard" if color else None, legacy_windows=False, emoji=False,
    )  # fmt: skip
    with console.capture() as capture:
        console.print(Text(WORDS[report.verdict], style=f"bold {STYLES.get(report.verdict, 'yellow')}"))
        console.print(_text(headline(report)))
        for finding in report.findings:
            console.print(_text(f"\n{finding.code}: {finding.message}; {finding.evidence}.\n  to do: {finding.remedy}"))
        _trials(console, report.trials)
        _layers(console, report.changes)
        _outputs(console, report.outputs)
        _bullets(console, "Where the two differ most", report.regions)
        _bullets(console, "Notes", report.notes)
        _pairs(console, "Provenance", flatten(report.provenance))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _text(text: object, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _title(console: Console, title: str) -> None:
    console.print()
    console.print(_text(title, "bold"))


def _table(*headings: tuple[str, bool]) -> Table:
    table = Table(box=HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="bold")
    for heading, is_number in headings:
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    return table


def short(value: float | None) -> str:
    """Two significant digits; a dash where there is no number."""
    return "-" if value is None else "0" if value == 0 else f"{value:.1e}"


def _trials(console: Console, trials: tuple[Any, ...]) -> None:
    """The best of a search, a line each."""
    if not trials:
        return
    _title(console, f"Trials: the best of {len(trials)}, by validation loss")
    table = _table(("loss", True), ("epochs", True), ("what was varied", False))
    for trial in trials[:MOST_TRIALS]:
        values = (f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}"
                  for name, value in trial.values.items())  # fmt: skip
        loss = short(trial.loss) if trial.loss is not None else trial.status.lower()
        table.add_row(loss, str(trial.epochs), _text(", ".join(values)))
    console.print(Padding(table, (0, 0, 0, 2)))


def _layers(console: Console, changes: tuple[LayerDrift, ...]) -> None:
    _title(console, "Layers: change of the arrays, and of the outputs over their range")
    has_samples = any(change.on_samples is not None for change in changes)
    numbers = ["changed", "norm", "largest", "alone", "in all", *(["samples"] if has_samples else [])]
    table = _table(("layer", False), *((name, True) for name in numbers), ("", False))
    for change in changes:
        share = "-" if not change.weights else f"{change.changed / change.weights:.0%}"
        values = [change.norm, change.largest, change.isolated, change.cumulative]
        values += [change.on_samples] if has_samples else []
        verdict = "frozen" if change.frozen and change.identical else change.verdict
        cells = [_text(share), *(_text(short(value)) for value in values)]
        table.add_row(_text(change.layer), *cells, _text(verdict, STYLES.get(change.verdict, "yellow")))
    console.print(Padding(table, (0, 0, 0, 2)))


def _outputs(console: Console, outputs: tuple[OutputDrift, ...]) -> None:
    if not outputs:
        return
    known = outputs[0].legacy is not None
    told = ": root-mean-square error on the samples, and the 95 % interval of its change"
    _title(console, f"Outputs{told if known else ''}")
    errors = [(name, True) for name in ("legacy", "tuned", "from", "to")] if known else []
    table = _table(("output", False), *errors, ("moved", True), *([("", False)] if known else []))
    most = sorted(outputs[1:], key=lambda row: -row.moved)[:MOST_OUTPUTS]
    shown = [row for row in outputs if row is outputs[0] or any(row is one for one in most)]
    for row in shown:
        cells = [_text(short(value)) for value in (row.legacy, row.tuned, row.low, row.high)] if known else []
        end = [_text(row.verdict, STYLES.get(row.verdict, ""))] if known else []
        table.add_row(_text(row.output), *cells, _text(f"{row.moved:.2%}"), *end)
    console.print(Padding(table, (0, 0, 0, 2)))
    left = len(outputs) - len(shown)
    if left:
        console.print(_text(f"  ({plural(left, 'more output')} moved less; --json has them all)"))


def _bullets(console: Console, title: str, items: tuple[str, ...]) -> None:
    if items:
        _title(console, title)
        _grid(console, [("-", item) for item in items], 1)


def _pairs(console: Console, title: str, pairs: list[tuple[str, str]]) -> None:
    if pairs:
        _title(console, title)
        _grid(console, pairs, 2)


def _grid(console: Console, pairs: list[tuple[str, str]], gap: int) -> None:
    grid = Table.grid(padding=(0, gap, 0, 0), pad_edge=False)
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    for key, value in pairs:
        grid.add_row(_text(key), _text(value))
    console.print(Padding(grid, (0, 0, 0, 2)))
