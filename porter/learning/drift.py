"""How far a tuned network has moved from the one it came from: layer by layer, output by output, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PorterError, UsageError
from porter.examination.probes import draw_rows
from porter.learning.bootstrap import LEAST_GROUPS, compare_errors
from porter.learning.data import Chosen, Data, load_data
from porter.learning.drift_model import LayerDrift, OutputDrift
from porter.learning.drift_report import DriftReport
from porter.learning.freezing import FIXED, Freeze, chosen_names, frozen_layers, layers_of
from porter.learning.layers_compared import (
    compare_outputs,
    compare_weights,
    dtype_of,
    other_operations,
    pair_layers,
)
from porter.learning.start import Start, check_ends, open_start
from porter.learning.units import convert
from porter.ports.keras.graph import read_graph
from porter.report.model import Finding, LayerRow

Array = NDArray[Any]

ROWS, BINS, BATCH, MOST_IMAGES = 2000, 8, 1024, 64
MOST_NUMBERS = 2**22
"""How many numbers the drawn inputs may be together: images are few."""


def drift(
    legacy: Any,
    tuned: Any,
    *,
    samples: Any = None,
    frozen: Freeze = None,
    inputs: Chosen = None,
    targets: Chosen = None,
    group: str | int | None = None,
    units: str = "model",
    placement: str | None = None,
    seed: int = 0,
    rows: int = ROWS,
    **reading: Any,
) -> DriftReport:
    """Compare a tuned network with the one it came from.

    Args:
        legacy: the legacy file or network, or any port of it: a keras.Model or the path of a saved one.
        tuned: a keras.Model, or the path of a saved one; both are left as they are.
        samples: rows whose outcome is known, as ``finetune`` takes its data; best such that nothing was trained on.
        frozen: what was meant to stay: names, or "until:NAME"; None for what does not learn in the tuned model, and for
            what its record says.
        inputs: names or positions of the samples' input columns.
        targets: names or positions of their target columns.
        group: the column whose equal values are not independent of each other.
        units: of the samples.
        placement: where the ports have the scaling, if they do not say so themselves.
        seed: of the drawn inputs and of the bootstrap.
        rows: how many inputs are drawn in the documented range.
        **reading: options of ``porter.read``.

    Returns:
        The report; its verdict is "mismatch" where something moved that was meant to stay.

    Raises:
        PorterError: files that cannot be read, models that have no layer in common.
    """
    after = open_start(tuned)
    before = _open_before(legacy, after, placement, reading)
    for start in (before, after):
        check_ends(start.model)
    data = None
    if samples is not None:
        widths = (_width(after.model.inputs[0]), _width(after.model.outputs[0]))
        data = convert(load_data(samples, widths, inputs=inputs, targets=targets, group=group), units, before.ends)
    return compare_models(before, after, data, frozen=frozen, seed=seed, rows=rows)


def _open_before(legacy: Any, after: Start, placement: str | None, reading: Mapping[str, Any]) -> Start:
    """The first model, built as the second was where it is a legacy file."""
    from porter.jobs.provenance import is_saved_model
    from porter.network import Network

    if not isinstance(legacy, Network) and (not isinstance(legacy, str | Path) or is_saved_model(legacy)):
        return open_start(legacy, placement=placement, **reading)
    names = {layer.name for layer in after.model.layers}
    where = placement or after.record.get("options", {}).get("placement")
    if where is None and names & {"Norm_in", "Norm_out", "Transform_in", "Transform_out"}:
        where = "inside"
    policies = [layer.dtype_policy.name for layer in after.model.layers if layer.weights]
    start = open_start(legacy, placement=where, dtype=policies[0] if policies else "float32", **reading)
    if where is None and start.ends.scalings != (None, None):
        raise UsageError(
            "placement", found="a tuned model without scaling layers and without a record",
            expected="folded or outside", remedy="say where it has the scaling: placement= (--placement)",
        )  # fmt: skip
    return start


def _width(tensor: Any) -> int:
    return int(np.prod([1 if n is None else n for n in tensor.shape[1:]]))


@dataclass(frozen=True)
class _Rows:
    """Inputs that both models are fed with."""

    drawn: Array
    data: Data | None


def compare_models(
    before: Start,
    after: Start,
    data: Data | None,
    *,
    frozen: Freeze = None,
    seed: int = 0,
    rows: int = ROWS,
    history: Mapping[str, Any] | None = None,
) -> DriftReport:
    """The report on two models that are open.

    Args:
        before: the model as it was.
        after: the tuned one.
        data: held-out rows in the models' units, or None.
        frozen: what was meant to stay.
        seed: of the drawn inputs and of the bootstrap.
        rows: how many inputs are drawn.
        history: of the training, for the picture.
    """
    feeds = _Rows(_draw(before, data, rows, np.random.default_rng(seed)), data)
    pairs, notes = pair_layers(layers_of(before.model), layers_of(after.model))
    meant = _meant(after, frozen)
    weights = [compare_weights(pair, pair.name in meant or pair.tuned_name in meant) for pair in pairs]
    known = None if data is None else data.inputs
    changes = compare_outputs((before.model, after.model), pairs, weights, feeds.drawn, known)
    outputs, arrays = _outputs(before, after, feeds, seed)
    regions, picture = _regions(before, arrays, feeds, data)
    notes = (*notes, *_extrapolation(before, data), *_independence(data))
    dtypes = [", ".join(_dtypes(start)) for start in (before, after)]
    if dtypes[0] != dtypes[1]:
        notes = (f"the first computes in {dtypes[0]}, the second in {dtypes[1]}: they round differently", *notes)
    verdict, doubt = _verdict(changes), _doubt(before, after, changes, outputs)
    if doubt is not None:
        notes = (doubt, *notes)
        verdict = "inconclusive" if verdict in ("parity", "drift") else verdict
    return DriftReport(
        verdict=verdict,  # type: ignore[arg-type]
        links={}, link_notes={}, layers=tuple(_row(change) for change in changes), claims=(),
        findings=tuple(_finding(change) for change in changes if change.verdict == "frozen, moved"),
        notes=notes, provenance=_provenance(before, after, data, seed, len(feeds.drawn)), pictures=picture,
        changes=tuple(changes), outputs=outputs, regions=regions, history={} if history is None else dict(history),
        title=f"{before.name} against {after.name}",
    )  # fmt: skip


def _meant(after: Start, frozen: Freeze) -> set[str]:
    """Names of the layers that were meant to stay; what brings numbers to other units always is."""
    layers = layers_of(after.model)
    fixed = {name for name, layer in layers.items() if type(layer).__name__ in FIXED}
    if frozen is not None:
        return fixed | chosen_names(layers, frozen)
    told = after.record.get("learning", {}).get("frozen", [])
    return fixed | set(frozen_layers(after.model)) | {str(name) for name in told}


def _draw(before: Start, data: Data | None, rows: int, rng: np.random.Generator) -> Array:
    """Inputs in the documented range, or in that of the samples, or standard normal ones."""
    tensor = before.model.inputs[0]
    shape = tuple(8 if n is None else int(n) for n in tensor.shape[1:])
    width = int(np.prod(shape))
    limits = before.limits[0]
    if limits is None and data is not None and data.inputs.ndim == 2:
        limits = np.stack([data.inputs.min(axis=0), data.inputs.max(axis=0)], axis=1)
    count = max(16, min(rows, MOST_NUMBERS // max(width, 1)))
    is_flat, is_float = len(shape) == 1, "float" in str(tensor.dtype)
    if data is not None and not (is_flat and is_float):
        return np.asarray(data.inputs[:MOST_IMAGES].astype(str(tensor.dtype)))  # tokens and images are not to be drawn
    if not is_float:
        return np.zeros((16, *shape), str(tensor.dtype))
    drawn = draw_rows(limits, width, count, rng) if is_flat else rng.standard_normal((min(count, MOST_IMAGES), *shape))
    return np.asarray(np.nan_to_num(drawn).astype(str(tensor.dtype)))


def _call(model: Any, rows: Array) -> Array:
    """(rows, outputs) float64."""
    graph = read_graph(model)
    parts = [graph(rows[k : k + BATCH])[0] for k in range(0, len(rows), BATCH)]
    return np.concatenate(parts).astype(np.float64).reshape(len(rows), -1)


@dataclass(frozen=True)
class _Outputs:
    legacy: Array
    tuned: Array
    spans: Array


def _outputs(before: Start, after: Start, feeds: _Rows, seed: int) -> tuple[tuple[OutputDrift, ...], _Outputs]:
    """What became of each output, the first row for all of them together."""
    legacy, tuned = (_call(start.model, feeds.drawn) for start in (before, after))
    if legacy.shape != tuned.shape:
        raise PorterError(
            "the two models", found=f"{legacy.shape[1]} and {tuned.shape[1]} outputs", expected="as many in both"
        )
    spans = _spans(before, legacy)
    moved = np.abs(tuned - legacy).max(axis=0) / spans
    names = feeds.data.target_names if feeds.data is not None else ()
    labels = names if len(names) == len(moved) else tuple(f"output {k}" for k in range(len(moved)))
    if feeds.data is None:
        rows = [
            OutputDrift(name, None, None, None, None, float(part)) for name, part in zip(labels, moved, strict=True)
        ]
        return (OutputDrift("all", None, None, None, None, float(moved.max())), *rows), _Outputs(legacy, tuned, spans)
    return _held_out(before, after, feeds.data, seed, labels, moved, spans), _Outputs(legacy, tuned, spans)


def _held_out(
    before: Start, after: Start, data: Data, seed: int, labels: tuple[str, ...], moved: Array, spans: Array
) -> tuple[OutputDrift, ...]:
    target = data.targets.reshape(len(data), -1)
    first, second = (_call(start.model, data.inputs) - target for start in (before, after))
    paired = compare_errors(first, second, data.groups, seed)
    together = [np.sqrt(np.mean((errors / spans) ** 2, axis=1, keepdims=True)) for errors in (first, second)]
    overall = compare_errors(together[0], together[1], data.groups, seed)
    rows = [_output_row("all, over their ranges", overall, 0, float(moved.max()))]
    rows += [_output_row(name, paired, k, float(moved[k])) for k, name in enumerate(labels)]
    return tuple(rows)


def _output_row(name: str, paired: Any, k: int, moved: float) -> OutputDrift:
    ends = [None if np.isnan(end[k]) else float(end[k]) for end in (paired.low, paired.high)]
    return OutputDrift(name, float(paired.legacy[k]), float(paired.tuned[k]), ends[0], ends[1], moved)


def _spans(before: Start, values: Array) -> Array:
    """(outputs,) the documented range of each output, or what it ranged over."""
    limits = before.limits[1]
    if limits is not None and len(limits) == values.shape[1] and np.isfinite(limits).all():
        return np.asarray(limits[:, 1] - limits[:, 0])
    with np.errstate(all="ignore"):
        spans = np.ptp(np.where(np.isfinite(values), values, 0.0), axis=0)
    return np.where(spans > 0, spans, 1.0)


def _regions(
    before: Start, outputs: _Outputs, feeds: _Rows, data: Data | None
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Where in the range of each input the two models differ most, in words and as an array for the picture."""
    if feeds.drawn.ndim != 2:
        return (), {}
    apart = np.abs(outputs.tuned - outputs.legacy) / outputs.spans
    apart = np.where(np.isfinite(apart), apart, 0.0).mean(axis=1)
    columns = feeds.drawn.shape[1]
    names = (
        data.input_names if data is not None and len(data.input_names) == columns else tuple(map(str, range(columns)))
    )
    grid, ends = np.zeros((columns, BINS)), []
    for k in range(columns):
        column = feeds.drawn[:, k].astype(np.float64)
        edges = _edges(before, column, k)
        place = np.clip(np.searchsorted(edges, column, side="right") - 1, 0, BINS - 1)
        inside = (column >= edges[0]) & (column <= edges[-1])
        counts = np.bincount(place[inside], minlength=BINS)
        sums = np.bincount(place[inside], weights=apart[inside], minlength=BINS)
        grid[k] = np.where(counts > 0, sums / np.maximum(counts, 1), 0.0)
        ends.append(edges)
    told = []
    if apart.max() > 0:
        spread = np.ptp(grid, axis=1)
        for k in np.argsort(-spread, kind="stable")[:3]:
            b = int(grid[k].argmax())
            told.append(
                f"input {names[k]} from {ends[k][b]:.3g} to {ends[k][b + 1]:.3g}: the outputs differ by "
                f"{grid[k, b]:.2%} of their range on average ({grid[k].min():.2%} where they differ least)"
            )
    return tuple(told), {"regions": {"grid": grid, "names": names, "edges": np.array(ends)}}


