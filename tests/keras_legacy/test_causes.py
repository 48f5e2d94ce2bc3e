"""Causes that people hit: arrays copied as cuDNN stores them, exchanged statistics, forgotten arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from tests.keras_legacy import files

GATES = {"CuDNNLSTM": 4, "CuDNNGRU": 3}
PLAIN = {"CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU"}


def cudnn_arrays(rng: np.random.Generator, kind: str, units: int, inputs: int) -> list[np.ndarray]:
    gates = GATES[kind]
    return [
        rng.uniform(-1, 1.4, (inputs, gates * units)).astype("f4"),
        rng.uniform(-0.9, 0.7, (units, gates * units)).astype("f4"),
        (rng.normal(size=2 * gates * units) * 0.3).astype("f4"),
    ]


def as_stored(kind: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """What ``get_weights`` gave, with the biases in the shape that Keras 3 wants."""
    kernel, recurrent, bias = arrays
    halves = bias.reshape(2, -1)
    return [kernel, recurrent, halves.sum(0) if kind == "CuDNNLSTM" else halves]


def named(arrays: list[np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        f"{prefix}/{name}:0": array for name, array in zip(("kernel", "recurrent_kernel", "bias"), arrays, strict=True)
    }


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("wrapper", [None, "TimeDistributed", "Bidirectional"])
@pytest.mark.parametrize(("units", "inputs"), [(5, 3), (4, 4)])
def test_arrays_of_a_cudnn_layer_copied_as_stored(
    tmp_path: Path, *, kind: str, wrapper: str | None, units: int, inputs: int
) -> None:
    rng = np.random.default_rng(0)
    inner = files.layer(kind, "rnn", units=units, return_sequences=False, go_backwards=False)
    sides = 2 if wrapper == "Bidirectional" else 1
    arrays = [cudnn_arrays(rng, kind, units, inputs) for _ in range(sides)]
    shape = (4, 6, inputs) if wrapper == "TimeDistributed" else (6, inputs)
    entry = inner if wrapper is None else files.layer(wrapper, "outer", layer=inner, merge_mode="concat")
    entry["config"]["batch_input_shape"] = [None, *shape]
    name = entry["config"]["name"]
    stored = named(arrays[0], f"{name}/forward_rnn" if sides == 2 else name)
    stored |= named(arrays[1], f"{name}/backward_rnn") if sides == 2 else {}
    network = porter.read(files.write(tmp_path / "m.h5", files.model([entry]), {name: stored}))
    layer = getattr(keras.layers, PLAIN[kind])(units)
    layer = layer if wrapper is None else getattr(keras.layers, wrapper)(layer)
    model = keras.Sequential([keras.Input(shape), layer])
    model.layers[0].set_weights([array for each in arrays for array in as_stored(kind, each)])
    report = porter.verify(network, model)
    assert [finding.code for finding in report.findings] == ["kernel.reshaped"], report.findings
    assert "cuDNN's layout" in report.findings[0].message
    exec(report.findings[0].remedy, {"model": model, "network": network})
    assert porter.verify(network, model).verdict == "parity"


def test_values_of_an_initializer_are_still_called_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    entry = files.layer("CuDNNLSTM", "rnn", units=5, batch_input_shape=[None, 6, 3])
    arrays = named(cudnn_arrays(rng, "CuDNNLSTM", 5, 3), "rnn")
    network = porter.read(files.write(tmp_path / "m.h5", files.model([entry]), {"rnn": arrays}))
    report = porter.verify(network, keras.Sequential([keras.Input((6, 3)), keras.layers.LSTM(5)]))
    assert "kernel.unset" in {finding.code for finding in report.findings}
    assert not any("cuDNN" in finding.message for finding in report.findings)


ORDERS = {
    "mean first": (2, 3, 0, 1),
    "beta first": (1, 0, 2, 3),
    "variance first": (0, 1, 3, 2),
    "turned": (3, 2, 1, 0),
}


@pytest.mark.parametrize("order", ORDERS)
def test_one_remedy_for_all_arrays_of_a_batch_normalization(tmp_path: Path, order: str) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.5, 2, 6).astype("f4") for _ in range(4)]
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    entry = files.layer("BatchNormalization", "bn", axis=-1, epsilon=1e-3, batch_input_shape=[None, 4, 6])
    stored = {f"bn/{name}:0": array for name, array in zip(names, arrays, strict=True)}
    network = porter.read(files.write(tmp_path / "m.h5", files.model([entry]), {"bn": stored}))
    model = keras.Sequential([keras.Input((4, 6)), keras.layers.BatchNormalization(name="mine")])
    model.layers[0].set_weights([arrays[at] for at in ORDERS[order]])
    report = porter.verify(network, model)
    assert [finding.code for finding in report.findings] == ["batch_norm.order"], report.findings
    exec(report.findings[0].remedy, {"model": model, "network": network})
    assert porter.verify(network, model).verdict == "parity"


def changed(network: Any, layer: str, **arguments: Any) -> Any:
    """The port built again with other arguments of one layer."""
    right = porter.build(network)
    config = json.loads(json.dumps(right.get_config()))
    for each in config["layers"]:
        if each["config"]["name"] == layer:
            each["config"].update(arguments)
    wrong = keras.Model.from_config(config)
    wrong.set_weights(right.get_weights())
    return wrong


CASES: dict[str, tuple[dict[str, Any], list[int], dict[str, Any], str, str]] = {
    "nearest for bilinear": (
        files.layer("UpSampling2D", "x", size=[2, 2], interpolation="bilinear"), [5, 4, 3],
        {"interpolation": "nearest"}, "interpolation", "'nearest' for 'bilinear'",
    ),
    "bilinear for nearest": (
        files.layer("UpSampling2D", "x", size=[2, 3], interpolation="nearest"), [5, 4, 3],
        {"interpolation": "bilinear"}, "interpolation", "'bilinear' for 'nearest'",
    ),
    "resized by the nearest": (
        files.layer("Resizing", "x", height=7, width=5, interpolation="bilinear"), [5, 4, 3],
        {"interpolation": "nearest"}, "interpolation", "'nearest' for 'bilinear'",
    ),
    "not cropped": (
        files.layer("Resizing", "x", height=4, width=4, crop_to_aspect_ratio=True), [5, 9, 3],
        {"crop_to_aspect_ratio": False}, "layer.argument", "not cropped",
    ),
    "another range": (
        files.layer("Rescaling", "x", scale=1 / 127.5, offset=-1.0), [5],
        {"scale": 1 / 255, "offset": 0.0}, "scaling.range", "0.00392157",
    ),
    "no scaling": (
        files.layer("Rescaling", "x", scale=1 / 255, offset=0.0), [5], {"scale": 1.0}, "scaling.missing", "scale 1",
    ),
    "a factor of one's own": (
        files.layer("Rescaling", "x", scale=0.5, offset=0.25), [5], {"scale": 0.3, "offset": 2.0},
        "scaling.range", "scale 0.3 and the offset 2",
    ),
    "the variance for the deviation": (
        files.layer("Normalization", "x", axis=[-1], mean=[1.0, 2.0], variance=[4.0, 9.0]), [2],
        {"variance": [16.0, 81.0]}, "layer.argument", "divides by the variance",
    ),
    "inverted": (
        files.layer("Normalization", "x", axis=[-1], mean=[1.0, 2.0], variance=[4.0, 9.0]), [2],
        {"invert": True}, "scaling.inverted", "other way round",
    ),
    "other axes": (
        files.layer("UnitNormalization", "x", axis=[1, 2]), [4, 3], {"axis": 2}, "layer.argument", "(2,) for (1, 2)",
    ),
    "counted once": (
        files.layer("CategoryEncoding", "x", num_tokens=6, output_mode="count", dtype="int32"), [5],
        {"output_mode": "multi_hot"}, "layer.argument", "'multi_hot' for 'count'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_arguments_of_layers_without_weights_are_named(tmp_path: Path, name: str) -> None:
    entry, shape, wrong, code, says = CASES[name]
    entry = {**entry, "config": {**entry["config"], "batch_input_shape": [None, *shape]}}
    network = porter.read(files.write(tmp_path / "m.h5", files.model([entry]), {"x": {}}, version="2.9.0"))
    assert porter.verify(network, porter.build(network)).verdict == "parity"
    report = porter.verify(network, changed(network, "x", **wrong))
    assert [finding.code for finding in report.findings] == [code], report.findings
    assert says in report.findings[0].message


def test_an_interpolation_that_none_explains_stays_unexplained(tmp_path: Path) -> None:
    entry = files.layer("UpSampling2D", "x", size=[2, 2], interpolation="bilinear", batch_input_shape=[None, 5, 4, 3])
    network = porter.read(files.write(tmp_path / "m.h5", files.model([entry]), {"x": {}}, version="2.9.0"))
    report = porter.verify(network, changed(network, "x", interpolation="bicubic"))
    assert [finding.code for finding in report.findings] == ["unexplained"]
