"""Golden files: what a port gave when it was recorded, and whether it still does, within what rounding explains."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PorterError, UnreadableError
from porter.examination.compare import Comparison, compare_outputs
from porter.formats.npz import read_npz
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.report.json import plain
from porter.report.report import Report
from porter.testing.recorded import INPUT, RecordedLayer, View, view_chain
from porter.verdict.provenance import versions
from reference.precision import Precision, round_to
from reference.rounding.bounds import allowed_error, inevitable_overflow, platform_allowance

Array = NDArray[Any]

SCHEMA_VERSION = 1
LARGEST = 2**30
"""Bytes of arrays; a golden file that claims more was not written by this package."""
METADATA, INPUTS, OUTPUTS, TRACE, FEED = "metadata", "inputs", "outputs", "trace/", "feed/"
AGAIN = "record it anew once the change is known to be meant: pytest --parity-update"


class GoldenFormatError(UnreadableError):
    """A file that is no golden file of this package."""


class GoldenStaleError(PorterError):
    """A golden file of another network, of another reading of it, or of a port of another structure."""


@dataclass(frozen=True)
class Golden:
    """A recording of a port.

    Attributes:
        network: name, SHA-256 and declared options of the legacy network.
        inputs: (rows, ...) for each input of the port, in the dtype that it was fed with.
        traces: what the port's layers gave, (rows, ...) by legacy layer, in order of computation.
        precisions: compute and variable dtype of each of these layers.
        outputs: (rows, ...) for each output of the port, called as a whole.
        command: what recorded it.
        history: one entry a set of library versions it was recorded with, the last that of these arrays:
            ``versions``, and ``layers`` with isolated and allowed error by layer.
        feeds: what a layer took that no other gave, by ``"layer/number of its input"``.
    """

    network: Mapping[str, Any]
    inputs: tuple[Array, ...]
    traces: Mapping[str, Array]
    precisions: Mapping[str, Precision]
    outputs: tuple[Array, ...]
    command: str
    history: tuple[Mapping[str, Any], ...] = field(default=())
    feeds: Mapping[str, Array] = field(default_factory=dict)


def record(
    network: Network,
    model: Any,
    report: Report,
    *,
    command: str,
    placement: str | None = None,
    earlier: Golden | None = None,
) -> Golden:
    """Record what a port gives, layer by layer.

    Args:
        network: the legacy network.
        model: keras.Model, its port.
        report: the verification of this port.
        command: how to record it again.
        placement: where the port has the scaling, as for ``porter.verify``.
        earlier: the recording that this one replaces; its history is kept.
    """
    view = _view(network, model, placement)
    history = earlier.history if earlier is not None else ()
    return Golden(
        _identity(network),
        view.inputs,
        {layer.name: _storable(layer.given) for layer in view.layers},
        {layer.name: layer.precision for layer in view.layers},
        tuple(map(_storable, view.outputs)),
        command,
        _with_entry(history, report),
        {name: _storable(array) for layer in view.layers for name, array in layer.feeds.items()},
    )


def compare_golden(
    golden: Golden, network: Network, model: Any, *, placement: str | None = None
) -> dict[str, Comparison]:
    """The port of today against the recording, each layer fed with its recorded inputs.

    Each side may be off the reference by what rounding and its platform explain in its own precision; together they
    may differ by the sum. Nothing else is allowed.

    Returns:
        A comparison by legacy layer, expected being the recording.

    Raises:
        GoldenStaleError: the recording is of another network, or of a port of another structure.
    """
    check_network(golden, network)
    view = _view(network, model, placement)
    names = tuple(layer.name for layer in view.layers)
    if names != tuple(golden.traces):
        raise GoldenStaleError(
            f"the golden recording of {network.name} is of a port of another structure",
            found=f"a port that computes {', '.join(names)} in layers of their own",
            expected=", ".join(golden.traces),
            remedy=AGAIN,
        )
    known = {f"{INPUT}{number}": array for number, array in enumerate(golden.inputs)} | dict(golden.feeds)
    known |= golden.traces
    return {layer.name: _compare(layer, known, golden) for layer in view.layers}


def _compare(layer: RecordedLayer, known: Mapping[str, Array], golden: Golden) -> Comparison:
    missing = [name for name in layer.sources if name not in known]
    if missing:
        raise GoldenStaleError(
            f"the golden recording of {golden.network['name']} is of a port of another structure",
            found=f"{layer.name} takes {', '.join(missing)}, which was not recorded",
            remedy=AGAIN,
        )
    recorded, precision = golden.traces[layer.name], golden.precisions[layer.name]
    fed = tuple(known[name] for name in layer.sources)
    now, step = np.asarray(layer.run(fed)), layer.step
    inputs = tuple(array.astype(np.float64) for array in fed)
    trace, cost = step(*inputs), 0.0
    sides = (layer.precision, precision)
    if layer.casts:
        short = tuple(round_to(array, layer.precision.compute) for array in inputs)
        cost = np.abs(step(*short).outputs - trace.outputs)
    rounding = sum(allowed_error(step, inputs, trace, each) for each in sides)
    platform = sum(platform_allowance(step, inputs, trace, each) for each in sides)
    unheld = inevitable_overflow(trace, layer.precision) | inevitable_overflow(trace, precision)
    return compare_outputs(
        recorded.astype(np.float64),
        now.astype(np.float64),
        np.asarray(rounding + platform + cost),
        probes="golden inputs",
        unheld=unheld,
    )


def check_network(golden: Golden, network: Network) -> None:
    """Refuse a recording of another network.

    Raises:
        GoldenStaleError: the file's hash or the declared options are not those of the recording.
    """
    found, expected = _identity(network), golden.network
    if found["sha256"] != expected["sha256"]:
        raise GoldenStaleError(
            f"the network's hash changed since the golden file of {expected['name']} was recorded",
            found=f"SHA-256 {found['sha256']} ({network.source.path})",
            expected=f"SHA-256 {expected['sha256']}",
            remedy=f"restore the network; or {AGAIN}",
        )
    if found["declared"] != expected["declared"]:
        raise GoldenStaleError(
            f"the network {network.name} is read in another way than when its golden file was recorded",
            found=f"options {found['declared']}",
            expected=f"options {expected['declared']}",
            remedy=f"restore the options; or {AGAIN}",
        )


def _identity(network: Network) -> dict[str, Any]:
    declared = {key: value for key, value in network.declarations.items() if value is not None}
    return {"name": network.name, "sha256": network.source.sha256, "declared": plain(declared)}


def _storable(values: Any) -> Array:
    """float16 and bfloat16 in float32, which holds them exactly; everything else as it is."""
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _with_entry(history: tuple[Mapping[str, Any], ...], report: Report) -> tuple[Mapping[str, Any], ...]:
    """The history with today's versions last; an earlier entry of the same versions gives way."""
    entry = history_entry(report)
    return (*(old for old in history if old["versions"] != entry["versions"]), entry)


