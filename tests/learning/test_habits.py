"""Models as people train them: Dropout on random data, elu and a schedule, a CNN-LSTM with attention; each judged."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.learning.drift_report import DriftReport

RNG = np.random.default_rng(0)


def mlp(keras):
    """The MNIST tutorial's network, on random data of its shape."""
    model = keras.Sequential([
        keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(16, "relu", name="hidden"),
        keras.layers.Dropout(0.2), keras.layers.Dense(10, "softmax", name="digits"),
    ])  # fmt: skip
    data = RNG.random((96, 28, 28)), np.eye(10)[RNG.integers(0, 10, 96)]
    return model, data, {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}


def tiny(keras):
    """The overfitting tutorial's tiny network, under InverseTimeDecay."""
    layers = [keras.layers.Dense(16, "elu", name="hidden"), keras.layers.Dense(1, name="signal")]
    return _binary(keras, layers)


def small(keras):
    """And its small one."""
    layers = [keras.layers.Dense(16, "elu", name="first"), keras.layers.Dense(16, "elu", name="second")]
    return _binary(keras, [*layers, keras.layers.Dense(1, name="signal")])


def _binary(keras, layers):
    model = keras.Sequential([keras.Input((28,)), *layers])
    data = RNG.standard_normal((96, 28)), RNG.integers(0, 2, (96, 1)).astype(float)
    return model, data, {"loss": keras.losses.BinaryCrossentropy(from_logits=True), "metrics": ["binary_accuracy"]}


def cnn_lstm(keras):
    """Convolutions, an LSTM and attention over time."""
    inputs = keras.Input((12, 4))
    x = keras.layers.Conv1D(6, 3, activation="relu", padding="same", name="conv")(inputs)
    x = keras.layers.LSTM(6, return_sequences=True, name="lstm")(x)
    x = keras.layers.Attention(name="attention")([x, x])
    x = keras.layers.GlobalAveragePooling1D(name="mean")(x)
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid", name="out")(x))
    data = RNG.standard_normal((64, 12, 4)), RNG.integers(0, 2, (64, 1)).astype(float)
    return model, data, {"loss": "binary_crossentropy", "metrics": ["accuracy"]}


def reloaded(keras, model, path):
    """The model out of each of the formats that such code saves in."""
    import tensorflow as tf

    yield path / "model.keras", model.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("absl.logging.warning", lambda *_: None)  # Keras warns that .h5 is old
        yield path / "model.h5", model.save
    weights, checkpoint = (type(model).from_config(model.get_config()) for _ in range(2))
    model.save_weights(path / "model.weights.h5")
    weights.load_weights(path / "model.weights.h5")
    yield weights, None
    saved = tf.train.Checkpoint(model=model).save(str(path / "ckpt"))
    tf.train.Checkpoint(model=checkpoint).restore(saved).expect_partial()
    yield checkpoint, None


@pytest.mark.slow
@pytest.mark.parametrize("make", [mlp, tiny, small, cnn_lstm])
def test_models_as_people_train_them_are_trained_saved_and_judged(keras, tmp_path, make, monkeypatch):
    monkeypatch.setattr(DriftReport, "to_html", lambda self, path: None)
    model, (x, y), how = make(keras)
    is_watched = make is cnn_lstm
    tuned = porter.finetune(
        model, (x, y), run=tmp_path / "run" if is_watched else None, epochs=3, patience=2, tensorboard=is_watched, **how
    )  # fmt: skip
    assert tuned.report.verdict == "drift" and tuned.moved == () and len(tuned.history["val_loss"]) >= 1
    assert type(model.optimizer._learning_rate).__name__ == "InverseTimeDecay"
    if is_watched:
        assert list((tmp_path / "run" / "tensorboard").rglob("events*"))
    fresh = keras.models.clone_model(model)
    for place, save in reloaded(keras, model, tmp_path):
        if save is not None:
            save(place)
        assert porter.drift(model, place).verdict == "parity"
        assert porter.drift(fresh, place).verdict == "drift"  # it can fail


def test_tensorboard_missing_is_one_line(keras, matchups, tmp_path, monkeypatch):
    from porter.learning.errors import MissingExtraError

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    model = keras.Sequential([keras.Input((7,)), keras.layers.Dense(7)])
    told = r"^--tensorboard needs tensorboard: pip install 'keras-porter\[train\]'$"
    with pytest.raises(MissingExtraError, match=told):
        porter.finetune(model, matchups(60), run=tmp_path / "run", tensorboard=True, epochs=1)
    assert not (tmp_path / "run").exists()
