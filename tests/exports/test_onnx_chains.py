"""Chains as ONNX files: written, run by onnxruntime, judged; and mistakes in them named."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

import porter
from porter.exports.onnx import build_onnx, save_onnx
from porter.ports.packages import MissingPackageError, require
from reference.activations import FUNCTIONS
from reference.operations.transforms import FUNCTIONS as TRANSFORMS
from tests.exports import onnx_files
from tests.exports.networks import with_transforms

FILES = ("ocean_7-100-75-50-25-7.h5", "bare_7-16-10-7.h5", "deep_12_layers.h5", "families/canyon", "families/FAPAR",
         "families/ffbp_7x7.net")  # fmt: skip


@pytest.fixture(scope="module")
def square(fixtures):
    return porter.read(fixtures / "square_7-7-7-7-7.h5")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FILES)
def test_every_layer_is_at_parity(fixtures, tmp_path, name, dtype):
    network = porter.read(fixtures / name)
    path = onnx_files.write(network, tmp_path / "a.onnx", dtype=dtype)
    report = porter.verify(network, path, search=False)
    assert report.verdict == "parity", str(report)
    assert report.links["export"] == "parity" and report.links["build"] == "not checked"
    assert "onnxruntime" in report.link_notes["export"]
    assert {row.dtype for row in report.layers} == {dtype}
    assert all(row.verdict == "parity" and row.elements > 0 for row in report.layers)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_transform(tmp_path, dtype):
    network = with_transforms(tmp_path, sorted(TRANSFORMS))
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx", dtype=dtype), search=False)
    assert report.verdict == "parity", str(report)
    assert report.layers[0].layer == "Transform_in" and report.layers[0].verdict == "parity"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_activation(fixtures, tmp_path, name, dtype):
    network = porter.read(fixtures / "square_7-7-7-7-7.h5", activation=name)
    if (name, dtype) == ("gelu", "float64"):
        with pytest.raises(porter.UnbuildableError, match="Erf"):
            build_onnx(network, dtype=dtype)
        return
    report = porter.verify(network, onnx_files.write(network, tmp_path / "a.onnx", dtype=dtype), search=False)
    assert report.verdict == "parity", str(report)


@pytest.mark.parametrize("placement", ["folded", "outside"])
def test_the_scaling_stands_elsewhere(square, tmp_path, placement):
    path = onnx_files.write(square, tmp_path / "a.onnx", placement=placement)
    report = porter.verify(square, path, search=False, placement=placement)
    assert report.verdict == "parity", str(report)


MISTAKES = {
    "kernel.transposed": (onnx_files.transposed("Layer2"), "Layer2"),
    "activation.replaced": (onnx_files.other_operation("Layer3/Tanh", "Sigmoid"), "Layer3"),
    "activation.missing": (onnx_files.other_operation("Layer2/Tanh", "Identity"), "Layer2"),
    "bias.missing": (onnx_files.without_bias("Layer3"), "Layer3"),
    "kernel.values": (onnx_files.one_weight("Layer1", 1.001), "Layer1"),
    "scaling.range": (onnx_files.without_offset("Norm_in"), "Norm_in"),
}


@pytest.mark.parametrize("code", MISTAKES)
def test_a_mistake_in_the_file_is_named(square, tmp_path, code):
    edit, layer = MISTAKES[code]
    report = porter.verify(square, onnx_files.write(square, tmp_path / "a.onnx", edit), search=False)
    assert report.verdict == "mismatch" and report.links["export"] == "mismatch"
    assert [(finding.code, finding.layer) for finding in report.findings] == [(code, layer)]
    assert [row.layer for row in report.layers if row.verdict == "mismatch"] == [layer]


@pytest.mark.parametrize("edit", [onnx_files.renamed, onnx_files.as_gemm])
def test_a_file_that_somebody_else_wrote(square, tmp_path, edit):
    path = onnx_files.write(square, tmp_path / "a.onnx", edit)
    report = porter.verify(square, path, search=False)
    assert report.verdict == "parity", str(report)
    assert report.links["export"] == "parity"


def test_a_mistake_in_a_file_that_somebody_else_wrote(square, tmp_path):
    def edit(graph):
        onnx_files.transposed("Layer2")(graph)
        onnx_files.as_gemm(graph)
        onnx_files.renamed(graph)

    report = porter.verify(square, onnx_files.write(square, tmp_path / "a.onnx", edit), search=False)
    assert [(finding.code, finding.layer) for finding in report.findings] == [("kernel.transposed", "Layer2")]


def test_every_layer_is_an_output_on_request(square, tmp_path):
    path = onnx_files.write(square, tmp_path / "a.onnx", layers=True)
    names = [each.name for each in onnx.load(path).graph.output]
    assert names == ["Norm_out", "Norm_in", "Layer1", "Layer2", "Layer3", "Layer4"]
    assert porter.verify(square, path, search=False).verdict == "parity"


def with_another_output(graph, *, place, names, operation):
    """An output of as many numbers, computed from the network's; both under the names given."""
    own, other = names
    for each in graph.node:
        each.output[:] = [own if name == "Norm_out" else name for name in each.output]
    graph.output[0].name = own
    graph.node.append(onnx.helper.make_node(operation, [own], [other], name="more"))
    graph.output.insert(place, onnx.helper.make_tensor_value_info(other, 1, [None, 7]))


