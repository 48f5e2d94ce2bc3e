"""What the pictures of learning show, painted on matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.learning.drift_model import LayerDrift, OutputDrift
from porter.report.plots import ALLOWED, CUMULATIVE, INK, ISOLATED, LINE

Array = NDArray[Any]

MOST_INPUTS = 24


def training(figure: Any, history: Mapping[str, Sequence[float]], best: int) -> None:
    """Loss and metrics after each epoch, training against validation, on a logarithmic axis, the best epoch marked."""
    names = [name for name in history if not name.startswith("val_") and name != "learning_rate"]
    axes = np.atleast_1d(figure.subplots(1, len(names)))
    for place, name in zip(axes, names, strict=True):
        for key, color, label in ((name, ISOLATED, "training"), (f"val_{name}", CUMULATIVE, "validation")):
            values = np.asarray(history.get(key, ()), np.float64)
            shown = np.isfinite(values) & (values > 0)
            if shown.any():
                place.plot(1 + np.flatnonzero(shown), values[shown], color=color, label=label, linewidth=1.3)
        place.axvline(1 + best, color=ALLOWED, linestyle="--", linewidth=1, label="best epoch")
        place.set_yscale("log")
        place.yaxis.set_major_formatter(_plain_number)
        place.yaxis.set_minor_formatter(lambda value, _: "")
        place.xaxis.get_major_locator().set_params(integer=True)
        place.grid(axis="y")
        place.set_title(name)
        place.set_xlabel("epoch")
    axes[0].legend()


def _plain_number(value: float, _: Any) -> str:
    """Not Matplotlib's own labels: they are mathematical text."""
    return f"{value:.0e}"


def layers(figure: Any, changes: Sequence[LayerDrift]) -> None:
    """Change of the arrays and of the outputs of each layer, on a logarithmic axis; frozen layers are hollow."""
    axes = figure.subplots()
    kinds = (("norm", "arrays (norm)", ISOLATED, "o"), ("cumulative", "outputs, in all", CUMULATIVE, "s"))
    values = [[getattr(change, name) or 0.0 for change in changes] for name, *_ in kinds]
    positive = [value for row in values for value in row if value > 0 and np.isfinite(value)]
    low = min(positive, default=1e-6) / 3
    for (_, label, color, marker), row in zip(kinds, values, strict=True):
        heights = np.clip(np.nan_to_num(np.array(row), posinf=1.0), low, None)
        axes.plot(range(len(changes)), heights, linestyle="", marker=marker, color=color, label=label, markersize=5)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: "0" if value <= low * 1.01 else f"{value:.0e}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.axhline(low, color=LINE, linewidth=1)
    axes.set_xlim(-0.6, len(changes) - 0.4)
    axes.text(-0.55, low, "no change", va="top", fontsize=7, color=INK)
    names = [f"{change.layer}*" if change.frozen else change.layer for change in changes]
    step = -(-len(names) // 40)
    crowded = len(names) > 8
    axes.set_xticks(range(len(names))[::step], [name[-22:] for name in names][::step], rotation=60 if crowded else 0)
    axes.grid(axis="y")
    axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))


def regions(figure: Any, grid: Array, names: Sequence[str], edges: Array) -> None:
    """Mean difference of the outputs, (inputs, bins), along the range of each input."""
    order = np.sort(np.argsort(-np.ptp(grid, axis=1), kind="stable")[:MOST_INPUTS])
    axes = figure.subplots()
    image = axes.imshow(100 * grid[order], cmap="viridis", aspect="auto", vmin=0, interpolation="nearest")
    labels = [f"{names[k]}  [{edges[k][0]:.3g}, {edges[k][-1]:.3g}]" for k in order]
    axes.set_yticks(range(len(order)), [label[-34:] for label in labels])
    axes.set_xticks([-0.5, grid.shape[1] / 2 - 0.5, grid.shape[1] - 0.5], ["lower end", "middle", "upper end"])
    axes.set_xlabel("range of the input")
    figure.colorbar(image, ax=axes, label="% of the outputs' range")


def outputs(figure: Any, rows: Sequence[OutputDrift]) -> None:
    """Root-mean-square error of both models at each output, on the samples."""
    axes = figure.subplots()
    place = np.arange(len(rows))
    for shift, name, color in ((-0.2, "legacy", ALLOWED), (0.2, "tuned", ISOLATED)):
        axes.bar(place + shift, [getattr(row, name) for row in rows], 0.4, color=color, label=name)
    lows = [np.nan if row.low is None else row.legacy + row.low for row in rows]  # type: ignore[operator]
    highs = [np.nan if row.high is None else row.legacy + row.high for row in rows]  # type: ignore[operator]
    axes.vlines(place + 0.2, lows, highs, color=INK, linewidth=1.2)
    step = -(-len(rows) // 24)
    axes.set_xticks(place[::step], [row.output[-18:] for row in rows][::step], rotation=60 if len(rows) > 6 else 0)
    axes.grid(axis="y")
    axes.set_ylabel("root-mean-square error")
    axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))


def trials(figure: Any, found: Sequence[Any]) -> None:
    """Validation loss of each trial against each number that was varied."""
    names = [name for name in found[0].values if isinstance(found[0].values[name], int | float)]
    grid = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    done = [trial for trial in found if trial.loss is not None and trial.loss > 0]
    for axes, name in zip(grid, names, strict=True):
        values = [trial.values.get(name, np.nan) for trial in done]
        losses = [trial.loss for trial in done]
        axes.plot(values[1:], losses[1:], linestyle="", marker="o", markersize=4, color=ISOLATED)
        axes.plot(values[:1], losses[:1], linestyle="", marker="D", markersize=6, color=CUMULATIVE)
        if all(value > 0 for value in values) and max(values) > 20 * min(values):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
            axes.xaxis.set_minor_formatter(lambda value, _: "")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_plain_number)
        axes.yaxis.set_minor_formatter(_plain_number)
        axes.set_xlabel(name)
        axes.grid(axis="y")
    grid[0].set_ylabel("validation loss")


def tried(
    figure: Any, errors: Array, values: Array, names: Sequence[str], fits: Sequence[bool], budget: float, label: str
) -> None:
    """Size or speed against error of everything that was tried, (trials,) each, the budget as a line."""
    axes = figure.subplots()
    for k, name in enumerate(names):
        place = (100 * errors[k], values[k])
        axes.plot(*place, marker="o" if fits[k] else "x", color=ISOLATED if fits[k] else CUMULATIVE, linestyle="")
        axes.annotate(name, place, xytext=(4, 3), textcoords="offset points", fontsize=8, color=INK)
    axes.axvline(100 * budget, color=ALLOWED, linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_ylim(0, 1.15 * values.max())
    axes.set_xlim(right=axes.get_xlim()[1] * 8)
    axes.grid()
    axes.set_xlabel("largest error, of the output's range")
    axes.set_ylabel(label)
