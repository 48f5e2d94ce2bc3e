"""LiteRT files: converted, run by LiteRT, judged; mistakes in them named; whole numbers never called parity."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest

import porter
from porter.exports.litert import calibration
from porter.ports import litert_file
from porter.ports.litert_file import _outputs
from tests.exports import graphs, litert_files
from tests.exports.test_onnx_graphs import cnn, long_lstm, recurrent
from tests.keras_legacy.files import layer, model, write

pytestmark = pytest.mark.usefixtures("keras")


@pytest.fixture(scope="module")
def square(fixtures):
    return porter.read(fixtures / "square_7-7-7-7-7.h5")


@pytest.mark.parametrize(
    ("name", "precision"),
    [("square_7-7-7-7-7.h5", "float32"), ("square_7-7-7-7-7.h5", "float16"), ("families/canyon", "float32")],
)
def test_a_chain(fixtures, tmp_path, name, precision):
    network = porter.read(fixtures / name)
    report = porter.verify(network, litert_files.write(network, tmp_path / "a.tflite", precision=precision))
    assert report.verdict == "parity" == report.links["export"], str(report)
    assert "LiteRT" in report.link_notes["export"] and report.links["build"] == "not checked"
    assert all(row.verdict == "parity" or row.verdict.startswith("folded") for row in report.layers)


def test_arrays_in_half_precision_after_a_slope_was_multiplied_into_them(fixtures, tmp_path):
    network = porter.read(fixtures / "families" / "canyon")
    report = porter.verify(network, litert_files.write(network, tmp_path / "a.tflite", precision="float16"))
    assert report.verdict == "inconclusive" and "half precision" in report.notes[0]


def test_weights_in_half_precision_that_the_file_does_not_declare(square, tmp_path):
    """Negative control of the bound of float16: the same numbers, kept as float32."""
    import numpy as np

    def edit(model):
        for each in litert_files.products(model):
            values = litert_files.array(model, each.inputs[1])
            litert_files.put(model, each.inputs[1], values.astype(np.float16).astype(np.float32))

    report = porter.verify(square, litert_files.write(square, tmp_path / "a.tflite", edit))
    assert report.verdict == "mismatch" and report.findings[0].code == "precision.port"


MISTAKES = {
    "kernel.transposed": (litert_files.transposed(1), "Layer2"),
    "bias.missing": (litert_files.without_bias(2), "Layer3"),
    "activation.replaced": (litert_files.sigmoid_for_tanh(1), "Layer2"),
}


@pytest.mark.parametrize("code", MISTAKES)
def test_a_mistake_in_the_file_is_named(square, tmp_path, code):
    edit, where = MISTAKES[code]
    report = porter.verify(square, litert_files.write(square, tmp_path / "a.tflite", edit), search=False)
    assert report.verdict == "mismatch"
    assert [(finding.code, finding.layer) for finding in report.findings] == [(code, where)]


def test_a_scaling_that_the_converter_folds(square, tmp_path):
    """As somebody gets it who converts a port that has its scaling in layers of its own."""
    report = porter.verify(square, litert_files.write(square, tmp_path / "a.tflite", placement="inside"))
    assert report.verdict == "parity", str(report)


def test_operations_that_the_converter_arranges_otherwise(fixtures, tmp_path):
    network = porter.read(fixtures / "families" / "FAPAR")
    report = porter.verify(network, litert_files.write(network, tmp_path / "a.tflite"))
    assert report.verdict != "parity"
    assert report.verdict == "inconclusive" or report.findings


@pytest.mark.parametrize("precision", ["int8", "int16x8"])
def test_whole_numbers_are_an_approximation(square, tmp_path, precision):
    path = litert_files.write(square, tmp_path / "a.tflite", precision=precision)
    report = porter.verify(square, path)
    assert report.verdict == "inconclusive" == report.links["export"]
    assert all(row.verdict == "uncompared" for row in report.layers)
    told = report.notes[0]
    assert "an approximation, quantized to int" in told and "no parity" in told
    share = float(re.search(r"up to ([\d.]+)%", told)[1])
    assert 0.01 < share < {"int8": 60, "int16x8": 5}[precision]
    assert "rounding in float32 alone could explain" in told


def test_calibration_reaches_the_corners(square, keras):
    import numpy as np

    built = porter.build(square)
    (rows,) = calibration(square, built, np.random.default_rng(0))
    low, high = square.input_range.T
    assert (rows.min(axis=0) == low).all() and (rows.max(axis=0) == high).all()
    assert np.all((rows >= low) & (rows <= high))
    assert (np.isin(rows, np.concatenate([low, high])).all(axis=1)).sum() >= 256


def test_a_convolutional_network(tmp_path):
    network = porter.read(cnn(tmp_path / "a.h5"))
    report = porter.verify(network, litert_files.write(network, tmp_path / "a.tflite"))
    assert report.verdict == "parity", str(report)
    assert any("by the numbers" in note for note in report.notes)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_recurrent_network_is_unrolled(tmp_path, kind):
    network = porter.read(recurrent(tmp_path / "a.h5", kind))
    report = porter.verify(network, litert_files.write(network, tmp_path / "a.tflite"))
    assert report.verdict == "parity", str(report)


def one_weight(model):
    """Of what the states are multiplied with in the second layer, whose kernel all of its time steps share."""
    matrices = [each.inputs[1] for each in litert_files.products(model)]
    number = max(set(matrices), key=matrices.index)
    values = litert_files.array(model, number)
    values[3, 4] += 1e-3
    litert_files.put(model, number, values)


@pytest.mark.slow
@pytest.mark.parametrize("edit", [None, one_weight])
def test_a_long_sequence_is_judged_a_time_step_at_a_time(tmp_path, edit):
    """As wholes its layers have bounds that say nothing; what is written out shows the states."""
    network = porter.read(long_lstm(tmp_path / "a.h5"))
    report = porter.verify(network, litert_files.write(network, tmp_path / "a.tflite", edit))
    assert [row.verdict for row in report.layers] == ["parity", "parity" if edit is None else "mismatch"], str(report)
    assert all(row.power < 1e-5 for row in report.layers)


def test_a_time_axis_that_is_left_open(tmp_path):
    entries = [layer("LSTM", "rnn_1", units=2, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
                     return_sequences=False, batch_input_shape=[None, None, 3])]  # fmt: skip
    held = {"rnn_1": {"rnn_1/kernel:0": [[0.1] * 8] * 3, "rnn_1/recurrent_kernel:0": [[0.1] * 8] * 2,
                      "rnn_1/bias:0": [0.1] * 8}}  # fmt: skip
    network = porter.read(write(tmp_path / "a.h5", model(entries), held))
    with pytest.raises(porter.UnbuildableError, match="left open"):
        litert_files.write(network, tmp_path / "a.tflite")


@pytest.mark.parametrize("content", [b"", b"nothing at all", b"\x1c\0\0\0TFL3", b"\x1c\0\0\0TFL3" + bytes(100)])
def test_no_litert_file(square, tmp_path, content):
    (tmp_path / "a.tflite").write_bytes(content)
    with pytest.raises(porter.PortError):
        porter.verify(square, tmp_path / "a.tflite")


def test_tensorflow_stands_in_for_the_runtime(square, tmp_path, monkeypatch):
    path = litert_files.write(square, tmp_path / "a.tflite")
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter", "ai_edge_litert.schema_py_generated"):
        monkeypatch.setitem(sys.modules, name, None)
    assert litert_file.runtime()[2].startswith("tf.lite")
    report = porter.verify(square, path, search=False)
    assert report.verdict == "parity" and "tf.lite" in report.link_notes["export"]


@pytest.mark.parametrize(("signed", "verdict"), [(False, "parity"), (True, "inconclusive")])
def test_who_calls_the_signature_may_get_another_output(square, tmp_path, signed, verdict):
    path = litert_files.write(square, tmp_path / "a.tflite", litert_files.with_another_output(signed=signed))
    report = porter.verify(square, path, search=False, rows=50)
    assert report.verdict == report.links["export"] == verdict and "more not at all" in report.notes[0]


@pytest.mark.parametrize("make", ["square", "recurrent"])
@pytest.mark.parametrize(("place", "verdict"), [(1, "parity"), (0, "inconclusive")])
def test_who_takes_the_first_output_may_get_a_hidden_layers(square, tmp_path, make, place, verdict):
    """Whatever the signature says: many take outputs by their numbers."""
    network = square if make == "square" else porter.read(graphs.recurrent(tmp_path / "a.h5", "SimpleRNN"))
    path = litert_files.write(network, tmp_path / "a.tflite", litert_files.with_a_hidden_output(place))
    report = porter.verify(network, path, search=False, rows=50)
    assert report.verdict == report.links["export"] == verdict
    assert ("comes first" in " ".join(report.notes)) == (place == 0)


def test_outputs_stand_in_the_order_of_the_signature():
    """A converter may list them in another; where the signature does not number them, the graph's own order counts."""
    outputs = [SimpleNamespace(name=b"output_0", tensorIndex=52), SimpleNamespace(name=b"output_1", tensorIndex=51)]
    model = SimpleNamespace(
        subgraphs=[SimpleNamespace(outputs=[51, 52])],
        signatureDefs=[SimpleNamespace(outputs=outputs, subgraphIndex=0)],
    )
    assert _outputs(model) == (52, 51)
    outputs[0].name = b"mean"
    assert _outputs(model) == (51, 52)