@pytest.mark.parametrize(
    ("place", "names", "operation", "verdict"),
    [
        (1, ("Norm_out", "more"), "Neg", "parity"),
        (1, ("good", "more"), "Neg", "parity"),
        (0, ("good", "more"), "Identity", "parity"),
        (0, ("good", "more"), "Neg", "inconclusive"),  # who takes the first output gets another network
        (0, ("Norm_out", "more"), "Neg", "inconclusive"),
        (1, ("good", "Norm_out"), "Neg", "inconclusive"),  # and who takes it by its name
    ],
)
def test_which_of_several_outputs_is_judged(square, tmp_path, place, names, operation, verdict):
    def edit(graph):
        with_another_output(graph, place=place, names=names, operation=operation)

    report = porter.verify(square, onnx_files.write(square, tmp_path / "a.onnx", edit), search=False, rows=50)
    assert report.verdict == report.links["export"] == verdict
    judged = names[0] if operation == "Neg" else names[1]
    assert (
        report.notes[0].startswith("of the outputs ") and f", {judged} was judged as the network's" in report.notes[0]
    )
    assert report.notes[0] in report.link_notes["export"]


def test_what_the_file_says_of_its_columns(square, tmp_path):
    path = onnx_files.write(square, tmp_path / "a.onnx")
    told = {each.key: each.value for each in onnx.load(path).metadata_props}
    columns = json.loads(told["porter_inputs"])
    assert [column["minimum"] for column in columns] == square.input_range[:, 0].tolist()
    assert told["porter_legacy_sha256"] == square.source.sha256


def test_the_record_is_written_beside_the_graph(square, tmp_path):
    model = build_onnx(square)
    before = model.graph.SerializeToString(deterministic=True)
    save_onnx(model, tmp_path / "a.onnx", {"verdict": "parity"})
    save_onnx(model, tmp_path / "a.onnx", {"verdict": "parity", "seed": 1})
    found = onnx.load(tmp_path / "a.onnx")
    records = [each.value for each in found.metadata_props if each.key == "porter_provenance"]
    assert [json.loads(record) for record in records] == [{"verdict": "parity", "seed": 1}]
    assert found.graph.SerializeToString(deterministic=True) == before


