"""Hypothesis draws legacy networks of any shape and writes them as HDF5 in any legal layout."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hypothesis import strategies as st

Array = np.ndarray

GROUPS = [("Weights", "Bias"), ("weights", "biases"), ("W", "b"), ("kernel", "bias")]
SPELLINGS = ["Layer{}", "layer_{}", "dense_{}", "{}"]
PACKINGS: list[dict[str, Any]] = [
    {},
    {"chunks": True},
    {"compression": "gzip"},
    {"compression": "lzf", "shuffle": True},
]
STORED = ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"]
POLICIES = ["float32", "float64", "mixed_float16", "mixed_bfloat16"]
FUSED = (
    *("tanh", "relu", "sigmoid", "linear", "softsign", "softplus", "elu", "selu", "gelu", "silu", "mish"),
    *("leaky_relu", "hard_sigmoid", "hard_tanh", "relu6"),
)
COMPOSED = ("scaled_tanh", "hard_sigmoid_keras2", "gelu_tanh")


@dataclass(frozen=True)
class Drawn:
    """A network, and how its file is laid out.

    Attributes:
        kernels: (inputs, units) each, in the stored dtype.
        biases: (units,) each, in the stored dtype.
        activations: one name a layer.
        rule: of the scaling, or None where the file has none.
        norms: (n, 2) and (m, 2): minimum and maximum, or mean and standard deviation.
        layout: groups, spelling, packing, bias_shape, units_first, layers.
        options: what ``porter.read`` has to be told.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[str, ...]
    rule: str | None
    norms: tuple[Array, Array]
    layout: dict[str, Any] = field(repr=False)
    options: dict[str, Any] = field(repr=False)

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, then the units of each layer."""
        return (len(self.kernels[0]), *(len(bias) for bias in self.biases))

    @property
    def rows(self) -> list[str]:
        """Names of the steps, in order."""
        layers = [f"Layer{number + 1}" for number in range(len(self.kernels))]
        return layers if self.rule is None else ["Norm_in", *layers, "Norm_out"]

    def write(self, path: Path) -> Path:
        """The file."""
        layout = self.layout
        with h5py.File(path, "w") as file:
            for number, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True), start=1):
                name = layout["spelling"].format(number)
                stored = kernel.T if layout["units_first"] else kernel
                file.create_dataset(f"{layout['groups'][0]}/{name}", data=stored, **layout["packing"])
                shaped = bias.reshape(layout["bias_shape"])
                file.create_dataset(f"{layout['groups'][1]}/{name}", data=shaped, **layout["packing"])
            if layout["layers"]:
                file["Layers"] = np.array(self.widths, "i2")
            if self.rule is not None:
                file["Norm_in"], file["Norm_out"] = self.norms
        return path


@st.composite
def networks(draw: Any, activations: tuple[str, ...] = (*FUSED, *COMPOSED)) -> Drawn:
    """Depth 1 to 12, widths 1 to 64, any activation in any layer, any stored dtype, any magnitude, any layout."""
    widths = draw(_widths())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    stored = draw(st.sampled_from(STORED))
    magnitude = 10.0 ** draw(st.integers(-3, 3))
    kernels = [
        (magnitude * rng.standard_normal(pair) / np.sqrt(pair[0])).astype(stored) for pair in itertools.pairwise(widths)
    ]
    biases = [(magnitude * rng.normal(scale=0.3, size=units)).astype(stored) for units in widths[1:]]
    names = tuple(draw(st.lists(st.sampled_from(activations), min_size=len(kernels), max_size=len(kernels))))
    rule = draw(st.sampled_from([None, "[-1,1]", "[-1,1]", "[0,1]", "mean-std"]))
    units_first = draw(st.booleans())
    options: dict[str, Any] = {"activation": list(names)}
    if rule is not None and (rule != "[-1,1]" or draw(st.booleans())):
        options["scaling"] = rule
    if (not units_first and not _oblong(widths)) or draw(st.booleans()):
        options["orientation"] = "units-first" if units_first else "inputs-first"
    layout = {
        "groups": draw(st.sampled_from(GROUPS)),
        "spelling": draw(st.sampled_from(SPELLINGS)),
        "packing": draw(st.sampled_from(PACKINGS)),
        "bias_shape": draw(st.sampled_from([(-1,), (-1, 1), (1, -1)])),
        "layers": draw(st.booleans()),
        "units_first": units_first,
    }
    norms = _norm(rng, widths[0], rule), _norm(rng, widths[-1], rule)
    return Drawn(tuple(kernels), tuple(biases), names, rule, norms, layout, options)


@st.composite
def _widths(draw: Any) -> list[int]:
    """Mostly with a square layer, and often with several of one shape, where shapes prove nothing."""
    widths = draw(st.lists(st.integers(1, 64), min_size=2, max_size=13))
    start = draw(st.integers(0, len(widths) - 1))
    length = draw(st.integers(1, 4))
    return [widths[start] if start <= place < start + length else width for place, width in enumerate(widths)]


def _oblong(widths: list[int]) -> bool:
    return any(a != b for a, b in itertools.pairwise(widths))


def _norm(rng: np.random.Generator, width: int, rule: str | None) -> Array:
    """Minimum and maximum of each column, or mean and standard deviation."""
    low, spread = 3 * rng.standard_normal(width), rng.uniform(0.1, 5, width)
    return np.stack([low, spread if rule == "mean-std" else low + spread], axis=1)
