"""Ports of legacy Keras networks that a hand made: other names, other grain; and what is wrong with the wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import porter
from tests.keras_legacy.files import dense, layer, model, node, write

Arrays = dict[str, dict[str, Any]]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def of(weights: Arrays, name: str) -> list[Any]:
    """The arrays of a layer, in the order stored."""
    return list(weights[name].values())


def put(one: Any, arrays: list[Any]) -> None:
    one.set_weights(arrays)


def named(report: Any) -> set[tuple[str, str]]:
    """What was found: code and layer."""
    return {(finding.code, finding.layer) for finding in report.findings}


def wrong_rows(report: Any) -> set[str]:
    return {row.layer for row in report.layers if row.verdict == "mismatch"}


def is_right(report: Any) -> bool:
    """Parity, nothing found, and every step compared or part of one that was."""
    verdicts = {row.verdict.split()[0] for row in report.layers}
    return report.verdict == "parity" and not report.findings and verdicts <= {"parity", "folded"}


# ---- a chain of dense layers


def chain(rng: np.random.Generator, tmp_path: Path) -> tuple[Any, Arrays]:
    config = model([
        layer("Dense", "dense_1", units=5, activation="tanh", batch_input_shape=[None, 4]),
        layer("Dropout", "dropout_1", rate=0.5),
        layer("Dense", "dense_2", units=5, activation="linear"),
        layer("Activation", "activation_1", activation="relu"),
        layer("Dense", "dense_3", units=5, activation="hard_sigmoid"),
        layer("Dense", "dense_4", units=3, activation="softmax"),
    ])  # fmt: skip
    widths = [4, 5, 5, 5, 3]
    weights: Arrays = {
        f"dense_{i + 1}": dense(rng, f"dense_{i + 1}", widths[i], widths[i + 1]) for i in range(4)
    } | {"dropout_1": {}, "activation_1": {}}  # fmt: skip
    return porter.read(write(tmp_path / "m.h5", config, weights)), weights


def chain_by_hand(weights: Arrays, change: Callable[[dict[str, Any]], None] = lambda made: None, **more: Any) -> Any:
    """The tanh apart, the relu fused, the dropout left out, the old hard sigmoid made of operations."""
    made = {f"dense_{i}": layers.Dense(units) for i, units in ((1, 5), (2, 5), (3, 5), (4, 3))}
    made["dense_2"] = layers.Dense(5, activation=more.get("second", "relu"))
    begin = keras.Input((4,))
    x = layers.Activation("tanh")(made["dense_1"](begin))
    x = made["dense_2"](x)
    x = more.get("between", lambda x: x)(x)
    x = ops.clip(made["dense_3"](x) * 0.2 + 0.5, 0, 1)
    x = layers.Softmax()(made["dense_4"](x))
    port = keras.Model(begin, more.get("behind", lambda x: x)(x))
    for name, one in made.items():
        put(one, of(weights, name))
    change(made)
    return port


def test_a_chain_of_dense_layers(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = chain(rng, tmp_path)
    report = porter.verify(network, chain_by_hand(weights))
    assert is_right(report)
    rows = {row.layer: row for row in report.layers}
    assert rows["dropout_1"].port_layer == ()
    assert len(rows["dense_1"].port_layer) == 2
    assert any("not by their names" in note for note in report.notes)


@pytest.mark.parametrize("name", ["dense_1", "dense_2", "dense_3", "dense_4"])
def test_one_wrong_weight_in_a_chain(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    network, weights = chain(rng, tmp_path)

    def change(made: dict[str, Any]) -> None:
        kernel, bias = made[name].get_weights()
        kernel[1, 2] *= 1.001
        made[name].set_weights([kernel, bias])

    report = porter.verify(network, chain_by_hand(weights, change))
    assert named(report) == {("kernel.values", name)}
    assert wrong_rows(report) == {name}


def test_a_wrong_activation_in_a_chain(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = chain(rng, tmp_path)
    report = porter.verify(network, chain_by_hand(weights, second="sigmoid"))
    assert {layer for _, layer in named(report)} == wrong_rows(report) == {"activation_1"}


def test_a_missing_activation_in_a_chain(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = chain(rng, tmp_path)
    report = porter.verify(network, chain_by_hand(weights, second=None))
    assert named(report) == {("activation.missing", "activation_1")}
    assert {row.layer for row in report.layers if row.verdict == "uncompared"} == {"activation_1"}


def test_an_activation_too_many_in_a_chain(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = chain(rng, tmp_path)
    report = porter.verify(network, chain_by_hand(weights, between=layers.Activation("tanh")))
    assert report.verdict == "mismatch"
    assert {layer for _, layer in named(report)} == {"activation_1"}
    behind = porter.verify(network, chain_by_hand(weights, behind=layers.Activation("tanh")))
    assert behind.verdict == "mismatch"
    assert {layer for _, layer in named(behind)} == {"dense_4"}


def test_a_layer_too_many_in_a_chain(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = chain(rng, tmp_path)
    extra = layers.Dense(5, name="stranger")
    report = porter.verify(network, chain_by_hand(weights, between=extra))
    assert named(report) == {("unexplained", "activation_1")}
    assert "stranger (Dense), behind it, has no counterpart in the file" in report.findings[0].message
    put(extra, of(weights, "dense_3"))
    assert named(porter.verify(network, chain_by_hand(weights, between=extra))) == {("layers.repeated", "dense_3")}


def test_dropout_in_training_mode(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = chain(rng, tmp_path)
    drop = layers.Dropout(0.5, seed=1)
    report = porter.verify(network, chain_by_hand(weights, between=lambda x: drop(x, training=True)))
    assert named(report) == {("mode.training", "activation_1")}


def test_two_layers_exchanged(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = chain(rng, tmp_path)

    def change(made: dict[str, Any]) -> None:
        put(made["dense_2"], of(weights, "dense_3"))
        put(made["dense_3"], of(weights, "dense_2"))

    report = porter.verify(network, chain_by_hand(weights, change))
    assert wrong_rows(report) == {"dense_2", "dense_3"}


def test_a_layer_left_out(tmp_path: Path, rng: np.random.Generator) -> None:
    config = model([
        layer("Dense", f"dense_{i}", units=4, activation="tanh", **({"batch_input_shape": [None, 4]} if i == 1 else {}))
        for i in range(1, 6)
    ])  # fmt: skip
    weights: Arrays = {f"dense_{i}": dense(rng, f"dense_{i}", 4, 4) for i in range(1, 6)}
    network = porter.read(write(tmp_path / "m.h5", config, weights))
    for gap in (2, 3, 4):
        port = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, "tanh") for _ in range(4))])
        for one, i in zip(port.layers, [i for i in range(1, 6) if i != gap], strict=True):
            put(one, of(weights, f"dense_{i}"))
        report = porter.verify(network, port)
        assert named(report) == {("layers.missing", f"dense_{gap}")}
        assert wrong_rows(report) == set()


def test_names_that_contradict_the_structure(tmp_path: Path, rng: np.random.Generator) -> None:
    network, _ = chain(rng, tmp_path)
    right = porter.build(network)
    names = {"dense_1": "dense_2", "dense_2": "dense_1"}
    port = keras.Sequential([keras.Input((4,))])
    for each in right.layers[1:]:
        settings = each.get_config()
        port.add(type(each).from_config(settings | {"name": names.get(each.name, each.name)}))
    port.set_weights(right.get_weights())
    report = porter.verify(network, port)
    assert is_right(report)
    assert {row.layer: row.port_layer for row in report.layers}["dense_1"] == ("dense_2",)


# ---- an image network


def image(rng: np.random.Generator, tmp_path: Path) -> tuple[Any, Arrays]:
    conv = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "valid", "data_format": "channels_last",
            "dilation_rate": [1, 1], "use_bias": True}  # fmt: skip
    config = model([
        layer("ZeroPadding2D", "pad_1", padding=[[1, 1], [1, 1]], data_format="channels_last",
              batch_input_shape=[None, 8, 8, 2]),
        layer("Conv2D", "conv_1", filters=4, activation="relu", **conv),
        layer("BatchNormalization", "bn_1", axis=-1, epsilon=1e-3, center=True, scale=True),
        layer("MaxPooling2D", "pool_1", pool_size=[2, 2], strides=[2, 2], padding="valid",
              data_format="channels_last"),
        layer("Conv2D", "conv_2", filters=4, activation="linear", **conv),
        layer("Activation", "relu_2", activation="relu"),
        layer("Flatten", "flat", data_format="channels_last"),
        layer("Dense", "dense_1", units=3, activation="softmax"),
    ])  # fmt: skip
    weights: Arrays = {"pad_1": {}, "pool_1": {}, "relu_2": {}, "flat": {}, "dense_1": dense(rng, "dense_1", 16, 3)}
    for name, shape in (("conv_1", (3, 3, 2, 4)), ("conv_2", (3, 3, 4, 4))):
        weights[name] = {
            f"{name}/kernel:0": rng.normal(size=shape).astype(np.float32),
            f"{name}/bias:0": rng.normal(size=4).astype(np.float32),
        }
    roles = ("gamma", "beta", "moving_mean", "moving_variance")
    weights["bn_1"] = {f"bn_1/{role}:0": rng.uniform(0.5, 2, 4).astype(np.float32) for role in roles}
    return porter.read(write(tmp_path / "m.h5", config, weights)), weights


def image_by_hand(weights: Arrays, **more: Any) -> Any:
    """The padding inside the first convolution, its activation apart, the second one's fused, Reshape for Flatten."""
    made = {
        "conv_1": layers.Conv2D(4, 3, padding="same"), "conv_2": layers.Conv2D(4, 3, activation="relu"),
        "bn_1": layers.BatchNormalization(epsilon=more.get("epsilon", 1e-3)), "dense_1": layers.Dense(3, "softmax"),
    }  # fmt: skip
    begin = keras.Input((8, 8, 2))
    x = made["conv_1"](begin)
    x = layers.ReLU()(x)
    x = made["bn_1"](x, training=more.get("training"))
    x = more.get("pool", layers.MaxPooling2D(2))(x)
    x = made["conv_2"](x)
    x = layers.Reshape((16,))(x)
    port = keras.Model(begin, made["dense_1"](x))
    for name, one in made.items():
        put(one, of(weights, name))
    return port


