"""Ports of legacy graphs with code of somebody's own in them, or under other names, that are wrong where few look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import porter
from tests.keras_legacy.files import dense, layer, model, node, write


def verdict(network: Any, port: Any) -> str:
    return porter.verify(network, port, search=False).verdict


def own(function: Callable[[Any], Any], given: tuple[int | None, ...]) -> Any:
    """A layer that nobody vouches for."""
    import keras

    class Own(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return function(x)

        def compute_output_shape(self, shape: Any) -> Any:
            return (shape[0], *given)

    return Own()


# --- inputs in another order, under other names ----------------------------------------------------------------------


@pytest.mark.parametrize("swapped", [False, True])
def test_inputs_of_an_attention_that_are_exchanged(swapped: bool, tmp_path: Path) -> None:
    import keras

    rng = np.random.default_rng(4)
    entries = [
        node(layer("InputLayer", "x", batch_input_shape=[None, 6, 3])),
        node(layer("Dense", "q", units=4, activation="tanh"), ["x"]),
        node(layer("Dense", "v", units=4, activation="linear"), ["x"]),
        node(layer("Attention", "t", use_scale=False), ["q", "v"]),
    ]
    stored = {"x": {}, "q": dense(rng, "q", 3, 4), "v": dense(rng, "v", 3, 4), "t": {}}
    config = model(entries, ["x"], ["t"])
    network = porter.read(write(tmp_path / "m.h5", config, stored, version="2.4.0"))
    x = keras.Input((6, 3))
    made = {name: keras.layers.Dense(4, activation=each) for name, each in (("q", "tanh"), ("v", "linear"))}
    q, v = (one(x) for one in made.values())
    port = keras.Model(x, keras.layers.Attention()([v, q] if swapped else [q, v]))
    for name, one in made.items():
        one.set_weights(list(stored[name].values()))
    report = porter.verify(network, port, search=False)
    assert report.verdict == ("mismatch" if swapped else "parity")
    assert [(each.code, each.layer) for each in report.findings] == ([("graph.edge", "t")] if swapped else [])


# --- what few rows meet ----------------------------------------------------------------------------------------------


def a_table(path: Path) -> tuple[Any, Any, tuple[int, ...]]:
    rng = np.random.default_rng(1)
    table = rng.normal(0, 0.8, (50, 4)).astype(np.float32)
    entries = [layer("Embedding", "e", input_dim=50, output_dim=4, batch_input_shape=[None, 9], mask_zero=False)]
    return porter.read(write(path / "m.h5", model(entries), {"e": {"e/embeddings:0": table}})), table, (9,)


@pytest.mark.parametrize("word", [None, 14, 48])
def test_one_word_of_a_hidden_table(word: int | None, tmp_path: Path) -> None:
    import keras

    network, table, shape = a_table(tmp_path)
    table = table.copy()
    if word is not None:
        table[word] *= -1
    x = keras.Input(shape)
    look_up = own(lambda x: keras.ops.take(table, keras.ops.cast(x, "int32"), axis=0), (9, 4))
    assert verdict(network, keras.Model(x, look_up(x))) == ("parity" if word is None else "mismatch")


@pytest.mark.parametrize("theta", [0.7, 0.7005, 0.69])
def test_a_threshold_that_a_port_writes_itself(theta: float, tmp_path: Path) -> None:
    import keras

    entries = [layer("ThresholdedReLU", "t", theta=0.7, batch_input_shape=[None, 5])]
    network = porter.read(write(tmp_path / "m.h5", model(entries), {"t": {}}))
    x = keras.Input((5,))
    port = keras.Model(x, own(lambda x: x * keras.ops.cast(x > theta, x.dtype), (5,))(x))
    assert verdict(network, port) == ("parity" if theta == 0.7 else "mismatch")


@pytest.mark.parametrize("cap", [None, 5.0, 10.0])
def test_a_softmax_of_capped_numbers(cap: float | None, tmp_path: Path) -> None:
    import keras

    entries = [layer("Softmax", "s", axis=-1, batch_input_shape=[None, 5])]
    network = porter.read(write(tmp_path / "m.h5", model(entries), {"s": {}}))
    x = keras.Input((5,))
    port = keras.Model(x, own(lambda x: keras.ops.softmax(x if cap is None else keras.ops.minimum(x, cap)), (5,))(x))
    assert verdict(network, port) == ("parity" if cap is None else "mismatch")


CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "right": lambda inner, x: inner(x),
    "capped inputs": lambda inner, x: inner(_ops().minimum(x, 100.0)),
    "a rare branch": lambda inner, x: inner(x) * _ops().where(_first(x) > 1.8, 1.05, 1.0),
}


def _ops() -> Any:
    import keras

    return keras.ops


def _first(x: Any) -> Any:
    return x[:, :1, :1]


@pytest.mark.parametrize("kind", ["LayerNormalization", "LSTM"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_few_rows_meet_in_a_layer_that_hides_its_arrays(kind: str, change: str, tmp_path: Path) -> None:
    import keras

    rng = np.random.default_rng(2)
    if kind == "LSTM":
        settings: dict[str, Any] = {"units": 4, "return_sequences": True}
        arrays = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    else:
        settings, arrays = {"axis": [2], "epsilon": 1e-3}, {"gamma": (3,), "beta": (3,)}
    weights = {role: rng.normal(0, 0.5, size).astype(np.float32) for role, size in arrays.items()}
    config = model([layer(kind, "hidden", batch_input_shape=[None, 5, 3], **settings)])
    stored = {"hidden": {f"hidden/{role}:0": array for role, array in weights.items()}}
    network = porter.read(write(tmp_path / "m.h5", config, stored, version="2.4.0"))
    made = getattr(keras.layers, kind)(**settings)
    made.build((None, 5, 3))
    made.set_weights(list(weights.values()))
    call = made.__call__  # a method: Keras would track the layer
    x = keras.Input((5, 3))
    port = keras.Model(x, own(lambda x: CHANGES[change](call, x), made.compute_output_shape((None, 5, 3))[1:])(x))
    assert verdict(network, port) == ("parity" if change == "right" else "mismatch")
