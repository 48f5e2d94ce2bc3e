"""The well-known architectures, with seeded weights and statistics, saved by the Keras 2 implementation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import porter

tf_keras = pytest.importorskip("tf_keras", reason="the Keras 2 implementation (pip install tf-keras) is not installed")
L = tf_keras.layers

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def randomize(model: Any, rng: np.random.Generator) -> None:
    """Kernels that keep the size of what passes through; statistics and slopes that are all different."""
    drawn = []
    for weight in model.weights:
        shape = tuple(weight.shape)
        if "variance" in weight.name or "gamma" in weight.name:
            drawn.append(rng.uniform(0.5, 1.5, shape))
        elif len(shape) > 1:
            drawn.append(rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape))
        else:
            drawn.append(rng.normal(0, 0.1, shape))
    model.set_weights(drawn)


def conv_lstm_attention() -> Any:
    x = L.Input((40, 6))
    y = L.Conv1D(16, 5, padding="same", activation="relu")(x)
    y = L.LSTM(12, return_sequences=True, recurrent_activation="hard_sigmoid")(L.BatchNormalization()(y))
    share = L.Softmax(axis=1)(L.Dense(1, activation="tanh")(y))
    pooled = L.Dot(axes=(1, 1))([share, y])
    return tf_keras.Model(x, L.Dense(3, activation="softmax")(L.Flatten()(pooled)))


def text_cnn_lstm() -> Any:
    layers = [
        L.InputLayer((30,)), L.Embedding(200, 16), L.Conv1D(24, 3, activation="relu"), L.MaxPooling1D(2),
        L.Bidirectional(L.LSTM(10)), L.Dropout(0.5), L.Dense(1, activation="sigmoid"),
    ]  # fmt: skip
    return tf_keras.Sequential(layers)


def image_cnn() -> Any:
    layers = [
        L.InputLayer((28, 28, 1)), L.Conv2D(8, 3, activation="relu"), L.MaxPooling2D(),
        L.Conv2D(16, 3, activation="elu"),
        L.GlobalAveragePooling2D(), L.Dense(10, activation="softmax"),
    ]  # fmt: skip
    return tf_keras.Sequential(layers)


MODELS = {
    "MobileNetV2": lambda: tf_keras.applications.MobileNetV2(
        weights=None, input_shape=(64, 64, 3), alpha=0.5, classes=20
    ),
    "ResNet50": lambda: tf_keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=20),
    "InceptionV3": lambda: tf_keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3), classes=20),
    "VGG16": lambda: tf_keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=20),
    "convolution, LSTM, attention": conv_lstm_attention,
    "text": text_cnn_lstm,
    "image": image_cnn,
}


@pytest.mark.parametrize("name", MODELS)
def test_ported_and_judged_layer_by_layer(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    tf_keras.backend.clear_session()
    original = MODELS[name]()
    randomize(original, rng)
    original.save(tmp_path / "m.h5")
    shape = (4, *original.input_shape[1:])
    x = rng.integers(0, 200, shape) if name == "text" else rng.normal(size=shape)
    x = x.astype(np.float32)
    y = np.asarray(original(x, training=False))
    report = porter.port(tmp_path / "m.h5", tmp_path / "p.keras", samples=(x, y))
    assert (report.verdict, report.links["reading"], report.links["save"]) == ("parity", "proven", "parity")
    assert all(row.verdict == "parity" for row in report.layers)
    assert len(report.layers) >= 5
