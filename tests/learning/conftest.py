"""What the tests of learning share: a small network, and data of the bio-optical model for it."""

from __future__ import annotations

import sys

import numpy as np
import pytest


@pytest.fixture(scope="session")
def optics(root):
    """The forward model that the fixtures' networks are trained on."""
    sys.path.insert(0, str(root / "fixtures"))
    try:
        import bio_optics
    finally:
        sys.path.pop(0)
    return bio_optics


@pytest.fixture(scope="session")
def matchups(optics):
    """Rows of water of a regime of its own, with noise: what an inherited network has to learn."""

    def draw(rows=600, seed=7, shift=0.15, noise=0.01):
        rng = np.random.default_rng(seed)
        low, high = optics.INPUT_RANGE.T
        x = low + (high - low) * (0.2 + 0.6 * rng.random((rows, len(low))))
        y = optics.log_reflectance(x) + shift * (x[:, [1]] + 1.5) + noise * rng.standard_normal((rows, 7))
        return x, y

    return draw


@pytest.fixture(scope="session")
def mixed(fixtures):
    """The smallest fixture with several hidden layers, one activation each."""
    import porter

    return porter.read(
        fixtures / "mixed_7-20-16-12-10-7.h5", activation=["tanh", "relu", "sigmoid", "softsign", "linear"]
    )
