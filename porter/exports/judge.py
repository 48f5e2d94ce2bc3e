"""A traced port judged: every step it shows on the port's own numbers, the outputs from end to end as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.diagnose import same_once, whole_port
from porter.diagnosis.evidence import word_evidence
from porter.diagnosis.layers import Diagnosis, share_out
from porter.errors import PortError
from porter.examination.compare import Comparison, compare_outputs, merge_comparisons
from porter.examination.domain import port_limits
from porter.examination.hypotheses import telling_mistakes
from porter.examination.numbers import equal_within_ulp
from porter.examination.power import has_power, word_power
from porter.examination.probes import FAR, far_rows
from porter.examination.suspect import Stored
from porter.exports.edited import judge_text
from porter.exports.feeds import chain_inputs, draw_rows_of, enlarge, every_word
from porter.exports.naming import explain, in_another_form
from porter.exports.program_modes import Mode, judge_modes
from porter.exports.walk import Feeds, Walked, as_feeds, spread_rows, traced, walk
from porter.formats.programs import build_program
from porter.formats.samples import Samples
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.ports.exercise import Unexercised
from porter.ports.traced import TracedPort
from porter.reading.check import Reading
from porter.reading.held import Held, hold
from porter.reading.of_network import reading_of
from porter.report.model import Finding, LayerRow
from porter.report.report import Report
from porter.verdict.assemble import Judgement, assemble, compared_row, name_finding
from porter.verdict.provenance import verification, versions
from reference.composed.forms import form_of
from reference.operations.dense import Dense
from reference.operations.embedding import Embedding
from reference.operations.transforms import Transform
from reference.rounding.bounds import end_to_end, has_bound
from reference.rounding.recurrent_steps import is_stepped
from reference.trace import Program

Array = NDArray[Any]

ORDINARY = "inputs of the network"
BEYOND = "rows beyond the documented range"
WORDS = "rows of every word"
SIZES = (1, 2, 3)
END_TO_END_ROWS = 256
SPREAD_ROWS = 512
LARGER, MUCH_LARGER = 2.0**8, 2.0**30
"""Times rows of a network without a documented range: such as pixels are, and further than anybody would limit them."""
ALONG = (
    "its states are hidden; walked by the legacy cell in the port's format, all that it gives lies within the bound of "
    "one time step"
)
UNSTEADY = "take out what is random or keeps a state"
BRANCHED = {"relu", "leaky_relu", "elu", "selu", "relu6", "thresholded_relu"}
"""Activations that do one thing on one side and another on the other."""


@dataclass(frozen=True)
class Judged:
    """One step with its verdict.

    Attributes:
        walked: the step, and what was seen.
        verdict: as in ``LayerRow``.
        comparison: over everything that was seen.
        weights_differ: how many entries of its exposed arrays are not the cast of the file's.
        would_show: codes of the mistakes that would have exceeded the bound.
        reason: why it was not compared.
        notes: what was seen beside that.
    """

    walked: Walked
    verdict: str
    comparison: Comparison = field(default_factory=Comparison)
    weights_differ: int = 0
    would_show: tuple[str, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Row name."""
        return self.walked.name


def verify_traced(
    network: Network, port: TracedPort, *, golden: Samples | None = None, seed: int = 0, rows: int = 2000
) -> Report:
    """Judge a port that shows its layers, layer by layer, and its outputs from end to end.

    Args:
        network: the legacy network.
        port: run by its own runtime.
        golden: golden samples, or None.
        seed: of the inputs.
        rows: how many random rows inside the documented range; of a legacy Keras network as many as can be held.

    Returns:
        The report; its link "export" says what was judged, and with what.

    Raises:
        PortError: the port cannot be run.
    """
    program, rng = build_program(network), np.random.default_rng(seed)
    sets = draw_sets(network, program, port, golden, rng, rows)
    walked = walk(program, port, sets)
    _check_names(walked, port)
    stored = _stored(program)
    judged = [_judge(one, port, stored) for one in walked]
    diagnoses = {
        one.name: explain(one.walked, program, port, one.comparison, one.weights_differ)
        for one in judged
        if one.verdict == "mismatch"
    }
    diagnoses = share_out(diagnoses, list(stored.values()))
    feeds = sets[ORDINARY][0]
    whole = judge_whole(program, port, feeds, [each for each, _ in sets.values()])
    findings = [*_findings(judged, diagnoses), *_findings_of_whole(judged, whole, port)]
    modes = _modes(network, program, port, sets, is_right=not findings)
    findings += [mode.finding(judged[-1].name, port.name) for mode in modes if mode.code]
    unseen = Unexercised() if port.left_open is None else port.left_open(program)
    findings += random_findings(unseen, judged[-1].name, findings)
    doubts = (*port.doubts, *unseen.doubts)
    reading = reading_of(network, program, golden)
    judgement = Judgement(
        rows=[_row(one) for one in judged],
        findings=findings,
        is_settled=_is_compared(judged) and all(mode.is_judged for mode in modes) and not doubts,
        note="; ".join((*port.notes, _export_note(port, judged, sets, whole), *(mode.told for mode in modes))),
        notes=(*port.notes, *doubts, *_notes(judged, port, whole, modes)),
        link="export",
    )
    held = None if golden is None else _held(program, port, golden, reading)
    return assemble(judgement, reading, held, _provenance(network, port, seed, sets), has_samples=golden is not None)


