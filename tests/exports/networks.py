"""Networks whose arrays are in a file's layout, so that the reference runs on them and a mistake can be planted."""

from __future__ import annotations

import itertools

import h5py
import numpy as np

import porter

WIDTHS = (5, 6, 6, 4, 4, 4, 3)
ACTIVATIONS = ["tanh", "tanh", "softplus", "linear", "leaky_relu", "linear"]


def write_hdf5(path, widths=WIDTHS, seed=0, dtype="<f8"):
    """An OC-SMART file of that shape."""
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        file["Layers"] = np.array(widths, np.int16)
        for number, (inputs, units) in enumerate(itertools.pairwise(widths), start=1):
            file[f"Weights/Layer{number}"] = (rng.normal(size=(units, inputs)) / np.sqrt(inputs)).astype(dtype)
            file[f"Bias/Layer{number}"] = (0.3 * rng.normal(size=(units, 1))).astype(dtype)
        for name, width in (("Norm_in", widths[0]), ("Norm_out", widths[-1])):
            low = rng.normal(size=width)
            file[name] = np.stack([low, low + rng.uniform(0.5, 2, width)], axis=1).astype(dtype)
    return path


def small(folder, activation=ACTIVATIONS, **options):
    """Such a network, read."""
    return porter.read(write_hdf5(folder / "small_Lrc_aaNN.h5"), activation=activation, **options)


def with_transforms(folder, functions):
    """A network whose inputs go through these functions, one a column, on numbers that all of them take."""
    rng = np.random.default_rng(3)
    n = len(functions)
    arrays = {
        "W1": rng.normal(size=(n, 5)) / n,
        "b1": rng.normal(size=5),
        "W2": rng.normal(size=(5, 2)),
        "b2": np.ones(2),
    }
    np.savez(folder / "net.npz", low=np.full(n, 0.2), high=np.full(n, 1.5), **arrays)
    layer = '[[layers]]\nkernel = "W{0}"\nbias = "b{0}"\norientation = "inputs-first"\nactivation = "{1}"\n'
    scaling = '[scaling.input]\nminimum = "low"\nmaximum = "high"\nrule = "[0,1]"\n'
    told = f"[transforms]\ninput = {list(functions)!r}\n"
    recipe = folder / "net.toml"
    recipe.write_text("version = 1\n" + layer.format(1, "tanh") + layer.format(2, "linear") + scaling + told)
    return porter.read(folder / "net.npz", recipe=recipe)
