"""``porter.verify``: what the report promises, what is refused, and what is left as it was."""

from __future__ import annotations

import json
import os
import random
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import porter
from porter.codes import CODES
from porter.errors import PortError, SamplesShapeError, SamplesValueError, UnreadableError, UsageError
from porter.report.model import Finding, LayerRow
from porter.report.report import Report
from tests.handmade import Legacy, bare_port, named, plain_port, read_legacy, rows

pytestmark = pytest.mark.usefixtures("keras")

NAME = "square_7-7-7-7-7"


@pytest.fixture(scope="module")
def path(fixtures):
    return fixtures / f"{NAME}.h5"


@pytest.fixture(scope="module")
def network(path):
    return porter.read(path)


@pytest.fixture(scope="module")
def legacy(path):
    return read_legacy(path)


@pytest.fixture(scope="module")
def right(legacy, keras):
    return plain_port(legacy)


@pytest.fixture(scope="module")
def wrong(legacy, keras):
    """Layer2 transposed, and the bias of Layer3 left out."""
    return plain_port(legacy.with_arrays(2, legacy.kernels[1].T).with_arrays(3, bias=np.zeros(7)))


@pytest.fixture(scope="module")
def parity(network, right):
    return porter.verify(network, right, search=False)


@pytest.fixture(scope="module")
def mismatch(network, wrong):
    return porter.verify(network, wrong)


def test_a_layer_too_wide_for_a_basis_probe_each_is_probed_a_few_inputs_at_a_time(network, right, legacy, monkeypatch):
    monkeypatch.setattr("porter.examination.probes.READ_FULL_BASIS_WIDTH", 6)
    monkeypatch.setattr("porter.examination.probes.READ_BASIS_GROUPS", 3)
    kernel = legacy.kernels[1].copy()
    kernel[5, 2] *= 1 + 1e-5
    for port, verdict in ((right, "parity"), (plain_port(legacy.with_arrays(2, kernel)), "mismatch")):
        assert porter.verify(network, port, search=False, rows=50).verdict == verdict


# --- the report -----------------------------------------------------------------------------------------------------


def test_rows_are_the_steps_of_the_legacy_program_in_order(parity, mismatch):
    wanted = ["Norm_in", "Layer1", "Layer2", "Layer3", "Layer4", "Norm_out"]
    for report in (parity, mismatch):
        assert [row.layer for row in report.layers] == wanted
        assert all(isinstance(row.port_layer, tuple) and row.port_layer for row in report.layers)


def test_a_row_of_parity_has_its_figures(parity):
    for row in parity.layers:
        assert row.verdict == "parity"
        assert 0 <= row.isolated <= row.allowed < 1e-4
        assert row.elements > 2000 and row.exceeding == 0
        assert row.dtype == "float32"
        assert row.where
        assert row.cumulative < 1e-4


def test_a_row_of_a_mismatch_has_its_figures(mismatch):
    row = next(row for row in mismatch.layers if row.layer == "Layer2")
    assert row.verdict == "mismatch"
    assert row.isolated > row.allowed > 0
    assert 0 < row.exceeding <= row.elements
    assert "row" in row.where and "unit" in row.where
    assert row.rtol > 1e-3
    assert rows(mismatch) == {
        "Norm_in": "parity", "Layer1": "parity", "Layer2": "mismatch", "Layer3": "mismatch",
        "Layer4": "parity", "Norm_out": "parity",
    }  # fmt: skip


def test_findings_name_exactly_one_row_and_a_known_code(mismatch):
    assert named(mismatch) == {("kernel.transposed", "Layer2"), ("bias.missing", "Layer3")}
    for finding in mismatch.findings:
        assert finding.code in CODES
        assert finding.layer in rows(mismatch)
        assert finding.message.startswith(f"{finding.layer}: ")
        assert finding.evidence and finding.remedy and finding.port_layer
        assert finding.certain


