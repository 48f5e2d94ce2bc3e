"""Legacy Keras graphs as ONNX files: written, run by onnxruntime, every layer judged; and mistakes in them named."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper

import porter
from porter.exports.onnx import build_onnx
from tests.exports import graphs, onnx_files
from tests.exports.graphs import held as weights
from tests.exports.graphs import norm
from tests.keras_legacy.files import layer, model, write


def cnn(path, layout="channels_last"):
    """Convolutions, batch normalization, pooling, padding, and a dense end."""
    shape = [9, 8, 3] if layout == "channels_last" else [3, 9, 8]
    entries = [
        layer("Conv2D", "conv_1", filters=4, kernel_size=[3, 3], strides=[1, 1], padding="same", data_format=layout,
              dilation_rate=[1, 1], activation="relu", use_bias=True, batch_input_shape=[None, *shape]),
        layer("BatchNormalization", "norm_1", axis=-1 if layout == "channels_last" else 1, epsilon=1e-3, center=True,
              scale=True, momentum=0.99),
        layer("MaxPooling2D", "pool_1", pool_size=[2, 2], strides=[2, 2], padding="same", data_format=layout),
        layer("ZeroPadding2D", "pad_1", padding=[[1, 0], [0, 2]], data_format=layout),
        layer("SeparableConv2D", "conv_2", filters=5, kernel_size=[2, 2], strides=[1, 1], padding="valid",
              data_format=layout, dilation_rate=[1, 1], depth_multiplier=2, activation="tanh", use_bias=True),
        layer("AveragePooling2D", "pool_2", pool_size=[2, 2], strides=[2, 2], padding="same", data_format=layout),
        layer("Flatten", "flatten_1", data_format=layout),
        layer("Dense", "dense_1", units=3, activation="softmax", use_bias=True),
    ]  # fmt: skip
    held = {
        **weights("conv_1", ("kernel", "bias"), (3, 3, 3, 4), (4,)),
        **norm("norm_1", 4),
        **weights("conv_2", ("depthwise_kernel", "pointwise_kernel", "bias"), (2, 2, 4, 2), (1, 1, 8, 5), (5,)),
        **weights("dense_1", ("kernel", "bias"), (45, 3), (3,)),
    }
    return write(path, model(entries), held)


def recurrent(path, kind, **how):
    """A recurrent layer and a dense one."""
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[kind]
    config = {"units": 5, "activation": "tanh", "use_bias": True, "return_sequences": False} | how
    config |= {} if kind == "SimpleRNN" else {"recurrent_activation": how.get("recurrent_activation", "sigmoid")}
    config |= {"reset_after": how.get("reset_after", False)} if kind == "GRU" else {}
    bias = (2, 15) if config.get("reset_after") else (5 * gates,)
    entries = [
        layer(kind, "rnn_1", batch_input_shape=[None, 7, 4], **config),
        layer("Dense", "dense_1", units=2, activation="linear", use_bias=True),
    ]
    held = {
        **weights("rnn_1", ("kernel", "recurrent_kernel", "bias"), (4, 5 * gates), (5, 5 * gates), bias),
        **weights("dense_1", ("kernel", "bias"), (5, 2), (2,)),
    }
    return write(path, model(entries), held)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_a_convolutional_network(tmp_path, layout):
    network = porter.read(cnn(tmp_path / "a.h5", layout))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx"))
    assert report.verdict == "parity" == report.links["export"], str(report)
    assert len(report.layers) == 8 and all(row.verdict == "parity" for row in report.layers)


RECURRENT = [
    ("LSTM", {}),
    ("LSTM", {"recurrent_activation": "hard_sigmoid"}),
    ("LSTM", {"return_sequences": True, "go_backwards": True}),
    ("LSTM", {"activation": "softsign"}),
    ("GRU", {}),
    ("GRU", {"reset_after": True}),
    ("GRU", {"activation": "elu"}),
    ("SimpleRNN", {"activation": "relu"}),
    ("SimpleRNN", {"return_sequences": True}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "how"), RECURRENT)
def test_a_recurrent_network(tmp_path, kind, how, dtype):
    network = porter.read(recurrent(tmp_path / "a.h5", kind, **how))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx", dtype=dtype))
    assert report.verdict == "parity", str(report)


def test_masked_time_steps(tmp_path):
    entries = [
        layer("Masking", "mask_1", mask_value=0.0, batch_input_shape=[None, 6, 3]),
        layer("LSTM", "rnn_1", units=4, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
              return_sequences=True),
        layer("GlobalAveragePooling1D", "pool_1", data_format="channels_last"),
    ]  # fmt: skip
    held = weights("rnn_1", ("kernel", "recurrent_kernel", "bias"), (3, 16), (4, 16), (16,))
    network = porter.read(write(tmp_path / "a.h5", model(entries), held))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx"))
    assert report.verdict == "parity", str(report)


def swap(name, operation):
    return onnx_files.other_operation(name, operation)


def axes_of_a_kernel(graph):
    kernel = onnx_files.node(graph, "conv_1/Conv").input[1]
    onnx_files.put(graph, kernel, onnx_files.array(graph, kernel).transpose(0, 1, 3, 2))


def no_bias(graph):
    del onnx_files.node(graph, "conv_1/Conv").input[2:]


GRAPH_MISTAKES = {
    "a kernel's axes": (axes_of_a_kernel, "conv_1"),
    "a bias": (no_bias, "conv_1"),
    "an activation": (swap("conv_2/Tanh", "Sigmoid"), "conv_2"),
    "the last activation": (swap("dense_1/Softmax", "LogSoftmax"), "dense_1"),
}


@pytest.mark.parametrize("what", GRAPH_MISTAKES)
def test_a_mistake_is_found_at_its_layer(tmp_path, what):
    edit, where = GRAPH_MISTAKES[what]
    network = porter.read(cnn(tmp_path / "a.h5"))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx", edit))
    assert report.verdict == "mismatch"
    assert [row.layer for row in report.layers if row.verdict == "mismatch"] == [where]
    assert {finding.layer for finding in report.findings} == {where}


def test_a_file_that_bears_no_legacy_names(tmp_path):
    network = porter.read(cnn(tmp_path / "a.h5"))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx", onnx_files.renamed))
    assert report.verdict == "parity", str(report)
    assert any("by the numbers" in note for note in report.notes)


def test_a_mistake_in_a_file_that_bears_no_legacy_names(tmp_path):
    def edit(graph):
        axes_of_a_kernel(graph)
        onnx_files.renamed(graph)

    network = porter.read(cnn(tmp_path / "a.h5"))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx", edit))
    assert report.verdict == "mismatch" and report.findings[0].layer == "conv_1"


def test_a_file_with_the_channels_first_throughout(tmp_path):
    """As converters write it that leave the turns out: every tensor is laid out otherwise."""

    def edit(graph):
        onnx_files.renamed(graph)
        size = next(each for each in graph.input if each.name == network.inputs[0].name)
        for at, side in enumerate((3, 9, 8), start=1):
            size.type.tensor_type.shape.dim[at].Clear()
            size.type.tensor_type.shape.dim[at].dim_value = side
        turn = helper.make_node("Transpose", [size.name], ["turned"], perm=[0, 2, 3, 1])
        first = next(each for each in graph.node if size.name in each.input)
        first.input[0] = "turned"
        graph.node.insert(0, turn)

    network = porter.read(cnn(tmp_path / "a.h5"))
    path = onnx_files.write(network, tmp_path / "a.onnx", edit)
    with pytest.raises(porter.PortError):
        porter.verify(network, path)


def test_layers_without_a_form_are_refused_all_at_once(tmp_path):
    entries = [
        layer("Dense", "dense_1", units=6, activation="linear", use_bias=True, batch_input_shape=[None, 4]),
        layer("Reshape", "reshape_1", target_shape=[2, 3]),
        layer("CategoryEncoding", "encoding_1", num_tokens=4, output_mode="multi_hot"),
    ]
    held = weights("dense_1", ("kernel", "bias"), (4, 6), (6,))
    network = porter.read(write(tmp_path / "a.h5", model(entries), held))
    with pytest.raises(porter.UnbuildableError, match="encoding_1"):
        build_onnx(network)


def test_float64_where_onnxruntime_has_float32_alone(tmp_path):
    network = porter.read(cnn(tmp_path / "a.h5"))
    with pytest.raises(porter.UnbuildableError, match=r"conv_1/Conv.*pool_2/AveragePool") as told:
        build_onnx(network, dtype="float64")
    assert "float32" in told.value.remedy


def test_two_inputs_that_share_a_layer(tmp_path, real):
    found = sorted((real / "keras_h5").rglob("misc_*.h5"))
    network = porter.read(found[0])
    assert porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx")).verdict == "parity"


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["cnn1d_1*.h5", "cnn2d_1*.h5", "rnn_1*.h5", "mlp_1*.h5"])
def test_other_peoples_networks(real, tmp_path, pattern):
    for number, file in enumerate(sorted((real / "keras_h5").rglob(pattern))[:6]):
        network = porter.read(file)
        report = porter.verify(network, onnx_files.write(network, tmp_path / f"{number}.onnx"))
        assert report.verdict != "mismatch", f"{file}\n{report}"


def test_every_layer_is_an_output_on_request(tmp_path):
    network = porter.read(cnn(tmp_path / "a.h5"))
    names = [each.name for each in build_onnx(network, layers=True).graph.output]
    assert names[0] == "dense_1" and set(names) == {layer.name for layer in network.layers}
    assert onnx.load(onnx_files.write(network, tmp_path / "a.onnx", layers=True)).graph.output


def long_lstm(path):
    """A sequence along which a bound that is carried grows until it allows everything."""
    entries = [
        layer("LSTM", "rnn_1", batch_input_shape=[None, 40, 6], units=24, activation="tanh", use_bias=True,
              recurrent_activation="sigmoid", return_sequences=True),
        layer("LSTM", "rnn_2", units=24, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
              return_sequences=False),
    ]  # fmt: skip
    held = weights("rnn_1", ("kernel", "recurrent_kernel", "bias"), (6, 96), (24, 96), (96,))
    held |= weights("rnn_2", ("kernel", "recurrent_kernel", "bias"), (24, 96), (24, 96), (96,))
    return write(path, model(entries), held)


@pytest.mark.parametrize("edit", [None, onnx_files.renamed])
def test_a_long_sequence_is_judged_a_time_step_at_a_time(tmp_path, edit):
    network = porter.read(long_lstm(tmp_path / "a.h5"))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx", edit))
    assert report.verdict == "parity", str(report)
    assert all(row.power < 1e-5 for row in report.layers)


def test_without_the_states_its_bound_says_nothing(tmp_path, monkeypatch):
    """Negative control: so it would be if the layers were compared as wholes."""
    from porter.exports import judged
    from porter.ports import onnx_file

    monkeypatch.setattr(onnx_file._Reader, "_cells", lambda self: {})
    monkeypatch.setattr(judged, "_along_the_cell", lambda walked: None)
    network = porter.read(long_lstm(tmp_path / "a.h5"))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx"))
    assert report.verdict == "inconclusive" and "the bound says nothing" in report.layers[0].where


def test_gates_in_another_order(tmp_path):
    def edit(graph):
        kernel = onnx_files.node(graph, "rnn_1/LSTM").input[2]
        i, o, f, c = np.split(onnx_files.array(graph, kernel), 4, axis=1)
        onnx_files.put(graph, kernel, np.concatenate([i, f, o, c], axis=1))

    network = porter.read(long_lstm(tmp_path / "a.h5"))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx", edit))
    assert report.verdict == "mismatch"
    assert [row.layer for row in report.layers if row.verdict == "mismatch"] == ["rnn_1"]


def clipped(graph):
    """A bound that no input of the network reaches."""
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(side, np.float32), name) for side, name in ((-40, "low"), (40, "high"))
    )
    last = onnx_files.node(graph, "conv_1/Conv")
    place = list(graph.node).index(last)
    graph.node.insert(place + 1, helper.make_node("Clip", ["before", "low", "high"], [last.output[0]], name="clip"))
    last.output[0] = "before"


@pytest.mark.parametrize("limit", [30.0, 1e8])
def test_a_limit_on_the_input_is_found_wherever_it_is(tmp_path, limit):
    """A network without a documented range may be fed with pixels, or with anything."""
    file, path = graphs.cnn(tmp_path / "old.h5"), tmp_path / "a.onnx"
    porter.export(file, path)
    model = onnx.load(path)
    name = model.graph.input[0].name
    for each in model.graph.node:
        each.input[:] = ["limited" if given == name else given for given in each.input]
    ends = [onnx.numpy_helper.from_array(np.array(end, np.float32), f"end_{end}") for end in (-limit, limit)]
    model.graph.initializer.extend(ends)
    model.graph.node.insert(0, onnx.helper.make_node("Clip", [name, *(end.name for end in ends)], ["limited"]))
    onnx.save(model, path)
    report = porter.verify(file, path)
    assert report.verdict == "mismatch" and [row.layer for row in report.layers if row.exceeding] == ["conv_1"]


def test_layers_are_fed_with_wide_numbers_of_their_own(tmp_path, monkeypatch):
    from porter.exports.file_pairing import FilePairing

    network = porter.read(cnn(tmp_path / "a.h5"))
    path = onnx_files.write(network, tmp_path / "a.onnx", clipped)
    report = porter.verify(network, path)
    assert report.verdict == "mismatch" and report.findings[0].layer == "conv_1"
    assert "wide rows of its own" in next(row.where for row in report.layers if row.layer == "conv_1")

    def refuse(self, name, rows):
        raise porter.PortError("alone")

    monkeypatch.setattr(FilePairing, "_alone", refuse)
    monkeypatch.setattr("porter.exports.row_sets.enlarge", lambda *given: [])
    assert porter.verify(network, path).verdict == "inconclusive"  # so only they show it, and larger inputs


@pytest.mark.subprocess
def test_neither_tensorflow_nor_keras_has_a_part_in_it(tmp_path):
    code = (
        f"import sys, porter\nsource, path = {str(cnn(tmp_path / 'a.h5'))!r}, {str(tmp_path / 'a.onnx')!r}\n"
        "print(porter.export(source, path).verdict, porter.verify(source, path).verdict)\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[:2] == ["parity parity", "[]"]
