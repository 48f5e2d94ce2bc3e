"""Legacy network against port: the reference's own formula beside the port, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from porter.diagnosis.diagnose import diagnose
from porter.errors import UnbuildableError, UsageError
from porter.examination.examine import examine
from porter.examination.rewriting.reduced import describe, reduced_to
from porter.exports.judge import verify_traced
from porter.exports.opening import open_port
from porter.formats.samples import Samples, load_samples
from porter.jobs.escape import no_escape
from porter.jobs.file_port import check_unmended, verify_file
from porter.jobs.function_port import verify_function
from porter.jobs.gradients import OF_CHAINS, OF_KERAS, unasked, with_gradients, without_gradients
from porter.jobs.mending import check_remedy, for_file
from porter.jobs.physical import in_other_units
from porter.jobs.saving import staged, write_model
from porter.jobs.witnesses import call_witnesses, with_witnesses
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.network.placement import PLACEMENTS, check_unplaced
from porter.ports.file_graph import FileGraph
from porter.ports.keras.graph import PortGraph, read_graph
from porter.ports.keras.loading import Loading
from porter.ports.keras.state import preserved
from porter.ports.keras.stored import StoredArrays
from porter.ports.traced import TracedPort
from porter.report.report import Report
from porter.verdict.build import build_report


def verify(
    legacy: Network | str | Path,
    port: Any,
    *,
    samples: Any = None,
    seed: int = 0,
    search: bool = True,
    placement: str | None = None,
    rows: int = 2000,
    apply: str | Path | None = None,
    compile: bool = False,
    custom_objects: Any = None,
    unsafe_lambda: bool = False,
    architecture: str | Path | None = None,
    gradients: bool = False,
    runtimes: str | Sequence[str] = (),
    **options: Any,
) -> Report:
    """Judge a port of a legacy network, layer by layer.

    Args:
        legacy: the network, or the path of its file.
        port: a keras.Model, or the path of a saved one; never changed. Or the path of another format that something
            here runs (``porter.export`` lists them). Or a function of (rows, ...) arrays, one for each input, that
            gives the outputs: it shows no layers, and is judged from end to end.
        samples: golden samples of the original software: a path (.npz, .csv) or a pair (inputs, outputs).
        seed: of the probes and the search.
        search: whether Hypothesis searches the inputs for a larger error; a legacy Keras network is never searched,
            and its link note says so.
        placement: where the port has the scaling: "inside", "folded", "outside"; None to find out.
        rows: how many random rows inside the documented range; of a legacy Keras network, whose layers are wider, as
            many as keep within bounds.
        apply: where to save a mended copy of the port, if it has mistakes and every remedy together restores parity;
            they are run on a copy of the port; where that does not restore it, porter builds the whole port anew.
        custom_objects: the classes and functions of a saved Keras model's own: a module, its name or its file, which is
            imported and run, or a mapping of names.
        unsafe_lambda: whether the Python in the Lambda layers of a saved Keras model may be run.
        architecture: the model (.json, .keras, .h5) that a port of weights alone belongs to.
        runtimes: other runtimes that the same port is written for, run by and judged in, each a second witness:
            "onnxruntime", "onnx-reference", "litert", "tensorflow", "c", "fortran", "numpy". The verdict is then the
            worst of theirs and of the port's own; ``Report.witnesses`` has them all. An ONNX file is run as it is.
        compile: whether a port that is a program may be compiled where it has to be, and run: its code runs here.
        gradients: whether the port's Jacobian is compared with that of the legacy program as well, and judged with it.
        **options: ``read``'s options, where ``legacy`` is a path.

    Returns:
        The report; it never raises for a mismatch.

    Raises:
        UnbuildableError: the mended port asked for cannot be made, or the remedies do not restore parity.
        PorterError: a file that cannot be read, a port that cannot be evaluated, options that cannot be meant.
    """
    network = _network(legacy, options)
    if placement is not None and placement not in PLACEMENTS:
        raise UsageError("placement", found=repr(placement), expected=f"one of {', '.join(PLACEMENTS)}")
    if rows < 1:
        raise UsageError("rows", found=str(rows), expected="at least 1", remedy="leave rows out for the usual 2000")
    loading = Loading(custom_objects, unsafe_lambda, architecture)
    if not isinstance(port, str | Path) and not loading.is_plain:
        raise UsageError(
            "custom_objects=, unsafe_lambda= or architecture=", found="a port that is loaded already",
            expected="the path of a saved Keras model", remedy="leave them out",
        )  # fmt: skip
    model = open_port(port, trusted=compile, loading=loading) if isinstance(port, str | Path) else port
    source = port if isinstance(port, str | Path) else None
    golden = load_samples(samples, network)
    if isinstance(model, StoredArrays):
        model = model.into(network, placement)
    calls = call_witnesses(network, model, source, [runtimes] if isinstance(runtimes, str) else runtimes)
    report = _verify_port(network, model, source, golden, seed, search, placement, rows, apply, gradients)
    with no_escape():
        return with_witnesses(report, network, calls, golden=golden, seed=seed, rows=rows)


def _verify_port(
    network: Network,
    model: Any,
    source: str | Path | None,
    golden: Samples | None,
    seed: int,
    search: bool,
    placement: str | None,
    rows: int,
    apply: str | Path | None,
    gradients: bool,
) -> Report:
    """The report of the port as it is."""
    with no_escape():
        if isinstance(model, TracedPort):
            report = _unshown(verify_traced(network, model, golden=golden, seed=seed, rows=rows), gradients)
            return report if source is None else for_file(report, Path(source))
        if isinstance(model, FileGraph):
            check_unmended(apply)
            report = verify_file(
                network, model, golden=golden, seed=seed, search=search, placement=placement, rows=rows, path=source
            )
            report = _unshown(report, gradients)
            return report if source is None else for_file(report, Path(source))
        if _is_function(model):
            return _unshown(verify_function(network, model, golden=golden, seed=seed, rows=rows), gradients)
    with no_escape(), preserved(model):
        if isinstance(network, KerasNetwork) and not hasattr(model, "inputs"):  # its own class shows no layers
            called = verify_function(network, _as_function(model), golden=golden, seed=seed, rows=rows)
            return _unshown(called, gradients)
        if isinstance(network, KerasNetwork):
            report = _verify_keras(network, model, golden, seed, placement, apply, source)
            return without_gradients(report, OF_CHAINS) if gradients else report
        return _verify_dense(network, model, golden, seed, search, placement, rows, apply, source, gradients)


def _unshown(report: Report, gradients: bool) -> Report:
    return without_gradients(report, OF_KERAS) if gradients else report


def _as_function(model: Any) -> Callable[..., Any]:
    """A model of a class of its own, called on arrays: one for each input."""

    def call(*rows: Any) -> Any:
        from keras import ops, tree

        fed = [ops.convert_to_tensor(each, dtype=model.compute_dtype) for each in rows]
        outputs = model(fed if len(fed) > 1 else fed[0], training=False)
        return [ops.convert_to_numpy(each) for each in tree.flatten(outputs)]

    call.__name__ = model.name
    return call


def _is_function(port: Any) -> bool:
    """Whether a port is a function and no Keras model, which is callable as well."""
    return callable(port) and not hasattr(port, "variables")


def _verify_dense(
    network: Network,
    model: Any,
    golden: Samples | None,
    seed: int,
    search: bool,
    placement: str | None,
    rows: int,
    apply: str | Path | None,
    source: str | Path | None,
    gradients: bool,
) -> Report:
    graph = read_graph(model)
    reduced = reduced_to(network, _kernel_shapes(graph))
    network = network if reduced is None else reduced[0]
    case = examine(network, graph, seed=seed, placement=placement, rows=rows, golden=golden)
    named = diagnose(case)
    report = build_report(case, named, golden=golden, search=search, source=source)
    if report.findings:
        other = in_other_units(report, case, rows, source) if golden is None else None
        report, case = (report, case) if other is None else other
    if reduced is not None:
        told = (f"equivalent form, for all inputs: {sentence}" for sentence in describe(reduced[1]))
        report = replace(report, notes=(*told, *report.notes))
    if report.findings:
        report, mended = check_remedy(report, case)
        if apply is not None:
            _save(mended, apply, report)
    return with_gradients(report, case) if gradients else unasked(report, network)


def _kernel_shapes(graph: PortGraph) -> list[tuple[int, ...]]:
    """Of the port's dense layers, in their order."""
    layers = (node.operation for node in graph.nodes if node.kind == "dense")
    return [tuple(layer.kernel.shape) for layer in layers if layer.built and hasattr(layer, "kernel")]


