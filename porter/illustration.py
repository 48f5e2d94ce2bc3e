"""The arrays that a report's pictures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.compare import Comparison
from porter.diagnosis.diagnose import Named
from porter.diagnosis.suspect import Stored
from porter.examination import Case

Array = NDArray[Any]

PICTURE_ROWS = 512


def collect_pictures(case: Case, named: Sequence[Named]) -> dict[str, Any]:
    """Outputs of both sides, scaled errors, and kernels and activations where one of them is at fault."""
    expected, actual = case.outputs
    pictures: dict[str, Any] = {
        "outputs": {"expected": expected[:PICTURE_ROWS], "actual": actual[:PICTURE_ROWS]},
        "scaled_errors": {one.name: _ratios(one.by_probes) for one in case.judged if one.by_probes},
        "kernels": {},
        "activations": {},
        "after_remedy": {},
    }
    for one in named:
        if one.diagnosis is None:
            continue
        _add_pictures(pictures, one)
    return pictures


def _add_pictures(pictures: dict[str, Any], named: Named) -> None:
    diagnosis, judged = named.diagnosis, named.judged
    assert diagnosis is not None
    if diagnosis.is_explained:
        pictures["after_remedy"][judged.name] = diagnosis.after.error
    if diagnosis.kernel is not None and named.cause.code.startswith(("kernel", "layers", "units", "inputs", "outputs")):
        pictures["kernels"][judged.name] = {"stored": Stored.of(judged.step).kernel, "found": diagnosis.kernel}
    if named.cause.code.startswith("activation"):
        z = np.linspace(-4, 4, 161)
        block = judged.pair.block
        tail = block.tail if block is not None else None
        if tail is not None:
            units = judged.step.width[1]
            seen = np.asarray(tail(np.repeat(z[:, None], units, axis=1))).astype(np.float64)[:, 0]
            pictures["activations"][judged.name] = {"z": z, "expected": judged.step.activation(z), "actual": seen}


def _ratios(by_probes: Mapping[str, Comparison]) -> Array:
    return np.array([found.ratio for found in by_probes.values()])
