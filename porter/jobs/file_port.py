"""A file of another format as a port: judged by its own runtime, piece by piece where it opens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.diagnosis.diagnose import diagnose
from porter.errors import UsageError
from porter.examination.case import Case
from porter.examination.compare import compare_outputs, merge_comparisons
from porter.examination.domain import network_inputs
from porter.examination.examine import END_TO_END_NUMBERS, END_TO_END_ROWS, examine
from porter.examination.judging import cast
from porter.examination.pasting import taken_out
from porter.exports.choice import Choice, describe_choice
from porter.exports.defaults import Defaults, hold_defaults
from porter.exports.feeds import draw_inputs
from porter.exports.file_pairing import FilePairing, pair_file
from porter.exports.judge import random_findings, verify_traced
from porter.exports.onnx import describe_ends
from porter.exports.walk import as_feeds
from porter.formats.programs import build_program
from porter.jobs.approximate import verify_approximate
from porter.jobs.function_port import verify_function
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.network.placement import check_unplaced
from porter.ports.exercise import Exercise, Unexercised
from porter.ports.file_graph import FileGraph
from porter.ports.file_port import FilePort, as_port
from porter.report.model import Finding, LayerRow
from porter.report.report import Report
from porter.verdict.build import build_report
from porter.verdict.provenance import versions
from reference.operations.dense import Dense
from reference.precision import Precision
from reference.rounding.bounds import end_to_end
from reference.trace import Program, chain

Array = NDArray[Any]

SEEN_ROWS = 64
CLAIMED = ("porter_legacy_sha256", "porter_inputs", "porter_outputs")
COARSEST = Precision("float32", "float32")
"""Of steps that a file has no tensor for."""
WITH_SLOPE = ("hard_sigmoid_keras2", "scaled_tanh")
"""Activations that Keras has to be given as a product and another activation."""


def verify_file(
    network: Network,
    file: FileGraph,
    *,
    golden: Any = None,
    seed: int = 0,
    search: bool = True,
    placement: str | None = None,
    rows: int = 2000,
    path: Any = None,
) -> Report:
    """Judge a file of another format.

    Args:
        network: the legacy network.
        file: as its format's reader has it.
        golden: golden samples, or None.
        seed: of the probes and the search.
        search: whether Hypothesis searches the inputs for a larger error, of a chain.
        placement: where the file has the scaling; None to find out.
        rows: how many random rows inside the documented range, of a chain.
        path: of the file, for the report.

    Returns:
        The report; its link "export" is what was judged.
    """
    file = replace(file, notes=(*file.notes, *_claims_otherwise(network, file)))
    if file.approximates:
        return verify_approximate(network, file, golden=golden, seed=seed, rows=rows, path=path)
    how = {"golden": golden, "seed": seed, "placement": placement, "rows": rows}
    return _verify(network, file, search=search, path=path, **how)


@singledispatch
def _verify(
    network: Network,
    file: FileGraph,
    *,
    golden: Any,
    seed: int,
    placement: str | None,
    rows: int,
    search: bool,
    path: Any,
) -> Report:
    port = _port(network, file, rows, seed, placement, golden)
    watched = _watch(port, network, seed)
    unseen = watched.left_open(build_program(network), {})
    if watched.is_shapeless:
        return _as_left_open(as_export(_from_end_to_end(network, port, golden, seed, rows), file, opens=False), unseen)
    case = examine(network, port, seed=seed, placement=placement, rows=rows, golden=golden)
    case = replace(case, account=replace(case.account, causes=(*case.account.causes, *_round_trips(case, port))))
    choice = _choice(case, port)
    case = replace(case, doubts=(*case.doubts, *filter(None, [choice.doubt])))
    report = build_report(case, diagnose(case), golden=golden, search=search, source=path)
    if report.verdict == "mismatch" and (case.pairing.merges or case.pairing.extra):
        whole = _from_end_to_end(network, port, golden, seed, rows)
        if whole.verdict != "mismatch":
            return _as_left_open(as_export(whole, file, opens=False), unseen)
    if choice.told:
        report = replace(
            report, notes=(choice.told, *report.notes),
            link_notes={**report.link_notes, "build": f"{choice.told}; {report.link_notes['build']}"},
        )  # fmt: skip
    halves = _holds_halves(case)
    is_open = report.verdict == "mismatch" and _has_slopes(case) and (halves or not _is_followed(case))
    if is_open and _is_within(case, port, Precision("float32", "float16" if halves else "float32")):
        return as_export(_uncompared(report, HALVES if halves else MERGED), file, opens=False)
    return _as_left_open(as_export(_with_defaults(report, case, port), file), unseen)


def _watch(port: FilePort, network: Network, seed: int) -> Exercise:
    """What leads to the output, on a few rows in batches of several sizes."""
    program, watched = build_program(network), Exercise(port.file, port.outputs)
    few = network_inputs(program, SEEN_ROWS, np.random.default_rng(seed), False, None)
    few = few if few.shape[1] == port.input_shapes[0][0] else np.ones((SEEN_ROWS, port.input_shapes[0][0] or 1))
    for count in (SEEN_ROWS, 2, 3):
        watched.see(port.trace([few[:count]]))
    return watched


def _as_left_open(report: Report, unseen: Unexercised) -> Report:
    """The report with what rows cannot show: a mistake where numbers are drawn, no parity where rows are counted."""
    told, layer = unseen.counted, report.layers[-1].layer
    found = random_findings(unseen, layer, report.findings)
    if not told and not found:
        return report
    verdict = "mismatch" if found else "inconclusive" if report.verdict == "parity" else report.verdict
    links = {**report.links, "export": verdict}
    return replace(
        report, verdict=verdict, findings=(*report.findings, *found), notes=(*filter(None, [told]), *report.notes),
        links=links,
    )  # fmt: skip


def _claims_otherwise(network: Network, file: FileGraph) -> Iterator[str]:
    """A sentence on what a file of porter's says of itself and the legacy file does not."""
    if not any(key.startswith("porter_") for key in file.metadata):
        return
    known = describe_ends(network)
    other = [key for key in CLAIMED if file.metadata.get(key, known[key]) != known[key]]
    if other:
        told = ", ".join(other)
        yield f"what the file says of itself in {told} is not so of this legacy file; nothing was judged by it"


