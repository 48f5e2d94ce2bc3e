"""Ports of legacy Keras networks, judged: right ones at parity, wrong ones found and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter.formats.keras_legacy.errors import WeightsError, WeightsMissingError
from porter.formats.programs import build_program
from tests.keras_legacy.files import dense, layer, model, node, write
from tests.versions import needs_layers_as_activations


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def recurrent(rng: np.random.Generator, kind: str = "LSTM", gates: int = 4) -> tuple[Any, dict[str, Any]]:
    config = model([
        layer(kind, "rnn_1", units=3, activation="tanh", recurrent_activation="hard_sigmoid", use_bias=True,
              return_sequences=False, batch_input_shape=[None, 6, 2]),
        layer("Dense", "dense_1", units=2, activation="hard_sigmoid", use_bias=True),
    ])  # fmt: skip
    arrays = {
        "rnn_1/kernel:0": rng.normal(size=(2, 3 * gates)).astype(np.float32),
        "rnn_1/recurrent_kernel:0": rng.normal(size=(3, 3 * gates)).astype(np.float32),
        "rnn_1/bias:0": rng.normal(size=3 * gates).astype(np.float32),
    }
    return config, {"rnn_1": arrays, "dense_1": dense(rng, "dense_1", 3, 2)}


def image(rng: np.random.Generator, **more: Any) -> tuple[Any, dict[str, Any]]:
    config = model([layer(
        "Conv2D", "conv_1", filters=3, kernel_size=[3, 2], strides=[1, 1], padding="same", activation="relu",
        data_format="channels_last", dilation_rate=[1, 1], use_bias=True, batch_input_shape=[None, 6, 5, 2], **more,
    )])  # fmt: skip
    arrays = {
        "conv_1/kernel:0": rng.normal(size=(3, 2, 2, 3)).astype(np.float32),
        "conv_1/bias:0": rng.normal(size=3).astype(np.float32),
    }
    return config, {"conv_1": arrays}


def hand_made(network: Any, **changes: Any) -> Any:
    """The port built again with some layers' configuration changed, as a hasty hand would."""
    right = porter.build(network)
    config = json.loads(json.dumps(right.get_config()))
    for each in config["layers"]:
        each["config"].update(changes.get(each["name"], {}))
    wrong = keras.Model.from_config(config)
    wrong.set_weights(right.get_weights())
    return wrong


@needs_layers_as_activations
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_right_port_is_at_parity(tmp_path: Path, rng: np.random.Generator, dtype: str) -> None:
    report = porter.port(write(tmp_path / "m.h5", *recurrent(rng)), tmp_path / "p.keras", dtype=dtype)
    assert report.verdict == "parity"
    assert report.links["build"] == report.links["save"] == "parity"
    assert [row.layer for row in report.layers] == ["rnn_1", "dense_1"]
    assert all(row.allowed < 1e-3 for row in report.layers)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_a_mixed_policy_is_judged_on_what_it_casts(tmp_path: Path, rng: np.random.Generator, dtype: str) -> None:
    """Inputs and weights are kept in float32, and rounded to 16 bits by each layer."""
    network = porter.read(write(tmp_path / "m.h5", *image(rng)))
    right = porter.build(network, dtype=dtype)
    assert porter.verify(network, right).verdict == "parity"
    kernel, bias = right.get_layer("conv_1").get_weights()
    right.get_layer("conv_1").set_weights([kernel * 1.0001, bias])
    assert porter.verify(network, right).verdict == "mismatch"


@needs_layers_as_activations
def test_the_new_hard_sigmoid_is_found_and_named(tmp_path: Path, rng: np.random.Generator) -> None:
    network = porter.read(write(tmp_path / "m.h5", *recurrent(rng)))
    wrong = hand_made(network, rnn_1={"recurrent_activation": "hard_sigmoid"}, dense_1={"activation": "hard_sigmoid"})
    report = porter.verify(network, wrong)
    assert report.verdict == "mismatch"
    assert {finding.layer: finding.code for finding in report.findings} == {
        "rnn_1": "recurrent.activation", "dense_1": "activation.replaced"
    }  # fmt: skip


def test_a_kernel_turned_round_is_found_and_named(tmp_path: Path, rng: np.random.Generator) -> None:
    network = porter.read(write(tmp_path / "m.h5", *image(rng)))
    wrong = porter.build(network)
    kernel, bias = wrong.get_layer("conv_1").get_weights()
    wrong.get_layer("conv_1").set_weights([kernel[::-1, ::-1], bias])
    assert [finding.code for finding in porter.verify(network, wrong).findings] == ["kernel.flipped"]


