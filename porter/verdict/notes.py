"""What a report says beside its verdict: equivalent forms, the platform's inaccuracies, what was not covered."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from porter.examination.case import Case, Judged
from porter.examination.one_to_one import OneToOne
from porter.examination.search import Counterexample
from porter.formats.gains import KIND, LEFT_OUT
from porter.formats.scalings import kind_of
from porter.ports.runtime import Runtime
from porter.verdict.coverage import coverage_notes
from reference.composed.folding import changes_nothing
from reference.composed.forms import form_of
from reference.operations.scaling import Scaling
from reference.rounding.constants import PLATFORM_DEVIATIONS, measured_on


def build_notes(case: Case, question: str | None, searched: Counterexample | None) -> tuple[str, ...]:
    """Every note of a report, what has to be declared first.

    Args:
        case: the examined port.
        question: what has to be declared before a verdict is possible, or None.
        searched: what the search found, or None.
    """
    notes = [question] if question is not None else []
    for one in case.judged:
        notes += [*_fold_notes(case, one), *equivalence_notes(one), *_allowance_notes(one)]
    notes += [claim.detail for claim in case.network.claims if claim.convention == "activation table"]
    notes += [*_port_notes(case), *_left_out(case)]
    if searched is not None and searched.row is not None:
        notes.append(searched.describe())
    return (*notes, *coverage_notes(case))


def _fold_notes(case: Case, one: Judged) -> Iterator[str]:
    if not one.verdict.startswith("folded into "):
        return
    layer = case[one.verdict.removeprefix("folded into ")]
    same_units = layer.pair.step.weights.shape == layer.step.weights.shape and not layer.rewritten
    if same_units and isinstance(one.step, Scaling) and changes_nothing(layer.pair.step, layer.step):
        yield f"{one.name} changes nothing with the ranges of this file: leaving it out is equivalent"
    else:
        yield f"{one.name} is {one.verdict}: equivalent; the fold's own rounding widens that layer's bound"


def equivalence_notes(one: Judged) -> Iterator[str]:
    """What the port does otherwise to the same effect."""
    if one.verdict != "parity":
        return
    if one.gauge is not None:
        yield f"{one.name}: {one.gauge.describe()}, which the next layer makes up for: equivalent"
    form = form_of(one.step)
    if form:
        yield f"{one.name}: the port writes {form}"
    for what in one.rewritten:
        yield f"{one.name}: {what}: equivalent"


def _allowance_notes(one: Judged) -> Iterator[str]:
    block, found = one.pair.block, one.comparison
    if found.by_platform and block is not None:
        reason = PLATFORM_DEVIATIONS[one.step.activation.name, block.precision.compute][1]
        yield f"{one.name}: a known inaccuracy of the platform, no mistake of the port: {reason}"
    if found.inevitable:
        yield (
            f"{one.name}: {found.inevitable:,} elements were left out, because the reference's own values do not fit "
            "the port's dtype"
        )
    if found.unbounded:
        yield f"{one.name}: {found.unbounded:,} elements were left out: their sums may overflow the port's dtype"
    if found.overflowed:
        yield (
            f"{one.name}: far outside the network's range the port's own way to write it overflows: "
            f"{found.overflowed:,} elements are no numbers there"
        )
    if one.verdict == "uncompared" and one.reason:
        yield f"{one.name} was not compared: {one.reason}"
    for probes, reason in one.refused.items():
        yield f"{one.name}: the port cannot be run on {probes}: {reason}"


def _port_notes(case: Case) -> Iterator[str]:
    dtypes = {one.pair.block.precision.compute for one in case.judged if one.pair.block is not None}
    if dtypes - {"float32"}:
        yield f"the port computes in {', '.join(sorted(dtypes))}; each layer's bound is that of its dtype"
    if case.graph.input_dtypes[0] in ("float16", "bfloat16"):
        yield f"the port rounds its inputs to {case.graph.input_dtypes[0]}; both sides were fed with the rounded ones"
    if isinstance(case.graph, OneToOne):
        yield from case.graph.describe()
    unpaired = [pair.step.name for pair in case.pairing.pairs if pair.block is None]
    if case.whole == "parity" and unpaired:
        yield (
            f"nothing in the port could be paired with {', '.join(unpaired)}, but the port as a whole agrees with the "
            "legacy network within the end-to-end bound"
        )
    if case.pairing.ties:
        yield f"another alignment pairs {', '.join(case.pairing.ties)} just as well"
    if case.placement == "outside":
        yield "the scaling steps were declared outside the port and were not checked"
    yield from (*case.doubts, *case.account.unexercised, *case.account.notes)
    yield from runtime_notes(case.graph.runtime, dtypes)
    if case.network.input_range is None:
        yield "the file documents no input range: standard normal rows at three scales stand for it"


def _left_out(case: Case) -> Iterator[str]:
    """What the original does with the outputs, and nobody asked for."""
    network = case.network
    is_rrs = network.family == "oc-smart" and kind_of(network.source.path, network.declarations.get("kind")) == KIND
    if is_rrs and "gains" not in network.declarations:
        yield LEFT_OUT


def runtime_notes(runtime: Runtime, formats: Collection[str]) -> Iterator[str]:
    """What the platform under the port does to the verdict, where the port computes in those formats."""
    if runtime.tensorfloat32 and "float32" in formats:
        yield (
            f"{runtime} multiplies float32 in tensorfloat32, with 10 bits of fraction: the bounds allow for that, and "
            "see less than they would in all of float32, which the platform's own setting gives"
        )
    if runtime.short_sums and {"float16", "bfloat16"} & set(formats):
        yield f"{runtime} may round partial sums to 16 bits: little can be said of a wide layer there"
    if not measured_on(runtime.backend, runtime.version, runtime.device, formats):
        yield f"no accuracy of activations was measured for {runtime}: the bounds take the nearest measured platform's"