def _choice(case: Case, port: FilePort) -> Choice:
    """Which of the file's outputs was judged."""
    shown = {one.pair.block.leaving for one in case.judged if one.pair.block is not None and one.verdict == "parity"}
    return describe_choice(port.file, port.trace([case.inputs[:SEEN_ROWS]]), port.outputs, shown, case.program.outputs)


def _round_trips(case: Case, port: FilePort) -> Iterator[Cause]:
    """Casts to fewer digits that are taken back at once: nothing is computed there, and every number is rounded."""
    file = port.file
    casts = [node for node in file.nodes if node.operation.upper() == "CAST" and node.inputs]  # no constant's
    if not casts:
        return
    dtypes = {key: np.dtype(values.dtype) for key, values in port.trace([case.inputs[:SEEN_ROWS]]).items()}
    for node in casts:
        (given,), (made,) = node.inputs[:1], node.outputs
        taken = [other for other in file.nodes if made in other.inputs]
        if not {given, made} <= dtypes.keys():
            continue
        if dtypes[made].itemsize >= dtypes[given].itemsize or dtypes[made].kind not in "fV":
            continue
        if taken and all(other in casts for other in taken):
            is_first = given in {each.key for each in file.inputs}
            row = case.judged[0 if is_first else -1].name
            message = f"{node.name} (Cast) rounds what passes through it to {dtypes[made]}; the file has nothing there"
            yield Cause("precision.port", row, message, taken_out([node.name]))


def _has_slopes(case: Case) -> bool:
    """Whether a converter may multiply an activation's slope into the arrays on both sides."""
    return any(isinstance(step, Dense) and step.activation.name in WITH_SLOPE for step in case.program.steps)


def _is_followed(case: Case) -> bool:
    """Whether the steps were found in the file as the converter has multiplied them, and all but one of them are right.

    Where more are not, what was taken for a step may be another.
    """
    wrong = sum(one.verdict == "mismatch" for one in case.judged)
    return wrong == 1 and any(one.rewritten for one in case.judged)


def _holds_halves(case: Case) -> bool:
    return any(one.pair.block is not None and one.pair.block.precision.variables == "float16" for one in case.judged)


def _is_within(case: Case, port: FilePort, precision: Precision) -> bool:
    """Whether the outputs lie within the end-to-end bound of that precision."""
    rows = cast(case.inputs[:END_TO_END_ROWS], port.input_dtypes[0]).astype(np.float64)
    allowed = end_to_end(case.program, rows, precision)[case.program.steps[-1].name]
    found = np.asarray(port(rows)[0]).astype(np.float64).reshape(len(rows), -1)
    return compare_outputs(np.asarray(case.program(rows)[0]), found, allowed).is_parity