def _verify_keras(
    network: KerasNetwork,
    model: Any,
    golden: Samples | None,
    seed: int,
    placement: str | None,
    apply: str | Path | None,
    source: str | Path | None,
) -> Report:
    from porter.jobs.graphs.mending import check_legacy_remedy
    from porter.jobs.graphs.verify import examine_legacy

    check_unplaced(placement)
    report, judged = examine_legacy(network, model, samples=golden, seed=seed, source=source)
    if report.findings:
        report, mended = check_legacy_remedy(report, network, model, judged, seed)
        if apply is not None:
            _save(mended, apply, report)
    return report


def _save(mended: Any, path: str | Path, report: Report) -> None:
    if mended is None or report.after_remedy != "parity":
        raise UnbuildableError(
            f"{path} is not written",
            found=f"a mended port that is {report.after_remedy or 'impossible to build'}",
            expected="parity once every remedy is applied",
            remedy="follow the remedies of the report by hand, or build the port anew with porter.port",
        )
    with staged(path) as draft:
        write_model(mended, draft)


def _network(legacy: Network | str | Path, options: Mapping[str, Any]) -> Network:
    from porter.formats import read

    if not isinstance(legacy, Network):
        return read(legacy, **options)
    if options:
        raise UsageError(
            f"verify({', '.join(options)})",
            found="options for reading beside a network that was read already",
            expected="the path of the file",
            remedy="give them to porter.read",
        )
    return legacy
