"""Legacy Keras network against port: every step judged on the port's own inputs, and on wide ones of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from porter.compare import Comparison, compare_outputs, merge_comparisons
from porter.errors import PortError
from porter.formats.keras_legacy.graph import KerasNetwork
from porter.keras_legacy_faults import explain
from porter.keras_legacy_inner import compare_inside, holds_model
from porter.keras_legacy_model import pairs
from porter.keras_legacy_samples import KerasSamples, disagreement, read_keras_samples
from porter.keras_model import legal_name
from porter.network import Claim
from porter.programs import build_program, follow
from porter.provenance import versions
from porter.report.model import Finding, LayerRow, Report, Verdict
from reference.elementwise import Replacement
from reference.embedding import Embedding, Mask, Masking
from reference.precision import Precision, round_to
from reference.recurrent import TimeDistributed
from reference.rounding import allowed_error, has_bound, inevitable_overflow, platform_allowance
from reference.trace import Program

Array = NDArray[Any]
Compare = Callable[[Any, tuple[Array, ...], Array, Precision, str], Comparison]

ELEMENTS = 2**21
"""Numbers in the widest layer for all rows together: what a verification holds at a time."""
LENGTH = 12
"""Steps or pixels along an axis whose length the file leaves open."""
MOVES = ("Crop", "Flatten", "Identity", "Permute", "Repeat", "Reshape")
"""Operations that hand on the numbers they take."""
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
    program, tensors = build_program(network), pairs(network, model)
    rng = np.random.default_rng(seed)
    golden = None if samples is None else read_keras_samples(samples)
    contradiction = None if golden is None else disagreement(program, golden)
    feeds = draw_feeds(network, model, None if golden is None else golden.inputs, rng)
    # The reference goes first: it refuses what nothing can hold.
    reference = follow(network, program, {name: feeds[name].astype(np.float64) for name in program.inputs})
    values = _trace_port(model, program, tensors, feeds)
    judged = []
    for step in program.steps:
        compare = _comparer(step, network, model)
        one = _judge(step, model, tensors, values, reference, compare)
        if wide and one.verdict != "uncompared":
            one = _judge_wide(one, tensors, values, rng, compare)
        judged.append(one)
    whole = _whole_differs(model, network, values, feeds)
    report = _report(network, model, judged, feeds, seed, whole)
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
    if len(model.inputs) != len(network.inputs) or (given is not None and len(given) != len(network.inputs)):
        raise PortError(
            f"the port {model.name}", found=f"{len(model.inputs)} inputs", expected=f"{len(network.inputs)}"
        )
    words = _words(network)
    rows = _rows(model)
    feeds = {}
    for index, (each, tensor) in enumerate(zip(network.inputs, model.inputs, strict=True)):
        shape = tuple(LENGTH if n is None else n for n in tensor.shape[1:])
        if given is not None:
            values = np.asarray(given[index])
        elif each.name in words:
            values = rng.integers(0, words[each.name], (rows, *shape))
        else:
            values = rng.normal(0, 1, (rows, *shape))
            values[-1] *= 10
            values[0] = 0 if rows > 3 else values[0]
        feeds[each.name] = values.astype(tensor.dtype)
    return feeds


def _words(network: KerasNetwork) -> dict[str, int]:
    """How many words the Embeddings know that an input goes to, moved about or not, wrapped or not."""
    known: dict[str, int] = {}
    calls = {call.name: call for call in network.calls}
    for call in network.calls:
        rows = _rows_of_tables(network.layer(call.layer))
        if rows is not None:
            name = call.inputs[0].name
            while name in calls and network.layer(calls[name].layer).operation in MOVES:  # type: ignore[union-attr]
                name = calls[name].inputs[0].name
            known[name] = min(known.get(name, rows), rows)
    return known


def _rows_of_tables(layer: Any) -> int | None:
    """How many words an Embedding knows, or those inside TimeDistributed."""
    if isinstance(layer, KerasNetwork):
        return min(_words(layer).values(), default=None)
    if layer.operation == "TimeDistributed":
        return _rows_of_tables(layer.inner[0])
    return int(layer.parameters["rows"]) if layer.operation == "Embedding" else None


def _rows(model: Any) -> int:
    widest = max(
        int(np.prod([LENGTH if n is None else n for n in tensor.shape[1:]]))
        for operation in model.operations for tensor in keras.tree.flatten(operation.output)
    )  # fmt: skip
    return int(np.clip(ELEMENTS // max(widest, 1), 2, 16))


def _trace_port(
    model: Any, program: Program, tensors: Mapping[str, Any], feeds: Mapping[str, Array]
) -> dict[str, Array]:
    """What the port computes at every step."""
    names = [step.name for step in program.steps]
    missing = [name for name in names if name not in tensors]
    if missing:
        raise PortError(f"the port {model.name}", found="layers of other names", expected=", ".join(missing[:8]))
    every = keras.Model(model.inputs, [tensors[name] for name in names])
    outputs = keras.tree.flatten(every(list(feeds.values()), training=False))
    values = dict(feeds)
    values.update({name: np.asarray(output) for name, output in zip(names, outputs, strict=True)})
    return values


def _precision(tensor: Any) -> Precision:
    policy = getattr(tensor._keras_history.operation, "dtype_policy", None)
    compute = tensor.dtype if policy is None or tensor.dtype == "bool" else policy.compute_dtype
    variables = compute if policy is None else policy.variable_dtype
    floats = ("float64", "float32", "float16", "bfloat16")
    return Precision(compute if compute in floats else "float32", variables if variables in floats else "float32")


def _judge(
    step: Any, model: Any, tensors: Mapping[str, Any], values: Mapping[str, Array], reference: Mapping[str, Any],
    compare: Compare,
) -> Judged:  # fmt: skip
    precision, names = _precision(tensors[step.name]), _names(step, model)
    expected = np.asarray(reference[step.name].outputs, np.float64)
    actual = np.asarray(values[step.name], np.float64)
    with np.errstate(all="ignore"):
        cumulative = float(np.nanmax(np.abs(expected - actual), initial=0)) if expected.shape == actual.shape else None
    reason = _no_bound(step)
    if reason is None:
        try:
            fed = tuple(np.asarray(values[name], np.float64) for name in step.inputs)
            found = compare(step, fed, actual, precision, "rows of the network's inputs")
        except KeyError as error:
            reason = str(error.args[0])
    if reason is not None:
        return Judged(step, Comparison(), "uncompared", precision, names, cumulative, reason=reason)
    differ = count_different_weights(step, model, precision)
    verdict = "parity" if found.is_parity and not differ else "mismatch"

    def trial(other: Any) -> bool:
        try:
            return compare_step(other, fed, actual, precision, "rows").is_parity
        except (KeyError, ValueError, IndexError):
            return False

    return Judged(step, found, verdict, precision, names, cumulative, differ, trial=trial)


def _no_bound(step: Any) -> str | None:
    if isinstance(step, Replacement):
        return "the user's own function: nothing to compare it with"
    return None if has_bound(step) else f"no rounding bound for {type(step).__name__}"


def _comparer(step: Any, network: KerasNetwork, model: Any) -> Compare:
    """How a step is compared: as it is, or layer by layer where it is a whole model at every time step."""
    if not holds_model(step):
        return compare_step
    path = step.name.split("@")[0]
    inner, wrapper = network.layer(path).inner[0], model.get_layer(legal_name(path))  # type: ignore[union-attr]

    def one(step: Any, fed: tuple[Array, ...], actual: Array, tensor: Any, probes: str) -> Comparison:
        return compare_step(step, fed, actual, _precision(tensor), probes)

    def inside(step: Any, fed: tuple[Array, ...], actual: Array, precision: Precision, probes: str) -> Comparison:
        given = round_to(fed[0], precision.compute).astype(precision.compute)
        return compare_inside(step, inner, wrapper, given, actual, one, probes)

    return inside


def compare_step(step: Any, fed: tuple[Array, ...], actual: Array, precision: Precision, probes: str) -> Comparison:
    """A step's outputs by the reference against what the port made of the same inputs.

    Raises:
        KeyError: the step, as it is configured, has no bound.
    """
    if not isinstance(step, Embedding | Mask | Masking):
        # As the port's layer casts them. Words are looked up, and masks taken, before that.
        fed = tuple(round_to(array, precision.compute) for array in fed)
    trace = step(*fed)
    allowed = allowed_error(step, fed, trace, precision) + platform_allowance(step, fed, trace, precision)
    expected = np.asarray(trace.outputs, np.float64)
    return compare_outputs(expected, actual, allowed, probes=probes, unheld=inevitable_overflow(trace, precision))


def _names(step: Any, model: Any) -> tuple[str, ...]:
    """The port's layers that compute a step."""
    path = step.name.split("#")[0].split("@")[0]
    stem = legal_name(path.removesuffix(":mask")) + ("_mask" if path.endswith(":mask") else "")
    parts = ("kernel", "channels_last", "directions", "edge", "pool", "line", "norm")
    wanted = [f"{stem}_{part}" for part in parts] + [stem]
    return tuple(operation.name for operation in model.operations if operation.name in wanted)


