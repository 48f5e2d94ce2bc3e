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

from porter.report import plots
from porter.report.model import Finding, ReportData

Array = NDArray[Any]

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,
    "text.color": plots.INK,
    "axes.edgecolor": plots.LINE,
    "axes.labelcolor": plots.INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": plots.LINE,
    "grid.linewidth": 0.6,
    "xtick.color": plots.LINE,
    "ytick.color": plots.LINE,
    "xtick.labelcolor": plots.INK,
    "ytick.labelcolor": plots.INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
OF_KERNELS = ("kernel", "units", "inputs", "outputs", "layers", "unexplained")
MOST_LAYERS = 16
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


def draw(report: ReportData) -> Pictures:
    """Every picture that the report has the arrays for and that says something."""
    try:
        import matplotlib
    except ImportError:
        return Pictures(missing=MISSING)
    with matplotlib.rc_context(STYLE):
        return Pictures(list(_general(report)), list(_by_finding(report)))


def _general(report: ReportData) -> Iterator[Picture]:
    arrays = report.pictures
    compared = [row for row in report.layers if row.isolated is not None]
    if any(row.isolated or row.cumulative for row in compared):
        caption = (
            "Error by layer, at the worst element of all probes. The isolated error is judged, against the allowed one."
        )
        yield picture(lambda figure: plots.by_layer(figure, compared), caption, 3.2)
    scaled = {name: plots.positive(errors) for name, errors in arrays.get("scaled_errors", {}).items()}
    scaled = {name: errors for name, errors in scaled.items() if errors.size}
    if scaled:
        shown = sorted(scaled, key=lambda name: -scaled[name].max())[:MOST_LAYERS]
        rows = {name: scaled[name] for name in reversed(scaled) if name in shown}
        caption = (
            "How the isolated errors of each layer are spread on inputs of the network, as multiples of the allowed "
        )
        caption += "error; 1 is the bound. Probes of single layers, which the table has too, are not in it."
        caption += f" The worst {MOST_LAYERS} of {len(scaled)} layers." if len(scaled) > MOST_LAYERS else ""
        yield picture(lambda figure: plots.spread(figure, rows), caption, 1.2 + 0.38 * len(rows))
    if "outputs" in arrays:
        yield from _outputs(arrays["outputs"])


def _outputs(outputs: Mapping[str, Array]) -> Iterator[Picture]:
    expected, actual = (_columns(outputs[side]) for side in ("expected", "actual"))
    if expected.shape != actual.shape or not expected.size:
        return
    expected, actual = _scaled(expected, actual)
    yield picture(
        lambda figure: plots.scatter(figure, expected, actual),
        "Legacy against port at the outputs, each output scaled to its own range.",
        3.6,
    )
    error = np.abs(actual - expected)
    worst = np.where(np.isfinite(error), error, 0).max(axis=0)
    if expected.shape[1] > 1 and worst.any():
        caption = "Largest error of each output, relative to its own range."
        yield picture(lambda figure: plots.by_output(figure, worst), caption, 2.8)


def _by_finding(report: ReportData) -> Iterator[tuple[Finding, Picture]]:
    kernels, activations = (dict(report.pictures.get(kind, {})) for kind in ("kernels", "activations"))
    for finding in report.findings:  # the first of a layer to which a picture belongs has it
        family = finding.code.split(".")[0]
        if family in OF_KERNELS and finding.layer in kernels:
            yield finding, _kernel_picture(kernels.pop(finding.layer))
        if family == "activation" and finding.layer in activations:
            yield finding, _activation_picture(activations.pop(finding.layer))


def _kernel_picture(kernel: Mapping[str, Array]) -> Picture:
    stored, found = (np.atleast_2d(np.asarray(kernel[side], np.float64)) for side in ("stored", "found"))
    caption = "The kernel, (inputs, units): as the file has it, as the port has it, and the difference."
    if stored.shape != found.shape:
        caption = "The kernel, (inputs, units): as the file has it and as the port has it; the shapes differ."
    return picture(lambda figure: plots.kernels(figure, stored, found), caption, 2.6)


def _activation_picture(curve: Mapping[str, Array]) -> Picture:
    z, expected, actual = (np.ravel(np.asarray(curve[side], np.float64)) for side in ("z", "expected", "actual"))
    caption = "The activation: the curve of the legacy layer, and what the port's layer gave for the same values."
    return picture(lambda figure: plots.activation(figure, z, expected, actual), caption, 3.0)


def picture(paint: Callable[[Any], None], caption: str, height: float) -> Picture:
    """A picture that ``paint`` draws on a matplotlib figure; the style is that of ``draw``."""
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
    for drawn, shown in plots.COLORS.items():
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
