"""One port judged: a keras.Model, a file that its own runtime runs, or a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, singledispatch
from pathlib import Path
from typing import Any

from porter.diagnosis.diagnose import diagnose
from porter.errors import PorterError, PortError, UnbuildableError
from porter.examination.examine import examine
from porter.examination.rewriting.reduced import describe, reduced_to
from porter.examination.rewriting.widened import shown_by, widened_to
from porter.exports.judge import verify_traced
from porter.exports.like import legacy_port
from porter.exports.opening import open_port
from porter.formats import read
from porter.formats.folders import is_plain_folder, open_folder
from porter.formats.opened import open_file
from porter.formats.readers import family_of
from porter.formats.samples import Samples
from porter.jobs.escape import no_escape
from porter.jobs.file_port import check_unmended, verify_file
from porter.jobs.function_port import verify_function
from porter.jobs.gradients import OF_CHAINS, OF_KERAS, unasked, with_gradients, without_gradients
from porter.jobs.mending import check_remedy, for_file
from porter.jobs.physical import in_other_units
from porter.jobs.saving import staged, write_model
from porter.network import Dense, Network
from porter.network.graph import KerasNetwork
from porter.network.placement import check_unplaced
from porter.ports.file_graph import FileGraph
from porter.ports.keras.graph import read_graph
from porter.ports.keras.loading import Loading
from porter.ports.keras.state import preserved
from porter.ports.keras.stored import StoredArrays
from porter.ports.traced import TracedPort
from porter.report.report import Report
from porter.verdict.build import build_report


def opened_port(network: Network, port: Any, placement: str | None, *, trusted: bool, loading: Loading) -> Any:
    """What is to be judged: a port that was given, or what a file of one holds.

    Raises:
        PorterError: a file that holds no port.
    """
    legacy = _legacy_port(network, Path(port)) if isinstance(port, str | Path) and loading.is_plain else None
    if legacy is not None:
        return legacy
    model = open_port(port, trusted=trusted, loading=loading) if isinstance(port, str | Path) else port
    return model.into(network, placement) if isinstance(model, StoredArrays) else model


def _legacy_port(network: Network, path: Path) -> TracedPort | None:
    """A file of the network's own legacy format, such as one that was written back; None for anything else.

    Keras itself loads models of its earlier versions.

    Raises:
        PorterError: it cannot be read as the network was.
    """
    try:
        with open_folder(path) if is_plain_folder(path) else open_file(path) as opened:
            family = family_of(opened)
    except PorterError:
        return None
    if family.name != network.family or family.has_runtime:
        return None
    declared = {key: value for key, value in network.declarations.items() if value is not None}
    written = read(path, **declared)
    found, expected = ([layer.name for layer in each.layers] for each in (written, network))
    if (written.widths, found) != (network.widths, expected):
        raise PortError(
            f"the port {path}", found=f"the layers {', '.join(found)} of {'-'.join(map(str, written.widths))}",
            expected=f"{', '.join(expected)} of {'-'.join(map(str, network.widths))}",
            remedy="check that this is a file of that network",
        )  # fmt: skip
    arrays = {layer.name: (layer.kernel, layer.bias) for layer in written.layers if isinstance(layer, Dense)}
    told = f"{path.name} is a legacy file itself: its values were compared, and nothing of how such files are read"
    return replace(legacy_port(written, path), weights=lambda: arrays, notes=(told,))


def verify_port(
    network: Network,
    model: Any,
    *,
    source: str | Path | None = None,
    golden: Samples | None = None,
    seed: int = 0,
    search: bool = False,
    placement: str | None = None,
    rows: int = 2000,
    apply: str | Path | None = None,
    gradients: bool = False,
) -> Report:
    """The report of a port as it is, whatever runs it; the arguments are those of ``porter.verify``.

    Raises:
        PorterError: a port that cannot be evaluated, and a mended one that cannot be made.
    """
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
        return _verify(network, model, _How(golden, seed, search, placement, rows, apply, source, gradients))


@dataclass(frozen=True)
class _How:
    """How a Keras model is judged; the attributes are the arguments of ``porter.verify``."""

    golden: Samples | None
    seed: int
    search: bool
    placement: str | None
    rows: int
    apply: str | Path | None
    source: str | Path | None
    gradients: bool


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


@singledispatch
def _verify(network: Network, model: Any, how: _How) -> Report:
    """The report of a Keras model: of a chain with every block paired anew, and other forms of it tried."""
    graph, forms = read_graph(model), tuple[str, ...]()
    reduced = reduced_to(network, [kernel.shape for kernel, _ in shown_by(graph)])
    if reduced is not None:
        network, forms = reduced[0], describe(reduced[1])
    judge = partial(examine, graph=graph, seed=how.seed, placement=how.placement, rows=how.rows, golden=how.golden)
    case = judge(network)
    widened = None if reduced is not None or case.is_parity else widened_to(network, shown_by(graph))
    if widened is not None:
        network, forms = widened
        case = judge(network)
    report = build_report(case, diagnose(case), golden=how.golden, search=how.search, source=how.source)
    if report.findings:
        other = in_other_units(report, case, how.rows, how.source) if how.golden is None else None
        report, case = (report, case) if other is None else other
    if forms:
        told = (f"equivalent form, for all inputs: {sentence}" for sentence in forms)
        report = replace(report, notes=(*told, *report.notes))
    if report.findings:
        report, mended = check_remedy(report, case)
        _save(mended, how.apply, report)
    return with_gradients(report, case) if how.gradients else unasked(report, network)


@_verify.register(KerasNetwork)
def _(network: KerasNetwork, model: Any, how: _How) -> Report:
    from porter.jobs.graphs.mending import check_legacy_remedy
    from porter.jobs.graphs.verify import examine_legacy

    if not hasattr(model, "inputs"):  # its own class shows no layers
        called = verify_function(network, _as_function(model), golden=how.golden, seed=how.seed, rows=how.rows)
        return _unshown(called, how.gradients)
    check_unplaced(how.placement)
    report, judged = examine_legacy(network, model, golden=how.golden, seed=how.seed, source=how.source)
    if report.findings:
        report, mended = check_legacy_remedy(report, network, model, judged, how.seed)
        _save(mended, how.apply, report)
    return without_gradients(report, OF_CHAINS) if how.gradients else report


def _save(mended: Any, path: str | Path | None, report: Report) -> None:
    """Write the mended port, where somebody wants it."""
    if path is None:
        return
    if mended is None or report.after_remedy != "parity":
        raise UnbuildableError(
            f"{path} is not written",
            found=f"a mended port that is {report.after_remedy or 'impossible to build'}",
            expected="parity once every remedy is applied",
            remedy="follow the remedies of the report by hand, or build the port anew with porter.port",
        )
    with staged(path) as draft:
        write_model(mended, draft)
