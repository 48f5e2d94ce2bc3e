"""Pictures of a report as SVG, drawn by matplotlib where it is installed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from porter.report.model import Finding, LayerRow, Report
from porter.report.wording import printable

Array = NDArray[Any]

# Drawn in these colours, shown in the page's own, so that a picture follows light, dark and print.
INK, LINE, ISOLATED, CUMULATIVE, ALLOWED = "#010101", "#020202", "#030303", "#040404", "#050505"
COLORS = {
    INK: "var(--ink)",
    LINE: "var(--line)",
    ISOLATED: "var(--isolated)",
    CUMULATIVE: "var(--cumulative)",
    ALLOWED: "var(--allowed)",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
OF_KERNELS = ("kernel", "units", "inputs", "outputs", "layers", "unexplained")
MOST_LAYERS = 16
MOST_POINTS = 1500
MISSING = "The pictures are not drawn: matplotlib is not installed (pip install matplotlib)."


@dataclass(frozen=True)
class Picture:
    """An SVG element and what it shows."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Pictures:
    """Those of the whole report, those of each finding, and why there are none."""

    general: list[Picture] = field(default_factory=list)
    findings: list[tuple[Finding, Picture]] = field(default_factory=list)
    missing: str | None = None

    def of(self, finding: Finding) -> list[Picture]:
        """The pictures of one finding."""
        return [picture for owner, picture in self.findings if owner is finding]


def draw(report: Report) -> Pictures:
    """Every picture that the report has the arrays for and that says something."""
    try:
        import matplotlib
    except ImportError:
        return Pictures(missing=MISSING)
    with matplotlib.rc_context(STYLE):
        return Pictures(list(_general(report)), list(_by_finding(report)))


def _general(report: Report) -> Iterator[Picture]:
    arrays = report.pictures
    compared = [row for row in report.layers if row.isolated is not None]
    if any(row.isolated or row.cumulative for row in compared):
        caption = "Error by layer. What is judged is the isolated error, against the allowed one."
        yield _picture(lambda figure: _by_layer(figure, compared), caption, 3.2)
    scaled = {name: _positive(errors) for name, errors in arrays.get("scaled_errors", {}).items()}
    scaled = {name: errors for name, errors in scaled.items() if errors.size}
    if scaled:
        shown = sorted(scaled, key=lambda name: -scaled[name].max())[:MOST_LAYERS]
        rows = {name: scaled[name] for name in reversed(scaled) if name in shown}
        caption = "How the errors of each layer are spread, as multiples of the allowed error; 1 is the bound."
        caption += f" The worst {MOST_LAYERS} of {len(scaled)} layers." if len(scaled) > MOST_LAYERS else ""
        yield _picture(lambda figure: _spread(figure, rows), caption, 1.2 + 0.38 * len(rows))
    if "outputs" in arrays:
        yield from _outputs(arrays["outputs"])


def _outputs(outputs: Mapping[str, Array]) -> Iterator[Picture]:
    expected, actual = (_columns(outputs[side]) for side in ("expected", "actual"))
    if expected.shape != actual.shape or not expected.size:
        return
    expected, actual = _scaled(expected, actual)
    yield _picture(
        lambda figure: _scatter(figure, expected, actual),
        "Legacy against port at the outputs, each output scaled to its own range.",
        3.6,
    )
    error = np.abs(actual - expected)
    worst = np.where(np.isfinite(error), error, 0).max(axis=0)
    if expected.shape[1] > 1 and worst.any():
        caption = "Largest error of each output, relative to its own range."
        yield _picture(lambda figure: _by_output(figure, worst), caption, 2.8)


def _by_finding(report: Report) -> Iterator[tuple[Finding, Picture]]:
    kernels, activations = report.pictures.get("kernels", {}), report.pictures.get("activations", {})
    for finding in report.findings:
        family = finding.code.split(".")[0]
        kernel, curve = kernels.get(finding.layer), activations.get(finding.layer)
        if kernel is not None and family in OF_KERNELS:
            yield finding, _kernel_picture(kernel)
        if curve is not None and family == "activation":
            yield finding, _activation_picture(curve)


def _kernel_picture(kernel: Mapping[str, Array]) -> Picture:
    stored, found = (np.atleast_2d(np.asarray(kernel[side], np.float64)) for side in ("stored", "found"))
    caption = "The kernel, (inputs, units): as the file has it, as the port has it, and the difference."
    if stored.shape != found.shape:
        caption = "The kernel, (inputs, units): as the file has it and as the port has it; the shapes differ."
    return _picture(lambda figure: _kernels(figure, stored, found), caption, 2.6)


def _activation_picture(curve: Mapping[str, Array]) -> Picture:
    z, expected, actual = (np.ravel(np.asarray(curve[side], np.float64)) for side in ("z", "expected", "actual"))
    caption = "The activation: the curve of the legacy layer, and what the port's layer gave for the same values."
    return _picture(lambda figure: _activation(figure, z, expected, actual), caption, 3.0)


