"""The arrays that a report's pictures are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.diagnose import Named
from porter.examination.case import Case
from porter.examination.judging import cast, error_ratios, port_rows
from porter.examination.suspect import Stored

Array = NDArray[Any]

PICTURE_ROWS = 512
SCALED_ROWS = 64


def collect_pictures(case: Case, named: Sequence[Named]) -> dict[str, Any]:
    """Outputs of both sides, scaled errors, and kernels and activations where one of them is at fault."""
    expected, actual = case.outputs
    pictures: dict[str, Any] = {
        "outputs": {"expected": expected[:PICTURE_ROWS], "actual": actual[:PICTURE_ROWS]},
        "scaled_errors": _scaled_errors(case),
        "kernels": {},
        "activations": {},
        "after_remedy": {},
    }
    for one in named:
        if one.diagnosis is None:
            continue
        _add_pictures(pictures, case, one)
    return pictures


def _add_pictures(pictures: dict[str, Any], case: Case, named: Named) -> None:
    diagnosis, judged = named.diagnosis, named.judged
    assert diagnosis is not None
    if diagnosis.is_explained:
        pictures["after_remedy"][judged.name] = diagnosis.after.error
    if diagnosis.kernel is not None and named.cause.code.startswith(("kernel", "layers", "units", "inputs", "outputs")):
        pictures["kernels"][judged.name] = {"stored": Stored.of(judged.step).kernel, "found": diagnosis.kernel}
    if named.cause.code.startswith("activation"):
        z = np.linspace(-4, 4, 161)
        block = case[judged.name].pair.block
        tail = block.tail if block is not None else None
        if tail is not None:
            units = judged.step.width[1]
            seen = np.asarray(tail(np.repeat(z[:, None], units, axis=1))).astype(np.float64)[:, 0]
            pictures["activations"][judged.name] = {"z": z, "expected": judged.step.activation(z), "actual": seen}


def _scaled_errors(case: Case) -> dict[str, Array]:
    """Error over allowed error of every element of each compared step, on some of the network's inputs."""
    tensors = case.graph.trace([cast(case.inputs[:SCALED_ROWS], case.graph.input_dtypes[0])])
    result = {}
    for one in case.judged:
        block = one.pair.block
        if block is not None and np.isfinite(one.comparison.error):  # of the shape of the step's outputs at all
            fed = port_rows(tensors[block.entry], block.precision)
            result[one.name] = error_ratios(one.step, fed, tensors[block.leaving], block.precision).ravel()
    return result
