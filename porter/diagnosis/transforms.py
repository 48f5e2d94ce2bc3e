"""Which functions a port applies between physical units and what the network takes or gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.judging import cast
from porter.examination.probes import outside_rows
from porter.ports.blocks import Block
from reference.operations.transforms import FUNCTIONS, Transform

Array = NDArray[Any]

OTHERS: Mapping[str, Callable[[Array], Array]] = {
    "cos of radians": np.cos,
    **FUNCTIONS,
    "sin_degrees": lambda x: np.sin(np.deg2rad(x)),
    "log2": np.log2,
    "log1p": np.log1p,
    "pow2": np.exp2,
    "degrees to radians": np.deg2rad,
}


IN_KERAS: Mapping[str, str] = {
    "identity": "x itself",
    "cos_degrees": "keras.ops.cos(keras.ops.deg2rad(x))",
    "sin_degrees": "keras.ops.sin(keras.ops.deg2rad(x))",
    "cos of radians": "keras.ops.cos(x)",
    "degrees to radians": "keras.ops.deg2rad(x)",
    "log10": "keras.ops.log10(x)",
    "ln": "keras.ops.log(x)",
    "log2": "keras.ops.log2(x)",
    "log1p": "keras.ops.log1p(x)",
    "pow10": "keras.ops.power(10.0, x)",
    "pow2": "keras.ops.power(2.0, x)",
    "exp": "keras.ops.exp(x)",
    "sqrt": "keras.ops.sqrt(x)",
    "root4": "keras.ops.sqrt(keras.ops.sqrt(x))",
    "root8": "keras.ops.sqrt(keras.ops.sqrt(keras.ops.sqrt(x)))",
    "square": "keras.ops.square(x)",
    "pow4": "keras.ops.power(x, 4)",
    "pow8": "keras.ops.power(x, 8)",
    "relu_square": "keras.ops.square(keras.ops.relu(x))",
    "relu": "keras.ops.relu(x)",
    "cos": "keras.ops.cos(x)",
}
"""How a person writes the same in Keras."""


def transform_remedy(step: Transform) -> str:
    """What the port has to apply, column by column."""
    columns: dict[str, list[str]] = {}
    for column, name in enumerate(step.functions):
        columns.setdefault(IN_KERAS[name], []).append(str(column))
    if len(columns) == 1:
        return f"apply {next(iter(columns))} to every column"
    told = (f"{name} to column{'s'[: len(where) > 1]} {', '.join(where)}" for name, where in columns.items())
    return f"apply {'; '.join(told)}"


def explain_transform(step: Transform, block: Block, inputs: Array) -> Cause:
    """Name the columns whose function is another, and which it is.

    Args:
        step: the legacy step.
        block: the port's block.
        inputs: (rows, n) rows that the step may take; used where they are of its width.
    """
    n = len(step.functions)
    rows = inputs[:256] if inputs.shape[1] == n else np.linspace(0.1, 2.0, 64)[:, None].repeat(n, axis=1)
    rows = np.concatenate([rows, np.linspace(0.1, 2.0, 16)[:, None].repeat(n, axis=1)])
    fed = cast(rows, block.precision.compute).astype(np.float64)
    found = np.asarray(block.run(cast(rows, block.precision.compute))).astype(np.float64)
    remedy = transform_remedy(step)
    if found.shape != fed.shape:
        return Cause("transform.replaced", step.name, f"it gives {found.shape[1]} columns for {n}", remedy)
    unit = block.precision.format.unit
    for column, name in enumerate(step.functions):
        if not follows(FUNCTIONS[name], fed[:, column], found[:, column], unit):
            other = next((o for o, f in OTHERS.items() if follows(f, fed[:, column], found[:, column], unit)), None)
            what = f"is {IN_KERAS[other]}" if other is not None else "is none of those that were tried"
            message = f"the function of column {column} {what}, for {IN_KERAS[name]}"
            return Cause("transform.replaced", step.name, message, remedy)
    outside = outside_rows(n)
    made = np.asarray(block.run(cast(outside, block.precision.compute))).astype(np.float64)
    with np.errstate(all="ignore"):
        wanted = np.asarray(step(cast(outside, block.precision.compute).astype(np.float64)).outputs)
    guarded = np.argwhere(~np.isfinite(wanted) & np.isfinite(made))
    if len(guarded):
        row, column = (int(each) for each in guarded[0])
        message = (
            f"at {outside[row, column]:g} it gives {made[row, column]:.6g}, where {IN_KERAS[step.functions[column]]} "
            f"of the file has no number: what is no measurement passes for one"
        )
        return Cause("transform.replaced", step.name, message, remedy)
    return Cause(
        "transform.replaced", step.name, "it differs by more than rounding, function by function alike", remedy
    )


def follows(function: Callable[[Array], Array], x: Array, found: Array, unit: float) -> bool:
    """Whether the function gives the same values, to a thousand units: two functions differ by far more."""
    with np.errstate(all="ignore"):
        wanted = function(x)
        usable = np.isfinite(wanted)
        close = np.abs(found - wanted) <= 1000 * unit * (np.abs(wanted) + np.abs(x) * np.abs(wanted) + 1)
    return bool(usable.any() and np.all(close[usable]))
