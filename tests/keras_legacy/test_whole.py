"""The port that is called is the port that is judged: as a whole, with one row, and twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter.port_state import take_snapshot
from tests.keras_legacy.files import dense, layer, model, write


def network(path: Path) -> Any:
    rng = np.random.default_rng(8)
    config = model([
        layer("Dense", "front", units=5, activation="tanh", use_bias=True, batch_input_shape=[None, 4]),
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


def by_hand(legacy: Any, names: bool, between: Any = None, kind: Any = keras.Model) -> Any:
    x = h = keras.Input((4,))
    made = [
        keras.layers.Dense(5, "tanh", name="front" if names else None),
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
