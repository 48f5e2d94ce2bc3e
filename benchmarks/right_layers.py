"""Right ports of single layers against their bounds: every kind, format and way to run, with numbers of every size.

    python -m benchmarks.right_layers [--seeds 20] [--only Conv LSTM] [--formats float64 bfloat16] [--modes eager xla]

Each layer is drawn with kernels scaled by 1e-6 to 1e3 (1e-45 to 1e-36 now and then), biases of 1e-3 to 1e3, inputs of
1e-3 to 1e3, written as Keras 2 wrote it, read, built in each format, and run eagerly, as a graph and by XLA. Prints
the largest error over allowed error of each, the middle one, and how many elements no bound is known for. Exit status
1 where a bound does not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console

import porter
from benchmarks.activation_accuracy import compilers, versions
from benchmarks.keras_networks import ACTIVATIONS, LegacyKeras, Maker
from porter.examination.compare import Comparison, merge_comparisons
from porter.examination.judging import compare_step
from porter.formats.programs import build_program
from porter.ports.keras.graph_model import pairs
from porter.ports.runtime import current_runtime
from reference.precision import round_to
from tests.keras_legacy.files import layer

Array = np.ndarray
FORMATS = ("float64", "float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
ROWS = 6


def convolution(dims: int, **config: Any) -> Callable[[Maker], None]:
    return lambda m: _convolution(m, dims, **config)


def _convolution(m: Maker, dims: int, **config: Any) -> None:
    kernel = {"kernel": m.normal(*[2, 3, 2][:dims], m.shape[-1], 5), "bias": m.bias(5)}
    ones = [1] * dims
    settings = {"strides": ones, "padding": "same", "dilation_rate": ones, "data_format": "channels_last", **config}
    m.add(f"Conv{dims}D", "layer_1", kernel, filters=5, kernel_size=[2, 3, 2][:dims], use_bias=True,
          activation=m.activation(), **settings)  # fmt: skip


def transposed(dims: int) -> Callable[[Maker], None]:
    def add(m: Maker) -> None:
        kernel = {"kernel": m.normal(*[3, 2, 2][:dims], 4, m.shape[-1]), "bias": m.bias(4)}
        m.add(f"Conv{dims}DTranspose", "layer_1", kernel, filters=4, kernel_size=[3, 2, 2][:dims], strides=[2] * dims,
              padding="valid", data_format="channels_last", use_bias=True, activation=m.activation())  # fmt: skip

    return add


def depthwise(m: Maker) -> None:
    kernel = {"depthwise_kernel": m.normal(3, 2, m.shape[-1], 2), "bias": m.bias(2 * m.shape[-1])}
    m.add("DepthwiseConv2D", "layer_1", kernel, kernel_size=[3, 2], depth_multiplier=2, strides=[1, 1], padding="same",
          data_format="channels_last", use_bias=True, activation=m.activation())  # fmt: skip


def separable(dims: int) -> Callable[[Maker], None]:
    def add(m: Maker) -> None:
        window, channels, ones = [3, 2][:dims], m.shape[-1], [1] * dims
        kernel = {"depthwise_kernel": m.normal(*window, channels, 2),
                  "pointwise_kernel": m.normal(*ones, 2 * channels, 5), "bias": m.bias(5)}  # fmt: skip
        m.add(f"SeparableConv{dims}D", "layer_1", kernel, filters=5, kernel_size=window, depth_multiplier=2,
              strides=ones, padding="same", data_format="channels_last", use_bias=True,
              activation=m.activation())  # fmt: skip

    return add


def local(m: Maker) -> None:
    steps = m.shape[0] - 2
    kernel = {"kernel": m.normal(steps, 3 * m.shape[-1], 4), "bias": m.rng.normal(size=(steps, 4))}
    m.add("LocallyConnected1D", "layer_1", kernel, filters=4, kernel_size=[3], strides=[1], padding="valid",
          data_format="channels_last", use_bias=True, activation=m.activation("linear", "relu", "tanh"))  # fmt: skip


def dense(m: Maker) -> None:
    m.dense("layer_1", m.shape[-1], 7, m.activation(*ACTIVATIONS, "gelu", "swish", "softmax", "exponential"))


def recurrent(kind: str, **config: Any) -> Callable[[Maker], None]:
    return lambda m: _ignore(m.recurrent(kind, "layer_1", m.shape[-1], 4, **config))


def bidirectional(m: Maker) -> None:
    m.bidirectional("LSTM", "layer_1", m.shape[-1], 3, return_sequences=True)


def film(m: Maker) -> None:
    arrays = {"kernel": m.normal(3, 3, m.shape[-1], 12), "recurrent_kernel": m.normal(3, 3, 3, 12), "bias": m.bias(12)}
    m.add("ConvLSTM2D", "layer_1", arrays, filters=3, kernel_size=[3, 3], strides=[1, 1], padding="same",
          data_format="channels_last", dilation_rate=[1, 1], activation="tanh", recurrent_activation="sigmoid",
          use_bias=True, return_sequences=True, go_backwards=False)  # fmt: skip


def norm(kind: str) -> Callable[[Maker], None]:
    return lambda m: _ignore(m.norm("layer_1", m.shape[-1], kind))


def plain(kind: str, **config: Any) -> Callable[[Maker], None]:
    return lambda m: _ignore(m.add(kind, "layer_1", **config))


def prelu(m: Maker) -> None:
    m.add("PReLU", "layer_1", {"alpha": m.normal(1, m.shape[-1])}, shared_axes=[1])


def each(m: Maker) -> None:
    inner = layer("Dense", "inner", units=4, activation=m.activation(), use_bias=True)
    m.add("TimeDistributed", "layer_1", {"kernel": m.normal(m.shape[-1], 4), "bias": m.bias(4)}, layer=inner)


def _ignore(_: Any) -> None:
    return None


KINDS: Mapping[str, tuple[tuple[int, ...], Callable[[Maker], None]]] = {
    "Dense": ((9,), dense),
    "Dense on sequences": ((5, 9), dense),
    "TimeDistributed": ((5, 3), each),
    "Conv1D": ((9, 4), convolution(1, padding="causal")),
    "Conv2D": ((6, 5, 3), convolution(2)),
    "Conv2D dilated": ((7, 6, 3), convolution(2, dilation_rate=[2, 2])),
    "Conv3D": ((5, 4, 4, 2), convolution(3)),
    "DepthwiseConv2D": ((6, 5, 3), depthwise),
    "SeparableConv1D": ((7, 3), separable(1)),
    "SeparableConv2D": ((6, 5, 3), separable(2)),
    "Conv2DTranspose": ((4, 3, 3), transposed(2)),
    "Conv3DTranspose": ((3, 3, 2, 2), transposed(3)),
    "LocallyConnected1D": ((7, 3), local),
    "SimpleRNN": ((3, 4), recurrent("SimpleRNN")),
    "LSTM": ((3, 4), recurrent("LSTM", return_sequences=True)),
    "GRU": ((3, 4), recurrent("GRU", reset_after=True)),
    "GRU, reset before": ((3, 4), recurrent("GRU", reset_after=False)),
    "Bidirectional": ((3, 3), bidirectional),
    "ConvLSTM2D": ((2, 4, 4, 2), film),
    "BatchNormalization": ((8,), norm("BatchNormalization")),
    "BatchNormalization of images": ((4, 4, 3), norm("BatchNormalization")),
    "LayerNormalization": ((8,), norm("LayerNormalization")),
    "AveragePooling2D": ((6, 5, 3), plain("AveragePooling2D", pool_size=[3, 2], strides=[2, 1], padding="same",
                                          data_format="channels_last")),
    "GlobalAveragePooling1D": ((9, 3), plain("GlobalAveragePooling1D")),
    "PReLU": ((5, 3), prelu),
    "LeakyReLU": ((8,), plain("LeakyReLU", alpha=0.3)),
    "ELU": ((8,), plain("ELU", alpha=0.7)),
    "Softmax": ((8,), plain("Softmax", axis=-1)),
    "ReLU": ((8,), plain("ReLU", max_value=6.0, negative_slope=0.1, threshold=0.3)),
    "UpSampling2D": ((4, 4, 2), plain("UpSampling2D", size=[2, 3], interpolation="bilinear",
                                      data_format="channels_last")),
}  # fmt: skip


def draw(kind: str, seed: int) -> LegacyKeras:
    """A network of that one layer, its arrays of random sizes."""
    rng = np.random.default_rng([seed, len(kind)])
    shape, add = KINDS[kind]
    maker = Maker(rng, shape)
    add(maker)
    for arrays in maker.weights.values():
        for name in arrays:
            arrays[name] = sized(arrays[name], name, seed, rng)
    return maker.chain(kind)


def sized(array: Array, name: str, seed: int, rng: np.random.Generator) -> Array:
    """The array as it is for every fourth seed, else of another size; subnormal numbers among them now and then."""
    if seed % 4 == 0:
        return array
    size = 10 ** rng.uniform(-3, 3) if "bias" in name or "beta" in name else 10 ** rng.uniform(-6, 3)
    if seed % 4 == 3 and "variance" not in name:
        size = 10 ** rng.uniform(-45, -36) if rng.random() < 0.3 else size
        few = rng.random(array.shape) < 0.2
        return (array * np.where(few, size * 10.0 ** rng.uniform(-8, 0), size)).astype(np.float32)
    return (array * size).astype(np.float32)


def ways(model: Any, tensors: Mapping[str, Any]) -> Mapping[str, Callable[[Any], list[Array]]]:
    """The port with the tensors of every step as outputs, by the way in which it is run."""
    every = keras.Function(model.inputs, list(tensors.values()))
    made = {"eager": every, **{name: make(every) for name, make in compilers().items()}}

    def run(each: Callable[[Any], Any]) -> Callable[[Any], list[Array]]:
        def outputs(x: Any) -> list[Array]:
            return [np.asarray(keras.ops.convert_to_numpy(one)) for one in keras.tree.flatten(each([x]))]

        return outputs

    return {name: run(each) for name, each in made.items()}


@dataclass
class Seen:
    """What was seen of one kind of layer in one format, run one way.

    Attributes:
        ratios: the largest error over allowed error, one a layer.
        unbounded: elements without a bound, of all.
        elements: all of them.
        worst: where the largest was.
    """

    ratios: list[float] = field(default_factory=list)
    unbounded: int = 0
    elements: int = 0
    worst: str = ""


def measure(kind: str, seed: int, form: str, modes: Sequence[str], path: Path) -> Iterator[tuple[str, Comparison]]:
    """(way to run, comparison) of one layer."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 10 ** rng.uniform(-3, 1 if "float16" in form else 3), (ROWS, *KINDS[kind][0]))
    x[0] = 0
    yield from compared(draw(kind, seed), x, form, modes, path)


