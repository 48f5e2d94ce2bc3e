"""Hidden units in another order or of another sign, made up for in the next layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from porter.examination.suspect import Stored
from porter.examination.units import Gauge, apply_gauges, match_gauges
from tests.diagnosis.suspects import block, steps


def port(file, gauges, compensated=True):
    """Blocks of the file's layers, the units of some in another order and sign."""
    blocks, entering = [], None
    for step in file:
        layer = Stored.of(step)
        kernel, bias = layer.kernel, layer.bias
        if entering is not None and compensated:
            kernel = kernel[entering.order] * entering.sign[:, None]
        leaving = gauges.get(step.name)
        if leaving is not None:
            kernel, bias = kernel[:, leaving.order] * leaving.sign, bias[leaving.order] * leaving.sign
        blocks.append(block(kernel, bias, layer.activation))
        entering = leaving
    return blocks


def gauge(seed, units, signs=True):
    rng = np.random.default_rng(seed)
    return Gauge(rng.permutation(units), rng.choice([-1.0, 1.0], units) if signs else np.ones(units))


@given(st.integers(0, 500), st.sampled_from(["tanh", "linear", "softsign", "hard_tanh"]))
def test_gauges_are_found_and_applied(seed, activation):
    file = steps([(3, 5), (5, 4), (4, 2)], activation, seed)
    wanted = {"Layer1": gauge(seed, 5), "Layer2": gauge(seed + 1, 4)}
    blocks = port(file, wanted)
    found = match_gauges(file, blocks)
    assert set(found) == {name for name, one in wanted.items() if not one.is_identity}
    x = np.random.default_rng(seed).normal(size=(6, 3))
    for step, made in zip(apply_gauges(file, found), blocks, strict=True):
        y = step(x).outputs
        assert np.allclose(y, made.run(x), rtol=1e-12, atol=1e-12)
        x = y


def test_where_nothing_moved_there_is_no_gauge():
    file = steps([(3, 5), (5, 4), (4, 2)])
    assert match_gauges(file, port(file, {})) == {}
    assert apply_gauges(file, {}) == file


def test_units_that_the_next_layer_does_not_make_up_for_are_no_gauge():
    file = steps([(3, 5), (5, 4), (4, 2)])
    assert match_gauges(file, port(file, {"Layer1": gauge(0, 5)}, compensated=False)) == {}


def test_outputs_in_another_order_are_no_gauge():
    file = steps([(3, 5), (5, 4)])
    assert match_gauges(file, port(file, {"Layer2": Gauge(np.array([1, 0, 2, 3]), np.ones(4))})) == {}


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "softplus", "gelu"])
def test_a_sign_does_not_pass_through_an_activation_that_is_not_odd(activation):
    file = steps([(3, 5), (5, 2)], activation)
    assert match_gauges(file, port(file, {"Layer1": Gauge(np.arange(5), -np.ones(5))})) == {}
    ordered = Gauge(np.array([1, 0, 2, 3, 4]), np.ones(5))
    assert set(match_gauges(file, port(file, {"Layer1": ordered}))) == {"Layer1"}


def test_a_layer_that_is_missing_or_hides_its_weights_ends_a_gauge():
    file = steps([(3, 5), (5, 2)])
    blocks = port(file, {"Layer1": gauge(0, 5)})
    layer = Stored.of(file[1])
    hidden = block(layer.kernel, layer.bias, layer.activation, hidden=True)
    assert match_gauges(file, [blocks[0], None]) == {}
    assert match_gauges(file, [blocks[0], hidden]) == {}


def test_gauges_in_words():
    assert Gauge.identity(3).is_identity and Gauge.identity(3).describe() == ""
    found = Gauge(np.array([1, 0, 2]), np.array([1.0, 1.0, -1.0]))
    assert not found.is_identity
    assert found.describe() == "2 units stand elsewhere and 1 units have the opposite sign"
