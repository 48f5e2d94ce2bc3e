"""Networks that look their activation up in a table: what finds the place in it is no stray operation."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from tests.exports import onnx_files


@pytest.fixture(scope="module")
def looked_up(fixtures):
    return porter.read(fixtures / "families" / "ffbp_7x7.net")


def test_the_port_of_keras(looked_up, keras):
    report = porter.verify(looked_up, porter.build(looked_up), search=False)
    assert report.verdict == "parity", str(report)


def test_the_onnx_file(looked_up, tmp_path):
    report = porter.verify(looked_up, onnx_files.write(looked_up, tmp_path / "a.onnx"), search=False)
    assert report.verdict == "parity", str(report)


def test_a_missing_value_made_a_number_where_the_file_hands_it_on(fixtures, keras):
    """Negative control: the same operation in a network whose formula hands NaN on."""
    network = porter.read(fixtures / "square_7-7-7-7-7.h5")
    built = porter.build(network)
    tensor = inputs = keras.Input((7,))
    for layer in built.layers[1:]:
        tensor = layer(tensor)
        if layer.name == "Layer2":
            tensor = keras.ops.nan_to_num(tensor)
    report = porter.verify(network, keras.Model(inputs, tensor), search=False)
    assert report.verdict == "mismatch" and "nan" in " ".join(f.message + f.evidence for f in report.findings).lower()


def test_a_report_on_a_mistake_does_not_break_down(looked_up, keras):
    """Of such a file it is also asked whether it was meant in physical units."""
    model = porter.build(looked_up)
    layer = model.get_layer("Layer2")
    kernel, bias = layer.get_weights()
    layer.set_weights([np.ascontiguousarray(kernel.T) if kernel.shape[0] == kernel.shape[1] else -kernel, bias])
    assert porter.verify(looked_up, model, search=False).verdict == "mismatch"
