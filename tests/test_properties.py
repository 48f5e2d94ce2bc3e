"""Any network in any layout ports to parity, and any of five mistakes in it is caught and named where it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import event, given, note, settings, target
from hypothesis import strategies as st

import porter
from tests.drawing import FUSED, POLICIES, networks
from tests.handmade import Legacy, bare_port, named, rows

pytestmark = pytest.mark.usefixtures("keras")

ROWS = 64


def read(drawn):
    with TemporaryDirectory() as folder:
        return porter.read(drawn.write(Path(folder) / "net.h5"), **drawn.options)


def judge(network, model, **options):
    return porter.verify(network, model, search=False, rows=ROWS, **options)


def assert_parity(report, drawn):
    """Every step of the file was compared, in order, and agrees.

    Parity is owed as far as the port's dtype holds what the reference computes: a step of which float16 holds no
    element is not compared, which a note says, and never a mistake.
    """
    assert [row.layer for row in report.layers] == drawn.rows
    assert report.findings == ()
    beyond = [row for row in report.layers if is_beyond(report, row)]
    assert report.verdict == ("inconclusive" if beyond else "parity"), str(report)
    for row in report.layers:
        if row not in beyond:
            assert row.verdict == "parity" and row.elements > 0 and row.exceeding == 0
            assert row.isolated <= row.allowed


def is_beyond(report, row):
    """Whether nothing of a step could be compared because of overflow, and the report says so."""
    told = any(note.startswith(f"{row.layer}: ") and "left out" in note for note in report.notes)
    return row.verdict == "uncompared" and "float16" in str(report.notes) and told


def assert_named(report, expected):
    """The mistakes that were planted are named by code and layer, and no other layer is blamed."""
    assert report.verdict == "mismatch", str(report)
    assert expected <= named(report), f"wanted {expected}, found {named(report)}"
    assert {layer for _, layer in named(report)} == {layer for _, layer in expected}
    assert {name for name, verdict in rows(report).items() if verdict == "mismatch"} == {layer for _, layer in expected}


@given(networks(), st.sampled_from(POLICIES))
def test_any_network_in_any_layout_ports_to_parity(drawn, policy):
    network = read(drawn)
    report = judge(network, porter.build(network, dtype=policy))
    assert_parity(report, drawn)
    target(max((row.isolated / row.allowed for row in report.layers if row.allowed), default=0.0))


@pytest.mark.slow
@given(networks(FUSED), st.sampled_from(["float32", "float64"]))
def test_any_network_ported_by_hand_passes(drawn, policy):
    """From the arrays as they were drawn: a reading that is wrong on both sides would not agree with them."""
    legacy = Legacy(drawn.kernels, drawn.biases, drawn.activations)
    outside = "outside" if drawn.rule is not None else None
    report = judge(read(drawn), bare_port(legacy, policy), placement=outside)
    assert report.verdict == "parity", str(report)
    assert report.findings == ()


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 4)  # each is verified up to seven times
@given(networks(FUSED), st.sampled_from(["inside", "folded"]), st.data())
def test_every_planted_mistake_is_caught_and_named(drawn, placement, data):
    network = read(drawn)
    placement = "inside" if drawn.activations[-1] != "linear" else placement
    model = porter.build(network, placement=placement)
    assert judge(network, model).verdict == "parity"
    for plant in PLANTS:
        with plant(network, model, data.draw) as expected:
            if expected:
                event(plant.__name__)
                note(f"{plant.__name__}: {expected}")
                assert_named(judge(network, model), expected)
    assert judge(network, model).verdict == "parity", "a plant was not taken out again"


def test_the_helpers_that_judge_can_fail(tmp_path):
    """Their negative control: each refuses what the other accepts, and a name at another layer."""
    from tests.formats.files import write

    network = porter.read(write(tmp_path / "net.h5", (3, 3, 3)))
    model = porter.build(network)
    drawn = SimpleNamespace(rows=["Norm_in", "Layer1", "Layer2", "Norm_out"])
    right = judge(network, model)
    model.get_layer("Layer2").kernel.assign(network.layer("Layer2").kernel.T)
    wrong = judge(network, model)
    expected = {("kernel.transposed", "Layer2")}
    assert_parity(right, drawn)
    assert_named(wrong, expected)
    for refused in (
        lambda: assert_parity(wrong, drawn),
        lambda: assert_parity(right, SimpleNamespace(rows=drawn.rows[1:])),
        lambda: assert_named(right, expected),
        lambda: assert_named(right, set()),
        lambda: assert_named(wrong, {("kernel.transposed", "Layer1")}),
        lambda: assert_named(wrong, {("kernel.values", "Layer2")}),
        lambda: assert_named(wrong, expected | {("bias.missing", "Layer1")}),
    ):
        with pytest.raises(AssertionError):
            refused()


@pytest.mark.parametrize(
    "name", ["transposed_kernel", "wrong_activation", "dropped_bias", "swapped_layers", "wrong_scaling"]
)
def test_every_plant_changes_the_model_and_is_taken_out_again(tmp_path, name):
    from tests.formats.files import write

    network = porter.read(write(tmp_path / "net.h5", (3, 3, 3)))
    model = porter.build(network)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    before = model(x).numpy()
    plant = next(plant for plant in PLANTS if plant.__name__ == name)
    with plant(network, model, first_of) as expected:
        assert expected
        assert not np.array_equal(model(x).numpy(), before)
    assert np.array_equal(model(x).numpy(), before)


# --- mistakes, planted into a model that is right and taken out again -----------------------------------------------


def first_of(strategy):
    """In place of ``data.draw``: an element of ``sampled_from``."""
    return strategy.elements[0]


def dense_of(network, model):
    return [model.get_layer(layer.name) for layer in network.dense_layers]


@contextmanager
def with_weights(*changes) -> Iterator[None]:
    """Layers with other arrays, for a while."""
    kept = [(layer, layer.get_weights()) for layer, _ in changes]
    for layer, arrays in changes:
        layer.set_weights(arrays)
    try:
        yield
    finally:
        for layer, arrays in kept:
            layer.set_weights(arrays)


@contextmanager
def transposed_kernel(network, model, draw):
    square = [layer for layer in dense_of(network, model) if _differs_transposed(layer.get_weights()[0])]
    if not square:
        yield None
        return
    layer = draw(st.sampled_from(square))
    kernel, bias = layer.get_weights()
    with with_weights((layer, [kernel.T, bias])):
        yield {("kernel.transposed", layer.name)}


def _differs_transposed(kernel):
    return kernel.shape[0] == kernel.shape[1] and not np.array_equal(kernel, kernel.T)


@contextmanager
def wrong_activation(network, model, draw):
    layer = draw(st.sampled_from(dense_of(network, model)))
    own = network.layer(layer.name).activation.name
    other = draw(st.sampled_from([name for name in FUSED if name != own]))
    import keras

    kept = layer.activation
    layer.activation = keras.activations.get(other)
    code = {"linear": "missing"}.get(other, "added" if own == "linear" else "replaced")
    try:
        yield {(f"activation.{code}", layer.name)}
    finally:
        layer.activation = kept


@contextmanager
def dropped_bias(network, model, draw):
    layer = draw(st.sampled_from(dense_of(network, model)))
    kernel, bias = layer.get_weights()
    if not bias.any():
        yield None
        return
    with with_weights((layer, [kernel, np.zeros_like(bias)])):
        yield {("bias.missing", layer.name)}


@contextmanager
def swapped_layers(network, model, draw):
    dense = dense_of(network, model)
    pairs = [(a, b) for i, a in enumerate(dense) for b in dense[:i] if a.kernel.shape == b.kernel.shape]
    if not pairs:
        yield None
        return
    first, second = draw(st.sampled_from(pairs))
    with with_weights((first, second.get_weights()), (second, first.get_weights())):
        yield {("layers.swapped", first.name), ("layers.swapped", second.name)}


@contextmanager
def wrong_scaling(network, model, draw):
    names = [layer.name for layer in model.layers if layer.name.startswith("Norm")]
    if not names:
        yield None
        return
    layer = model.get_layer(draw(st.sampled_from(names)))
    stored, rule = network.layer(layer.name).stored.astype(np.float64), network.layer(layer.name).rule
    other = draw(st.sampled_from([name for name in RULES if name != rule]))
    scale, offset = RULES[other](*stored.T)
    kept = layer.scale, layer.offset
    layer.scale, layer.offset = (scale, offset) if layer.name == "Norm_out" else (1 / scale, -offset / scale)
    try:
        yield {("scaling.range", layer.name)}
    finally:
        layer.scale, layer.offset = kept


RULES = {
    "[-1,1]": lambda first, second: ((second - first) / 2, (second + first) / 2),
    "[0,1]": lambda first, second: (second - first, first),
    "mean-std": lambda first, second: (second, first),
}
PLANTS = [transposed_kernel, wrong_activation, dropped_bias, swapped_layers, wrong_scaling]
