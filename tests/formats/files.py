"""Networks written to HDF5 in any legal layout."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def kernels_and_biases(widths: Sequence[int], seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Canonical kernels (inputs, units) and biases (units,) in float64."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(widths))
    return [rng.normal(size=pair) for pair in pairs], [rng.normal(size=units) for _, units in pairs]


def write(
    path: Path,
    widths: Sequence[int] = (3, 4, 2),
    *,
    groups: tuple[str, str] = ("Weights", "Bias"),
    spell: Callable[[int], str] = "Layer{}".format,
    layers: bool = True,
    norms: bool = True,
    spoil: Callable[[h5py.File], Any] | None = None,
) -> Path:
    """A sound network of the family, units first, spoilt at will."""
    kernels, biases = kernels_and_biases(widths)
    with h5py.File(path, "w") as file:
        for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
            file[f"{groups[0]}/{spell(number)}"] = kernel.T
            file[f"{groups[1]}/{spell(number)}"] = bias.reshape(-1, 1)
        if layers:
            file["Layers"] = np.array(widths, "i2")
        if norms:
            file["Norm_in"] = np.tile([-1.0, 3.0], (widths[0], 1))
            file["Norm_out"] = np.tile([2.0, 4.0], (widths[-1], 1))
        if spoil is not None:
            spoil(file)
    return path


def replace(name: str, value: Any) -> Callable[[h5py.File], None]:
    """Another value, or another object, under the same name."""

    def spoil(file: h5py.File) -> None:
        del file[name]
        if value is not None:
            file[name] = value

    return spoil
