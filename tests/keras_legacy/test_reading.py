"""Every form in which Keras 1 and 2 wrote the same network is read as the same network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import porter
from porter.formats.keras_legacy.errors import (
    ArchitectureMissingError,
    BackendQuestionError,
    ConfigError,
    ExecutableLayerError,
    GraphError,
    JsonError,
    NotAModelError,
    ReplacementError,
    UnknownLayerError,
    UnknownModeError,
    WeightsError,
)
from porter.formats.keras_legacy.replace import parse_replacements
from porter.formats.programs import build_program
from tests.keras_legacy.files import dense, layer, model, node, write

X = np.random.default_rng(7).normal(size=(3, 4)).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def two_layers(rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    layers = [
        layer("Dense", "dense_1", units=3, activation="hard_sigmoid", use_bias=True, batch_input_shape=[None, 4]),
        layer("Dropout", "dropout_1", rate=0.5),
        layer("Dense", "dense_2", units=2, activation="tanh", use_bias=True),
    ]
    return layers, {"dense_1": dense(rng, "dense_1", 4, 3), "dropout_1": {}, "dense_2": dense(rng, "dense_2", 3, 2)}


def expected(weights: dict[str, Any]) -> np.ndarray:
    """By hand: clip(0.2 (x W + b) + 0.5), then tanh."""
    first, second = (list(weights[name].values()) for name in ("dense_1", "dense_2"))
    hidden = np.clip(0.2 * (X @ first[0].astype(float) + first[1]) + 0.5, 0, 1)
    return np.tanh(hidden @ second[0].astype(float) + second[1])


def outputs(network: Any) -> np.ndarray:
    return build_program(network)(X)[0]


@pytest.mark.parametrize(
    "variant",
    [
        "list",
        "dict",
        "no class",
        "bytes",
        "chunked",
        "root",
        "with InputLayer",
        "Model",
        "Functional",
        "string in string",
    ],
)
def test_every_form_of_the_same_model(tmp_path: Path, rng: np.random.Generator, variant: str) -> None:
    layers, weights = two_layers(rng)
    config: Any = model(layers)
    if variant == "dict":
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    elif variant == "no class":
        config = {"name": "s", "layers": layers}
    elif variant == "with InputLayer":
        config = model([layer("InputLayer", "dense_1_input", batch_input_shape=[None, 4]), *layers])
    elif variant in ("Model", "Functional"):
        begin = node(layer("InputLayer", "input_1", batch_input_shape=[None, 4], dtype="float32"))
        takes = ("input_1", "dense_1", "dropout_1")
        graph = [begin, *(node(one, [take]) for one, take in zip(layers, takes, strict=True))]
        config = {**model(graph, ["input_1"], ["dense_2"]), "class_name": variant}
    elif variant == "string in string":
        config = json.dumps(json.dumps(config))
    path = write(
        tmp_path / "m.h5",
        config,
        weights,
        as_bytes=variant == "bytes",
        chunked=variant == "chunked",
        group="" if variant == "root" else "model_weights",
    )
    np.testing.assert_allclose(outputs(porter.read(path)), expected(weights), rtol=1e-12)


def test_architecture_and_weights_apart(tmp_path: Path, rng: np.random.Generator) -> None:
    layers, weights = two_layers(rng)
    architecture = tmp_path / "a.json"
    architecture.write_text(json.dumps({**model(layers), "keras_version": "2.0.6", "backend": "tensorflow"}))
    stored = write(tmp_path / "w.h5", None, weights, group="")
    assert not porter.read(architecture).has_weights
    np.testing.assert_allclose(outputs(porter.read(architecture, weights=stored)), expected(weights), rtol=1e-12)
    with pytest.raises(ArchitectureMissingError, match="holds weights without an architecture"):
        porter.read(stored)


def test_names_decide_and_not_the_order(tmp_path: Path, rng: np.random.Generator) -> None:
    layers, weights = two_layers(rng)
    turned = {name: dict(reversed(list(arrays.items()))) for name, arrays in weights.items()}
    network = porter.read(write(tmp_path / "m.h5", model(layers), turned))
    kernel = network.layer("dense_1").weights["kernel"]
    assert kernel.shape == (4, 3)


def test_nameless_arrays_are_told_apart_by_order_and_said_to_be(tmp_path: Path, rng: np.random.Generator) -> None:
    layers, weights = two_layers(rng)
    nameless = {
        name: {f"param_{number}": array for number, array in enumerate(arrays.values())}
        for name, arrays in weights.items()
    }
    network = porter.read(write(tmp_path / "m.h5", model(layers), nameless))
    assert {claim.layer for claim in network.claims if claim.evidence == "assumed"} == {"dense_1", "dense_2"}
    np.testing.assert_allclose(outputs(network), expected(weights), rtol=1e-12)


def shared_and_nested(rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    inner = {
        "class_name": "Sequential",
        "config": {"name": "twin", "layers": [
            layer("Dense", "inner", units=4, activation="tanh", use_bias=True, batch_input_shape=[None, 4]),
            layer("BatchNormalization", "norm", axis=-1, epsilon=1e-3, scale=True, center=True),
        ]},
    }  # fmt: skip
    begins = [node(layer("InputLayer", name, batch_input_shape=[None, 4])) for name in ("a", "b")]
    twin = {**inner, "name": "twin", "inbound_nodes": [[["a", 0, 0, {}]], [["b", 0, 0, {}]]]}
    # Keras 2 counts the construction of a nested model as its call 0.
    joined = node(layer("Subtract", "minus"), [["twin", 1, 0, {}], ["twin", 2, 0, {}]])
    arrays = {
        **dense(rng, "inner", 4, 4),
        "norm/gamma:0": rng.uniform(0.5, 2, 4).astype(np.float32),
        "norm/beta:0": rng.normal(size=4).astype(np.float32),
        "norm/moving_mean:0": rng.normal(size=4).astype(np.float32),
        "norm/moving_variance:0": rng.uniform(0.5, 2, 4).astype(np.float32),
    }
    return model([*begins, twin, joined], ["a", "b"], ["minus"]), {"a": {}, "b": {}, "twin": arrays, "minus": {}}


def test_nested_and_shared(tmp_path: Path, rng: np.random.Generator) -> None:
    config, weights = shared_and_nested(rng)
    network = porter.read(write(tmp_path / "m.h5", config, weights))
    program = build_program(network)
    assert [step.name for step in program.steps] == [
        "twin/inner@1", "twin/norm@1", "twin/inner@2", "twin/norm@2", "minus"
    ]  # fmt: skip
    assert [call.name for call in network.calls] == [step.name for step in program.steps]
    kernel, bias, gamma, _, _, variance = (array.astype(float) for array in weights["twin"].values())
    factor = gamma / np.sqrt(variance + 1e-3)
    by_hand = (np.tanh(X @ kernel + bias) - np.tanh(2 * X @ kernel + bias)) * factor
    np.testing.assert_allclose(program({"a": X, "b": 2 * X})[0], by_hand, rtol=1e-9, atol=1e-12)


def keras1_convolution(rng: np.random.Generator, suffix: str) -> tuple[Any, dict[str, Any]]:
    config = model([layer(
        "Convolution2D", "convolution2d_1", nb_filter=3, nb_row=2, nb_col=3, border_mode="valid", subsample=[1, 1],
        dim_ordering="th", activation="linear", bias=True, W_regularizer=None, batch_input_shape=[None, 2, 5, 6],
    )])  # fmt: skip
    arrays = {
        f"convolution2d_1_W{suffix}": rng.normal(size=(3, 2, 2, 3)).astype(np.float32),
        f"convolution2d_1_b{suffix}": rng.normal(size=3).astype(np.float32),
    }
    return config, {"convolution2d_1": arrays}


def by_windows(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Cross-correlation of (rows, channels, h, w) with (filters, channels, kh, kw), one window at a time."""
    rows, _, height, width = x.shape
    filters, _, down, across = kernel.shape
    out = np.zeros((rows, filters, height - down + 1, width - across + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = np.tensordot(x[:, :, i : i + down, j : j + across], kernel, ((1, 2, 3), (1, 2, 3))) + bias
    return out


def test_keras1_kernels_are_turned_for_theano_alone(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 2, 5, 6))
    config, weights = keras1_convolution(rng, ":0")
    kernel, bias = weights["convolution2d_1"].values()
    tensorflow = porter.read(write(tmp_path / "tf.h5", config, weights, version="1.2.2", backend=None))
    np.testing.assert_allclose(build_program(tensorflow)(x)[0], by_windows(x, kernel, bias), rtol=1e-9, atol=1e-12)

    config, weights = keras1_convolution(rng, "")
    kernel, bias = weights["convolution2d_1"].values()
    path = write(tmp_path / "th.h5", config, weights, version="1.2.2", backend=None)
    with pytest.raises(BackendQuestionError, match="--backend theano or --backend tensorflow"):
        porter.read(path)
    theano = porter.read(path, backend="theano")
    turned = kernel[:, :, ::-1, ::-1]
    np.testing.assert_allclose(build_program(theano)(x)[0], by_windows(x, turned, bias), rtol=1e-9, atol=1e-12)


def test_a_backend_against_the_file_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    layers, weights = two_layers(rng)
    path = write(tmp_path / "m.h5", model(layers), weights)
    with pytest.raises(porter.UsageError, match="backend 'tensorflow' in the file"):
        porter.read(path, backend="theano")
    with pytest.raises(porter.UsageError, match="expected: one of tensorflow, theano, cntk"):
        porter.read(path, backend="torch")


CODE = layer("Lambda", "secret", function=["4wEAAAA=", None, None], function_type="lambda", arguments={})


def test_code_in_a_file_is_named_and_not_run(tmp_path: Path, rng: np.random.Generator) -> None:
    layers, weights = two_layers(rng)
    path = write(tmp_path / "m.h5", model([*layers, CODE]), {**weights, "secret": {}})
    with pytest.raises(ExecutableLayerError, match="layer 'secret' is a Lambda: Python bytecode, which is not run"):
        porter.read(path)
    network = porter.read(path, replace={"secret": lambda x: 2 * x})
    np.testing.assert_allclose(outputs(network), 2 * expected(weights), rtol=1e-12)
    with pytest.raises(ReplacementError, match="no layer 'other' to replace"):
        porter.read(path, replace={"secret": lambda x: x, "other": lambda x: x})


@pytest.mark.parametrize("kind", ["TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod"])
def test_operations_by_name_are_not_called(tmp_path: Path, kind: str) -> None:
    config = model([layer("Dense", "d", units=1, batch_input_shape=[None, 4]), layer(kind, "op", function="os.system")])
    with pytest.raises(ExecutableLayerError, match=f"layer 'op' is a {kind}"):
        porter.read(_json(tmp_path, config))


def _json(folder: Path, value: Any) -> Path:
    path = folder / "a.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ('{"class_name": ', JsonError, "holds no valid JSON"),
        ('["class_name", ' + "[" * 100_000, JsonError, "holds no valid JSON"),
        ({"class_name": "Tokenizer", "config": {}}, NotAModelError, "holds no model"),
        ({"layers": 1, "class_name": None}, NotAModelError, "the keys class_name, layers"),
        (model([]), GraphError, "a Sequential without layers"),
        (model([layer("Magic", "m")]), UnknownLayerError, "not on the list of layers"),
        (model([layer("Dense", "d", activation="tanh")]), ConfigError, "has no 'units' or 'output_dim'"),
        (model([layer("Dense", "d", units=-3)]), ConfigError, "expected: a whole number from 1"),
        (model([layer("Dense", "d", units=3, activation="my_own")]), UnknownModeError, "activation"),
        (model([{"class_name": "Dense", "config": 5}]), ConfigError, "configuration is damaged|expected: names"),
        (model([layer("LSTM", "l", units=3, time_major=True)]), UnknownModeError, "time_major"),
        (
            model([layer("Dense", "d", units=1), layer("Dense", "d", units=1)]),
            GraphError,
            "several layers are called 'd'",
        ),
        (model([node(layer("Dense", "d", units=1), ["d"])], ["d"], ["d"]), GraphError, "take what no layer gives"),
    ],
)
def test_each_way_to_be_wrong_has_an_error(tmp_path: Path, value: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        porter.read(_json(tmp_path, value))


def test_weights_of_another_model(tmp_path: Path, rng: np.random.Generator) -> None:
    layers, weights = two_layers(rng)
    wrong = {**weights, "dense_2": dense(rng, "dense_2", 3, 5)}
    with pytest.raises(WeightsError, match=r"found:    shape \(3, 5\)\n  expected: \(any, 2\)"):
        porter.read(write(tmp_path / "a.h5", model(layers), wrong))
    with pytest.raises(WeightsError, match="layers that the architecture does not have"):
        porter.read(write(tmp_path / "b.h5", model(layers), {**weights, "more": dense(rng, "more", 2, 2)}))
    lacking = {"dense_1": weights["dense_1"], "dropout_1": {}}
    with pytest.raises(WeightsError, match="layer 'dense_2': no arrays are stored for it"):
        porter.read(write(tmp_path / "c.h5", model(layers), lacking))


def test_reading_loads_no_tensorflow(tmp_path: Path, rng: np.random.Generator) -> None:
    layers, weights = two_layers(rng)
    path = write(tmp_path / "m.h5", model(layers), weights)
    code = (
        f"import sys, porter; porter.read({str(path)!r}); print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_layer_without_a_name_is_called_by_its_class(tmp_path: Path) -> None:
    layers = [
        {"class_name": "ReLU", "config": {"batch_input_shape": [None, 4]}},
        {"class_name": "Activation", "name": "end", "config": {"activation": "tanh"}},
    ]
    network = porter.read(write(tmp_path / "m.h5", model(layers), {}))
    program = build_program(network)
    assert program.inputs == tuple(each.name for each in network.inputs) == ("ReLU_input",)
    assert [step.name for step in program.steps] == ["ReLU", "end"]
    np.testing.assert_allclose(outputs(network), np.tanh(np.maximum(X, 0)), rtol=1e-6)


def test_functions_in_the_place_of_layers_are_found_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a program on the command line does not look by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [each for each in sys.path if each])
    (tmp_path / "own_functions_here.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "own_broken_here.py").write_text("1 / 0")
    assert parse_replacements(["a=own_functions_here:twice"])["a"](3) == 6
    for text, told in [
        ("a=own_functions_here:thrice", "no attribute 'thrice'"), ("a=own_broken_here:x", "ZeroDivisionError"),
    ]:  # fmt: skip
        with pytest.raises(ReplacementError, match=told):
            parse_replacements([text])
