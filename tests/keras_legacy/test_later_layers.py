"""Layers that came with tf.keras 2.2 to 2.13, and arithmetic between layers: as the Keras 2 implementation computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import porter
from porter.formats.keras_legacy import later_layers, table
from porter.formats.keras_legacy.errors import ExecutableLayerError, UnknownLayerError, UnknownModeError
from porter.formats.keras_legacy.operations import TABLE as READ_OPERATIONS
from porter.formats.programs import build_program
from porter.ports.keras.builders.operations import COMPUTED
from reference.programs.keras_layers import BUILDERS
from reference.programs.keras_operations import TABLE as FOLLOWED_OPERATIONS
from tests.keras_legacy import files

tf_keras = pytest.importorskip("tf_keras", reason="the Keras 2 implementation (pip install tf-keras) is not installed")
tf = pytest.importorskip("tensorflow")
L = tf_keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _own_input_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    """tf_keras' SpectralNormalization asks tf.keras for it, which is Keras 3 here."""
    monkeypatch.setattr(tf.keras.layers, "InputSpec", L.InputSpec)


def sequential(shape: tuple[int | None, ...], *layers: Any) -> Any:
    return tf_keras.Sequential([L.InputLayer(input_shape=shape), *layers])


def graph(build: Callable[..., Any], *shapes: tuple[int | None, ...], dtype: str = "float32") -> Any:
    inputs = [L.Input(shape, dtype=dtype) for shape in shapes]
    return tf_keras.Model(inputs, build(*inputs))


def hard_swish(x: Any) -> Any:
    """As MobileNetV3 of tf.keras writes it."""
    x = L.Conv2D(4, 3, padding="same")(x * 2.0 - 1.0)
    x = x * (L.ReLU(6.0)(x + 3.0) * (1.0 / 6.0))
    return L.GlobalAveragePooling2D()(x + L.Conv2D(4, 3, padding="same")(x))


def frozen_norm() -> Any:
    return L.SpectralNormalization(L.Dense(3), trainable=False)


def inside(*layers: Any) -> Any:
    """A nested Sequential in the middle, so that its arrays are told apart by their counts."""
    return sequential((5, 6), L.Dense(6), tf_keras.Sequential([L.Input((5, 6)), *layers]), L.Dense(2))


