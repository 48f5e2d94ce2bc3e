"""The same port in other runtimes: written for each, run by it and judged, beside the report of the port itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from porter.errors import UnbuildableError, UsageError
from porter.exports.formats import format_of
from porter.exports.registry import Format, WriteOptions
from porter.exports.runtimes import RUNTIMES, Runtime, runtime_named, runtimes_of
from porter.exports.source import network_of
from porter.jobs.export import judge_file
from porter.network import Dense, Network, Scaling
from porter.progress import tell
from porter.report.model import ORDER, Finding, Witness
from porter.report.report import Report

GRAPHS = ("litert", "onnx")
"""Formats whose files are opened as graphs, and are paired with the legacy layers whatever they are called."""
FROM_MODEL = ("litert", "saved_model")
"""Formats that TensorFlow writes of any Keras model."""


@dataclass(frozen=True)
class Call:
    """One more runtime to be asked.

    Attributes:
        runtime: which.
        given: the file itself, where the port is one that the runtime runs as it is.
        network: what the port computes, to be written; None where the model itself is converted.
        model: the keras.Model.
        precision: in which it is written.
    """

    runtime: Runtime
    given: Path | None = None
    network: Network | None = None
    model: Any = None
    precision: str = "float32"


def call_witnesses(legacy: Network, model: Any, source: Any, names: Sequence[str]) -> list[Call]:
    """The runtimes of these names, once it is sure that each can be asked.

    Args:
        legacy: the network.
        model: the port, opened.
        source: its path, or None.
        names: of runtimes.

    Raises:
        UsageError: a name that is none, or one that cannot run this port.
        PorterError: a runtime that is not installed, or that the port cannot be written for.
    """
    wanted = [runtime_named(name) for name in dict.fromkeys(names)]
    if not wanted or not hasattr(model, "variables"):
        return [_of_file(each, source) for each in wanted]
    precision, calls = _precision_of(model), []
    for each in wanted:
        if precision not in each.form.precisions:
            raise UsageError(
                f"--runtime {each.name}", found=f"a port in {precision}",
                expected=f"one in {' or '.join(each.form.precisions[:2])}", remedy="leave this runtime out",
            )  # fmt: skip
        network = _network_of(model, each)
        if network is not None:
            network = _called_alike(network, legacy)
            _check_layers(network, legacy, each)
        calls.append(Call(each, None, network, model, precision))
    return calls


def _of_file(runtime: Runtime, source: Any) -> Call:
    path = Path(source) if isinstance(source, str | Path) else None
    form = format_of(path) if path is not None and path.exists() else None
    others = () if form is None else runtimes_of(form)
    if path is None or runtime.name not in others:
        kind = "a function" if form is None else f"a file of {form.name}"
        expected = f"--runtime {' or '.join(others)}, which runs such a file too" if others else "a Keras model"
        raise UsageError(
            f"--runtime {runtime.name}", found=f"{kind}, which is judged by what runs it", expected=expected,
            remedy="give the Keras model to have it written for another runtime, or leave --runtime out",
        )  # fmt: skip
    return Call(runtime, given=path)


def _precision_of(model: Any) -> str:
    """The format of a model's variables.

    Raises:
        UsageError: one that no other runtime keeps arrays in.
    """
    found = sorted({str(np.dtype(each.dtype).name) for each in model.variables if "seed" not in each.path})
    kinds = [kind for kind in found if "float" in kind] or ["float32"]
    if len(kinds) > 1 or kinds[0] not in ("float32", "float64"):
        raise UsageError(
            "--runtime", found=f"a port in {' and '.join(kinds)}", expected="one in float32 or float64",
            remedy="leave --runtime out",
        )  # fmt: skip
    return kinds[0]


def _network_of(model: Any, runtime: Runtime) -> Network | None:
    """What the port computes, as its own file says; None where it is no chain and is converted as it is."""
    try:
        return network_of(model, {})
    except UnbuildableError as error:
        if runtime.format in FROM_MODEL:
            return None
        usable = [each.name for each in RUNTIMES.values() if each.format in FROM_MODEL]
        raise UsageError(
            f"--runtime {runtime.name}", found=f"a port with {error.found}",
            expected="a chain of Dense, Activation and Rescaling layers",
            remedy=f"take --runtime {' or '.join(usable)}, which run any Keras model",
        ) from error  # fmt: skip


def _called_alike(network: Network, legacy: Network) -> Network:
    """The port's chain under the names of the legacy layers, where it has the same layers in the same order."""
    if not _fits(network, legacy):
        return network
    pairs = zip(network.layers, legacy.layers, strict=True)
    return replace(network, layers=tuple(replace(mine, name=theirs.name) for mine, theirs in pairs))