HALVES = (
    "its arrays are kept in half precision, after an activation's slope was multiplied into them: no layer can be "
    "held against the file's own numbers; the outputs lie within the end-to-end bound of such arrays"
)
MERGED = (
    "a converter has multiplied the slope of an activation into the arrays around it: no layer can be held against the "
    "file's own numbers; the outputs lie within the end-to-end bound"
)


def _uncompared(report: Report, told: str) -> Report:
    layers = tuple(LayerRow(row.layer, (), "uncompared", where="multiplied into others") for row in report.layers)
    return replace(
        report, verdict="inconclusive", findings=(), layers=layers, notes=(told,), after_remedy=None, pictures={},
        links={**report.links, "build": "inconclusive"}, link_notes={**report.link_notes, "build": told},
    )  # fmt: skip


@_verify.register(KerasNetwork)
def _(
    network: KerasNetwork, file: FileGraph, *, golden: Any, seed: int, placement: str | None, rows: int, **_: Any
) -> Report:
    """Every step on what the file itself feeds it with."""
    check_unplaced(placement)
    program = build_program(network)
    file = file.by_name(program.inputs)
    drawn = draw_inputs(network, program, rows, np.random.default_rng(seed), golden)
    feeds = as_feeds(program.inputs, drawn)
    paired = pair_file(file, program, feeds)
    report = verify_traced(network, paired.traced(program.outputs), golden=golden, seed=seed)
    notes = list(report.notes)
    if not paired.by_name:
        notes.append("the file's tensors were paired with the legacy layers by the numbers in them, not by their names")
    report = replace(report, notes=(*notes, *file.notes))
    held = _held_defaults(program, file, paired, feeds)
    return with_defaults(report, held, file, report.layers[-1].layer, len(drawn[0]), link="export")


def _held_defaults(program: Program, file: FileGraph, paired: FilePairing, feeds: Mapping[str, Array]) -> Defaults:
    """The outputs where the runtime optimizes the file as it does unless it is told otherwise."""
    inputs, count = list(feeds.values()), len(next(iter(feeds.values())))
    own, usual = file.trace(inputs), dict(zip(file.outputs, file.call(inputs), strict=True))
    pairs = [(own[place.key], usual[place.key]) for place in map(paired.places.__getitem__, program.outputs)]
    if all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs):
        return Defaults(same=True)
    if any(a.shape != b.shape for a, b in pairs):
        return Defaults(same=False, largest=np.inf, exceeding=1)
    with np.errstate(invalid="ignore"):
        gaps = (np.nanmax(np.abs(a.astype(np.float64) - b), initial=0.0) for a, b in pairs)
    largest = float(max(gaps))
    try:
        precisions = {step.name: paired.precisions.get(step.name, COARSEST) for step in program.steps}
        bounds = end_to_end(program, feeds, precisions)
    except KeyError:  # a step without a bound
        return Defaults(same=False, largest=largest)
    found = merge_comparisons(
        compare_outputs(wanted, paired.places[name].read(usual, (count, *wanted.shape[1:])), bounds[name])
        for name, wanted in zip(program.outputs, map(np.asarray, program(feeds)), strict=True)
    )
    return Defaults(False, largest, found.exceeding, found.allowed)


def _from_end_to_end(network: Network, port: FilePort, golden: Any, seed: int, rows: int) -> Report:
    """The outputs alone: for a file whose operations are arranged otherwise than the legacy steps."""

    def run(rows: Array) -> Array:
        return np.asarray(port(rows)[0])

    run.__name__ = port.file.name
    report = verify_function(network, run, golden=golden, seed=seed, rows=rows)
    told = "its operations are arranged otherwise than the legacy steps, so that none can be compared alone"
    return replace(report, notes=(told, *report.notes))


def check_unmended(path: Any) -> None:
    """Refuse to mend a file that is no Keras model.

    Raises:
        UsageError: a place for a mended copy.
    """
    if path is not None:
        raise UsageError(
            f"a mended copy at {path}", found="a port that is no Keras model", expected="no --apply (apply=)",
            remedy="write the file anew from the legacy file",
        )  # fmt: skip