LAYERS: dict[str, Callable[[], Any]] = {
    "rescaling": lambda: sequential((4, 3), L.Rescaling(1 / 127.5, offset=-1)),
    "rescaling by channel": lambda: sequential((4, 3), L.Rescaling([1.5, 2.0, 0.1], offset=[0.0, 1.0, -2.0])),
    "normalization stored": lambda: sequential((4, 3), L.Normalization()),
    "normalization given": lambda: sequential((3,), L.Normalization(mean=[1.0, 2, 3], variance=[1.0, 2, 3])),
    "normalization inverted": lambda: sequential((3,), L.Normalization(mean=[1.0, 2, 3], variance=2.0, invert=True)),
    "normalization of no axis": lambda: sequential((4, 3), L.Normalization(axis=None)),
    "normalization of two axes": lambda: sequential((4, 2, 3), L.Normalization(axis=(1, -1))),
    "normalization without spread": lambda: sequential((3,), L.Normalization(mean=1.0, variance=0.0)),
    "resizing": lambda: sequential((7, 9, 2), L.Resizing(5, 12)),
    "resizing nearest": lambda: sequential((7, 9, 2), L.Resizing(10, 4, interpolation="nearest")),
    "resizing cropped": lambda: sequential((7, 11, 2), L.Resizing(5, 3, crop_to_aspect_ratio=True)),
    "center crop": lambda: sequential((7, 9, 2), L.CenterCrop(4, 4)),
    "center crop of a small image": lambda: sequential((5, 9, 2), L.CenterCrop(6, 4)),
    "random crop": lambda: sequential((7, 9, 2), L.RandomCrop(4, 5)),
    "augmentations": lambda: sequential(
        (8, 8, 3), L.RandomFlip(), L.RandomRotation(0.2), L.RandomZoom(0.2), L.RandomTranslation(0.1, 0.1),
        L.RandomContrast(0.2), L.RandomBrightness(0.2), L.RandomHeight(0.2), L.RandomWidth(0.2), L.Identity(),
    ),
    "conv 1d transpose": lambda: sequential((5, 3), L.Conv1DTranspose(4, 3, strides=2, padding="same")),
    "conv 1d transpose output": lambda: sequential((5, 3), L.Conv1DTranspose(4, 3, strides=2, output_padding=1)),
    "depthwise 1d": lambda: sequential((9, 3), L.DepthwiseConv1D(3, strides=2, depth_multiplier=2, padding="same")),
    "conv lstm 1d": lambda: sequential((4, 6, 2), L.ConvLSTM1D(3, 2, padding="same", return_sequences=True)),
    "conv lstm 3d": lambda: sequential((3, 4, 4, 3, 2), L.ConvLSTM3D(2, 2, return_sequences=False)),
    "conv lstm 1d both ways": lambda: sequential((4, 6, 2), L.Bidirectional(L.ConvLSTM1D(3, 2))),
    "group norm": lambda: sequential((4, 3, 6), L.GroupNormalization(3)),
    "group norm per channel": lambda: sequential((4, 6), L.GroupNormalization(-1, scale=False)),
    "group norm first axis": lambda: sequential((6, 4, 3), L.GroupNormalization(2, axis=1, center=False)),
    "unit norm": lambda: sequential((5,), L.UnitNormalization()),
    "unit norm of two axes": lambda: sequential((5, 4), L.UnitNormalization(axis=[1, 2])),
    "spectral norm": lambda: sequential((5,), L.SpectralNormalization(L.Dense(4, activation="tanh"))),
    "spectral norm of a convolution": lambda: sequential((5, 6, 2), L.SpectralNormalization(L.Conv2D(3, 2))),
    "spectral norm frozen": lambda: sequential((5,), frozen_norm()),
    "multi-head attention": lambda: graph(L.MultiHeadAttention(2, 4), (5, 8), (6, 8)),
    "multi-head self": lambda: graph(lambda x: L.MultiHeadAttention(3, 4, value_dim=2, use_bias=False)(x, x), (5, 7)),
    "multi-head causal": lambda: graph(lambda x: L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True), (5, 6)),
    "multi-head of keys": lambda: graph(
        lambda q, v, k: L.MultiHeadAttention(2, 3)(q, v, key=k), (5, 6), (4, 7), (4, 8)
    ),
    "einsum dense": lambda: sequential((4, 5), L.EinsumDense("abc,cd->abd", (None, 3), "relu", "d")),
    "einsum dense dots": lambda: sequential((4, 5), L.EinsumDense("...x,xy->...y", 3, bias_axes="y")),
    "einsum dense without bias": lambda: sequential((4, 5), L.EinsumDense("abc,bd->adc", (3, 5))),
    "einsum dense heads": lambda: sequential((4, 6), L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")),
    "categories": lambda: graph(lambda x: L.Dense(2)(L.CategoryEncoding(9)(x)), (4,), dtype="int32"),
    "categories one-hot": lambda: graph(L.CategoryEncoding(9, "one_hot"), (1,), dtype="int32"),
    "categories counted": lambda: graph(L.CategoryEncoding(9, "count"), (4,), dtype="int32"),
    "bins": lambda: graph(
        lambda x: L.Dense(2)(L.Flatten()(L.Embedding(4, 3)(L.Discretization([-0.5, 0.0, 0.7])(x)))), (3,)
    ),
    "bins encoded": lambda: sequential((3,), L.Discretization([-0.5, 0.0, 0.7], output_mode="multi_hot"), L.Dense(2)),
    "dense leaky": lambda: sequential((6,), L.Dense(5, activation=L.LeakyReLU(alpha=0.1)), L.Dense(2)),
    "objects as activations": lambda: sequential(
        (6, 5), L.Conv1D(4, 2, activation=L.ReLU(1.0, 0.2, 0.1)), L.Dense(4, activation=L.ELU(0.5)),
        L.Dense(3, activation=L.ThresholdedReLU(0.3)), L.Activation(L.LeakyReLU(0.2)), L.Dense(3, L.Softmax()),
        L.LSTM(3, activation=L.ReLU()),
    ),
    "synchronized batch norm": lambda: sequential((4, 3), L.BatchNormalization(synchronized=True)),
    "counts inside a model": lambda: inside(
        L.Normalization(), L.GroupNormalization(2), L.BatchNormalization(), L.EinsumDense("abc,cd->abd", (None, 6)),
        L.SpectralNormalization(L.Dense(6)), L.DepthwiseConv1D(1), L.Conv1DTranspose(6, 1),
    ),
}  # fmt: skip
OPERATIONS: dict[str, Callable[[], Any]] = {
    "hard swish": lambda: graph(hard_swish, (6, 6, 3)),
    "scaled output": lambda: graph(lambda x: L.Dense(2)(L.Dense(4, "tanh")(x)) * 3.5 + 0.25, (5,)),
    "slice and mean": lambda: graph(lambda x: L.Dense(2)(tf.reduce_mean(x[:, 1:, :], axis=1)), (6, 5)),
    "slices": lambda: graph(lambda x: [x[:, 1:3, ::2, 0], x[..., None], x[:, -1], x[:, ::-1]], (4, 5, 3)),
    "arithmetic": lambda: graph(lambda x, y: [x + y, x - y, x * y, x / (y * y + 1.0), 2.0 - x, 3.0 / (abs(x) + 1.0), -x], (4, 3), (4, 3)),  # noqa: E501
    "spread": lambda: graph(lambda x, y: x * y[:, None, :] - y[:, None], (4, 3), (3,)),
    "arrays": lambda: graph(lambda x: tf.nn.bias_add(x, [1.0, 2, 3]) / tf.constant([0.3, 0.2, 0.1]), (4, 3)),
    "powers": lambda: graph(lambda x: [x**2, x**3, tf.sqrt(abs(x)), (abs(x) + 0.1) ** -1.0, tf.math.rsqrt(abs(x) + 0.1), tf.square(x)], (4,)),  # noqa: E501
    "extremes": lambda: graph(lambda x, y: [tf.maximum(x, y), tf.minimum(x, 0.3), tf.clip_by_value(x, -0.7, 0.4)], (4,), (4,)),  # noqa: E501
    "functions": lambda: graph(lambda x: [f(x) for f in (tf.nn.relu, tf.nn.relu6, tf.sigmoid, tf.tanh, tf.nn.softplus, tf.nn.softsign, tf.nn.elu, tf.nn.selu, tf.exp, tf.nn.silu, tf.nn.leaky_relu)], (4,)),  # noqa: E501
    "gelu": lambda: graph(lambda x: [tf.nn.gelu(x), tf.nn.gelu(x, approximate=True)], (4,)),
    "softmax": lambda: graph(lambda x: [tf.nn.softmax(x), tf.nn.softmax(x, axis=1)], (4, 3)),
    "reductions": lambda: graph(lambda x: [tf.reduce_sum(x, 1), tf.reduce_max(x, [1, 2]), tf.reduce_min(x, -1, keepdims=True)], (4, 3)),  # noqa: E501
    "shapes": lambda: graph(lambda x: [tf.reshape(x, (-1, 12)), tf.transpose(x, [0, 2, 1]), tf.expand_dims(x, 1), tf.squeeze(x[:, :1], 1), tf.tile(x, [1, 2, 1])], (4, 3)),  # noqa: E501
    "joins": lambda: graph(lambda x, y: [tf.concat([x, y], 1), tf.stack([x, y], 1), tf.add_n([x, y, x])], (4, 3), (4, 3)),  # noqa: E501
    "pads": lambda: graph(lambda x: [tf.pad(x, [[0, 0], [1, 2], [0, 1]]), tf.pad(x, [[0, 0], [1, 1], [0, 0]], mode="REFLECT")], (4, 3)),  # noqa: E501
    "products": lambda: graph(lambda x, y: [x @ tf.transpose(y, [0, 2, 1]), x @ tf.constant(np.arange(6.0).reshape(3, 2), tf.float32)], (4, 3), (5, 3)),  # noqa: E501
    "unit length": lambda: graph(lambda x: tf.math.l2_normalize(x, axis=-1), (4, 3)),
    "resized": lambda: graph(lambda x: [tf.image.resize(x, (8, 5)), tf.image.resize(x, (3, 9), method="nearest")], (4, 6, 2)),  # noqa: E501
    "squared difference": lambda: graph(tf.math.squared_difference, (4,), (4,)),
}  # fmt: skip
MODELS = LAYERS | OPERATIONS


