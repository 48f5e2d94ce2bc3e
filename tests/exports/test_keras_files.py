"""What people keep of a Keras model: SavedModel, checkpoint, weights, HDF5, JSON; written, loaded again, judged."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import porter
from porter.exports.formats import FORMATS
from porter.exports.keras_files import steps_of
from porter.exports.names import checkpoint_prefix, named_function
from tests.exports.graphs import held as weights
from tests.exports.test_onnx_graphs import cnn, recurrent
from tests.keras_legacy.files import layer, model, write

pytestmark = pytest.mark.usefixtures("keras")

ENDINGS = {"saved_model": "", "h5": ".h5", "weights": ".weights.h5", "checkpoint": ".ckpt", "json": ".json"}
SHOWS_LAYERS = [name for name in ENDINGS if name != "saved_model"]


@pytest.fixture(scope="module")
def square(fixtures):
    return porter.read(fixtures / "square_7-7-7-7-7.h5")


@pytest.mark.parametrize("name", ENDINGS)
def test_written_and_judged(square, tmp_path, name):
    path = tmp_path / f"a{ENDINGS[name]}"
    report = porter.export(square, path, to=name)
    assert report.verdict == "parity" == report.links["export"], str(report)
    assert all(row.verdict == "parity" and row.elements for row in report.layers)
    assert porter.verify(square, path, search=False).verdict == "parity"


@pytest.mark.parametrize(
    "activation", ["scaled_tanh", "hard_sigmoid_keras2", "gelu_tanh", "logistic_table", "cut_sigmoid"]
)
def test_activations_that_keras_is_given_as_layers_of_their_own(fixtures, tmp_path, activation):
    network = porter.read(fixtures / "square_7-7-7-7-7.h5", activation=activation)
    report = porter.export(network, tmp_path / "a", to="saved_model")
    assert all(row.verdict == "parity" and row.elements for row in report.layers), str(report)


def test_a_saved_model_that_shows_no_layers(square, tmp_path):
    porter.build(square).export(tmp_path / "a", verbose=False)
    report = porter.verify(square, tmp_path / "a", search=False)
    assert report.verdict == "inconclusive"
    assert "does not show its layers" in report.notes[0] and "within the end-to-end bound" in report.notes[0]


@pytest.mark.parametrize("name", ENDINGS)
def test_in_float64(square, tmp_path, name):
    path = tmp_path / f"a{ENDINGS[name]}"
    assert porter.export(square, path, to=name, precision="float64").verdict == "parity"
    report = porter.verify(square, path, search=False)
    assert report.verdict == "parity" and {row.dtype for row in report.layers} == {"float64"}


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize("make", [cnn, lambda path: recurrent(path, "LSTM")])
def test_a_legacy_keras_network(tmp_path, name, make):
    network = porter.read(make(tmp_path / "legacy.h5"))
    path = tmp_path / f"a{ENDINGS[name]}"
    assert porter.export(network, path, to=name).verdict == "parity"
    assert porter.verify(network, path).verdict == "parity"


def wrong(square):
    model = porter.build(square)
    layer = model.get_layer("Layer2")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel.T, bias])
    return model


def save_wrong(square, path, name):
    import tensorflow as tf

    model = wrong(square)
    if name == "saved_model":
        model.export(path, verbose=False)
    elif name == "weights":
        model.save_weights(path)
    elif name == "checkpoint":
        tf.train.Checkpoint(model=model).write(str(path))
    elif name == "json":
        path.write_text(model.to_json())
        model.save_weights(path.with_name("a.weights.h5"))
    else:
        model.save(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ENDINGS)
def test_a_mistake_is_found(square, tmp_path, name):
    path = tmp_path / f"a{ENDINGS[name]}"
    save_wrong(square, path, name)
    report = porter.verify(square, path, search=False)
    assert report.verdict == "mismatch"
    if name in SHOWS_LAYERS:
        assert [(finding.code, finding.layer) for finding in report.findings] == [("kernel.transposed", "Layer2")]


def test_a_checkpoint_of_keras_2(fixtures, tmp_path):
    """As ``save_weights`` of Keras 2 wrote it: arrays by the number of their layer."""
    import tensorflow as tf

    network = porter.read(fixtures / "bare_7-16-10-7.h5")
    layers = [each for each in porter.build(network).layers if each.weights]
    root = tf.train.Checkpoint()
    for number, each in enumerate(layers):
        held = tf.train.Checkpoint(kernel=tf.Variable(each.kernel), bias=tf.Variable(each.bias))
        setattr(root, f"layer_with_weights-{number}", held)
    root.write(str(tmp_path / "cp-0001"))
    assert porter.verify(network, tmp_path / "cp-0001", search=False).verdict == "parity"
    assert porter.verify(network, tmp_path / "cp-0001.index", search=False).verdict == "parity"


@pytest.mark.filterwarnings("ignore")
def test_a_mistake_in_a_saved_model_that_shows_its_layers(square, tmp_path):
    from porter.exports.keras_files import steps_of
    from porter.ports.keras.saved_model import write_saved_model

    model = wrong(square)
    write_saved_model(model, steps_of(square, model), tmp_path / "a")
    report = porter.verify(square, tmp_path / "a")
    assert [(finding.code, finding.layer) for finding in report.findings] == [("kernel.transposed", "Layer2")]


def test_several_inputs_keep_their_order(tmp_path):
    """By the names alone, the second would come first."""
    import keras

    from porter.ports.keras.saved_model import open_saved_model, write_saved_model

    first, second = keras.Input((3,), name="zebra"), keras.Input((3,), name="ape")
    model = keras.Model([first, second], keras.layers.Subtract()([first, second]))
    write_saved_model(model, {"zebra": first}, tmp_path / "a")
    rows = [np.full((2, 3), 5, np.float32), np.full((2, 3), 2, np.float32)]
    assert open_saved_model(tmp_path / "a").run(rows)["output_0"].tolist() == [[3.0] * 3] * 2


def test_arrays_of_another_model(square, fixtures, tmp_path):
    other = porter.build(porter.read(fixtures / "bare_7-16-10-7.h5"))
    other.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(porter.PortError):
        porter.verify(square, tmp_path / "a.weights.h5")


@pytest.mark.parametrize(("name", "refused"), [("optimizer/vars/0", False), ("layers/dense_9/vars/0", True)])
def test_arrays_of_layers_that_the_network_has_not(square, tmp_path, name, refused):
    """The model that they are of does something behind its other layers; an optimizer is no layer."""
    import h5py

    path = tmp_path / "a.weights.h5"
    porter.build(square).save_weights(path)
    with h5py.File(path, "r+") as kept:
        kept[name] = np.zeros(3)
    if not refused:
        assert porter.verify(square, path, search=False, rows=50).verdict == "parity"
        return
    with pytest.raises(porter.PortError, match="dense_9/vars/0, which belong to no layer"):
        porter.verify(square, path)


def test_arrays_that_were_not_loaded_do_not_pass(square, tmp_path, monkeypatch):
    from porter.ports.keras import stored

    porter.build(square).save_weights(tmp_path / "a.weights.h5")
    found = stored.open_weights(tmp_path / "a.weights.h5")
    nothing = stored.StoredArrays(found.path, found.dtype, lambda model: None, found.describes)
    with pytest.raises(porter.PortError, match="nothing for"):
        nothing.into(square)


def test_json_without_weights(square, tmp_path):
    (tmp_path / "a.json").write_text(porter.build(square).to_json())
    with pytest.raises(porter.PortError, match=r"a\.json\.weights\.h5"):
        porter.verify(square, tmp_path / "a.json")


def test_a_saved_model_that_runs_python(square, tmp_path):
    import tensorflow as tf

    class Reads(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 7), tf.float32)])
        def serve(self, x):
            return {"output_0": x + tf.cast(tf.strings.length(tf.io.read_file("secret")), tf.float32)}

    module = Reads()
    tf.saved_model.save(module, str(tmp_path / "a"), signatures={"serving_default": module.serve})
    with pytest.raises(porter.UsageError, match="ReadFile"):
        porter.verify(square, tmp_path / "a")


@pytest.fixture
def verified(square, tmp_path):
    """Verifies a SavedModel that serves some function of the model's outputs, the layers beside it as they are."""
    import keras
    import tensorflow as tf

    model = porter.build(square)
    names = [each.name for each in model.layers[1:]]
    inner = keras.Function(model.inputs, [each.output for each in model.layers[1:]])

    def verify(serve, **more):
        folder, module = tmp_path / "a", tf.Module()
        module.model, module.calls = model, tf.Variable(0)
        made = {
            "serving_default": lambda inputs: {"output_0": serve(model, inputs, module)},
            "layers": lambda inputs: dict(zip(names, keras.tree.flatten(inner([inputs])), strict=True)),
            **{name: (lambda inputs, other=other: {"output_0": other(model, inputs)}) for name, other in more.items()},
        }
        spec = [tf.TensorSpec((None, 7), tf.float32, name="inputs")]
        signatures = {name: tf.function(f, spec, autograph=False).get_concrete_function() for name, f in made.items()}
        tf.saved_model.save(module, str(folder), signatures=signatures)
        return porter.verify(square, folder, rows=50)

    return verify


