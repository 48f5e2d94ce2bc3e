"""One legacy step against one piece of the port, both fed with the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.compare import Comparison, compare_outputs, merge_comparisons
from porter.probes import blocks
from reference.rounding import Precision, allowed_error

Array = NDArray[Any]
Run = Callable[[Array], Array]

BLOCK_ROWS = 2048


def smallest_unit(dtype: str) -> float:
    """The unit roundoff of a dtype by name, "bfloat16" included."""
    return {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]


def largest_number(dtype: str) -> float:
    """The largest finite number of a dtype by name."""
    return {
        "float64": float(np.finfo(np.float64).max),
        "float32": float(np.finfo(np.float32).max),
        "float16": 65504.0,
        "bfloat16": 3.3895313892515355e38,
    }[dtype]


def cast(values: Array, dtype: str) -> Array:
    """Round to a dtype by name; "float16" and "bfloat16" come back in float32, which holds them exactly."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "bfloat16":
            import ml_dtypes

            return np.asarray(values).astype(ml_dtypes.bfloat16).astype(np.float32)
        if dtype == "float16":
            return np.asarray(values).astype(np.float16).astype(np.float32)
        return np.asarray(values).astype(dtype)


def judge_values(step: Any, inputs: Array, actual: Array, precision: Precision, probes: str) -> Comparison:
    """Judge outputs that the port has computed already, from the port's own inputs."""
    fed = np.asarray(inputs).astype(np.float64)
    trace = step(fed)
    allowed = allowed_error(step, (fed,), trace, precision)
    return compare_outputs(
        np.asarray(trace.outputs, dtype=np.float64),
        np.asarray(actual).astype(np.float64),
        allowed,
        probes=probes,
        largest=largest_number(precision.compute),
    )


def judge(step: Any, run: Run, rows: Array, precision: Precision, probes: str = "rows") -> Comparison:
    """Feed the same rows to both sides, block by block.

    Args:
        step: a step of the legacy program.
        run: the piece of the port.
        rows: (rows, inputs); rounded to the port's dtype first, so that both sides get the same numbers.
        precision: in which the port computes.
        probes: what the rows are, for the report.
    """
    found = []
    for _, part in blocks(rows, BLOCK_ROWS):
        fed = cast(part, precision.compute)
        found.append(judge_values(step, fed, run(fed), precision, probes))
    return merge_comparisons(found)