def test_every_finding_is_printed_with_the_same_facts_in_the_same_order(mismatch):
    facts = ["layer  ", "elements ", "differ by more than rounding", "worst ", "allowed ", "rtol=", "cause ", "remedy "]
    shown = str(mismatch).split("Finding ")[1:]
    assert len(shown) == len(mismatch.findings) == 2
    for text in shown:
        places = [text.index(fact) for fact in facts]
        assert places == sorted(places)


def test_a_remedy_can_be_pasted(network, legacy):
    model = plain_port(legacy.with_arrays(2, legacy.kernels[1].T))
    (finding,) = porter.verify(network, model, search=False).findings
    exec(finding.remedy, {"model": model, "network": network})
    assert porter.verify(network, model, search=False).verdict == "parity"


def test_links_say_what_was_checked(parity, mismatch):
    assert list(parity.links) == ["reading", "build", "save", "export"]
    assert parity.links == {
        "reading": "assumed", "build": "parity", "save": "not checked", "export": "not checked",
    }  # fmt: skip
    assert mismatch.links["build"] == mismatch.verdict == "mismatch"
    assert set(parity.link_notes) == set(parity.links)
    assert "no search" in parity.link_notes["build"]
    assert "Hypothesis" in mismatch.link_notes["build"]


def test_claims_are_those_of_the_reading(parity, network):
    assert parity.claims == network.claims


def test_json_has_the_attribute_names_as_keys(mismatch):
    record = json.loads(mismatch.to_json())
    shown = {field.name for field in fields(Report)} - {"pictures", "when"}
    assert shown <= set(record)
    assert record["findings"][0].keys() >= {field.name for field in fields(Finding)}
    assert record["layers"][0].keys() >= {field.name for field in fields(LayerRow)}
    assert record["findings"][0]["code"] == mismatch.findings[0].code
    assert record["verdict"] == "mismatch"


def test_the_printed_report_shows_verdict_layers_and_remedy(mismatch, parity):
    text = str(mismatch)
    assert "mismatch" in text
    for finding in mismatch.findings:
        assert finding.code in text and finding.layer in text
    assert "parity" in str(parity)


def test_raise_for_mismatch(parity, mismatch):
    parity.raise_for_mismatch()
    with pytest.raises(porter.ParityError) as caught:
        mismatch.raise_for_mismatch()
    assert isinstance(caught.value, AssertionError)
    assert "kernel.transposed" in str(caught.value)


def test_provenance_can_make_it_again(parity, path):
    assert parity.provenance["seed"] == 0
    assert parity.provenance["legacy_sha256"] == porter.read(path).source.sha256
    assert parity.provenance["versions"]["keras"].startswith("3.")
    assert parity.provenance["placement"] == "inside"


def test_a_branch_that_the_inputs_never_reach_is_said(fixtures):
    options = {"activation": "relu", "output_activation": "relu", "scaling": "[0,1]"}
    network = porter.read(fixtures / "rectified_7-24-16-3.h5", **options)
    model = porter.build(network)
    report = porter.verify(network, model, search=False)
    assert report.verdict == "parity"
    assert any(note.startswith("Layer3: ") and "never see a negative" in note for note in report.notes)


def test_a_missing_output_relu_that_no_input_shows_is_found(fixtures, keras):
    options = {"activation": "relu", "output_activation": "relu", "scaling": "[0,1]"}
    network = porter.read(fixtures / "rectified_7-24-16-3.h5", **options)
    model = porter.build(network)
    rng = np.random.default_rng(0)
    low, high = network.input_range.T
    inside = rng.uniform(low, high, (200, 7)).astype(np.float32)
    before = model.predict_on_batch(inside)
    model.get_layer("Layer3").activation = keras.activations.linear
    assert np.array_equal(before, model.predict_on_batch(inside))
    report = porter.verify(network, model, search=False)
    assert named(report) == {("activation.missing", "Layer3")}