def test_one_weight_is_found(tmp_path: Path, rng: np.random.Generator) -> None:
    network = porter.read(write(tmp_path / "m.h5", *recurrent(rng)))
    wrong = porter.build(network)
    arrays = wrong.get_layer("rnn_1").get_weights()
    arrays[1][2, 5] *= 1 + 1e-5
    wrong.get_layer("rnn_1").set_weights(arrays)
    report = porter.verify(network, wrong)
    assert [(finding.code, finding.layer) for finding in report.findings] == [("kernel.values", "rnn_1")]
    assert "1 weight of the port is not the file's, rounded to its dtype" in report.findings[0].evidence


def test_theano_pads_elsewhere(tmp_path: Path, rng: np.random.Generator) -> None:
    """An even window: TensorFlow's odd zero goes behind, Theano's in front; kernels are turned as well."""
    config, weights = image(rng)
    theano = porter.read(write(tmp_path / "th.h5", config, weights, backend="theano"))
    kernel, bias = weights["conv_1"].values()
    x = rng.normal(size=(2, 6, 5, 2))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 0), (0, 0)))
    by_hand = sum(
        padded[:, i : i + 6, j : j + 5] @ kernel[2 - i, 1 - j].astype(float) for i in range(3) for j in range(2)
    )
    np.testing.assert_allclose(build_program(theano)(x)[0], np.maximum(by_hand + bias, 0), atol=1e-12)
    assert porter.port(theano, tmp_path / "p.keras").verdict == "parity"


@pytest.mark.parametrize(("kind", "size", "stride"), [("Max", 2, 2), ("Average", 3, 2), ("Average", 2, 1)])
def test_theano_pools_elsewhere(tmp_path: Path, rng: np.random.Generator, kind: str, size: int, stride: int) -> None:
    config = model([layer(
        f"{kind}Pooling2D", "pool", pool_size=[size, size], strides=[stride, stride], border_mode="same",
        dim_ordering="th", batch_input_shape=[None, 2, 5, 4],
    )])  # fmt: skip
    network = porter.read(write(tmp_path / "m.h5", config, {"pool": {}}, version="1.2.2", backend="theano"))
    x = rng.normal(size=(2, 2, 5, 4))
    pad = size - 2 if size > 2 and size % 2 else size - 1
    reduce = np.max if kind == "Max" else np.mean
    by_hand = np.stack([
        np.stack([
            reduce(x[:, :, max(i - pad, 0) : i - pad + size, max(j - pad, 0) : j - pad + size], axis=(2, 3))
            for j in range(0, 4, stride)
        ], -1) for i in range(0, 5, stride)
    ], -2)  # fmt: skip
    np.testing.assert_allclose(build_program(network)(x)[0], by_hand, atol=1e-12)
    assert porter.port(network, tmp_path / "p.keras").verdict == "parity"


@pytest.mark.parametrize(
    ("version", "mode", "divide"),
    [
        ("1.2.2", 0, lambda x, s: np.sqrt(s + 1e-2)),
        ("1.0.3", 0, lambda x, s: s + 1e-2),
        ("1.2.2", 1, lambda x, s: np.sqrt(x.var(-1, keepdims=True) + 1e-2) + 1e-2),
        ("1.2.2", 2, lambda x, s: np.sqrt(x.var(0, keepdims=True) + 1e-2)),
    ],
)
def test_batch_normalization_of_keras_1(
    tmp_path: Path, rng: np.random.Generator, version: str, mode: int, divide: Any
) -> None:
    config = model([layer("BatchNormalization", "bn", epsilon=1e-2, mode=mode, axis=-1, batch_input_shape=[None, 4])])
    gamma, beta, mean, spread = (rng.uniform(0.5, 2, 4).astype(np.float32) for _ in range(4))
    arrays = {"bn_gamma": gamma, "bn_beta": beta, "bn_running_mean": mean, "bn_running_std": spread}
    path = write(tmp_path / "m.h5", config, {"bn": arrays}, version=version, backend=None)
    network = porter.read(path)
    x = rng.normal(size=(5, 4)) * 3
    centre = [mean, x.mean(-1, keepdims=True), x.mean(0, keepdims=True)][mode]
    by_hand = (x - centre) / divide(x, spread.astype(float)) * gamma + beta
    np.testing.assert_allclose(build_program(network)(x)[0], by_hand, rtol=1e-9)
    model_ = porter.build(network, dtype="float64")
    np.testing.assert_allclose(np.asarray(model_(x)), by_hand, rtol=1e-6)
    assert porter.verify(network, model_).verdict == "parity"


