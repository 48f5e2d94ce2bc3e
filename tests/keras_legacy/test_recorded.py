"""What golden files, strategies and recipes make of legacy Keras networks."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import porter
import porter.exports.source  # registers a family, once: pytester forgets what its suites import first
import porter.strategies
from porter.cli.contents import read_contents, write_recipe_of
from porter.jobs.batch import Outcome
from porter.testing.golden import GoldenStaleError, compare_golden, read_golden, record, write_golden
from tests.keras_legacy.files import dense, layer, model, node, write
from tests.keras_legacy.test_verifying import recurrent
from tests.versions import needs_layers_as_activations

pytest_plugins = "pytester"


def words_and_numbers(rng: np.random.Generator) -> tuple[Any, Any]:
    """Words looked up and run through an LSTM, beside plain numbers; two outputs."""
    layers = [
        node(layer("InputLayer", "words", batch_input_shape=[None, 5]), ()),
        node(layer("InputLayer", "numbers", batch_input_shape=[None, 3]), ()),
        node(layer("Embedding", "embedding_1", input_dim=7, output_dim=4), ("words",)),
        node(layer("Flatten", "flatten_1"), ("embedding_1",)),
        node(layer("Dropout", "dropout_1", rate=0.5), ("numbers",)),
        node(layer("Concatenate", "concatenate_1", axis=-1), ("flatten_1", "dropout_1")),
        node(layer("Dense", "dense_1", units=4, activation="tanh"), ("concatenate_1",)),
        node(layer("Dense", "dense_2", units=2, activation="softmax"), ("dense_1",)),
    ]
    layers[0]["inbound_nodes"] = layers[1]["inbound_nodes"] = []
    weights = {
        "embedding_1": {"embedding_1/embeddings:0": rng.normal(size=(7, 4)).astype(np.float32)},
        "dense_1": dense(rng, "dense_1", 23, 4), "dense_2": dense(rng, "dense_2", 4, 2),
        "flatten_1": {}, "dropout_1": {}, "concatenate_1": {}, "words": {}, "numbers": {},
    }  # fmt: skip
    return model(layers, ["words", "numbers"], ["dense_2", "dense_1"]), weights


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture(params=["graph", "recurrent"])
def network(request: Any, tmp_path: Path, rng: np.random.Generator) -> Any:
    parts = words_and_numbers(rng) if request.param == "graph" else recurrent(rng)
    return porter.read(write(tmp_path / "m.h5", *parts))


def recorded(network: Any, port: Any) -> Any:
    return record(network, port, porter.verify(network, port), command="pytest --parity-record")


def test_a_recording_comes_back_and_agrees(network: Any, tmp_path: Path) -> None:
    port = porter.build(network)
    write_golden(tmp_path / "golden.npz", recorded(network, port))
    again = read_golden(tmp_path / "golden.npz")
    assert len(again.inputs) == len(network.inputs)
    assert len(again.outputs) == len(network.outputs)
    compared = compare_golden(again, network, port)
    assert list(compared) == list(again.traces)
    assert "dense_1" in compared
    assert all(found.is_parity and found.elements for found in compared.values())


def test_a_port_of_another_precision_agrees_within_both_bounds(network: Any) -> None:
    compared = compare_golden(recorded(network, porter.build(network)), network, porter.build(network, dtype="float64"))
    assert all(found.is_parity for found in compared.values())
    assert any(found.error > 0 for found in compared.values())


def test_a_port_whose_weights_changed_does_not(network: Any) -> None:
    port = porter.build(network)
    golden = recorded(network, port)
    last = [each for each in port.layers if each.weights][-1]  # its activation may stand behind it
    last.set_weights([array * 1.01 for array in last.get_weights()])
    wrong = [name for name, found in compare_golden(golden, network, port).items() if not found.is_parity]
    assert wrong == [last.name.removesuffix("_kernel")]


def test_a_recording_of_another_structure_is_refused(network: Any) -> None:
    port = porter.build(network)
    golden = recorded(network, port)
    less = replace(golden, traces=dict(list(golden.traces.items())[1:]))
    with pytest.raises(GoldenStaleError, match="of another structure"):
        compare_golden(less, network, port)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_inputs_that_a_port_takes(data: st.DataObject) -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        network = porter.read(write(Path(folder) / "m.h5", *words_and_numbers(rng)))
        words, numbers = data.draw(porter.strategies.inputs(network))
        assert words.shape[1:] == (5,)
        assert numbers.shape == (len(words), 3)
        assert np.isin(words, range(7)).all()
        assert (np.abs(numbers) <= 1).all()


def test_long_rows_come_out_of_a_seed(tmp_path: Path, rng: np.random.Generator) -> None:
    layers = [layer("Dense", "d", units=2, activation="tanh", batch_input_shape=[None, 1000])]
    network = porter.read(write(tmp_path / "m.h5", model(layers), {"d": dense(rng, "d", 1000, 2)}))

    @settings(max_examples=10, deadline=None)
    @given(porter.strategies.inputs(network))
    def check(rows: Any) -> None:
        assert rows.shape[1:] == (1000,)
        assert np.isfinite(np.asarray(porter.build(network)(rows))).all()

    check()


def test_no_mistakes_are_planted(network: Any) -> None:
    @settings(max_examples=1, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        with pytest.raises(ValueError, match="legacy Keras networks"):
            data.draw(porter.strategies.faults(network))

    check()


@needs_layers_as_activations
def test_the_plugin_records_them_too(
    pytester: pytest.Pytester, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)  # under CI nothing is recorded
    path = write(pytester.path / "m.h5", *recurrent(rng))
    porter.build(porter.read(path)).save(pytester.path / "port.keras")
    pytester.makepyfile("""
        def test_it(parity):
            parity.check("m.h5", port="port.keras")
    """)
    for _ in range(2):
        pytester.runpytest("--parity-record").assert_outcomes(passed=1)
    (golden,) = pytester.path.glob("**/*.npz")
    spoiled = read_golden(golden)
    write_golden(golden, replace(spoiled, traces={name: array + 1 for name, array in spoiled.traces.items()}))
    pytester.runpytest().assert_outcomes(failed=1)


def test_no_recipe_is_written(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write(tmp_path / "m.h5", *recurrent(rng))
    outcome = Outcome(path, read_contents(path), None)
    with pytest.raises(porter.UsageError, match="legacy Keras file"):
        write_recipe_of([outcome], tmp_path / "r.toml")
    assert not (tmp_path / "r.toml").exists()
