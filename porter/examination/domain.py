"""The inputs of a whole network: where they may lie, and rows drawn from there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.probes import draw_rows
from porter.formats.scalings import ROOTS
from porter.ports.port import Port
from reference.composed.extremes import Extremes
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform
from reference.trace import Program

Array = NDArray[Any]

LEAST_ROWS, MOST_NUMBERS = 256, 2**22
"""How many random rows there may be at least, and how many numbers they may be together otherwise."""
GOLDEN_ROWS = 512
HOLDS = {
    "float16": 2**11, "bfloat16": 2**8, "bool": 1, "int8": 2**7 - 1, "uint8": 2**8 - 1, "int16": 2**15 - 1,
    "uint16": 2**16 - 1,
}  # fmt: skip
"""The whole number to which such an input holds every one."""
SHORT = ("float16", "bfloat16")


def network_inputs(program: Program, rows: int, rng: np.random.Generator, outside: bool, golden: Any) -> Array:
    """Rows for the whole port: golden samples first, then what ``draw_rows`` draws in the documented range.

    Args:
        program: its forward pass, whole.
        rows: how many random rows; fewer for a wide network, whose would fill the memory.
        rng: draws them.
        outside: whether the port takes what the input scaling gives.
        golden: golden samples, or None.

    Returns:
        (rows, n) float64, in the units that the port takes.
    """
    width = next(step.width[0] for step in program.steps if isinstance(step, Dense))
    drawn = draw_rows(_limits(program), width, min(rows, max(LEAST_ROWS, MOST_NUMBERS // width)), rng)
    if golden is not None:
        drawn = np.concatenate([np.asarray(golden.inputs[0], np.float64)[:GOLDEN_ROWS], drawn])
    first = _first(program)
    if isinstance(first, Transform):  # the logarithm of a row of zeros says nothing of a port
        taken = np.asarray(np.isfinite(first(drawn).outputs).all(axis=1))
        # Where no range is documented hardly any random row has a logarithm in every column.
        drawn = drawn[taken] if np.count_nonzero(taken) >= len(taken) // 8 else np.abs(drawn)
    return np.asarray(first(drawn).outputs) if outside and isinstance(first, Scaling) else drawn


def check_input_dtypes(port: Port, computed: Collection[str], whole: Mapping[int, int] = MappingProxyType({})) -> None:
    """Refuse inputs that cut or round what the legacy network takes, before any layer computes.

    Args:
        port: the port.
        computed: the dtypes in which the layers that take its inputs compute, where those are known.
        whole: the keys of the inputs whose numbers are whole in the legacy network, too, with the greatest one.

    Raises:
        PortError: an input takes whole numbers for real ones, numbers of 16 bits where no layer computes in those, or
            in a dtype that does not hold every whole number.
    """
    for key, dtype in zip(port.inputs, port.input_dtypes, strict=True):
        if key in whole:
            effect = f"does not hold every whole number to {whole[key]:,}" if whole[key] > HOLDS.get(dtype, inf) else ""
        elif "float" not in dtype:
            effect = "cuts every number to an integer"
        else:
            is_alone = dtype in SHORT and computed and dtype not in computed
            effect = f"rounds every number, while no layer that takes it computes in {dtype}" if is_alone else ""
        if effect:
            raise PortError(
                f"the port {port.name}" + (f", input {port.inputs.index(key) + 1}" if len(port.inputs) > 1 else ""),
                found=f"an input of dtype {dtype}, which {effect}",
                expected="the numbers that the legacy network takes",
                remedy='declare the input in float32: keras.Input(..., dtype="float32")',
            )


def port_limits(program: Program, *, outside: bool) -> Array | None:
    """(n, 2) the documented range of what the port takes; None where the file documents none.

    Args:
        program: the legacy forward pass, whole.
        outside: whether the port takes what the input scaling gives.
    """
    limits, first = _limits(program), _first(program)
    if limits is None or not (outside and isinstance(first, Scaling)):
        return limits
    return np.asarray(first(limits.T).outputs).T


def _limits(program: Program) -> Array | None:
    """(n, 2) the documented range of the program's own inputs, through its transforms backwards."""
    limits = None
    for step in program.steps:
        if isinstance(step, Scaling) and not step.inverse:
            spread = step.rule == "mean-std"
            low, high = (
                (step.first - 3 * step.second, step.first + 3 * step.second) if spread else (step.first, step.second)
            )
            limits = np.stack([low, high], axis=1).astype(np.float64)
    first = _first(program)
    if limits is None or not isinstance(first, Transform):
        return limits
    return np.stack([_before(name, limits[i]) for i, name in enumerate(first.functions)])


def _first(program: Program) -> Any:
    """The first step that does more than to hold the inputs to bounds."""
    return next(step for step in program.steps if not isinstance(step, Extremes))


def _before(function: str, limits: Array) -> Array:
    with np.errstate(all="ignore"):
        if function == "cos_degrees":
            return np.sort(np.rad2deg(np.arccos(np.clip(limits, -1, 1))))
        if function in ("log10", "ln"):
            return np.power(10.0, limits) if function == "log10" else np.exp(limits)
        if function == "cos":
            return np.sort(np.arccos(np.clip(limits, -1, 1)))
        if function in ROOTS:
            return limits ** ROOTS[function]
        if function == "square":
            return np.sqrt(np.abs(limits))
    return limits


def documented(input_range: Array | None, drawn: Array) -> Array:
    """Rows around 0 laid into a documented range, (inputs, 2); as they are where none is."""
    if input_range is None:
        return drawn
    low, high = np.sort(input_range, axis=1).T
    return np.asarray((low + high) / 2 + (high - low) / 2 * drawn)
