"""Strategies for users' own tests: what they draw, what they shrink to, and that their faults are faults."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import porter
from porter import strategies
from porter.codes import CODES
from porter.formats.programs import build_program
from porter.hypothesis_plugin import register
from porter.network.planting import differ, plant, sites
from porter.strategies import SPECIAL, faults, inputs, networks

QUICK = settings(max_examples=60, deadline=None)
SMALLEST = settings(database=None, max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(st.data())
def test_networks_are_read_as_they_are_drawn(data):
    network = data.draw(networks())
    assert 1 <= len(network.dense_layers) <= 4
    assert max(network.widths) <= 8
    rows = data.draw(inputs(network))
    (expected,) = build_program(network)(rows)
    assert np.isfinite(expected).all()
    assert expected.shape == (len(rows), network.widths[-1])
    assert not any(claim.evidence == "contradicted" for claim in network.claims)


@QUICK
@given(st.data())
def test_parameters_of_networks_hold(data):
    network = data.draw(networks(max_layers=2, max_width=3, activations=("relu",), scaling=True, dtypes=("float32",)))
    assert len(network.dense_layers) <= 2
    assert max(network.widths) <= 3
    assert {layer.activation.name for layer in network.dense_layers} <= {"relu", "linear"}
    assert network.layers[0].name == "Norm_in"
    assert network.stored_dtype == np.float32


def test_the_smallest_network_is_one_layer_of_one_unit():
    network = find(networks(), lambda network: True, settings=SMALLEST)
    assert network.widths == (1, 1)
    assert [layer.name for layer in network.layers] == ["Layer1"]
    assert str(network.dense_layers[0].activation) == "linear"
    assert network.dense_layers[0].kernel.all()


def test_a_network_shrinks_to_what_the_failure_needs():
    network = find(networks(), lambda network: len(network.dense_layers) >= 3, settings=SMALLEST)
    assert network.widths == (1, 1, 1, 1)


@pytest.fixture(scope="module")
def scaled():
    return find(networks(scaling=True), lambda n: n.widths[0] >= 4 and n.widths[-1] >= 2, settings=SMALLEST)


@pytest.fixture(scope="module")
def unscaled():
    return find(networks(scaling=False), lambda n: n.widths[0] >= 4, settings=SMALLEST)


@pytest.mark.parametrize("kind", ["scaled", "unscaled"])
def test_inputs_stay_inside_and_reach_corners_and_special_values(kind, request):
    network = request.getfixturevalue(kind)
    low, high = strategies._box(network)
    seen = Counter()

    @settings(QUICK, max_examples=120)
    @given(inputs(network))
    def draw(rows):
        assert rows.ndim == 2
        assert rows.dtype == np.float64
        assert ((low <= rows) & (rows <= high)).all()
        seen["corner"] += bool(((rows == low) | (rows == high)).all(axis=1).any())
        seen["special"] += bool(np.isin(rows, SPECIAL).any())
        seen["negative zero"] += bool((np.signbit(rows) & (rows == 0)).any())
        seen["several"] += len(rows) > 1
        seen["inside"] += bool(((low < rows) & (rows < high)).all(axis=1).any())

    draw()
    wanted = {"corner", "several", "inside"} | ({"special", "negative zero"} if kind == "unscaled" else set())
    assert wanted <= {name for name, count in seen.items() if count}


def test_inputs_shrink_to_a_basis_vector(unscaled):
    row = find(inputs(unscaled), lambda rows: bool((rows[:, 2] > 0.3).any()), settings=SMALLEST)
    assert np.array_equal(row, [np.eye(4)[2]])


def test_inputs_shrink_to_the_centre_with_one_input_at_its_end(scaled):
    low, high = strategies._box(scaled)
    centre = (low + high) / 2
    row = find(inputs(scaled), lambda rows: bool((rows[:, 1] > centre[1]).any()), settings=SMALLEST)
    assert row.shape == (1, scaled.widths[0])
    assert np.flatnonzero(row[0] != centre).tolist() == [1]
    assert row[0, 1] == high[1]


@QUICK
@given(st.data())
def test_every_fault_changes_what_the_network_computes(data):
    network = data.draw(networks())
    fault = data.draw(faults(network))
    assert fault.code in CODES
    assert fault.network.source is network.source
    changed = [old.name for old, new in zip(network.layers, fault.network.layers, strict=True) if differ(old, new)]
    assert changed
    assert set(changed) <= set(fault.layers)


def test_every_kind_of_fault_is_drawn():
    seen = set()

    @settings(QUICK, max_examples=200)
    @given(st.data())
    def draw(data):
        network = data.draw(networks())
        seen.update(code for code, _ in sites(network))

    draw()
    assert len(seen) == 17
    assert seen <= set(CODES)


def test_faults_can_be_chosen(scaled):
    assert find(faults(scaled, codes=("scaling.range",)), lambda fault: True, settings=SMALLEST).code == "scaling.range"
    with pytest.raises(ValueError, match="none of padding can be made here"):
        find(faults(scaled, codes=("padding",)), lambda fault: True, settings=SMALLEST)


def test_what_cannot_be_planted_is_said(scaled):
    with pytest.raises(KeyError, match=r"no mistake 'padding' for Layer1; there are .*kernel\.values"):
        plant(scaled, "padding", ("Layer1",), lambda count: 0)


def test_a_change_without_effect_is_no_fault(unscaled):
    layer = unscaled.dense_layers[-1]
    alike = replace(layer, kernel=np.ones_like(layer.kernel), bias=np.zeros_like(layer.bias))
    network = replace(unscaled, layers=(*unscaled.layers[:-1], alike))
    codes = {code for code, layers in sites(network) if layers == (layer.name,)}
    assert codes.isdisjoint(
        {"bias.missing", "bias.negated", "outputs.permuted", "kernel.precision", "kernel.transposed"}
    )
    assert "kernel.values" in codes
    assert plant(network, "bias.negated", (layer.name,), lambda count: 0) is None


@pytest.mark.parametrize("rule", ["[-1,1]", "[0,1]"])
@pytest.mark.parametrize("name", ["Norm_in", "Norm_out"])
def test_scaling_faults_are_the_formula_with_that_mistake(rule, name):
    network = find(
        networks(scaling=True, dtypes=("float64",)),
        lambda n: f"{n.layer(name).rule}" == rule and n.widths[0] > 1,
        settings=SMALLEST,
    )
    step = build_program(network).step(name)
    rows = np.random.default_rng(0).standard_normal((5, len(step.first)))
    other = "[0,1]" if rule == "[-1,1]" else "[-1,1]"
    for code, wrong in (
        ("scaling.range", replace(step, rule=other)),
        ("scaling.swapped", replace(step, first=step.second, second=step.first)),
    ):
        planted = plant(network, code, (name,), lambda count: 0).network.layer(name)
        assert np.allclose(planted.scale * rows + planted.offset, wrong(rows).outputs, rtol=1e-12, atol=1e-12)
        assert not np.allclose(planted.scale * rows + planted.offset, step(rows).outputs)


def test_networks_come_by_their_type():
    register()
    assert isinstance(find(st.from_type(porter.Network), lambda network: True, settings=SMALLEST), porter.Network)


@pytest.mark.slow
def test_planted_faults_are_found_and_faithful_ports_are_not_flagged(keras):
    counts = Counter()

    @settings(SMALLEST, max_examples=25, derandomize=True, phases=[Phase.generate])
    @given(st.data())
    def check(data):
        network = data.draw(networks(max_layers=3, max_width=5))
        fault = data.draw(faults(network))
        wrong = porter.verify(network, porter.build(fault.network), search=False, rows=50)
        counts["detected"] += wrong.verdict == "mismatch"
        counts["named"] += any(
            finding.code == fault.code and finding.layer in fault.layers for finding in wrong.findings
        )
        right = porter.verify(network, porter.build(network), search=False, rows=50)
        counts["false alarms"] += right.verdict != "parity"
        counts["all"] += 1

    check()
    assert counts["detected"] == counts["all"]
    assert counts["false alarms"] == 0
    assert counts["named"] >= 0.95 * counts["all"]