@pytest.mark.subprocess
def test_neither_tensorflow_nor_keras_has_a_part_in_it(fixtures, tmp_path):
    code = (
        f"import sys, porter\nsource, path = {str(fixtures / 'bare_7-16-10-7.h5')!r}, {str(tmp_path / 'a.onnx')!r}\n"
        "print(porter.export(source, path).verdict, porter.verify(source, path).verdict)\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[:2] == ["parity parity", "[]"]


def test_a_fixed_batch(square, tmp_path):
    def edit(graph):
        graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3

    assert porter.verify(square, onnx_files.write(square, tmp_path / "a.onnx", edit), search=False).verdict == "parity"


def test_another_networks_file_is_refused(square, fixtures, tmp_path):
    other = porter.read(fixtures / "rectified_7-24-16-3.h5")
    path = onnx_files.write(other, tmp_path / "a.onnx")
    with pytest.raises(porter.PortError, match="one of 7 columns"):
        porter.verify(square, path, search=False)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x08\x08"])
def test_no_onnx_file(square, tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(porter.PortError, match="onnx"):
        porter.verify(square, tmp_path / "a.onnx")


def test_arrays_outside_of_the_folder_are_not_read(square, tmp_path):
    def edit(graph):
        tensor = graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../secret")

    with pytest.raises(porter.PortError, match=r"\.\./secret"):
        porter.verify(square, onnx_files.write(square, tmp_path / "a.onnx", edit))


def test_arrays_beside_the_file_are_read(square, tmp_path):
    path = onnx_files.write(square, tmp_path / "a.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="a.data", size_threshold=0)
    assert (tmp_path / "a.data").exists()
    assert porter.verify(square, path, search=False).verdict == "parity"


def test_a_missing_package_is_one_line_with_the_command():
    with pytest.raises(MissingPackageError) as told:
        require("no_such_package", "onnx")
    assert str(told.value) == "no-such-package is not installed, which this needs: pip install 'keras-porter[onnx]'"


def test_the_optimizations_are_held_against_the_bound(square, tmp_path, monkeypatch):
    from porter.ports import onnx_runner

    path = onnx_files.write(square, tmp_path / "a.onnx")
    assert any("the same bits" in note for note in porter.verify(square, path, search=False).notes)
    usual = onnx_runner.Runner.whole
    monkeypatch.setattr(onnx_runner.Runner, "whole", lambda self, given: [y * 1.01 for y in usual(self, given)])
    report = porter.verify(square, path, search=False)
    assert [finding.code for finding in report.findings] == ["call.overridden"]
    monkeypatch.setattr(onnx_runner.Runner, "whole", lambda self, given: [y * (1 + 2e-7) for y in usual(self, given)])
    report = porter.verify(square, path, search=False)
    assert report.verdict == "parity" and any("within the end-to-end bound" in note for note in report.notes)


def test_an_unmended_file(square, tmp_path):
    path = onnx_files.write(square, tmp_path / "a.onnx")
    with pytest.raises(porter.UsageError, match="no Keras model"):
        porter.verify(square, path, apply=tmp_path / "b.keras")


def test_whole_numbers_are_no_input(square, tmp_path):
    def edit(graph):
        graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
        first = next(each for each in graph.node if "inputs" in each.input)
        at = list(first.input).index("inputs")
        graph.node.insert(0, onnx.helper.make_node("Cast", ["inputs"], ["real"], name="cast", to=1))
        first.input[at] = "real"

    with pytest.raises(porter.PortError, match="int32"):
        porter.verify(square, onnx_files.write(square, tmp_path / "a.onnx", edit))


def test_a_network_in_float32_beside_one_in_float64(square, tmp_path):
    rows = np.random.default_rng(0).uniform(*square.input_range.T, (50, 7)).astype(np.float32)
    outputs = []
    for dtype in ("float32", "float64"):
        import onnxruntime

        session = onnxruntime.InferenceSession(build_onnx(square, dtype=dtype).SerializeToString())
        outputs.append(session.run(None, {"inputs": rows.astype(dtype)})[0])
    assert [each.dtype.name for each in outputs] == ["float32", "float64"]
    assert 0 < np.abs(outputs[0] - outputs[1]).max() < 1e-4


def test_an_export_carries_its_record(square, tmp_path):
    report = porter.export(square, tmp_path / "a.onnx")
    told = {each.key: each.value for each in onnx.load(tmp_path / "a.onnx").metadata_props}
    record = json.loads(told["porter_provenance"])
    assert record["verdict"] == "parity" == report.verdict
    assert record["source"]["sha256"] == square.source.sha256
    assert record["links"]["export"] == "parity" and record["versions"]["onnxruntime"]
    assert str(tmp_path) not in told["porter_provenance"]
    assert porter.verify(square, tmp_path / "a.onnx", search=False).verdict == "parity"


def test_a_damaged_graph_prints_nothing(square, tmp_path, capfd):
    def edit(graph):
        graph.node[3].op_type = "NoSuchOperation"

    model = build_onnx(square)
    edit(model.graph)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(porter.PortError, match="NoSuchOperation"):
        porter.verify(square, tmp_path / "a.onnx")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("seed", range(12))
def test_damaged_bytes_end_in_a_refusal_or_a_verdict(square, tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = bytearray(build_onnx(square).SerializeToString())
    for place in rng.integers(0, len(content), 8):
        content[place] = int(rng.integers(0, 256))
    (tmp_path / "a.onnx").write_bytes(bytes(content if seed % 3 else content[: len(content) * seed // 12]))
    try:
        assert porter.verify(square, tmp_path / "a.onnx", search=False, rows=50).verdict in ("mismatch", "parity")
    except porter.PorterError as error:
        assert str(error)


def test_whole_numbers_in_between_are_a_mismatch(square, tmp_path):
    def edit(graph):
        for each in graph.node:
            each.output[:] = ["real" if name == "Norm_out" else name for name in each.output]
        casts = (["real"], ["whole"], 6), (["whole"], ["Norm_out"], 1)
        graph.node.extend(onnx.helper.make_node("Cast", given, made, to=to) for given, made, to in casts)

    report = porter.verify(square, onnx_files.write(square, tmp_path / "a.onnx", edit), search=False, rows=50)
    assert report.verdict == "mismatch" and [each.layer for each in report.findings] == ["Norm_out"]


def test_what_the_file_wrongly_says_of_itself_is_told(square, tmp_path):
    path = onnx_files.write(square, tmp_path / "a.onnx")
    assert "says of itself" not in " ".join(porter.verify(square, path, search=False, rows=50).notes)
    model = onnx.load(path)
    next(each for each in model.metadata_props if each.key == "porter_inputs").value = "[]"
    onnx.save(model, path)
    notes = porter.verify(square, path, search=False, rows=50).notes
    assert any("says of itself in porter_inputs is not so" in note for note in notes)


@pytest.mark.parametrize(("dtype", "cast"), [("float32", "FLOAT16"), ("float64", "FLOAT"), ("float32", "FLOAT")])
@pytest.mark.parametrize("end", ["front", "back"])
def test_a_cast_that_is_taken_back_at_once_is_told(square, tmp_path, dtype, cast, end):
    import onnx
    from onnx import TensorProto, helper

    path = tmp_path / "port.onnx"
    porter.export(square, path, to="onnx", precision=dtype)
    file = onnx.load(path)
    graph, own = file.graph, TensorProto.FLOAT if dtype == "float32" else TensorProto.DOUBLE
    name = graph.input[0].name if end == "front" else graph.output[0].name
    for node in graph.node:
        names = node.input if end == "front" else node.output
        for at, each in enumerate(names):
            if each == name:
                names[at] = "inner"
    begin, finish = (name, "inner") if end == "front" else ("inner", name)
    casts = [
        helper.make_node("Cast", [begin], ["short"], to=getattr(TensorProto, cast)),
        helper.make_node("Cast", ["short"], [finish], to=own),
    ]
    nodes = [*casts, *graph.node] if end == "front" else [*graph.node, *casts]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(file, path)
    report = porter.verify(square, path)
    rounds = (dtype, cast) != ("float32", "FLOAT")
    assert report.verdict == ("mismatch" if rounds else "parity")
    assert ("precision.port" in {finding.code for finding in report.findings}) == rounds