def unjudged(network: Network, path: Path, reason: str) -> Report:
    """The report of a file that was written and not run."""
    program = build_program(network)
    judgement = Judgement(
        rows=[LayerRow(step.name, (), "uncompared", where=reason) for step in program.steps],
        findings=(),
        is_settled=False,
        note=reason,
        notes=(f"{path.name}: {reason}",),
        link="export",
    )
    provenance = verification(network, port=None, seed=0, placement=None, rows=0)
    report = assemble(judgement, reading_of(network, program, None), None, provenance, has_samples=False)
    return replace(report, links={**report.links, "export": "not checked"})


# --- what it is fed with --------------------------------------------------------------------------------------------


def draw_sets(
    network: Network, program: Program, port: TracedPort, golden: Samples | None, rng: np.random.Generator, rows: int
) -> dict[str, tuple[Feeds, bool]]:
    """Rows by what they are, and whether they lie far outside of the network's range."""
    sets: dict[str, tuple[Feeds, bool]] = {}
    if isinstance(network, KerasNetwork):
        given = None if golden is None else golden.inputs
        drawn = draw_rows_of(network, program, given, rng)
        sets[ORDINARY] = as_feeds(program.inputs, drawn, port.precision), False
        for number, words in enumerate(every_word(network, program, drawn), start=1):
            name = WORDS if number == 1 else f"{WORDS}, part {number}"
            sets[name] = as_feeds(program.inputs, words, port.precision), False
        for name, times in ((BEYOND, LARGER), (FAR, MUCH_LARGER)):
            larger = enlarge(network, program, drawn, times)
            if larger:  # which saturate what they reach: their bounds are narrow, and say little
                sets[name] = as_feeds(program.inputs, larger, port.precision), True
    else:
        rows_of = chain_inputs(network, program, rows, rng, golden)
        sets[ORDINARY] = as_feeds(program.inputs, [rows_of], port.precision), False
        beyond, far = _wide_rows(program, port, rows_of.shape[1], rng)
        for name, wide in ((BEYOND, beyond), (FAR, far)):
            if len(wide):
                sets[name] = as_feeds(program.inputs, [wide], port.precision), name == FAR
    ordinary = sets[ORDINARY][0]
    for size in SIZES:
        sets[f"{ORDINARY} in a batch of {size}"] = {name: each[-size:] for name, each in ordinary.items()}, False
    return sets


