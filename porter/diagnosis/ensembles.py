"""How a port makes the members of an ensemble one, instead of as the legacy software does."""

from __future__ import annotations

import numpy as np

from porter.codes import Cause
from porter.examination.judging import cast
from porter.ports.blocks import Block
from reference.composed.ensemble import PLAIN, WITHIN, Ensemble


def explain_ensemble(step: Ensemble, block: Block | None) -> Cause:
    """Name what is done otherwise; where ``block`` is None the port has no such step."""
    remedy = f"take the {step.rule} of the {step.members} members"
    if block is None:
        return Cause("merge.replaced", step.name, "the port does not make its members one", remedy)
    rows = cast(step.probes(), block.precision.compute)
    found = np.asarray(block.run(rows)).astype(np.float64).reshape(len(rows), -1)
    return Cause("merge.replaced", step.name, f"it is {_what(step, rows.astype(np.float64), found)}", remedy)


def _what(step: Ensemble, rows: np.ndarray, found: np.ndarray) -> str:
    if found.shape[1] != 1:
        return f"{found.shape[1]} outputs for 1"
    mean, deviation = rows.mean(axis=1), rows.std(axis=1, ddof=1)
    whole = np.abs(rows - mean[:, None]) < rows.std(axis=1, keepdims=True)
    tries = {
        f"the plain {PLAIN}": mean,
        f"the {WITHIN}": np.sum(np.where(np.abs(rows - mean[:, None]) < deviation[:, None], rows, 0), axis=1)
        / np.sum(np.abs(rows - mean[:, None]) < deviation[:, None], axis=1),
        "the mean within one deviation of the population (n for n - 1)": np.sum(np.where(whole, rows, 0), axis=1)
        / np.sum(whole, axis=1),
        "the median": np.median(rows, axis=1),
        "the sum": rows.sum(axis=1),
        "the first member alone": rows[:, 0],
    }
    for name, values in tries.items():
        if name.removeprefix("the ").removeprefix("plain ") != step.rule and np.allclose(
            found[:, 0], values, 1e-2, 1e-6
        ):
            return f"{name}, for the {step.rule}"
    return f"none of the means that were tried, for the {step.rule}"
