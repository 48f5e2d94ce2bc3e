"""Entries of a kernel or a bias that differ, read off what a layer gives beyond what it should."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.diagnosis.layers import Diagnosis
from porter.diagnosis.readout import INVERSES
from porter.examination.compare import Comparison
from porter.exports.suspect import TracedSuspect

Array = NDArray[Any]

SHOWN = 3


def explain_entries(suspect: TracedSuspect, before: Comparison, tried: int) -> Diagnosis | None:
    """Which entries differ; None where that does not account for what the layer gives.

    Args:
        suspect: the layer, whose activation is the file's own.
        before: as it was judged.
        tried: how many explanations were compared already.
    """
    found = _preactivations(suspect)
    if found is None:
        return None
    fed, excess, noise = found
    units = [unit for unit in range(excess.shape[1]) if np.any(np.abs(excess[:, unit]) > noise[:, unit])]
    told = [_of_unit(fed, excess[:, unit], noise[:, unit], unit) for unit in units]
    if not told or any(each is None for each in told):
        return None
    codes = {each[0] for each in told if each is not None}
    words = [each[1] for each in told if each is not None]
    more = f" and {len(words) - SHOWN} more units" if len(words) > SHOWN else ""
    code = "bias.values" if codes == {"bias.values"} else "kernel.values"
    what = "bias" if code == "bias.values" else "kernel"
    message = f"entries of the {what} differ: {'; '.join(words[:SHOWN])}{more}"
    return Diagnosis((Cause(code, suspect.name, message, ""),), before, before, tried)


def _preactivations(suspect: TracedSuspect) -> tuple[Array, Array, Array] | None:
    """(rows, inputs) as fed; what the port's preactivation is beyond the file's, and what rounding may make of it."""
    walked = suspect.walked
    assert walked is not None
    inverse = INVERSES.get(suspect.own.activation.name)
    parts = [one for one in walked.seen if not one.is_far and one.carried is None]
    if inverse is None or suspect.own.activation.parameters or not parts:
        return None
    fed, found = np.concatenate([one.fed[0] for one in parts]), np.concatenate([one.actual for one in parts])
    trace = suspect.step(fed)
    wanted = np.asarray(trace.preactivation)
    if wanted.shape != found.shape:
        return None
    unit = walked.precision.format.unit
    with np.errstate(all="ignore"):
        z = inverse(found)
        # How far the argument moves where the output moves by its own rounding.
        slope = np.abs(inverse(found * (1 + 64 * unit)) - z) + np.abs(inverse(found * (1 - 64 * unit)) - z)
        size = np.abs(fed) @ np.abs(suspect.own.kernel) + np.abs(wanted) + 1
        noise = slope + 8 * len(suspect.own.kernel) * unit * size
    usable = np.isfinite(z) & np.isfinite(noise)
    excess = np.where(usable, z - wanted, 0.0)
    return fed, excess, np.where(usable, noise, np.inf)


def _of_unit(fed: Array, excess: Array, noise: Array, unit: int) -> tuple[str, str] | None:
    """(code, what differs in one unit): its bias, one weight, or several."""
    keep = np.isfinite(noise)
    for code, what, column in _columns(fed[keep], unit):
        weights = column / noise[keep]
        norm = float(weights @ weights)
        if norm == 0:
            continue
        amount = float(weights @ (excess[keep] / noise[keep])) / norm
        if np.all(np.abs(excess[keep] - amount * column) <= noise[keep]):
            return code, f"{what} is off by {amount:.3g}"
    rows = np.hstack([fed[keep], np.ones((int(keep.sum()), 1))])
    if len(rows) <= rows.shape[1]:
        return None
    solved = np.linalg.lstsq(rows / noise[keep][:, None], excess[keep] / noise[keep], rcond=None)[0]
    if np.all(np.abs(excess[keep] - rows @ solved) <= 4 * noise[keep]):
        return "kernel.values", f"several weights of unit {unit}"
    return None


def _columns(fed: Array, unit: int) -> Iterator[tuple[str, str, Array]]:
    yield "bias.values", f"[{unit}]", np.ones(len(fed))
    for i in range(fed.shape[1]):
        yield "kernel.values", f"[{i}, {unit}]", fed[:, i]
