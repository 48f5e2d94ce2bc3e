"""Folding is the same function, in exact arithmetic; what cannot be folded is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from porter.errors import UnbuildableError, UsageError
from porter.examination.folds import _share
from porter.network import Dense, Scaling
from porter.network.placement import folded, placed
from reference.precision import Precision, round_to
from tests.networks import dense_layers, forward, scaling, small_network


@given(st.integers(0, 2**31), st.integers(1, 4), st.sampled_from(["tanh", "relu", "linear"]))
def test_folded_layers_compute_the_same(seed, depth, activation):
    widths = [3, *[4] * (depth - 1), 2]
    layers = (
        scaling("Norm_in", 3, seed),
        *dense_layers(widths, [activation] * (depth - 1) + ["linear"], seed),
        scaling("Norm_out", 2, seed),
    )
    x = np.random.default_rng(seed).normal(size=(20, 3))
    result = folded(layers)
    assert not any(isinstance(layer, Scaling) for layer in result)
    expected, actual = forward(layers, x), forward(result, x)
    # Some dozens of float64 operations on values of about one to a hundred.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12 * np.max(np.abs(expected)))


def test_folding_makes_a_bias_where_there_is_none():
    layers = small_network().layers
    without = tuple(replace(layer, bias=None) if isinstance(layer, Dense) else layer for layer in layers)
    x = np.random.default_rng(0).normal(size=(4, 5))
    np.testing.assert_allclose(forward(folded(without), x), forward(without, x), rtol=1e-12)


def test_the_fold_is_in_float64_and_rounds_nothing_itself():
    layers = (scaling("Norm_in", 3), *dense_layers((3, 2), ("linear",), dtype=np.float32))
    (dense,) = folded(layers)
    assert isinstance(dense, Dense)
    assert dense.kernel.dtype == np.float64


def test_placements_of_a_network():
    network = small_network()
    names = {placement: [layer.name for layer in placed(network, placement)] for placement in ("inside", "outside")}
    assert names["inside"] == ["Norm_in", "Layer1", "Layer2", "Layer3", "Norm_out"]
    assert names["outside"] == ["Layer1", "Layer2", "Layer3"]


def test_an_activation_in_the_way_is_named():
    with pytest.raises(UnbuildableError, match="Norm_out cannot be folded") as caught:
        placed(small_network(output="sigmoid"), "folded")
    assert "Layer3 ends in sigmoid" in str(caught.value)
    assert "use placement 'inside' or 'outside'" in str(caught.value)


def test_a_scaling_alone_is_not_folded():
    with pytest.raises(UnbuildableError, match="no dense layer beside it"):
        folded((scaling("Norm_in", 3),))


def test_physical_transforms_keep_the_scaling_inside():
    with pytest.raises(UsageError, match=re.escape("use placement 'inside' or 'folded'")):
        placed(small_network(physical=True), "outside")


def test_an_unknown_placement_lists_the_known():
    with pytest.raises(UsageError, match="one of inside, folded, outside"):
        placed(small_network(), "beside")


@pytest.mark.parametrize(("kind", "all_found"), [("bfloat16", True), ("float32", False)])
def test_a_folded_kernel_is_known_by_what_the_format_of_the_port_leaves_of_it(kind, all_found):
    kernel = np.random.default_rng(0).normal(size=(2, 3))
    share = _share(round_to(kernel, "bfloat16"), kernel, Precision(kind, kind))
    assert (share == 1) == all_found
