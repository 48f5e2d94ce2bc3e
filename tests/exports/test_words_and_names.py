"""Files of legacy Keras networks: every row of a table counts, and inputs go by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import porter
from tests.keras_legacy.files import dense, layer, model, node, write

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

WORDS = 700


def renamed(graph: Any, names: dict[str, str]) -> None:
    for each in graph.input:
        each.name = names.get(each.name, each.name)
    for one in graph.node:
        for place, name in enumerate(one.input):
            one.input[place] = names.get(name, name)


def test_every_row_of_a_table_is_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(21)
    arrays = {
        "table": {"table/embeddings:0": rng.normal(0, 1, (WORDS, 4)).astype(np.float32)},
        "last": dense(rng, "last", 4, 2),
    }
    config = model([
        layer("Embedding", "table", input_dim=WORDS, output_dim=4, batch_input_shape=[None, 3]),
        layer("GlobalAveragePooling1D", "mean"),
        layer("Dense", "last", units=2, activation="linear"),
    ])  # fmt: skip
    network = porter.read(write(tmp_path / "m.h5", config, arrays))
    assert porter.export(network, tmp_path / "right.onnx").verdict == "parity"
    found = onnx.load(tmp_path / "right.onnx")
    (table,) = [each for each in found.graph.initializer if list(each.dims) == [WORDS, 4]]
    values = onnx.numpy_helper.to_array(table).copy()
    for row in (WORDS - 2, WORDS // 3):
        values[row] *= -1
        table.CopyFrom(onnx.numpy_helper.from_array(values, table.name))
        onnx.save(found, tmp_path / "wrong.onnx")
        report = porter.verify(network, tmp_path / "wrong.onnx")
        assert report.verdict == "mismatch" and report.findings[0].layer == "table"
        values[row] *= -1


def test_inputs_are_fed_by_their_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(22)
    names = ("first", "second")
    config = model(
        [
            *(node(layer("InputLayer", name, batch_input_shape=[None, 3])) for name in names),
            *(node(layer("Dense", f"of_{name}", units=4, activation="tanh"), [name]) for name in names),
            node(layer("Add", "sum"), [f"of_{name}" for name in names]),
        ],
        inputs=names,
        outputs=["sum"],
    )
    arrays = {f"of_{name}": dense(rng, f"of_{name}", 3, 4) for name in names}
    network = porter.read(write(tmp_path / "m.h5", config, arrays))
    assert porter.export(network, tmp_path / "right.onnx").verdict == "parity"
    found = onnx.load(tmp_path / "right.onnx")
    found.graph.input.insert(0, found.graph.input.pop())  # the other one first, by the right names
    onnx.save(found, tmp_path / "turned.onnx")
    assert porter.verify(network, tmp_path / "turned.onnx").verdict == "parity"
    renamed(found.graph, dict(zip(names, reversed(names), strict=True)))
    onnx.save(found, tmp_path / "wrong.onnx")
    assert porter.verify(network, tmp_path / "wrong.onnx").verdict == "mismatch"
