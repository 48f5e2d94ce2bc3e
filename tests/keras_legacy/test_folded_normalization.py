"""Ports that have a batch normalization multiplied into the layer in front of it, as exporters do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import porter
from tests.keras_legacy.files import layer, model, write

EPSILON = 1e-3
KINDS = {
    "Conv2D": ((7, 7, 3), {"filters": 5, "kernel_size": [3, 3]}),
    "DepthwiseConv2D": ((7, 7, 5), {"kernel_size": [3, 3], "depth_multiplier": 1}),
    "SeparableConv2D": ((7, 7, 3), {"filters": 5, "kernel_size": [3, 3]}),
    "Conv2DTranspose": ((7, 7, 3), {"filters": 5, "kernel_size": [3, 3]}),
    "Dense": ((6,), {"units": 5}),
}
SHAPES = {
    "Conv2D": {"kernel": (3, 3, 3, 5)},
    "DepthwiseConv2D": {"depthwise_kernel": (3, 3, 5, 1)},
    "SeparableConv2D": {"depthwise_kernel": (3, 3, 3, 1), "pointwise_kernel": (1, 1, 3, 5)},
    "Conv2DTranspose": {"kernel": (3, 3, 5, 3)},
    "Dense": {"kernel": (6, 5)},
}
Arrays = dict[str, dict[str, Any]]


def drawn(kind: str) -> Arrays:
    rng = np.random.default_rng(15)
    host = {name: rng.normal(0, 0.4, shape) for name, shape in SHAPES[kind].items()} | {"bias": rng.normal(0, 0.4, 5)}
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    norm = {name: rng.uniform(0.5, 1.5, 5) * sign for name, sign in zip(names, (1, -1, 1, 1), strict=True)}
    last = {"kernel": rng.normal(0, 0.4, (5, 2)), "bias": rng.normal(0, 0.4, 2)}
    arrays = {"host": host, "norm": norm, "last": last}
    return {name: {key: value.astype(np.float32) for key, value in held.items()} for name, held in arrays.items()}


def legacy(kind: str, arrays: Arrays, path: Path) -> Any:
    shape, told = KINDS[kind]
    space = [layer("GlobalAveragePooling2D", "mean")] if len(shape) > 1 else []
    config = model([
        layer(kind, "host", activation="linear", batch_input_shape=[None, *shape], **told),
        layer("BatchNormalization", "norm", epsilon=EPSILON, axis=[len(shape)]),
        layer("Activation", "bent", activation="relu"),
        *space,
        layer("Dense", "last", units=2, activation="linear"),
    ])  # fmt: skip
    named = {name: {f"{name}/{key}:0": each for key, each in held.items()} for name, held in arrays.items()}
    return porter.read(write(path / "m.h5", config, named))


def folded(kind: str, arrays: Arrays, mistake: str) -> Sequence[Any]:
    """The arrays of one layer for the two, in float32."""
    norm, host = arrays["norm"], arrays["host"]
    scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + np.float32(1e-5 if mistake == "epsilon" else EPSILON))
    kernels = [host[name].copy() for name in SHAPES[kind]]
    along = scale[:, np.newaxis] if kind in ("Conv2DTranspose", "DepthwiseConv2D") else scale
    kernels[-1] = kernels[-1] * along
    if mistake == "one weight":
        kernels[-1].reshape(-1)[3] *= np.float32(1.001)
    mean = 0 * norm["moving_mean"] if mistake == "mean" else norm["moving_mean"]
    bias = host["bias"] + norm["beta"] if mistake == "bias" else (host["bias"] - mean) * scale + norm["beta"]
    return [*kernels, bias]


def port(kind: str, arrays: Arrays, mistake: str = "", *, is_fused: bool = False) -> Any:
    shape, told = KINDS[kind]
    x = keras.Input(shape)
    host, last = getattr(layers, kind)(**told, activation="relu" if is_fused else None), layers.Dense(2)
    hidden = host(x) if is_fused else layers.ReLU()(host(x))
    made = keras.Model(x, last(layers.GlobalAveragePooling2D()(hidden) if len(shape) > 1 else hidden))
    host.set_weights(folded(kind, arrays, mistake))
    last.set_weights(list(arrays["last"].values()))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_normalization_multiplied_into_its_layer_is_parity_and_said(kind: str, tmp_path: Path) -> None:
    arrays = drawn(kind)
    network = legacy(kind, arrays, tmp_path)
    report = porter.verify(network, port(kind, arrays, is_fused=kind != "Dense"))
    assert report.verdict == "parity", str(report)
    assert {row.layer: row.verdict for row in report.layers}["norm"] == "folded into host"
    assert any("norm multiplied into host" in note for note in report.notes)


@pytest.mark.parametrize("mistake", ["epsilon", "mean", "bias", "one weight"])
@pytest.mark.parametrize("kind", ["Conv2D", "Dense"])
def test_a_mistake_in_the_multiplication_is_found_at_the_layer(kind: str, mistake: str, tmp_path: Path) -> None:
    arrays = drawn(kind)
    report = porter.verify(legacy(kind, arrays, tmp_path), port(kind, arrays, mistake))
    assert report.verdict == "mismatch"
    assert {finding.layer for finding in report.findings} == {"host"}
    assert "bias" in report.findings[0].message or mistake in ("epsilon", "one weight")


def test_a_normalization_left_out_is_still_missing(tmp_path: Path) -> None:
    arrays = drawn("Conv2D")
    network = legacy("Conv2D", arrays, tmp_path)
    made = port("Conv2D", arrays)
    made.layers[1].set_weights([arrays["host"]["kernel"], arrays["host"]["bias"]])
    assert [(finding.code, finding.layer) for finding in porter.verify(network, made).findings] == [
        ("layers.missing", "norm")
    ]


def _chain(between: str, arrays: Arrays, path: Path) -> Any:
    """A dense layer and its normalization, with something between them or nothing behind them."""
    shape = [None, 4, 6] if between == "time" else [None, 6]
    told = {"units": 5, "activation": "linear"}
    inner = {"class_name": "Dense", "config": {"name": "inner", **told}}
    config = model([
        layer("TimeDistributed", "host", layer=inner, batch_input_shape=shape) if between == "time" else
        layer("Dense", "host", batch_input_shape=shape, **told),
        *([layer("Dropout", "dropped", rate=0.2)] if between == "dropout" else []),
        layer("BatchNormalization", "norm", epsilon=EPSILON, axis=[len(shape) - 1]),
        *([layer("BatchNormalization", "again", epsilon=EPSILON, axis=[1])] if between == "twice" else []),
        *([] if between == "nothing behind" else [layer("Activation", "bent", activation="relu")]),
    ])  # fmt: skip
    held = {**arrays, "again": arrays["norm"]} if between == "twice" else dict(arrays)
    del held["last"]
    named = {name: {f"{name}/{key}:0": each for key, each in held[name].items()} for name in held}
    return porter.read(write(path / "m.h5", config, named))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("between", ["dropout", "nothing behind", "time", "twice"])
def test_a_normalization_is_multiplied_in_wherever_it_stands(between: str, dtype: str, tmp_path: Path) -> None:
    arrays = drawn("Dense")
    network = _chain(between, arrays, tmp_path)
    x = keras.Input((4, 6) if between == "time" else (6,), dtype=dtype)
    host = layers.Dense(5, dtype=dtype)
    hidden = layers.TimeDistributed(host, name="host", dtype=dtype)(x) if between == "time" else host(x)
    made = keras.Model(x, hidden if between == "nothing behind" else layers.ReLU(dtype=dtype)(hidden))
    kernel, bias = folded("Dense", arrays, "")
    if between == "twice":
        kernel, bias = folded("Dense", {**arrays, "host": {"kernel": kernel, "bias": bias}}, "")
    host.set_weights([kernel, bias])
    report = porter.verify(network, made)
    assert report.verdict == "parity", str(report)
    assert {row.layer: row.verdict for row in report.layers}["norm"] == "folded into host"
    kernel[2, 3] *= np.float32(1.001)
    host.set_weights([kernel, bias])
    report = porter.verify(network, made)
    assert report.verdict == "mismatch"
    assert {finding.layer for finding in report.findings} == {"host"}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_some_of_the_normalizations_of_a_residual_network_may_be_multiplied_in(tmp_path: Path) -> None:
    """Each layer of which another has the same shapes."""
    arrays = drawn("Dense")
    rng = np.random.default_rng(4)
    named = {}
    for name in ("c0", "c1", "c2"):
        kernel = rng.normal(0, 0.4, (5, 5)).astype(np.float32)
        named[name] = {f"{name}/kernel:0": kernel, f"{name}/bias:0": np.float32(rng.normal(0, 0.4, 5))}
        norm = {key: np.float32(each * rng.uniform(0.8, 1.2, 5)) for key, each in arrays["norm"].items()}
        named[f"b{name[1]}"] = {f"b{name[1]}/{key}:0": each for key, each in norm.items()}

    def graph(mod: Any, kept: Sequence[str], **options: Any) -> Any:
        x = hidden = mod.Input((5,))
        for name in ("c0", "c1", "c2"):
            y = mod.layers.Dense(5, name=name)(hidden)
            if f"b{name[1]}" in kept:
                y = mod.layers.BatchNormalization(epsilon=EPSILON, name=f"b{name[1]}")(y)
            y = mod.layers.ReLU(name=f"r{name[1]}")(y)
            hidden = y if name == "c0" else mod.layers.Add(name=f"a{name[1]}")([hidden, y])
        return mod.Model(x, hidden, **options)

    tf_keras = pytest.importorskip("tf_keras", reason="writes the legacy file")
    legacy_model = graph(tf_keras, ("b0", "b1", "b2"))
    for each in legacy_model.layers:
        if each.name in named:
            each.set_weights(list(named[each.name].values()))
    legacy_model.save(tmp_path / "m.h5")
    made = graph(keras, ("b2",))
    for name, own in named.items():
        if name == "b2":
            made.get_layer(name).set_weights(list(own.values()))
        elif name[0] == "c":
            host = dict(zip(("kernel", "bias"), own.values(), strict=True))
            norm = {key.split("/")[1][:-2]: each for key, each in named[f"b{name[1]}"].items()}
            pair = list(host.values()) if name == "c2" else folded("Dense", {"host": host, "norm": norm}, "")
            made.get_layer(name).set_weights(pair)
    report = porter.verify(porter.read(tmp_path / "m.h5"), made)
    assert report.verdict == "parity", str(report)
    assert [row.layer for row in report.layers if row.verdict.startswith("folded")] == ["b0", "b1"]
