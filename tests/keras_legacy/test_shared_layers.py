"""Layers that stand in several models at once: a port is judged by its own calls of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from tests.keras_legacy.test_diagnosing import small


@pytest.fixture
def legacy(tmp_path: Path) -> Any:
    return small(tmp_path)


def verdict(legacy: Any, port: Any) -> str:
    return str(porter.verify(legacy, port).verdict)


def test_a_layer_that_was_called_in_another_model_first(legacy: Any) -> None:
    """What is read by the layer's name is its call in this model, not its first one."""
    right = porter.build(legacy)
    again = keras.models.clone_model(right, clone_function=lambda layer: layer)
    assert again.get_layer("conv_1") is right.get_layer("conv_1")
    assert verdict(legacy, again) == verdict(legacy, right) == "parity"


def test_a_call_in_training_mode_elsewhere_is_no_mistake_here(legacy: Any) -> None:
    right = porter.build(legacy)
    inputs = keras.Input(right.inputs[0].shape[1:])
    keras.Model(inputs, keras.layers.Dropout(0.5)(right.get_layer("conv_1")(inputs), training=True))
    assert verdict(legacy, right) == "parity"


def test_a_mistake_in_a_shared_layer_is_one_in_both(legacy: Any) -> None:
    right = porter.build(legacy)
    again = keras.models.clone_model(right, clone_function=lambda layer: layer)
    kernel = right.get_layer("conv_1").kernel
    kernel.assign(np.asarray(kernel)[::-1, ::-1])
    for port in (right, again):
        (finding,) = porter.verify(legacy, port).findings
        assert (finding.code, finding.layer) == ("kernel.flipped", "conv_1")
