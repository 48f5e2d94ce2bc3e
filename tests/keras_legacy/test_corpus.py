"""Real files of Keras 1.0 to tf.keras 2.x against the outputs that the right implementation recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter.errors import UnbuildableError
from porter.formats.keras_legacy.errors import BackendQuestionError, ExecutableLayerError
from porter.formats.programs import build_program
from porter.formats.samples import read_samples
from porter.reading.graphs import check_legacy_reading
from tests.conftest import real_folder

FOLDER = real_folder() / "keras_h5"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of real Keras files is not there (PORTER_REAL)"),
]
# The only oracle of these three ran on the other backend, which turns kernels round.
WRONG_ORACLE = {f"{name}_tensorflow_1.h5" for name in ("conv2d", "conv2d_reshape", "batch_to_conv2d")}
PORTED = (
    "fer/emotion_model.hdf5", "trafficflow/lstm.h5", "dl4j/modelimport/keras/tfkeras/convlstm2d_2.h5",
    "dl4j/modelimport/keras/tfkeras/cnn2d_33.h5", "dl4j/modelimport/keras/weights/conv2d_theano_1.h5",
    "dl4j/modelimport/keras/weights/bidirectional_lstm_theano_1.h5",
    "dl4j/modelimport/keras/weights/keras-attention.h5",
    "dl4j/modelimport/keras/examples/masking/masking_two_lstm.h5",
)  # fmt: skip


def entries() -> list[dict[str, Any]]:
    return json.loads((FOLDER / "MANIFEST.json").read_text()) if FOLDER.is_dir() else []


def read(path: Path) -> Any:
    try:
        return porter.read(path)
    except BackendQuestionError:
        return porter.read(path, backend="theano")


def oracle_of(entry: dict[str, Any], network: Any) -> Path | None:
    """The recording of the backend that the file was trained with."""
    theano = network.era.backend == "theano"
    right = [name for name in entry["oracle"] if name.startswith("keras224_theano") == theano]
    names = right or list(entry["oracle"])
    return FOLDER / entry["oracle"][names[0]] if names else None


def test_recorded_outputs_prove_the_reading() -> None:
    """None contradicts it; a few lie farther off than the emulated arithmetic explains, which is said."""
    told, verdicts = [], []
    for entry in entries():
        path = FOLDER / entry["file"]
        if entry["kind"] != "full" or path.name in WRONG_ORACLE:
            continue
        try:
            network = read(path)
        except ExecutableLayerError:
            assert entry["hazards"]
            continue
        oracle = oracle_of(entry, network)
        if oracle is not None:
            reading = check_legacy_reading(network, read_samples(oracle, network))
            told += [] if reading.verdict in ("proven", "consistent") else [f"{entry['file']}: {reading.note}"]
            verdicts.append(reading.verdict)
    assert told == []
    assert len(verdicts) >= 290
    assert verdicts.count("consistent") <= 3


def test_a_wrong_oracle_is_seen() -> None:
    """The negative control: recordings of the backend that turns kernels round."""
    entry = next(entry for entry in entries() if entry["file"].endswith("/conv2d_tensorflow_1.h5"))
    network = read(FOLDER / entry["file"])
    reading = check_legacy_reading(network, read_samples(FOLDER / entry["oracle"]["keras224_theano"], network))
    assert reading.verdict == "contradicted"
    assert reading.cause is not None and "3214" in reading.cause.detail


def test_the_architectures_are_read() -> None:
    files = [FOLDER / entry["file"] for entry in entries() if entry["kind"] == "arch-json"]
    refused = []
    for path in files:
        try:
            read(path)
        except porter.UnreadableError as error:
            refused.append(type(error).__name__)
    assert len(files) == 100
    assert sorted(refused) == ["ExecutableLayerError", "NotAModelError"]


@pytest.mark.parametrize("file", PORTED)
def test_ported_and_judged(tmp_path: Path, file: str) -> None:
    network = read(FOLDER / file)
    entry = next(entry for entry in entries() if entry["file"] == file)
    try:
        report = porter.port(network, tmp_path / "p.keras", samples=oracle_of(entry, network))
    except UnbuildableError as error:
        if f"Keras {keras.__version__}" not in str(error):
            raise
        pytest.skip(str(error))
    assert (report.verdict, report.links["reading"], report.links["save"]) == ("parity", "proven", "parity")
    assert all(row.verdict == "parity" for row in report.layers)


def test_recorded_activations_of_each_layer() -> None:
    """What the original Keras recorded inside its models, where it did."""
    import h5py

    seen = 0
    for path in sorted(FOLDER.rglob("*_inputs_and_outputs.h5")):
        whole = path.with_name(path.name.replace("_inputs_and_outputs", "_model"))
        if not whole.exists():
            continue
        with h5py.File(path) as file:
            inputs = {name: file["inputs"][name][()] for name in file["inputs"]}
            layers = {name: file["activations"][name][()] for name in file.get("activations", {})}
        program = build_program(read(whole))
        traces = program.trace(dict(zip(program.inputs, inputs.values(), strict=True)))
        for name, recorded in layers.items():
            np.testing.assert_allclose(traces[name].outputs, recorded, rtol=1e-4, atol=1e-4 * np.abs(recorded).max())
            seen += 1
    assert seen > 10
