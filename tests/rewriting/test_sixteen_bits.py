"""Layers written in parts in 16 bits: right ports are right, and a weight that is off by a few per cent is seen."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import porter

pytestmark = pytest.mark.usefixtures("keras")

WIDTHS = (6, 12, 9, 4)


@pytest.fixture(scope="module", params=["tanh", "relu"])
def legacy(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Any], list[Any], str]:
    import h5py

    rng = np.random.default_rng(5)
    kernels = [rng.normal(0, 0.5, pair) for pair in itertools.pairwise(WIDTHS)]
    biases = [rng.normal(0, 0.3, width) for width in WIDTHS[1:]]
    path = tmp_path_factory.mktemp("sixteen") / "net.h5"
    with h5py.File(path, "w") as file:
        for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
            file[f"Weights/Layer{number}"], file[f"Bias/Layer{number}"] = kernel.T, bias.reshape(-1, 1)
        file["Layers"] = np.array(WIDTHS, np.int16)
    return porter.read(path, activation=request.param), kernels, biases, request.param


def in_columns(h: Any, kernel: Any, bias: Any, activation: str, dtype: str, fills: list[Any]) -> Any:
    import keras

    half = kernel.shape[1] // 2
    layers = [keras.layers.Dense(n, activation, dtype=dtype) for n in (half, kernel.shape[1] - half)]
    fills += [(layers[0], kernel[:, :half], bias[:half]), (layers[1], kernel[:, half:], bias[half:])]
    return keras.layers.Concatenate(dtype=dtype)([layer(h) for layer in layers])


def in_rows(h: Any, kernel: Any, bias: Any, activation: str, dtype: str, fills: list[Any]) -> Any:
    import keras

    half = kernel.shape[0] // 2
    layers = [keras.layers.Dense(kernel.shape[1], use_bias=use, dtype=dtype) for use in (True, False)]
    fills += [(layers[0], kernel[:half], bias), (layers[1], kernel[half:])]
    both = keras.layers.Add(dtype=dtype)([layers[0](h[:, :half]), layers[1](h[:, half:])])
    return keras.layers.Activation(activation, dtype=dtype)(both)


def port(legacy: Any, written: Any, dtype: str, changed: Any = None) -> Any:
    """Hidden units in another order, every layer written in parts, one array changed."""
    import keras

    _, kernels, biases, activation = legacy
    kernels, biases, rng = [k.copy() for k in kernels], list(biases), np.random.default_rng(1)
    for i in range(len(kernels) - 1):
        order = rng.permutation(kernels[i].shape[1])
        kernels[i], biases[i], kernels[i + 1] = kernels[i][:, order], biases[i][order], kernels[i + 1][order]
    if changed is not None:
        changed(kernels[1])
    x = h = keras.Input((WIDTHS[0],))
    fills: list[Any] = []
    for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        h = written(h, kernel, bias, activation if i < len(kernels) - 1 else "linear", dtype, fills)
    model = keras.Model(x, h)
    for layer, *arrays in fills:
        layer.set_weights(arrays)
    return model


def all_by_one_per_cent(kernel: Any) -> None:
    kernel *= 1.01


def largest_by_three_per_cent(kernel: Any) -> None:
    kernel[np.unravel_index(np.argmax(np.abs(kernel)), kernel.shape)] *= 1.03


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16", "mixed_float16", "float32"])
@pytest.mark.parametrize("written", [in_columns, in_rows])
def test_layers_in_parts(legacy: Any, written: Any, dtype: str) -> None:
    assert porter.verify(legacy[0], port(legacy, written, dtype), search=False, rows=200).verdict == "parity"
    for changed in (all_by_one_per_cent, largest_by_three_per_cent):
        report = porter.verify(legacy[0], port(legacy, written, dtype, changed), search=False, rows=200)
        assert report.verdict == "mismatch", (changed.__name__, str(report))
        # Where nothing says which layer is which, or rounding hides the number, no other cause may be told.
        named = next((finding.code, finding.layer) for finding in report.findings)
        assert named in (("kernel.values", "Layer2"), ("unexplained", "Layer2"), ("unexplained", "Layer1"))
        assert named[0] == "kernel.values" or dtype == "bfloat16" or changed is all_by_one_per_cent


def test_a_kernel_that_nobody_can_read_is_left_open_where_one_per_cent_would_not_show(legacy: Any) -> None:
    import keras
    import ml_dtypes

    _, kernels, biases, activation = legacy

    def hidden(i: int, scale: float) -> Any:
        kernel = (kernels[i] * scale).astype(ml_dtypes.bfloat16).astype("float32")
        name = activation if i < len(kernels) - 1 else "linear"
        act = getattr(keras.activations, name)

        def call(h: Any) -> Any:
            z = keras.ops.matmul(keras.ops.cast(h, "bfloat16"), keras.ops.cast(kernel, "bfloat16"))
            return act(z + keras.ops.cast(biases[i], "bfloat16"))

        return keras.layers.Lambda(call, dtype="mixed_bfloat16")

    def model(scale: float) -> Any:
        x = h = keras.Input((WIDTHS[0],))
        for i in range(len(kernels)):
            h = hidden(i, scale if i == 1 else 1.0)(h)
        return keras.Model(x, h)

    for scale in (1.01, 1.03):
        assert porter.verify(legacy[0], model(scale), search=False, rows=200).verdict != "parity"
    assert porter.verify(legacy[0], model(1.0), search=False, rows=200).verdict != "mismatch"
    assert porter.verify(legacy[0], model(1.2), search=False, rows=200).verdict == "mismatch"
