"""Layers that keep their state from call to call: kept by the port, judged, and left as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter.ports.keras.state import take_snapshot
from reference.operations.recurrent import run
from tests.keras_legacy.files import dense, layer, model, write

ROWS, STEPS, FEATURES, UNITS = 2, 5, 3, 4


def stateful(path: Path, *, keeps: bool = True, rows: int | None = ROWS) -> Any:
    """A GRU that keeps its state, and a dense layer."""
    rng = np.random.default_rng(6)
    shapes = {"kernel": (FEATURES, 3 * UNITS), "recurrent_kernel": (UNITS, 3 * UNITS), "bias": (3 * UNITS,)}
    arrays = {f"gru/{each}:0": rng.normal(size=shape).astype(np.float32) for each, shape in shapes.items()}
    config = model([
        layer("GRU", "gru", units=UNITS, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
              stateful=keeps, batch_input_shape=[rows, STEPS, FEATURES]),
        layer("Dense", "end", units=2, activation="linear", use_bias=True),
    ])  # fmt: skip
    return porter.read(write(path / "m.h5", config, {"gru": arrays, "end": dense(rng, "end", UNITS, 2)}))


def by_hand(network: Any, **changes: Any) -> Any:
    made = [keras.layers.GRU(UNITS, reset_after=False, **changes), keras.layers.Dense(2)]
    port = keras.Sequential([keras.Input(batch_shape=(ROWS, STEPS, FEATURES)), *made])
    made[0].cell.set_weights(list(network.layer("gru").weights.values()))
    made[1].set_weights(list(network.layer("end").weights.values()))
    return port


def codes(report: Any) -> list[tuple[str, str]]:
    return [(finding.code, finding.layer) for finding in report.findings]


def test_the_state_is_kept_from_call_to_call(tmp_path: Path) -> None:
    network = stateful(tmp_path)
    assert porter.port(network, tmp_path / "p.keras").verdict == "parity"
    port = keras.models.load_model(tmp_path / "p.keras")
    x = np.random.default_rng(0).normal(size=(2, ROWS, STEPS, FEATURES)).astype(np.float32)
    found = [np.asarray(port(batch)) for batch in x]
    gru, end = network.layer("gru"), network.layer("end")
    cell, state, wanted = cell_of(gru), np.zeros((ROWS, UNITS)), []
    for batch in x:
        _, (state,) = run(cell, batch.astype(np.float64), (state,), None)
        wanted.append(state @ end.weights["kernel"] + end.weights["bias"])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    afresh = run(cell, x[1].astype(np.float64), (np.zeros((ROWS, UNITS)),), None)[1][0]
    assert np.abs(afresh @ end.weights["kernel"] + end.weights["bias"] - wanted[1]).max() > 1e-2


def cell_of(gru: Any) -> Any:
    from reference.activations import Activation
    from reference.operations.gru_cell import GRUCell

    return GRUCell(*gru.weights.values(), Activation("tanh"), Activation("sigmoid"))


@pytest.mark.parametrize("keeps", [True, False])
def test_a_state_dropped_or_kept_where_it_should_not_be_is_named(tmp_path: Path, keeps: bool) -> None:
    network = stateful(tmp_path, keeps=keeps)
    right = porter.verify(network, by_hand(network, stateful=keeps))
    assert (right.verdict, codes(right)) == ("parity", [])
    wrong = porter.verify(network, by_hand(network, stateful=not keeps))
    assert wrong.verdict == "mismatch"
    assert codes(wrong) == [("state.missing" if keeps else "call.unsteady", "gru")]


def test_a_port_with_the_legacy_names_that_dropped_its_state_is_named(tmp_path: Path) -> None:
    network = stateful(tmp_path)
    kept, dropped = porter.build(network), porter.build(stateful(tmp_path / "..", keeps=False))
    assert kept.get_layer("gru").stateful
    assert codes(porter.verify(network, kept)) == []
    assert codes(porter.verify(network, dropped)) == [("state.missing", "gru")]


def test_nothing_of_the_port_is_changed(tmp_path: Path) -> None:
    """Its state least of all: a verification calls the port on many rows."""
    network = stateful(tmp_path)
    port = by_hand(network, stateful=True)
    port(np.ones((ROWS, STEPS, FEATURES), np.float32))
    before = take_snapshot(port)
    assert any(np.asarray(state).any() for state in port.layers[0].states)
    assert porter.verify(network, port).verdict == "parity"
    assert before.moved == ()
    port(np.ones((ROWS, STEPS, FEATURES), np.float32))
    assert len(before.moved) == 1


class Forgetful(keras.layers.GRU):
    """A layer of the user's own that takes itself for stateful, and begins anew."""

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        begin = self.get_initial_state(keras.ops.shape(sequences)[0]) if initial_state is None else initial_state
        return super().call(sequences, initial_state=begin, mask=mask, training=training)


class Pair(keras.layers.Layer):
    """A layer that can take two rows alone."""

    def call(self, x: Any) -> Any:
        return keras.ops.reshape(x, (ROWS, 1, STEPS, FEATURES))[:, 0]


def test_a_port_of_one_size_of_batch_is_judged_on_that(tmp_path: Path) -> None:
    network = stateful(tmp_path, keeps=False)
    for sign in (1, -1):
        port = by_hand(network)
        port.layers[1].set_weights([sign * each for each in port.layers[1].get_weights()])
        inputs = keras.Input(batch_shape=(ROWS, STEPS, FEATURES))
        fixed = keras.Model(inputs, port.layers[1](port.layers[0](Pair()(inputs))))
        report = porter.verify(network, fixed)
        assert report.verdict == ("parity" if sign > 0 else "mismatch")
        assert [row.verdict for row in report.layers] == ["parity", report.verdict]


def test_two_batches_in_a_row_show_what_is_kept(tmp_path: Path) -> None:
    network = stateful(tmp_path)
    made = Forgetful(UNITS, reset_after=False, stateful=True)
    end = keras.layers.Dense(2)
    port = keras.Sequential([keras.Input(batch_shape=(ROWS, STEPS, FEATURES)), made, end])
    made.cell.set_weights(list(network.layer("gru").weights.values()))
    end.set_weights(list(network.layer("end").weights.values()))
    assert porter.verify(network, port).verdict == "mismatch"
