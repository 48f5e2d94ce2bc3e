"""The same port in several runtimes: each judged, the worst verdict counts, and what cannot be asked is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

import porter
from porter.errors import PorterError, UsageError
from porter.exports.formats import FORMATS
from porter.jobs.batch import status_of
from porter.ports import onnx_file
from porter.ports.packages import MissingPackageError
from porter.report.json import schema
from tests.exports import graphs, onnx_files
from tests.exports.test_onnx_graphs import cnn

pytestmark = pytest.mark.usefixtures("keras")


@pytest.fixture(scope="module")
def square(fixtures):
    return porter.read(fixtures / "square_7-7-7-7-7.h5")


@pytest.fixture
def model(keras, square):
    from porter.ports.keras.build import build

    return build(square)


def wrong(model, layer="Layer2"):
    """The port with one weight off by a hundredth."""
    found = model.get_layer(layer)
    kernel, bias = (np.array(each) for each in found.get_weights())
    kernel[1, 2] *= 1.01
    found.set_weights([kernel, bias])
    return model


def verify(network, port, *names, **how):
    return porter.verify(network, port, runtimes=names, search=False, rows=300, **how)


def test_every_runtime_of_a_chain(square, model):
    names = ("c", "litert", "numpy", "onnx-reference", "onnxruntime", "tensorflow")
    report = verify(square, model, *names)
    assert report.verdict == "parity" and status_of(report) == 0, str(report)
    assert [one.name for one in report.witnesses] == ["the port itself", *names]
    assert {one.verdict for one in report.witnesses} == {"parity"}
    assert all(one.error is not None and 0 < one.error < 1e-5 for one in report.witnesses)
    run_by = {one.name: one.run_by for one in report.witnesses}
    assert run_by["onnxruntime"].startswith("onnxruntime ") and run_by["onnx-reference"].startswith("onnx.reference ")
    content = json.loads(report.to_json())
    jsonschema.validate(content, schema())
    assert [one["name"] for one in content["witnesses"]] == ["the port itself", *names]
    text = str(report)
    assert text.index("Layers") < text.index("Witnesses") < text.index("Chain") and "onnx.reference" in text


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_without_runtimes_nothing_is_asked_and_nothing_said(square, dtype):
    from porter.ports.keras.build import build

    report = verify(square, build(square, dtype=dtype))
    assert report.verdict == "parity" and report.witnesses == () and "Witnesses" not in str(report)


def test_a_mistake_that_the_port_has_is_in_what_is_written_of_it(square, model):
    report = verify(square, wrong(model), "numpy", "onnxruntime", "litert")
    assert [one.verdict for one in report.witnesses] == ["mismatch"] * 4 and status_of(report) == 1
    assert report.findings[0].layer == "Layer2" and "runs it" not in report.findings[0].message


def test_a_mistake_of_one_witness_alone(square, model, monkeypatch):
    """The port is right, and so is what one runtime makes of it: the other's mistake is not voted down."""
    form = FORMATS["numpy"]

    def write(network, path, options):
        form.write(network, path, options)
        path.write_text(path.read_text().replace(" + Layer3_bias", ""))

    monkeypatch.setitem(FORMATS, "numpy", replace(form, write=write))
    report = verify(square, model, "onnxruntime", "numpy")
    assert [one.verdict for one in report.witnesses] == ["parity", "parity", "mismatch"]
    assert report.verdict == "mismatch" and status_of(report) == 1
    assert all(row.verdict == "parity" for row in report.layers) and report.links["build"] == "parity"
    assert [(each.code, each.layer) for each in report.findings] == [("bias.missing", "Layer3")]
    assert report.findings[0].message.startswith("Layer3: as numpy runs it, ")
    assert report.notes[0] == "the port itself is at parity; as numpy runs it: mismatch"


def test_a_mistake_of_the_port_alone(square, model, monkeypatch):
    """What is written is right, by a writer that knows the legacy file: the port stays wrong."""
    form = FORMATS["numpy"]
    monkeypatch.setitem(
        FORMATS, "numpy", replace(form, write=lambda network, path, options: form.write(square, path, options))
    )
    report = verify(square, wrong(model), "numpy")
    assert [one.verdict for one in report.witnesses] == ["mismatch", "parity"] and report.verdict == "mismatch"


def test_an_onnx_file_is_run_by_two_runtimes(square, tmp_path):
    report = verify(square, onnx_files.write(square, tmp_path / "a.onnx"), "onnx-reference")
    assert report.verdict == "parity", str(report)
    assert [one.run_by.split()[0] for one in report.witnesses] == ["onnxruntime", "onnx.reference"]
    assert all(row.verdict == "parity" for one in report.witnesses for row in one.layers)
    broken = onnx_files.write(square, tmp_path / "b.onnx", onnx_files.one_weight("Layer2", 1.01))
    assert [one.verdict for one in verify(square, broken, "onnx-reference").witnesses] == ["mismatch"] * 2


