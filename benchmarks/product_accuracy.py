"""How far matrix products are from exact ones, on whatever Keras computes on, against the bounds of the reference.

    python -m benchmarks.product_accuracy
    KERAS_BACKEND=jax JAX_ENABLE_X64=1 python -m benchmarks.product_accuracy      # a GPU, where JAX finds one

Dense layers of 1 to 4,096 inputs: random numbers, numbers of one sign (each rounding of a sum adds up), numbers that
cancel, and basis vectors. On a GPU every float32 product is run twice, as the platform does it unless told otherwise
and with all of float32. Exit status 1 where a bound does not hold.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import ml_dtypes
import numpy as np
from keras import ops
from rich.console import Console
from rich.table import Table

from benchmarks.activation_accuracy import compilers, versions
from porter.ports.runtime import current_runtime
from reference.activations import Activation
from reference.operations.dense import Dense
from reference.precision import Precision
from reference.rounding.bounds import allowed_error

Array = np.ndarray

SHAPES = ((1, 1), (2, 7), (7, 64), (64, 5), (111, 107), (256, 256), (513, 33), (2048, 64), (4096, 16))
MAGNITUDES = (1e-3, 1.0, 1e3)
ROWS = (1, 64, 200)
FORMATS = ("float32", "float64", "float16", "bfloat16")
CASTS: Mapping[str, Any] = {"bfloat16": ml_dtypes.bfloat16}


def inputs_of(kind: str, rows: int, inputs: int, rng: np.random.Generator) -> Array:
    """(rows, inputs) of one of ``KINDS``."""
    x = rng.standard_normal((rows, inputs))
    if kind == "one sign":
        return np.abs(x)
    if kind == "cancelling":
        x[:, inputs // 2 : 2 * (inputs // 2)] = -x[:, : inputs // 2]
    if kind == "basis":
        x = np.zeros((rows, inputs))
        x[np.arange(rows), rng.integers(0, inputs, rows)] = rng.choice([-1.0, 1.0], rows)
    return x


KINDS = ("random", "one sign", "cancelling", "basis")


@dataclass(frozen=True)
class Worst:
    """The element of some products that comes nearest to its bound, or farthest beyond.

    Attributes:
        kind: of input.
        ratio: its error over its bound.
        share: the largest error over the sum of the magnitudes of its terms, in units of the format.
        where: shape, rows and size, for people.
    """

    kind: str
    ratio: float
    share: float
    where: str


def worst_of(compute: str, precision: Precision, run: Callable[[Any, Any, Any], Any]) -> Iterator[Worst]:
    """One for every shape, size, number of rows and kind of input."""
    rng = np.random.default_rng(0)
    dtype = CASTS.get(compute, compute)
    for (n, units), magnitude, rows, kind in (
        (shape, size, count, name) for shape in SHAPES for size in MAGNITUDES for count in ROWS for name in KINDS
    ):
        kernel = (magnitude * rng.standard_normal((n, units))).astype(dtype)
        if kind == "one sign":
            kernel = np.abs(kernel)
        if kind == "cancelling":
            kernel[n // 2 : 2 * (n // 2)] = kernel[: n // 2]
        bias = rng.standard_normal(units).astype(dtype)
        x = inputs_of(kind, rows, n, rng).astype(dtype)
        step = Dense(
            "d", ("x",), kernel.astype(np.float64), bias.astype(np.float64), Activation("linear"), "inputs-first"
        )
        wide = x.astype(np.float64)
        trace = step(wide)
        allowed = allowed_error(step, (wide,), trace, precision)
        found = np.asarray(ops.convert_to_numpy(run(x, kernel, bias))).astype(np.float64)
        error = np.where(np.isfinite(allowed), np.abs(found - trace.outputs), 0.0)
        place = np.unravel_index(int(np.argmax(error / allowed)), error.shape)
        size = np.abs(wide) @ np.abs(step.weights) + np.abs(step.bias)
        where = f"{n} inputs, {units} units, {rows} rows, size {magnitude:g}: {found[place]} for {trace.outputs[place]}"
        share = float(np.max(error / size) / precision.format.unit)
        yield Worst(kind, float((error / allowed)[place]), share, where)


def layer(compute: str) -> Callable[[Any, Any, Any], Any]:
    """Kernel, then bias, in that format."""

    def run(x: Any, kernel: Any, bias: Any) -> Any:
        x, kernel, bias = (ops.convert_to_tensor(part, dtype=compute) for part in (x, kernel, bias))
        return ops.add(ops.matmul(x, kernel), bias)

    return run


def all_of_float32() -> Any:
    """A context in which products of float32 are products of float32."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_matmul_precision("highest")
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
    return nullcontext()


def operand_rounding() -> str:
    """How a product rounds its operands, read off basis vectors: the kernel comes back as it went in."""
    kernel = np.random.default_rng(1).uniform(1, 2, (64, 64)).astype(np.float32)
    found = np.asarray(ops.convert_to_numpy(layer("float32")(np.eye(64, dtype=np.float32), kernel, np.zeros(64))))
    error = (found.astype(np.float64) - kernel) * 2.0**11
    ways = {"none": found == kernel, "to nearest": np.abs(error) <= 1, "towards zero": (error <= 0) & (error > -2)}
    way = next((name for name, holds in ways.items() if holds.all()), "unknown")
    return f"{way}; by {error.min():.4f} to {error.max():.4f} units of 2^-11"


def measured(compute: str, precision: Precision) -> dict[str, Worst]:
    """By way of running and kind of input, the worst element."""
    worst: dict[str, Worst] = {}
    run = layer(compute)
    for name, path in {"eager": run, "xla": compilers()["xla"](run)}.items():
        for found in worst_of(compute, precision, path):
            key = f"{name}, {found.kind}"
            worst[key] = max(worst.get(key, found), found, key=lambda one: one.ratio)
    return worst


def show(rows: Mapping[str, Mapping[str, Worst]], console: Console) -> bool:
    """Print ratios, and where a bound does not hold; whether all hold."""
    keys = list(next(iter(rows.values())))
    table = Table("largest error / bound", *keys, title=versions())
    for name, found in rows.items():
        table.add_row(name, *(f"{found[key].ratio:.3f}" for key in keys))
    console.print(table)
    over = [(name, key, one) for name, found in rows.items() for key, one in found.items() if one.ratio > 1]
    for name, key, one in over:
        console.print(f"{name}, {key}: {one.where}; {one.share:.3g} units of the sum of magnitudes", soft_wrap=True)
    return not over


def main() -> int:
    """Measure, print; 1 where a bound does not hold."""
    console, runtime = Console(), current_runtime()
    rounds = runtime.tensorfloat32
    console.print(f"operands of float32 products are rounded: {operand_rounding()}")
    rows = {
        f"{compute}{', tensorfloat32' if rounds and compute == 'float32' else ''}": measured(
            compute, runtime.precision(compute, compute)
        )
        for compute in FORMATS
    }
    if rounds:
        with all_of_float32():
            console.print(f"with all of float32: {operand_rounding()}")
            rows["float32, all of it"] = measured("float32", Precision("float32", "float32"))
    return 0 if show(rows, console) else 1


if __name__ == "__main__":
    sys.exit(main())
