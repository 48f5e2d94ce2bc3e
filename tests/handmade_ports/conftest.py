"""Two networks that ports are made of by hand, and what judges those."""

from __future__ import annotations

import pytest

import porter
from tests.handmade import read_legacy

MIXED = "mixed_7-20-16-12-10-7"
MIXED_ACTIVATIONS = ["tanh", "relu", "sigmoid", "softsign", "linear"]


@pytest.fixture(scope="module")
def square(fixtures):
    """Four layers of 7 x 7: no shape helps to pair them."""
    return read_legacy(fixtures / "square_7-7-7-7-7.h5")


@pytest.fixture(scope="module")
def mixed(fixtures):
    """Another activation in every layer."""
    return read_legacy(fixtures / f"{MIXED}.h5", MIXED_ACTIVATIONS)


@pytest.fixture
def judge(fixtures):
    """Verify a port of the square network."""

    def verify(model, **options):
        return porter.verify(fixtures / "square_7-7-7-7-7.h5", model, search=False, rows=200, **options)

    return verify


@pytest.fixture
def judge_mixed(fixtures):
    """Verify a port of the network of mixed activations."""

    def verify(model, **options):
        path = fixtures / f"{MIXED}.h5"
        return porter.verify(path, model, activation=MIXED_ACTIVATIONS, search=False, rows=200, **options)

    return verify
