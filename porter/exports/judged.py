"""One step of a traced port, on everything that was seen of it: the comparison, and the verdict that it carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison, merge_comparisons
from porter.examination.hypotheses import telling_mistakes
from porter.examination.judged import JudgedStep, verdict_of
from porter.examination.numbers import equal_within_ulp
from porter.examination.power import has_power
from porter.examination.suspect import Stored
from porter.exports.naming import in_another_form
from porter.exports.walk import Walked
from porter.ports.traced import TracedPort
from reference.composed.forms import form_of
from reference.operations.dense import Dense
from reference.precision import Precision
from reference.rounding.bounds import has_bound
from reference.rounding.recurrent_steps import is_stepped

Array = NDArray[Any]

ALONG = (
    "its states are hidden; walked by the legacy cell in the port's format, all that it gives lies within the bound of "
    "one time step"
)
HIDDEN_STATES = ", and the states after its time steps are hidden"
BRANCHED = {"relu", "leaky_relu", "elu", "selu", "relu6", "thresholded_relu"}
"""Activations that do one thing on one side and another on the other."""


@dataclass(frozen=True, kw_only=True)
class Judged(JudgedStep):
    """A step of a traced port with its verdict.

    Attributes:
        walked: what was seen of it.
        notes: what was seen beside that.
    """

    walked: Walked
    notes: tuple[str, ...] = ()

    @property
    def precision(self) -> Precision:
        """In which the port computes it."""
        return self.walked.precision


def judge_step(walked: Walked, port: TracedPort, stored: Mapping[str, Stored]) -> Judged:
    """The verdict on a step.

    Args:
        walked: the step, and what was seen of it.
        port: whose arrays are held against the file's.
        stored: the dense layers of the file, by name.
    """
    one = Judged(walked.step, "uncompared", cumulative=walked.cumulative, walked=walked)
    if not walked.seen:
        folded = f"folded into {walked.folded_into}" if walked.folded_into else "uncompared"
        return replace(one, verdict=folded, reason="the port does not show what it gives")
    if not has_bound(walked.step):
        return replace(one, reason=f"no rounding bound for {type(walked.step).__name__}")
    try:
        found = _compared(walked, walked.step)
    except KeyError as error:
        return replace(one, reason=str(error.args[0]))
    differ = _weights_that_differ(walked, port, stored.get(walked.name))
    notes: tuple[str, ...] = ()
    if found.exceeding and not differ and (form := in_another_form(walked)) is not None:
        found, notes = _compared(walked, form), (f"{walked.name}: the port writes {form_of(form)}",)
    if not found.exceeding and not has_power(found.coarseness, walked.precision):
        along = _along_the_cell(walked)
        if along is not None:
            found, notes = along, (*notes, f"{walked.name}: {ALONG}")
    tried, shown = _telling(walked)
    hidden = HIDDEN_STATES if is_stepped(walked.step) else ""
    verdict, reason = verdict_of(found, differ, walked.precision, tried, shown, hidden)
    return replace(
        one, verdict=verdict, comparison=found, weights_differ=differ, would_show=shown, reason=reason,
        notes=(*notes, *_asleep(walked, is_shown(walked, port))),
    )  # fmt: skip


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


def is_shown(walked: Walked, port: TracedPort) -> bool:
    """Whether the port shows the arrays of a dense layer, so that they were compared."""
    held = {} if port.weights is None else port.weights()
    if not isinstance(walked.step, Dense) or walked.name not in held:
        return False
    return bool(held[walked.name][0].shape == Stored.of(walked.step).kernel.shape)


def _asleep(walked: Walked, shown: bool) -> tuple[str, ...]:
    """A sentence each on sides of an activation that no row reached, and on inputs that never moved.

    Args:
        walked: the step.
        shown: whether its arrays were read, and compared one by one.
    """
    step, near = walked.step, [one for one in walked.seen if not one.is_far]
    if not isinstance(step, Dense) or not near or any(one.fed[0].ndim != 2 for one in near):
        return ()
    fed = np.concatenate([one.fed[0] for one in near])
    notes = []
    still = int(np.sum(np.ptp(fed, axis=0) == 0))
    if still and not shown:
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