def _port(network: Network, file: FileGraph, rows: int, seed: int, placement: str | None, golden: Any) -> FilePort:
    program = build_program(network)
    inputs = network_inputs(program, rows, np.random.default_rng(seed), placement == "outside", golden)
    few = inputs[:SEEN_ROWS]
    return as_port(file, inputs.shape[1], few, np.asarray(program(few)[0]))


def _with_defaults(report: Report, case: Case, port: FilePort) -> Report:
    """The report with what comes out where the runtime optimizes the file as it does unless it is told otherwise."""
    widest = max(step.width[1] for step in case.program.steps if isinstance(step, Dense))
    count = min(END_TO_END_ROWS, END_TO_END_NUMBERS // widest + 1)
    rows = cast(case.inputs[:count], port.input_dtypes[0]).astype(np.float64)
    held = hold_defaults(port, rows, lambda: _whole_bound(case, rows))
    return with_defaults(report, held, port.file, case.judged[-1].name, len(rows))


def _whole_bound(case: Case, rows: Array) -> tuple[Array, Array | None]:
    """What the reference makes of some rows, and the end-to-end bound; None where not every step is in the port.

    Scalings that the port has in its layers are judged in them, with what that rounds.
    """
    present = [one for one in case.judged if one.pair.block is not None]
    absent = [one for one in case.judged if one.pair.block is None and not one.verdict.startswith("folded")]
    if absent or any(one.rewritten or one.gauge is not None for one in case.judged):
        return rows, None
    names = [case.program.inputs[0], *(one.name for one in present)]
    steps = [replace(one.step, name=one.name, inputs=(names[at],)) for at, one in enumerate(present)]
    precisions = {one.name: one.pair.block.precision for one in present if one.pair.block is not None}
    program = chain(steps, case.program.inputs[0])
    return np.asarray(program(rows)[0]), np.asarray(end_to_end(program, rows, precisions)[names[-1]])


def with_defaults(
    report: Report, held: Defaults, file: FileGraph, layer: str, count: int, link: str = "build"
) -> Report:
    """The same with a note, and a finding where rounding does not explain what the optimizations change.

    Args:
        report: of the file as it stands.
        held: what was seen.
        file: which was run.
        layer: row name of the last step.
        count: of rows.
        link: under which the report has the verdict.
    """
    told = f"with {file.defaults} the outputs of {count:,} inputs"
    if held.same:
        return replace(report, notes=(*report.notes, f"{told} are the same bits as without"))
    if held.exceeding is None:
        note = f"{told} differ by up to {held.largest:.3g} from those without; no bound could be held against that"
        return replace(report, notes=(*report.notes, note))
    if not held.exceeding:
        note = f"{told} differ by up to {held.largest:.3g} from those without, within the end-to-end bound"
        return replace(report, notes=(*report.notes, note))
    message = f"{layer}: {told} are further from the reference than rounding explains, and without them they are not"
    if report.verdict == "mismatch":
        return report
    found = Finding(
        "call.overridden", layer, (), message, f"{held.exceeding:,} elements; {held.largest:.3g} at most from without",
        "run it with the optimizations off",
    )  # fmt: skip
    return replace(
        report, verdict="mismatch", findings=(*report.findings, found), links={**report.links, link: "mismatch"}
    )


def _versions(file: FileGraph) -> dict[str, str]:
    return versions(*(("onnx", "onnxruntime") if file.runtime.startswith("onnxruntime") else ()))


def as_export(report: Report, file: FileGraph, *, opens: bool = True) -> Report:
    """The report with what was judged under the link "export": no Keras model had a part in it.

    Args:
        report: with the verdict on the file under "build".
        file: which was run.
        opens: whether its steps were judged one by one.
    """
    how = "as its operations stand, each step run alone as well" if opens else "as a whole"
    notes: Mapping[str, str] = {
        **report.link_notes,
        "build": "no Keras model was given",
        "save": "no Keras model was given",
        "export": f"{file.name}, run by {file.runtime} {how}: {report.link_notes['build']}",
    }
    links = {**report.links, "build": "not checked", "save": "not checked", "export": report.links["build"]}
    findings = tuple(
        replace(each, remedy=f"write it anew with porter export, or put {each.layer} right in {file.name}")
        for each in report.findings
    )
    return replace(
        report, links=links, link_notes=notes, notes=(*report.notes, *file.notes), findings=findings,
        provenance={**report.provenance, "runtime": file.runtime, "versions": _versions(file)},
    )  # fmt: skip