@pytest.mark.parametrize(
    "signed, told",
    [
        ([(0, 51), (0, 50)], "2 signatures with different outputs"),
        ([(0, 51), (1, 51)], "2 signatures with different outputs"),
        ([(1, 51)], "not those of the file's first graph"),
        ([(0, 50)], "not those of the file's first graph"),
    ],
)
def test_a_signature_that_is_not_the_graphs_is_refused(signed, told):
    """Who calls the file by its signature gets that, and it is the first graph that is judged."""
    signatures = [
        SimpleNamespace(
            signatureKey=b"serve", subgraphIndex=graph, outputs=[SimpleNamespace(name=b"output_0", tensorIndex=at)]
        )
        for graph, at in signed
    ]
    model = SimpleNamespace(subgraphs=[SimpleNamespace(outputs=[51])], signatureDefs=signatures)
    with pytest.raises(porter.PortError, match=told):
        _outputs(model)


def scaled_weight(number, factor, share=0.5):
    """One weight of a product, of those that are not zero the one that so many are smaller than."""
    import numpy as np

    def edit(model):
        at = litert_files.products(model)[number].inputs[1]
        values = litert_files.array(model, at)
        real = np.flatnonzero(values)
        place = real[np.argsort(np.abs(values.ravel()[real]))[int(share * len(real))]]
        values.ravel()[place] *= factor
        litert_files.put(model, at, values)

    return edit


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nit", "ph", "sil"])
def test_slopes_and_amplitudes_that_a_converter_multiplies_into_others(real, tmp_path, kind):
    network = porter.read(real / "canyon_med" / "v2" / "MATLAB" / "CANYON-MED_weights", kind=kind)
    right = porter.verify(network, litert_files.write(network, tmp_path / "right.tflite"), search=False)
    assert right.verdict == "parity" and any("multiplied by a factor" in note for note in right.notes), str(right)
    for number in (1, 2):
        path = litert_files.write(network, tmp_path / "wrong.tflite", scaled_weight(number, 1.01))
        wrong = porter.verify(network, path, search=False)
        assert wrong.verdict == "mismatch" and wrong.findings[0].layer == f"Layer{number}", str(wrong)
    path = litert_files.write(network, tmp_path / "wrong.tflite", scaled_weight(0, 1.5))
    assert porter.verify(network, path, search=False).verdict == "mismatch"


SCALED = {
    "all hidden layers": ["scaled_tanh", "scaled_tanh", "scaled_tanh", "linear"],
    "another amplitude": ["scaled_tanh(amplitude=1.3, slope=0.7)", "scaled_tanh", "tanh", "linear"],
    "the first alone": ["scaled_tanh", "tanh", "tanh", "linear"],
}


@pytest.mark.parametrize("name", SCALED)
def test_a_chain_with_scaled_tanh(fixtures, tmp_path, name):
    """A right file is at parity; with one weight off by a hundredth it is not, and the layer is among those named."""
    network = porter.read(fixtures / "square_7-7-7-7-7.h5", activation=SCALED[name])
    right = porter.verify(network, litert_files.write(network, tmp_path / "right.tflite"), search=False)
    assert right.verdict == "parity", str(right)
    for number in range(4):
        path = litert_files.write(network, tmp_path / "wrong.tflite", scaled_weight(number, 1.01))
        wrong = porter.verify(network, path, search=False)
        assert wrong.verdict == "mismatch", str(wrong)
        assert f"Layer{number + 1}" in [finding.layer for finding in wrong.findings]