def test_what_is_served_is_judged_whatever_the_layers_beside_it_give(verified):
    assert verified(lambda model, inputs, _: 1.01 * model(inputs)).verdict == "mismatch"
    report = verified(lambda model, inputs, _: model(inputs), predict=lambda model, inputs: -model(inputs))
    assert report.verdict == "parity" and "predict not at all" in report.notes[0]


def seldom(model, inputs, _):
    import tensorflow as tf

    outputs = model(inputs)
    return tf.where(tf.math.is_nan(outputs), 0.0, outputs)


def in_large_batches(model, inputs, _):
    import tensorflow as tf

    return tf.cond(tf.shape(inputs)[0] > 5000, lambda: -model(inputs), lambda: model(inputs))


def late(model, inputs, module):
    import tensorflow as tf

    return model(inputs) + tf.cast(module.calls.assign_add(1) > 1000, tf.float32)


def by_chance(model, inputs, _):
    import tensorflow as tf

    return model(inputs) + tf.cast(tf.random.uniform([]) > 0.99999, tf.float32)


def of_other_arrays(model, inputs, _):
    """The same numbers by other operations than those that show the layers."""
    import tensorflow as tf

    for each in model.layers[1:]:
        inputs = each(tf.reverse(tf.reverse(inputs, [0]), [0]))
    return inputs


