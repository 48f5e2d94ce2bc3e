"""How often the weights of trained networks suggest the right orientation of a square kernel.

    python -m benchmarks.orientation_hints

The networks are those that other people trained (folder named by PORTER_REAL, or ../shared/real) and the fixtures. The
numbers go into ``porter.identification.unsampled``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import porter
from porter.identification.pool import Pool
from porter.identification.unsampled import likely_orientations
from porter.identification.widths import every_chain
from tests.conftest import real_folder

ROOT = Path(__file__).resolve().parent.parent


def networks() -> Iterator[porter.Network]:
    """Networks of dense layers that are read without a recipe."""
    real = real_folder()
    files = [*real.glob("oc_smart/**/*.h5"), *real.glob("rrtmgp_nn/*.nc"), *real.glob("c2rcc_ffbp/*.net")]
    for file in sorted([*files, *ROOT.glob("fixtures/*.h5")]):
        try:
            yield porter.read(file)
        except porter.PorterError:
            continue


def main() -> None:
    """Print how many were right, of how many, in how many cases."""
    right = told = cases = 0
    seen: set[bytes] = set()
    for network in networks():
        layers = network.dense_layers
        if not any(layer.kernel.shape[0] == layer.kernel.shape[1] > 3 for layer in layers):
            continue
        digest = layers[0].kernel.tobytes()
        if digest in seen:
            continue
        seen.add(digest)
        arrays: dict[str, np.ndarray] = {}
        for number, layer in enumerate(layers, start=1):
            arrays[f"W{number}"] = np.asarray(layer.kernel)  # inputs-first: what is to be found
            if layer.bias is not None:
                arrays[f"b{number}"] = np.asarray(layer.bias)
        chains = [chain for chain in every_chain(Pool.of(arrays)) if len(chain.slots) == len(layers)]
        if not chains:
            continue
        for place, (orientation, _) in likely_orientations(Pool.of(arrays), chains[0]).items():
            if chains[0].slots[place].inputs > 3:
                cases += 1
                told += orientation is not None
                right += orientation == "inputs-first"
    print(f"right {right}, told {told}, cases {cases}")


if __name__ == "__main__":
    main()
