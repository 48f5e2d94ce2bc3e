"""Tables of entries: which one is looked up, and what rounding of the argument may make of it."""

from __future__ import annotations

import numpy as np
import pytest

from reference.activations import Activation
from reference.precision import FORMATS
from reference.rounding.functions import activation_error
from reference.rounding.spread import spread
from reference.table import is_table

RNG = np.random.default_rng(6)
VALUES = tuple(RNG.normal(size=37).tolist())
BELOW = Activation("table", {"first": -0.7, "last": 2.1, "values": VALUES})
NEAREST = Activation("table", {"first": -0.7, "last": 2.1, "values": VALUES, "nearest": 1})


def test_which_entry():
    small = {"first": 0.0, "last": 2.0, "values": (10.0, 20.0, 40.0)}
    x = np.array([-9.0, 0.0, 0.6, 1.4, 1.6, 2.0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(Activation("table", small)(x), [10, 10, 10, 20, 20, 40, 40, 10, 10])
    nearest = Activation("table", {**small, "nearest": 1})
    np.testing.assert_array_equal(nearest(x), [10, 10, 20, 20, 40, 40, 40, 10, 10])
    assert nearest(x.astype(np.float32)).dtype == np.float32
    assert str(nearest) == "table(first=0, last=2, 3 values, nearest=1)"
    assert not is_table(0.0, 1.0, [1.0]) and not is_table(1.0, 1.0, [1.0, 2.0]) and not is_table(0, 1, [1.0, np.nan])


@pytest.mark.parametrize("table", [BELOW, NEAREST], ids=["below", "nearest"])
def test_the_spread_is_the_largest_difference_to_an_entry_within_reach(table):
    z = RNG.uniform(-1, 3, 300)
    radius = 10.0 ** RNG.uniform(-4, 0.5, 300)
    inside = z + np.linspace(-1, 1, 20_001)[:, None] * radius
    moved = np.max(np.abs(table(inside) - table(z)), axis=0)
    bound = spread(table, z, table(z), radius)
    assert (moved <= bound).all()
    assert np.mean(moved == bound) > 0.95  # all but what 20,001 arguments miss at an end
    assert np.isinf(spread(table, z, table(z), np.full(300, np.inf))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("table", [BELOW, NEAREST], ids=["below", "nearest"])
def test_a_place_found_in_any_precision_is_within_the_bound_and_another_entry_is_not(table, dtype):
    """At edges above all, with the step as a number or as a factor; negative control: the next entry in a middle."""
    kind, first, last = FORMATS[np.dtype(dtype).name], dtype(-0.7), dtype(2.1)
    step = 2.8 / 36
    half = 0.5 * table.parameters.get("nearest", 0)
    edges = -0.7 + step * (np.arange(37) + half)
    z = np.concatenate([edges, np.nextafter(edges, 9), np.nextafter(edges, -9), RNG.uniform(-1, 3, 2000)])
    fed = z.astype(dtype)
    allowed = activation_error(table, z, table(z), np.abs(fed - z), kind, FORMATS["float64"])
    for place in ((fed - first) / dtype((last - first) / dtype(36)), (fed - first) * (dtype(36) / (last - first))):
        found = np.array(VALUES, dtype)[np.clip(np.floor(place + dtype(half)), 0, 36).astype(int)]
        assert (np.abs(found - table(z)) <= allowed).all()
    middles = -0.7 + step * (np.arange(36) + (0.0 if half else 0.5))
    bound = activation_error(table, middles, table(middles), np.zeros(36), kind, FORMATS["float64"])
    assert (np.abs(np.diff(VALUES)) > 100 * bound).all()
