"""Legacy Keras network against port: every step judged on the port's own inputs, and on wide ones of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from porter.compare import Comparison, merge_comparisons
from porter.diagnosis.diagnose import Named
from porter.diagnosis.evidence import word_evidence
from porter.errors import PortError
from porter.formats.keras_legacy.graph import KerasNetwork
from porter.judging import compare_step
from porter.keras_legacy_diagnosis.arrays import differing
from porter.keras_legacy_diagnosis.diagnose import diagnose_legacy
from porter.keras_legacy_diagnosis.suspect import Suspect
from porter.keras_legacy_model import pairs
from porter.keras_legacy_probes import ELEMENTS, FLOATS, Port, make_suspect
from porter.keras_legacy_samples import KerasSamples, disagreement, read_keras_samples
from porter.keras_legacy_view import evaluating, unchanged
from porter.keras_model import legal_name
from porter.network import Claim
from porter.port_graph import PortGraph, read_graph
from porter.programs import build_program
from porter.provenance import versions
from porter.report.model import Finding, LayerRow, Report, Verdict
from reference.elementwise import Replacement
from reference.precision import Precision
from reference.rounding import has_bound
from reference.trace import Program

Array = NDArray[Any]

LENGTH = 12
"""Steps or pixels along an axis whose length the file leaves open."""
ORDER = ("proven", "declared", "assumed", "contradicted")


@dataclass(frozen=True)
class Judged:
    """One step with what was seen of it.

    Attributes:
        step: of the legacy program.
        comparison: over everything that it was fed with.
        verdict: as in ``LayerRow``.
        precision: in which the port computes it.
        names: of the port's layers.
        cumulative: the largest error end to end, or None.
        weights_differ: how many exposed weights are not the cast of the stored ones.
        reason: why it was not compared.
        suspect: the step with all that a diagnosis needs; None where it was not compared.
        whole_differs: whether the port called as a whole gives something else than its layers one by one; told by the
            last step.
    """

    step: Any
    comparison: Comparison
    verdict: str
    precision: Precision
    names: tuple[str, ...]
    cumulative: float | None
    weights_differ: int = 0
    reason: str = ""
    suspect: Suspect | None = None
    whole_differs: bool = False


def verify_legacy(
    network: KerasNetwork, model: Any, *, samples: Any = None, seed: int = 0, wide: bool = True, diagnosed: bool = True
) -> Report:
    """The report of ``examine_legacy`` alone; without what is wrong, where it need not be ``diagnosed``."""
    return examine_legacy(network, model, samples=samples, seed=seed, wide=wide, diagnosed=diagnosed)[0]


def examine_legacy(
    network: KerasNetwork, model: Any, *, samples: Any = None, seed: int = 0, wide: bool = True, diagnosed: bool = True
) -> tuple[Report, list[Named], list[Judged]]:
    """Judge a port of a legacy Keras network, layer by layer.

    Args:
        network: as read, with weights.
        model: a keras.Model that bears the legacy layers' names; never changed.
        samples: recorded inputs and outputs: the path of an .npz, or a pair; the inputs then replace random ones.
        seed: of the random inputs.
        wide: whether every layer is also fed with wide random numbers of its own.
        diagnosed: whether mismatches are explained.

    Returns:
        The report, which never raises for a mismatch; what is wrong, and every step as it was judged.

    Raises:
        PortError: a port whose layers do not bear the names, or with other inputs.
    """
    judged, feeds, golden = judge_legacy(network, model, samples=samples, seed=seed, wide=wide)
    named = diagnose_legacy(judged) if diagnosed else []
    report = _report(network, judged, named, feeds, seed)
    if golden is None:
        return report, named, judged
    return _with_samples(report, network, *golden), named, judged


def judge_legacy(
    network: KerasNetwork, model: Any, *, samples: Any = None, seed: int = 0, wide: bool = True
) -> tuple[list[Judged], dict[str, Array], tuple[KerasSamples, str | None] | None]:
    """Every step judged, nothing explained.

    Returns:
        One a step; what the network was fed with; the golden samples and what contradicts them.
    """
    program, tensors = build_program(network), pairs(network, model)
    rng = np.random.default_rng(seed)
    golden = None if samples is None else read_keras_samples(samples)
    contradiction = None if golden is None else disagreement(program, golden)
    feeds = draw_feeds(network, model, None if golden is None else golden.inputs, rng)
    inputs = {each.name: tensor for each, tensor in zip(network.inputs, model.inputs, strict=True)}
    values = _trace_port(model, program, tensors, feeds)
    reference = program.trace({name: feeds[name].astype(np.float64) for name in program.inputs})
    port = Port(model, program, {**inputs, **tensors}, values, reference)
    judged = [_judge(step, port, rng if wide else None) for step in program.steps]
    if not any(one.suspect is not None and one.suspect.trained for one in judged):
        judged = _with_whole(judged, model, network, values, feeds)
    return judged, feeds, None if golden is None else (golden, contradiction)


def _with_whole(
    judged: list[Judged], model: Any, network: KerasNetwork, values: Mapping[str, Array], feeds: Mapping[str, Array]
) -> list[Judged]:
    """The last step marked, where the port called as a whole gives something else than its layers did."""
    if not _whole_differs(model, network, values, feeds):
        return judged
    return [*judged[:-1], replace(judged[-1], whole_differs=True)]


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


def _trace_port(
    model: Any, program: Program, tensors: Mapping[str, Any], feeds: Mapping[str, Array]
) -> dict[str, Array]:
    """What the port computes at every step."""
    names = [step.name for step in program.steps]
    missing = [name for name in names if name not in tensors]
    if missing:
        raise PortError(f"the port {model.name}", found="layers of other names", expected=", ".join(missing[:8]))
    every = keras.Function(model.inputs, [tensors[name] for name in names])
    with unchanged(model), evaluating(model):
        outputs = keras.tree.flatten(every(list(feeds.values())))
    values = dict(feeds)
    values.update({name: np.asarray(output) for name, output in zip(names, outputs, strict=True)})
    return values


def _precision(tensor: Any) -> Precision:
    policy = getattr(tensor._keras_history.operation, "dtype_policy", None)
    compute = tensor.dtype if policy is None or tensor.dtype == "bool" else policy.compute_dtype
    variables = compute if policy is None else policy.variable_dtype
    return Precision(compute if compute in FLOATS else "float32", variables if variables in FLOATS else "float32")


def _judge(step: Any, port: Port, rng: np.random.Generator | None) -> Judged:
    """A step on what the port itself feeds it with, and, where there is a generator, on wide numbers of its own."""
    tensor = port.tensors[step.name]
    precision, names = _precision(tensor), _names(step, port.model)
    expected = np.asarray(port.reference[step.name].outputs, np.float64)
    actual = np.asarray(port.values[step.name], np.float64)
    with np.errstate(all="ignore"):
        cumulative = float(np.nanmax(np.abs(expected - actual), initial=0)) if expected.shape == actual.shape else None
    suspect = make_suspect(step, port, precision, names, rng)
    reason = _no_bound(step)
    if reason is None:
        try:
            found = _compare(suspect)
        except KeyError as error:
            reason = str(error.args[0])
    if reason is not None:
        return Judged(step, Comparison(), "uncompared", precision, names, cumulative, reason=reason)
    differ = differing(suspect)
    verdict = "parity" if found.is_parity and not differ else "mismatch"
    return Judged(step, found, verdict, precision, names, cumulative, differ, suspect=suspect)


def _compare(suspect: Suspect) -> Comparison:
    step = suspect.step
    return merge_comparisons(
        compare_step(
            step, tuple(part.fed[name] for name in step.inputs), part.actual, suspect.precision, part.probes
        )
        for part in suspect.seen
        if all(name in part.fed for name in step.inputs)
    )  # fmt: skip


def _no_bound(step: Any) -> str | None:
    if isinstance(step, Replacement):
        return "the user's own function: nothing to compare it with"
    return None if has_bound(step) else f"no rounding bound for {type(step).__name__}"


def _names(step: Any, model: Any) -> tuple[str, ...]:
    """The port's layers that compute a step."""
    path = step.name.split("#")[0].split("@")[0]
    stem = legal_name(path.removesuffix(":mask")) + ("_mask" if path.endswith(":mask") else "")
    parts = ("kernel", "channels_last", "directions", "edge", "pool", "line", "norm")
    wanted = [f"{stem}_{part}" for part in parts] + [stem]
    return tuple(operation.name for operation in model.operations if operation.name in wanted)


