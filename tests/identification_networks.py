"""Random networks written in random layouts, and what their original software gave."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.network.activations import parse_activation

Array = NDArray[Any]

HIDDEN = (
    "tanh", "sigmoid", "relu", "softsign", "elu", "softplus", "leaky_relu(negative_slope=0.01)", "scaled_tanh", "silu",
    "selu",
)  # fmt: skip
OUTPUT = ("linear", "linear", "linear", "linear", "sigmoid", "tanh", "relu")
BIAS_PLACES = ("first row", "last row", "first column", "last column")


@dataclass(frozen=True)
class Drawn:
    """A network in a layout.

    Attributes:
        arrays: as they lie in the file.
        forward: the original software, (rows, n) to (rows, m).
        draw: (rows, n) inputs as in production.
        words: what was drawn, for messages.
    """

    arrays: dict[str, Array]
    forward: Callable[[Array], Array]
    draw: Callable[[int], Array]
    words: str


def draw_network(seed: int) -> Drawn:
    """A network of one to four layers, by anybody's conventions."""
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(1, 5))
    widths = [int(rng.integers(2, 13)) for _ in range(depth + 1)]
    if depth > 1 and rng.random() < 0.4:
        widths[1:-1] = [widths[1]] * (depth - 1)
    if rng.random() < 0.25:
        widths[0] = widths[1]
    shared = str(rng.choice(HIDDEN))
    names = [shared if rng.random() < 0.85 else str(rng.choice(HIDDEN)) for _ in range(depth - 1)]
    names.append(str(rng.choice(OUTPUT)))
    dtype = np.dtype(rng.choice(["f8", "f8", "f4"]))
    kernels = [rng.normal(size=(a, b)) * 1.2 / np.sqrt(a) for a, b in itertools.pairwise(widths)]
    biases: list[Any] = [rng.normal(size=b) * 0.6 for b in widths[1:]]
    if rng.random() < 0.1:
        biases = [None] * depth
    kernels = [kernel.astype(dtype) for kernel in kernels]
    biases = [None if bias is None else bias.astype(dtype) for bias in biases]
    into, before, told_in = _end(rng, widths[0], "in")
    out, after, told_out = _end(rng, widths[-1], "out")
    power = bool(rng.random() < 0.15) and names[-1] in ("linear", "tanh", "sigmoid")
    logs = bool(rng.random() < 0.15) and bool(before)
    arrays, told = _layout(rng, kernels, biases)
    arrays |= before | after
    keys = list(arrays)
    arrays = {key: arrays[key] for key in rng.permutation(keys)} if rng.random() < 0.5 else arrays

    def forward(x: Array) -> Array:
        values = into((np.log10(x) if logs else x).astype(dtype), False)
        for kernel, bias, name in zip(kernels, biases, names, strict=True):
            z = values @ kernel
            values = parse_activation(name)(z if bias is None else z + bias)
        y = out(values, True)
        return np.asarray(np.power(np.asarray(10, y.dtype), y) if power else y)

    def draw(rows: int) -> Array:
        t = rng.uniform(-1, 1, (rows, widths[0]))
        x = into(t, True, wide=True)
        return np.asarray(np.power(10.0, x) if logs else x)

    words = f"{widths} {names} {dtype} in:{told_in} out:{told_out} log:{logs} pow:{power} {told}"
    return Drawn(arrays, forward, draw, words)


def _end(rng: np.random.Generator, width: int, end: str) -> tuple[Any, dict[str, Array], str]:
    """Scaling of an end: a function of values and direction, its arrays, and what it is."""
    kind = str(rng.choice(["none", "table", "vectors", "mean", "gain", "table01"]))
    low = rng.normal(size=width) * 0.3
    high = low + rng.uniform(0.5, 1.5, width)
    if kind == "none":
        return (lambda v, back, wide=False: v), {}, kind
    if kind in ("table", "vectors", "table01"):
        a, b = (0.0, 1.0) if kind == "table01" else (-1.0, 1.0)
        names = {"vectors": {f"{end}_min": low, f"{end}_max": high}}
        arrays = names.get(kind, {f"ranges_{end}": np.stack([low, high], axis=1)})

        def ranged(v: Array, back: bool, wide: bool = False) -> Array:
            lo, hi = (low, high) if wide else (low.astype(v.dtype), high.astype(v.dtype))
            if wide:
                return np.asarray((v + 1) / 2 * (hi - lo) + lo)
            return np.asarray((v - a) / (b - a) * (hi - lo) + lo if back else (v - lo) / (hi - lo) * (b - a) + a)

        return ranged, arrays, kind
    spread = high - low
    stored = {f"{end}_mean": low, f"{end}_std": spread}
    stored = stored if kind == "mean" else {f"{end}_offset": low, f"{end}_gain": 1 / spread}
    divisor = spread if kind == "mean" else 1 / stored[f"{end}_gain"]

    def shifted(v: Array, back: bool, wide: bool = False) -> Array:
        mean, width_ = (low, divisor) if wide else (low.astype(v.dtype), divisor.astype(v.dtype))
        if back or wide:
            return np.asarray(v * width_ + mean)
        return np.asarray((v - mean) / width_)

    return shifted, stored, kind


def _layout(rng: np.random.Generator, kernels: list[Array], biases: list[Any]) -> tuple[dict[str, Array], str]:
    """The arrays under names of some style, in some orientation and order, and what was chosen."""
    style, arrays, told = str(rng.choice(["W", "coefs", "torch", "plain", "group"])), {}, []
    units_first, within = bool(rng.random() < 0.5), rng.random() < 0.15
    flat, fortran = rng.random() < 0.15, rng.random() < 0.12
    numbers = rng.permutation(2 * len(kernels)) if style == "plain" and rng.random() < 0.4 else None
    for place, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        matrix, how = kernel, "inputs-first"
        if within and bias is not None:
            first = rng.random() < 0.5
            matrix = np.concatenate([bias[None], kernel] if first else [kernel, bias[None]])
        if units_first:
            matrix, how = matrix.T, "units-first"
        if fortran and not within:
            matrix = np.ascontiguousarray(matrix).ravel(order="F").reshape(matrix.shape)
        matrix = np.ascontiguousarray(matrix)
        stored = matrix.reshape(-1) if flat else matrix
        arrays[_name(style, place, "kernel", numbers)] = stored
        if bias is not None and not within:
            arrays[_name(style, place, "bias", numbers)] = bias[:, None] if rng.random() < 0.2 else bias
        told.append(how)
    return arrays, f"{style} {told[0]} within:{bool(within)} flat:{bool(flat)} F:{bool(fortran)} {numbers is not None}"


def _name(style: str, place: int, part: str, numbers: Array | None) -> str:
    index = 2 * place + (part == "bias")
    return {
        "W": f"{'W' if part == 'kernel' else 'b'}{place + 1}",
        "coefs": f"{'coefs' if part == 'kernel' else 'intercepts'}_{place}",
        "torch": f"net.{2 * place}.{'weight' if part == 'kernel' else 'bias'}",
        "plain": f"arr_{index if numbers is None else int(numbers[index])}",
        "group": f"model/layer_{place + 1}/{'kernel' if part == 'kernel' else 'bias'}",
    }[style]