def test_an_image_network(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = image(rng, tmp_path)
    report = porter.verify(network, image_by_hand(weights))
    assert is_right(report)
    rows = {row.layer: row for row in report.layers}
    assert rows["pad_1"].verdict == "folded into conv_1"
    assert rows["conv_2"].port_layer == rows["relu_2"].port_layer


@pytest.mark.parametrize(
    ("layer_", "changes"),
    [
        ("bn_1", {"epsilon": 1e-5}),
        ("bn_1", {"training": True}),
        ("pool_1", {"pool": layers.AveragePooling2D(2)}),
    ],
)
def test_what_is_wrong_with_an_image_network(
    tmp_path: Path, rng: np.random.Generator, layer_: str, changes: dict[str, Any]
) -> None:
    network, weights = image(rng, tmp_path)
    report = porter.verify(network, image_by_hand(weights, **changes))
    assert wrong_rows(report) == {layer for _, layer in named(report)} == {layer_}


def test_channels_elsewhere_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    network, _ = image(rng, tmp_path)
    port = keras.Sequential([keras.Input((2, 8, 8)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(porter.PortError, match=r"rows of shape \(2, 8, 8\)[\s\S]*\(8, 8, 2\)[\s\S]*channels"):
        porter.verify(network, port)


# ---- a text network


def text(rng: np.random.Generator, tmp_path: Path, *, masked: bool = False) -> tuple[Any, Arrays]:
    between = [] if masked else [
        layer("Conv1D", "conv_1", filters=4, kernel_size=[3], strides=[1], padding="valid", activation="relu",
              dilation_rate=[1], use_bias=True),
        layer("MaxPooling1D", "pool_1", pool_size=2, strides=2, padding="valid"),
    ]  # fmt: skip
    config = model([
        layer("Embedding", "words", input_dim=9, output_dim=4, mask_zero=masked, batch_input_shape=[None, 10]),
        *between,
        layer("LSTM", "lstm_1", units=3, activation="tanh", recurrent_activation="hard_sigmoid", use_bias=True,
              return_sequences=False),
        layer("Dense", "dense_1", units=2, activation="sigmoid"),
    ])  # fmt: skip
    weights: Arrays = {
        "words": {"words/embeddings:0": rng.normal(size=(9, 4)).astype(np.float32)},
        "conv_1": {
            "conv_1/kernel:0": rng.normal(size=(3, 4, 4)).astype(np.float32),
            "conv_1/bias:0": rng.normal(size=4).astype(np.float32),
        },
        "pool_1": {},
        "lstm_1": {
            "lstm_1/kernel:0": rng.normal(size=(4, 12)).astype(np.float32),
            "lstm_1/recurrent_kernel:0": rng.normal(size=(3, 12)).astype(np.float32),
            "lstm_1/bias:0": rng.normal(size=12).astype(np.float32),
        },
        "dense_1": dense(rng, "dense_1", 3, 2),
    }
    kept = {name: each for name, each in weights.items() if not masked or name not in ("conv_1", "pool_1")}
    return porter.read(write(tmp_path / "m.h5", config, kept)), weights


def old_hard_sigmoid(x: Any) -> Any:
    return ops.clip(0.2 * x + 0.5, 0, 1)


def text_by_hand(
    weights: Arrays, gate: Any = old_hard_sigmoid, *, masked: bool = False, zeros: bool | None = None
) -> Any:
    made = {
        "words": layers.Embedding(9, 4, mask_zero=masked if zeros is None else zeros),
        "conv_1": layers.Conv1D(4, 3, activation="relu"), "lstm_1": layers.LSTM(3, recurrent_activation=gate),
        "dense_1": layers.Dense(2, "sigmoid"),
    }  # fmt: skip
    begin = keras.Input((10,), dtype="int32")
    x = made["words"](begin)
    x = x if masked else layers.MaxPooling1D(2)(layers.SpatialDropout1D(0.3)(made["conv_1"](x)))
    port = keras.Model(begin, made["dense_1"](made["lstm_1"](x)))
    for name, one in made.items():
        if one.built:
            put(one, of(weights, name))
    return port


@pytest.mark.parametrize("masked", [False, True])
def test_a_text_network(tmp_path: Path, rng: np.random.Generator, masked: bool) -> None:
    network, weights = text(rng, tmp_path, masked=masked)
    assert is_right(porter.verify(network, text_by_hand(weights, masked=masked)))


def test_the_new_hard_sigmoid_in_a_text_network(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = text(rng, tmp_path)
    report = porter.verify(network, text_by_hand(weights, "hard_sigmoid"))
    assert named(report) == {("recurrent.activation", "lstm_1")}
    assert wrong_rows(report) == {"lstm_1"}


def test_a_mask_that_is_not_there(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = text(rng, tmp_path, masked=True)
    report = porter.verify(network, text_by_hand(weights, masked=True, zeros=False))
    assert report.verdict == "mismatch"
    assert named(report) == {("mask.missing", "words")}


# ---- a residual block and branches


def residual(rng: np.random.Generator, tmp_path: Path) -> tuple[Any, Arrays]:
    entries = [
        node(layer("InputLayer", "input_1", batch_input_shape=[None, 4], dtype="float32")),
        node(layer("Dense", "dense_1", units=4, activation="relu"), ["input_1"]),
        node(layer("Dense", "dense_2", units=4, activation="linear"), ["dense_1"]),
        node(layer("Add", "add_1"), ["dense_2", "dense_1"]),
        node(layer("Activation", "relu_1", activation="relu"), ["add_1"]),
        node(layer("Dense", "left", units=4, activation="tanh"), ["relu_1"]),
        node(layer("Dense", "right", units=4, activation="tanh"), ["relu_1"]),
        node(layer("Concatenate", "both", axis=-1), ["left", "right"]),
        node(layer("Dense", "dense_3", units=2, activation="linear"), ["both"]),
    ]
    weights: Arrays = {"input_1": {}, "add_1": {}, "relu_1": {}, "both": {}, "dense_3": dense(rng, "dense_3", 8, 2)}
    weights |= {name: dense(rng, name, 4, 4) for name in ("dense_1", "dense_2", "left", "right")}
    return porter.read(write(tmp_path / "m.h5", model(entries, ["input_1"], ["dense_3"]), weights)), weights


def residual_by_hand(weights: Arrays, **more: Any) -> Any:
    right, left = layers.Dense(4, "tanh"), layers.Dense(4, "tanh")
    made = {"right": right, "left": left, "dense_1": layers.Dense(4), "dense_2": layers.Dense(4),
            "dense_3": layers.Dense(2)}  # fmt: skip
    begin = keras.Input((4,))
    before = made["dense_1"](begin)
    x = layers.ReLU()(before)
    y = made["dense_2"](x)
    y = y if more.get("skip") == "none" else y + (before if more.get("skip") == "before" else x)
    y = ops.relu(y)
    sides = [left(y), right(y)]
    y = layers.Concatenate()(sides[::-1] if more.get("turned") else sides)
    port = keras.Model(begin, made["dense_3"](y))
    for name, one in made.items():
        put(one, of(weights, name))
    return port


def test_a_residual_block(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = residual(rng, tmp_path)
    assert is_right(porter.verify(network, residual_by_hand(weights)))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"skip": "none"}, {("graph.edge", "add_1")}),
        ({"skip": "before"}, {("graph.edge", "add_1")}),
        ({"turned": True}, {("graph.edge", "both")}),
    ],
)
def test_connections_that_are_wrong(
    tmp_path: Path, rng: np.random.Generator, changes: dict[str, Any], found: set[tuple[str, str]]
) -> None:
    network, weights = residual(rng, tmp_path)
    report = porter.verify(network, residual_by_hand(weights, **changes))
    assert report.verdict == "mismatch"
    assert named(report) == found


# ---- shared layers, several inputs and outputs


def shared(rng: np.random.Generator, tmp_path: Path) -> tuple[Any, Arrays]:
    entries = [
        node(layer("InputLayer", "one", batch_input_shape=[None, 4], dtype="float32")),
        node(layer("InputLayer", "two", batch_input_shape=[None, 4], dtype="float32")),
        node(layer("Dense", "tower", units=4, activation="tanh"), ["one"], ["two"]),
        node(layer("Subtract", "apart"), [["tower", 0, 0, {}], ["tower", 1, 0, {}]]),
        node(layer("Dense", "head", units=1, activation="sigmoid"), ["apart"]),
        node(layer("Dense", "other", units=1, activation="linear"), ["apart"]),
    ]
    weights: Arrays = {"one": {}, "two": {}, "apart": {}, "tower": dense(rng, "tower", 4, 4)}
    weights |= {name: dense(rng, name, 4, 1) for name in ("head", "other")}
    config = model(entries, ["one", "two"], ["head", "other"])
    return porter.read(write(tmp_path / "m.h5", config, weights)), weights


def shared_by_hand(weights: Arrays, *, turned: bool = False, inside: bool = False, factor: float = 1.0) -> Any:
    made = {"other": layers.Dense(1), "head": layers.Dense(1, "sigmoid"), "tower": layers.Dense(4, "tanh")}
    inputs = [keras.Input((4,)), keras.Input((4,))]
    tower: Any = made["tower"]
    if inside:
        begin = keras.Input((4,))
        tower = keras.Model(begin, made["tower"](begin))
    x = layers.Subtract()([tower(each) for each in inputs])
    ends = [made["head"](x), made["other"](x)]
    port = keras.Model(inputs, ends[::-1] if turned else ends)
    for name, one in made.items():
        kernel, bias = of(weights, name)
        put(one, [kernel * (np.float32(factor) if name == "tower" else 1), bias])
    return port


@pytest.mark.parametrize("inside", [False, True])
def test_a_shared_layer(tmp_path: Path, rng: np.random.Generator, inside: bool) -> None:
    network, weights = shared(rng, tmp_path)
    report = porter.verify(network, shared_by_hand(weights, inside=inside))
    assert is_right(report)
    assert any("inputs were paired in the order" in note for note in report.notes)


def test_a_shared_layer_that_is_wrong(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = shared(rng, tmp_path)
    report = porter.verify(network, shared_by_hand(weights, factor=1.01))
    assert wrong_rows(report) == {row.layer for row in report.layers if row.layer.startswith("tower")}
    assert len(wrong_rows(report)) == 2


def test_outputs_in_another_order(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = shared(rng, tmp_path)
    report = porter.verify(network, shared_by_hand(weights, turned=True))
    assert report.verdict == "mismatch"
    assert named(report) == {("graph.edge", "head"), ("graph.edge", "other")}


# ---- nested models


def nested(rng: np.random.Generator, tmp_path: Path) -> tuple[Any, Arrays]:
    inner = model([
        node(layer("InputLayer", "begin", batch_input_shape=[None, 4], dtype="float32")),
        node(layer("Dense", "first", units=4, activation="tanh"), ["begin"]),
        node(layer("Dense", "second", units=4, activation="relu"), ["first"]),
    ], ["begin"], ["second"])  # fmt: skip
    inner["config"]["name"] = "block"
    entries = [
        node(layer("InputLayer", "input_1", batch_input_shape=[None, 4], dtype="float32")),
        node({"class_name": "Model", "config": inner["config"]}, [["input_1", 0, 0, {}]]),
        node(layer("Dense", "end", units=2, activation="linear"), [["block", 1, 0, {}]]),
    ]
    parts: Arrays = {name: dense(rng, name, 4, 4) for name in ("first", "second")}
    weights: Arrays = {"input_1": {}, "block": parts["first"] | parts["second"], "end": dense(rng, "end", 4, 2)}
    path = write(tmp_path / "m.h5", model(entries, ["input_1"], ["end"]), weights)
    return porter.read(path), weights | parts


def inlined(weights: Arrays, factor: float = 1.0) -> Any:
    port = keras.Sequential([
        keras.Input((4,)), layers.Dense(4), layers.Activation("tanh"), layers.Dense(4, "relu"), layers.Dense(2)
    ])  # fmt: skip
    for one, name in zip(port.layers[:1] + port.layers[2:], ("first", "second", "end"), strict=True):
        kernel, bias = of(weights, name)
        put(one, [kernel * (np.float32(factor) if name == "second" else 1), bias])
    return port


def test_a_nested_model_inlined(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = nested(rng, tmp_path)
    assert is_right(porter.verify(network, inlined(weights)))
    report = porter.verify(network, inlined(weights, 1.01))
    assert wrong_rows(report) == {layer for _, layer in named(report)} == {"block/second"}


def test_a_chain_put_into_a_nested_model(tmp_path: Path, rng: np.random.Generator) -> None:
    network, weights = chain(rng, tmp_path)
    flat = chain_by_hand(weights)
    begin = keras.Input((4,))
    assert is_right(porter.verify(network, keras.Model(begin, flat(begin))))
