"""The gradients of ports: right ones are at parity, and planted mistakes that leave the outputs alone are found."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

import porter
from porter.examination.gradients import Slope
from porter.jobs.gradients import OF_CHAINS, OF_KERAS, UNASKED
from porter.ports.keras import jacobian as jacobians
from porter.ports.keras.graph import read_graph
from porter.ports.keras.jacobian import central_differences, jacobian
from porter.report.json import schema
from tests.handmade import plain_port, read_legacy
from tests.keras_legacy.files import dense, layer, model, write
from tests.networks import small_network

pytestmark = pytest.mark.usefixtures("keras")

SQUARE = "square_7-7-7-7-7.h5"


@pytest.fixture(scope="module")
def network(fixtures):
    return porter.read(fixtures / SQUARE)


@pytest.fixture(scope="module")
def tables(fixtures):
    return fixtures / "families" / "ffbp_7x7.net"


def judged(network, port, **options):
    return porter.verify(network, port, search=False, rows=200, gradients=True, **options)


def with_layer(network, name, call):
    """A port whose layer of that name is another, made by ``call`` of Keras' own and its input."""
    import keras

    port = porter.build(network)
    tensor = port.inputs[0]
    for each in port.layers[1:]:
        tensor = call(each, tensor) if each.name == name else each(tensor)
    return keras.Model(port.inputs[0], tensor)


# --- right ports -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "placement"),
    [("float32", "inside"), ("float64", "folded"), ("float32", "outside"), ("mixed_float16", "inside")],
)
def test_right_ports_are_at_parity(network, dtype, placement):
    report = judged(network, porter.build(network, dtype=dtype, placement=placement), placement=placement)
    assert report.verdict == report.gradients.verdict == "parity", str(report)
    assert [each.verdict for each in report.gradients.layers] == ["parity"] * len(report.gradients.layers)
    assert len(report.gradients.outputs) == 7
    assert report.gradients.rows == 64


@pytest.mark.parametrize("name", ["coast_Lrc_aaNN.h5", "rectified_7-24-16-3.h5", "mean_std_7-16-7.h5"])
def test_of_transforms_and_other_activations(fixtures, name):
    options = {"physical": True} if "coast" in name else {"scaling": "mean-std"} if "mean" in name else {}
    network = porter.read(fixtures / name, **options)
    report = judged(network, porter.build(network))
    assert report.gradients.verdict == "parity", str(report)


def test_every_family_that_is_a_chain(fixtures):
    found = {}
    for path in sorted((fixtures / "families").iterdir()):
        try:
            network = porter.read(path)
            model = porter.build(network)
        except porter.PorterError:
            continue
        found[network.family] = judged(network, model).gradients.verdict
    assert found.pop("ffbp") == "mismatch"
    assert len(found) >= 4
    assert set(found.values()) == {"parity"}, found


def test_an_activation_without_a_bound_gives_figures(network):
    other = porter.read(network.source.path, activation="gelu")
    report = judged(other, porter.build(other))
    assert report.verdict == "parity"
    assert report.gradients.verdict == "not judged"
    first = report.gradients.layers[1]
    assert first.verdict == "not judged"
    assert first.allowed is None
    assert first.difference < 1e-5 * first.size
    assert "no bound is derived" in report.gradients.note


# --- planted mistakes ------------------------------------------------------------------------------------------------


def test_a_table_has_no_gradient_and_the_remedy_is_to_leave_it(tables):
    report = judged(porter.read(tables), porter.build(porter.read(tables)))
    assert (report.verdict, report.links["build"], report.gradients.verdict) == ("mismatch",) * 3
    (finding,) = report.findings
    assert (finding.code, finding.layer) == ("gradient.cut", "Layer1")
    assert "--exact-activations" in finding.remedy
    assert report.layers[1].verdict == "parity"
    exact = porter.read(tables, exact_activations=True)
    after = judged(exact, porter.build(exact))
    assert after.verdict == "parity"
    assert "the original's own, with its activations, differ from them by up to" in after.gradients.note


def test_not_asked_for_it_is_said_and_judges_nothing(tables, network):
    table = porter.read(tables)
    report = porter.verify(table, porter.build(table), search=False, rows=200)
    assert report.verdict == "parity"
    assert report.gradients is None
    assert UNASKED in report.notes
    assert UNASKED not in porter.verify(network, porter.build(network), search=False, rows=200).notes


@pytest.mark.parametrize("name", ["Layer2", "Layer4", "Norm_out"])
def test_a_layer_whose_gradient_is_stopped(network, name):
    from keras import ops

    report = judged(network, with_layer(network, name, lambda layer, x: ops.stop_gradient(layer(x))))
    assert report.verdict == "mismatch"
    (finding,) = report.findings
    assert finding.code == "gradient.cut"
    assert finding.layer == name
    assert next(each for each in report.gradients.layers if each.name == name).is_cut


def test_a_gradient_of_its_own(network):
    """A wrong Jacobian planted: twice the derivative of one layer, whose outputs are right."""
    from keras import ops

    def doubled(layer, x):
        y = layer(x)
        return y + y - ops.stop_gradient(y)

    report = judged(network, with_layer(network, "Layer3", doubled))
    (finding,) = report.findings
    assert (finding.code, finding.layer) == ("gradient.replaced", "Layer3")
    assert "derivatives of Layer3" in finding.evidence
    assert "derivatives of output" in finding.evidence
    assert [each.verdict for each in report.gradients.layers].count("mismatch") == 1


