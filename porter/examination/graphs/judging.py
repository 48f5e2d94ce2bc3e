"""Every step of a legacy Keras program judged on the port's own inputs, and on wide ones of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.compare import Comparison, merge_comparisons
from porter.examination.conditions import MET, rows_met
from porter.examination.functions import compare_function
from porter.examination.graphs.gauges import with_gauges
from porter.examination.graphs.inner import compare_inside, holds_model
from porter.examination.graphs.judged import Compare, Judged
from porter.examination.graphs.pairing import KerasPairing, Pair
from porter.examination.graphs.pieces import LEAST_ROWS
from porter.examination.graphs.predictable import is_predictable
from porter.examination.graphs.probes import FLOATS, Port, make_paired_suspect, make_suspect, one_row, tried
from porter.examination.graphs.reaching import is_plain, reaching_numbers
from porter.examination.graphs.stateful import is_fixed
from porter.examination.graphs.states import Recurrence, recurrent_layers
from porter.examination.graphs.strays import ABSENT
from porter.examination.graphs.suspect import Seen, Suspect, differing, has_arrays, is_constant, is_small
from porter.examination.graphs.view import evaluating, operations_of, trains, unchanged
from porter.examination.graphs.walking import Rows
from porter.examination.graphs.whole import compare_whole, keeps_on
from porter.examination.judging import compare_step, is_written
from porter.examination.power import LARGEST_SHARE, has_power
from porter.examination.probes import FAR
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph_model import pairs
from porter.ports.keras.names import legal_name
from porter.ports.runtime import current_runtime
from reference.activations import Activation
from reference.composed.forms import equivalent_forms, form_of
from reference.composed.together import Together
from reference.operations.elementwise import Elementwise
from reference.operations.masking import Mask
from reference.operations.replacement import Replacement
from reference.precision import Precision, round_to
from reference.rounding.bounds import has_bound
from reference.rounding.recurrent_steps import is_stepped
from reference.trace import LayerTrace, Program

Array = NDArray[Any]
Telling = Callable[[Suspect], tuple[tuple[str, ...], tuple[str, ...]]]
"""The codes of the mistakes tried on a step, and of those that would have exceeded its bound."""

REACHING = "rows that reach every weight"
NEVER_MASKED = "no probe holds what is masked"
SAYS_NOTHING = "the bound says nothing here"


def compare_seen(one: Judged, part: Seen) -> Comparison:
    """A judged step on rows that the port was fed with afterwards."""
    assert one.suspect is not None
    return _compare(replace(one.suspect, seen=(part,)), one.suspect.compare if one.compare is None else one.compare)


def judge_by_name(
    network: KerasNetwork,
    model: Any,
    program: Program,
    reference: Mapping[str, LayerTrace],
    feeds: Mapping[str, Array],
    rng: np.random.Generator | None,
    telling: Telling,
) -> list[Judged] | None:
    """Every step against the layers that bear its name; None where a name is missing.

    Args:
        network: as read.
        model: the port.
        program: of the network.
        reference: its trace on the feeds.
        feeds: (rows, ...) by input.
        rng: draws wide numbers for each layer alone; None for none.
        telling: which mistakes would show.

    Raises:
        PortError: a port that breaks down when it is called.
    """
    tensors = named_tensors(network, model, program)
    if tensors is None:
        return None
    values = _trace_port(model, program, tensors, feeds)
    row = {name: one_row(each) for name, each in feeds.items()}
    few = any(len(each) < LEAST_ROWS for each in feeds.values())
    single = {} if few else _trace_port(model, program, tensors, row)
    inputs = {each.name: tensor for each, tensor in zip(network.inputs, model.inputs, strict=True)}
    # A program that has layers multiplied into others is without those that the port may bear the names of.
    known = {name: tensor for name, tensor in {**inputs, **tensors}.items() if name in values}
    port = Port(model, program, known, values, reference, single)
    judged = [_judge_named(step, port, network, rng, telling) for step in program.steps]

    def rejudge(one: Judged, suspect: Suspect) -> Judged:
        return _judge(one.step, suspect, reference[one.step.name], values[one.step.name], suspect.compare, telling)

    judged = with_gauges(judged, program, rejudge)
    if any(one.suspect is not None and one.suspect.trained for one in judged):
        return judged
    ends = list(program.outputs)
    if is_predictable(model, [tensors.get(name) for name in ends]):
        return judged
    calls = [
        (list(rows.values()), [found[name] for name in ends])
        for rows, found in ((feeds, values), (row, single))
        if found
    ]
    return _marked(judged, compare_whole(model, calls))


def judge_paired(
    pairing: KerasPairing,
    program: Program,
    reference: Mapping[str, LayerTrace],
    rng: np.random.Generator | None,
    telling: Telling,
) -> list[Judged]:
    """Every step against the pieces of the port that it was paired with; the other arguments as above."""
    judged = {step.name: _judge_paired(step, pairing, program, reference, rng, telling) for step in program.steps}
    return [_exercised(one, judged, pairing) for one in judged.values()]


def _exercised(one: Judged, judged: Mapping[str, Judged], pairing: KerasPairing) -> Judged:
    """A mask that is judged with another step, if it ever masked anything there."""
    host = judged.get(pairing[one.step.name].folded_into)
    if not isinstance(one.step, Mask) or host is None or host.suspect is None or one.step.name in host.masked:
        return one
    return replace(one, verdict="uncompared", reason=NEVER_MASKED)


def _masked(suspect: Suspect) -> frozenset[str]:
    """The masks that are judged with a step and masked something there."""
    step, found = suspect.step, set[str]()
    if not isinstance(step, Together) or not any(isinstance(part, Mask) for part in step.steps):
        return frozenset()
    for part in suspect.seen:
        if all(name in part.fed for name in step.inputs):
            values = step.values(tuple(part.fed[name] for name in step.inputs))
            found |= {each.name for each in step.steps if isinstance(each, Mask) and not np.all(values[each.name])}
    return frozenset(found)


def with_whole(judged: list[Judged], pairing: KerasPairing, feeds: Mapping[str, Array]) -> list[Judged]:
    """The last step marked, where a paired port called as a whole gives something else than its pieces did."""
    if trains(pairing.port.graph.model):
        return judged
    port = pairing.port
    if is_fixed(port.graph.model):
        return _marked(judged, "" if keeps_on(pairing, feeds) else "unexplained")
    if pairing.ends == tuple(port.graph.outputs) and is_predictable(port.graph.model, port.graph.model.outputs):
        return judged
    calls = [(list(feeds.values()), [port.values[key] for key in pairing.ends])]
    if port.single:
        calls.append(([port.single[key] for key in port.graph.inputs], [port.single[key] for key in pairing.ends]))
    return _marked(judged, compare_whole(port.graph.model, calls))


def _marked(judged: list[Judged], code: str) -> list[Judged]:
    """The last step marked, where the port as a whole does not give what its parts give."""
    return [*judged[:-1], replace(judged[-1], whole_differs=code)] if code else judged


def named_tensors(network: KerasNetwork, model: Any, program: Program) -> dict[str, Any] | None:
    """The tensor of every step, by the names of the layers; None where the port bears others."""
    try:
        tensors = pairs(network, model)
    except PortError:
        return None
    return tensors if all(step.name in tensors for step in program.steps) else None


def _trace_port(
    model: Any, program: Program, tensors: Mapping[str, Any], feeds: Mapping[str, Array]
) -> dict[str, Array]:
    """What the port computes at every step."""
    names = [step.name for step in program.steps]
    every = keras.Function(model.inputs, [tensors[name] for name in names])
    with unchanged(model), evaluating(model):
        outputs = keras.tree.flatten(every(list(feeds.values())))
    values = dict(feeds)
    values.update({name: np.asarray(output) for name, output in zip(names, outputs, strict=True)})
    return values


def _judge_named(
    step: Any, port: Port, network: KerasNetwork, rng: np.random.Generator | None, telling: Telling
) -> Judged:
    precision, names = _precision(port.tensors[step.name]), _names(step, port.model)
    suspect = make_suspect(step, port, precision, names, rng)
    compare = suspect.compare if not holds_model(step) else _inside(step, network, port.model, precision)
    one = _judge(step, suspect, port.reference[step.name], port.values[step.name], compare, telling)
    return replace(one, compare=compare) if holds_model(step) else one


def _judge_paired(
    step: Any,
    pairing: KerasPairing,
    program: Program,
    reference: Mapping[str, LayerTrace],
    rng: np.random.Generator | None,
    telling: Telling,
) -> Judged:
    pair, actual = pairing[step.name], pairing.actual(step.name)
    if actual is None:
        return _unpaired(step, pair, pairing.precision(step.name))
    suspect = make_paired_suspect(pairing, step.name, program, rng)
    return _judge(step, suspect, reference[step.name], actual, suspect.compare, telling)


def _judge(
    step: Any, suspect: Suspect, expected: LayerTrace, actual: Array, compare: Compare, telling: Telling
) -> Judged:
    cumulative, reason = _largest(np.asarray(expected.outputs, np.float64), actual), _no_bound(suspect.step)
    found = Comparison()
    if reason is None:
        try:
            found = _compare(suspect, compare)
            if found.is_parity and not has_power(found.coarseness, suspect.precision):
                suspect, found = _with_sparse_rows(suspect, found, compare)
            if found.is_parity:
                suspect, found = _with_far_rows(suspect, found, compare)
            if found.is_parity:
                suspect, found = _with_reaching_rows(suspect, found, compare)
        except KeyError as error:
            reason = str(error.args[0])
        except (ValueError, IndexError, TypeError):  # numbers that are none for such a step
            reason = "the port feeds it with something that it cannot take"
    if reason is not None:
        return Judged(
            step, "uncompared", found, cumulative, reason=reason, precision=suspect.precision, names=suspect.layers
        )
    suspect = suspect if found.exceeding else _sides_told_apart(suspect)
    differ = differing(suspect)
    suspect, found, form = _in_another_form(suspect, found, compare) if not differ else (suspect, found, "")
    if suspect.functions is not None and not (found.exceeding or differ) and _shows_all(suspect):
        found = merge_comparisons([found, suspect.functions()])
    left_open = ""
    if found.is_parity and not differ and not holds_model(step):
        suspect, found, left_open = _with_conditions(suspect, found, compare)
    reason = None if found.exceeding or differ else _silent(found, suspect) or left_open or None
    shown: tuple[str, ...] = ()
    if reason is None and not (found.exceeding or differ) and (is_constant(suspect) or is_small(suspect)):
        tried, shown = telling(suspect)
        reason = f"{SAYS_NOTHING}: {', '.join(tried)} would not show" if tried and not shown else None
        reason = reason if has_arrays(suspect) else None
    verdict = "mismatch" if found.exceeding or differ else "parity" if reason is None else "uncompared"
    masked = _masked(suspect)
    if verdict == "parity":  # nothing to explain: what was seen would only fill the memory
        suspect = replace(suspect, seen=(), calm=(), sparse=None, far=None, alone=None, conditions=None, ask=None)
        if suspect.recurrence is not None:
            suspect.recurrence.forget()
    return Judged(
        step, verdict, found, cumulative, differ, shown, reason or "", precision=suspect.precision,
        names=suspect.layers, suspect=suspect, masked=masked, form=form,
        is_far=bool(found.exceeding) and found.where.startswith(FAR),
    )  # fmt: skip


def _shows_all(suspect: Suspect) -> bool:
    """Whether the port's layers show every array of the step, so that its functions have to be the step's."""
    return all(slot.path in suspect.found for slot in suspect.slots if slot.array is not None)


def _sides_told_apart(suspect: Suspect) -> Suspect:
    """A step that agrees, with the arrays of its two directions the other way round where so they are the file's.

    A port that has a layer for each lists them in whatever order the graph gives.
    """
    other = {"forward": "backward", "backward": "forward"}
    turned = {(other.get(path[0], path[0]), *path[1:]): array for path, array in suspect.found.items()}
    again = replace(suspect, found=turned)
    return again if differing(suspect) and turned.keys() == suspect.found.keys() and not differing(again) else suspect


def _in_another_form(suspect: Suspect, found: Comparison, compare: Compare) -> tuple[Suspect, Comparison, str]:
    """The step with its activation written another way, where it agrees so, and what that is."""
    if not found.exceeding or holds_model(suspect.step):
        return suspect, found, ""
    for form in equivalent_forms(suspect.step):
        other = replace(suspect, step=form)
        again = _compare(other, compare)
        if again.is_parity:
            other, again = _with_far_rows(other, again, compare)
        if again.is_parity:
            other, again = _with_reaching_rows(other, again, compare)
        if again.is_parity and _is_written(suspect):
            return other, again, f"the port writes {form_of(form)}"
    return suspect, found, ""


def _is_written(suspect: Suspect) -> bool:
    """Whether a step that agrees in another form is written so: of one that hides its arrays that has to show."""
    step = suspect.step
    if _shows_all(suspect) or not isinstance(getattr(step, "activation", None), Activation) or hasattr(step, "cell"):
        return True
    seen = (part for part in suspect.seen if all(name in part.fed for name in step.inputs))
    parts = (([part.fed[name] for name in step.inputs], part.actual) for part in seen)
    return isinstance(step, Elementwise) or is_written(step, parts, suspect.precision)


def _with_sparse_rows(suspect: Suspect, found: Comparison, compare: Compare) -> tuple[Suspect, Comparison]:
    """More of what the port gives, of which the bound allows less."""
    part = None if suspect.sparse is None else suspect.sparse()
    if part is None:
        return suspect, found
    more = _compare(replace(suspect, seen=(part,)), compare)
    return replace(suspect, seen=(*suspect.seen, part)), merge_comparisons([found, more])


def _with_far_rows(suspect: Suspect, found: Comparison, compare: Compare) -> tuple[Suspect, Comparison]:
    """What caps, clips and thresholds would show; their figures mean nothing to a person unless they are wrong."""
    part = None if suspect.far is None else suspect.far()
    if part is None:
        return suspect, found
    far = replace(_compare(replace(suspect, seen=(part,)), compare), coarseness=np.inf)
    if far.exceeding:
        return replace(suspect, seen=(*suspect.seen, part)), merge_comparisons([found, far])
    return suspect, merge_comparisons([found, replace(far, ratio=-1.0, inevitable=0, unbounded=0)])


def _with_reaching_rows(suspect: Suspect, found: Comparison, compare: Compare) -> tuple[Suspect, Comparison]:
    """What single weights, words and rare rows would show where no layer of Keras' own shows its arrays."""
    is_telling = _shows_all(suspect) and (suspect.is_own or is_plain(suspect.step))
    if suspect.alone is None or is_telling:
        return suspect, found
    if isinstance(suspect.step, Elementwise):
        return suspect, merge_comparisons([found, _function_alone(suspect)])
    fed = next(iter(suspect.seen[0].fed.values()))
    for rows in reaching_numbers(suspect.step, fed.shape[1:], suspect.seen[0].actual.shape[1:], suspect.precision):
        for part in tried(partial(suspect.alone, rows, REACHING)):
            more = replace(_compare(replace(suspect, seen=(part,)), compare), coarseness=np.inf)
            found = merge_comparisons([found, more])
            if more.exceeding:
                return replace(suspect, seen=(*suspect.seen, part)), found
    return suspect, found