def _whole_differs(model: Any, network: KerasNetwork, values: Mapping[str, Array], feeds: Mapping[str, Array]) -> bool:
    """Whether the port called as a whole gives something else than its layers did."""
    outputs = graph(*feeds.values())
    values = [pairing.port.values[key] for key in pairing.ends]
    return any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(outputs, values, strict=True))


def call_whole(model: Any, feeds: Sequence[Array]) -> list[Any]:
    """The outputs of a port, in order."""
    structure = getattr(model, "_inputs_struct", list(feeds) if len(feeds) > 1 else feeds[0])
    with evaluating(model):
        return list(keras.tree.flatten(model(keras.tree.pack_sequence_as(structure, list(feeds)), training=False)))


def _report(
    network: KerasNetwork,
    judged: Sequence[Judged],
    named: Sequence[Named],
    feeds: Mapping[str, Array],
    seed: int,
) -> Report:
    rows, whole = tuple(_row(one) for one in judged), any(one.whole_differs for one in judged)
    findings = tuple(sorted((_finding(judged, one) for one in named), key=_certainty))
    missed = [one for one in judged if one.verdict == "uncompared"]
    wrong = any(one.verdict == "mismatch" for one in judged)
    verdict: Verdict = "mismatch" if findings or whole or wrong else "inconclusive" if missed or not rows else "parity"
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
            "build": f"{len(rows) - len(missed)} of {len(rows)} steps compared, on {count} rows and on wide ones; "
            "no search",
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


def _certainty(finding: Finding) -> tuple[bool, bool]:
    """What is certain stands first; "unexplained" is the least that can be said."""
    return finding.code == "unexplained", not finding.certain


def _finding(judged: Sequence[Judged], named: Named) -> Finding:
    cause, one, diagnosis = named.cause, named.judged, named.diagnosis
    target = next(other for other in judged if other.step.name == cause.layer)
    evidence = word_evidence(one.comparison, one.weights_differ, diagnosis, cause.detail)
    certain = diagnosis is None or (diagnosis.is_explained and not diagnosis.twins)
    return Finding(
        cause.code, cause.layer, target.names, f"{cause.layer}: {cause.message}", evidence, cause.remedy, certain
    )
