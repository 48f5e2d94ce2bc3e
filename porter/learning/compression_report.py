"""What was tried to make a network smaller: frozen, and shown like any other report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from porter.errors import ParityError
from porter.report.report import Report


@dataclass(frozen=True)
class Trial:
    """One smaller network.

    Attributes:
        method: how it was made.
        parameters: numbers that are not zero.
        size: bytes of the saved file, packed.
        worst: the largest error over the range of the output, on documented inputs and samples.
        most: what 99.9 % of the errors stay below.
        speed: rows a second through Keras on this machine.
        fits: whether the worst error is within the budget.
    """

    method: str
    parameters: int
    size: int
    worst: float
    most: float
    speed: float
    fits: bool


@dataclass(frozen=True)
class CompressionReport(Report):
    """A report on a network made smaller.

    The verdict is "parity" where what is left is proven to compute the same, "drift" where it stays within the budget,
    "mismatch" where nothing smaller does.

    Attributes:
        trials: everything that was tried; the first is the network as it was.
        chosen: the method of the smallest that fits; None where none does.
        budget: the largest error allowed, as a share of each output's range.
        removed: units and layers that change nothing, and why, a sentence each.
        title: what was made smaller.
    """

    trials: tuple[Trial, ...] = ()
    chosen: str | None = None
    budget: float = 0.0
    removed: tuple[str, ...] = ()
    title: str = ""

    def __str__(self) -> str:
        return render_compression(self)

    def to_html(self, path: Any) -> None:
        """Write the report as one self-contained HTML page, whole or not at all."""
        from porter.report.html import write_text

        write_text(path, render_compression_page(self))

    def _repr_html_(self) -> str:
        from html import escape

        page = escape(render_compression_page(self))
        return f'<iframe srcdoc="{page}" style="width:100%;height:40rem;border:0" title="{self.verdict}"></iframe>'

    def raise_for_mismatch(self) -> None:
        """Raise where nothing smaller stays within the budget.

        Raises:
            ParityError: the message is the report.
        """
        if self.verdict == "mismatch":
            raise ParityError(str(self))


def headline(report: CompressionReport) -> str:
    """One sentence: what came of it."""
    whole = report.trials[0]
    best = next((trial for trial in report.trials if trial.method == report.chosen), None)
    if best is None:
        return f"No smaller network that was tried stays within {report.budget:.3%} of the outputs' range."
    told = f"{best.method}: {best.size / 1000:,.1f} kB for {whole.size / 1000:,.1f}"
    if report.verdict == "parity":
        return f"{told}; it computes what the whole network does."
    return f"{told}; the outputs differ by at most {best.worst:.2%} of their range, within {report.budget:.3%}."


WORDS = {"parity": "PARITY", "drift": "WITHIN BUDGET", "mismatch": "OVER BUDGET", "inconclusive": "INCONCLUSIVE"}
STYLES = {"parity": "green", "drift": "cyan", "mismatch": "red"}


def render_compression(report: CompressionReport, width: int = 80, color: bool = False) -> str:
    """The report in plain words, the verdict first."""
    from porter.report.terminal import HEAD
    from porter.report.wording import flatten, printable

    console = Console(
        file=StringIO(), width=width, force_terminal=color, no_color=not color, highlight=False, markup=False,
        color_system="standard" if color else None, legacy_windows=False, emoji=False,
    )  # fmt: skip
    table = Table(box=HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="bold")
    for name, is_number in (("tried", False), ("numbers", True), ("kB", True), ("worst", True), ("99.9 %", True),
                            ("rows/s", True), ("", False)):  # fmt: skip
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for trial in report.trials:
        word = "chosen" if trial.method == report.chosen else "fits" if trial.fits else "over budget"
        word = "" if trial is report.trials[0] else word
        table.add_row(
            Text(printable(trial.method)), f"{trial.parameters:,}", f"{trial.size / 1000:,.1f}",
            f"{trial.worst:.3%}", f"{trial.most:.3%}", f"{trial.speed:,.0f}",
            Text(word, {"chosen": "green", "over budget": "red"}.get(word, "")),
        )  # fmt: skip
    with console.capture() as capture:
        console.print(Text(WORDS[report.verdict], style=f"bold {STYLES.get(report.verdict, 'yellow')}"))
        console.print(Text(printable(headline(report))))
        console.print()
        console.print(Padding(table, (0, 0, 0, 2)))
        for title, items in (("Changes nothing", report.removed), ("Notes", report.notes)):
            if items:
                console.print(Text(f"\n{title}", style="bold"))
                for item in items:
                    console.print(Padding(Text(f"- {printable(item)}"), (0, 0, 0, 2)))
        console.print(Text("\nProvenance", style="bold"))
        for key, value in flatten(report.provenance):
            console.print(Padding(Text(printable(f"{key}  {value}")), (0, 0, 0, 2)))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def render_compression_page(report: CompressionReport) -> str:
    """One page: the verdict, what was tried as a table and as a picture, what changes nothing."""
    from porter.report.html import environment
    from porter.report.wording import flatten

    shown, missing = _pictures(report)
    context = {
        "report": report,
        "word": WORDS[report.verdict],
        "mood": {"parity": "good", "mismatch": "bad"}.get(report.verdict, "moved"),
        "headline": headline(report),
        "pictures": shown,
        "missing": missing,
        "provenance": flatten(report.provenance),
    }
    return environment().get_template("compression.html").render(context)


def _pictures(report: CompressionReport) -> tuple[list[Any], str | None]:
    from porter.learning import drift_plots
    from porter.report.pictures import MISSING, STYLE, picture

    try:
        import matplotlib
    except ImportError:
        return [], MISSING
    trials = report.trials
    errors, sizes, speeds = (
        np.array([getattr(trial, name) for trial in trials], np.float64) for name in ("worst", "size", "speed")
    )
    names, fits = [trial.method for trial in trials], [trial.fits for trial in trials]

    def paint(values: Any, label: str) -> Callable[[Any], None]:
        return lambda figure: drift_plots.tried(figure, errors, values, names, fits, report.budget, label)

    with matplotlib.rc_context(STYLE):
        return [
            picture(paint(sizes / 1000, "kilobytes"), "Size against the largest error; the line is the budget.", 3.6),
            picture(paint(speeds, "rows a second"), "Speed against the largest error, on this machine.", 3.6),
        ], None