def _by_layer(figure: Any, rows: list[LayerRow]) -> None:
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
    decades = np.log10(_positive(errors)) if _positive(errors).size else np.zeros(1)
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


def _spread(figure: Any, layers: Mapping[str, Array]) -> None:
    axes = figure.subplots()
    decades = {name: np.clip(np.log10(errors), -8, None) for name, errors in layers.items()}
    least = np.floor(min(-1.0, *(values.min() for values in decades.values())))
    most = np.ceil(max(0.0, *(values.max() for values in decades.values())))
    bins = np.linspace(least, most, 1 + int(most - least) * max(1, round(60 / (most - least))))
    colors = np.where(bins[:-1] < -1e-9, ISOLATED, CUMULATIVE)
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


def _scatter(figure: Any, expected: Array, actual: Array) -> None:
    axes = figure.subplots()
    x, y = expected.ravel(), actual.ravel()
    seen = np.isfinite(x) & np.isfinite(y)
    x, y = x[seen], y[seen]
    # The worst points always, of the others as many as a page can hold.
    order = np.argsort(-np.abs(y - x), kind="stable")
    kept = np.concatenate([order[: MOST_POINTS // 3], order[MOST_POINTS // 3 :: max(1, order.size // MOST_POINTS)]])
    axes.axline((0, 0), slope=1, color=ALLOWED, linewidth=1)
    axes.plot(x[kept], y[kept], linestyle="", marker="o", markersize=2.5, color=ISOLATED, alpha=0.6, mew=0)
    axes.grid()
    axes.set_xlabel("legacy (0 to 1: the output's range)")
    axes.set_ylabel("port")


def _by_output(figure: Any, worst: Array) -> None:
    axes = figure.subplots()
    place = np.arange(worst.size)
    heights = _log_heights(axes, worst)
    axes.vlines(place, axes.get_ylim()[0], heights, color=ISOLATED, linewidth=3 if worst.size < 60 else 1)
    axes.plot(place, heights, linestyle="", marker="o", markersize=3, color=ISOLATED)
    axes.grid(axis="y")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("output")
    axes.set_ylabel("error / range")


def _kernels(figure: Any, stored: Array, found: Array) -> None:
    parts = {"stored": stored, "found in the port": found}
    if stored.shape == found.shape:
        parts["difference"] = found - stored
    finite = np.concatenate([part[np.isfinite(part)] for part in parts.values()])
    limit = float(np.abs(finite).max(initial=0.0)) or 1.0
    axes = figure.subplots(1, len(parts), squeeze=False)[0]
    for place, (title, part) in zip(axes, parts.items(), strict=True):
        image = place.imshow(part, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        place.set_title(title)
        place.xaxis.get_major_locator().set_params(integer=True)
        place.yaxis.get_major_locator().set_params(integer=True)
    axes[0].set_xlabel("unit")
    axes[0].set_ylabel("input")
    figure.colorbar(image, ax=list(axes), shrink=0.9)


def _activation(figure: Any, z: Array, expected: Array, actual: Array) -> None:
    axes = figure.subplots()
    order = np.argsort(z, kind="stable")[:: max(1, z.size // MOST_POINTS)]
    axes.plot(z[order], expected[order], color=ALLOWED, linewidth=2.2, label="legacy")
    axes.plot(z[order], actual[order], linestyle="", marker="o", markersize=3, color=CUMULATIVE, label="port")
    axes.grid()
    axes.set_xlabel("preactivation")
    axes.set_ylabel("output")
    axes.legend()


def _picture(paint: Callable[[Any], None], caption: str, height: float) -> Picture:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    paint(figure)
    return Picture(_svg(figure, caption), caption)


def _svg(figure: Any, caption: str) -> Markup:
    import matplotlib

    stream = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": hashlib.sha256(caption.encode()).hexdigest()}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _without_idle_ids(svg)
    for drawn, shown in COLORS.items():
        svg = svg.replace(drawn, shown)
    return Markup(svg)  # matplotlib escapes its texts


def _without_idle_ids(svg: str) -> str:
    """Keep the names that something refers to; the others (``axes_1``) would be the same in every picture."""
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    pattern = re.compile(r'(<\w+[^<>]*?) id="([^"]*)"')
    return pattern.sub(lambda match: match[0] if match[2] in used else match[1], svg)


def _columns(values: Array) -> Array:
    array = np.asarray(values, np.float64)
    return array.reshape(len(array), -1) if array.size else array.reshape(0, 0)


def _scaled(expected: Array, actual: Array) -> tuple[Array, Array]:
    finite = np.where(np.isfinite(expected), expected, np.nan)
    if np.isnan(finite).all(axis=0).any():
        finite = np.nan_to_num(finite)
    least, most = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)
    width = np.where(most > least, most - least, 1.0)
    return (expected - least) / width, (actual - least) / width


def _positive(values: Array) -> Array:
    array = np.ravel(np.asarray(values, np.float64))
    return array[np.isfinite(array) & (array > 0)]


def _short(name: str, most: int = 22) -> str:
    text = printable(name)
    return text if len(text) <= most else f"{text[: most - 1]}…"
