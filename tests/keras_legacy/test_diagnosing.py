"""What is said of a wrong port of a legacy Keras network, and the mended port."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from benchmarks.keras_networks import KINDS, Maker, both_ways, branches, gru_net, image_cnn, residual
from porter.codes import CODES
from porter.diagnosis.graphs.variants import singles
from porter.errors import PortError, UnbuildableError
from porter.examination.graphs.slots import put, slots, take
from porter.examination.graphs.suspect import Suspect
from porter.formats.programs import build_program
from reference.precision import Precision
from tests.keras_legacy.files import dense, layer, model, write
from tests.keras_legacy.test_verifying import hand_made
from tests.versions import needs_layers_as_activations


def network(tmp_path: Path, kind: Any = image_cnn, seed: int = 4) -> Any:
    return porter.read(kind(np.random.default_rng(seed)).write(tmp_path / "legacy.h5"))


def small(tmp_path: Path) -> Any:
    """A convolution and a dense layer."""
    m = Maker(np.random.default_rng(1), (4, 4, 2))
    m.conv("conv_1", (3, 3), 2, 3, activation="relu")
    m.add("Flatten", "flatten_1")
    m.dense("dense_1", 48, 2, "tanh")
    return porter.read(m.chain("small").write(tmp_path / "legacy.h5"))


def change(port: Any, name: str, **arrays: Any) -> Any:
    for variable, function in arrays.items():
        own = getattr(port.get_layer(name), variable)
        own.assign(function(np.asarray(own).copy()))
    return port


def test_the_evidence_says_how_much_the_cause_accounts_for(tmp_path: Path) -> None:
    legacy = small(tmp_path)
    (finding,) = porter.verify(legacy, change(porter.build(legacy), "conv_1", kernel=lambda k: k[::-1, ::-1])).findings
    assert (finding.code, finding.layer, finding.certain) == ("kernel.flipped", "conv_1", True)
    assert re.search(
        r"the error falls from \S+ to \S+e-\d+; allowed \S+; no other explanation of \d+ tried", finding.evidence
    )
    assert finding.remedy == (
        'model.get_layer("conv_1").kernel.assign(network.layer("conv_1").weights["kernel"])'
    )  # fmt: skip


def test_the_remedy_can_be_pasted(tmp_path: Path) -> None:
    legacy = small(tmp_path)
    wrong = change(porter.build(legacy), "conv_1", kernel=lambda k: k[::-1, ::-1])
    (finding,) = porter.verify(legacy, wrong).findings
    exec(finding.remedy, {"model": wrong, "network": legacy})
    assert porter.verify(legacy, wrong).verdict == "parity"


def test_one_weight_is_named_with_its_place(tmp_path: Path) -> None:
    legacy = small(tmp_path)

    def negate(kernel: Any) -> Any:
        kernel[0, 1, 1, 2] *= -1
        return kernel

    (finding,) = porter.verify(legacy, change(porter.build(legacy), "conv_1", kernel=negate)).findings
    value = legacy.layer("conv_1").weights["kernel"][0, 1, 1, 2]
    assert finding.code == "kernel.values"
    assert f"1 of 54 entries differs: [0, 1, 1, 2] {-value:.6g} for {value:.6g}" in finding.message


def test_two_mistakes_in_one_layer_are_both_named(tmp_path: Path) -> None:
    legacy = small(tmp_path)
    wrong = change(hand_made(legacy, conv_1={"activation": "tanh"}), "conv_1", kernel=lambda k: k.swapaxes(0, 1))
    findings = porter.verify(legacy, wrong).findings
    assert [finding.code for finding in findings] == ["kernel.axes", "activation.replaced"]
    assert "tanh for relu" in findings[1].message and '"activation": "relu"' in findings[1].remedy


def test_a_mistake_beside_the_known_one_is_not_covered_by_it(tmp_path: Path) -> None:
    """The kernel turned round, and one of its entries off by little: the name alone does not account for it."""
    legacy = small(tmp_path)

    def nearly(kernel: Any) -> Any:
        kernel = kernel[::-1, ::-1].copy()
        kernel[0, 0, 0, 0] *= 1 + 1e-4
        return kernel

    findings = porter.verify(legacy, change(porter.build(legacy), "conv_1", kernel=nearly)).findings
    assert [finding.code for finding in findings] == ["kernel.flipped", "kernel.values"]


def test_what_nothing_explains_is_called_so(tmp_path: Path) -> None:
    legacy = small(tmp_path)
    right = porter.build(legacy)
    flat = right.get_layer("flatten_1").output
    stray = keras.layers.Rescaling(1.3, 0.1, name="stray")(flat)
    again = keras.layers.Dense(2, "tanh", name="dense_1")
    wrong = keras.Model(right.inputs, again(stray))
    again.set_weights(right.get_layer("dense_1").get_weights())
    report = porter.verify(legacy, wrong)
    assert [(finding.code, finding.layer) for finding in report.findings] == [("unexplained", "dense_1")]
    assert not report.findings[0].certain and "explanations were tried, and something is left over" in (
        report.findings[0].evidence
    )
    assert report.after_remedy == "parity"


def test_a_stray_operation_behind_the_last_layer_is_seen(tmp_path: Path) -> None:
    legacy = small(tmp_path)
    right = porter.build(legacy)
    wrong = keras.Model(right.inputs, keras.layers.Rescaling(1.3, name="stray")(right.outputs[0]))
    report = porter.verify(legacy, wrong)
    assert [(finding.code, finding.layer) for finding in report.findings] == [("unexplained", "dense_1")]
    assert "although every layer is right by itself" in report.findings[0].message


def test_batch_normalization_in_training_mode_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    legacy = network(tmp_path)
    config = porter.build(legacy).get_config()
    for each in config["layers"]:
        if each["name"] == "bn_1":
            each["inbound_nodes"][0]["kwargs"]["training"] = True
    wrong = keras.Model.from_config(config)
    wrong.set_weights(porter.build(legacy).get_weights())
    before = [np.asarray(variable).copy() for variable in wrong.variables]
    report = porter.verify(legacy, wrong)
    assert [(finding.code, finding.layer) for finding in report.findings] == [("mode.training", "bn_1")]
    for old, new in zip(before, wrong.variables, strict=True):
        np.testing.assert_array_equal(old, np.asarray(new))


def test_an_epsilon_that_nobody_uses_is_read_off(tmp_path: Path) -> None:
    (finding,) = porter.verify(legacy := network(tmp_path), hand_made(legacy, bn_1={"epsilon": 0.0314})).findings
    assert finding.code == "batch_norm.epsilon" and "its epsilon is 0.0314 for" in finding.message


def test_layers_exchanged_are_named_at_both(tmp_path: Path) -> None:
    legacy = network(tmp_path, branches)
    wrong = porter.build(legacy)
    one, two = (wrong.get_layer(name) for name in ("dense_1", "dense_2"))
    mine = one.get_weights()
    one.set_weights(two.get_weights())
    two.set_weights(mine)
    found = {finding.layer: (finding.code, finding.message) for finding in porter.verify(legacy, wrong).findings}
    assert {layer: code for layer, (code, _) in found.items()} == {
        "dense_1": "layers.swapped", "dense_2": "layers.swapped"
    }  # fmt: skip
    assert found["dense_1"][1] == "dense_1: its kernel and bias are those of dense_2"


def rebuilt(legacy: Any, name: str, make: Any) -> Any:
    """The port with one layer made otherwise, every other one called again behind it."""
    right = porter.build(legacy)
    x = right.inputs[0]
    for each in right.layers[1:]:
        if each.name == name:
            x = make(x, each)
        else:
            again = type(each).from_config(each.get_config())
            x = again(x)
            again.set_weights(each.get_weights())
    return keras.Model(right.inputs[0], x)


def test_zeros_on_one_side_alone_are_named(tmp_path: Path) -> None:
    def make(x: Any, right: Any) -> Any:
        conv = keras.layers.Conv2D(3, 3, activation="relu", name="conv_1")
        y = conv(keras.layers.ZeroPadding2D(((2, 0), (1, 1)))(x))
        conv.set_weights(right.get_weights())
        return y

    (finding,) = porter.verify(legacy := small(tmp_path), rebuilt(legacy, "conv_1", make)).findings
    assert finding.code == "padding" and "padded with ((2, 0), (1, 1)) zeros" in finding.message


def pooled(rng: np.random.Generator) -> Any:
    m = Maker(rng, (5, 5, 2))
    m.pool("pool_1", "Average", padding="same", pool_size=[3, 3], strides=[2, 2])
    m.add("Flatten", "flatten_1")
    m.dense("dense_1", 18, 2)
    return m.chain("pooled")


def test_an_average_that_counts_the_padding_is_named(tmp_path: Path) -> None:
    def make(x: Any, right: Any) -> Any:
        return keras.layers.AveragePooling2D(3, 2, name=right.name)(keras.layers.ZeroPadding2D(1)(x))

    (finding,) = porter.verify(legacy := network(tmp_path, pooled), rebuilt(legacy, "pool_1", make)).findings
    assert finding.code == "pooling" and "the padding counts" in finding.message


def both(rng: np.random.Generator) -> Any:
    m = Maker(rng, (4, 3))
    m.bidirectional("LSTM", "both_1", 3, 2, return_sequences=True)
    return m.chain("both")


@pytest.mark.parametrize("turned", [True, False])
def test_two_directions_put_together_wrongly_are_named(tmp_path: Path, turned: bool) -> None:
    def make(x: Any, right: Any) -> Any:
        sides = [type(side).from_config(side.get_config()) for side in (right.forward_layer, right.backward_layer)]
        ahead, back = (side(x) for side in sides)
        for side, own in zip(sides, (right.forward_layer, right.backward_layer), strict=True):
            side.set_weights(own.get_weights())
        order = [keras.ops.flip(back, axis=1), ahead] if turned else [ahead, back]
        return keras.layers.Concatenate(name="both_1")(order)

    legacy = network(tmp_path, both)
    (finding,) = porter.verify(legacy, rebuilt(legacy, "both_1", make)).findings
    assert finding.code == "recurrent.direction"
    assert ("before the forward ones" if turned else "not turned back in time") in finding.message


def test_a_mended_copy_is_written(tmp_path: Path) -> None:
    legacy = small(tmp_path)
    wrong = change(porter.build(legacy), "dense_1", bias=np.negative)
    report = porter.verify(tmp_path / "legacy.h5", wrong, apply=tmp_path / "fixed.keras")
    assert ([finding.code for finding in report.findings], report.after_remedy) == (["bias.negated"], "parity")
    fixed = keras.saving.load_model(tmp_path / "fixed.keras")
    assert porter.verify(legacy, fixed).verdict == "parity"
    assert porter.verify(legacy, wrong).verdict == "mismatch"


@needs_layers_as_activations
def test_what_is_configured_wrongly_is_built_anew(tmp_path: Path) -> None:
    legacy = network(tmp_path, gru_net)
    wrong = hand_made(legacy, gru_2={"recurrent_activation": "tanh"})
    report = porter.verify(legacy, wrong, apply=tmp_path / "fixed.keras")
    assert [finding.code for finding in report.findings] == ["recurrent.activation"]
    assert porter.verify(legacy, tmp_path / "fixed.keras").verdict == "parity"


def test_no_port_is_written_that_is_not_proven(tmp_path: Path) -> None:
    """A layer that the user put in: with every remedy applied the port is still inconclusive."""
    layers = [layer("Dense", "d", units=2, activation="tanh", batch_input_shape=[None, 3]), layer("Lambda", "odd")]
    rng = np.random.default_rng(0)
    path = write(tmp_path / "m.h5", model(layers), {"d": dense(rng, "d", 3, 2), "odd": {}})
    legacy = porter.read(path, replace={"odd": keras.ops.square})
    wrong = change(porter.build(legacy), "d", bias=np.negative)
    with pytest.raises(UnbuildableError, match="a mended port that is inconclusive"):
        porter.verify(legacy, wrong, apply=tmp_path / "fixed.keras")
    assert not (tmp_path / "fixed.keras").exists()


def test_the_report_says_that_nothing_is_searched(tmp_path: Path) -> None:
    report = porter.verify(legacy := small(tmp_path), porter.build(legacy))
    assert report.link_notes["build"].endswith("; no search")


def test_a_port_that_breaks_down_is_refused(tmp_path: Path) -> None:
    class Broken(keras.layers.Layer):
        def compute_output_shape(self, shape: Any) -> Any:
            return shape

        def call(self, x: Any) -> Any:
            raise RuntimeError("out of order")

    legacy = small(tmp_path)
    right = porter.build(legacy)
    wrong = keras.Model(right.inputs, right.get_layer("dense_1")(Broken()(right.get_layer("flatten_1").output)))
    with pytest.raises(PortError, match="cannot be evaluated"):
        porter.verify(legacy, wrong)


# --- the hypotheses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [image_cnn, both_ways, residual])
def test_arrays_are_put_where_they_are_found(tmp_path: Path, kind: Any) -> None:
    for step in build_program(network(tmp_path, kind)).steps:
        for slot in slots(step):
            assert take(step, slot.path) is slot.array
            other = put(step, slot.path, np.zeros(1))
            assert take(other, slot.path).shape == (1,) and take(step, slot.path) is slot.array


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_hypothesis_has_a_code_and_changes_the_step(tmp_path: Path, kind: Any) -> None:
    program = build_program(network(tmp_path, kind))
    shapes = {step.name: (4, 4, 4) for step in program.steps}
    for step in program.steps:
        suspect = Suspect(step, (step.name,), (), Precision("float32", "float32"), {}, program, step.inputs, shapes)
        found = list(singles(suspect, step))
        assert {one.code for one in found} <= set(CODES)
        assert all(one.step is not step or one.prepare is not None or one.undo is not None for one in found)
