"""How accurate Keras' activations are here: measured, and held against the constants of reference/constants.py.

    python benchmarks/activation_accuracy.py [--only tanh gelu] [--formats float32] [--state FILE] [--jobs 8]
    KERAS_BACKEND=jax python benchmarks/activation_accuracy.py        # a GPU, where JAX finds one

float32: every number from 2^-14 to 2^7 on both sides (other ranges for some), and samples of the rest; float16 and
bfloat16: every number; float64: samples of every binade. Paths: eager, graph, graph fused behind a matrix product of
16 and of 7 columns and behind a convolution, XLA, and the odd lengths at which vector code hands over to scalar code
(JAX: eager, and compiled alone, fused and in odd lengths). ONEDNN_MAX_CPU_ISA=AVX2 measures what TensorFlow fuses on
smaller processors. What is measured already is kept in the state file and not measured again. Exit status 1 where a
constant of the table is not sound.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras
import ml_dtypes  # noqa: F401  (gives NumPy the name "bfloat16")
import numpy as np
from keras import activations, layers, ops
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from porter.ports.keras.versions import to_radians
from reference.activations import Activation
from reference.operations.dense import Activate
from reference.operations.transforms import Transform
from reference.precision import FORMATS, Precision
from reference.rounding.bounds import allowed_error, platform_allowance
from reference.rounding.constants import Accuracy, accuracy_of
from reference.trace import LayerTrace

CHUNK = 2**18
WIDE = 16  # columns behind a product, a full vector
ODD = 7  # length of rows that leave vector code with a remainder, whatever its width
SAMPLES = 2**14  # in each binade that is not measured exhaustively
DENSE = (-14, 7)


@dataclass(frozen=True)
class Case:
    """One function as Keras computes it, and as the reference does."""

    label: str
    port: Callable[[Any], Any]
    step: Callable[[Any], Any]  # of a dtype
    constants: Callable[[str], Accuracy]
    binades: tuple[int, int] = DENSE
    signs: tuple[int, ...] = (1, -1)


@dataclass
class Worst:
    """The worst that was seen on one path."""

    ratio: float = 0.0
    at: float = 0.0
    relative: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)


def activation(label: str, port: Callable[[Any], Any], name: str | None = None, **parameters: Any) -> Case:
    legacy = Activation(label if name is None else name, parameters)
    return Case(
        label, port, lambda dtype: Activate(label, ("x",), legacy, dtype), lambda kind: accuracy_of(legacy, kind)
    )


def transform(label: str, port: Callable[[Any], Any], binades: tuple[int, int], signs: tuple[int, ...]) -> Case:
    def step(dtype: Any) -> Transform:
        return Transform(label, ("x",), (label,), dtype)

    return Case(label, port, step, lambda kind: accuracy_of(label, kind), binades, signs)


def clip_line(x: Any) -> Any:
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


CASES = (
    *(
        activation(name, getattr(activations, name))
        for name in ("tanh", "sigmoid", "relu", "relu6", "leaky_relu", "softsign", "softplus", "elu", "selu")
    ),
    *(activation(name, getattr(activations, name)) for name in ("exponential", "silu", "mish", "hard_sigmoid")),
    *([activation("hard_tanh", activations.hard_tanh)] if hasattr(activations, "hard_tanh") else []),
    activation("gelu", activations.gelu),
    activation("gelu_tanh", lambda x: activations.gelu(x, approximate=True)),
    activation("hard_sigmoid_keras2", clip_line),
    activation(
        "hard_sigmoid_keras2 as relu", lambda x: activations.relu(0.2 * x + 0.5, max_value=1.0), "hard_sigmoid_keras2"
    ),
    activation("scaled_tanh", lambda x: 1.7159 * ops.tanh((2.0 / 3.0) * x)),
    activation("leaky_relu 0.3", lambda x: activations.leaky_relu(x, 0.3), "leaky_relu", negative_slope=0.3),
    activation("leaky_relu 0.01", lambda x: activations.leaky_relu(x, 0.01), "leaky_relu", negative_slope=0.01),
    activation("elu 0.3", lambda x: activations.elu(x, alpha=0.3), "elu", alpha=0.3),
    activation("elu 2.5", lambda x: activations.elu(x, alpha=2.5), "elu", alpha=2.5),
    activation("relu max 1.3", lambda x: activations.relu(x, max_value=1.3), "relu", max_value=1.3),
    activation(
        "relu layer",
        lambda x: layers.ReLU(max_value=6.1, negative_slope=0.1, threshold=0.7, dtype=x.dtype.name)(x),
        "relu",
        max_value=6.1,
        negative_slope=0.1,
        threshold=0.7,
    ),
    transform("cos_degrees", lambda x: ops.cos(to_radians(x)), (-14, 10), (1, -1)),
    transform("log10", ops.log10, (-24, 12), (1,)),
    transform("ln", ops.log, (-24, 12), (1,)),
    transform("pow10", lambda x: ops.power(10.0, x), (-14, 6), (1, -1)),
    transform("exp", ops.exp, (-14, 7), (1, -1)),
)


def compilers() -> Mapping[str, Callable[[Any], Any]]:
    """What Keras' backend can make of a function, beside calling it."""
    if keras.backend.backend() == "jax":
        import jax

        return {"xla": jax.jit}
    import tensorflow as tf

    return {"graph": tf.function, "xla": lambda port: tf.function(port, jit_compile=True)}