def _with_conditions(suspect: Suspect, found: Comparison, compare: Compare) -> tuple[Suspect, Comparison, str]:
    """The step where the conditions of somebody's own code turn, and why nothing is known of one of them, or ""."""
    conditions = None if suspect.conditions is None else suspect.conditions()
    if conditions is None or suspect.ask is None:
        return suspect, found, ""
    names = tuple(dict.fromkeys(suspect.sources))
    seen = [[part.fed[name] for name in names] for part in suspect.seen if all(name in part.fed for name in names)]
    for rows in rows_met(conditions, seen):
        fed = dict(zip(names, rows, strict=True))
        for part in tried(partial(suspect.ask, fed, MET)):
            more = replace(_compare(replace(suspect, seen=(part,)), compare), coarseness=np.inf)
            found = merge_comparisons([found, more if more.exceeding else replace(more, ratio=-1.0)])
            if more.exceeding:
                return replace(suspect, seen=(*suspect.seen, part)), found, ""
    return suspect, found, conditions.left_open()


def _function_alone(suspect: Suspect) -> Comparison:
    """An activation that the port writes in its own way, on numbers of every size."""
    alone, shape = suspect.alone, suspect.seen[0].actual.shape[1:]
    assert alone is not None

    def run(numbers: Array) -> Array:
        rows = np.resize(numbers, (-(-numbers.size // int(np.prod(shape))), *shape))
        return alone(rows, REACHING).actual.reshape(-1)[: numbers.size].reshape(numbers.shape)

    return compare_function(suspect.step.activation, run, shape[-1] if shape else 1, suspect.precision)


def _silent(found: Comparison, suspect: Suspect) -> str | None:
    """Why a comparison without an error says nothing for the port; None where it does."""
    if found.elements == 0:
        return f"{SAYS_NOTHING}: none of its numbers can be held against a bound in {suspect.precision.compute}"
    if isinstance(suspect.step, Mask) and all(np.all(part.actual) for part in suspect.seen):
        return NEVER_MASKED
    # A sum in 16 bits is allowed so much that of its own kind the usual share would hide a wrong factor.
    adds_up = not getattr(suspect.step, "keeps_sums", True)
    if found.coarseness > LARGEST_SHARE if adds_up else not has_power(found.coarseness, suspect.precision):
        return f"{SAYS_NOTHING}: the allowed error is {found.coarseness:.2g} of what its outputs range over"
    return None


def _largest(expected: Array, actual: Array) -> float | None:
    """The largest error end to end; None where the shapes differ."""
    if expected.shape != np.shape(actual):
        return None
    with np.errstate(all="ignore"):
        return float(np.nanmax(np.abs(expected - np.asarray(actual, np.float64)), initial=0))


def _compare(suspect: Suspect, compare: Compare) -> Comparison:
    step = suspect.step
    parts = [
        Rows(tuple(part.fed[name] for name in step.inputs), part.actual, part.probes)
        for part in suspect.seen
        if all(name in part.fed for name in step.inputs)
    ]
    found = suspect.recurrence.compare_rows(step, parts, suspect.precision) if suspect.recurrence and parts else None
    return merge_comparisons(found or (compare(step, part.fed, part.actual, part.probes) for part in parts))


def _inside(step: Any, network: KerasNetwork, model: Any, precision: Precision) -> Compare:
    """How a whole model at every time step is compared: layer by layer."""
    path = step.name.split("@")[0]
    inner, wrapper = network.layer(path).model, model.get_layer(legal_name(path))  # type: ignore[union-attr]

    def one(step: Any, fed: tuple[Array, ...], actual: Array, tensor: Any, probes: str) -> Comparison:
        found = None
        if is_stepped(step):
            recurrence = Recurrence(recurrent_layers([tensor._keras_history.operation]))
            found = recurrence.compare(step, fed, actual, _precision(tensor), probes)
        return compare_step(step, fed, actual, _precision(tensor), probes) if found is None else found

    def inside(step: Any, fed: tuple[Array, ...], actual: Array, probes: str) -> Comparison:
        given = round_to(fed[0], precision.compute).astype(precision.compute)
        return compare_inside(step, inner, wrapper, given, actual, one, probes)

    return inside


def _unpaired(step: Any, pair: Pair, precision: Precision) -> Judged:
    """A step that the port has no tensor for: it is part of another, or left out."""
    verdict = f"folded into {pair.folded_into}" if pair.folded_into else "uncompared"
    return Judged(step, verdict, reason=ABSENT, precision=precision, names=pair.names)


def _no_bound(step: Any) -> str | None:
    if isinstance(step, Replacement):
        return "the user's own function: nothing to compare it with"
    return None if has_bound(step) else f"no rounding bound for {type(step).__name__}"


def _precision(tensor: Any) -> Precision:
    policy = getattr(tensor._keras_history.operation, "dtype_policy", None)
    compute = tensor.dtype if policy is None or tensor.dtype == "bool" else policy.compute_dtype
    variables = compute if policy is None else policy.variable_dtype
    known = (each if each in FLOATS else "float32" for each in (compute, variables))
    return current_runtime().precision(*known)


def _names(step: Any, model: Any) -> tuple[str, ...]:
    """The port's layers that compute a step."""
    path = step.name.split("#")[0].split("@")[0]
    stem = legal_name(path.removesuffix(":mask")) + ("_mask" if path.endswith(":mask") else "")
    parts = ("kernel", "channels_last", "directions", "edge", "pool", "line", "norm")
    wanted = [f"{stem}_{part}" for part in parts] + [stem]
    return tuple(operation.name for operation in operations_of(model) if operation.name in wanted)
