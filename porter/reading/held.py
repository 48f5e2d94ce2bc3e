"""Golden samples held against the port itself, not only against the reading of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.case import Case
from porter.examination.judging import cast
from porter.formats.samples import Samples, as_rounded
from porter.reading.arithmetic import Fit, side_by_side
from porter.reading.misfit import LOOSEST, bounded
from porter.report.model import Finding
from reference.composed.forms import form_of
from reference.operations.scaling import Scaling
from reference.precision import FORMATS, Precision
from reference.trace import Program, chain

Array = NDArray[Any]

ORIGINAL = Precision("float32", "float64")
"""In which the original software computed at worst."""


@dataclass(frozen=True)
class Held:
    """What a port gives on the inputs of samples, beside their outputs.

    Attributes:
        rows: how many samples.
        largest: the largest absolute difference.
        share: the same as a share of what that output ranges over in the samples; None where it never changes.
        exceeding: how many elements differ by more than rounding on both sides explains.
        elements: how many were compared.
        telling: whether what rounding explains is small beside the range of the outputs.
    """

    rows: int
    largest: float
    share: float | None
    exceeding: int
    elements: int
    telling: bool

    @property
    def note(self) -> str:
        """What was found, for the link from formula to port."""
        share = "" if self.share is None else f", {self.share:.2g} of the range of that output"
        note = f"on {self.rows} golden samples the port differs from the original by at most {self.largest:.3g}{share}"
        if self.exceeding:
            return f"{note}: more than rounding explains in {self.exceeding} of {self.elements} outputs"
        return note if self.telling else f"{note}; rounding could explain more than that range, so this judges nothing"


def hold(
    program: Program,
    golden: Samples,
    found: Sequence[Array],
    precisions: Mapping[str, Precision],
    original: Program | None = None,
    fit: Fit | None = None,
    is_rewritten: bool = False,
) -> Held:
    """Hold what a port gave against samples.

    Args:
        program: the legacy forward pass, as the port has it.
        golden: the samples.
        found: (rows, ...) the port's outputs on their inputs.
        precisions: of the port, by step.
        original: the legacy forward pass as the original has it, where that is another.
        fit: how far runs in the arithmetic of the samples differ, which stands in for bounds that are infinite.
        is_rewritten: whether the port computes the same by another program, whose own bound is not known: runs of the
            formula then say what is allowed, where they allow more.
    """
    golden = golden if fit is None or fit.is_explained else as_rounded(golden)
    outputs, ours = side_by_side(golden.outputs), side_by_side(found)
    if ours.shape != outputs.shape:
        return Held(golden.rows, np.inf, None, outputs.size, outputs.size, True)
    exact = replace(golden, input_resolution=tuple(np.zeros(each.shape) for each in golden.inputs))
    _, allowed = bounded(program, exact, precisions)
    _, theirs = bounded(program if original is None else original, golden, ORIGINAL)
    allowed, theirs = (_finite(each, fit, precisions) for each in (allowed, theirs))
    if is_rewritten:
        allowed = np.maximum(allowed, _finite(np.full(allowed.shape, np.inf), fit, precisions))
    allowed = allowed + theirs + side_by_side(golden.resolution)
    apart, span = np.abs(ours - outputs), np.ptp(np.nan_to_num(outputs), axis=0)
    flagged = np.isnan(ours) & np.isnan(outputs)
    apart = np.where(flagged, 0.0, np.where(np.isnan(apart), np.inf, apart))
    with np.errstate(all="ignore"):
        shares = np.max(apart, axis=0)[span > 0] / span[span > 0]
        telling = bool(np.all(np.max(allowed, axis=0) < np.where(span > 0, span, np.inf)))
    share = float(np.max(shares)) if shares.size else None
    return Held(golden.rows, float(np.max(apart)), share, int(np.sum(apart > allowed)), outputs.size, telling)


def _finite(allowed: Array, fit: Fit | None, precisions: Mapping[str, Precision]) -> Array:
    """The bound, with the largest that any was measured to be in the place of one that is infinite."""
    if fit is None or np.isfinite(allowed).all():
        return allowed
    coarsest = max(each.format.unit for each in precisions.values())
    share = max(coarsest / FORMATS[fit.arithmetic.kind].unit, 1.0)
    return np.where(np.isfinite(allowed), allowed, LOOSEST * share * fit.visible)


def hold_port(case: Case, golden: Samples, fit: Fit | None = None) -> Held | None:
    """Hold an examined port against samples; None where it lacks a step, or cannot be called on them."""
    outside = case.placement == "outside"
    judged = [one for one in case.judged if not (outside and isinstance(one.step, Scaling))]
    blocks = [one for one in judged if one.pair.block is not None]
    if not blocks or any(one.pair.block is None and not one.verdict.startswith("folded into ") for one in judged):
        return None
    precisions = {one.name: one.pair.block.precision for one in blocks if one.pair.block is not None}
    steps, (before, after) = [one.step for one in blocks], _ends(case.program) if outside else ((), ())
    precisions |= {step.name: Precision("float64", "float64") for step in (*before, *after)}
    # Steps that were rewritten alone need not fit each other.
    is_rewritten = any(
        one.rewritten or type(one.step) is not type(one.pair.step) or form_of(one.step) for one in case.judged
    )
    program = case.program if is_rewritten else _chained((*before, *steps, *after))
    coarsest = max(precisions.values(), key=lambda precision: precision.format.unit)
    precisions = {step.name: precisions.get(step.name, coarsest) for step in program.steps}
    fed = golden.inputs[0]
    for step in before:
        fed = step(fed).outputs
    try:
        found = np.asarray(case.graph(cast(fed, case.graph.input_dtypes[0]))[0]).astype(np.float64)
    except Exception:  # a port of a fixed number of rows, or whatever else somebody's own layers refuse
        return None
    for step in after:
        found = step(found.reshape(len(found), -1)).outputs
    return hold(program, golden, [found], precisions, case.program, fit, is_rewritten)


def _ends(program: Program) -> tuple[Sequence[Scaling], Sequence[Scaling]]:
    """The scaling steps that are done outside the port, before and after it."""
    scalings = [step for step in program.steps if isinstance(step, Scaling)]
    return [step for step in scalings if not step.inverse], [step for step in scalings if step.inverse]


def _chained(steps: Sequence[Any]) -> Program:
    names = ["inputs", *(step.name for step in steps)]
    return chain([replace(step, inputs=(names[i],)) for i, step in enumerate(steps)])


def note_of_held(held: Held | None) -> str:
    """What is added to the note of the link from formula to port, where there are samples."""
    if held is None:
        return "; the port was not held against the golden samples: it lacks a step, or cannot be called on them"
    return f"; {held.note}"


def held_finding(held: Held, layer: str, port_layer: tuple[str, ...]) -> Finding:
    """A port that agrees with the formula layer by layer and yet not with the original."""
    return Finding(
        "unexplained", layer, port_layer,
        f"{layer}: the port does not give the golden samples, though every layer that was compared is right",
        held.note, "look at what the port does beside the layers that the report lists", certain=False,
    )  # fmt: skip