# --- the seed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", [False, True])
def test_the_same_seed_gives_the_same_report(network, wrong, search):
    first, second = (porter.verify(network, wrong, seed=5, search=search, rows=50) for _ in range(2))
    assert first.to_json() == second.to_json()


def test_another_seed_gives_other_rows_and_the_same_answer(network, wrong):
    first, second = (porter.verify(network, wrong, seed=seed, search=False, rows=50) for seed in (1, 2))
    assert first.to_json() != second.to_json()
    assert named(first) == named(second)
    assert first.provenance["seed"] == 1


# --- the search -----------------------------------------------------------------------------------------------------


def test_the_search_shrinks_a_counterexample_and_says_its_seed(network, mismatch):
    found = mismatch.counterexample
    assert found["layer"] == "Layer2"
    assert found["error"] > found["allowed"]
    assert found["seed"] == 0
    assert len(found["inputs"]) == 7
    assert any("smallest input that shows it" in note and "seed 0" in note for note in mismatch.notes)


def test_without_the_search_there_is_no_counterexample(network, wrong):
    report = porter.verify(network, wrong, search=False)
    assert report.counterexample is None
    assert "no search" in report.link_notes["build"]


def test_a_right_port_is_searched_in_vain(network, right):
    report = porter.verify(network, right, rows=50)
    assert report.verdict == "parity"
    assert report.counterexample is None
    assert "100 inputs searched by Hypothesis" in report.link_notes["build"]


@given(st.integers(0, 3), st.booleans())
@settings(max_examples=3)
def test_verify_works_inside_a_test_of_hypothesis(number, is_right):
    kernel = np.random.default_rng(number).standard_normal((3, 3))
    legacy = Legacy((kernel,), (np.ones(3),), ("linear",))
    model = bare_port(legacy if is_right else legacy.with_arrays(1, kernel.T))
    assert porter.verify(in_memory(legacy), model, rows=20).verdict == ("parity" if is_right else "mismatch")


def in_memory(legacy):
    """A network of one layer, from arrays."""
    from porter.network import Dense, Network
    from porter.network.weight_file import WeightFile
    from reference.activations import Activation

    arrays = {"Weights/Layer1": legacy.kernels[0].T, "Bias/Layer1": legacy.biases[0]}
    layer = Dense("Layer1", legacy.kernels[0], legacy.biases[0], Activation("linear"))
    return Network("small", "oc-smart", WeightFile(Path("small.h5"), "oc-smart", "0" * 64, arrays), (layer,))


# --- what stays as it was -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["right", "wrong"])
def test_the_model_is_not_changed(network, which, request):
    model = request.getfixturevalue(which)
    model.compile("adam", "mse")
    layers = [layer.name for layer in model.layers]
    config, weights = model.to_json(), [array.copy() for array in model.get_weights()]
    flags = [(layer.trainable, layer.activation if hasattr(layer, "activation") else None) for layer in model.layers]
    optimizer = model.optimizer
    porter.verify(network, model, rows=50, search=which == "wrong")
    assert [layer.name for layer in model.layers] == layers
    assert model.to_json() == config
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))
    after = [(layer.trainable, layer.activation if hasattr(layer, "activation") else None) for layer in model.layers]
    assert after == flags
    assert model.optimizer is optimizer and model.compiled


def test_a_model_in_training_state_is_judged_at_inference_and_left_alone(network, legacy, keras):
    """Metrics, seeds and moving averages are state too."""
    inputs = keras.Input((7,))
    normalized = keras.layers.BatchNormalization(epsilon=0.0)(plain_port(legacy)(inputs))
    model = keras.Model(inputs, keras.layers.Dropout(0.5, seed=3)(normalized))

    def state():
        return [keras.ops.convert_to_numpy(variable).copy() for variable in model.variables]

    before = state()
    porter.verify(network, model, search=False, rows=50)
    assert len(before) > 8
    assert all(np.array_equal(a, b) for a, b in zip(before, state(), strict=True))


