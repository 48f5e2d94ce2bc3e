"""The layers of two models, paired, with what became of their arrays and of what they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError, UsageError
from porter.learning.drift_model import LayerDrift
from porter.learning.freezing import FIXED, weights_of

Array = NDArray[Any]

COMPUTES = "what it computes, not in its arrays"
MOST_ROWS = 256
"""Rows for which the tensors of all layers are kept."""


@dataclass(frozen=True)
class LayerPair:
    """A layer of each model, either of which may be missing."""

    name: str
    layer: Any
    tuned_name: str | None
    tuned_layer: Any


def pair_layers(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[list[LayerPair], tuple[str, ...]]:
    """The layers with arrays, paired by their names; by their order where no name is shared and all shapes agree.

    Raises:
        UsageError: two models that have nothing in common.
    """
    first, second = ({name: layer for name, layer in part.items() if _arrays(layer)} for part in (before, after))
    common = [name for name in first if name in second and _shapes(first[name]) == _shapes(second[name])]
    if not common:
        in_order = _in_order(first, second)
        if in_order is not None:
            return in_order, ("the layers were paired by their order, for their names differ and all shapes agree",)
    if not common:
        raise UsageError(
            "the two models", found=f"layers {', '.join(first)} and {', '.join(second)}",
            expected="layers of the same names and shapes", remedy="compare a model with one that was tuned from it",
        )  # fmt: skip
    pairs = [LayerPair(name, first[name], name, second[name]) for name in common]
    pairs += [LayerPair(name, first[name], None, None) for name in first if name not in common]
    pairs += [LayerPair(name, None, name, second[name]) for name in second if name not in common]
    return pairs, ()


def _in_order(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[LayerPair] | None:
    kinds = [[(type(layer).__name__, _shapes(layer)) for layer in part.values()] for part in (first, second)]
    if kinds[0] != kinds[1]:
        return None
    return [
        LayerPair(name, layer, other, tuned)
        for (name, layer), (other, tuned) in zip(first.items(), second.items(), strict=True)
    ]


def _arrays(layer: Any) -> list[tuple[str, Array]]:
    """Name and value of everything that a layer multiplies or adds; a rescaling keeps it in its configuration."""
    if type(layer).__name__ == "Rescaling":
        return [(name, np.asarray(getattr(layer, name), np.float64)) for name in ("scale", "offset")]
    return list(zip((weight.name for weight in layer.weights), weights_of(layer), strict=True))


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [array.shape for _, array in _arrays(layer)]


def compare_weights(pair: LayerPair, frozen: bool) -> LayerDrift:
    """What became of the arrays of one layer."""
    if pair.layer is None or pair.tuned_layer is None:
        return LayerDrift(pair.name, pair.tuned_name, frozen, None, 0, 0, None, 0.0, None)
    before, after = _arrays(pair.layer), _arrays(pair.tuned_layer)
    frozen = frozen or type(pair.tuned_layer).__name__ in FIXED
    wide = [
        (name, old.astype(np.float64), new.astype(np.float64))
        for (name, old), (_, new) in zip(before, after, strict=True)
    ]
    identical = all(_same(old, new) for (_, old), (_, new) in zip(before, after, strict=True))
    # NaN in both places is no change, and NaN in one is.
    changed = sum(int(np.sum(~((old == new) | (np.isnan(old) & np.isnan(new))))) for _, old, new in wide)
    norm_before = np.sqrt(sum(float(np.sum(old**2)) for _, old, _ in wide))
    norm_change = np.sqrt(sum(float(np.sum((new - old) ** 2)) for _, old, new in wide))
    largest, where = _largest(wide)
    relative = float(norm_change / norm_before) if norm_before > 0 else None
    count = sum(old.size for _, old, _ in wide)
    return LayerDrift(pair.name, pair.tuned_name, frozen, identical, count, changed, relative, largest, where)


def _same(old: Array, new: Array) -> bool:
    """Every bit, or every value where one model holds them in a wider dtype."""
    from porter.jobs.job import same_bits

    return same_bits(old, new) or (old.dtype != new.dtype and np.array_equal(old, new, equal_nan=True))


def _largest(arrays: Sequence[tuple[str, Array, Array]]) -> tuple[float, str | None]:
    largest, where = 0.0, None
    for name, old, new in arrays:
        apart = np.nan_to_num(np.abs(new - old), nan=np.inf)
        if apart.size and apart.max() > largest:
            place = np.unravel_index(int(apart.argmax()), apart.shape)
            largest, where = float(apart.max()), f"{name}[{', '.join(map(str, map(int, place)))}]"
    return largest, where


def compare_outputs(
    models: tuple[Any, Any],
    pairs: Sequence[LayerPair],
    changes: Sequence[LayerDrift],
    drawn: Array,
    samples: Array | None,
) -> list[LayerDrift]:
    """The same rows with the change of what each layer gives.

    Args:
        models: keras.Model before and after.
        pairs: of their layers.
        changes: of their arrays, in the same order.
        drawn: (rows, ...) inputs.
        samples: (rows, ...) further inputs, or None.
    """
    from porter.ports.keras.graph import read_graph

    try:
        graphs = read_graph(models[0]), read_graph(models[1])
    except PortError:  # a model that does not show its layers shows no outputs of theirs
        return list(changes)
    found = _traced(graphs, pairs, drawn)
    on_samples = {} if samples is None else _traced(graphs, pairs, samples, alone=False)
    result = []
    for pair, change in zip(pairs, changes, strict=True):
        isolated, cumulative = found.get(pair.name, (None, None))
        there = on_samples.get(pair.name, (None, None))[1]
        seen = replace(change, isolated=isolated, cumulative=cumulative, on_samples=there)
        # The same arrays, the same input, and other outputs: it computes something else.
        is_other = bool(seen.identical and isolated) and dtype_of(pair.layer) == dtype_of(pair.tuned_layer)
        result.append(replace(seen, identical=False, where=COMPUTES) if is_other else seen)
    return result


def dtype_of(layer: Any) -> str:
    """In which a layer computes."""
    return str(getattr(layer, "compute_dtype", ""))


def _traced(
    graphs: tuple[Any, Any], pairs: Sequence[LayerPair], rows: Array, alone: bool = True
) -> dict[str, tuple[float | None, float | None]]:
    """Name of each layer to the largest change of its outputs, alone and end to end, over the range of its outputs."""
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(int)]
    traces = [graph.trace([rows.astype(graph.input_dtypes[0])]) for graph in graphs]
    nodes = [_first_nodes(graph) for graph in graphs]
    found: dict[str, tuple[float | None, float | None]] = {}
    for pair in pairs:
        ours, theirs = nodes[0].get(pair.name), nodes[1].get(str(pair.tuned_name))
        if pair.layer is None or ours is None or theirs is None:
            continue
        expected = traces[0][ours.outputs[0]]
        span = float(np.ptp(expected)) or 1.0
        found[pair.name] = (
            _alone(ours, theirs, traces[0], expected, span) if alone else None,
            _apart(expected, traces[1][theirs.outputs[0]], span),
        )
    return found


def _first_nodes(graph: Any) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for node in graph.nodes:
        nodes.setdefault(node.name, node)
    return nodes


def _alone(ours: Any, theirs: Any, trace: Mapping[int, Array], expected: Array, span: float) -> float | None:
    """The tuned layer fed with what the first model feeds its own."""
    from keras import ops

    if len(ours.inputs) != len(theirs.inputs):
        return None
    values = {key: ops.convert_to_tensor(trace[fed]) for key, fed in zip(theirs.inputs, ours.inputs, strict=True)}
    try:
        theirs.compute(values)
    except Exception:  # another shape or dtype: it cannot be fed with that
        return None
    return _apart(expected, np.asarray(ops.convert_to_numpy(values[theirs.outputs[0]])), span)


def _apart(expected: Array, actual: Array, span: float) -> float | None:
    if expected.shape != actual.shape:
        return None
    apart = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    return float(np.nanmax(apart, initial=0.0)) / span


def other_operations(models: tuple[Any, Any]) -> str | None:
    """What differs in the layers without arrays, half a sentence; None where nothing does, or nothing shows."""
    from porter.ports.keras.graph import read_graph

    try:
        graphs = [read_graph(model) for model in models]
    except PortError:
        return None
    first, second = ([kind for node in graph.nodes if (kind := _kind(node.operation))] for graph in graphs)
    if first == second:
        return None
    told = (", ".join(name for name, _ in part) or "none" for part in (first, second))
    return " before, ".join(told) + " now"


IDLE = ("Dropout", "Identity", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization")
"""They do nothing but in training."""


def _kind(operation: Any) -> tuple[str, str] | None:
    """Class and settings of an operation without arrays; None of one that has some, or does nothing."""
    name = type(operation).__name__
    if getattr(operation, "weights", ()) or name in (*IDLE, "Rescaling", "InputLayer"):
        return None
    config = dict(operation.get_config()) if hasattr(operation, "get_config") else {}
    for key in ("name", "trainable", "dtype"):
        config.pop(key, None)
    return name, repr(sorted(config.items(), key=lambda pair: pair[0]))