def history_entry(report: Report) -> dict[str, Any]:
    """What a history keeps of a verification: versions, and the errors of each layer."""
    rows = [row for row in report.layers if row.isolated is not None]
    layers = {row.layer: {"isolated": row.isolated, "allowed": row.allowed} for row in rows}
    return {"versions": versions(), "verdict": report.verdict, "layers": plain(layers)}


def write_golden(path: str | Path, golden: Golden) -> None:
    """Write a recording as ``.npz``, whole or not at all; folders are made. The same recording gives the same bytes."""
    path = Path(path)
    metadata = {
        "schema_version": SCHEMA_VERSION,
        "network": golden.network,
        "command": golden.command,
        "precisions": {name: [each.compute, each.variables] for name, each in golden.precisions.items()},
        "history": golden.history,
    }
    text = json.dumps(plain(metadata), indent=1, allow_nan=False)
    arrays: dict[str, Any] = {
        METADATA: np.frombuffer(text.encode(), np.uint8),
    }
    for key, several in ((INPUTS, golden.inputs), (OUTPUTS, golden.outputs)):
        arrays |= {_numbered(key, number): values for number, values in enumerate(several)}
    for group, named in ((TRACE, golden.traces), (FEED, golden.feeds)):
        arrays |= {f"{group}{name}": values for name, values in named.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def read_golden(path: str | Path) -> Golden:
    """Read a recording; nothing pickled is read.

    Raises:
        GoldenFormatError: no such file, or none that ``write_golden`` wrote.
    """
    path = Path(path)
    try:
        return _golden(read_npz(path, kinds="fu", largest=LARGEST))
    except (ValueError, KeyError, TypeError) as error:
        raise GoldenFormatError(
            f"the golden file {path} cannot be read",
            found=f"{type(error).__name__}: {error}",
            expected="an .npz that pytest --parity-record wrote",
            remedy="restore it, or remove it and record it again",
        ) from error


def _golden(arrays: Mapping[str, Array]) -> Golden:
    metadata = json.loads(arrays[METADATA].tobytes().decode())
    if metadata["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema version {metadata['schema_version']}, not {SCHEMA_VERSION}")
    precisions = {name: Precision(*each) for name, each in metadata["precisions"].items()}
    return Golden(
        metadata["network"],
        _several(arrays, INPUTS),
        {name: arrays[f"{TRACE}{name}"] for name in precisions},
        precisions,
        _several(arrays, OUTPUTS),
        metadata["command"],
        tuple(metadata["history"]),
        {name.removeprefix(FEED): array for name, array in arrays.items() if name.startswith(FEED)},
    )


def _numbered(key: str, number: int) -> str:
    return f"{key}/{number}" if number else key


def _several(arrays: Mapping[str, Array], key: str) -> tuple[Array, ...]:
    """One array at least, and those numbered after it."""
    numbered = [name for name in arrays if name.startswith(f"{key}/")]
    names = [key, *sorted(numbered, key=lambda name: int(name.removeprefix(f"{key}/")))]
    return tuple(arrays[name] for name in names)


@singledispatch
def _view(network: Network, model: Any, placement: str | None) -> View:
    return view_chain(network, model, placement)


@_view.register(KerasNetwork)
def _(network: KerasNetwork, model: Any, placement: str | None) -> View:
    from porter.testing.recorded_graphs import view_legacy

    del placement
    return view_legacy(network, model)
