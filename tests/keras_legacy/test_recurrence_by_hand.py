"""Recurrent layers that a port writes out itself: two directions as two layers, time steps as operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import porter
from tests.keras_legacy.files import dense, layer, model, write

STEPS, FEATURES, UNITS = 5, 3, 4


def drawn(rng: np.random.Generator, prefix: str, gates: int) -> dict[str, Any]:
    """The arrays of a recurrent layer as Keras 2 stores them."""
    shapes = {"kernel": (FEATURES, gates * UNITS), "recurrent_kernel": (UNITS, gates * UNITS), "bias": (gates * UNITS,)}
    return {
        f"{prefix}/{name}:0": (0.6 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()
    }


def verdicts(report: Any) -> set[str]:
    return {row.verdict for row in report.layers}


@pytest.mark.parametrize(
    "merge, turned, sequences",
    [("concat", "outputs", True), ("concat", "inputs", False), ("sum", "outputs", False), ("sum", "inputs", True)],
)
def test_two_directions_as_two_layers(tmp_path: Path, merge: str, turned: str, sequences: bool) -> None:
    rng = np.random.default_rng(7)
    inner = layer(
        "LSTM", "lstm", units=UNITS, activation="tanh", recurrent_activation="sigmoid", return_sequences=sequences
    )
    ahead, back = drawn(rng, "both/forward_lstm", 4), drawn(rng, "both/backward_lstm", 4)
    last = dense(rng, "last", 2 * UNITS if merge == "concat" else UNITS, 2)
    config = model([
        layer("Bidirectional", "both", layer=inner, merge_mode=merge, batch_input_shape=[None, STEPS, FEATURES]),
        layer("Dense", "last", units=2, activation="linear"),
    ])  # fmt: skip
    network = porter.read(write(tmp_path / "m.h5", config, {"both": ahead | back, "last": last}))

    def port(*, right: bool) -> Any:
        one = layers.LSTM(UNITS, return_sequences=sequences)
        other = layers.LSTM(UNITS, return_sequences=sequences, go_backwards=(turned == "outputs") == right)
        end = layers.Dense(2)
        x = keras.Input((STEPS, FEATURES))
        behind = other(ops.flip(x, 1) if turned == "inputs" else x)
        behind = ops.flip(behind, 1) if sequences and right else behind
        joined = ops.concatenate([one(x), behind], -1) if merge == "concat" else one(x) + behind
        made = keras.Model(x, end(joined))
        for each, arrays in ((one, ahead), (other, back), (end, last)):
            each.set_weights(list(arrays.values()))
        return made

    report = porter.verify(network, port(right=True))
    assert (report.verdict, report.findings, verdicts(report)) == ("parity", (), {"parity"})
    wrong = porter.verify(network, port(right=False))
    assert wrong.verdict == "mismatch"
    assert {finding.layer for finding in wrong.findings} == {"both"}


def simple_rnn(x: Any, arrays: list[Any], *, right: bool) -> Any:
    """Every state of a SimpleRNN."""
    kernel, recurrent, bias = arrays
    state, found = ops.zeros_like(x[:, 0, :1]) * ops.ones((1, UNITS)), []
    for at in range(STEPS):
        state = ops.tanh(ops.matmul(x[:, at], kernel) + ops.matmul(state, recurrent if right else recurrent.T) + bias)
        found.append(state)
    return ops.stack(found, 1)


def gru(x: Any, arrays: list[Any], *, right: bool) -> Any:
    """The last state of a GRU whose reset gate stands before the product; behind it where that is wrong."""
    kernel, recurrent, bias = arrays
    state = ops.zeros_like(x[:, 0, :1]) * ops.ones((1, UNITS))
    for at in range(STEPS):
        fed = ops.matmul(x[:, at], kernel) + bias
        gates = fed[:, : 2 * UNITS] + ops.matmul(state, recurrent[:, : 2 * UNITS])
        update, reset = ops.sigmoid(gates[:, :UNITS]), ops.sigmoid(gates[:, UNITS:])
        own = recurrent[:, 2 * UNITS :]
        inner = ops.matmul(reset * state, own) if right else reset * ops.matmul(state, own)
        state = update * state + (1 - update) * ops.tanh(fed[:, 2 * UNITS :] + inner)
    return state


@pytest.mark.parametrize(("kind", "gates", "written"), [("SimpleRNN", 1, simple_rnn), ("GRU", 3, gru)])
def test_time_steps_as_operations(tmp_path: Path, kind: str, gates: int, written: Any) -> None:
    arrays = drawn(np.random.default_rng(3), "rnn", gates)
    told: dict[str, Any] = {"units": UNITS, "activation": "tanh", "return_sequences": kind == "SimpleRNN"}
    told |= {"recurrent_activation": "sigmoid", "reset_after": False} if kind == "GRU" else {}
    config = model([layer(kind, "rnn", batch_input_shape=[None, STEPS, FEATURES], **told)])
    network = porter.read(write(tmp_path / "m.h5", config, {"rnn": arrays}))

    def port(*, right: bool) -> Any:
        x = keras.Input((STEPS, FEATURES))
        return keras.Model(x, written(x, list(arrays.values()), right=right))

    report = porter.verify(network, port(right=True))
    assert (report.verdict, report.findings, verdicts(report)) == ("parity", (), {"parity"})
    wrong = porter.verify(network, port(right=False))
    assert wrong.verdict == "mismatch"
    assert len(wrong.findings) <= 2, "one step is wrong, whatever it is written with"
    assert {finding.layer for finding in wrong.findings} == {"rnn"}