def _edges(before: Start, column: Array, k: int) -> Array:
    limits = before.limits[0]
    low, high = (column.min(), column.max()) if limits is None else limits[k]
    return np.linspace(low, high if high > low else low + 1.0, BINS + 1)


def _extrapolation(before: Start, data: Data | None) -> tuple[str, ...]:
    limits = before.limits[0]
    if data is None:
        return ("no samples were given: the outputs are compared with each other, not with what is true",)
    if limits is None or data.inputs.ndim != 2:
        return ("no range of the inputs is documented: whether the samples lie outside of it cannot be said",)
    outside = (data.inputs < limits[:, 0]) | (data.inputs > limits[:, 1])
    count = int(outside.any(axis=1).sum())
    if not count:
        return (f"extrapolation: none of {len(data):,} rows lies outside the documented range",)
    names = [data.input_names[k] for k in np.argsort(-outside.sum(axis=0), kind="stable") if outside[:, k].any()]
    most = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return (f"extrapolation: {count:,} of {len(data):,} rows lie outside the documented range, in {most}",)


def _independence(data: Data | None) -> tuple[str, ...]:
    """Why there is no interval, where there is none."""
    if data is None:
        return ()
    count = len(data) if data.groups is None else len(np.unique(data.groups))
    if count >= LEAST_GROUPS:
        return ()
    what = "rows" if data.groups is None else "groups of rows"
    return (f"no intervals: {count} {what} are fewer than the {LEAST_GROUPS} that a bootstrap needs; give more",)