def count_different_weights(step: Any, model: Any, precision: Precision) -> int:
    """How many exposed weights are not the cast of the step's own arrays, where both have the same shapes."""
    arrays = arrays_of(step)
    for name in _names(step, model):
        weights = [np.asarray(weight, np.float64) for weight in model.get_layer(name).weights] if arrays else []
        if weights and [weight.shape for weight in weights] == [array.shape for array in arrays]:
            casts = [round_to(array, precision.variables) for array in arrays]
            return sum(
                int(np.count_nonzero(np.abs(weight - cast) > np.spacing(np.abs(cast).astype(np.float32))))
                for weight, cast in zip(weights, casts, strict=True)
            )
    return 0


def arrays_of(step: Any) -> list[Array]:
    """The arrays that a step computes with, in Keras' order of a layer's variables."""
    if getattr(step, "statistics", "moving") != "moving":
        # What the port divides is normalized already.
        return [step.gamma, step.beta, np.zeros(len(step.beta)), np.ones(len(step.beta))]
    if getattr(step, "divisor", "sqrt(variance+epsilon)") != "sqrt(variance+epsilon)":
        return []  # the port has a variance that was made of the stored deviation
    if isinstance(step, TimeDistributed) and not isinstance(step.inner, Program):
        return arrays_of(step.inner)
    if hasattr(step, "forward"):
        return arrays_of(step.forward) + arrays_of(step.backward)
    holder = getattr(step, "cell", step)
    roles = (
        "depthwise", "pointwise", "weights", "kernel", "recurrent", "bias", "gamma", "beta", "mean", "spread", "alpha",
        "table", "scale", "score_weight",
    )  # fmt: skip
    found = [getattr(holder, role, None) for role in roles]
    return [array for array in found if isinstance(array, np.ndarray)]


