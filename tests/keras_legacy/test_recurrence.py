"""Long sequences judged a time step at a time: a bound carried along all of them allows everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter.examination.graphs.states import Recurrence, recurrent_layers
from porter.examination.power import has_power
from porter.formats.programs import build_program
from reference.precision import Precision, round_to
from reference.rounding.bounds import allowed_error
from reference.rounding.recurrent_steps import is_stepped
from tests.keras_legacy.files import layer, model, write

STEPS, FEATURES = 24, 6
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
UNITS = {"SimpleRNN": 96, "GRU": 64, "LSTM": 128}


def arrays(rng: np.random.Generator, kind: str, name: str, inputs: int = FEATURES, scale: float = 0.3) -> Any:
    """Large enough that a bound carried along all steps allows more than the outputs range over."""
    units, gates = UNITS[kind], GATES[kind]
    shapes = {"kernel": (inputs, gates * units), "recurrent_kernel": (units, gates * units), "bias": (gates * units,)}
    return {f"{name}/{each}:0": rng.normal(0, scale, shape).astype(np.float32) for each, shape in shapes.items()}


def config(kind: str, name: str = "rnn", **more: Any) -> Any:
    gate = {} if kind == "SimpleRNN" else {"recurrent_activation": "sigmoid"}
    return layer(kind, name, units=UNITS[kind], activation="tanh", use_bias=True, **gate, **more)


def recurrent(path: Path, kind: str, *, masked: bool = False, **more: Any) -> Any:
    """A legacy network of one recurrent layer."""
    shape = [None, STEPS, FEATURES]
    first = [layer("Masking", "masking", mask_value=0.5, batch_input_shape=shape)] if masked else []
    last = config(kind, **more, **({} if masked else {"batch_input_shape": shape}))
    weights = arrays(np.random.default_rng(3), kind, "rnn")
    return porter.read(write(path / "m.h5", model([*first, last]), {"rnn": weights}))


def in_both_directions(path: Path, kind: str, mode: str = "concat", **more: Any) -> Any:
    rng = np.random.default_rng(3)
    inner = config(kind, return_sequences=True, **more)
    entry = layer("Bidirectional", "both", layer=inner, merge_mode=mode, batch_input_shape=[None, STEPS, FEATURES])
    weights = {
        **{f"both/forward_{each}": value for each, value in arrays(rng, kind, "rnn").items()},
        **{f"both/backward_{each}": value for each, value in arrays(rng, kind, "rnn").items()},
    }
    return porter.read(write(path / "m.h5", model([entry]), {"both": weights}))


def by_hand(network: Any, kind: str, **changes: Any) -> Any:
    """A port under names of its own."""
    inputs = keras.Input((STEPS, FEATURES))
    reset = {"reset_after": False} if kind == "GRU" else {}
    made = getattr(keras.layers, kind)(UNITS[kind], **reset, **changes)
    port = keras.Model(inputs, made(inputs))
    made.set_weights(list(network.layer("rnn").weights.values()))
    return port


def codes(report: Any) -> list[str]:
    return [finding.code for finding in report.findings]


@pytest.mark.parametrize(("kind", "sequences"), [("SimpleRNN", True), ("GRU", False), ("GRU", True), ("LSTM", False)])
def test_a_long_sequence_read_backwards_is_named(tmp_path: Path, kind: str, sequences: bool) -> None:
    network = recurrent(tmp_path, kind, return_sequences=sequences)
    right = porter.verify(network, by_hand(network, kind, return_sequences=sequences))
    assert right.verdict == "parity"
    assert right.layers[0].allowed < 1e-4
    wrong = porter.verify(network, by_hand(network, kind, return_sequences=sequences, go_backwards=True))
    assert wrong.verdict == "mismatch"
    assert codes(wrong) == ["recurrent.direction"]


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_hard_gates_along_a_long_sequence_are_named(tmp_path: Path, kind: str) -> None:
    network = recurrent(tmp_path, kind)
    wrong = porter.verify(network, by_hand(network, kind, recurrent_activation="hard_sigmoid"))
    assert codes(wrong) == ["recurrent.activation"]


@pytest.mark.parametrize("kind", GATES)
def test_the_bound_carried_along_all_steps_would_have_allowed_it(tmp_path: Path, kind: str) -> None:
    """Why it is done: the negative control of the tests above."""
    network = recurrent(tmp_path, kind)
    step = build_program(network).steps[0]
    x = round_to(np.random.default_rng(0).normal(0, 4, (3, STEPS, FEATURES)), "float32")
    right, wrong = step(x), step(x[:, ::-1])
    carried = allowed_error(step, (x,), right, Precision("float32", "float32"))
    assert np.abs(right.outputs - wrong.outputs).max() > 0.5
    assert (np.abs(right.outputs - wrong.outputs) <= carried).mean() > 0.9


@pytest.mark.parametrize(("kind", "mode"), [("LSTM", "concat"), ("GRU", "sum"), ("GRU", "mul"), ("GRU", "ave")])
def test_both_directions(tmp_path: Path, kind: str, mode: str) -> None:
    network = in_both_directions(tmp_path, kind, mode)
    port = porter.build(network)
    right = porter.verify(network, port)
    assert right.verdict == "parity"
    assert right.layers[0].allowed < 1e-4
    both = port.get_layer("both")
    ahead, back = both.forward_layer.get_weights(), both.backward_layer.get_weights()
    both.forward_layer.set_weights(back)
    both.backward_layer.set_weights(ahead)
    assert "recurrent.direction" in codes(porter.verify(network, port))


def test_hard_gates_in_both_directions(tmp_path: Path) -> None:
    network = in_both_directions(tmp_path, "LSTM")
    port = porter.build(network)
    for one in (port.get_layer("both").forward_layer, port.get_layer("both").backward_layer):
        one.cell.recurrent_activation = keras.activations.hard_sigmoid
    assert codes(porter.verify(network, port)) == ["recurrent.activation"]


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16", "mixed_bfloat16"])
def test_states_of_a_port_are_within_the_bound_of_one_step(kind: str, dtype: str) -> None:
    """Masks in front, in the middle and throughout; both directions; wide numbers and narrow ones."""
    rng, policy = np.random.default_rng(5), keras.DTypePolicy(dtype)
    precision = Precision(policy.compute_dtype, policy.variable_dtype)
    for turn in range(4):
        made = getattr(keras.layers, kind)(8, return_sequences=turn % 2 == 0, go_backwards=turn > 1, dtype=dtype)
        x = round_to(rng.normal(0, 4.0 ** (turn - 1), (4, 9, 5)), policy.compute_dtype)
        mask = np.ones((4, 9), bool)
        mask[0, :3] = mask[1, 4:6] = mask[2] = False
        made.build(x.shape)
        made.set_weights([rng.normal(0, 0.7, weight.shape) for weight in made.weights])
        step = step_of(made, kind)
        given = keras.ops.convert_to_tensor(x, dtype=policy.compute_dtype)
        actual = np.asarray(keras.ops.cast(made(given, mask=mask), "float64"))
        found = Recurrence(recurrent_layers([made])).compare(step, (x, mask), actual, precision, "rows")
        assert found is not None and found.is_parity
        assert has_power(found.coarseness, precision)


def step_of(made: Any, kind: str) -> Any:
    """The reference's layer with a Keras layer's arrays."""
    from reference.activations import Activation
    from reference.operations.gru_cell import GRUCell
    from reference.operations.lstm_cell import LSTMCell
    from reference.operations.recurrent import Recurrent
    from reference.operations.simple_cell import SimpleCell

    weights = [np.asarray(weight, np.float64) for weight in made.get_weights()]
    tanh, sigmoid = Activation("tanh"), Activation("sigmoid")
    cells = {
        "SimpleRNN": lambda: SimpleCell(*weights, tanh),
        "GRU": lambda: GRUCell(*weights, tanh, sigmoid, True),
        "LSTM": lambda: LSTMCell(*weights, tanh, sigmoid),
    }
    return Recurrent("rnn", ("x", "mask"), cells[kind](), made.return_sequences, made.go_backwards, True)


def test_what_is_recurrent_is_judged_so() -> None:
    made = keras.layers.LSTM(3)
    assert is_stepped(step_of_built(made))
    assert not is_stepped(object())
    wrapped = keras.layers.TimeDistributed(keras.layers.Bidirectional(made))
    assert len(recurrent_layers([keras.layers.Dense(2), wrapped])) == 2


def step_of_built(made: Any) -> Any:
    made.build((2, 4, 5))
    return step_of(made, "LSTM")


class Odd(keras.layers.LSTM):
    """A layer of the user's own that does not take states."""

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if initial_state is not None:
            raise ValueError("no states, please")
        return super().call(sequences, mask=mask, training=training)


@pytest.mark.slow
def test_a_layer_that_hides_its_states_is_not_called_right(tmp_path: Path) -> None:
    """Nothing is known of its single steps, and the bound of all of them allows everything on ordinary rows.

    On wide ones its gates stand at their limits, where time that runs backwards shows.
    """
    network = recurrent(tmp_path, "LSTM")
    inputs = keras.Input((STEPS, FEATURES))
    for backwards in (False, True):
        made = Odd(UNITS["LSTM"], go_backwards=backwards)
        port = keras.Model(inputs, made(inputs))
        made.set_weights(list(network.layer("rnn").weights.values()))
        report = porter.verify(network, port)
        if backwards:
            assert [(each.code, each.layer) for each in report.findings] == [("recurrent.direction", "rnn")]
        else:
            assert (report.verdict, report.findings) == ("inconclusive", ())
            assert "the bound says nothing here" in report.layers[0].where