def test_a_call_of_its_own_that_stops_them(network, keras):
    from keras import ops

    built = porter.build(network)

    class Stopped(keras.Model):
        def call(self, x, training=None):
            return super().call(ops.stop_gradient(x), training=training)

    report = judged(network, Stopped(built.inputs[0], built.outputs[0]))
    assert report.gradients.verdict == "mismatch"
    assert [each.verdict for each in report.gradients.layers] == ["parity"] * 6
    (finding,) = report.findings
    assert "as a whole" in finding.message
    assert finding.layer == "Norm_out"


def test_a_port_that_is_wrong_already_gets_no_second_finding(fixtures, network):
    legacy = read_legacy(fixtures / SQUARE)
    report = judged(network, plain_port(legacy.with_arrays(2, legacy.kernels[1].T)))
    assert [finding.code for finding in report.findings] == ["kernel.transposed"]
    assert report.gradients.verdict == "not judged"
    assert "its derivatives are not judged" in report.gradients.note
    assert max(each.difference for each in report.gradients.outputs) > 0.1


# --- what there is no gradient of ------------------------------------------------------------------------------------


def test_functions_and_files_say_so(network):
    report = porter.verify(network, lambda x: x @ np.zeros((7, 7)), gradients=True)
    assert report.gradients.note == OF_KERAS
    assert report.gradients.verdict == "not judged"


def test_graphs_say_so(tmp_path):
    only = layer("Dense", "dense_1", units=2, activation="tanh", batch_input_shape=[None, 4])
    path = write(tmp_path / "m.h5", model([only]), {"dense_1": dense(np.random.default_rng(0), "dense_1", 4, 2)})
    network = porter.read(path)
    report = porter.verify(network, porter.build(network), gradients=True)
    assert report.gradients.note == OF_CHAINS


def test_a_port_of_one_size_of_batch_says_why_not(network, keras):
    built = porter.build(network)
    inputs = keras.Input(batch_shape=(8, 7))
    x = keras.layers.Reshape((7,))(keras.ops.reshape(inputs, (8, 7)))
    report = judged(network, keras.Model(inputs, built(x)))
    assert report.gradients.verdict == "not judged"
    assert "gradients were not compared: " in report.gradients.note


def test_another_backend_gets_differences_without_a_verdict(network, monkeypatch):
    monkeypatch.setattr("porter.jobs.gradients.has_gradients", lambda: False)
    report = judged(network, porter.build(network, dtype="float64"))
    assert report.verdict == "parity"
    assert report.gradients.verdict == "not judged"
    assert "central differences of the port" in report.gradients.note
    assert report.gradients.layers == ()
    worst = max(each.difference / each.size for each in report.gradients.outputs)
    assert worst < 0.02


# --- how they are taken ----------------------------------------------------------------------------------------------


def test_the_tape_and_differences_agree(monkeypatch):
    network = small_network()
    graph = read_graph(porter.build(network, dtype="float64"))
    rows = np.random.default_rng(0).normal(size=(9, 5))
    whole = jacobian(graph, rows)
    assert whole.shape == (9, 3, 5)
    assert np.allclose(whole, central_differences(lambda x: graph(x)[0], rows), rtol=0.05, atol=1e-3)
    monkeypatch.setattr(jacobians, "NUMBERS", 40)  # in many small batches
    assert np.array_equal(jacobian(graph, rows), whole)


def test_parts_multiply_to_the_whole(network):
    graph = read_graph(porter.build(network, dtype="float64"))
    rows = np.random.default_rng(0).normal(size=(3, 7)) / 100
    tensors = graph.trace([rows])
    total = np.broadcast_to(np.eye(7), (3, 7, 7))
    for atom in graph.atoms:
        total = jacobian(graph, tensors[atom.entry], atom.entry, atom.key) @ total
    assert np.allclose(total, jacobian(graph, rows), rtol=1e-12)


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_every_renderer_shows_them(tables, tmp_path):
    report = judged(porter.read(tables), porter.build(porter.read(tables)))
    content = json.loads(report.to_json())
    jsonschema.validate(content, schema())
    assert content["gradients"]["layers"][1]["is_cut"] is True
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"gradients": {"verdict": "fine"}}, schema())
    text = str(report)
    assert "Gradients: mismatch" in text
    assert "output 1" in text
    report.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<h2>Gradients:" in page
    assert f"{content['gradients']['outputs'][0]['difference']:.2e}" in page


def test_a_port_is_saved_only_with_right_gradients_where_they_were_asked_for(tables, tmp_path):
    report = porter.port(tables, tmp_path / "a.keras", search=False, gradients=True)
    assert report.verdict == "mismatch"
    assert not (tmp_path / "a.keras").exists()
    report = porter.port(tables, tmp_path / "b.keras", search=False, gradients=True, exact_activations=True)
    assert (tmp_path / "b.keras").exists()
    assert all(isinstance(each, Slope) for each in report.gradients.outputs)
