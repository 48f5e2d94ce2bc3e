"""Legacy Keras network against port: every step judged on the port's own inputs, and on wide ones of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from porter.compare import Comparison, merge_comparisons
from porter.errors import PortError
from porter.formats.keras_legacy.graph import KerasNetwork
from porter.keras_legacy_agreement import draw_wide
from porter.keras_legacy_faults import explain
from porter.keras_legacy_pairing import KerasPairing, Pair, pair_port
from porter.keras_legacy_samples import KerasSamples, disagreement, read_keras_samples
from porter.keras_legacy_steps import OWN_ROWS, compare_step, count_different_weights
from porter.keras_legacy_strays import ABSENT, find_structure
from porter.network import Claim
from porter.port_graph import PortGraph, read_graph
from porter.programs import build_program
from porter.provenance import versions
from porter.report.model import Finding, LayerRow, Report, Verdict
from reference.elementwise import Replacement
from reference.precision import Precision
from reference.rounding import has_bound

Array = NDArray[Any]

ELEMENTS = 2**21
"""Numbers in the widest layer for all rows together: what a verification holds at a time."""
LENGTH = 12
"""Steps or pixels along an axis whose length the file leaves open."""
ORDER = ("proven", "declared", "assumed", "contradicted")


@dataclass(frozen=True)
class Judged:
    """One step with what was seen of it."""

    step: Any
    comparison: Comparison
    verdict: str
    precision: Precision
    names: tuple[str, ...]
    cumulative: float | None
    weights_differ: int = 0
    reason: str = ""
    trial: Callable[[Any], bool] | None = None


def verify_legacy(
    network: KerasNetwork, model: Any, *, samples: Any = None, seed: int = 0, wide: bool = True
) -> Report:
    """Judge a port of a legacy Keras network, layer by layer.

    Args:
        network: as read, with weights.
        model: a keras.Model that bears the legacy layers' names; never changed.
        samples: recorded inputs and outputs: the path of an .npz, or a pair; the inputs then replace random ones.
        seed: of the random inputs.
        wide: whether every layer is also fed with wide random numbers of its own.

    Returns:
        The report; it never raises for a mismatch.

    Raises:
        PortError: a port whose layers do not bear the names, or with other inputs.
    """
    program, graph = build_program(network), read_graph(model)
    rng = np.random.default_rng(seed)
    golden = None if samples is None else read_keras_samples(samples)
    contradiction = None if golden is None else disagreement(program, golden)
    feeds = draw_feeds(network, model, None if golden is None else golden.inputs, rng)
    pairing = pair_port(network, program, graph, feeds)
    reference = program.trace({name: feeds[name].astype(np.float64) for name in program.inputs})
    judged = []
    for step in program.steps:
        one = _judge(step, pairing, reference)
        if wide and one.verdict in ("parity", "mismatch"):
            one = _judge_wide(one, pairing, rng)
        judged.append(one)
    whole = _whole_differs(graph, pairing, feeds)
    structure = find_structure(pairing, program)
    report = _report(network, judged, feeds, seed, whole, pairing.notes, structure)
    return report if golden is None else _with_samples(report, network, golden, contradiction)


def _with_samples(report: Report, network: KerasNetwork, golden: KerasSamples, contradiction: str | None) -> Report:
    """The report with what the recorded outputs say about the reading."""
    if contradiction is None:
        note = f"the reference reproduces {golden.name}, {len(golden.inputs[0])} rows"
        claims = (*report.claims, Claim(network.name, "outputs", "as recorded", "samples", note))
        links = {**report.links, "reading": "proven"}
        return replace(report, claims=claims, links=links, link_notes={**report.link_notes, "reading": note})
    finding = Finding(
        "reading.contradicted", report.layers[-1].layer, (), "the reference does not reproduce the recorded outputs",
        contradiction, "check backend=, and that the samples are this model's",
    )  # fmt: skip
    return replace(
        report, verdict="mismatch", findings=(finding, *report.findings),
        links={**report.links, "reading": "contradicted"},
        link_notes={**report.link_notes, "reading": contradiction},
    )  # fmt: skip


def draw_feeds(
    network: KerasNetwork, model: Any, given: Sequence[Array] | None, rng: np.random.Generator
) -> dict[str, Array]:
    """Rows for each input, in the port's own dtype: whole numbers where an Embedding looks them up."""
    graph = read_graph(model)
    if len(graph.inputs) != len(network.inputs) or (given is not None and len(given) != len(network.inputs)):
        raise PortError(
            f"the port {model.name}", found=f"{len(graph.inputs)} inputs", expected=f"{len(network.inputs)}"
        )
    words = _words(network)
    rows = _rows(graph)
    feeds = {}
    for index, (each, row) in enumerate(zip(network.inputs, graph.input_shapes, strict=True)):
        shape = tuple(LENGTH if n is None else n for n in row)
        if given is not None:
            values = np.asarray(given[index])
        elif each.name in words:
            values = rng.integers(0, words[each.name], (rows, *shape))
        else:
            values = rng.normal(0, 1, (rows, *shape))
            values[-1] *= 10
            values[0] = 0 if rows > 3 else values[0]
        feeds[each.name] = values.astype(graph.input_dtypes[index])
    return feeds