def _judge_wide(
    one: Judged, tensors: Mapping[str, Any], values: Mapping[str, Array], rng: np.random.Generator, compare: Compare
) -> Judged:
    """The same step on numbers of its own: where a network's inputs never go, a mistake would not be seen."""
    step = one.step
    if looks_up(step) or any(name not in tensors for name in step.inputs):
        return one
    # A layer may take the same tensor twice, as attention does.
    shapes = {name: values[name].shape[1:] for name in step.inputs}
    if sum(int(np.prod(shape)) for shape in shapes.values()) > ELEMENTS:
        return one
    drawn = {
        name: np.ones((3, *shape), bool) if tensors[name].dtype == "bool" else rng.normal(0, 4, (3, *shape))
        for name, shape in shapes.items()
    }
    drawn = {name: array.astype(tensors[name].dtype) for name, array in drawn.items()}
    actual = np.asarray(_run_alone([tensors[name] for name in shapes], tensors[step.name], drawn.values()), np.float64)
    fed = tuple(np.asarray(drawn[name], np.float64) for name in step.inputs)
    found = compare(step, fed, actual, one.precision, "wide rows")
    merged = merge_comparisons([one.comparison, found])
    return replace(
        one, comparison=merged, verdict="parity" if merged.is_parity and not one.weights_differ else "mismatch"
    )


def _run_alone(inputs: Sequence[Any], output: Any, drawn: Iterable[Array]) -> Any:
    """What lies between some tensors of the port and another, run on numbers drawn for it."""
    try:
        return keras.Model(inputs, output)(list(drawn), training=False)
    except ValueError:
        # Keras cannot cut a model between two calls of one layer; the layer can be called.
        operation, number, _ = output._keras_history
        if [id(tensor) for tensor in operation._inbound_nodes[number].input_tensors] != list(map(id, inputs)):
            raise
        return operation(*map(keras.ops.convert_to_tensor, drawn))


def looks_up(step: Any) -> bool:
    """Whether a step takes words or masks, of which no wide numbers can be drawn."""
    if isinstance(step, Program):
        return any(map(looks_up, step.steps))
    return looks_up(step.inner) if isinstance(step, TimeDistributed) else isinstance(step, Embedding | Mask)


def _whole_differs(model: Any, network: KerasNetwork, values: Mapping[str, Array], feeds: Mapping[str, Array]) -> bool:
    """Whether the port called as a whole gives something else than its layers did."""
    outputs = call_whole(model, list(feeds.values()))
    names = [ref.name if ref.index == 0 else f"{ref.name}#{ref.index}" for ref in network.outputs]
    return any(
        not np.array_equal(np.asarray(output), values[name], equal_nan=True)
        for name, output in zip(names, outputs, strict=True)
    )


def call_whole(model: Any, feeds: Sequence[Array]) -> list[Any]:
    """The outputs of a port, in order."""
    return list(keras.tree.flatten(model(feeds[0] if len(feeds) == 1 else list(feeds), training=False)))


def _report(
    network: KerasNetwork, model: Any, judged: Sequence[Judged], feeds: Mapping[str, Array], seed: int, whole: bool
) -> Report:
    rows = tuple(_row(one) for one in judged)
    findings = tuple(_finding(one) for one in judged if one.verdict == "mismatch")
    missed = [one for one in judged if one.verdict == "uncompared"]
    verdict: Verdict = "mismatch" if findings or whole else "inconclusive" if missed or not rows else "parity"
    count = len(next(iter(feeds.values())))
    notes = [f"{one.step.name} was not compared: {one.reason}" for one in missed]
    if whole:
        notes.append("the port called as a whole gives something else than its layers one by one")
    notes += _notes(network)
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
    if one.verdict == "uncompared":
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
