"""What an older Keras 3 lacks, taken from the one that is here: built in another way, or refused with its version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter.errors import UnbuildableError
from porter.ports.keras import versions
from porter.ports.keras.builders import recurrent, site
from tests.keras_legacy.files import dense, layer, model, write

LEAKY = {"class_name": "LeakyReLU", "config": {"name": "leaky", "alpha": 0.1}}
STEPS = {"batch_input_shape": [None, 4, 2]}
GRU = layer("GRU", "rnn", units=3, activation="tanh", recurrent_activation="hard_sigmoid", reset_after=False,
            use_bias=True)  # fmt: skip


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.fixture
def without_layers_as_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before Keras 3.10."""
    for module in (versions, site, recurrent):
        monkeypatch.setattr(module, "activates_by_layers", lambda: False)


def gates(rng: np.random.Generator, prefix: str) -> dict[str, Any]:
    shapes = {"kernel": (2, 9), "recurrent_kernel": (3, 9), "bias": (9,)}
    return {f"{prefix}/{name}:0": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.usefixtures("without_layers_as_activations")
def test_activations_that_layers_compute_stand_behind_their_layer(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (versions, site):
        monkeypatch.setattr(module, "keeps_arrays", lambda: False)
    conv = {"kernel_size": [2, 2], "strides": [1, 1], "padding": "valid", "dilation_rate": [1, 1], "use_bias": True}
    config = model([
        layer("Conv2D", "conv", filters=3, activation="hard_sigmoid", data_format="channels_first", **conv,
              batch_input_shape=[None, 2, 4, 4]),
        layer("Flatten", "flat"),
        layer("Dense", "first", units=4, activation="hard_sigmoid", use_bias=True),
        layer("Dense", "last", units=2, activation=LEAKY, use_bias=True),
    ])  # fmt: skip
    arrays = {
        "conv": {"conv/kernel:0": rng.normal(size=(2, 2, 2, 3)).astype("float32"),
                 "conv/bias:0": rng.normal(size=3).astype("float32")},
        "flat": {}, "first": dense(rng, "first", 27, 4), "last": dense(rng, "last", 4, 2),
    }  # fmt: skip
    path = write(tmp_path / "m.h5", config, arrays)
    report = porter.port(path, tmp_path / "p.keras")
    assert (report.verdict, report.links["save"]) == ("parity", "parity"), str(report)
    made = keras.saving.load_model(tmp_path / "p.keras")
    assert versions.layers_as_activations(made) == []
    assert [each.name for each in made.layers if "Dense" in type(each).__name__] == ["first_kernel", "last_kernel"]
    assert porter.verify(path, porter.build(porter.read(path), dtype="float64")).verdict == "parity"
    with pytest.raises(UnbuildableError, match=r"Rescaling without its arrays(.|\n)*Keras 3.5 or later"):
        porter.port(path, tmp_path / "double.keras", dtype="float64")


@pytest.mark.usefixtures("without_layers_as_activations")
def test_gates_that_no_older_keras_loads_are_refused_where_they_are_saved(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write(tmp_path / "m.h5", model([{**GRU, "config": {**GRU["config"], **STEPS}}]), {"rnn": gates(rng, "rnn")})
    assert porter.verify(path, porter.build(porter.read(path))).verdict == "parity"
    told = f"p.keras\\n.*Keras {keras.__version__}, which .*hard sigmoid of Keras 1 and 2(.|\n)*Keras 3.10 or later"
    with pytest.raises(UnbuildableError, match=told):
        porter.port(path, tmp_path / "p.keras")
    assert [each.name for each in tmp_path.iterdir()] == ["m.h5"]


@pytest.mark.usefixtures("without_layers_as_activations")
def test_in_both_directions_they_are_refused_at_once(tmp_path: Path, rng: np.random.Generator) -> None:
    both = layer("Bidirectional", "both", layer=GRU, merge_mode="concat", **STEPS)
    weights = {f"both/{side}_rnn/{name.partition('/')[2]}": value for side in ("forward", "backward")
               for name, value in gates(rng, "rnn").items()}  # fmt: skip
    network = porter.read(write(tmp_path / "m.h5", model([both]), {"both": weights}))
    with pytest.raises(UnbuildableError, match=r"layer 'both'(.|\n)*Keras 3.10 or later"):
        porter.build(network)


def test_masks_are_given_as_an_older_keras_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    query, value = keras.KerasTensor((None, 3, 2)), keras.KerasTensor((None, 5, 2))
    mask = keras.KerasTensor((None, 5), "bool")
    assert versions.attention_masks([query, value], [None, None], False) is None
    monkeypatch.setattr(versions, "_takes_none_among_masks", lambda: False)
    monkeypatch.setattr(versions, "_spreads_masks", lambda: False)
    shapes = [each.shape for each in versions.attention_masks([query, value], [None, mask], False) or []]
    assert shapes == [(None, 3), (None, 1, 5)]
    shapes = [each.shape for each in versions.attention_masks([query, value], [None, mask], True) or []]
    assert shapes == [(None, 3), (None, 5)]  # it spreads them itself where it masks later steps


def test_a_rescaling_in_float64_keeps_its_numbers(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (versions, site):
        monkeypatch.setattr(module, "keeps_arrays", lambda: False)
    config = model([layer("Rescaling", "third", scale=1 / 3, offset=0.1, batch_input_shape=[None, 3]),
                    layer("Dense", "last", units=2, activation="linear", use_bias=True)])  # fmt: skip
    path = write(tmp_path / "m.h5", config, {"third": {}, "last": dense(rng, "last", 3, 2)}, version="2.15.0")
    report = porter.port(path, tmp_path / "p.keras", dtype="float64")
    assert (report.verdict, report.links["save"]) == ("parity", "parity"), str(report)
