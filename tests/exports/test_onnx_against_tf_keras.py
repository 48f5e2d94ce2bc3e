"""ONNX files beside the Keras 2 implementation itself: what it saved and computed, written and run by onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.ports.onnx_file import open_onnx
from tests.exports import onnx_files
from tests.keras_legacy import test_against_tf_keras as original

pytestmark = [pytest.mark.usefixtures("keras"), pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

REFUSED = {"stateful": "keeps its state"}
"""What ONNX has no form for, and what is said of it."""
UNBOUNDED = ("sentences", "time distributed model")
"""A model inside TimeDistributed has no rounding bound."""


@pytest.mark.parametrize("name", original.MODELS)
def test_the_file_follows_keras_2(tmp_path, name):
    rng = np.random.default_rng(11)
    original.tf_keras.backend.clear_session()
    model = original.MODELS[name]()
    original.randomize(model, rng)
    model.save(tmp_path / "m.h5")
    feeds = original.feeds_for(model, rng)
    outputs = model(feeds if len(feeds) > 1 else feeds[0], training=False)
    outputs = [np.asarray(each) for each in (outputs if isinstance(outputs, list | tuple) else [outputs])]
    network = porter.read(tmp_path / "m.h5")
    if name in REFUSED:
        with pytest.raises(porter.UnbuildableError, match=REFUSED[name]):
            onnx_files.write(network, tmp_path / "a.onnx")
        return
    path = onnx_files.write(network, tmp_path / "a.onnx")
    for found, wanted in zip(open_onnx(path).call(feeds), outputs, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-6)
    report = porter.verify(network, path)
    assert report.verdict == ("inconclusive" if name in UNBOUNDED else "parity"), str(report)
