"""What stands inside a step's pieces and is none of it: nothing that the outputs show, and yet no part of the port."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from tests.keras_legacy.files import dense, layer, model, write

STEPS, FEATURES, UNITS = 40, 4, 8
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


def network(path: Path, kind: str) -> Any:
    """It forgets how its sequences begin."""
    rng = np.random.default_rng(1)
    gate = {} if kind == "SimpleRNN" else {"recurrent_activation": "sigmoid"}
    shape = [None, STEPS, FEATURES]
    config = model([
        layer(kind, "rnn", units=UNITS, activation="tanh", use_bias=True, batch_input_shape=shape, **gate),
        layer("Dense", "front", units=6, activation="tanh", use_bias=True),
        layer("Dense", "end", units=3, activation="linear", use_bias=True),
    ])  # fmt: skip
    sizes = {"kernel": (FEATURES, GATES[kind] * UNITS), "recurrent_kernel": (UNITS, GATES[kind] * UNITS)}
    arrays = {f"rnn/{name}:0": rng.normal(0, 0.3, size) for name, size in sizes.items()}
    arrays["rnn/bias:0"] = rng.normal(0, 0.3, GATES[kind] * UNITS)
    weights = {"rnn": {name: value.astype(np.float32) for name, value in arrays.items()}}
    weights |= {"front": dense(rng, "front", UNITS, 6), "end": dense(rng, "end", 6, 3)}
    return porter.read(write(path / "m.h5", config, weights))


class Own(keras.layers.Layer):
    """A layer of the user's own."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self.change = change

    def call(self, x: Any) -> Any:
        return self.change(x)


def by_hand(legacy: Any, kind: str, names: bool, ahead: Any = None, between: Any = None, begin: Any = None) -> Any:
    reset = {"reset_after": False} if kind == "GRU" else {}
    x = h = keras.Input((STEPS, FEATURES))
    made = [
        getattr(keras.layers, kind)(UNITS, name="rnn" if names else None, **reset),
        keras.layers.Dense(6, "tanh", name="front" if names else None),
        keras.layers.Dense(3, name="end" if names else None),
    ]
    h = made[0](h if ahead is None else ahead(h), **({} if begin is None else {"initial_state": begin(x)}))
    h = made[1](h)
    port = keras.Model(x, made[2](h if between is None else between(h)))
    for each, name in zip(made, ("rnn", "front", "end"), strict=True):
        each.set_weights(list(legacy.layer(name).weights.values()))
    return port


def exchanged(x: Any) -> Any:
    return keras.ops.concatenate([x[:, 1:2], x[:, :1], x[:, 2:]], axis=1)


def blanked(x: Any) -> Any:
    return keras.ops.concatenate([x[:, :3], 0 * x[:, 3:4], x[:, 4:]], axis=1)


def own(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A new layer at every call."""

    def apply(x: Any) -> Any:
        return Own(change)(x)

    return apply


def padded(x: Any) -> Any:
    return keras.layers.ZeroPadding1D((3, 0))(x)


FORGOTTEN: dict[str, Callable[[Any], Any]] = {
    "the first step left out": lambda x: x[:, 1:],
    "the last 30 steps alone": own(lambda y: y[:, -30:]),
    "two steps exchanged": own(exchanged),
    "a step without numbers": own(blanked),
    "zeros in front": padded,
}
KINDS = ("LSTM", "LSTM", "GRU", "SimpleRNN", "GRU")
LITTLE: dict[str, Callable[[Any], Any]] = {
    "a factor": own(lambda y: y * (1 + 8e-7)),
    "six decimals": own(lambda y: keras.ops.round(y * 1e6) / 1e6),
    "an addend": lambda x: x + 8e-7,
}


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize(("kind", "what"), list(zip(KINDS, FORGOTTEN, strict=True)))
def test_what_is_done_to_the_forgotten_beginning_of_a_sequence_is_seen(
    tmp_path: Path, kind: str, names: bool, what: str
) -> None:
    legacy = network(tmp_path, kind)
    wrong = by_hand(legacy, kind, names, ahead=FORGOTTEN[what])
    report = porter.verify(legacy, wrong)
    assert report.verdict == "mismatch", str(report)
    assert {finding.layer for finding in report.findings} == {"rnn"}


@pytest.mark.parametrize("kind", GATES)
def test_the_outputs_do_not_show_it(tmp_path: Path, kind: str) -> None:
    """Or the tests above would not need what they test."""
    legacy = network(tmp_path, kind)
    x = np.random.default_rng(0).normal(size=(32, STEPS, FEATURES)).astype(np.float32)
    right = np.asarray(by_hand(legacy, kind, True)(x))
    wrong = np.asarray(by_hand(legacy, kind, True, ahead=FORGOTTEN["the first step left out"])(x))
    assert np.abs(right - wrong).max() < 1e-5


@pytest.mark.parametrize("kind", ["LSTM", "SimpleRNN"])
def test_an_initial_state_that_is_forgotten_is_seen(tmp_path: Path, kind: str) -> None:
    legacy = network(tmp_path, kind)

    def begin(x: Any) -> Any:
        state = Own(lambda y: 1e-3 * y[:, 0, :1] + keras.ops.zeros((1, UNITS)))(x)
        return [state, state] if kind == "LSTM" else [state]

    report = porter.verify(legacy, by_hand(legacy, kind, True, begin=begin))
    assert report.verdict == "mismatch", str(report)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("what", LITTLE)
def test_what_changes_little_more_than_rounding_does_is_seen(tmp_path: Path, names: bool, what: str) -> None:
    legacy = network(tmp_path, "GRU")
    report = porter.verify(legacy, by_hand(legacy, "GRU", names, between=LITTLE[what]))
    assert report.verdict == "mismatch", str(report)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "names"), [("SimpleRNN", True), ("GRU", False), ("LSTM", True)])
def test_right_ports_with_layers_of_their_own_pass(tmp_path: Path, kind: str, names: bool) -> None:
    legacy = network(tmp_path, kind)
    turned = Own(lambda x: keras.ops.flip(keras.ops.flip(x, 1), 1))
    scaled = Own(lambda x: x * 1.0)
    report = porter.verify(legacy, by_hand(legacy, kind, names, ahead=turned, between=scaled))
    assert report.verdict == "parity", str(report)
    assert not report.findings