def test_an_operation_that_one_runtime_has_wrong(square, tmp_path, monkeypatch):
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class Tanh(OpRun):
        def _run(self, x):
            return (np.tanh(x) * np.float32(1.0001),)

    monkeypatch.setattr(
        onnx_file, "evaluator_session", lambda made, *, optimized: ReferenceEvaluator(made, new_ops=[Tanh])
    )
    report = verify(square, onnx_files.write(square, tmp_path / "a.onnx"), "onnx-reference")
    assert [one.verdict for one in report.witnesses] == ["parity", "mismatch"] and report.verdict == "mismatch"
    assert "as onnx-reference runs it" in report.findings[0].message


@pytest.mark.parametrize("make", ["LSTM", "GRU"])
def test_recurrent_layers_by_the_reference_of_onnx(tmp_path, make):
    network = porter.read(graphs.recurrent(tmp_path / "old.h5", make, recurrent_activation="sigmoid"))
    porter.export(network, tmp_path / "a.onnx")
    report = verify(network, tmp_path / "a.onnx", "onnx-reference")
    assert [one.verdict for one in report.witnesses] == ["parity"] * 2, str(report)


def test_what_the_reference_of_onnx_would_pass_over_is_refused(tmp_path):
    """Its LSTM takes sigmoid and tanh for whatever activations the file says."""
    network = porter.read(graphs.recurrent(tmp_path / "old.h5"))
    porter.export(network, tmp_path / "a.onnx")
    with pytest.raises(PorterError, match=r"LSTM with HardSigmoid, which onnx' own evaluator passes over"):
        verify(network, tmp_path / "a.onnx", "onnx-reference")


def test_a_network_that_is_no_chain(tmp_path):
    file = cnn(tmp_path / "old.h5")
    porter.port(file, tmp_path / "a.keras")
    report = verify(file, tmp_path / "a.keras", "litert", "tensorflow")
    assert [one.verdict for one in report.witnesses] == ["parity"] * 3, str(report)
    with pytest.raises(UsageError, match=r"take --runtime litert or tensorflow"):
        verify(file, tmp_path / "a.keras", "onnxruntime")


@pytest.mark.parametrize("placement", ["folded", "outside"])
def test_where_the_scaling_is(fixtures, placement):
    from porter.ports.keras.build import build

    network = porter.read(fixtures / "mixed_7-20-16-12-10-7.h5")
    port = build(network, placement=placement)
    report = verify(network, port, "litert", "onnxruntime", placement=placement)
    assert [one.verdict for one in report.witnesses] == ["parity"] * 3, str(report)
    with pytest.raises(UsageError, match="whose files are paired"):
        verify(network, port, "c", placement=placement)


def test_what_cannot_be_asked(square, model, tmp_path):
    from porter.ports.keras.build import build

    path = onnx_files.write(square, tmp_path / "a.onnx")
    for port, name, told in (
        (model, "abacus", "one of c, fortran, litert, numpy, onnx-reference, onnxruntime, tensorflow"),
        (path, "c", "--runtime onnx-reference, which runs such a file too"),
        (path, "onnxruntime", "--runtime onnx-reference, which runs such a file too"),
        (lambda rows: rows, "c", "a function, which is judged by what runs it"),
        (build(square, dtype="float64"), "litert", "a port in float64"),
        (build(square, dtype="bfloat16"), "numpy", "a port in bfloat16"),
    ):
        with pytest.raises(UsageError) as caught:
            verify(square, port, name)
        assert told in str(caught.value)


def test_a_runtime_that_is_not_installed_is_one_line(square, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError) as caught:
        verify(square, model, "onnxruntime")
    told = "onnxruntime is not installed, which this needs: pip install 'keras-porter[onnx]'"
    assert str(caught.value) == told
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(PorterError, match="no compiler of C"):
        verify(square, model, "c")


def test_the_command(fixtures, tmp_path, keras, model, monkeypatch, capsys):
    from porter.cli import main

    legacy = str(fixtures / "square_7-7-7-7-7.h5")
    model.save(tmp_path / "right.keras")
    wrong(model).save(tmp_path / "wrong.keras")

    def run(port, *more):
        words = ["porter", "verify", legacy, str(tmp_path / port), "--no-search", *more]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, capsys.readouterr()

    status, said = run("right.keras", "--runtime", "numpy", "--runtime", "onnxruntime", "--json")
    assert status == 0 and [one["verdict"] for one in json.loads(said.out)["witnesses"]] == ["parity"] * 3
    status, said = run("wrong.keras", "--runtime", "numpy")
    assert status == 1 and "Witnesses" in said.out
    status, said = run("right.keras", "--runtime", "abacus")
    assert status == 2 and said.err.startswith("the runtime\n  found:    'abacus'") and said.out == ""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    status, said = run("right.keras", "--runtime", "onnxruntime")
    assert status == 2 and said.err.splitlines() == [
        "onnxruntime is not installed, which this needs: pip install 'keras-porter[onnx]'"
    ]
