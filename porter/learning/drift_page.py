"""A drift report as one self-contained HTML page, with its pictures; and pictures of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from porter.learning import drift_plots
from porter.learning.drift_model import DriftData, headline
from porter.learning.drift_text import WORDS
from porter.report.html import environment, write_text
from porter.report.pictures import MISSING, STYLE, Picture, picture
from porter.report.wording import flatten

MOST_OUTPUTS = 40


def render_page(report: DriftData) -> str:
    """One page: the verdict, layers, outputs, where the two differ, pictures.

    Nothing is loaded from anywhere and no script runs. Every text is escaped.
    """
    shown, missing = draw(report)
    context = {
        "report": report,
        "word": WORDS[report.verdict],
        "mood": {"parity": "good", "mismatch": "bad", "drift": "moved"}.get(report.verdict, "doubt"),
        "headline": headline(report),
        "pictures": shown,
        "missing": missing,
        "known": bool(report.outputs) and report.outputs[0].legacy is not None,
        "has_samples": any(change.on_samples is not None for change in report.changes),
        "provenance": flatten(report.provenance),
    }
    return environment().get_template("drift.html").render(context)


def draw(report: DriftData) -> tuple[list[Picture], str | None]:
    """The pictures, and why there are none."""
    try:
        import matplotlib
    except ImportError:
        return [], MISSING
    with matplotlib.rc_context(STYLE):
        return list(_pictures(report)), None


def _pictures(report: DriftData) -> Iterator[Picture]:
    if len([trial for trial in report.trials if trial.loss]) > 1:
        caption = "What the search tried: validation loss against each number that was varied; the diamond is the best."
        yield picture(lambda figure: drift_plots.trials(figure, report.trials), caption, 2.8)
    if report.history:
        yield _training(report.history["values"], report.history["best_epoch"])
    if any(change.norm or change.cumulative for change in report.changes):
        caption = "How far each layer has moved: its arrays, and its outputs over their range. A star: meant to stay."
        yield picture(lambda figure: drift_plots.layers(figure, report.changes), caption, 3.2)
    rows = [row for row in report.outputs[1:] if row.legacy is not None][:MOST_OUTPUTS]
    if rows:
        caption = "Root-mean-square error of each output on the samples; the line is the 95 % interval of the change."
        yield picture(lambda figure: drift_plots.outputs(figure, rows), caption, 3.2)
    found = report.pictures.get("regions")
    if found is not None and found["grid"].max() > 0:
        caption = "Where in the range of each input the two differ: mean over the outputs, each over its range."
        height = 1.4 + 0.24 * min(len(found["grid"]), drift_plots.MOST_INPUTS)
        yield picture(lambda figure: drift_plots.regions(figure, **found), caption, height)


def _training(history: Mapping[str, Any], best: int) -> Picture:
    caption = "Loss and metrics after each epoch, training against validation; the dashed line is the best epoch."
    return picture(lambda figure: drift_plots.training(figure, history, best), caption, 2.8)


def write_history_plot(path: Path, history: Mapping[str, Any], best: int) -> bool:
    """Write the plot of a training as SVG of its own; whether it could be drawn."""
    return write_picture(path, lambda: _training(history, best))


def write_picture(path: Path, make: Callable[[], Picture]) -> bool:
    """Write a picture as SVG in colours of its own; whether it could be drawn."""
    try:
        import matplotlib
    except ImportError:
        return False
    with matplotlib.rc_context(STYLE):
        svg = str(make().svg)
    for name, color in _paper().items():
        svg = svg.replace(f"var({name})", color)
    write_text(path, svg)
    return True


def _paper() -> dict[str, str]:
    """The colours of the page on paper, by name, as its style has them: a picture that stands alone has no style."""
    style = resources.files("porter.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    root = style[style.index(":root") : style.index("}")]
    return {name: color for name, color in re.findall(r"(--[\w-]+):\s*(#[0-9a-fA-F]{3,8})", root)}