def _words(network: KerasNetwork) -> dict[str, int]:
    """How many words the Embeddings on an input know."""
    known: dict[str, int] = {}
    for call in network.calls:
        layer: Any = network.layer(call.layer)
        if layer.operation == "Embedding":
            name = call.inputs[0].name
            known[name] = min(known.get(name, layer.parameters["rows"]), layer.parameters["rows"])
    return known


def _rows(graph: PortGraph) -> int:
    shapes = [*graph.input_shapes, *(tensor.shape[1:] for node in graph.nodes for tensor in node.node.outputs)]
    widest = max(int(np.prod([LENGTH if n is None else n for n in shape])) for shape in shapes)
    return int(np.clip(ELEMENTS // max(widest, 1), 2, 16))


def _judge(step: Any, pairing: KerasPairing, reference: Mapping[str, Any]) -> Judged:
    pair, precision = pairing[step.name], pairing.precision(step.name)
    expected, actual = np.asarray(reference[step.name].outputs, np.float64), pairing.actual(step.name)
    if actual is None:
        return _unpaired(step, pair, precision)
    with np.errstate(all="ignore"):
        cumulative = float(np.nanmax(np.abs(expected - actual), initial=0)) if expected.shape == actual.shape else None
    fed, reason = pairing.fed(step.name), _no_bound(pair.step)
    if reason is None:
        try:
            found = pair.comparison or compare_step(pair.step, fed, actual, precision, OWN_ROWS)
        except KeyError as error:
            reason = str(error.args[0])
    if reason is not None:
        return Judged(step, Comparison(), "uncompared", precision, pair.names, cumulative, reason=reason)
    differ = count_different_weights(step, pairing.operations(step.name), precision)
    verdict = "parity" if found.is_parity and not differ else "mismatch"

    def trial(other: Any) -> bool:
        try:
            return compare_step(other, fed, actual, precision, "rows").is_parity
        except (KeyError, ValueError, IndexError):
            return False

    return Judged(step, found, verdict, precision, pair.names, cumulative, differ, trial=trial)


def _unpaired(step: Any, pair: Pair, precision: Precision) -> Judged:
    """A step that the port has no tensor for: it is part of another, or left out."""
    verdict = f"folded into {pair.folded_into}" if pair.folded_into else "uncompared"
    return Judged(step, Comparison(), verdict, precision, pair.names, None, reason=ABSENT)


def _no_bound(step: Any) -> str | None:
    if isinstance(step, Replacement):
        return "the user's own function: nothing to compare it with"
    return None if has_bound(step) else f"no rounding bound for {type(step).__name__}"


def _judge_wide(one: Judged, pairing: KerasPairing, rng: np.random.Generator) -> Judged:
    """The same step on numbers of its own: where a network's inputs never go, a mistake would not be seen."""
    pair, port = pairing[one.step.name], pairing.port
    # A layer may take the same tensor twice, as attention does.
    drawn = draw_wide(pair.step, port, pair.fed, rng)
    if drawn is None or pair.key is None or not port.between(pair.fed, pair.key)[1]:
        return one
    actual = np.asarray(port.run(drawn, pair.key), np.float64)
    fed = tuple(np.asarray(drawn[key], np.float64) for key in pair.fed)
    found = compare_step(pair.step, fed, actual, one.precision, "wide rows")
    merged = merge_comparisons([one.comparison, found])
    return replace(
        one, comparison=merged, verdict="parity" if merged.is_parity and not one.weights_differ else "mismatch"
    )


def _whole_differs(graph: PortGraph, pairing: KerasPairing, feeds: Mapping[str, Array]) -> bool:
    """Whether the port called as a whole gives something else than its layers did."""
    outputs = graph(*feeds.values())
    values = [pairing.port.values[key] for key in pairing.ends]
    return any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(outputs, values, strict=True))


def call_whole(model: Any, feeds: Sequence[Array]) -> list[Any]:
    """The outputs of a port, in order."""
    return list(keras.tree.flatten(model(feeds[0] if len(feeds) == 1 else list(feeds), training=False)))


def _report(
    network: KerasNetwork,
    judged: Sequence[Judged],
    feeds: Mapping[str, Array],
    seed: int,
    whole: bool,
    pairing_notes: Sequence[str],
    structure: Sequence[Finding],
) -> Report:
    rows = tuple(_row(one) for one in judged)
    findings = (*(_finding(one) for one in judged if one.verdict == "mismatch"), *structure)
    missed = [one for one in judged if one.verdict == "uncompared"]
    verdict: Verdict = "mismatch" if findings or whole else "inconclusive" if missed or not rows else "parity"
    count = len(next(iter(feeds.values())))
    notes = [f"{one.step.name} was not compared: {one.reason}" for one in missed]
    if whole:
        notes.append("the port called as a whole gives something else than its layers one by one")
    notes += [*pairing_notes, *_notes(network)]
    return Report(
        verdict=verdict,
        links={"reading": _reading(network), "build": verdict, "save": "not checked", "export": "not checked"},
        link_notes={
            "reading": "the file and what the user said; recorded outputs of the original would prove it",
            "build": f"{len(rows) - len(missed)} of {len(rows)} steps compared, on {count} rows and on wide ones",
            "save": "the port was judged as it was given; porter.port saves, loads and judges again",
            "export": "no exported file was given",
        },
        layers=rows,
        claims=network.claims,
        findings=findings,
        notes=tuple(notes),
        provenance={
            "legacy": str(network.source.path), "legacy_sha256": network.source.sha256, "seed": seed, "rows": count,
            "versions": versions(), **network.declarations,
        },
    )  # fmt: skip


def _reading(network: KerasNetwork) -> str:
    """The weakest evidence of any claim."""
    ranks = {"shape": 0, "samples": 0, "declared": 1, "assumed": 2, "contradicted": 3}
    return ORDER[max((ranks[claim.evidence] for claim in network.claims), default=1)]


def _notes(network: KerasNetwork) -> list[str]:
    notes = ["recurrent layers are bounded along all their steps: sound, and loose where there are many"]
    kinds = {layer.operation for layer in network.layers if hasattr(layer, "operation")}
    return notes if kinds & {"Recurrent", "ConvLSTM", "Bidirectional"} else []


def _row(one: Judged) -> LayerRow:
    if one.verdict not in ("parity", "mismatch"):
        return LayerRow(one.step.name, one.names, one.verdict, cumulative=one.cumulative, where=one.reason)
    found = one.comparison
    return LayerRow(
        one.step.name, one.names, one.verdict, found.error, one.cumulative, found.allowed, found.where,
        found.elements, found.exceeding, found.rtol, one.precision.compute,
    )  # fmt: skip


def _finding(one: Judged) -> Finding:
    cause, found = explain(one), one.comparison
    told = [f"{found.exceeding:,} of {found.elements:,} elements exceed what rounding explains; the worst is off by "
            f"{found.error:.3g}, allowed {found.allowed:.3g} ({found.where})"] if found.exceeding else []  # fmt: skip
    if one.weights_differ:
        told.append(f"{one.weights_differ:,} exposed weights are not the cast of the stored ones")
    return Finding(
        cause.code, one.step.name, one.names, f"{one.step.name}: {cause.message}", "; ".join(told), cause.remedy,
        certain=cause.code != "unexplained",
    )  # fmt: skip