def paths_of(port: Callable[[Any], Any], kind: str) -> Mapping[str, Callable[[Any], Any]]:
    made = compilers()
    compiled, first = made["xla"](port), next(iter(made.values()))
    return {
        "eager": port,
        **{name: make(port) for name, make in made.items()},
        **{f"fused, {name}": first(lambda x, layer=layer: port(layer(x))) for name, layer in neutral(kind).items()},
        "xla odd": lambda x: compiled(in_rows(x, ODD)),
    }


def neutral(kind: str) -> Mapping[str, Callable[[Any], Any]]:
    """Layers that change nothing, for a graph to fuse the function with.

    Their weights are variables: constants of 0 and 1 would be folded away. Several columns: with one TensorFlow fuses
    nothing. What it fuses then is other code than its own functions.
    """
    found: dict[str, Callable[[Any], Any]] = {}
    for units in (WIDE, ODD):
        dense = layers.Dense(units, kernel_initializer="identity", dtype=kind)
        dense.build((None, units))
        found[f"product of {units}"] = lambda x, dense=dense: dense(in_rows(x, dense.units))
    convolution = layers.Conv2D(WIDE, 1, dtype=kind)
    convolution.build((None, 1, None, WIDE))
    convolution.set_weights([np.eye(WIDE).reshape(1, 1, WIDE, WIDE), np.zeros(WIDE)])
    found["convolution"] = lambda x: convolution(in_rows(x, WIDE)[None, None])
    return found


