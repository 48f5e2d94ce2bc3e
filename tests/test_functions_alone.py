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
    assert compared(lambda z: np.clip(np.tanh(z), -0.999999, 0.999999))


def _alone(name: str, function: Function, dtype: str = "float32") -> int:
    def run(z: Any) -> Any:
        return ops.convert_to_numpy(function(ops.convert_to_tensor(z, dtype=dtype)))

    return compare_function(Activation(name), run, 7, Precision(dtype, dtype)).exceeding


def _softmax(x: Any) -> Any:
    return ops.exp(x) / ops.sum(ops.exp(x), -1, keepdims=True)


def test_no_number_infinities_and_the_largest_numbers_are_among_those_that_it_is_held_against() -> None:
    for name in ("tanh", "sigmoid", "relu", "elu", "softplus", "linear", "hard_sigmoid", "gelu", "silu", "selu"):
        assert _alone(name, getattr(keras.activations, name)) == 0, name
    assert _alone("tanh", lambda x: ops.tanh(ops.nan_to_num(x)))
    assert _alone("linear", ops.nan_to_num)
    assert _alone("tanh", lambda x: ops.where(ops.isinf(x), ops.zeros_like(x), ops.tanh(x)))
    assert _alone("relu", lambda x: ops.minimum(ops.relu(x), 1e38))


def test_a_softmax_is_held_against_the_files_by_rows() -> None:
    for right in (ops.softmax, _softmax, lambda x: ops.exp(ops.log_softmax(x))):
        assert _alone("softmax", right) == 0
    assert _alone("softmax", lambda x: ops.softmax(1.001 * x))
    assert _alone("softmax", lambda x: ops.softmax(ops.where((x > 0.5) & (x < 0.51), 0.5, x)))
    assert _alone("softmax", lambda x: ops.clip(ops.softmax(x), 1e-5, 1))


def _written_tanh(x: Any) -> Any:
    return 2 * ops.sigmoid(2 * x) - 1


def _quotient(x: Any) -> Any:
    return (ops.exp(x) - ops.exp(-x)) / (ops.exp(x) + ops.exp(-x))


KINDS: dict[str, tuple[tuple[int, ...], Callable[..., Any], tuple[str, ...]]] = {
    "Conv1D": ((9, 4), lambda kind: kind(6, 3, name="own"), ("kernel", "bias")),
    "LSTM": ((3, 4), lambda kind: kind(5, name="own"), ("kernel", "recurrent_kernel", "bias")),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_tanh_written_out_is_one_in_every_kind_of_layer(tmp_path: Path, kind: str) -> None:
    shape, make, names = KINDS[kind]
    made = keras.Sequential([keras.Input(shape), make(getattr(layers, kind))])
    rng = np.random.default_rng(3)
    arrays = [rng.normal(0, 0.5, each.shape).astype(np.float32) for each in made.weights]
    own = {f"own/{name}:0": array for name, array in zip(names, arrays, strict=True)}
    told = {"filters": 6, "kernel_size": [3]} if kind == "Conv1D" else {"units": 5, "recurrent_activation": "sigmoid"}
    config = model([layer(kind, "own", activation="tanh", batch_input_shape=[None, *shape], **told)])
    network = porter.read(write(tmp_path / "m.h5", config, {"own": own}))

    def verify(function: Function, weights: list[Any]) -> Any:
        made.layers[0].set_weights(weights)
        target = made.layers[0].cell if kind == "LSTM" else made.layers[0]
        target.activation = function
        return porter.verify(network, made, search=False, rows=100)

    for written in (_written_tanh, _quotient)[: 1 if kind == "LSTM" else 2]:  # whose every call takes long
        report = verify(written, arrays)
        assert report.verdict == "parity", str(report)
        assert any("less exact near zero" in note for note in report.notes)
    wrong = [arrays[0] * np.float32(1.001), *arrays[1:]]
    assert verify(_written_tanh, wrong).verdict == "mismatch"
    assert verify(lambda x: _written_tanh(1.001 * x), arrays).verdict == "mismatch"


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
