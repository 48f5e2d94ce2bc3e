"""Ports whose layers do not show their arrays: every weight has to show in what they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import porter
from tests.keras_legacy.files import layer, model, write

FLAT = {"kernel": (40, 30), "bias": (30,)}
LAYERS: dict[str, tuple[tuple[int, ...], str, dict[str, Any], dict[str, tuple[int, ...]], float]] = {
    "dense": ((40,), "Dense", {"units": 30, "activation": "relu"}, FLAT, -3.0),
    "dense, saturated": ((40,), "Dense", {"units": 30, "activation": "sigmoid"}, FLAT, -15.0),
    "dense, softplus": ((40,), "Dense", {"units": 30, "activation": "softplus"}, FLAT, -3.0),
    "dense at every time step": ((5, 40), "Dense", {"units": 30, "activation": "tanh"}, FLAT, 0.0),
    "convolution, saturated": (
        (7, 9, 4), "Conv2D",
        {"filters": 6, "kernel_size": [3, 3], "strides": [2, 1], "padding": "same", "activation": "tanh"},
        {"kernel": (3, 3, 4, 6), "bias": (6,)}, 8.0,
    ),
    "convolution of the past": (
        (20, 6), "Conv1D",
        {"filters": 20, "kernel_size": [5], "dilation_rate": [2], "padding": "causal", "activation": "relu"},
        {"kernel": (5, 6, 20), "bias": (20,)}, -3.0,
    ),
    "transposed convolution": (
        (5, 4, 6), "Conv2DTranspose", {"filters": 5, "kernel_size": [3, 3], "strides": [2, 2], "activation": "relu"},
        {"kernel": (3, 3, 5, 6), "bias": (5,)}, -2.0,
    ),
    "depthwise convolution": (
        (6, 6, 5), "DepthwiseConv2D", {"kernel_size": [3, 3], "activation": "relu"},
        {"depthwise_kernel": (3, 3, 5, 1), "bias": (5,)}, -2.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_one_small_weight_of_hidden_arrays(case: str, tmp_path: Path) -> None:
    import keras

    shape, kind, settings, arrays, offset = LAYERS[case]
    rng = np.random.default_rng(7)
    weights = {
        role: rng.normal(offset if role == "bias" else 0, 0.2, size).astype(np.float32) for role, size in arrays.items()
    }
    entries = [layer(kind, "hidden", use_bias=True, batch_input_shape=[None, *shape], **settings)]
    stored = {"hidden": {f"hidden/{role}:0": array for role, array in weights.items()}}
    network = porter.read(write(tmp_path / "m.h5", model(entries), stored))

    class Hidden(keras.layers.Layer):  # type: ignore[misc]
        """Calls a layer that it does not own in Keras' eyes."""

        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.run = [inner.__call__]  # a method: Keras would track the layer

        def call(self, x: Any) -> Any:
            return self.run[0](x)

        def compute_output_shape(self, given: Any) -> Any:
            return inner_shape

    inner = getattr(keras.layers, kind)(**settings)
    inner.build((None, *shape))
    inner_shape = inner.compute_output_shape((None, *shape))

    def port(factor: float) -> Any:
        own = [array.copy() for array in weights.values()]
        place = np.argsort(np.abs(own[0]), axis=None)[own[0].size // 20]
        own[0].flat[place] *= np.float32(factor)
        hidden = getattr(keras.layers, kind)(**settings)
        hidden.build((None, *shape))
        hidden.set_weights(own)
        inputs = keras.Input(shape)
        return keras.Model(inputs, Hidden(hidden)(inputs))

    def verdict(factor: float) -> str:
        return porter.verify(network, port(factor), search=False).verdict

    assert verdict(1.0) == "parity"
    assert verdict(1.0001) == "mismatch"
