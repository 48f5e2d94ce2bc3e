"""What a port does with values outside their bounds instead of what the legacy software does."""

from __future__ import annotations

import numpy as np

from porter.codes import Cause
from porter.examination.judging import cast
from porter.ports.blocks import Block
from reference.composed.extremes import Extremes


def explain_extremes(step: Extremes, block: Block | None) -> Cause:
    """Name what is done otherwise; where ``block`` is None the port has no such step."""
    remedy = (
        f"clamp to [{step.least.tolist()}, {step.greatest.tolist()}] within {step.tolerance.tolist()}, and give NaN "
        "further outside"
    )
    if block is None:
        return Cause("transform.replaced", step.name, "the port has no such step", remedy)
    rows = cast(step.probes(), block.precision.compute)
    found = np.asarray(block.run(rows)).astype(np.float64).reshape(len(rows), -1)
    return Cause("transform.replaced", step.name, _difference(step, rows.astype(np.float64), found), remedy)


def _difference(step: Extremes, rows: np.ndarray, found: np.ndarray) -> str:
    if found.shape != rows.shape:
        return f"it gives {found.shape[1]} columns for {rows.shape[1]}"
    wanted = step(rows).outputs
    room = 1e-2 * (np.abs(step.greatest) + np.abs(step.least) + step.tolerance)
    if np.allclose(found, rows, rtol=1e-2, atol=1e-6):
        return "values outside their bounds stay as they are"
    flagged, own = np.isnan(found), np.isnan(wanted)
    if own.any() and not flagged.any() and np.all(np.abs(found - np.clip(rows, step.least, step.greatest)) <= room):
        return "everything is clamped and nothing is flagged"
    if np.all(flagged[own]) and np.any(flagged & ~own):
        return "values within the tolerance are flagged"
    if np.any(own & ~flagged):
        return "values beyond the tolerance are not flagged"
    return "values are held to other bounds"
