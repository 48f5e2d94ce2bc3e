"""A port of a legacy Keras graph with code of its own, called in other batches, again and again, and as a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from tests.keras_legacy.files import dense, layer, model, write
from tests.keras_legacy.test_whole import by_hand, network
from tests.test_conduct import RIGHT, WRONG


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("what", [*WRONG, *RIGHT])
def test_a_port_wrong_in_other_calls_is_no_parity(tmp_path: Path, what: str, names: bool) -> None:
    legacy = network(tmp_path)
    report = porter.verify(legacy, by_hand(legacy, names, (WRONG | RIGHT)[what]()))
    assert report.verdict == ("mismatch" if what in WRONG else "parity"), str(report)


class Behind(keras.Model):
    """Its own call does something else for large batches than its layers do."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        found = super().call(inputs, training=training, mask=mask)
        return found * keras.ops.where(keras.ops.shape(found)[0] > 50, 1.01, 1.0)


def test_a_call_of_its_own_is_made_with_large_batches_too(tmp_path: Path) -> None:
    legacy = network(tmp_path)
    assert porter.verify(legacy, by_hand(legacy, names=True, kind=Behind)).verdict == "mismatch"


def test_layers_of_keras_beside_the_legacy_ones_are_asked(tmp_path: Path) -> None:
    """A recurrent layer that hands its state to one that forgets it, in a port that bears the legacy names."""
    rng, steps = np.random.default_rng(2), 40
    config = model([
        layer("Embedding", "words", input_dim=9, output_dim=3, batch_input_shape=[None, steps]),
        layer("SimpleRNN", "memory", units=4, activation="tanh", use_bias=True, return_sequences=False),
        layer("Dense", "end", units=2, activation="linear", use_bias=True),
    ])  # fmt: skip
    weights = {
        "words": {"words/embeddings:0": rng.normal(0, 1, (9, 3)).astype("f4")},
        "memory": {
            "memory/kernel:0": rng.normal(0, 0.5, (3, 4)).astype("f4"),
            "memory/recurrent_kernel:0": (0.1 * rng.normal(0, 0.5, (4, 4))).astype("f4"),
            "memory/bias:0": np.zeros(4, "f4"),
        },
        "end": dense(rng, "end", 4, 2),
    }
    legacy = porter.read(write(tmp_path / "m.h5", config, weights))

    def port(stray: bool) -> Any:
        x = keras.Input((steps,))
        words = keras.layers.Embedding(9, 3, name="words")(x)
        state = keras.layers.SimpleRNN(4, name="hidden")(words) if stray else None
        h = keras.layers.SimpleRNN(4, name="memory")(words, initial_state=state)
        made = keras.Model(x, keras.layers.Dense(2, name="end")(h))
        for name in ("words", "memory", "end"):
            made.get_layer(name).set_weights(list(legacy.layer(name).weights.values()))
        return made

    assert porter.verify(legacy, port(stray=False)).verdict == "parity"
    assert porter.verify(legacy, port(stray=True)).verdict == "mismatch"