def compared(
    legacy: LegacyKeras,
    x: Array,
    form: str,
    modes: Sequence[str],
    path: Path,
    change: Callable[[Any], Any] = lambda model: None,
) -> Iterator[tuple[str, Comparison]]:
    """(way to run, comparison) of every step of a network with the port that is built of it.

    Args:
        legacy: of one input.
        x: (rows, ...) that input.
        form: a dtype policy.
        modes: ways to run, of ``ways``.
        path: where the file is written.
        change: what is done to the port before it is run.
    """
    network = porter.read(legacy.write(path))
    model, program = porter.build(network, dtype=form), build_program(network)
    change(model)
    steps = {step.name for step in program.steps}
    tensors = {name: tensor for name, tensor in pairs(network, model).items() if name in steps}
    policy = keras.DTypePolicy(form)
    precision = current_runtime().precision(policy.compute_dtype, policy.variable_dtype)
    fed = keras.ops.cast(keras.ops.convert_to_tensor(x), model.inputs[0].dtype)
    given = round_to(np.asarray(x, np.float64), str(model.inputs[0].dtype))
    for mode, run in ways(model, tensors).items():
        if mode in modes:
            values = {program.inputs[0]: given, **dict(zip(tensors, run(fed), strict=True))}
            wide = {name: np.asarray(value).astype(np.float64) for name, value in values.items()}
            yield (
                mode,
                merge_comparisons(
                    compare_step(step, tuple(wide[name] for name in step.inputs), wide[step.name], precision, "rows")
                    for step in program.steps
                ),
            )


