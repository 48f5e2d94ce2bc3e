"""Conditions in somebody's own code that no ordinary row meets: found, compared there, or left open by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import porter
from tests.keras_legacy.files import layer, model, write

pytestmark = pytest.mark.usefixtures("keras")

WIDTHS = (4, 6, 5, 2)


@pytest.fixture(scope="module")
def arrays() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(units, inputs)).astype(np.float32), rng.normal(size=units).astype(np.float32))
        for inputs, units in itertools.pairwise(WIDTHS)
    ]


@pytest.fixture(scope="module")
def readings(arrays: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same network as a chain and as a graph of Keras'."""
    import h5py

    folder = tmp_path_factory.mktemp("conditions")
    with h5py.File(folder / "chain.h5", "w") as file:
        for number, (kernel, bias) in enumerate(arrays, start=1):
            file[f"Weights/Layer{number}"], file[f"Bias/Layer{number}"] = kernel, bias[:, np.newaxis]
        file["Layers"] = np.array(WIDTHS, np.int16)
    entries = [
        layer("Dense", f"d{at}", units=WIDTHS[at], activation="tanh" if at < 3 else "linear",
              **({"batch_input_shape": [None, 4]} if at == 1 else {}))
        for at in (1, 2, 3)
    ]  # fmt: skip
    stored = {
        f"d{at}": {f"d{at}/kernel:0": kernel.T.copy(), f"d{at}/bias:0": bias}
        for at, (kernel, bias) in enumerate(arrays, start=1)
    }
    graph = porter.read(write(folder / "graph.h5", model(entries), stored))
    return {"chain": porter.read(folder / "chain.h5", activation=("tanh", "tanh", "linear")), "graph": graph}


def own(function: Callable[[Any], Any], shape: tuple[int | None, ...]) -> Any:
    """A layer that shows no arrays."""
    import keras

    class Own(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return function(x)

        def compute_output_shape(self, given: Any) -> Any:
            return (given[0], *shape)

    return Own()


def ported(arrays: Any, way: Callable[..., Any]) -> Any:
    """A port whose second layer is somebody's own, which may change what is handed to it and what it gives."""
    import keras

    (_, _), (kernel, bias), (_, _) = arrays
    first, last = keras.layers.Dense(6, "tanh"), keras.layers.Dense(2)
    inputs = keras.Input((4,))
    hidden = own(lambda x: way(x, lambda x: keras.ops.matmul(x, kernel.T) + bias), (5,))
    port = keras.Model(inputs, last(hidden(first(inputs))))
    for each, (weights, biases) in ((first, arrays[0]), (last, arrays[2])):
        each.set_weights([weights.T, biases])
    return port


def ways() -> dict[str, Callable[..., Any]]:
    from keras import ops

    def nested(x: Any, affine: Any) -> Any:
        z = affine(x)
        return ops.where(z > 0.5, ops.where(z < 0.5005, 1.0, ops.tanh(z)), ops.tanh(z))

    return {
        "a narrow box": lambda x, affine: ops.where(
            (x[:, :1] > 0.5) & (x[:, :1] < 0.5005), 0.0, ops.tanh(affine(x))
        ),
        "a box in another": nested,
        "where all are large": lambda x, affine: ops.where(
            ops.all(x > 40.0, axis=1, keepdims=True), 0.0, ops.tanh(affine(x))
        ),
        "where a sum is large": lambda x, affine: ops.where(
            ops.sum(x, axis=1, keepdims=True) > 1e5, 0.0, ops.tanh(affine(x))
        ),
        "one number": lambda x, affine: ops.tanh(affine(ops.where(x == 7.25, 0.0, x))),
    }  # fmt: skip


@pytest.mark.parametrize("reading", ["chain", "graph"])
@pytest.mark.parametrize(
    "way", ["a narrow box", "a box in another", "where all are large", "where a sum is large", "one number"]
)
def test_a_condition_that_few_rows_meet_is_found(readings: Any, arrays: Any, reading: str, way: str) -> None:
    report = porter.verify(readings[reading], ported(arrays, ways()[way]), search=False)
    assert report.verdict == "mismatch"
    assert {finding.layer for finding in report.findings} == {"Layer2" if reading == "chain" else "d2"}


@pytest.mark.parametrize("reading", ["chain", "graph"])
@pytest.mark.parametrize("way", ["plain", "a clip beyond which nothing changes", "a guard", "an answer that is known"])
def test_conditions_that_change_nothing_are_right(readings: Any, arrays: Any, reading: str, way: str) -> None:
    from keras import ops

    right: dict[str, Callable[..., Any]] = {
        "plain": lambda x, affine: ops.tanh(affine(x)),
        "a clip beyond which nothing changes": lambda x, affine: ops.tanh(ops.clip(affine(x), -30.0, 30.0)),
        "a guard": lambda x, affine: ops.tanh(affine(x)) / ops.maximum(ops.ones_like(x[:, :1]), 1e-7),
        "an answer that is known": lambda x, affine: ops.where(ops.sigmoid(affine(x)) > 2, 0.0, ops.tanh(affine(x))),
    }
    report = porter.verify(readings[reading], ported(arrays, right[way]), search=False)
    assert (report.verdict, report.findings) == ("parity", ())


@pytest.mark.parametrize("reading", ["chain", "graph"])
def test_a_condition_that_nothing_meets_is_left_open(readings: Any, arrays: Any, reading: str) -> None:
    """How many rows there are is no number of a row."""
    import tensorflow as tf

    def way(x: Any, affine: Any) -> Any:
        y = tf.tanh(affine(x))
        return tf.cond(tf.shape(x)[0] == 1777, lambda: y + 0.1, lambda: y)

    report = porter.verify(readings[reading], ported(arrays, way), search=False)
    assert report.verdict == "inconclusive"
    assert "a condition in the port's own code that went one way" in " ".join(report.notes)


@pytest.mark.parametrize("steps", [None, 17])
def test_a_length_that_a_port_treats_otherwise_is_no_parity(tmp_path: Path, steps: int | None) -> None:
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(2)
    kernel, bias = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    entries = [
        layer("Dense", "d", units=4, activation="tanh", batch_input_shape=[None, None, 3]),
        layer("GlobalAveragePooling1D", "mean"),
    ]
    stored = {"d": {"d/kernel:0": kernel, "d/bias:0": bias}, "mean": {}}
    network = porter.read(write(tmp_path / "m.h5", model(entries), stored))

    def way(x: Any) -> Any:
        y = tf.tanh(tf.matmul(x, kernel) + bias)
        return y if steps is None else tf.cond(tf.equal(tf.shape(x)[1], steps), lambda: y + 0.1, lambda: y)

    inputs = keras.Input((None, 3))
    port = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(own(way, (None, 4))(inputs)))
    assert (porter.verify(network, port, search=False).verdict == "parity") == (steps is None)