def test_the_global_state_of_keras_and_of_randomness_is_not_changed(network, wrong, keras):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        np.random.seed(7)
        random.seed(7)
        before = np.random.get_state()[1].copy(), random.getstate()
        report = porter.verify(network, wrong, rows=50)
        assert report.verdict == "mismatch"
        assert (keras.config.floatx(), keras.config.dtype_policy().name) == ("float64", "mixed_float16")
        assert np.array_equal(before[0], np.random.get_state()[1])
        assert before[1] == random.getstate()
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def test_nothing_is_written(network, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    porter.verify(network, wrong, rows=50)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("policy", ["float64", "mixed_float16"])
def test_the_verdict_does_not_hang_on_the_users_global_policy(network, right, keras, policy):
    keras.config.set_dtype_policy(policy)
    keras.config.set_floatx("float64")
    try:
        assert porter.verify(network, right, search=False, rows=50).verdict == "parity"
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float32")


# --- saved ports ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["port.keras", "port.h5"])
def test_a_saved_port_is_judged_by_its_path(path, right, wrong, tmp_path, name):
    right.save(tmp_path / name)
    report = porter.verify(str(path), str(tmp_path / name), search=False, rows=50)
    assert report.verdict == "parity"
    assert report.provenance["port"].endswith(name)
    assert len(report.provenance["port_sha256"]) == 64
    wrong.save(tmp_path / name)
    again = porter.verify(path, tmp_path / name, search=False, rows=50)
    assert named(again) == {("kernel.transposed", "Layer2"), ("bias.missing", "Layer3")}


def assert_refused(path, port):
    with pytest.raises(PortError) as caught:
        porter.verify(path, port, search=False)
    return str(caught.value)


def test_a_port_that_is_not_there_is_refused(path, tmp_path):
    message = assert_refused(path, tmp_path / "none.keras")
    assert "none.keras" in message and "no such file" in message


@pytest.mark.parametrize("name", ["port.keras", "port.h5"])
def test_a_file_that_is_no_keras_model_is_refused(path, tmp_path, name):
    (tmp_path / name).write_bytes(b"no model at all")
    message = assert_refused(path, tmp_path / name)
    assert name in message and "cannot be loaded" in message
    assert "a whole model: .keras or .h5" in message
    assert "model.save" in message


def test_a_legacy_file_in_place_of_the_port_is_read_as_one_that_was_written_back(path):
    assert porter.verify(path, path).verdict == "parity"


def test_a_file_of_weights_alone_is_judged_in_the_model_of_the_legacy_file(path, right, tmp_path):
    right.save_weights(tmp_path / "port.weights.h5")
    assert porter.verify(path, tmp_path / "port.weights.h5", search=False).verdict == "parity"


def test_a_folder_in_place_of_the_port_is_refused(path, tmp_path):
    (tmp_path / "port.keras").mkdir()
    assert "port.keras" in assert_refused(path, tmp_path / "port.keras")


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_saved_lambda_is_not_run(path, legacy, tmp_path, keras):
    """Code from a file is never run, not even to judge it."""
    inputs = keras.Input((7,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x)(plain_port(legacy)(inputs)))
    model.save(tmp_path / "port.keras")
    message = assert_refused(path, tmp_path / "port.keras")
    assert "ambda" in message
    assert "--unsafe-lambda" in message


def test_a_file_with_a_custom_class_is_refused_with_what_to_do(path, legacy, tmp_path, keras):
    class Own(keras.layers.Layer):
        def call(self, x):
            return x

    inputs = keras.Input((7,))
    keras.Model(inputs, Own()(plain_port(legacy)(inputs))).save(tmp_path / "port.keras")
    assert "--custom-objects my_layers.py" in assert_refused(path, tmp_path / "port.keras")


# --- options --------------------------------------------------------------------------------------------------------


def test_reading_options_beside_a_network_are_refused(network, right):
    with pytest.raises(UsageError) as caught:
        porter.verify(network, right, activation="tanh")
    assert "options for reading beside a network that was read already" in str(caught.value)
    assert "porter.read" in str(caught.value)


def test_an_unknown_placement_is_refused(network, right):
    with pytest.raises(UsageError) as caught:
        porter.verify(network, right, placement="beside")
    assert "'beside'" in str(caught.value)
    assert "inside, folded, outside" in str(caught.value)


@pytest.mark.parametrize("rows", [0, -1])
def test_a_number_of_rows_that_is_none_is_refused(network, right, rows):
    with pytest.raises(UsageError) as caught:
        porter.verify(network, right, rows=rows, search=False)
    assert "rows" in str(caught.value) and f"found:    {rows}" in str(caught.value)


def test_a_legacy_file_that_cannot_be_read_is_refused(right, tmp_path):
    with pytest.raises(UnreadableError):
        porter.verify(tmp_path / "none.h5", right)


def test_options_are_for_reading_where_the_network_is_a_path(path, right, legacy):
    assert porter.verify(path, right, activation="relu", search=False, rows=50).verdict == "mismatch"
    relu = plain_port(
        Legacy(legacy.kernels, legacy.biases, ("relu",) * 3 + ("linear",), legacy.norm_in, legacy.norm_out)
    )
    report = porter.verify(path, relu, activation="relu", search=False, rows=50)
    assert report.verdict == "parity"
    assert {claim.evidence for claim in report.claims if claim.convention == "activation"} == {"declared", "assumed"}


# --- golden samples -------------------------------------------------------------------------------------------------


def test_golden_samples_prove_the_reading(path, right, fixtures):
    report = porter.verify(path, right, samples=fixtures / f"{NAME}.npz", search=False, rows=50)
    assert report.verdict == "parity"
    assert report.links["reading"] == "proven"
    assert {claim.evidence for claim in report.claims} <= {"samples", "shape", "declared"}


def test_golden_samples_may_be_arrays(path, right, fixtures):
    with np.load(fixtures / f"{NAME}.npz") as arrays:
        pair = arrays["inputs"], arrays["outputs"]
    assert porter.verify(path, right, samples=pair, search=False, rows=50).links["reading"] == "proven"
    short = tuple(array.astype(np.float32) for array in pair)
    assert porter.verify(path, right, samples=short, search=False, rows=50).links["reading"] == "proven"


def test_golden_samples_that_contradict_come_first(path, right, fixtures):
    report = porter.verify(
        path, right, samples=fixtures / f"{NAME}.npz", output_activation="tanh", search=False, rows=50
    )
    assert report.verdict == "mismatch"
    assert report.links["reading"] == "contradicted"
    assert report.findings[0].code == "reading.contradicted"
    assert report.findings[0].layer in rows(report)


def test_golden_arrays_that_do_not_fit_are_refused(path, right, fixtures):
    with np.load(fixtures / f"{NAME}.npz") as arrays:
        inputs, outputs = arrays["inputs"], arrays["outputs"]
    for pair in ((inputs[:, :5], outputs), (inputs, outputs[:, :5]), (inputs[:3], outputs), (inputs[:0], outputs[:0])):
        with pytest.raises(SamplesShapeError):
            porter.verify(path, right, samples=pair, search=False)
    with pytest.raises(SamplesValueError):
        porter.verify(path, right, samples=(inputs, outputs * np.nan), search=False)


def test_the_path_of_a_port_may_be_of_any_kind(path, right, tmp_path):
    right.save(tmp_path / "port.keras")
    assert isinstance(tmp_path, os.PathLike)
    for kind in (str, Path):
        report = porter.verify(kind(path), kind(tmp_path / "port.keras"), search=False, rows=20)
        assert report.verdict == "parity"
