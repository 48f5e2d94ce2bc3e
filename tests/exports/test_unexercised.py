"""What rows cannot show of an ONNX file: conditions never met, counts of rows, random numbers, ways around a layer."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from tests.exports import graphs
from tests.keras_legacy.files import dense, layer, model, node, write

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
make = onnx.helper.make_node


def real(name, value):
    return onnx.numpy_helper.from_array(np.array(value, np.float32), name)


def whole(name, value):
    return onnx.numpy_helper.from_array(np.array(value, np.int64), name)


def behind(graph, *nodes, arrays=()):
    """Operations behind the last, which take "last" and give the output."""
    (end,) = [each.name for each in graph.output]
    for each in graph.node:
        for names in (each.input, each.output):
            names[:] = ["last" if name == end else name for name in names]
    nodes[-1].output[:] = [end]
    graph.node.extend(nodes)
    graph.initializer.extend(arrays)


def unchanged(graph):
    behind(graph, make("Identity", ["last"], ["end"]))


def counted(graph):
    counts = [
        make("Shape", [graph.input[0].name], ["shape"]), make("Gather", ["shape", "first"], ["rows"], name="rows"),
        make("Greater", ["rows", "most"], ["many"]), make("Cast", ["many"], ["one"], to=1),
        make("Add", ["last", "one"], ["end"], name="adds"),
    ]  # fmt: skip
    behind(graph, *counts, arrays=[whole("first", 0), whole("most", 5000)])


def numbered(graph):
    """Row after row is counted by numbers that are always 1."""
    counts = [
        make("Mul", ["last", "none"], ["noughts"]), make("Cos", ["noughts"], ["ones"]),
        make("CumSum", ["ones", "first"], ["number"]), make("Greater", ["number", "late"], ["is_late"]),
        make("Cast", ["is_late"], ["one"], to=1), make("Add", ["last", "one"], ["end"]),
    ]  # fmt: skip
    behind(graph, *counts, arrays=[whole("first", 0), real("none", 0), real("late", 1e5)])


def drawn(graph):
    draws = [
        make("RandomUniform", [], ["chance"], shape=[1], high=1.0), make("Greater", ["chance", "rare"], ["hit"]),
        make("Cast", ["hit"], ["one"], to=1), make("Add", ["last", "one"], ["end"]),
    ]  # fmt: skip
    behind(graph, *draws, arrays=[real("rare", 0.99999)])


def filled(graph):
    tests = [make("IsNaN", ["last"], ["gone"], name="gone"), make("Where", ["gone", "none", "last"], ["end"])]
    behind(graph, *tests, arrays=[real("none", 0)])


def bumped(graph):
    """Without a condition: another number at one place alone."""
    bump = [
        make("Sub", ["last", "place"], ["far"]), make("Mul", ["far", "far"], ["square"]),
        make("Mul", ["square", "narrow"], ["argument"]), make("Exp", ["argument"], ["bump"]),
        make("Add", ["last", "bump"], ["end"], name="bumps"),
    ]  # fmt: skip
    behind(graph, *bump, arrays=[real("place", 0.123456), real("narrow", -1e20)])


def led_around(graph):
    """Tensors that bear the legacy layers' names, beside the way that leads to the output."""
    (end,) = [each.name for each in graph.output]
    made = {name for each in graph.node for name in each.output if name}
    for each in list(graph.node):
        copy = onnx.NodeProto()
        copy.CopyFrom(each)
        copy.name = f"{each.name}'"
        copy.input[:] = [f"{name}'" if name in made else name for name in copy.input]
        copy.output[:] = [f"{name}'" if name else "" for name in copy.output]
        graph.node.append(copy)
    for each in graph.node:
        each.output[:] = ["shown" if name == end else end if name == f"{end}'" else name for name in each.output]


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    """A legacy network that is no chain, and its file."""
    folder = tmp_path_factory.mktemp("recurrent")
    network = porter.read(graphs.both_ways(folder / "a.h5"))
    assert porter.export(network, folder / "a.onnx").verdict == "parity"
    return network, folder / "a.onnx"


@pytest.mark.parametrize(
    ("edit", "verdict", "told"),
    [
        (unchanged, "parity", ""),
        (counted, "inconclusive", "adds (Add): computes with how many rows there are"),
        (numbered, "inconclusive", "did nothing on any of the rows"),
        (drawn, "mismatch", "call.unsteady"),
        (filled, "inconclusive", "gone (IsNaN)"),
        (bumped, "inconclusive", "bumps (Add)"),
        (led_around, "inconclusive", "which the legacy layer does not take"),
    ],
)
def test_a_network_that_is_no_chain(recurrent, tmp_path, edit, verdict, told):
    network, right = recurrent
    found = onnx.load(right)
    edit(found.graph)
    onnx.save(found, tmp_path / "a.onnx")
    report = porter.verify(network, tmp_path / "a.onnx")
    assert report.verdict == report.links["export"] == verdict, str(report)
    assert told in " ".join((*report.notes, *(each.code for each in report.findings)))


