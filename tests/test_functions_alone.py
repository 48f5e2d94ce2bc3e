"""Activations that are wrong only for numbers which the inputs of a network hardly ever give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import porter
from porter.examination.functions import compare_function
from reference.activations import Activation
from reference.precision import Precision
from tests.keras_legacy.files import dense, layer, model, write

FEATURES, UNITS = 5, 12
Function = Callable[[Any], Any]


def shrunk(x: Any) -> Any:
    """Nothing below a threshold that rows of a network give once in thousands."""
    return ops.where(x > 1e-5, x, ops.zeros_like(x))


def in_a_band(x: Any) -> Any:
    return ops.where((x > 0.5) & (x < 0.501), ops.zeros_like(x), ops.relu(x))


def at_zero(x: Any) -> Any:
    return ops.where(x == 0, 0.5 * ops.ones_like(x), ops.relu(x))


WRONG: dict[str, Function | layers.Layer] = {
    "threshold": layers.ReLU(threshold=1e-5),
    "shrunk": shrunk,
    "band": in_a_band,
    "zero": at_zero,
    "cap": layers.ReLU(max_value=3e4),
}
RIGHT: dict[str, Function | layers.Layer] = {
    "function": ops.relu,
    "layer": layers.ReLU(),
    "maximum": lambda x: ops.maximum(x, ops.zeros_like(x)),
    "by hand": lambda x: ops.where(x > 0, x, ops.zeros_like(x)),
}


@pytest.fixture(scope="module")
def arrays() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(6)
    return {"first": dense(rng, "first", FEATURES, UNITS), "second": dense(rng, "second", UNITS, 2)}


@pytest.fixture(scope="module")
def as_graph(arrays: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = model([
        layer("Dense", "first", units=UNITS, activation="relu", batch_input_shape=[None, FEATURES]),
        layer("Dense", "second", units=2, activation="linear"),
    ])  # fmt: skip
    return porter.read(write(tmp_path_factory.mktemp("graph") / "m.h5", config, arrays))


@pytest.fixture(scope="module")
def as_chain(arrays: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("chain") / "m.npz"
    named = {f"{name}.{kind}": arrays[name][f"{name}/{kind}:0"] for name in arrays for kind in ("kernel", "bias")}
    np.savez(path, **{key.replace("kernel", "weight"): each.T for key, each in named.items()})
    return porter.read(path, activation=["relu", "linear"])


def ported(arrays: dict[str, Any], function: Any, *, is_apart: bool) -> Any:
    x = keras.Input((FEATURES,))
    own = [layers.Dense(UNITS, None if is_apart else function), layers.Dense(2)]
    hidden = own[0](x)
    if is_apart:
        hidden = (function if isinstance(function, layers.Layer) else layers.Activation(function))(hidden)
    made = keras.Model(x, own[1](hidden))
    for each, name in zip(own, arrays, strict=True):
        each.set_weights([arrays[name][f"{name}/{kind}:0"] for kind in ("kernel", "bias")])
    return made


@pytest.mark.parametrize("is_apart", [False, True], ids=["fused", "apart"])
@pytest.mark.parametrize("family", ["chain", "graph"])
def test_an_activation_is_held_against_the_files_on_numbers_of_every_size(
    arrays: dict[str, Any], as_chain: Any, as_graph: Any, family: str, is_apart: bool
) -> None:
    network = as_chain if family == "chain" else as_graph
    for name, function in RIGHT.items():
        report = porter.verify(network, ported(arrays, function, is_apart=is_apart), search=False, rows=100)
        assert report.verdict == "parity", (name, str(report))
    for name, function in WRONG.items():
        report = porter.verify(network, ported(arrays, function, is_apart=is_apart), search=False, rows=100)
        assert report.verdict == "mismatch", name
        codes = {(finding.code, finding.layer) for finding in report.findings}
        assert codes == {("activation.replaced", network_layer(report))}, (name, codes)
        assert name == "cap" or "everywhere: at " in report.findings[0].message


def network_layer(report: Any) -> str:
    return str(report.layers[0].layer)


def test_the_functions_of_a_recurrent_layer_are_held_against_the_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    shapes = {"kernel": (FEATURES, 4 * UNITS), "recurrent_kernel": (UNITS, 4 * UNITS), "bias": (4 * UNITS,)}
    weights = {f"rnn/{name}:0": rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}
    told = {"units": UNITS, "activation": "tanh", "recurrent_activation": "sigmoid", "implementation": 2}
    config = model([layer("LSTM", "rnn", batch_input_shape=[None, 4, FEATURES], **told)])
    network = porter.read(write(tmp_path / "m.h5", config, {"rnn": weights}))

    def port(function: Function) -> Any:
        x = keras.Input((4, FEATURES))
        own = layers.LSTM(UNITS, activation=function)
        made = keras.Model(x, own(x))
        own.set_weights(list(weights.values()))
        return made

    assert porter.verify(network, port(ops.tanh)).verdict == "parity"
    report = porter.verify(network, port(lambda x: ops.where(ops.abs(x) < 1e-5, ops.zeros_like(x), ops.tanh(x))))
    assert [(finding.code, finding.layer) for finding in report.findings] == [("activation.replaced", "rnn")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_formulas_of_exponentials_may_round_as_such_formulas_do(dtype: str) -> None:
    precision = Precision(dtype, dtype)

    def compared(function: Function) -> int:
        with np.errstate(all="ignore"):
            return compare_function(Activation("tanh"), function, 3, precision).exceeding

    def written_out(z: Any) -> Any:
        return 2 / (1 + np.exp(-2 * z)) - 1

    assert compared(np.tanh) == 0
    assert compared(written_out) == 0
    assert compared(lambda z: 1 - 2 / (np.exp(2 * z) + 1)) == 0
    assert compared(lambda z: np.where(np.abs(z) < 1e-5, 0, np.tanh(z)))
    assert compared(lambda z: np.where((z > 0.5) & (z < 0.501), 0, written_out(z)))


@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_a_softmax_written_out_may_overflow_row_by_row(arrays: dict[str, Any], tmp_path: Path, factor: float) -> None:
    named = {f"{name}.{kind}": arrays[name][f"{name}/{kind}:0"] for name in arrays for kind in ("kernel", "bias")}
    np.savez(tmp_path / "m.npz", **{key.replace("kernel", "weight"): each.T for key, each in named.items()})
    network = porter.read(tmp_path / "m.npz", activation=["tanh", "softmax"])
    x = keras.Input((FEATURES,))
    own = [
        layers.Dense(UNITS, "tanh"),
        layers.Dense(2, lambda z: factor * ops.exp(z) / ops.sum(ops.exp(z), -1, keepdims=True)),
    ]
    made = keras.Model(x, own[1](own[0](x)))
    for each, name in zip(own, arrays, strict=True):
        each.set_weights([arrays[name][f"{name}/{kind}:0"] for kind in ("kernel", "bias")])
    report = porter.verify(network, made, search=False, rows=100)
    assert report.verdict == ("parity" if factor == 1 else "mismatch"), str(report)
