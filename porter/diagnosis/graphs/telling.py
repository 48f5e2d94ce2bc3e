"""Mistakes of the usual kinds, made in a step of the reference: would they have shown on what the port was fed with?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.graphs.graph import modes
from porter.diagnosis.graphs.recurrence import directions, reset_gates
from porter.diagnosis.graphs.variants import Family, variants
from porter.diagnosis.graphs.windows import pooling_kinds
from porter.examination.graphs.slots import put
from porter.examination.graphs.states import FIRST
from porter.examination.graphs.suspect import Seen, Suspect
from reference.activations import Activation
from reference.operations.embedding import Embedding
from reference.operations.masking import Mask, Masking
from reference.precision import round_to
from reference.rounding.bounds import allowed_error, platform_allowance

Array = NDArray[Any]

FEW = 8
"""Rows of each set of probes on which they are tried."""
FAMILIES: tuple[Family, ...] = (modes, pooling_kinds, directions, reset_gates)
REFUSED = (KeyError, ValueError, IndexError, TypeError, AttributeError)


def telling_mistakes(suspect: Suspect, rows: int = FEW) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes of the mistakes that were tried, and of those that would have exceeded the bound.

    Args:
        suspect: a step with what was seen of it.
        rows: of each set of probes.
    """
    rows = rows if suspect.recurrence is None else min(rows, FIRST)
    wrong = list(usual_mistakes(suspect))
    tried, shown = dict.fromkeys(code for code, _ in wrong), set[str]()
    for part in suspect.seen:
        left = [(code, step) for code, step in wrong if code not in shown]
        right = _computed(suspect, suspect.step, part, rows) if left else None
        if right is None:
            continue
        expected, allowed = right
        for code, step in left:
            found = _computed(suspect, step, part, rows, bounded=False)
            if found is not None and found[0].shape == expected.shape:
                with np.errstate(all="ignore"):
                    error = np.abs(found[0] - expected)
                if np.any(error > allowed, where=np.isfinite(allowed) & np.isfinite(expected)):
                    shown.add(code)
    return tuple(tried), tuple(code for code in tried if code in shown)


def _computed(suspect: Suspect, step: Any, part: Seen, rows: int, bounded: bool = True) -> tuple[Array, Array] | None:
    """What a step gives for the first rows, and what is allowed; None where it cannot take them."""
    if any(name not in part.fed for name in step.inputs):
        return None
    fed, precision = tuple(part.fed[name][:rows] for name in step.inputs), suspect.precision
    try:
        if suspect.recurrence is not None:
            stepped = suspect.recurrence.expect(step, fed, precision)
            if stepped is not None:
                return np.asarray(stepped.outputs, np.float64), stepped.allowed
        if not isinstance(step, Embedding | Mask | Masking):
            fed = tuple(round_to(array, precision.compute) for array in fed)
        trace = step(*fed)
        outputs = np.asarray(trace.outputs, np.float64)
        if not bounded:
            return outputs, np.zeros(())
        allowed = allowed_error(step, fed, trace, precision) + platform_allowance(step, fed, trace, precision)
    except REFUSED:
        return None
    return outputs, allowed


def usual_mistakes(suspect: Suspect) -> Iterator[tuple[str, Any]]:
    """Code and step as the mistake makes it: of its arrays, its activations, and how it is configured."""
    step = suspect.step
    for slot in suspect.slots:
        changed = None if slot.array is None else _changed(slot.array, slot.is_added)
        if changed is not None:
            yield changed[0], put(step, slot.path, changed[1])
    yield from _activations(step)
    for family in FAMILIES:
        for one in islice(variants(family, suspect, step), 1):
            if one.prepare is None and one.undo is None:
                yield one.code, one.step


def _changed(own: Array, is_added: bool) -> tuple[str, Array] | None:
    """A bias left out; a kernel transposed, or its units in reverse order, or of other values where that is the same.

    None where there is no bias to leave out.
    """
    if is_added:
        return ("bias.missing", np.zeros_like(own)) if own.any() else None
    if own.ndim == 0:
        return "kernel.values", 2 * own + 1
    square = own.ndim > 1 and own.shape[-1] == own.shape[-2]
    code, other = ("kernel.transposed", np.swapaxes(own, -1, -2)) if square else ("units.permuted", own[..., ::-1])
    return ("kernel.values", 2 * own + 1) if np.array_equal(other, own) else (code, other)


def _activations(step: Any) -> Iterator[tuple[str, Any]]:
    own = getattr(step, "activation", None)
    if isinstance(own, Activation) and not hasattr(step, "cell"):
        is_linear = own.name == "linear"
        other = Activation("tanh" if is_linear else "linear")
        yield "activation.added" if is_linear else "activation.missing", replace(step, activation=other)
    cell = getattr(step, "cell", None)
    if cell is not None:
        field = "recurrent_activation" if hasattr(cell, "recurrent_activation") else "activation"
        other = Activation("hard_sigmoid" if getattr(cell, field).name != "hard_sigmoid" else "sigmoid")
        yield "recurrent.activation", replace(step, cell=replace(cell, **{field: other}))
