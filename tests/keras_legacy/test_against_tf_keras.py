"""Layers as the Keras 2 implementation computes them: saved by it as .h5, read, followed, ported, judged."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import porter
from porter.formats.programs import build_program

tf_keras = pytest.importorskip("tf_keras", reason="the Keras 2 implementation (pip install tf-keras) is not installed")
L = tf_keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")


def sequential(shape: tuple[int | None, ...], *layers: Any) -> Any:
    return tf_keras.Sequential([L.InputLayer(input_shape=shape), *layers])


def graph(build: Callable[..., Any], *shapes: tuple[int | None, ...], dtype: str = "float32") -> Any:
    inputs = [L.Input(shape, dtype=dtype) for shape in shapes]
    return tf_keras.Model(inputs, build(*inputs))


def gru_states(x: Any) -> Any:
    y, state = L.GRU(3, return_sequences=True, return_state=True)(x)
    return [L.LSTM(4)(y), state]


def from_state(x: Any) -> Any:
    y, h, c = L.LSTM(3, return_state=True, recurrent_activation="hard_sigmoid")(x)
    return L.Concatenate()([y, h, c])


def masked_before_2_4(path: Path) -> None:
    """The same file as multi-backend Keras wrote it: without ``time_major``, with its version."""
    with h5py.File(path, "r+") as file:
        config = re.sub(r'"time_major": false, ', "", file.attrs["model_config"])
        file.attrs["model_config"], file.attrs["keras_version"] = config, "2.2.4"


def merges(a: Any, b: Any) -> Any:
    kinds = (L.Add, L.Multiply, L.Subtract, L.Minimum, L.Maximum)
    return L.Average()([kind()([a, b]) for kind in kinds])


def masked(*layers: Any) -> Any:
    return sequential((6, 3), L.Masking(0.5), *layers)


def shared(a: Any, b: Any) -> Any:
    tower = tf_keras.Sequential([L.Dense(4, activation="relu"), L.BatchNormalization(), L.Dense(2)])
    return L.Concatenate()([tower(a), tower(b)])


def nested(x: Any) -> Any:
    inside = L.Input((5,))
    frozen = L.Dense(5, trainable=False)(inside)
    block = tf_keras.Model(inside, L.BatchNormalization()(L.Dense(5, activation="tanh")(frozen)), name="block")
    outer = tf_keras.Sequential([L.Dense(5), block, L.BatchNormalization(), L.Dense(2)], name="outer")
    return outer(x)


def both_states(x: Any) -> Any:
    return L.Concatenate()(L.Bidirectional(L.LSTM(3, return_state=True))(x))


def masked_states(x: Any) -> Any:
    y, h, c = L.LSTM(3, return_state=True, return_sequences=True)(L.Masking(0.5)(x))
    return L.Concatenate()([L.LSTM(2)(y), h, c])


def encoder_decoder(a: Any, b: Any) -> Any:
    _, h, c = L.LSTM(4, return_state=True)(a)
    return L.TimeDistributed(L.Dense(3, activation="softmax"))(
        L.LSTM(4, return_sequences=True)(b, initial_state=[h, c])
    )


def both_ways(x: Any) -> Any:
    return L.Concatenate()(L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode=None)(L.Masking(0.5)(x)))


def words(*layers: Any) -> Any:
    """Layers one after the other behind an Embedding that masks; a pair of layers takes what they take twice."""

    def build(x: Any) -> Any:
        x = L.Embedding(9, 4, mask_zero=True)(x)
        for each in layers:
            x = each([x, x]) if isinstance(each, L.Attention | L.AdditiveAttention) else each(x)
        return x

    return graph(build, (6,), dtype="int32")


def called_twice(a: Any, b: Any) -> Any:
    """A nested model of two outputs, called twice, whose layer is called twice in it, one call after the other."""
    inside, layer = L.Input((4,)), L.Dense(4, activation="tanh")
    once = layer(inside)
    block = tf_keras.Model(inside, [layer(once), L.Dense(2)(once)])
    (x1, y1), (x2, y2) = block(a), block(b)
    return L.Concatenate()([x1, y2, x2, y1])


def sentences(x: Any) -> Any:
    """Words to sentences to a text, each by a recurrent layer."""
    inside = L.Input((5,))
    sentence = tf_keras.Model(inside, L.Bidirectional(L.GRU(3))(L.Embedding(9, 4)(inside)))
    return L.GRU(3)(L.TimeDistributed(sentence)(x))


def joined_in_time(a: Any, b: Any) -> Any:
    mask = L.Masking(0.5)
    return L.LSTM(3)(L.Concatenate(axis=1)([mask(a), mask(b)]))


MODELS: dict[str, Callable[[], Any]] = {
    "gru": lambda: sequential((7, 3), L.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid")),
    "gru reset_after": lambda: sequential((7, 3), L.GRU(4, reset_after=True, return_sequences=True, go_backwards=True)),
    "gru without bias": lambda: sequential((5, 3), L.GRU(4, use_bias=False)),
    "lstm hard_sigmoid inside": lambda: sequential((5, 3), L.LSTM(4, activation="hard_sigmoid")),
    "states": lambda: graph(gru_states, (5, 3)),
    "lstm states": lambda: graph(from_state, (5, 3)),
    "initial state": lambda: graph(lambda x, h: L.GRU(4)(x, initial_state=h), (5, 3), (4,)),
    "rnn of a cell": lambda: sequential((5, 3), L.RNN(L.LSTMCell(4), return_sequences=True)),
    "bidirectional gru": lambda: sequential((5, 3), L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="mul")),
    "bidirectional ave": lambda: sequential((5, 3), L.Bidirectional(L.SimpleRNN(3), merge_mode="ave")),
    "bidirectional none": lambda: graph(L.Bidirectional(L.LSTM(3), merge_mode=None), (5, 3)),
    "conv lstm": lambda: sequential((4, 6, 5, 2), L.ConvLSTM2D(3, (3, 2), padding="same", recurrent_activation="hard_sigmoid")),  # noqa: E501
    "conv lstm states": lambda: sequential((3, 5, 5, 2), L.ConvLSTM2D(2, 3, return_sequences=True, go_backwards=True)),
    "time distributed": lambda: sequential((4, 6, 2), L.TimeDistributed(L.Conv1D(3, 2, activation="relu"))),
    "time distributed model": lambda: sequential((4, 6), L.TimeDistributed(tf_keras.Sequential([L.Dense(3), L.Dense(2)]))),  # noqa: E501
    "masked lstm": lambda: masked(L.LSTM(4, return_sequences=True), L.GRU(3)),
    "masked bidirectional": lambda: masked(L.Bidirectional(L.LSTM(4, return_sequences=True)), L.Dense(2)),
    "masked average": lambda: masked(L.Dense(4), L.GlobalAveragePooling1D()),
    "masked backwards": lambda: masked(L.SimpleRNN(4, go_backwards=True, return_sequences=True)),
    "embedding mask": lambda: graph(lambda x: L.LSTM(3)(L.Embedding(9, 4, mask_zero=True)(x)), (6,), dtype="int32"),
    "separable 1d": lambda: sequential((9, 3), L.SeparableConv1D(4, 3, depth_multiplier=2, padding="same", strides=2)),
    "separable 2d": lambda: sequential((7, 6, 3), L.SeparableConv2D(4, 3, dilation_rate=2, activation="elu")),
    "depthwise": lambda: sequential((8, 7, 3), L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)),
    "transposed 2d": lambda: sequential((4, 5, 3), L.Conv2DTranspose(2, (3, 4), strides=2, padding="same")),
    "transposed valid": lambda: sequential((4, 5, 3), L.Conv2DTranspose(2, 2, strides=3, activation="tanh")),
    "transposed output": lambda: sequential((4, 5, 3), L.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=1)),  # noqa: E501
    "transposed 3d": lambda: sequential((3, 4, 3, 2), L.Conv3DTranspose(2, 3, strides=2)),
    "conv 3d": lambda: sequential((6, 7, 5, 2), L.Conv3D(3, (2, 3, 2), strides=(1, 2, 1), padding="same")),
    "causal": lambda: sequential((10, 2), L.Conv1D(3, 3, padding="causal", dilation_rate=2)),
    "local 1d": lambda: sequential((8, 2), L.LocallyConnected1D(3, 3, strides=2, activation="hard_sigmoid")),
    "local 2d": lambda: sequential((6, 5, 2), L.LocallyConnected2D(3, (3, 2), strides=(2, 1))),
    "average pooling same": lambda: sequential((7, 5, 2), L.AveragePooling2D(3, strides=2, padding="same")),
    "max pooling same": lambda: sequential((7, 2), L.MaxPooling1D(3, strides=2, padding="same")),
    "layer norm": lambda: sequential((5, 4), L.LayerNormalization(axis=[1, 2], epsilon=1e-5)),
    "batch norm axis 1": lambda: sequential((3, 4, 5), L.BatchNormalization(axis=1, scale=False)),
    "bilinear": lambda: sequential((3, 4, 2), L.UpSampling2D((3, 2), interpolation="bilinear")),
    "upsampling": lambda: sequential((3, 2, 2, 2), L.UpSampling3D(2)),
    "upsampling 1d": lambda: sequential((3, 2), L.UpSampling1D(3), L.ZeroPadding1D((1, 2)), L.Cropping1D((0, 2))),
    "softmax axes": lambda: sequential((3, 4), L.Softmax(axis=[1, 2])),
    "flatten channels first": lambda: sequential((3, 4, 5), L.Flatten(data_format="channels_first"), L.Dense(2)),
    "permute": lambda: sequential((3, 4, 5), L.Permute((3, 1, 2)), L.Reshape((5, -1)), L.ReLU(2.0, 0.1, 0.3)),
    "advanced": lambda: sequential((6,), L.PReLU(), L.ELU(0.5), L.LeakyReLU(0.2), L.ThresholdedReLU(0.1), L.Activation("selu")),  # noqa: E501
    "activations": lambda: sequential((6,), *(L.Dense(4, activation=name) for name in ("swish", "softsign", "gelu", "softplus", "exponential"))),  # noqa: E501
    "attention": lambda: graph(lambda q, v: L.Attention(use_scale=True)([q, v]), (3, 4), (5, 4)),
    "additive attention": lambda: graph(lambda q, v: L.AdditiveAttention()([q, v]), (3, 4), (5, 4)),
    "causal attention": lambda: graph(lambda q, v: L.Attention(score_mode="concat")([q, v]), (3, 4), (5, 4)),
    "dot": lambda: graph(lambda a, b: L.Dot(axes=(1, 2))([a, b]), (4, 3), (5, 4)),
    "dot normalized": lambda: graph(lambda a, b: L.Dot(axes=1, normalize=True)([a, b]), (4,), (4,)),
    "merges": lambda: graph(merges, (4,), (4,)),
    "shared": lambda: graph(shared, (4,), (4,)),
    "nested": lambda: graph(nested, (5,)),
    "both states": lambda: graph(both_states, (5, 3)),
    "masked states": lambda: graph(masked_states, (6, 3)),
    "masked both ways": lambda: graph(both_ways, (6, 3)),
    "two kinds of direction": lambda: sequential((5, 3), L.Bidirectional(L.LSTM(4), backward_layer=L.GRU(3, go_backwards=True))),  # noqa: E501
    "stateful": lambda: tf_keras.Sequential([L.LSTM(4, stateful=True, return_sequences=True, batch_input_shape=(3, 5, 3)), L.GRU(3, stateful=True)]),  # noqa: E501
    "encoder decoder": lambda: graph(encoder_decoder, (5, 3), (4, 2)),
    "transposed dilated": lambda: sequential((5, 6, 2), L.Conv2DTranspose(3, 3, dilation_rate=2, padding="same")),
    "asymmetric edges": lambda: sequential((7, 8, 2), L.Cropping2D(((1, 2), (0, 3))), L.ZeroPadding2D(((0, 1), (2, 3)))),  # noqa: E501
    "batch norm axis list": lambda: sequential((4, 3), L.BatchNormalization(center=False, axis=[2])),
    "attention of keys": lambda: graph(lambda q, v, k: L.Attention()([q, v, k]), (5, 4), (6, 4), (6, 4)),
    "attention masked": lambda: words(L.LSTM(4, return_sequences=True), L.Attention(use_scale=True)),
    "attention's mask goes on": lambda: words(L.AdditiveAttention(), L.GlobalAveragePooling1D()),
    "mask ends at a convolution": lambda: words(L.Conv1D(3, 2), L.GlobalMaxPooling1D()),
    "mask ends at flatten": lambda: words(L.LSTM(4, return_sequences=True), L.Flatten(), L.Dense(2)),
    "masks joined in time": lambda: graph(joined_in_time, (6, 3), (6, 3)),
    "groups": lambda: sequential((6, 6, 4), L.Conv2D(6, 3, groups=2)),
    "called twice": lambda: graph(called_twice, (4,), (4,)),
    "sentences": lambda: graph(sentences, (3, 5), dtype="int32"),
    "time distributed image": lambda: sequential((3, 8, 8, 2), *map(L.TimeDistributed, (L.Conv2D(4, 3), L.MaxPooling2D(), L.BatchNormalization(), L.Flatten())), L.LSTM(4)),  # noqa: E501
    "time distributed bidirectional": lambda: sequential((3, 5, 2), L.TimeDistributed(L.Bidirectional(L.LSTM(3)))),
    "prelu shared": lambda: sequential((4, 5, 3), L.PReLU(shared_axes=[1, 2]), L.PReLU(shared_axes=[1])),
}  # fmt: skip


def randomize(model: Any, rng: np.random.Generator) -> None:
    """Weights that are all different, variances and slopes positive."""
    drawn = []
    for weight in model.weights:
        values = rng.normal(0, 0.5, weight.shape)
        drawn.append(np.abs(values) + 0.3 if "variance" in weight.name or "alpha" in weight.name else values)
    model.set_weights(drawn)


def feeds_for(model: Any, rng: np.random.Generator) -> list[np.ndarray]:
    feeds = []
    for tensor in model.inputs:
        shape = (3, *(n or 5 for n in tensor.shape[1:]))
        values = rng.integers(0, 9, shape) if "int" in tensor.dtype.name else rng.normal(size=shape)
        feeds.append(values.astype(tensor.dtype.name))
    if any(isinstance(layer, L.Masking) for layer in model.layers):
        feeds[0][1, -2:] = 0.5  # steps that Masking(0.5) leaves out
        feeds[0][2] = 0.5
    return feeds


def keras_dilates_transposed_convolutions() -> bool:
    """TensorFlow does so by oneDNN alone, which it leaves out on processors without AVX-512."""
    layer = keras.layers.Conv2DTranspose(1, 3, dilation_rate=2)
    with suppress(tf.errors.InvalidArgumentError):
        layer(np.zeros((1, 5, 5, 1), np.float32))
        return True
    return False


@pytest.mark.parametrize("name", MODELS)
def test_reference_and_port_follow_keras_2(tmp_path: Path, name: str) -> None:
    if name == "transposed dilated" and not keras_dilates_transposed_convolutions():
        pytest.skip("Keras cannot compute it on this processor; TF_ENABLE_ONEDNN_OPTS=1 lets it")
    rng = np.random.default_rng(11)
    tf_keras.backend.clear_session()
    original = MODELS[name]()
    randomize(original, rng)
    path = tmp_path / "m.h5"
    original.save(path)
    feeds = feeds_for(original, rng)
    outputs = original(feeds if len(feeds) > 1 else feeds[0], training=False)
    outputs = [np.asarray(one) for one in (outputs if isinstance(outputs, list | tuple) else [outputs])]
    network = porter.read(path)
    ours = build_program(network)(dict(zip(build_program(network).inputs, feeds, strict=True)))
    for mine, theirs in zip(ours, outputs, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-6)
    whole = np.isfinite(np.concatenate([one.reshape(len(one), -1) for one in outputs], axis=1)).all(axis=1)
    samples = [each[whole] for each in feeds], [one[whole] for one in outputs]  # no number is no sample
    report = porter.port(network, tmp_path / "p.keras", samples=samples)
    told = [(row.layer, row.verdict, row.isolated, row.allowed, row.where) for row in report.layers]
    assert report.verdict == "parity", (told, report.findings, report.notes)
    assert report.links["save"] == "parity"
    assert report.links["reading"] == "proven"


def test_masked_steps_inside_bidirectional_changed_with_tf_keras(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    original = MODELS["masked bidirectional"]()
    randomize(original, rng)
    original.save(tmp_path / "m.h5")
    feeds = feeds_for(original, rng)
    late = build_program(porter.read(tmp_path / "m.h5"))(feeds[0])[0]
    masked_before_2_4(tmp_path / "m.h5")
    early = build_program(porter.read(tmp_path / "m.h5"))(feeds[0])[0]
    assert not np.allclose(late[1, -1], early[1, -1])
    np.testing.assert_allclose(late[0], early[0])
    assert porter.port(tmp_path / "m.h5", tmp_path / "p.keras").verdict == "parity"


def test_a_layer_may_bear_the_name_that_keras_gives_to_an_operation(tmp_path: Path) -> None:
    """The masks of both branches are joined by an operation that Keras counts to the same name."""
    tf_keras.backend.clear_session()
    left, right = L.Input((6, 3)), L.Input((6, 3))
    joined = L.Concatenate(axis=1, name="concatenate")([L.Masking(0.5)(left), L.Masking(0.5)(right)])
    original = tf_keras.Model([left, right], L.LSTM(4)(joined))
    original.save(tmp_path / "m.h5")
    keras.backend.clear_session()
    assert porter.port(tmp_path / "m.h5", tmp_path / "p.keras").verdict == "parity"
