"""The port that is called is the port that is judged: as a whole, with one row, and twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter.ports.keras.state import take_snapshot
from tests.keras_legacy.files import dense, layer, model, write


def network(path: Path, activation: str = "tanh") -> Any:
    rng = np.random.default_rng(8)
    config = model([
        layer("Dense", "front", units=5, activation=activation, use_bias=True, batch_input_shape=[None, 4]),
        layer("Dense", "end", units=2, activation="linear", use_bias=True),
    ])  # fmt: skip
    weights = {"front": dense(rng, "front", 4, 5), "end": dense(rng, "end", 5, 2)}
    return porter.read(write(path / "m.h5", config, weights))


class Scaled(keras.Model):
    """Its own call does something with what its layers give."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return super().call(inputs, training=training, mask=mask) * 1.5


class Alone(keras.layers.Layer):
    """Wrong for a batch of one row."""

    def call(self, x: Any) -> Any:
        return x * keras.ops.where(keras.ops.shape(x)[0] == 1, 0.5, 1.0)


class Drifting(keras.layers.Layer):
    """Gives more with every call."""

    def build(self, shape: Any) -> None:
        self.count = self.add_weight(name="count", shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return x + 1e-3 * self.count


def by_hand(legacy: Any, names: bool, between: Any = None, kind: Any = keras.Model, activation: str = "tanh") -> Any:
    x = h = keras.Input((4,))
    made = [
        keras.layers.Dense(5, activation, name="front" if names else None),
        keras.layers.Dense(2, name="end" if names else None),
    ]
    h = made[0](h)
    h = h if between is None else between(h)
    port = kind(x, made[1](h))
    for each, name in zip(made, ("front", "end"), strict=True):
        each.set_weights(list(legacy.layer(name).weights.values()))
    return port


@pytest.mark.parametrize("names", [True, False])
def test_a_call_of_its_own_is_named(tmp_path: Path, names: bool) -> None:
    legacy = network(tmp_path)
    assert porter.verify(legacy, by_hand(legacy, names)).verdict == "parity"
    report = porter.verify(legacy, by_hand(legacy, names, kind=Scaled))
    assert report.verdict == "mismatch"
    assert [finding.code for finding in report.findings] == ["call.overridden"]


@pytest.mark.parametrize("names", [True, False])
def test_a_layer_wrong_for_one_row_is_seen(tmp_path: Path, names: bool) -> None:
    legacy = network(tmp_path)
    assert porter.verify(legacy, by_hand(legacy, names, Alone())).verdict == "mismatch"


@pytest.mark.parametrize("names", [True, False])
def test_other_numbers_each_time_are_seen_and_nothing_is_changed(tmp_path: Path, names: bool) -> None:
    legacy = network(tmp_path)
    port = by_hand(legacy, names, Drifting())
    before = take_snapshot(port)
    assert porter.verify(legacy, port).verdict == "mismatch"
    assert before.moved == ()


class Asserting(keras.layers.Layer):
    """Refuses what lies outside the range of a tanh."""

    def call(self, x: Any) -> Any:
        if hasattr(x, "numpy") and float(np.abs(x.numpy()).max()) > 1:
            raise ValueError("outside")
        return x


HIDDEN = {
    "clip": lambda x: keras.ops.clip(x, -100, 100),
    "nan_to_num": keras.ops.nan_to_num,
    "cap": lambda x: keras.ops.minimum(x, 60.0),
}
RIGHT = {
    "asserting": Asserting(),
    "reshaped": lambda x: keras.ops.reshape(keras.ops.reshape(x, (-1, 5, 1)), (-1, 5)),
    "dropout": keras.layers.Dropout(0.5),
}


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("what", [*HIDDEN, *RIGHT])
def test_what_does_nothing_on_ordinary_rows_is_asked_on_special_values(tmp_path: Path, names: bool, what: str) -> None:
    activation = "relu" if what in HIDDEN else "tanh"
    legacy = network(tmp_path, activation)
    report = porter.verify(legacy, by_hand(legacy, names, (HIDDEN | RIGHT)[what], activation=activation))
    assert report.verdict == ("mismatch" if what in HIDDEN else "parity")
    # What numbers far away show is told at the step that they show it at; no number at the one it stands behind.
    where = {"nan_to_num": "front", "clip": "end", "cap": "end"}
    assert [finding.layer for finding in report.findings] == ([where[what]] if what in HIDDEN else [])
    assert all(what.split("_", maxsplit=1)[0] in str(report).lower() or what == "cap" for _ in report.findings)


IDEMPOTENT = {
    ("relu", "relu again"): keras.ops.relu,
    ("relu", "its size"): keras.ops.abs,
    ("tanh", "a clip that it never reaches"): lambda x: keras.ops.clip(x, -100, 100),
    ("sigmoid", "a cap that it never reaches"): lambda x: keras.ops.minimum(x, 2.0),
}


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize(("activation", "what"), IDEMPOTENT)
def test_what_changes_nothing_that_the_layer_in_front_gives_is_right(
    tmp_path: Path, names: bool, activation: str, what: str
) -> None:
    legacy, second = network(tmp_path, activation), IDEMPOTENT[activation, what]
    assert porter.verify(legacy, by_hand(legacy, names, second, activation=activation)).verdict == "parity"
    # Where it can change something, it is told.
    legacy = network(tmp_path, "linear")
    assert porter.verify(legacy, by_hand(legacy, names, second, activation="linear")).verdict == "mismatch"


def test_what_does_not_fit_the_ports_dtype_is_uncompared_and_told(tmp_path: Path) -> None:
    """Overflow that is inevitable says nothing against a port, and nothing for it."""
    rng = np.random.default_rng(8)
    config = model([
        layer("Dense", "front", units=5, activation="linear", use_bias=True, batch_input_shape=[None, 4]),
        layer("Dense", "end", units=2, activation="tanh", use_bias=True),
    ])  # fmt: skip
    front = dense(rng, "front", 4, 5) | {"front/bias:0": np.full(5, 1e6, np.float32)}
    legacy = porter.read(write(tmp_path / "m.h5", config, {"front": front, "end": dense(rng, "end", 5, 2)}))
    report = porter.verify(legacy, porter.build(legacy, dtype="float16"))
    assert report.verdict == "inconclusive"
    assert report.layers[0].verdict == "uncompared"
    assert any("front" in note and "do not fit the port's dtype" in note for note in report.notes)


def test_a_predict_step_of_its_own_is_told(tmp_path: Path) -> None:
    class Shifted(keras.Model):
        def predict_step(self, data: Any) -> Any:
            return super().predict_step(data) + 1

    legacy = network(tmp_path)
    built = porter.build(legacy)
    report = porter.verify(legacy, Shifted(built.inputs, built.outputs))
    assert (report.verdict, report.links["build"]) == ("inconclusive", "inconclusive")
    assert any("predict_step" in note for note in report.notes)
    assert porter.verify(legacy, built).verdict == "parity"