@pytest.mark.parametrize(
    ("serve", "verdict", "told"),
    [
        (seldom, "inconclusive", "did nothing on any of the rows"),
        (in_large_batches, "inconclusive", "computes with how many rows there are"),
        (late, "mismatch", "a state that is kept"),
        (by_chance, "mismatch", "other numbers each time"),
        (of_other_arrays, "inconclusive", "is nothing that the outputs are made of"),
    ],
)
def test_what_is_served_may_be_otherwise_seldom_or_late(verified, serve, verdict, told):
    report = verified(serve)
    assert report.verdict == verdict, str(report)
    assert told in " ".join((*report.notes, *(each.message for each in report.findings)))


@pytest.mark.parametrize("content", [b"", b"nothing"])
def test_no_saved_model(square, tmp_path, content):
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(porter.PortError):
        porter.verify(square, tmp_path)


def test_every_format_says_what_it_is():
    assert set(ENDINGS) | {"onnx", "litert"} <= set(FORMATS)
    assert all(form.describes for form in FORMATS.values())


def write_module(square, folder, name, factor=1.0):
    model = porter.build(square, dtype="float64")
    model.save(folder / f"{name}.keras")
    (folder / f"{name}.py").write_text(
        "import keras\nimport numpy as np\n"
        f"MODEL = keras.saving.load_model({str(folder / f'{name}.keras')!r})\n"
        f"def forward(rows):\n    return {factor} * np.asarray(MODEL(rows))\nNUMBER = 3\n"
    )


