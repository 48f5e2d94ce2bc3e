"""What is asked once where it was asked twice, and where it still is: the checks that were made cheaper can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter.examination.graphs import states
from porter.examination.graphs.idle import is_harmless
from porter.examination.graphs.predictable import is_predictable
from porter.examination.graphs.probes import ONE_ROW, fresh
from porter.examination.graphs.states import Recurrence
from porter.examination.graphs.suspect import Seen
from porter.examination.graphs.walking import Rows, is_walked, join
from porter.ports.keras.graph import read_graph
from reference.precision import Precision
from tests.keras_legacy.files import layer, model, write
from tests.keras_legacy.test_recurrence import FEATURES, STEPS, by_hand, in_both_directions, recurrent, step_of

L, ops = keras.layers, keras.ops
EXACT = Precision("float32", "float32")


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to run a recurrent layer for its states."""

    def refuse(*given: Any) -> Any:
        raise AssertionError("asked the layer")

    monkeypatch.setattr(states, "_states", refuse)


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM"])
@pytest.mark.usefixtures("unasked")
def test_right_layers_are_walked_by_their_cells_alone(tmp_path: Path, kind: str) -> None:
    network = recurrent(tmp_path, kind, masked=kind == "GRU")
    assert porter.verify(network, porter.build(network)).verdict == "parity"
    both = in_both_directions(tmp_path, kind)
    assert porter.verify(both, porter.build(both)).verdict == "parity"


class Capped(L.LSTM):
    """Caps the first time steps, which the last output has long forgotten."""

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = False) -> Any:
        first = ops.clip(sequences[:, :2], -0.5, 0.5)
        capped = ops.concatenate([first, sequences[:, 2:]], axis=1)
        return super().call(capped, initial_state=initial_state, mask=mask, training=training)


@pytest.mark.slow
def test_a_layer_with_a_call_of_its_own_is_asked_itself(tmp_path: Path) -> None:
    network = recurrent(tmp_path, "LSTM")
    inputs = keras.Input((STEPS, FEATURES))
    made = Capped(128)
    port = keras.Model(inputs, made(inputs))
    made.set_weights(list(network.layer("rnn").weights.values()))
    assert not is_walked(made)
    assert porter.verify(network, port).verdict == "mismatch"
    plain = L.LSTM(4)
    assert is_walked(plain)
    plain.__dict__["call"] = made.call
    assert not is_walked(plain)


def test_outputs_that_the_cells_do_not_lead_to_are_no_parity(tmp_path: Path) -> None:
    """Of either set of rows, and by as little as the bound of one step."""
    rng, made = np.random.default_rng(5), L.LSTM(8)
    x = rng.normal(0, 1, (6, 9, 5)).astype(np.float32).astype(np.float64)
    mask = np.ones((6, 9), bool)
    actual = np.asarray(made(x.astype(np.float32)), np.float64)
    recurrence, step = Recurrence([made]), step_of(made, "LSTM")
    parts = [Rows((x[:4], mask[:4]), actual[:4], "first"), Rows((x[4:], mask[4:]), actual[4:], "second")]
    found = recurrence.compare_rows(step, parts, EXACT)
    assert found is not None
    assert [one.elements > 0 and one.is_parity for one in found] == [True, True]
    assert found[1].where.startswith("second")
    for at in (0, 1):
        wrong = list(parts)
        wrong[at] = Rows(parts[at].fed, parts[at].actual + 1e-4, "wrong")
        assert recurrence.compare_rows(step, wrong, EXACT) is None
    assert join([Rows((x,), actual, ""), Rows((x[:, 1:],), actual, "")]) is None


def test_states_in_the_wrong_order_are_named_as_before(tmp_path: Path) -> None:
    network = recurrent(tmp_path, "LSTM")
    report = porter.verify(network, by_hand(network, "LSTM", go_backwards=True))
    assert [finding.code for finding in report.findings] == ["recurrent.direction"]


def functional(*made: Any, kind: Any = keras.Model) -> Any:
    inputs = hidden = keras.Input((4,))
    for one in made:
        hidden = one(hidden)
    return kind(inputs, hidden)


def own(x: Any) -> Any:
    return x


class Own(L.Layer):
    def call(self, x: Any) -> Any:
        return x


class OwnModel(keras.Model):
    pass


def test_models_of_keras_own_code_need_no_second_call() -> None:
    plain = functional(L.Dense(3, activation="relu"), L.Dropout(0.5), L.BatchNormalization())
    assert is_predictable(plain, plain.outputs)
    assert not is_predictable(plain, [plain.layers[1].output])
    nested = functional(plain, L.Reshape((3, 1)), L.Bidirectional(L.LSTM(2)))
    assert is_predictable(nested, nested.outputs)


@pytest.mark.parametrize(
    "made",
    [
        lambda: functional(Own()),
        lambda: functional(L.Dense(3, activation=lambda x: x)),
        lambda: functional(L.Lambda(lambda x: x)),
        lambda: functional(L.Dense(3), kind=OwnModel),
        lambda: functional(functional(L.Dense(3), kind=OwnModel)),
        lambda: functional(L.Reshape((4, 1)), L.LSTM(2, activation=own)),
        lambda: functional(L.Reshape((2, 2, 1)), L.RandomFlip()),
    ],
    ids=["layer", "activation", "lambda", "model", "nested", "cell", "random"],
)
def test_models_with_code_of_others_do(made: Any) -> None:
    port = made()
    assert not is_predictable(port, port.outputs)


def test_a_method_hidden_by_an_attribute_is_code_of_others() -> None:
    port = functional(L.Dense(3))
    port.layers[1].__dict__["call"] = lambda x: x
    assert not is_predictable(port, port.outputs)


def test_an_untrained_batch_normalization_is_compared(tmp_path: Path) -> None:
    """Its arrays are ones and zeros, which are the same in every order; a mistake in each of them is still tried."""
    config = model([layer("BatchNormalization", "norm", axis=[-1], epsilon=1e-3, batch_input_shape=[None, 4])])
    drawn = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
    arrays = {f"norm/{name}:0": np.full(4, value, np.float32) for name, value in drawn.items()}
    network = porter.read(write(tmp_path / "m.h5", config, {"norm": arrays}))
    report = porter.verify(network, porter.build(network))
    assert report.verdict == "parity"
    assert "kernel.values" in report.layers[0].would_show
    for at in range(4):
        port = porter.build(network)
        port.weights[at].assign(np.asarray(port.weights[at]) + np.float32(1e-3))
        assert porter.verify(network, port).verdict == "mismatch", port.weights[at].name


def test_one_row_that_comes_out_as_among_others_is_not_judged_again() -> None:
    rows = np.arange(12.0).reshape(4, 3)
    every, same = Seen("rows", {"x": rows}, 2 * rows), Seen(ONE_ROW, {"x": rows[1:2]}, 2 * rows[1:2])
    assert fresh(every, same) == []
    for changed in (replace(same, actual=2.0000001 * same.actual), replace(same, fed={"x": -same.fed["x"]})):
        assert fresh(every, changed) == [changed]


def test_operations_that_only_move_numbers_need_no_pairing() -> None:
    port = functional(L.Dense(4), L.Reshape((2, 2)), L.Dense(2, activation="relu"), L.ReLU(max_value=9.0))
    kinds = {type(node.operation).__name__: is_harmless(node) for node in read_graph(port).nodes[:2]}
    assert kinds == {"Dense": False, "Reshape": True}
    assert not any(is_harmless(node) for node in read_graph(port).nodes[2:])
