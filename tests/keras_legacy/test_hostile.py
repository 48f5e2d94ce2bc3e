"""Files that ask for more than can be held, or lie about what fits: refused, each by an error of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import porter
import reference.limits
from porter.cli.contents import read_contents
from porter.errors import DamagedFileError, ModelSizeError, ShapesError
from porter.formats.keras_legacy.errors import ConfigError, JsonError
from porter.formats.programs import build_program, follow
from porter.jobs.provenance import is_saved_model
from reference.operations.merging import merge
from reference.operations.pooling import max_pool
from reference.operations.recurrent import Recurrent
from reference.operations.simple_cell import SimpleCell
from tests.keras_legacy.files import dense, layer, model, write

BILLION = 10**9


def followed(tmp_path: Path, layers: list[Any], shape: tuple[int, ...], weights: dict[str, Any] | None = None) -> Any:
    """Read a Sequential and follow it on two rows."""
    entries = [{**layers[0], "config": {**layers[0]["config"], "batch_input_shape": [None, *shape]}}, *layers[1:]]
    stored = {entry["config"]["name"]: (weights or {}).get(entry["config"]["name"], {}) for entry in entries}
    network = porter.read(write(tmp_path / "m.h5", model(entries), stored))
    return follow(network, build_program(network), {network.inputs[0].name: np.ones((2, *shape))})


@pytest.mark.parametrize(
    ("entry", "shape"),
    [
        (layer("ZeroPadding2D", "x", padding=[BILLION, BILLION]), (4, 4, 1)),
        (layer("ZeroPadding1D", "x", padding=BILLION), (4, 2)),
        (layer("UpSampling2D", "x", size=[BILLION, 2]), (4, 4, 1)),
        (layer("UpSampling2D", "x", size=[30_000, 30_000], interpolation="bilinear"), (4, 4, 1)),
        (layer("RepeatVector", "x", n=BILLION), (4,)),
        (layer("MaxPooling2D", "x", pool_size=[BILLION, 2], strides=[1, 1], padding="same"), (4, 4, 1)),
    ],
)
def test_more_than_can_be_held(tmp_path: Path, entry: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelSizeError, match=r"a layer computes more than can be held\n.*at most 268,435,456"):
        followed(tmp_path, [entry], shape)


def test_an_array_doubled_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference.limits, "LARGEST", 1000)
    x = np.ones((1, 400))
    assert merge((x, x), "concatenate").shape == (1, 800)
    with pytest.raises(reference.limits.TooLargeError):
        merge((x, x, x), "concatenate")


def test_more_steps_than_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference.limits, "MOST_STEPS", 10)
    cell = SimpleCell(np.ones((1, 2)), np.ones((2, 2)), None, lambda z: z)  # type: ignore[arg-type]
    step = Recurrent("r", ("x",), cell)
    assert step(np.ones((1, 10, 1))).outputs.shape == (1, 2)
    with pytest.raises(reference.limits.TooLargeError, match="11 time steps, at most 10"):
        step(np.ones((1, 11, 1)))


def test_layers_that_do_not_fit_each_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = [layer("Dense", "a", units=3, activation="tanh"), layer("Dense", "b", units=2, activation="tanh")]
    weights = {"a": dense(rng, "a", 4, 3), "b": dense(rng, "b", 5, 2)}
    with pytest.raises(ShapesError, match="the layers do not fit each other"):
        followed(tmp_path, layers, (4,), weights)


def test_a_window_wider_than_the_array() -> None:
    with pytest.raises(ValueError, match="wider than an array"):
        max_pool(np.ones((1, 2, 1)), (3,), (1,), "valid")
    assert max_pool(np.ones((1, 3, 1)), (3,), (1,), "valid").shape == (1, 1, 1)


@pytest.mark.parametrize("shape", [[None, True], [None] * 5000, [None, -1], [None, 2.5], []])
def test_a_shape_that_is_none(tmp_path: Path, shape: list[Any]) -> None:
    config = model([layer("Dense", "d", units=2, activation="tanh", batch_input_shape=shape)])
    (tmp_path / "a.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="batch_input_shape"):
        porter.read(tmp_path / "a.json")


def test_json_larger_than_an_architecture(tmp_path: Path) -> None:
    config = model(
        [layer("Dense", "d", units=2, activation="tanh", batch_input_shape=[None, 3], more="x" * (17 << 20))]
    )
    (tmp_path / "a.json").write_text(json.dumps(config))
    with pytest.raises(JsonError, match="too large for an architecture"):
        porter.read(tmp_path / "a.json")


def test_a_root_that_cannot_be_opened(tmp_path: Path) -> None:
    """Inspecting asks first whether Keras 3 saved the file."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["keras_version"] = "2.2.4"
        address = h5py.h5o.get_info(file.id).addr
    data = bytearray(path.read_bytes())
    # The messages of the root's header: no symbol table is left by which it would be a group.
    data[address + 16 : address + 18] = b"\x77\x00"
    path.write_bytes(data)
    assert not is_saved_model(path)
    with pytest.raises(DamagedFileError):
        read_contents(path)


def test_code_inside_a_wrapper_is_listed_as_a_hazard(tmp_path: Path) -> None:
    wrapped = layer("TimeDistributed", "each", layer=layer("Lambda", "odd"), batch_input_shape=[None, 3, 2])
    path = write(tmp_path / "m.h5", model([wrapped, layer("Dense", "d" * 40, units=2)]), {"each": {}, "d" * 40: {}})
    contents: Any = read_contents(path)
    assert contents.hazards == ("each/odd is a Lambda: Python bytecode, which is not run",)
    lines = [line for line in contents.render(120, False).splitlines() if "Lambda" in line or "Dense" in line]
    assert lines[0].index("Lambda") == lines[1].index("Dense")