def _fits(network: Network, legacy: Network) -> bool:
    pairs = list(zip(network.layers, legacy.layers, strict=False))
    return len(network.layers) == len(legacy.layers) and all(
        (isinstance(mine, Dense) and isinstance(theirs, Dense) and mine.kernel.shape == theirs.kernel.shape)
        or (isinstance(mine, Scaling) and isinstance(theirs, Scaling) and len(mine.scale) == len(theirs.scale))
        for mine, theirs in pairs
    )


def _check_layers(network: Network, legacy: Network, runtime: Runtime) -> None:
    """Refuse what a program shows by name alone, and names otherwise.

    Raises:
        UsageError: other layers than the legacy file has.
    """
    if runtime.format not in GRAPHS and not _fits(network, legacy):
        raise UsageError(
            f"--runtime {runtime.name}", found=f"{len(network.layers)} layers in the port: {_told(network)}",
            expected=f"the layers of the legacy file, one for each: {_told(legacy)}",
            remedy="take --runtime onnxruntime or litert, whose files are paired by what is in them",
        )  # fmt: skip


def _told(network: Network) -> str:
    return ", ".join(each.name for each in network.layers)


def with_witnesses(
    report: Report, legacy: Network, calls: Sequence[Call], *, golden: Any = None, seed: int = 0, rows: int = 2000
) -> Report:
    """The report of a port with what other runtimes make of it; its verdict is the worst of them all.

    Args:
        report: of the port as it is.
        legacy: the network.
        calls: as ``call_witnesses`` made them.
        golden: golden samples, or None.
        seed: of the inputs.
        rows: how many random rows inside the documented range.
    """
    if not calls:
        return report
    # What is written may have folded a scaling; where the port leaves it out, so does what is written.
    placement = "outside" if report.provenance.get("placement") == "outside" else None
    found = [(one, _asked(one, legacy, golden, seed, rows, placement)) for one in calls]
    witnesses = (
        _witness("the port itself", report),
        *(_witness(one.runtime.name, theirs) for one, theirs in found),
    )
    worst, theirs = max(found, key=lambda pair: ORDER.index(pair[1].verdict))
    report = replace(report, witnesses=witnesses)
    if ORDER.index(theirs.verdict) <= ORDER.index(report.verdict):
        return report
    told = f"the port itself is at {report.verdict}; as {worst.runtime.name} runs it: {theirs.verdict}"
    return replace(
        report, verdict=theirs.verdict, findings=_findings(theirs, worst.runtime.name), after_remedy=None,
        notes=(told, *report.notes),
    )  # fmt: skip


def _asked(one: Call, legacy: Network, golden: Any, seed: int, rows: int, placement: str | None) -> Report:
    """The report of what one runtime makes of the port."""
    form = one.runtime.form

    def judge(path: Path) -> Report:  # no code but what was just written is run
        return judge_file(legacy, form, path, golden=golden, seed=seed, rows=rows, trusted=True, placement=placement)

    if one.given is not None:
        return judge(one.given)
    with TemporaryDirectory(prefix="porter-") as folder:
        path = Path(folder) / f"port{form.suffix}"
        tell(f"writing {form.name}")
        if one.network is not None:
            form.write(one.network, path, WriteOptions(precision=one.precision, seed=seed))
        else:
            _convert(one.model, legacy, form, path)
        return judge(path)


def _convert(model: Any, legacy: Network, form: Format, path: Path) -> None:
    """Any Keras model as a file that TensorFlow writes."""
    if form.name == "litert":
        from porter.exports.litert import convert, unrolled

        path.write_bytes(convert(unrolled(model), "float32", None))
        return
    from porter.exports.keras_files import steps_of
    from porter.ports.keras.saved_model import write_saved_model

    write_saved_model(model, steps_of(legacy, model), path)


def _witness(name: str, report: Report) -> Witness:
    shown = [row.cumulative for row in report.layers if row.cumulative is not None]
    return Witness(
        name, _run_by(report.provenance), report.verdict, shown[-1] if shown else None, report.layers,
        report.findings, report.link_notes.get("export" if _is_export(report) else "build", ""),
    )  # fmt: skip


def _is_export(report: Report) -> bool:
    return report.links.get("export", "not checked") != "not checked"


def _run_by(provenance: Mapping[str, Any]) -> str:
    """What ran it, with its version."""
    if provenance.get("runtime"):
        return str(provenance["runtime"])
    versions = provenance.get("versions", {})
    keras = f"Keras {versions.get('keras', '')}".strip()
    return f"{keras}, TensorFlow {versions['tensorflow']}" if "tensorflow" in versions else keras


def _findings(report: Report, runtime: str) -> tuple[Finding, ...]:
    """Those of a witness, which say whose they are."""

    def told(each: Finding) -> str:
        return f"{each.layer}: as {runtime} runs it, {each.message.removeprefix(f'{each.layer}: ')}"

    return tuple(replace(each, message=told(each)) for each in report.findings)