def _wide_rows(program: Program, port: TracedPort, width: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows beyond the range, and rows of every magnitude that the port's format holds; only what a transform takes."""
    beyond = spread_rows(port_limits(program, outside=False), width, SPREAD_ROWS, rng)
    far = far_rows(width, port.precision.format.largest / 2.0**40, rng)
    first = program.steps[0]
    if isinstance(first, Transform):
        beyond, far = (each[np.isfinite(first(each).outputs).all(axis=1)] for each in (beyond, far))
    return beyond, far


# --- the verdict on a step ------------------------------------------------------------------------------------------


def _stored(program: Program) -> dict[str, Stored]:
    return {step.name: Stored.of(step) for step in program.steps if isinstance(step, Dense)}


def _check_names(walked: Sequence[Walked], port: TracedPort) -> None:
    if not any(one.seen for one in walked):
        raise PortError(f"the port {port.name}", found="no layer of the network, and no output", expected="its outputs")


def _judge(walked: Walked, port: TracedPort, stored: Mapping[str, Stored]) -> Judged:
    if not walked.seen:
        folded = f"folded into {walked.folded_into}" if walked.folded_into else "uncompared"
        return Judged(walked, folded, reason="the port does not show what it gives")
    if not has_bound(walked.step):
        return Judged(walked, "uncompared", reason=f"no rounding bound for {type(walked.step).__name__}")
    try:
        found = _compared(walked, walked.step)
    except KeyError as error:
        return Judged(walked, "uncompared", reason=str(error.args[0]))
    differ = _weights_that_differ(walked, port, stored.get(walked.name))
    notes: tuple[str, ...] = ()
    if found.exceeding and not differ and (form := in_another_form(walked)) is not None:
        found, notes = _compared(walked, form), (f"{walked.name}: the port writes {form_of(form)}",)
    if not found.exceeding and not has_power(found.coarseness, walked.precision):
        along = _along_the_cell(walked)
        if along is not None:
            found, notes = along, (*notes, f"{walked.name}: {ALONG}")
    tried, shown = _telling(walked)
    verdict, reason = _verdict_of(found, differ, walked, tried, shown)
    return Judged(walked, verdict, found, differ, shown, reason, (*notes, *_asleep(walked, _is_shown(walked, port))))


def _compared(walked: Walked, step: Any) -> Comparison:
    """Everything that was seen; the figures of far rows are for where nothing nearer shows it."""
    near = merge_comparisons(one.judge(step, walked.precision) for one in walked.seen if not one.is_far)
    far = merge_comparisons(one.judge(step, walked.precision) for one in walked.seen if one.is_far)
    if not far.elements or near.exceeding:
        return near
    return merge_comparisons([near, far if far.exceeding else replace(far, ratio=-1.0, coarseness=np.inf)])


def _along_the_cell(walked: Walked) -> Comparison | None:
    """A recurrent layer whose states are hidden, against the legacy cell; None where that shows nothing either."""
    if not is_stepped(walked.step) or any(one.carried is not None for one in walked.seen):
        return None
    seen = tuple(one.with_walked_states(walked.step, walked.precision) for one in walked.seen)
    found = _compared(replace(walked, seen=seen), walked.step)
    return found if found.is_parity and has_power(found.coarseness, walked.precision) else None


def _telling(walked: Walked) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The mistakes that were tried in a dense layer, and those that would have shown."""
    fed = [one.fed[0] for one in walked.seen if not one.is_far and one.fed[0].ndim == 2]
    if not fed:
        return (), ()
    return telling_mistakes(walked.step, [rows[-64:] for rows in fed], walked.precision)


def _verdict_of(
    found: Comparison, differ: int, walked: Walked, tried: Sequence[str], shown: Sequence[str]
) -> tuple[str, str]:
    if found.elements == 0:
        return "uncompared", "no element could be compared"
    if not found.is_parity or differ:
        return "mismatch", ""
    if not has_power(found.coarseness, walked.precision):
        share = f"{found.coarseness:.2g} of the range of what it gives"
        hidden = ", and the states after its time steps are hidden" if is_stepped(walked.step) else ""
        return "uncompared", f"the bound says nothing here: rounding may come to {share}{hidden}"
    if tried and not shown:
        return "uncompared", f"the bound says nothing here: {', '.join(tried)} would have stayed within it"
    return "parity", ""


def _weights_that_differ(walked: Walked, port: TracedPort, stored: Stored | None) -> int:
    """How many entries of the port's own arrays are not the cast of the file's; 0 where it shows none."""
    held = {} if port.weights is None else port.weights()
    if stored is None or walked.name not in held:
        return 0
    kernel, bias = held[walked.name]
    if kernel.shape != stored.kernel.shape:
        return 0
    dtype = walked.precision.variables
    wanted = np.zeros(kernel.shape[1]) if stored.bias is None else stored.bias
    found = np.zeros(kernel.shape[1]) if bias is None else bias
    count = int(np.count_nonzero(~equal_within_ulp(kernel, stored.kernel, dtype)))
    return count + int(np.count_nonzero(~equal_within_ulp(found, wanted, dtype)))


def _is_shown(walked: Walked, port: TracedPort) -> bool:
    """Whether the port shows the arrays of a dense layer, so that they were compared."""
    held = {} if port.weights is None else port.weights()
    if not isinstance(walked.step, Dense) or walked.name not in held:
        return False
    return bool(held[walked.name][0].shape == Stored.of(walked.step).kernel.shape)


def _asleep(walked: Walked, is_shown: bool) -> tuple[str, ...]:
    """A sentence each on sides of an activation that no row reached, and on inputs that never moved.

    Args:
        walked: the step.
        is_shown: whether its arrays were read, and compared one by one.
    """
    step, near = walked.step, [one for one in walked.seen if not one.is_far]
    if not isinstance(step, Dense) or not near or any(one.fed[0].ndim != 2 for one in near):
        return ()
    fed = np.concatenate([one.fed[0] for one in near])
    notes = []
    still = int(np.sum(np.ptp(fed, axis=0) == 0))
    if still and not is_shown:
        told = f"{still} of its {fed.shape[1]} inputs were the same on every row: their weights were not compared"
        notes.append(f"{walked.name}: {told}")
    if step.activation.name in BRANCHED:
        notes += _one_sided(walked, np.asarray(step(fed).preactivation))
    return tuple(notes)


def _one_sided(walked: Walked, z: Array) -> list[str]:
    """Units whose activation has a branch that nothing took."""
    least, most = np.nanmin(z, axis=0), np.nanmax(z, axis=0)
    found = {"a negative": int(np.sum(least >= 0)), "a positive": int(np.sum(most <= 0))}
    parts = [f"{count} of {z.shape[1]} units never see {side} number" for side, count in found.items() if count]
    if not parts:
        return []
    return [f"{walked.name}: {' and '.join(parts)}: that side of {walked.step.activation} was not compared"]


# --- the whole ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Whole:
    """The outputs from end to end.

    Attributes:
        comparison: with the end-to-end bound.
        is_steady: whether the same rows gave the same bits again.
        apart: by how much the outputs that a person calls for lie from those of the layers; 0 where they are the same.
        surplus: layers that the port shows and the legacy program has not.
        swallows: the step that made a number of a missing value that the reference hands on; "" for none.
        reason: why there is no bound.
    """

    comparison: Comparison
    is_steady: bool
    apart: float = 0.0
    surplus: tuple[str, ...] = ()
    swallows: str = ""
    reason: str = ""


def judge_whole(program: Program, port: TracedPort, feeds: Feeds, sets: Iterable[Feeds] = ()) -> Whole:
    """The outputs on the first rows with the end-to-end bound, the same rows again, and rows of missing values."""
    few = {name: rows[:END_TO_END_ROWS] for name, rows in feeds.items()}
    tensors, again = traced(program, port, few), traced(program, port, few)
    is_steady = all(np.array_equal(tensors[name], again[name], equal_nan=True) for name in program.outputs)
    precisions = {step.name: port.precision_of(step.name) for step in program.steps}
    apart = _calls_otherwise(program, port, sets)
    known = {*program.inputs, *program.outputs, *(step.name for step in program.steps), *port.outputs}
    surplus = tuple(name for name in tensors if name not in known)
    try:
        allowed = end_to_end(program, few, precisions)
    except KeyError as error:
        return Whole(Comparison(), is_steady, apart, surplus, reason=str(error.args[0]))
    found = []
    for name, wanted in zip(program.outputs, program(few), strict=True):
        expected, actual = np.asarray(wanted, np.float64), np.asarray(tensors[name], np.float64)
        shown = getattr(program.step(name), "shown", None) if name in precisions else None
        expected, actual = (expected, actual) if shown is None else (shown(expected), shown(actual))
        found.append(compare_outputs(expected, actual, allowed.get(name, np.zeros(expected.shape)), probes=ORDINARY))
    return Whole(merge_comparisons(found), is_steady, apart, surplus, _swallows(program, port, few))


def _calls_otherwise(program: Program, port: TracedPort, sets: Iterable[Feeds]) -> float:
    """By how much what a person calls differs from the layers' own outputs, on the last rows of every set."""
    if port.call is None:
        return 0.0
    joined = _joined(program, sets)
    if not joined:
        return 0.0
    given = port.call([joined[name] for name in program.inputs])
    tensors, worst = traced(program, port, joined), 0.0
    for own, name in zip(port.outputs, program.outputs, strict=True):
        if not np.array_equal(given[own], tensors[name], equal_nan=True):
            with np.errstate(invalid="ignore"):
                error = np.abs(np.asarray(given[own], np.float64) - tensors[name])
            worst = max(worst, float(np.nanmax(error, initial=0.0)) or float("inf"))
    return worst


def _joined(program: Program, sets: Iterable[Feeds]) -> dict[str, Array]:
    """The last rows of every set, one behind the other; nothing where there is none."""
    parts = [{name: rows[-END_TO_END_ROWS:] for name, rows in feeds.items()} for feeds in sets]
    return {name: np.concatenate([part[name] for part in parts]) for name in program.inputs} if parts else {}


def _modes(
    network: Network, program: Program, port: TracedPort, sets: Mapping[str, tuple[Feeds, bool]], *, is_right: bool
) -> list[Mode]:
    """What a program does beside its functions; nothing of any other runtime."""
    if port.program is None:
        return []
    joined = _joined(program, [feeds for feeds, is_far in sets.values() if not is_far])
    modes = judge_modes(program, port.program, list(joined.values()), port.precision, is_right=is_right)
    if port.source is None:
        return modes
    is_tested = is_right and not any(mode.code for mode in modes) and len(port.program.golden()[0]) > 0
    return [*modes, *judge_text(network, port.source, is_tested=is_tested)]


def _swallows(program: Program, port: TracedPort, feeds: Feeds) -> str:
    """The first step that makes a number of a missing value, where the legacy step hands one on."""
    looked_up = any(isinstance(step, Embedding) for step in program.steps)  # words are no numbers
    if len(program.inputs) != 1 or looked_up or next(iter(feeds.values())).dtype.kind != "f":
        return ""
    name, rows = next(iter(feeds.items()))
    rows = rows[-1:].copy()
    rows.reshape(1, -1)[0, 0] = np.nan
    try:
        tensors = traced(program, port, {name: rows})
    except PortError:
        return ""
    values = {name: rows, **tensors}
    for step in program.steps:
        if step.name in tensors and all(each in values for each in step.inputs):
            fed = tuple(np.asarray(values[each], np.float64) for each in step.inputs)
            wanted = np.isnan(np.asarray(step(*fed).outputs, np.float64))
            if wanted.any() and not np.isnan(np.asarray(tensors[step.name], np.float64)).any():
                return str(step.name)
    return ""


# --- words ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Named:
    """A cause with the step it was found at, as ``same_once`` wants it."""

    cause: Any
    judged: Judged
    diagnosis: Diagnosis


def _findings(judged: Sequence[Judged], diagnoses: Mapping[str, Diagnosis]) -> list[Finding]:
    named = [
        _Named(cause, one, diagnoses[one.name])
        for one in judged
        if one.name in diagnoses
        for cause in diagnoses[one.name].causes
    ]
    layers = sum(isinstance(one.walked.step, Dense) for one in judged)
    return [_finding(one) for one in whole_port(same_once(named), layers)]  # type: ignore[arg-type]


def _finding(named: Any) -> Finding:
    cause, one = named.cause, named.judged
    return name_finding(cause, (cause.layer,), one.comparison, one.weights_differ, named.diagnosis)


def _findings_of_whole(judged: Sequence[Judged], whole: Whole, port: TracedPort) -> list[Finding]:
    last = judged[-1].name
    found = []
    if not whole.is_steady:
        message = f"{last}: {port.name} gives other numbers for the same rows when it is run again"
        found.append(Finding("call.unsteady", last, (), message, "", UNSTEADY))
    if whole.apart:
        message = f"{last}: what is called of {port.name} gives other outputs than its layers, by {whole.apart:.3g}"
        remedy = f"hand on what the last layer gives, or write it anew with {port.portable}"
        found.append(Finding("call.overridden", last, (), message, "", remedy))
    if whole.comparison.exceeding and all(one.verdict != "mismatch" for one in judged):
        message = f"{last}: the outputs differ by more than rounding explains from end to end, though no layer does"
        evidence = word_evidence(whole.comparison, 0, None)
        found.append(Finding("unexplained", last, (), message, evidence, f"write it anew with {port.portable}"))
    return found


def random_findings(unseen: Unexercised, layer: str, found: Sequence[Finding]) -> list[Finding]:
    """The mistake of a port that draws random numbers or keeps a state, where it was not found already."""
    if not unseen.random or any(each.code == "call.unsteady" for each in found):
        return []
    return [Finding("call.unsteady", layer, (), f"{layer}: {unseen.random}", "", UNSTEADY)]


def _is_compared(judged: Sequence[Judged]) -> bool:
    """Whether every step was compared, or is part of one that was."""
    compared = [one.verdict == "parity" or one.verdict.startswith("folded into ") for one in judged]
    return all(compared) and any(one.comparison.elements for one in judged)


def _row(one: Judged) -> LayerRow:
    if one.verdict == "uncompared" or not one.walked.seen:
        return LayerRow(one.name, (), one.verdict, where=one.reason or None)
    return compared_row(
        one.name,
        (one.name,),
        one.verdict,
        one.comparison,
        dtype=one.walked.precision.compute,
        cumulative=one.walked.cumulative,
        would_show=one.would_show,
    )


def _export_note(
    port: TracedPort, judged: Sequence[Judged], sets: Mapping[str, tuple[Feeds, bool]], whole: Whole
) -> str:
    rows = sum(len(next(iter(feeds.values()))) for feeds, _ in sets.values())
    elements = sum(one.comparison.elements for one in judged)
    shown = sum(bool(one.walked.seen) for one in judged)
    note = (
        f"{port.name} run by {port.runtime} on {rows:,} inputs: {shown} of {len(judged)} layers shown, {elements:,} "
        f"elements against the bound of their own layer; {word_power(one.comparison.coarseness for one in judged)}"
    )
    if port.weights is not None:
        held = sum(_is_shown(one.walked, port) for one in judged)
        note += f"; the arrays of {held} layers read back" if held else ""
    if whole.reason:
        return f"{note}; no bound for the outputs from end to end: {whole.reason}"
    return (
        f"{note}; {whole.comparison.elements:,} outputs from end to end, at most {whole.comparison.error:.3g} off "
        f"where {whole.comparison.allowed:.3g} is allowed"
    )


def _held(program: Program, port: TracedPort, golden: Samples, reading: Reading) -> Held:
    """What the file gives on the inputs of golden samples."""
    tensors = traced(program, port, as_feeds_exactly(program, golden))
    precisions = {step.name: port.precision_of(step.name) for step in program.steps}
    found = [np.asarray(tensors[name], np.float64) for name in program.outputs]
    return hold(program, golden, found, precisions, fit=reading.fit)


def as_feeds_exactly(program: Program, golden: Samples) -> dict[str, Array]:
    """Golden inputs by the names of the program."""
    return dict(zip(program.inputs, (np.asarray(each) for each in golden.inputs), strict=True))


def _notes(judged: Sequence[Judged], port: TracedPort, whole: Whole, modes: Sequence[Mode]) -> tuple[str, ...]:
    notes = [note for one in judged for note in one.notes]
    notes += [f"{one.name}: not compared: {one.reason}" for one in judged if one.verdict == "uncompared"]
    if whole.surplus:
        told = ", ".join(whole.surplus)
        physical = any(name.startswith("Transform") for name in whole.surplus)
        question = ": was it made with --physical?" if physical else ""
        notes.append(f"the port has layers that the legacy formula has not, as it is read: {told}{question}")
    if whole.swallows:
        notes.append(f"{whole.swallows}: a missing value (NaN) becomes a number, which the legacy network hands on")
    notes += [mode.told for mode in modes if mode.is_told or not mode.is_judged]
    if port.alone is None:
        notes.append("the runtime shows what layers give and runs none alone: no layer was fed with probes of its own")
    return tuple(notes)


def _provenance(
    network: Network, port: TracedPort, seed: int, sets: Mapping[str, tuple[Feeds, bool]]
) -> dict[str, Any]:
    rows = sum(len(next(iter(feeds.values()))) for feeds, _ in sets.values())
    record = verification(network, port=port.path, seed=seed, placement=None, rows=rows)
    return record | {"port": str(port.path or port.name), "runtime": port.runtime, "versions": versions()}
