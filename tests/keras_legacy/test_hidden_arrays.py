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


def hidden(layer: Any, shape: tuple[int, ...]) -> Any:
    """A model of one layer, which Keras does not see: it calls another that it does not own in Keras' eyes."""
    import keras

    given = layer.compute_output_shape((None, *shape))

    class Hidden(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.run = [layer.__call__]  # a method: Keras would track the layer

        def call(self, x: Any) -> Any:
            return self.run[0](x)

        def compute_output_shape(self, shape: Any) -> Any:
            return given

    inputs = keras.Input(shape)
    return keras.Model(inputs, Hidden()(inputs))


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

    def verdict(factor: float) -> str:
        own = [array.copy() for array in weights.values()]
        place = np.argsort(np.abs(own[0]), axis=None)[own[0].size // 20]
        own[0].flat[place] *= np.float32(factor)
        made = getattr(keras.layers, kind)(**settings)
        made.build((None, *shape))
        made.set_weights(own)
        return porter.verify(network, hidden(made, shape), search=False).verdict

    assert verdict(1.0) == "parity"
    assert verdict(1.0001) == "mismatch"


SQUARE = {
    "dense": ((9,), "Dense", {"units": 9}, (9, 9)),
    "convolution": ((6, 5, 4), "Conv2D", {"filters": 4, "kernel_size": [3, 3], "padding": "same"}, (3, 3, 4, 4)),
}


@pytest.mark.parametrize("own", ["tanh", "relu"])
@pytest.mark.parametrize("kind", SQUARE)
def test_what_is_wrong_with_hidden_arrays_is_named(kind: str, own: str, tmp_path: Path) -> None:
    import keras

    shape, legacy, settings, size = SQUARE[kind]
    rng = np.random.default_rng(3)
    kernel, bias = (rng.normal(0, 0.5, each).astype(np.float32) for each in (size, size[-1]))
    entries = [layer(legacy, "hidden", activation=own, batch_input_shape=[None, *shape], **settings)]
    stored = {"hidden": {"hidden/kernel:0": kernel, "hidden/bias:0": bias}}
    network = porter.read(write(tmp_path / "m.h5", model(entries), stored))

    def codes(kernel: Any = kernel, bias: Any = bias, activation: str = own) -> list[str]:
        made = getattr(keras.layers, legacy)(activation=activation, **settings)
        made.build((None, *shape))
        made.set_weights([kernel, bias])
        report = porter.verify(network, hidden(made, shape), search=False)
        return [finding.code for finding in report.findings]

    assert codes() == []
    assert codes(kernel=np.swapaxes(kernel, -1, -2)) == [
        "kernel.axes" if kind == "convolution" else "kernel.transposed"
    ]
    assert codes(kernel=np.roll(kernel, 1, -1), bias=np.roll(bias, 1)) == ["outputs.permuted"]
    assert codes(bias=0 * bias) == ["bias.missing"]
    assert codes(bias=-bias) == ["bias.negated"]
    assert codes(activation="elu") == ["activation.replaced"]
    assert codes(activation="linear") == ["activation.missing"]
    if kind == "convolution":
        assert codes(kernel=kernel[::-1, ::-1]) == ["kernel.flipped"]
    kernel = kernel.copy()
    kernel.flat[11] += 0.4
    assert "kernel.values" in codes(kernel=kernel)
