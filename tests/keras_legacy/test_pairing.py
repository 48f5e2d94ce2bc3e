"""Pairing by what agrees: random graphs with other names and another grain, real networks, and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import porter
from porter.cli.commands import app
from porter.errors import UnbuildableError
from porter.formats.keras_legacy.errors import BackendQuestionError
from tests.conftest import real_folder
from tests.keras_legacy.files import dense, layer, model, node, write
from tests.keras_legacy.graphs import build_by_hand, draw_graph
from tests.versions import needs_layers_as_activations

FOLDER = real_folder() / "keras_h5"


def random_case(folder: Path, seed: int, wrong: bool = False) -> tuple[Any, Any, dict[str, Any], Any]:
    """A legacy network, a port of it by hand, the layers that hold its arrays, and the layer that is made wrong."""
    rng = np.random.default_rng(seed)
    graph = draw_graph(rng, int(rng.integers(3, 20)))
    calls = [call for call in graph.calls if call[1] in ("Dense", "Activation", "BatchNormalization")]
    name = calls[int(rng.integers(len(calls)))][0]
    port, made = build_by_hand(graph, rng, name if wrong else "")
    return porter.read(graph.write(folder / "m.h5")), port, made, (name, rng)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_and_one_wrong_weight(tmp_path: Path, seed: int) -> None:
    """The same shapes everywhere, so that only what layers compute tells them apart."""
    network, port, made, (_, rng) = random_case(tmp_path, seed)
    report = porter.verify(network, port)
    assert (report.verdict, report.findings) == ("parity", ())
    name = str(rng.choice(list(made)))
    arrays = made[name].get_weights()
    at = int(rng.integers(len(arrays)))
    arrays[at].flat[int(rng.integers(arrays[at].size))] *= 1.01
    made[name].set_weights(arrays)
    report = porter.verify(network, port)
    assert {finding.layer for finding in report.findings} == {name}
    assert {row.layer for row in report.layers if row.verdict != "parity"} == {name}


@pytest.mark.parametrize("seed", range(100, 108))
def test_random_graphs_and_one_wrong_function(tmp_path: Path, seed: int) -> None:
    network, port, _, (name, _) = random_case(tmp_path, seed, wrong=True)
    report = porter.verify(network, port)
    assert {finding.layer for finding in report.findings} == {name}


def test_identical_layers_side_by_side(tmp_path: Path) -> None:
    """Two layers with the same arrays on the same tensor: either will do, until what stands behind them decides."""
    rng = np.random.default_rng(3)
    entries = [node(layer("InputLayer", "input_1", batch_input_shape=[None, 4], dtype="float32"))]
    weights: dict[str, Any] = {"input_1": {}, "end": {}}
    first = list(dense(rng, "d", 4, 4).values())
    for side in ("left", "right"):
        entries.append(node(layer("Dense", side, units=4, activation="tanh"), ["input_1"]))
        weights[side] = {f"{side}/kernel:0": first[0], f"{side}/bias:0": first[1]}
        entries.append(node(layer("Dense", f"{side}_2", units=4, activation="tanh"), [side]))
        weights[f"{side}_2"] = dense(rng, f"{side}_2", 4, 4)
    entries.append(node(layer("Subtract", "end"), ["left_2", "right_2"]))
    network = porter.read(write(tmp_path / "m.h5", model(entries, ["input_1"], ["end"]), weights))
    begin = keras.Input((4,))
    made = {name: keras.layers.Dense(4, "tanh") for name in ("right", "left", "right_2", "left_2")}
    ends = {side: made[f"{side}_2"](made[side](begin)) for side in ("right", "left")}
    port = keras.Model(begin, keras.layers.Subtract()([ends["left"], ends["right"]]))
    for name, one in made.items():
        one.set_weights(list(weights[name].values()))
    report = porter.verify(network, port)
    assert (report.verdict, report.findings) == ("parity", ())
    twins = {row.layer: row.port_layer for row in report.layers}
    assert twins["left"] != twins["right"]


def test_the_command_line(tmp_path: Path) -> None:
    network, port, made, _ = random_case(tmp_path, 5)
    port.save(tmp_path / "by_hand.keras")
    arguments = ["verify", str(network.source.path), str(tmp_path / "by_hand.keras")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert next(iter(made.values())).name in result.stdout
    name, one = next(iter(made.items()))
    one.set_weights([array * np.float32(1.01) for array in one.get_weights()])
    port.save(tmp_path / "by_hand.keras")
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    report = found[0] if isinstance(found, list) else found
    assert {finding["layer"] for finding in report["findings"]} == {name}
    assert report["findings"][0]["port_layer"][0] == one.name


def renamed(right: Any) -> Any:
    """The same model with names of no meaning."""
    numbers = iter(range(10**6))

    def fresh(one: Any) -> Any:
        return type(one).from_config({**one.get_config(), "name": f"layer_{next(numbers)}"})

    port = keras.models.clone_model(right, clone_function=fresh)
    port.set_weights(right.get_weights())
    return port


def real_files() -> list[str]:
    """Twenty whole models, spread over the corpus."""
    if not FOLDER.is_dir():
        return []
    entries = json.loads((FOLDER / "MANIFEST.json").read_text())
    files = [entry["file"] for entry in entries if entry["kind"] == "full" and not entry["hazards"]]
    return files[:: max(len(files) // 20, 1)]


@needs_layers_as_activations
@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of real Keras files is not there (PORTER_REAL)")
def test_real_networks_under_other_names() -> None:
    told = []
    for file in real_files():
        try:
            network = porter.read(FOLDER / file)
        except BackendQuestionError:
            network = porter.read(FOLDER / file, backend="theano")
        try:
            right = porter.build(network)
        except UnbuildableError as error:
            assert f"Keras {keras.__version__}" in str(error)  # an older one lacks what this file needs
            continue
        report = porter.verify(network, renamed(right))
        keras.backend.clear_session()
        told += [] if report.verdict == "parity" else [(file, report.verdict, report.findings)]
    assert len(real_files()) >= 20
    assert told == []
