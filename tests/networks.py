"""Small networks in canonical form, for tests that need no file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from porter.network import Claim, Dense, Layer, Network, Scaling, Transform
from porter.network.weight_file import WeightFile
from reference.activations import Activation

SOURCE = WeightFile(Path("folder/small.h5"), "oc-smart", "ab" * 32, {})


def dense_layers(
    widths: Sequence[int], activations: Sequence[str | Activation], seed: int = 0, dtype: Any = np.float64
) -> tuple[Dense, ...]:
    rng = np.random.default_rng(seed)
    layers = []
    for number, (inputs, units) in enumerate(itertools.pairwise(widths)):
        activation = activations[number]
        layers.append(
            Dense(
                f"Layer{number + 1}",
                (rng.normal(size=(inputs, units)) / np.sqrt(inputs)).astype(dtype),
                (0.1 * rng.normal(size=units)).astype(dtype),
                activation if isinstance(activation, Activation) else Activation(activation),
            )
        )
    return tuple(layers)


def scaling(name: str, width: int, seed: int = 0) -> Scaling:
    rng = np.random.default_rng([seed, len(name)])
    low = rng.normal(size=width)
    high = low + rng.uniform(0.5, 3, size=width)
    stored = np.stack([low, high], axis=1)
    half, centre = (high - low) / 2, (high + low) / 2
    if name == "Norm_out":
        return Scaling(name, "[-1,1]", stored, half, centre)
    return Scaling(name, "[-1,1]", stored, 1 / half, -centre / half)


def small_network(*, activation: str = "tanh", output: str = "linear", physical: bool = False) -> Network:
    layers: tuple[Layer, ...] = (
        scaling("Norm_in", 5),
        *dense_layers((5, 6, 6, 3), (activation, activation, output)),
        scaling("Norm_out", 3),
    )
    if physical:
        functions = ("cos_degrees", "cos_degrees", "log10", "identity", "log10")
        layers = (Transform("Transform_in", functions), *layers, Transform("Transform_out", ("pow10",) * 3))
    claims = (Claim("Layer2", "orientation", "units-first", "assumed", "square; golden samples would prove it"),)
    return Network("small", "oc-smart", SOURCE, layers, claims)


def forward(layers: Sequence[Layer], x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The canonical layers in NumPy, in float64, one after the other."""
    for layer in layers:
        x = step(layer, x)
    return x


def step(layer: Layer, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if isinstance(layer, Dense):
        bias = 0 if layer.bias is None else layer.bias.astype(np.float64)
        return layer.activation(x @ layer.kernel.astype(np.float64) + bias)
    if isinstance(layer, Scaling):
        return layer.scale * x + layer.offset
    columns = [TRANSFORMS[name](x[:, index]) for index, name in enumerate(layer.functions)]
    return np.stack(columns, axis=1)


TRANSFORMS = {
    "identity": lambda x: x,
    "cos_degrees": lambda x: np.cos(np.pi / 180 * x),
    "log10": np.log10,
    "ln": np.log,
    "pow10": lambda x: 10.0**x,
    "exp": np.exp,
}
