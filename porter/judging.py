"""One legacy step against one piece of the port, both fed with the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.compare import Comparison, compare_outputs, merge_comparisons
from porter.probes import blocks
from reference.precision import Precision
from reference.rounding import allowed_error, platform_allowance

Array = NDArray[Any]
Run = Callable[[Array], Array]

BLOCK_ROWS = 2048


def cast(values: Array, dtype: str) -> Array:
    """Round to a dtype by name; "float16" and "bfloat16" come back in float32, which holds them exactly."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "bfloat16":
            import ml_dtypes

            return np.asarray(values).astype(ml_dtypes.bfloat16).astype(np.float32)
        if dtype == "float16":
            return np.asarray(values).astype(np.float16).astype(np.float32)
        return np.asarray(values).astype(dtype)


def port_rows(tensor: Array, precision: Precision) -> Array:
    """A tensor of the port's trace as (rows, columns), rounded to what the next layer computes in."""
    values = np.asarray(tensor)
    return cast(values.reshape(len(values), -1), precision.compute)


def judge_values(step: Any, inputs: Array, actual: Array, precision: Precision, probes: str) -> Comparison:
    """Judge outputs that the port has computed already, from the port's own inputs."""
    fed = np.asarray(inputs).astype(np.float64)
    trace = step(fed)
    expected, found = np.asarray(trace.outputs, dtype=np.float64), np.asarray(actual).astype(np.float64)
    found = found.reshape(len(found), -1)
    allowed = allowed_error(step, (fed,), trace, precision)
    platform = platform_allowance(step, (fed,), trace, precision)
    largest = precision.format.largest
    if not platform.any():
        return compare_outputs(expected, found, allowed, probes=probes, largest=largest)
    pure = compare_outputs(expected, found, allowed, probes=probes, largest=largest)
    within = compare_outputs(expected, found, allowed + platform, probes=probes, largest=largest)
    return replace(within, by_platform=pure.exceeding - within.exceeding)


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