def test_a_function_by_its_name(square, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    write_module(square, tmp_path, "right_port")
    report = porter.verify(square, "right_port:forward")
    assert report.verdict == "inconclusive" and report.links["build"] == "inconclusive"
    write_module(square, tmp_path, "wrong_port", factor=1.01)
    assert porter.verify(square, "wrong_port:forward").verdict == "mismatch"
    for name, told in (("right_port:nothing", "AttributeError"), ("no_such:forward", "ModuleNotFoundError"),
                       ("right_port:NUMBER", "int")):  # fmt: skip
        with pytest.raises(porter.PortError, match=told):
            porter.verify(square, name)
    for name in ("right_port", "wrong_port"):
        sys.modules.pop(name, None)


def test_a_name_that_a_file_bears_is_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named_function("module:function") == ("module", "function")
    (tmp_path / "module:function").write_text("")
    assert named_function("module:function") == ("", "")
    assert named_function("a.b:c") == ("a.b", "c")
    assert named_function("C:\\port.keras") == ("", "") == named_function("a b:c")


def test_the_prefix_of_a_checkpoint(tmp_path):
    (tmp_path / "a.ckpt.index").write_text("")
    assert checkpoint_prefix(tmp_path / "a.ckpt") == tmp_path / "a.ckpt"
    assert checkpoint_prefix(tmp_path / "a.ckpt.index") == tmp_path / "a.ckpt"
    assert checkpoint_prefix(tmp_path / "b.ckpt") is None and checkpoint_prefix(tmp_path) is None


def test_the_command_line_says_that_a_module_is_imported(square, fixtures, tmp_path):
    write_module(square, tmp_path, "some_port")
    command = [sys.executable, "-m", "porter", "verify", str(fixtures / "square_7-7-7-7-7.h5"), "some_port:forward"]
    told = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert told.returncode == 1 and "some_port is imported" in told.stderr
    assert json.loads(told.stdout)["verdict"] == "inconclusive"


def test_numbers_of_a_saved_model_are_those_of_the_port(square, tmp_path):
    from porter.ports.keras.saved_model import open_saved_model

    model = porter.build(square)
    model.export(tmp_path / "a", verbose=False)
    rows = np.random.default_rng(0).uniform(*square.input_range.T, (20, 7)).astype(np.float32)
    assert np.allclose(open_saved_model(tmp_path / "a")(rows), np.asarray(model(rows)), rtol=1e-6)


def long_sequences(path, kind):
    """Two recurrent layers over forty time steps: one that gives every step, and one that gives the last."""
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[kind]
    how = {"activation": "tanh", "use_bias": True} | ({} if gates == 1 else {"recurrent_activation": "sigmoid"})
    entries = [
        layer(kind, "rnn_1", batch_input_shape=[None, 40, 6], units=12, return_sequences=True, **how),
        layer(kind, "rnn_2", units=12, return_sequences=False, **how),
    ]
    roles, size = ("kernel", "recurrent_kernel", "bias"), 12 * gates
    held = weights("rnn_1", roles, (6, size), (12, size), (size,))
    return write(path, model(entries), held | weights("rnn_2", roles, (12, size), (12, size), (size,)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_long_sequences_in_a_saved_model(tmp_path, kind):
    """Its states are hidden: a right one is at parity, and no wrong one is."""
    from porter.ports.keras.build import build
    from porter.ports.keras.saved_model import write_saved_model

    network = porter.read(long_sequences(tmp_path / "old.h5", kind))
    right = porter.export(network, tmp_path / "right", to="saved_model")
    assert right.verdict == "parity" and all(row.power < 1e-4 for row in right.layers), str(right)
    assert any("rnn_2: its states are hidden; walked by the legacy cell" in note for note in right.notes)
    for name, array, verdict in (("rnn_1", len(kind) % 2, "mismatch"), ("rnn_2", 1 - len(kind) % 2, "inconclusive")):
        port = build(network)
        arrays = [np.array(each) for each in port.get_layer(name).get_weights()]
        arrays[array][2, 3] *= 1.01
        port.get_layer(name).set_weights(arrays)
        write_saved_model(port, steps_of(network, port), tmp_path / f"{name}_{array}")
        wrong = porter.verify(network, tmp_path / f"{name}_{array}")
        assert wrong.verdict == verdict, str(wrong)
        assert {row.layer: row.verdict for row in wrong.layers}[name] != "parity"


def test_without_the_walk_long_sequences_stay_open(tmp_path, monkeypatch):
    """Negative control: the bound that is carried along them says nothing."""
    from porter.exports import judged

    monkeypatch.setattr(judged, "_along_the_cell", lambda walked: None)
    report = porter.export(long_sequences(tmp_path / "old.h5", "LSTM"), tmp_path / "a", to="saved_model")
    assert report.verdict == "inconclusive"
    assert "the states after its time steps are hidden" in report.layers[1].where