def _verdict(changes: list[LayerDrift]) -> str:
    if any(change.verdict == "frozen, moved" for change in changes):
        return "mismatch"
    if any(change.identical is None for change in changes) or not changes:
        return "inconclusive"
    return "parity" if all(change.identical for change in changes) else "drift"


def _doubt(before: Start, after: Start, changes: list[LayerDrift], outputs: tuple[OutputDrift, ...]) -> str | None:
    """Why the arrays alone do not tell how far the network moved; None where they do."""
    other = other_operations((before.model, after.model))
    if other is not None:
        return (
            f"the layers without arrays are others ({other}): compare the tuned network with the port that it was "
            "tuned from"
        )
    dtypes = [
        {dtype_of(layer) for layer in layers_of(start.model).values() if layer.weights} for start in (before, after)
    ]
    if all(change.identical for change in changes) and outputs[0].moved > 0 and dtypes[0] == dtypes[1]:
        return "every array is the same, and the outputs differ: the two models are wired otherwise"
    return None


def _dtypes(start: Start) -> list[str]:
    """In which the layers with arrays compute."""
    return sorted({dtype_of(layer) for layer in layers_of(start.model).values() if layer.weights})


def _row(change: LayerDrift) -> LayerRow:
    verdict = {"identical": "parity", "frozen, moved": "mismatch", "not compared": "uncompared"}
    return LayerRow(
        change.layer, () if change.tuned_layer is None else (change.tuned_layer,),
        verdict.get(change.verdict, "drift"), isolated=change.isolated, cumulative=change.cumulative,
        allowed=0.0 if change.frozen else None, where=change.where, elements=change.weights, exceeding=change.changed,
    )  # fmt: skip


def _finding(change: LayerDrift) -> Finding:
    return Finding(
        "frozen.moved", change.layer, () if change.tuned_layer is None else (change.tuned_layer,),
        f"{change.layer}: it was meant to stay, and {change.changed:,} of its {change.weights:,} numbers have changed",
        f"the largest change is {change.largest:.3g}, at {change.where}",
        "freeze it before compiling (porter.finetune(freeze=...)), or put the arrays of the first model back",
    )  # fmt: skip


def _provenance(before: Start, after: Start, data: Data | None, seed: int, rows: int) -> dict[str, Any]:
    from porter.verdict.provenance import versions

    told: dict[str, Any] = {"legacy": before.name, "tuned": after.name, "seed": seed, "rows": rows}
    if before.network is not None:
        told["legacy_sha256"] = before.network.source.sha256
    if data is not None:
        told["samples"] = {"source": Path(data.source).name, "sha256": data.sha256, "rows": len(data)}
    return told | {"versions": versions()}
