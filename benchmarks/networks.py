"""The networks that mistakes are planted into: drawn at random, or trained."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.ports import KINDS, Legacy, PortSpec, activation
from fixtures.training import train

Array = np.ndarray

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"

ACTIVATIONS = {
    "tanh": 30, "sigmoid": 8, "relu": 10, "softsign": 5, "softplus": 5, "elu": 4, "selu": 4, "gelu": 5, "gelu_tanh": 3,
    "silu": 4, "mish": 3, "leaky_relu": 3, "leaky_relu(negative_slope=0.1)": 2, "elu(alpha=0.5)": 2, "relu6": 2,
    "hard_tanh": 2, "hard_sigmoid": 2, "hard_sigmoid_keras2": 2, "scaled_tanh": 2, "linear": 2,
}  # fmt: skip
"""Of hidden layers, by how many in a hundred networks have it."""
BOUNDED = {"tanh", "sigmoid", "softsign", "relu6", "hard_tanh", "hard_sigmoid", "hard_sigmoid_keras2", "scaled_tanh"}
OUTPUTS = {"linear": 60, "relu": 18, "sigmoid": 8, "tanh": 6, "softmax": 4, "exponential": 4}
DEPTHS = {1: 6, 2: 14, 3: 20, 4: 18, 5: 14, 6: 10, 8: 8, 12: 6, 20: 4}
WIDEST = {8: 20, 16: 25, 32: 24, 64: 20, 128: 8, 512: 3}
LARGEST = {"float64": 1e300, "float32": 1e36, "mixed_float16": 6e3, "float16": 6e3}


def draw_legacy(rng: np.random.Generator, **fixed: Any) -> Legacy:
    """A network of random shape: 1 to 20 layers, 1 to 512 units, any activation, magnitudes 1e-3 to 1e3.

    Args:
        rng: the source of randomness.
        **fixed: depth, width, activation, magnitude, scaling, rule, kind or last, where not to be drawn.
    """
    depth = fixed.get("depth", _weighted(rng, DEPTHS))
    widths = _widths(rng, depth, fixed.get("width", _weighted(rng, WIDEST)))
    hidden = fixed.get("activation", _weighted(rng, ACTIVATIONS))
    last = fixed.get("last", _weighted(rng, OUTPUTS))
    if last == "softmax" and widths[-1] < 2:
        last = "linear"
    magnitude = fixed.get("magnitude", _magnitude(rng, depth, hidden, last))
    kernels = [magnitude * rng.standard_normal((b, a)) / np.sqrt(a) for a, b in itertools.pairwise(widths)]
    biases = [0.3 * magnitude * rng.standard_normal(b) for b in widths[1:]]
    if last == "relu" and hidden in BOUNDED and rng.random() < 0.5:
        # Outputs that no input of the network can make negative: only the layer fed alone shows its relu.
        biases[-1] = 2 * np.abs(kernels[-1]).sum(axis=1)
    activations = (hidden,) * (depth - 1) + (last,)
    legacy = Legacy(tuple(kernels), tuple(biases), activations, None, None)
    drawn = str(rng.choice(list(KINDS))) if rng.random() < 0.12 else None
    kind = fixed.get("kind", drawn)
    if kind is not None and widths[0] > len(KINDS[kind]) and last != "softmax":
        return _physical(rng, legacy, kind)
    if not fixed.get("scaling", rng.random() < 0.7):
        return legacy
    rule = fixed.get("rule", str(rng.choice(["[-1,1]", "[0,1]", "mean-std"], p=[0.7, 0.15, 0.15])))
    norms = [_norm(rng, width, rule) for width in (widths[0], widths[-1])]
    return replace(legacy, norm_in=norms[0], norm_out=norms[1], rule=rule)


def _weighted(rng: np.random.Generator, weights: dict[Any, int]) -> Any:
    total = sum(weights.values())
    return list(weights)[int(rng.choice(len(weights), p=[weight / total for weight in weights.values()]))]


def _widths(rng: np.random.Generator, depth: int, widest: int) -> list[int]:
    widths = [int(rng.integers(1, widest + 1)) for _ in range(depth + 1)]
    return [max(2, widths[0])] * (depth + 1) if rng.random() < 0.4 else widths


def _magnitude(rng: np.random.Generator, depth: int, hidden: str, last: str) -> float:
    """1 for half of the networks; otherwise 1e-3 to 1e3, less where the layers would multiply it up."""
    if rng.random() < 0.5:
        return 1.0
    decades = 3.0 if hidden in BOUNDED else min(3.0, 15.0 / depth)
    return float(10 ** rng.uniform(-3, 0.3 if last == "exponential" else decades))


def _norm(rng: np.random.Generator, n: int, rule: str) -> Array:
    low, width = rng.normal(size=n), rng.uniform(0.5, 4, n)
    return np.stack([low, width if rule == "mean-std" else low + width], axis=1)


def _physical(rng: np.random.Generator, legacy: Legacy, kind: str) -> Legacy:
    """Cosines of angles and logarithms before, powers of ten after."""
    inputs, outputs = legacy.widths[0], legacy.widths[-1]
    low, high = rng.uniform(-3, -1, inputs), rng.uniform(-0.9, 0.5, inputs)
    angles = len(KINDS[kind])
    low[:angles], high[:angles] = rng.uniform(-0.9, 0.2, angles), rng.uniform(0.4, 1, angles)
    ends = np.stack([rng.uniform(-4, -2, outputs), rng.uniform(-1, 0, outputs)], axis=1)
    last = "linear" if legacy.activations[-1] == "exponential" else legacy.activations[-1]
    scale = max(1.0, float(np.abs(legacy.kernels[-1]).max()))
    kernels = (*legacy.kernels[:-1], legacy.kernels[-1] / scale)
    biases = (*legacy.biases[:-1], legacy.biases[-1] / scale)
    activations = (*legacy.activations[:-1], last)
    return replace(legacy, kernels=kernels, biases=biases, activations=activations,
                   norm_in=np.stack([low, high], axis=1), norm_out=ends, kind=kind)  # fmt: skip


# --- trained networks ---------------------------------------------------------------------------------------------


@cache
def trained() -> tuple[Legacy, ...]:
    """The readable networks of the fixtures, and a few trained here on a smooth function."""
    entries = json.loads((FIXTURES / "MANIFEST.json").read_text())["files"]
    found = [_fixture(entry) for entry in entries if entry.get("orientation") == "units-first"]
    plans = [
        ("relu", (6, 24, 24, 3)),
        ("softsign", (4, 16, 16, 16, 2)),
        ("sigmoid", (8, 20, 5)),
        ("tanh", (12, 64, 64, 64, 7)),
    ]
    return (*found, *(_train(seed, hidden, widths) for seed, (hidden, widths) in enumerate(plans)))


def _fixture(entry: dict[str, Any]) -> Legacy:
    with h5py.File(FIXTURES / entry["file"]) as file:
        groups = {name.lower(): file[name] for name in file}
        weights = groups["weights"]
        bias = groups["bias"] if "bias" in groups else groups["biases"]
        names = [f"Layer{number + 1}" for number in range(len(weights))]
        kernels = tuple(np.asarray(weights[name][:], np.float64) for name in names)
        biases = tuple(np.asarray(bias[name][:], np.float64).reshape(-1) for name in names)
        # Stored float32 ranges are exact in float64; scale and offset worked out in float32 would not be right.
        norms = [np.asarray(file[name][:], np.float64) if name in file else None for name in ("Norm_in", "Norm_out")]
    rule = "[-1,1]" if entry["scaling"] == "none" else entry["scaling"]
    kind = "aaNN" if entry["read"].get("kind") else None
    return Legacy(kernels, biases, tuple(entry["activations"]), norms[0], norms[1], rule, kind, entry["file"])


def _train(seed: int, hidden: str, widths: Sequence[int]) -> Legacy:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (2048, widths[0]))
    y = np.tanh(np.sin(3 * x) @ rng.standard_normal((widths[0], widths[-1])))
    layers = train(x, y, widths, (hidden,) * (len(widths) - 2) + ("linear",), seed=seed, steps=300)
    name = f"trained {hidden} {'-'.join(map(str, widths))}"
    norms = [_norm(rng, width, "[-1,1]") for width in (widths[0], widths[-1])]
    return Legacy(tuple(layer.weights.T for layer in layers), tuple(layer.bias for layer in layers),
                  tuple(layer.activation for layer in layers), norms[0], norms[1], name=name)  # fmt: skip


# --- dtypes ---------------------------------------------------------------------------------------------------------


def fits(legacy: Legacy, spec: PortSpec, dtype: str) -> bool:
    """Whether the legacy network's own values, on its own domain, can be held in a port of that dtype."""
    limit = LARGEST.get(dtype, 1e36)
    x = np.random.default_rng(0).uniform(-1, 1, (64, legacy.widths[0]))
    x = 10 * x if spec.before is None else x
    with np.errstate(all="ignore"):
        for layer in spec.layers:
            x = x @ layer.kernel + layer.bias
            largest = float(np.abs(x).max())
            function = activation(layer.activation)
            assert function is not None
            x = function(x)
            if not max(largest, float(np.abs(x).max()), float(np.abs(layer.kernel).max())) < limit:
                return False
    return True