def in_rows(x: Any, width: int) -> Any:
    """Rows of that width, the last filled up from the beginning, or by repetition."""
    missing = -len(x) % width
    return ops.reshape(ops.concatenate([x, ops.tile(x, missing // len(x) + 1)[:missing]], 0), (-1, width))


def odd_lengths(port: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Eager, on arrays so short that some of their elements miss the vector code."""

    def run(x: Any) -> Any:
        parts = [port(x[start : start + 2 * ODD + 1]) for start in range(0, len(x), 2 * ODD + 1)]
        return ops.concatenate(parts, 0)

    return run


def every_float32(case: Case) -> Iterator[np.ndarray]:
    """The binades of the case, one after the other."""
    for sign in case.signs:
        for exponent in range(*case.binades):
            first = np.array(sign * 2.0**exponent, np.float32).view(np.uint32)
            for start in range(0, 2**23, CHUNK):
                yield np.arange(first + start, first + start + CHUNK, dtype=np.uint32).view(np.float32)


def samples(case: Case, kind: str, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Numbers of every binade, many where the function is neither its tangent at 0 nor constant; zeros, the largest."""
    info = np.finfo(kind)
    yield np.array([0.0, -0.0, info.max, -info.max, info.tiny, -info.tiny], kind)
    for exponent in range(info.minexp, info.maxexp):
        is_near = case.binades[0] - 40 <= exponent < case.binades[1]
        for sign in case.signs:
            yield (sign * np.ldexp(rng.uniform(1, 2, SAMPLES if is_near else 256), exponent)).astype(kind)


def every_short(kind: str) -> np.ndarray:
    numbers = np.arange(2**16, dtype=np.uint16).view(kind)
    with np.errstate(invalid="ignore"):
        return numbers[np.isfinite(numbers.astype(np.float64))]


def measure(
    case: Case, kind: str, x: np.ndarray, paths: Mapping[str, Callable[[Any], Any]], worst: dict[str, Worst]
) -> None:
    """Hold every path against the truth on one array: float64, or for float64 the long double of this machine."""
    form, wide = FORMATS[kind], x.astype(np.float64).reshape(-1, 1)
    with np.errstate(all="ignore"):
        trace = case.step(np.longdouble if kind == "float64" else np.float64)(wide)
        g = trace.outputs
        single = LayerTrace(trace.name, g.astype(np.float64), None if trace.preactivation is None else wide)
        step = case.step(np.float64)
        allowed = allowed_error(step, (wide,), single, Precision(kind, kind))
        allowed += platform_allowance(step, (wide,), single, Precision(kind, kind))
        argument, size = np.abs(wide), np.abs(single.outputs)
        # Subnormal arguments may be flushed to zero; the bound of a dense layer has a term for that.
        fits = np.isfinite(size) & np.isfinite(allowed) & ((argument == 0) | (argument >= form.tiny))
    if not fits.any():
        return
    with np.errstate(divide="ignore"):
        weight = np.where(fits, 1 / allowed, 0)
    tensor = ops.convert_to_tensor(x, kind)
    for name, path in paths.items():
        y = np.asarray(ops.convert_to_numpy(path(tensor))).reshape(-1)[: len(x)]
        with np.errstate(invalid="ignore"):
            error = np.abs(y.astype(g.dtype).reshape(-1, 1) - g).astype(np.float64)
        if np.isnan(error).any():
            error = np.where(fits, np.where(np.isnan(error), np.inf, error), 0)
        note(worst.setdefault(name, Worst()), wide, size, error, weight, form)


def note(worst: Worst, x: np.ndarray, size: np.ndarray, error: np.ndarray, weight: np.ndarray, form: Any) -> None:
    """Keep the largest error over allowed error, and by binade of x over the value and by itself (for tuning)."""
    with np.errstate(all="ignore"):
        error = np.where(weight > 0, error, 0)
        ratio = np.where(error == 0, 0, error * weight)
        relative = np.where(error <= 8 * form.tiny, 0, error / size)
    place = int(np.argmax(ratio))
    if ratio[place, 0] > worst.ratio:
        worst.ratio, worst.at = float(ratio[place, 0]), float(x[place, 0])
    middle = float(x[len(x) // 2, 0])
    binade = f"{'-' if middle < 0 else '+'}{int(np.frexp(middle)[1]) - 1}"
    worst.relative[binade] = max(worst.relative.get(binade, 0.0), float(relative.max()) / form.unit)
    worst.largest[binade] = max(worst.largest.get(binade, 0.0), float(error.max()) / form.unit)


def run_case(case: Case, kind: str) -> dict[str, Any]:
    worst: dict[str, Worst] = {}
    paths = paths_of(case.port, kind)
    short = kind in ("float16", "bfloat16")
    rest = [every_short(kind)] if short else list(samples(case, kind, np.random.default_rng(1)))
    for x in rest:
        measure(case, kind, x, paths if short else {"eager": case.port}, worst)
    few = rest[0] if short else np.concatenate([x[:512] for x in rest])
    # Compiled by XLA one length at a time, the short arrays of eager mode would take hours and show nothing new.
    short_arrays = {} if keras.backend.backend() == "jax" else {"eager odd": odd_lengths(case.port)}
    measure(case, kind, few, {**paths, **short_arrays}, worst)
    if kind == "float32":
        # Outside XLA a graph calls the kernels of eager mode, but for those that it fuses.
        paths = {name: path for name, path in paths.items() if name != "graph"}
        for x in every_float32(case):
            measure(case, kind, x, paths, worst)
    elif kind == "float64":
        whole = np.concatenate([x for x in rest if len(x) == SAMPLES])
        measure(case, kind, whole, paths, worst)
    return {name: vars(value) for name, value in worst.items()}


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def save(path: Path, state: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(state, indent=1))
    fresh.replace(path)


def versions() -> str:
    return f"{runtime()}, Keras {keras.__version__}, NumPy {np.__version__}"


def runtime() -> str:
    """Backend, its version, and the device that it computes on."""
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        return f"JAX {jax.__version__}, {device.device_kind if device.platform != 'cpu' else processor()}"
    import tensorflow as tf

    return f"TensorFlow {tf.__version__}, {processor()}"


def processor() -> str:
    return next((s.split(":")[1].strip() for s in cpu_lines() if s.startswith("model name")), "unknown processor")


def cpu_lines() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []


def show(state: Mapping[str, Any], console: Console) -> bool:
    """Print the table; whether every constant is sound."""
    table = Table(
        "format", "function", "constants: |g|, |x|, 1", "largest error / allowed", "at", "on", title=versions()
    )
    sound = True
    for key, entry in sorted(state.items()):
        kind, label = key.split("/")
        name, worst = max(entry["paths"].items(), key=lambda item: item[1]["ratio"])
        sound &= worst["ratio"] <= 1
        constants = ", ".join(f"{value:g}" for value in entry["constants"])
        mark = "" if worst["ratio"] <= 1 else " UNSOUND"
        table.add_row(kind, label, constants, f"{worst['ratio']:.3f}{mark}", f"{worst['at']:.9g}", name)
    console.print(table)
    return sound


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", metavar="FUNCTION")
    parser.add_argument("--formats", nargs="*", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--state", type=Path, default=Path("build/activation_accuracy.json"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    state, told = load(options.state), versions()
    wanted = [case for case in CASES if not options.only or case.label in options.only]
    asked = {f"{kind}/{case.label}": (kind, case.label) for kind in options.formats for case in wanted}
    constants = {key: list(vars(case_of(label).constants(kind)).values()) for key, (kind, label) in asked.items()}

    def is_known(key: str) -> bool:
        found = state.get(key)
        return found is not None and found["constants"] == constants[key] and found["versions"] == told

    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("measuring", total=len(asked))
        progress.advance(task, sum(is_known(key) for key in asked))
        for key, seconds, paths in results({key: asked[key] for key in asked if not is_known(key)}, options.jobs):
            progress.advance(task)
            state[key] = {"constants": constants[key], "versions": told, "seconds": seconds, "paths": paths}
            save(options.state, state)
    return 0 if show({key: state[key] for key in asked}, Console()) else 1


def case_of(label: str) -> Case:
    return next(case for case in CASES if case.label == label)


def results(asked: Mapping[str, tuple[str, str]], jobs: int) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """(key, seconds, what was measured), as they come."""
    if jobs == 1:
        yield from ((key, *timed(kind, label)) for key, (kind, label) in asked.items())
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(timed, kind, label): key for key, (kind, label) in asked.items()}
        yield from ((running[done], *done.result()) for done in as_completed(running))


def timed(kind: str, label: str) -> tuple[float, dict[str, Any]]:
    start = time.perf_counter()
    paths = run_case(case_of(label), kind)
    return round(time.perf_counter() - start, 1), paths


if __name__ == "__main__":
    sys.exit(main())
