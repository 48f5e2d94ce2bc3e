"""Ports that take their inputs, or give their outputs, as dictionaries: Keras sorts those by key."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import porter
from porter.errors import PortError
from tests.keras_legacy.files import dense, layer, model, node, write

WIDTHS = {"zeta": 4, "alpha": 3}


@pytest.fixture(scope="module")
def arrays() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(12)
    first = {f"from_{name}": dense(rng, f"from_{name}", width, 5) for name, width in WIDTHS.items()}
    return {**first, "out_z": dense(rng, "out_z", 5, 2), "out_a": dense(rng, "out_a", 5, 2)}


@pytest.fixture(scope="module")
def network(arrays: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = model(
        [
            *(node(layer("InputLayer", name, batch_input_shape=[None, width])) for name, width in WIDTHS.items()),
            *(node(layer("Dense", f"from_{name}", units=5, activation="tanh"), [name]) for name in WIDTHS),
            node(layer("Add", "both"), ["from_zeta", "from_alpha"]),
            node(layer("Dense", "out_z", units=2, activation="linear"), ["both"]),
            node(layer("Dense", "out_a", units=2, activation="linear"), ["both"]),
        ],
        inputs=["zeta", "alpha"],
        outputs=["out_z", "out_a"],
    )
    return porter.read(write(tmp_path_factory.mktemp("two") / "m.h5", config, arrays))


def port(arrays: dict[str, Any], taken: Any, given: Any) -> Any:
    own = "my_" if taken is renamed else ""  # Keras wants its keys to be the names of the inputs
    inputs = {name: keras.Input((width,), name=own + name) for name, width in WIDTHS.items()}
    made = {name: layers.Dense(5, "tanh") for name in WIDTHS} | {"out_z": layers.Dense(2), "out_a": layers.Dense(2)}
    both = layers.Add()([made[name](inputs[name]) for name in WIDTHS])
    outputs = {name: made[name](both) for name in ("out_z", "out_a")}
    whole = keras.Model(taken(inputs), given(outputs))
    for name, one in made.items():
        weights = arrays.get(f"from_{name}", arrays.get(name))
        one.set_weights(list(weights.values()))
    return whole


def as_list(tensors: dict[str, Any]) -> Any:
    return list(tensors.values())


def as_it_is(tensors: dict[str, Any]) -> Any:
    return tensors


def exchanged(tensors: dict[str, Any]) -> Any:
    return dict(zip(tensors, reversed(tensors.values()), strict=True))


def renamed(tensors: dict[str, Any]) -> Any:
    return {f"my_{name}": tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("taken", [as_list, as_it_is])
def test_keys_say_which_is_which(network: Any, arrays: dict[str, Any], taken: Any) -> None:
    assert porter.verify(network, port(arrays, taken, as_it_is)).verdict == "parity"
    report = porter.verify(network, port(arrays, taken, exchanged))
    assert {finding.layer for finding in report.findings} == {"out_z", "out_a"}


def test_keys_of_other_names_have_no_order(network: Any, arrays: dict[str, Any]) -> None:
    with pytest.raises(PortError, match="a dictionary with the keys my_out_z, my_out_a"):
        porter.verify(network, port(arrays, as_list, renamed))
    with pytest.raises(PortError, match="a dictionary with the keys my_zeta, my_alpha"):
        porter.verify(network, port(arrays, renamed, as_list))