def randomize(model: Any, rng: np.random.Generator) -> None:
    """Weights that are all different, variances positive, counts left."""
    drawn = []
    for weight in model.weights:
        values = rng.normal(0, 0.5, weight.shape)
        values = np.abs(values) + 0.3 if "variance" in weight.name else values
        drawn.append(weight.numpy() if "count" in weight.name else values)
    model.set_weights(drawn)
    for layer in model.layers:
        if isinstance(layer, L.Normalization) and layer.input_mean is None:
            layer.finalize_state()
        for inner in getattr(layer, "layers", ()):
            if isinstance(inner, L.Normalization):
                inner.finalize_state()


def feeds_for(model: Any, rng: np.random.Generator) -> list[np.ndarray]:
    feeds = []
    for tensor in model.inputs:
        shape = (3, *(n or 5 for n in tensor.shape[1:]))
        values = rng.integers(0, 9, shape) if "int" in tensor.dtype.name else rng.normal(size=shape)
        feeds.append(values.astype(tensor.dtype.name))
    return feeds


def as_list(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]


@pytest.mark.parametrize("name", MODELS)
def test_reference_and_port_follow_keras_2(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(11)
    tf_keras.backend.clear_session()
    original = MODELS[name]()
    randomize(original, rng)
    original.save(tmp_path / "m.h5")
    feeds = feeds_for(original, rng)
    outputs = [np.asarray(one) for one in as_list(original(feeds if len(feeds) > 1 else feeds[0], training=False))]
    network = porter.read(tmp_path / "m.h5")
    program = build_program(network)
    ours = program(dict(zip(program.inputs, feeds, strict=True)))
    for mine, theirs in zip(ours, outputs, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-6)
    report = porter.port(network, tmp_path / "p.keras", samples=(feeds, outputs))
    told = [(row.layer, row.verdict, row.isolated, row.allowed, row.where) for row in report.layers]
    assert report.verdict == "parity", (told, report.findings, report.notes)
    assert all(row.verdict == "parity" for row in report.layers), told
    assert report.links["save"] == "parity"
    assert porter.verify(network, porter.build(network)).verdict == "parity"  # wide rows, too


@pytest.mark.parametrize("name", ["rescaling", "normalization stored", "group norm", "unit norm", "multi-head self"])
@pytest.mark.parametrize("dtype", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_other_dtypes(tmp_path: Path, name: str, dtype: str) -> None:
    tf_keras.backend.clear_session()
    original = MODELS[name]()
    randomize(original, np.random.default_rng(3))
    original.save(tmp_path / "m.h5")
    report = porter.verify(porter.read(tmp_path / "m.h5"), porter.build(porter.read(tmp_path / "m.h5"), dtype=dtype))
    assert report.verdict in ("parity", "inconclusive"), report
    assert not report.findings


SPOILT: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "another factor": ("rescaling", lambda config: config.update(scale=0.0079)),
    "another offset": ("rescaling by channel", lambda config: config.update(offset=[0.0, 1.0, -1.99])),
    "variance for deviation": ("normalization given", lambda config: config.update(variance=[1.0, 4.0, 9.0])),
    "not inverted": ("normalization inverted", lambda config: config.update(invert=False)),
    "nearest": ("resizing", lambda config: config.update(interpolation="nearest")),
    "not cropped": ("resizing cropped", lambda config: config.update(crop_to_aspect_ratio=False)),
    "another epsilon": ("group norm", lambda config: config.update(epsilon=1e-2)),
    "other groups": ("group norm", lambda config: config.update(groups=2)),
    "another axis": ("unit norm of two axes", lambda config: config.update(axis=-1)),
    "binary for count": ("categories counted", lambda config: config.update(output_mode="multi_hot")),
    "another slope": ("dense leaky", lambda config: config["activation"]["config"].update(negative_slope=0.3)),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_with_them_shows(tmp_path: Path, name: str) -> None:
    model, spoil = SPOILT[name]
    tf_keras.backend.clear_session()
    original = MODELS[model]()
    randomize(original, np.random.default_rng(5))
    original.save(tmp_path / "m.h5")
    network = porter.read(tmp_path / "m.h5")
    right = porter.build(network)
    config = json.loads(json.dumps(right.get_config()))
    spoil(config["layers"][1]["config"])
    wrong = keras.Model.from_config(config)
    wrong.set_weights(right.get_weights())
    assert porter.verify(network, wrong).verdict == "mismatch"


def test_names_with_slashes(tmp_path: Path) -> None:
    """As MobileNetV3 of tf.keras has them: a group in the group of another layer."""
    tf_keras.backend.clear_session()
    x = L.Input((8, 8, 3))
    y = L.BatchNormalization(name="Conv/BatchNorm")(L.Conv2D(4, 3, name="Conv")(x))
    y = L.Conv2D(2, 1, name="expanded/squeeze/Conv")(y * (L.ReLU(6.0)(y + 3.0) * (1.0 / 6.0)))
    original = tf_keras.Model(x, L.GlobalAveragePooling2D()(y))
    randomize(original, np.random.default_rng(2))
    original.save(tmp_path / "m.h5")
    rows = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("f4")
    report = porter.port(tmp_path / "m.h5", tmp_path / "p.keras", samples=(rows, original(rows).numpy()))
    assert report.verdict == "parity", report
    assert {"Conv", "Conv/BatchNorm", "expanded/squeeze/Conv"} <= {row.layer for row in report.layers}


def test_a_wrong_constant_shows(tmp_path: Path) -> None:
    tf_keras.backend.clear_session()
    original = MODELS["scaled output"]()
    original.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace("3.5", "3.501")
    right = porter.build(porter.read(tmp_path / "m.h5"))
    original.save(tmp_path / "other.h5")
    assert porter.verify(porter.read(tmp_path / "other.h5"), right).verdict == "mismatch"


def test_graph_operations_with_constants_of_tf_keras_2_3(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def layer(name: str, op: str, constants: dict[str, Any], *takes: str) -> Any:
        attributes = {"T": {"type": "DT_FLOAT"}, "keep_dims": {"b": False}} if op == "Mean" else {}
        node = {"name": name, "op": op, "input": [*takes, "c"], "attr": attributes}
        entry = files.layer("TensorFlowOpLayer", name, node_def=node, constants=constants)
        return {**files.node(entry, list(takes)), "name": f"tf_op_layer_{name}"}

    begin = files.node(files.layer("InputLayer", "x", batch_input_shape=[None, 4, 3], dtype="float32", ragged=False))
    config = files.model([
        begin, layer("mul", "Mul", {"1": 2.5}, "x"), layer("sub", "Sub", {"0": 1.0}, "tf_op_layer_mul"),
        layer("add", "AddV2", {}, "tf_op_layer_sub", "x"), layer("mean", "Mean", {"1": 1}, "tf_op_layer_add"),
        files.node(files.layer("Dense", "d", units=2, activation="linear"), ["tf_op_layer_mean"]),
    ], ["x"], ["d"])  # fmt: skip
    weights = {"d": files.dense(rng, "d", 3, 2)}
    path = files.write(tmp_path / "m.h5", config, weights, version="2.4.0")
    x = rng.normal(size=(5, 4, 3)).astype("f4")
    wanted = (1 - x * 2.5 + x).mean(1) @ weights["d"]["d/kernel:0"] + weights["d"]["d/bias:0"]
    report = porter.port(path, tmp_path / "p.keras", samples=(x, wanted))
    assert report.verdict == "parity" and report.links["reading"] == "proven", report


def test_what_is_not_plain_arithmetic_is_refused_by_name_all_in_one_message(tmp_path: Path) -> None:
    tf_keras.backend.clear_session()
    original = graph(lambda x: tf.math.sin(tf.math.cumsum(x, axis=1)) + tf.math.log(abs(x) + 1.0), (4,))
    original.save(tmp_path / "m.h5")
    with pytest.raises(ExecutableLayerError) as caught:
        porter.read(tmp_path / "m.h5")
    told = str(caught.value)
    assert all(name in told for name in ("math.sin", "math.cumsum", "math.log", "3 layers"))
    assert told.count("--replace") == 3


def test_replacements_take_the_tensors_of_a_call(tmp_path: Path) -> None:
    tf_keras.backend.clear_session()
    original = graph(lambda x, y: tf.math.atan2(x, y) * 2.0, (4,), (4,))
    original.save(tmp_path / "m.h5")
    name = next(layer.name for layer in original.layers if "atan2" in layer.name)
    report = porter.port(tmp_path / "m.h5", tmp_path / "p.keras", replace={name: keras.ops.arctan2})
    assert {row.layer: row.verdict for row in report.layers if row.layer != name} == {"tf.math.multiply": "parity"}


@pytest.mark.parametrize("shape", [[2, 24], [None, 48], ["x"]])
def test_shapes_that_do_not_keep_the_rows(tmp_path: Path, shape: list[Any]) -> None:
    entry = files.layer("TFOpLambda", "r", function="reshape")
    begin = files.node(files.layer("InputLayer", "x", batch_input_shape=[None, 4, 3], dtype="float32"))
    call = {**entry, "name": "r", "inbound_nodes": [["x", 0, 0, {"shape": shape}]]}
    path = files.write(tmp_path / "m.h5", files.model([begin, call], ["x"], ["r"]), {"x": {}}, version="2.9.0")
    with pytest.raises(ExecutableLayerError):
        porter.read(path)


@pytest.mark.parametrize("kind", later_layers.REFUSED)
def test_layers_that_are_refused_say_why(tmp_path: Path, kind: str) -> None:
    entry = files.layer(kind, "odd", batch_input_shape=[None, 4])
    path = files.write(tmp_path / "m.h5", files.model([entry]), {"odd": {}}, version="2.9.0")
    with pytest.raises(UnknownLayerError, match="odd") as caught:
        porter.read(path)
    assert later_layers.REFUSED[kind] in str(caught.value)


@pytest.mark.parametrize("how", ["bicubic", "area", "lanczos3"])
def test_ways_of_resizing_that_are_not_followed(tmp_path: Path, how: str) -> None:
    entry = files.layer("Resizing", "r", height=4, width=4, interpolation=how, batch_input_shape=[None, 8, 8, 1])
    path = files.write(tmp_path / "m.h5", files.model([entry]), {"r": {}}, version="2.9.0")
    with pytest.raises(UnknownModeError, match=how):
        porter.read(path)


def test_both_sides_know_the_same_layers_and_operations() -> None:
    wrapped = {"Bidirectional", "TimeDistributed", "RNN", "SpectralNormalization"}
    assert set(BUILDERS) - wrapped == set(table.TABLE)
    assert set(FOLLOWED_OPERATIONS) == set(READ_OPERATIONS)
    assert {"add", "clip", "slice", "cube"} <= set(COMPUTED)