@pytest.mark.parametrize(
    ("edit", "verdict"),
    [(unchanged, "parity"), (counted, "inconclusive"), (numbered, "inconclusive"), (drawn, "mismatch")],
)
@pytest.mark.parametrize("batch", [None, 3])
def test_a_chain(fixtures, tmp_path, edit, verdict, batch):
    network = porter.read(fixtures / "square_7-7-7-7-7.h5")
    porter.export(network, tmp_path / "right.onnx")
    found = onnx.load(tmp_path / "right.onnx")
    edit(found.graph)
    if batch is not None:
        found.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save(found, tmp_path / "a.onnx")
    report = porter.verify(network, tmp_path / "a.onnx", search=False, rows=50)
    assert report.verdict == report.links["export"] == verdict, str(report)


def in_double(graph):
    """As float64 between two casts, as somebody writes it who wants float32 outside alone."""
    for each in graph.initializer:
        each.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(each).astype(np.float64), each.name))
    name = graph.input[0].name
    for each in graph.node:
        each.input[:] = ["wide" if given == name else given for given in each.input]
    graph.node.insert(0, make("Cast", [name], ["wide"], to=onnx.TensorProto.DOUBLE))
    behind(graph, make("Cast", ["last"], ["end"], to=onnx.TensorProto.FLOAT))


@pytest.mark.parametrize("wrong", [False, True])
def test_float64_between_casts(fixtures, tmp_path, wrong):
    network = porter.read(fixtures / "square_7-7-7-7-7.h5")
    porter.export(network, tmp_path / "double.onnx", precision="float64")
    found = onnx.load(tmp_path / "double.onnx")
    for each in (*found.graph.input, *found.graph.output):
        each.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    in_double(found.graph)
    if wrong:
        scale = next(each for each in found.graph.initializer if list(each.dims) == [7])
        values = onnx.numpy_helper.to_array(scale) * (1 + 1e-9)
        scale.CopyFrom(onnx.numpy_helper.from_array(values, scale.name))
    onnx.save(found, tmp_path / "a.onnx")
    report = porter.verify(network, tmp_path / "a.onnx", search=False, rows=50)
    assert report.verdict == ("mismatch" if wrong else "parity"), str(report)


def two_ends(path):
    entries = [
        node(layer("InputLayer", "given", batch_input_shape=[None, 3])),
        *(node(layer("Dense", name, units=2, activation="tanh", use_bias=True), ["given"]) for name in ("one", "two")),
    ]
    arrays = {}
    for name in ("one", "two"):
        arrays |= graphs.held(name, ("kernel", "bias"), (3, 2), (2,))
    return write(path, model(entries, ["given"], ["one", "two"]), arrays)


@pytest.mark.parametrize(
    ("names", "order", "verdict"),
    [(False, False, "parity"), (True, False, "mismatch"), (False, True, "inconclusive"), (True, True, "mismatch")],
)
def test_several_outputs_have_names_and_an_order(tmp_path, names, order, verdict):
    network = porter.read(two_ends(tmp_path / "a.h5"))
    porter.export(network, tmp_path / "right.onnx")
    found = onnx.load(tmp_path / "right.onnx")
    if names:
        other = {"one": "two", "two": "one"}
        for each in found.graph.node:
            each.output[:] = [other.get(name, name) for name in each.output]
    if order:
        found.graph.output.append(found.graph.output.pop(0))
    onnx.save(found, tmp_path / "a.onnx")
    assert porter.verify(network, tmp_path / "a.onnx").verdict == verdict


@pytest.mark.parametrize("is_copied", [False, True])
def test_a_layer_that_takes_a_copy_of_the_layer_before_it_is_left_open(tmp_path, is_copied):
    """The layer that is shown and judged is not the one on the way: what the copy holds is seen on rows alone."""
    rng = np.random.default_rng(0)
    sizes = {"one": (5, 6), "two": (6, 6), "three": (6, 4), "side": (6, 4)}
    config = model([
        node(layer("InputLayer", "x", batch_input_shape=[None, 5])),
        node(layer("Dense", "one", units=6, activation="tanh"), ["x"]),
        node(layer("Dense", "two", units=6, activation="relu"), ["one"]),
        node(layer("Dense", "three", units=4, activation="linear"), ["two"]),
        node(layer("Dense", "side", units=4, activation="tanh"), ["one"]),
        node(layer("Add", "sum"), ["three", "side"]),
    ], ["x"], ["sum"])  # fmt: skip
    network = porter.read(
        write(tmp_path / "m.h5", config, {name: dense(rng, name, *size) for name, size in sizes.items()})
    )
    porter.export(network, tmp_path / "a.onnx")
    found = onnx.load(tmp_path / "a.onnx")
    own = [each for each in found.graph.node if each.output[0].split("/")[0] == "two"]
    made = {each.output[0] for each in own}
    for each in found.graph.node:
        if is_copied and each.output[0].startswith("three"):
            each.input[:] = [f"{name}'" if name == "two" else name for name in each.input]
    for at, each in enumerate(own if is_copied else (), list(found.graph.node).index(own[-1]) + 1):
        copy = onnx.NodeProto()
        copy.CopyFrom(each)
        copy.name = f"{each.name}'"
        copy.input[:] = [f"{name}'" if name in made else name for name in each.input]
        copy.output[:] = [f"{name}'" for name in each.output]
        found.graph.node.insert(at, copy)
    onnx.save(found, tmp_path / "a.onnx")
    report = porter.verify(network, tmp_path / "a.onnx")
    assert report.verdict == ("inconclusive" if is_copied else "parity"), str(report)
    assert any("which the legacy layer does not take" in note for note in report.notes) == is_copied
