"""Products, layers and activations on a GPU against the bounds, in one run: with Keras on JAX, several at a time.

    python -m benchmarks.gpu_accuracy [--seconds 500] [--jobs 12] [--only products layers activations]

Matrix products of 1 to 4,096 inputs (float32 as the platform does it, which is tensorfloat32 on NVIDIA's, and all of
it; float64; both 16-bit formats), layers of every kind in the same formats, and activations: every float32 in range,
samples of float64. Prints what each program prints as soon as it is done; what has not come to an end in time is
stopped and said. Exit status 1 where a bound does not hold or something was stopped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

LAYERS = (
    "Dense", "Conv1D", "Conv2D", "Conv3D", "LocallyConnected", "Normalization", "LSTM", "GRU", "SimpleRNN", "Softmax",
    "Pooling", "TimeDistributed",
)  # fmt: skip
ACTIVATIONS = (
    "gelu", "gelu_tanh", "tanh", "sigmoid", "softplus", "softsign", "elu", "selu", "silu", "mish", "exponential",
)  # fmt: skip
ENVIRONMENT = {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
               "PYTHONUNBUFFERED": "1"}  # fmt: skip
ALL_OF_FLOAT32 = {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}


@dataclass(frozen=True)
class Task:
    """One program.

    Attributes:
        name: for people.
        group: "products", "layers" or "activations".
        arguments: of Python.
        environment: beside ``ENVIRONMENT``.
    """

    name: str
    group: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def tasks(folder: str) -> list[Task]:
    """All of them, the longest first."""
    found = [Task("products", "products", ("-m", "benchmarks.product_accuracy"))]
    for name in ACTIVATIONS:
        for form in ("float32", "float64"):
            state = f"{folder}/{form}-{name}.json"
            measure = ("-m", "benchmarks.activation_accuracy", "--only", name, "--formats", form, "--state", state)
            found.append(Task(f"{name}, {form}", "activations", measure, ALL_OF_FLOAT32))
    for part in LAYERS:
        common = ("-m", "benchmarks.right_layers", "--only", part, "--seeds", "3", "--modes", "eager", "xla")
        formats = ("--formats", "float32", "float64", "mixed_bfloat16")
        found.append(Task(f"{part}, as the platform does it", "layers", (*common, *formats)))
        found.append(Task(f"{part}, all of float32", "layers", (*common, "--formats", "float32"), ALL_OF_FLOAT32))
    return found


def run(task: Task, until: float) -> tuple[str, int]:
    """What it printed, and its exit status; 124 where it was stopped."""
    left = until - time.monotonic()
    if left < 1:
        return "not begun", 124
    environment = {**os.environ, **ENVIRONMENT, **task.environment}
    command = [sys.executable, *task.arguments]
    try:
        done = subprocess.run(command, check=False, env=environment, text=True, timeout=left, capture_output=True)
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        return (output.decode(errors="replace") if isinstance(output, bytes) else output) + "stopped", 124
    tail = done.stderr.strip().splitlines()[-3:] if done.returncode > 1 or not done.stdout else []
    return done.stdout + "\n".join(tail), done.returncode


def main() -> int:
    """Run all, print; 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--only", nargs="*", default=["products", "layers", "activations"])
    parser.add_argument("--folder", default="build/gpu_accuracy", help="of what was measured of activations")
    options = parser.parse_args()
    until, worst = time.monotonic() + options.seconds, 0
    chosen = [task for task in tasks(options.folder) if task.group in options.only]
    with ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(run, task, until): task for task in chosen}
        for done in as_completed(running):
            output, status = done.result()
            print(
                f"== {running[done].name} ({status}), {until - time.monotonic():.0f} s left",
                output,
                sep="\n",
                flush=True,
            )
            worst = max(worst, status)
    return min(worst, 1)


if __name__ == "__main__":
    sys.exit(main())