def test_a_replaced_layer_is_never_called_proven(tmp_path: Path, rng: np.random.Generator) -> None:
    layers = [
        layer("Dense", "dense_1", units=2, activation="tanh", batch_input_shape=[None, 3]),
        layer("Lambda", "odd"),
    ]
    path = write(tmp_path / "m.h5", model(layers), {"dense_1": dense(rng, "dense_1", 3, 2), "odd": {}})
    report = porter.port(path, tmp_path / "p.keras", replace={"odd": keras.ops.square})
    assert report.verdict == "inconclusive"
    assert [row.verdict for row in report.layers] == ["parity", "uncompared"]
    assert any("odd was not compared: the user's own function" in note for note in report.notes)


def test_an_architecture_alone_is_not_built(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(model([layer("Dense", "d", units=2, activation="tanh", batch_input_shape=[None, 3])])))
    with pytest.raises(WeightsMissingError, match=r"--weights weights\.h5"):
        porter.port(path, tmp_path / "p.keras")


def test_samples_that_the_reference_does_not_reproduce(tmp_path: Path, rng: np.random.Generator) -> None:
    network = porter.read(write(tmp_path / "m.h5", *recurrent(rng)))
    x = rng.normal(size=(4, 6, 2)).astype(np.float32)
    y = build_program(network)(x)[0]
    assert porter.verify(network, porter.build(network), samples=(x, y)).links["reading"] == "proven"
    report = porter.verify(network, porter.build(network), samples=(x, y * 1.001))
    assert (report.verdict, report.findings[0].code) == ("mismatch", "reading.contradicted")


def user_model(name: str = "dense_1") -> Any:
    x = keras.Input((6, 2))
    y = keras.layers.LSTM(3, name="rnn_1")(x)
    return keras.Model(x, keras.layers.Dense(2, name=name)(y))


def test_weights_go_into_a_users_model_by_name(tmp_path: Path, rng: np.random.Generator) -> None:
    _, weights = recurrent(rng)
    turned = dict(reversed(list(weights.items())))
    path = write(tmp_path / "w.h5", None, turned, group="")
    mine = user_model()
    claims = porter.load_weights(mine, path)
    np.testing.assert_array_equal(mine.get_layer("dense_1").get_weights()[0], weights["dense_1"]["dense_1/kernel:0"])
    assert {claim.convention for claim in claims if claim.evidence == "assumed"} == {
        "activation",
        "recurrent_activation",
    }


def test_weights_that_do_not_match_change_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    _, weights = recurrent(rng)
    path = write(tmp_path / "w.h5", None, weights, group="")
    other = user_model("another")
    before = other.get_weights()
    with pytest.raises(
        WeightsError, match="the model's 'another' are not in the file; the file's 'dense_1' are not in"
    ):
        porter.load_weights(other, path)
    nameless = {name: {f"param_{i}": a for i, a in enumerate(each.values())} for name, each in weights.items()}
    with pytest.raises(WeightsError, match="do not say which is which"):
        porter.load_weights(user_model(), write(tmp_path / "n.h5", None, nameless, group=""))
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_twelve_arrays_of_keras_1(tmp_path: Path, rng: np.random.Generator) -> None:
    """One array a gate, in the order i, c, f, o, into the one kernel of i, f, c, o."""
    parts = {f"rnn_1_{letter}_{gate}": rng.normal(size=shape).astype(np.float32)
             for gate in "icfo" for letter, shape in (("W", (2, 3)), ("U", (3, 3)), ("b", (3,)))}  # fmt: skip
    weights = {"rnn_1": parts, "dense_1": {"dense_1_W": np.ones((3, 2), "f4"), "dense_1_b": np.zeros(2, "f4")}}
    mine = user_model()
    porter.load_weights(mine, write(tmp_path / "w.h5", None, weights, group="", version="1.2.2", backend=None))
    kernel = mine.get_layer("rnn_1").get_weights()[0]
    np.testing.assert_array_equal(kernel, np.hstack([parts[f"rnn_1_W_{gate}"] for gate in "ifco"]))


def test_a_network_with_branches(tmp_path: Path, rng: np.random.Generator) -> None:
    begin = node(layer("InputLayer", "in", batch_input_shape=[None, 3]))
    one = node(layer("Dense", "one", units=4, activation="relu", use_bias=True), ["in"])
    two = node(layer("Dense", "two", units=4, activation="linear", use_bias=True), ["in"])
    both = node(layer("Add", "both"), ["one", "two"])
    weights = {"one": dense(rng, "one", 3, 4), "two": dense(rng, "two", 3, 4)}
    path = write(tmp_path / "m.h5", model([begin, one, two, both], ["in"], ["both", "one"]), weights)
    report = porter.port(path, tmp_path / "p.keras")
    assert report.verdict == "parity"
    assert len(keras.saving.load_model(tmp_path / "p.keras").outputs) == 2
