"""Is the file read as the original software reads it? Golden samples prove or contradict it, or leave it open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.formats.samples import Samples, as_rounded
from porter.network import Claim
from porter.reading.arithmetic import Fit, before_scaling, side_by_side, spread_of
from porter.reading.explanation import FEW, closeness, contradicts_itself, explain
from porter.reading.misfit import misfit
from porter.reading.readings import Formula, Other, alternatives, other_readings
from porter.reading.telling import Telling, find_telling, find_telling_rows, search_box
from reference.composed.extremes import Extremes
from reference.operations.scaling import Scaling
from reference.trace import Program

Array = NDArray[Any]

ROWS = 64
"""Rows that show how far runs of a formula spread."""
RANGES: dict[str, tuple[float, float]] = {
    "relu": (0, np.inf), "relu6": (0, 6), "softplus": (0, np.inf), "exponential": (0, np.inf), "sigmoid": (0, 1),
    "hard_sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1), "hard_tanh": (-1, 1), "softsign": (-1, 1),
    "elu": (-1, np.inf),
}  # fmt: skip
"""What these activations can give at all."""


@dataclass(frozen=True)
class Reading:
    """The link from the file to its meaning.

    Attributes:
        verdict: "proven", "consistent", "declared", "assumed" or "contradicted"; the weakest of the claims, or what
            the samples allow where they do not prove.
        claims: as the network has them, with what the samples add.
        note: what was checked and with what.
        cause: the mistake, where the samples contradict the reading.
        telling: inputs on which readings differ that the samples cannot tell apart.
        fit: how the samples lie to the arithmetic that comes closest; None without samples.
    """

    verdict: str
    claims: tuple[Claim, ...]
    note: str
    cause: Cause | None = None
    telling: tuple[Telling, ...] = ()
    fit: Fit | None = None


@dataclass(frozen=True)
class Question:
    """What a reading is judged by.

    Attributes:
        formula: the legacy forward pass under this reading.
        claims: its conventions with their evidence.
        golden: the samples.
        limits: (n, 2) documented range of the inputs, or None.
        others: for a claim, how else the file might be read.
        settled: conventions without other readings that samples prove all the same.
        provable: whether every step has a rounding of its own that is known; a user's own function has none.
    """

    formula: Formula
    claims: tuple[Claim, ...]
    golden: Samples
    limits: Array | None = None
    others: Callable[[Claim], list[Other]] = lambda claim: []
    settled: frozenset[str] = frozenset()
    provable: bool = True


def check_reading(
    program: Program, claims: Sequence[Claim], golden: Samples | None = None, limits: Array | None = None
) -> Reading:
    """Judge the reading of a chain of layers by golden samples, where there are some.

    Args:
        program: the legacy forward pass under this reading.
        claims: its conventions with their evidence.
        golden: the samples, or None.
        limits: (n, 2) the documented range of the inputs; None where there is none.
    """
    if golden is None:
        return unproven(claims)
    program, golden = flags_as_numbers(program, golden)
    question = Question(Formula(program), tuple(claims), golden, limits, lambda claim: alternatives(program, claim))
    return judge_reading(question, other_readings(program, claims))


def flags_as_numbers(program: Program, golden: Samples) -> tuple[Program, Samples]:
    """The same with a number far outside for every flag, so that flags are compared as outputs are."""
    last = program.steps[-1]
    if not isinstance(last, Extremes):
        return program, golden
    numbered = replace(program, steps=(*program.steps[:-1], replace(last, flag=last.far)))
    return numbered, replace(golden, outputs=tuple(last.shown(each) for each in golden.outputs))


def unproven(claims: Sequence[Claim]) -> Reading:
    """The reading where there are no samples."""
    stays = ": what is assumed stays assumed" if any(claim.evidence == "assumed" for claim in claims) else ""
    return Reading(_weakest(claims), tuple(claims), f"no golden samples were given{stays}")


def judge_reading(question: Question, tries: Iterable[Other]) -> Reading:
    """Judge a reading by samples.

    Args:
        question: what is judged.
        tries: other readings, for the samples that do not fit this one.
    """
    golden = question.golden
    fit = explain(question.formula, golden)
    return replace(_judged(question, tries, fit), fit=fit)


def _judged(question: Question, tries: Iterable[Other], fit: Fit) -> Reading:
    golden = question.golden
    if fit.is_explained:
        return _explained(question, fit)
    own = contradicts_itself(golden, fit)
    fitting = None if own else _first_fitting(tries, golden)
    ratio = misfit(question.formula.program, golden, "float32", visible=fit.visible)
    if fitting is None and ratio <= 1:
        return _consistent(question, fit)
    rounded = golden if own or fitting is not None else as_rounded(golden)
    if rounded is not golden and explain(question.formula, rounded).is_explained:
        return _rounded(question, rounded)
    return _contradicted(question, fit, fitting, ratio, own)


def _weakest(claims: Sequence[Claim]) -> str:
    evidence = {claim.evidence for claim in claims}
    for weak in ("contradicted", "assumed", "declared"):
        if weak in evidence:
            return weak
    return "proven"


# --- proven, or left open -------------------------------------------------------------------------------------------


def _explained(question: Question, fit: Fit) -> Reading:
    golden = question.golden
    judged = [_judged_claim(question, claim, fit) for claim in question.claims]
    claims = tuple(claim for claim, _, _ in judged)
    remarks = list(dict.fromkeys(remark for _, remark, _ in judged if remark))
    telling = tuple(found for _, _, several in judged for found in several)
    verdict = "consistent" if telling or not question.provable else _weakest(claims)
    note = f"the reference reproduces {golden.rows} golden samples to "
    note += closeness(fit, golden.outputs, golden.resolution)
    note += (
        f" (largest difference {_largest(question, golden):.2g}, {fit.factor:.2g} times the farthest of its own runs)"
    )
    if not question.provable:
        remarks.append("a step is the user's own function, whose rounding is not known: consistent, not proven")
    return Reading(verdict, claims, "; ".join([note, *remarks, *_outside(question)]), None, telling)


def _judged_claim(question: Question, claim: Claim, fit: Fit) -> tuple[Claim, str, list[Telling]]:
    """The claim with what the samples say of it, what is to be remarked, and inputs that would settle it."""
    if claim.evidence == "shape":
        return claim, "", []
    others = question.others(claim)
    fitting = [other for other in others if explain(other.formula, question.golden, fit.arithmetic).is_explained]
    told = [(other, _telling(question, claim, other, fit)) for other in fitting]
    open_ones = [found for _, found in told if found is not None]
    twins = [other.value for other, found in told if found is None]
    if open_ones:
        return replace(claim, detail=_open_detail(open_ones)), _open_remark(claim, open_ones), open_ones
    if not others and claim.evidence != "assumed" and claim.convention not in question.settled:
        return claim, "", []
    where = "in the documented range was found that" if question.limits is not None else "that was tried"
    which = f"{claim.layer} {claim.convention} {claim.value}"
    remark = f"no input {where} tells {which} from {', '.join(twins)}"
    detail = f"{question.golden.rows} golden samples are reproduced with it"
    refuted = len(others) - len(twins)
    detail += f" and with none of {refuted} other readings" if refuted else ""
    detail += f"; {remark}" if twins else ""
    return replace(claim, evidence="samples", detail=detail), remark if twins else "", []


def _telling(question: Question, claim: Claim, other: Other, fit: Fit) -> Telling | None:
    inputs, program = question.golden.inputs, question.formula.program
    visible, theirs = _visible(question, fit), other.formula.program
    if len(inputs) == 1 and inputs[0].ndim == 2 and other.formula.short is None:
        found = find_telling(program, theirs, search_box(question.limits, inputs[0]), visible)
    else:
        found = find_telling_rows(program, theirs, inputs, visible)
    return None if found is None else Telling(claim.layer, claim.convention, claim.value, other.value, *found)


def _visible(question: Question, fit: Fit) -> Array:
    """What shows in numbers with all their digits, whatever those of the samples were cut to."""
    golden = question.golden.first(ROWS)
    zeros = [np.zeros(each.shape) for each in golden.inputs]
    spread = spread_of(fit.arithmetic, golden.inputs, zeros)
    return spread.fit(spread.middle, np.zeros(spread.middle.shape)).visible


def _open_detail(found: Sequence[Telling]) -> str:
    others = ", ".join(each.other for each in found)
    return (
        f"the samples are reproduced with {others} as well; {_shown(found[0])}: run it through the original software "
        "and add it to the samples"
    )


def _open_remark(claim: Claim, found: Sequence[Telling]) -> str:
    others = ", ".join(each.other for each in found)
    return (
        f"they cannot tell apart: {claim.layer} {claim.convention} {claim.value} and {others}; {_shown(found[0])}: run "
        "it through the original software"
    )


def _shown(found: Telling) -> str:
    column = int(np.argmax(np.abs(found.outputs - found.others)))
    row = ", ".join(f"{value:.6g}" for value in found.row[:SHOWN]) + (", ..." if len(found.row) > SHOWN else "")
    return (
        f"the input [{row}] would ({found.outputs[column]:.6g} with {found.reading}, {found.others[column]:.6g} with "
        f"{found.other}, in output {column})"
    )


SHOWN = 12
"""How many numbers of an input a sentence holds; the JSON has all."""


# --- consistent, or contradicted ------------------------------------------------------------------------------------


def _consistent(question: Question, fit: Fit) -> Reading:
    golden = question.golden
    note = (
        f"consistent with {golden.rows} golden samples, not proven: they lie {fit.factor:.3g} times as far from the "
        f"reference as {fit.arithmetic.name} arithmetic explains (largest difference "
        f"{_largest(question, golden):.2g}), though within the worst that rounding can do"
    )
    return Reading("consistent", question.claims, "; ".join([note, *_outside(question)]))


def _rounded(question: Question, golden: Samples) -> Reading:
    note = (
        f"consistent with {golden.rows} golden samples, not proven: to the decimals that all their outputs are rounded "
        f"to (largest difference {_largest(question, golden):.2g}); outputs with all their digits would prove it"
    )
    return Reading("consistent", question.claims, "; ".join([note, *_outside(question)]))


def _first_fitting(tries: Iterable[Other], golden: Samples) -> Other | None:
    """A reading that some arithmetic explains; what is beyond the worst of all on a few rows is not looked at."""

    def is_possible(formula: Formula) -> bool:
        return formula.short is not None or misfit(formula.program, golden, "float32", FEW) <= 1

    fitting = (other for other in tries if is_possible(other.formula) and explain(other.formula, golden).is_explained)
    return next(fitting, None)


def _contradicted(question: Question, fit: Fit, fitting: Other | None, ratio: float, own: str) -> Reading:
    golden, claims = question.golden, question.claims
    rounding = f"{fit.factor:.3g} times what runs of it differ by"
    rounding = f"{ratio:.3g} times what rounding allows" if ratio > 1 else rounding
    shown = f"largest difference {_largest(question, golden):.4g}, {rounding}, over {golden.rows} rows"
    if fitting is None:
        more = [own] if own else _impossible(question.formula.program, golden)
        shown = "; ".join([shown, *more, *_outside(question)])
        message = "the golden samples contradict themselves" if own else "the golden samples are not reproduced"
        last = question.formula.program.steps[-1].name
        cause = Cause("reading.contradicted", last, message, _remedy(question, own), shown)
        marked = tuple(replace(c, evidence="contradicted") if c.evidence == "assumed" else c for c in claims)
        return Reading("contradicted", marked, f"the reference does not reproduce the golden samples: {shown}", cause)
    marked = tuple(
        replace(c, evidence="contradicted", detail=f"the golden samples are reproduced with {fitting.value}")
        if c.layer in fitting.layers and c.convention == fitting.convention
        else c
        for c in claims
    )
    where = ", ".join(fitting.layers)
    instead = ", instead of activation= and output_activation=" if fitting.convention == "activation" else ""
    remedy = f"read the file with {fitting.convention} {fitting.value} for {where}{instead}: {fitting.option}"
    message = f"the golden samples contradict {fitting.convention} as read; they are reproduced with {fitting.value}"
    cause = Cause("reading.contradicted", fitting.layers[0], message, remedy, shown)
    note = f"the golden samples are reproduced only with {fitting.convention} {fitting.value} for {where}"
    return Reading("contradicted", marked, note, cause)


def _remedy(question: Question, own: str) -> str:
    if own:
        return "record them again: the original gave two answers to one question, so more than its inputs matters"
    options = dict.fromkeys(f"{each.convention}=" for each in question.claims if question.others(each))
    return f"check {', '.join([*options, 'that the samples are those of this network'])}, in the network's own units"


def _impossible(program: Program, golden: Samples) -> list[str]:
    """Outputs that the last layer's activation cannot give, whatever its input."""
    last = next((step for step in reversed(program.steps) if not isinstance(step, Scaling)), None)
    low, high = RANGES.get(getattr(getattr(last, "activation", None), "name", ""), (-np.inf, np.inf))
    if len(golden.outputs) > 1 or not (np.isfinite(low) or np.isfinite(high)):
        return []
    outputs, known = before_scaling(program, golden.outputs[0], golden.resolution[0])
    slack = known + 1e-6 * np.maximum(np.abs(outputs), 1)
    count = int(np.sum((outputs < low - slack) | (outputs > high + slack)))
    return [f"{count} of {outputs.size} outputs are none that the last layer can give"] if count else []


def _outside(question: Question) -> list[str]:
    """Rows outside the documented range, said."""
    if question.limits is None or len(question.golden.inputs) != 1:
        return []
    low, high = np.sort(np.asarray(question.limits, np.float64), axis=1).T
    inputs, known = question.golden.inputs[0], question.golden.input_resolution[0]
    slack = known + 1e-6 * (high - low)
    count = int(np.sum(((inputs < low - slack) | (inputs > high + slack)).any(axis=1)))
    return [f"{count} of {len(inputs)} rows lie outside the documented range of the inputs"] if count else []


def _largest(question: Question, golden: Samples) -> float:
    outputs = side_by_side(golden.outputs)
    values = side_by_side(
        question.formula.program(dict(zip(question.formula.program.inputs, golden.inputs, strict=True)))
    )
    if values.shape != outputs.shape:
        return np.inf
    return float(np.max(np.abs(values - outputs), initial=0.0))
