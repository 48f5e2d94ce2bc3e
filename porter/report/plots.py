"""What the pictures of a report show, painted on matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.report.model import LayerRow
from porter.report.wording import printable

Array = NDArray[Any]

# Drawn in these colours, shown in the page's own, so that a picture follows light, dark and print.
INK, LINE, ISOLATED, CUMULATIVE, ALLOWED = "#010101", "#020202", "#030303", "#040404", "#050505"
LEGACY, PORT, BEYOND = "#060606", "#070707", "#080808"
COLORS = {
    INK: "var(--ink)",
    LINE: "var(--line)",
    ISOLATED: "var(--isolated)",
    CUMULATIVE: "var(--cumulative)",
    ALLOWED: "var(--allowed)",
    LEGACY: "var(--legacy)",
    PORT: "var(--port)",
    BEYOND: "var(--bad)",
}
MOST_POINTS = 1500
MOST_CIRCLES = 40
"""Entries up to which each that differs is circled: one in thousands, off by little, shows no colour of its own."""


def by_layer(figure: Any, rows: list[LayerRow]) -> None:
    """Isolated, cumulative and allowed error of each layer, on a logarithmic axis."""
    axes = figure.subplots()
    kinds = (("cumulative", CUMULATIVE, "s"), ("isolated", ISOLATED, "o"), ("allowed", ALLOWED, "_"))
    errors = np.array([[getattr(row, name) or 0.0 for row in rows] for name, _, _ in kinds], np.float64)
    heights = _log_heights(axes, errors)
    place = np.arange(len(rows))
    for (name, color, marker), height in zip(kinds, heights, strict=True):
        size = 14 if marker == "_" else 5
        axes.plot(place, height, marker=marker, color=color, markersize=size, linestyle="", label=name, mew=1.6)
    axes.vlines(place, axes.get_ylim()[0], heights[1], color=ISOLATED, linewidth=1)
    _layer_ticks(axes.xaxis, [row.layer for row in rows], crowded=len(rows) > 8)
    axes.grid(axis="y")
    axes.set_ylabel("absolute error")
    axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1))


def _log_heights(axes: Any, errors: Array) -> Array:
    """Heights on a logarithmic axis that also has a place for zero, below, and for what is not finite, above."""
    decades = np.log10(positive(errors)) if positive(errors).size else np.zeros(1)
    zero, endless = bool((errors == 0).any()), not np.isfinite(errors).all()
    low, high = int(np.floor(decades.min())) - zero, int(np.ceil(decades.max())) + endless
    ticks = list(range(low, high + 1))
    step = max(1, len(ticks) // 8)
    labels = [f"1e{decade:+03d}" if (decade - low) % step == zero % step else "" for decade in ticks]
    labels = ["0"] * zero + labels[zero : len(labels) - endless] + ["inf"] * endless
    axes.set_yscale("log")
    # Not Matplotlib's own labels: they are mathematical text, which is off because names come from files.
    axes.set_yticks(10.0 ** np.array(ticks), labels)
    axes.set_yticks([], minor=True)
    axes.set_ylim(10.0**low / 1.5, 10.0**high * 1.5)
    heights: Array = np.clip(np.nan_to_num(errors, nan=np.inf, posinf=np.inf), 10.0**low, 10.0**high)
    return heights


def _layer_ticks(axis: Any, names: list[str], crowded: bool) -> None:
    step = -(-len(names) // 40)
    labels = [_short(name) for name in names]
    axis.set_ticks(np.arange(len(names))[::step], labels[::step], rotation=60 if crowded else 0)


def spread(figure: Any, layers: Mapping[str, Array]) -> None:
    """A histogram a layer of error over allowed error, which must be positive, with the bound at 1."""
    axes = figure.subplots()
    decades = {name: np.clip(np.log10(errors), -8, None) for name, errors in layers.items()}
    least = np.floor(min(-1.0, *(values.min() for values in decades.values())))
    most = np.ceil(max(0.0, *(values.max() for values in decades.values())))
    bins = np.linspace(least, most, 1 + int(most - least) * max(1, round(60 / (most - least))))
    colors = np.where(bins[:-1] < -1e-9, ISOLATED, BEYOND)
    for place, values in enumerate(decades.values()):
        counts, _ = np.histogram(values, bins)
        seen = counts > 0
        height = 0.85 * counts[seen] / counts.max()
        axes.bar(bins[:-1][seen], height, np.diff(bins)[seen], place, align="edge", color=colors[seen])
    axes.axvline(0, color=INK, linewidth=1.2)
    axes.set_yticks(np.arange(len(layers)) + 0.3, [_short(name) for name in layers])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.15, len(layers))
    axes.set_xlim(least, most + 0.2)
    ticks = np.arange(least, most + 1, max(1, -(-(most - least) // 7)))
    axes.set_xticks(ticks, [f"1e{decade:+03.0f}" if decade else "1" for decade in ticks])
    axes.grid(axis="x")
    axes.set_xlabel("error / allowed error")


def scatter(figure: Any, expected: Array, actual: Array) -> None:
    """Expected against actual outputs, (rows, outputs) each."""
    axes = figure.subplots()
    x, y = expected.ravel(), actual.ravel()
    seen = np.isfinite(x) & np.isfinite(y)
    x, y = x[seen], y[seen]
    # The worst points always, of the others as many as a page can hold.
    order = np.argsort(-np.abs(y - x), kind="stable")
    kept = np.concatenate([order[: MOST_POINTS // 3], order[MOST_POINTS // 3 :: max(1, order.size // MOST_POINTS)]])
    axes.axline((0, 0), slope=1, color=LEGACY, linewidth=1)
    axes.plot(x[kept], y[kept], linestyle="", marker="o", markersize=2.5, color=PORT, alpha=0.6, mew=0)
    axes.grid()
    axes.set_xlabel("legacy (0 to 1: the output's range)")
    axes.set_ylabel("port")


def by_output(figure: Any, worst: Array) -> None:
    """The largest error of each output, (outputs,)."""
    axes = figure.subplots()
    place = np.arange(worst.size)
    heights = _log_heights(axes, worst)
    axes.vlines(place, axes.get_ylim()[0], heights, color=CUMULATIVE, linewidth=3 if worst.size < 60 else 1)
    axes.plot(place, heights, linestyle="", marker="o", markersize=3, color=CUMULATIVE)
    axes.grid(axis="y")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("output")
    axes.set_ylabel("error / range")


def kernels(figure: Any, stored: Array, found: Array) -> None:
    """Two kernels, (inputs, units), and their difference where the shapes agree."""
    parts = {"stored": stored, "found in the port": found}
    if stored.shape == found.shape:
        parts["difference"] = found - stored
    finite = np.concatenate([part[np.isfinite(part)] for part in parts.values()])
    limit = float(np.abs(finite).max(initial=0.0)) or 1.0
    axes = figure.subplots(1, len(parts), squeeze=False)[0]
    for place, (title, part) in zip(axes, parts.items(), strict=True):
        image = place.imshow(part, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        place.set_title(title)
        if title == "difference" and 0 < len(few := _few_entries(stored, found)) <= MOST_CIRCLES:
            place.plot(few[:, 1], few[:, 0], linestyle="", marker="o", markersize=9, mfc="none", mec=BEYOND, mew=1.4)
        place.xaxis.get_major_locator().set_params(integer=True)
        place.yaxis.get_major_locator().set_params(integer=True)
    axes[0].set_xlabel("unit")
    axes[0].set_ylabel("input")
    figure.colorbar(image, ax=list(axes), shrink=0.9)


def _few_entries(stored: Array, found: Array) -> Array:
    """(count, 2) places of the entries that differ by more than float32 rounds."""
    with np.errstate(invalid="ignore"):
        return np.argwhere(~(np.abs(found - stored) <= 2e-7 * np.abs(stored)))


def activation(figure: Any, z: Array, expected: Array, actual: Array) -> None:
    """An activation's curve and the points that the port gave, each (points,)."""
    axes = figure.subplots()
    order = np.argsort(z, kind="stable")[:: max(1, z.size // MOST_POINTS)]
    axes.plot(z[order], expected[order], color=LEGACY, linewidth=2.2, label="legacy")
    axes.plot(z[order], actual[order], linestyle="", marker="o", markersize=3, color=PORT, label="port")
    axes.grid()
    axes.set_xlabel("preactivation")
    axes.set_ylabel("output")
    axes.legend()


def positive(values: Array) -> Array:
    """The finite values above zero, (count,) float64."""
    array = np.ravel(np.asarray(values, np.float64))
    return array[np.isfinite(array) & (array > 0)]


def _short(name: str, most: int = 22) -> str:
    text = printable(name)
    return text if len(text) <= most else f"{text[: most - 1]}…"
