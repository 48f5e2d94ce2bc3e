"""The chain from file to saved port: what is written, when nothing is, and what the report says of the save."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import porter
from porter.errors import OutputExistsError, PortError, UnreadableError, UsageError
from porter.jobs.provenance import read_provenance
from porter.jobs.saving import load_model
from porter.report.report import Report

module = import_module("porter.jobs.job")

pytestmark = pytest.mark.usefixtures("keras")


@pytest.fixture
def source(fixtures):
    return fixtures / "square_7-7-7-7-7.h5"


@pytest.fixture
def judged(monkeypatch):
    """A verification whose verdicts the test gives; the calls that were made."""
    verdicts, calls = ["parity"], []

    def verify(network, model, **options):
        calls.append((network, model, options))
        verdict = verdicts[min(len(calls), len(verdicts)) - 1]
        links = {"reading": "assumed", "build": verdict}
        return Report(verdict, links, {}, (), network.claims, provenance={"seed": options["seed"]})

    monkeypatch.setattr(import_module("porter.jobs.verify"), "verify", verify)
    judged = type("Judged", (), {"verdicts": verdicts, "calls": calls})
    return judged


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_parity_is_saved_with_its_record(source, tmp_path, judged):
    report = porter.port(source, tmp_path / "aa.keras", dtype="float64", seed=3, search=False)
    assert report.verdict == report.links["save"] == "parity"
    assert "the same bits in" in report.link_notes["save"]
    record = read_provenance(tmp_path / "aa.keras")
    assert record["source"]["name"] == source.name
    assert record["source"]["sha256"] == porter.read(source).source.sha256
    assert record["verdict"] == record["links"]["save"] == "parity"
    assert record["options"] == {"placement": "inside", "dtype": "float64", "seed": 3, "search": False}
    assert record["claims"]
    assert str(tmp_path) not in json.dumps(record)
    assert report.provenance["port"] == str(tmp_path / "aa.keras")
    assert report.provenance["port_sha256"] == hashlib.sha256((tmp_path / "aa.keras").read_bytes()).hexdigest()
    assert record["versions"].keys() >= {"keras", "tensorflow", "numpy", "porter", "python"}
    (_, model, options), *more = judged.calls
    assert not more
    assert model.get_layer("Layer1").compute_dtype == "float64"
    assert options == {"samples": None, "seed": 3, "search": False, "placement": "inside", "gradients": False}


def test_a_network_that_is_read_already(source, tmp_path, judged):
    network = porter.read(source, activation="tanh", output_activation="linear")
    porter.port(network, tmp_path / "aa.keras")
    options = read_provenance(tmp_path / "aa.keras")["options"]
    assert (options["activation"], options["output_activation"]) == ("tanh", "linear")


def test_options_of_reading_need_a_file(source, tmp_path):
    with pytest.raises(UsageError, match="a network that is read already") as caught:
        porter.port(porter.read(source), tmp_path / "aa.keras", activation="relu", physical=False)
    assert "porter.read(path, activation=...)" in str(caught.value)


def test_a_mismatch_writes_nothing(source, tmp_path, judged):
    judged.verdicts[:] = ["mismatch"]
    report = porter.port(source, tmp_path / "aa.keras")
    assert report.verdict == "mismatch"
    assert report.links["save"] == "not checked"
    assert "--force" in report.link_notes["save"]
    assert names(tmp_path) == []


def test_a_mismatch_is_written_by_force(source, tmp_path, judged):
    judged.verdicts[:] = ["mismatch"]
    (tmp_path / "aa.keras").write_text("old")
    report = porter.port(source, tmp_path / "aa.keras", force=True)
    assert report.verdict == "mismatch"
    assert report.links["save"] == "parity"
    assert read_provenance(tmp_path / "aa.keras")["verdict"] == "mismatch"


def test_inconclusive_is_written(source, tmp_path, judged):
    judged.verdicts[:] = ["inconclusive"]
    assert porter.port(source, tmp_path / "aa.keras").verdict == "inconclusive"
    assert read_provenance(tmp_path / "aa.keras")["verdict"] == "inconclusive"


def changed(path):
    """The model as loaded, with one weight off by one unit in the last place."""
    model = load_model(path)
    kernel, bias = model.get_layer("Layer2").get_weights()
    kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(2))
    model.get_layer("Layer2").set_weights([kernel, bias])
    return model


def test_a_file_that_loads_differently_is_verified_again(source, tmp_path, judged, monkeypatch):
    monkeypatch.setattr(module, "load_model", changed)
    report = porter.port(source, tmp_path / "aa.keras")
    assert len(judged.calls) == 2
    assert report.verdict == report.links["save"] == "parity"
    assert "the weights of Layer2/kernel differ" in report.link_notes["save"]
    assert "its outputs differ by up to" in report.link_notes["save"]


def test_a_file_that_loads_wrongly_is_not_kept(source, tmp_path, judged, monkeypatch):
    judged.verdicts[:] = ["parity", "mismatch"]
    monkeypatch.setattr(module, "load_model", changed)
    report = porter.port(source, tmp_path / "aa.keras")
    assert report.verdict == report.links["save"] == "mismatch"
    assert "nothing was written" in report.link_notes["save"]
    assert names(tmp_path) == []


def test_a_file_that_does_not_load_is_not_kept(source, tmp_path, judged, monkeypatch):
    def broken(_path):
        raise ValueError("no such layer")

    monkeypatch.setattr(module, "load_model", broken)
    with pytest.raises(PortError, match="cannot be loaded again") as caught:
        porter.port(source, tmp_path / "aa.keras")
    assert "ValueError: no such layer" in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("where", ["load_model", "write_provenance", "write_model"])
def test_an_interrupt_leaves_nothing(source, tmp_path, judged, monkeypatch, where):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        porter.port(source, tmp_path / "aa.keras")
    assert names(tmp_path) == []


def test_an_existing_output_is_refused_before_any_work(tmp_path, judged):
    (tmp_path / "aa.keras").write_text("precious")
    with pytest.raises(OutputExistsError):
        porter.port(tmp_path / "missing.h5", tmp_path / "aa.keras")
    assert (tmp_path / "aa.keras").read_text() == "precious"


def test_an_unreadable_file_is_refused(tmp_path):
    with pytest.raises(UnreadableError):
        porter.port(tmp_path / "missing.h5", tmp_path / "aa.keras")


def test_same_bits():
    x = np.array([0.0, np.nan, 1.0])
    assert module.same_bits(x, x.copy())
    assert not module.same_bits(x, np.array([-0.0, np.nan, 1.0]))
    assert not module.same_bits(x, x.astype(np.float32))
    assert not module.same_bits(x, x[None])
    assert not module.same_bits(x, np.array([0.0, np.nan, np.nextafter(1.0, 2)]))


def test_models_of_another_structure(source):
    network = porter.read(source)
    whole, part = porter.build(network), porter.build(replace(network, layers=network.layers[:-2]))
    (told,) = module.compare_models(whole, part, [np.zeros((2, 7))])
    assert "Layer4/kernel" in told


def test_models_of_another_dtype(source):
    network = porter.read(source)
    told = module.compare_models(porter.build(network), porter.build(network, dtype="float64"), [np.zeros((2, 7))])
    assert told[-1] == "it computes in float64 where float32 was saved"


@pytest.mark.parametrize("placement", ["inside", "folded", "outside"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_for_real(source, tmp_path, placement, suffix):
    output = tmp_path / f"aa{suffix}"
    report = porter.port(source, output, placement=placement, search=False)
    assert report.verdict == "parity", str(report)
    assert report.links["save"] == "parity"
    assert read_provenance(output)["verdict"] == "parity"