def main() -> int:
    """Draw, measure, print; 1 where a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[], help="kinds of layers, by a part of their names")
    parser.add_argument("--formats", nargs="*", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--modes", nargs="*", default=["eager", "graph", "xla"])
    options = parser.parse_args()
    console, holds = Console(width=220), True
    console.print(versions())
    with tempfile.TemporaryDirectory() as folder:
        for kind in (name for name in KINDS if not options.only or any(part in name for part in options.only)):
            for form in options.formats:
                holds &= show(kind, form, *every(kind, form, options, Path(folder) / "layer.h5"), console)
    return 0 if holds else 1


def every(kind: str, form: str, options: argparse.Namespace, path: Path) -> tuple[dict[str, Seen], str]:
    """What was seen of one kind of layer in one format, by the way to run it; and why not, where it cannot be."""
    seen: dict[str, Seen] = defaultdict(Seen)
    for seed in range(options.seeds):
        try:
            for mode, found in measure(kind, seed, form, options.modes, path):
                note(seen[mode], found, seed)
        except Exception as error:  # a layer that Keras does not have in a format
            return seen, f"{type(error).__name__}: {str(error).splitlines()[0][:90]}"
        with suppress(AttributeError):
            keras.backend.clear_session()
    return seen, ""


def note(seen: Seen, found: Comparison, seed: int) -> None:
    if found.ratio > max(seen.ratios, default=0.0):
        seen.worst = f"seed {seed}, {found.where}: {found.actual:.9g} for {found.expected:.9g}, {found.allowed:.3g}"
    seen.ratios.append(found.ratio)
    seen.unbounded += found.unbounded
    seen.elements += found.elements + found.unbounded


def show(kind: str, form: str, seen: Mapping[str, Seen], refused: str, console: Console) -> bool:
    """Print a line for each way to run; whether every bound holds."""
    for mode, one in seen.items():
        over = sum(ratio > 1 for ratio in one.ratios)
        console.print(
            f"{kind}, {form}, {mode}: {len(one.ratios)} layers, {over} over; largest error / allowed "
            f"{max(one.ratios):.3f}, median {np.median(one.ratios):.3f}; no bound {one.unbounded / one.elements:.1%}"
            f"{'; ' + one.worst if over else ''}",
            soft_wrap=True,
        )
    if refused:
        console.print(f"{kind}, {form}: {refused}", soft_wrap=True)
    return all(ratio <= 1 for one in seen.values() for ratio in one.ratios)


if __name__ == "__main__":
    sys.exit(main())
