"""Ports of single layers stay within their bounds, with numbers of any size; a little beside they do not."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.right_layers import KINDS, compared, draw, measure
from tests.versions import needs_layers_as_activations

pytestmark = pytest.mark.usefixtures("keras")

CONVOLUTIONS = [name for name in KINDS if ("Conv" in name or "Local" in name) and "LSTM" not in name]
BOTH_WAYS = pytest.param("Bidirectional", marks=needs_layers_as_activations)
SHORT = ("float16", "mixed_float16", "bfloat16")


def sized(legacy, sizes):
    """The same network with arrays of other sizes, by a part of their names."""
    for arrays in legacy.weights.values():
        for name in arrays:
            factor = next((size for part, size in sizes.items() if part in name), 1.0)
            arrays[name] = (arrays[name] * factor).astype(np.float32)
    return legacy


def inputs(name, seed, size=1.0):
    return np.random.default_rng(seed).normal(0, size, (6, *KINDS[name][0]))


def largest(found):
    return max(one.ratio for _, one in found)


@pytest.mark.parametrize("name", [*CONVOLUTIONS, "Dense", "Dense on sequences", "LSTM", "GRU"])
def test_the_references_own_rounding_of_a_large_bias_is_allowed_in_float64(name, tmp_path):
    for seed, kernel in enumerate((0.1, 0.01, 1e-3) * 2):
        legacy = sized(draw(name, 4 * seed), {"kernel": kernel, "bias": 60.0})
        assert largest(compared(legacy, inputs(name, seed), "float64", ["eager"], tmp_path / "layer.h5")) <= 1, kernel


@pytest.mark.parametrize("form", SHORT)
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("BatchNormalization", {"gamma": 1e-5, "beta": 1e-3}),
        ("BatchNormalization", {"variance": 1e-5, "mean": 1e-3}),
        ("BatchNormalization", {"gamma": 1e-6, "beta": 1e-6, "variance": 1e3}),
        ("LayerNormalization", {"gamma": 1e-5, "beta": 1e-6}),
        ("SeparableConv2D", {"depthwise": 1e-5, "pointwise": 30.0, "bias": 1e-5}),
        ("SeparableConv1D", {"depthwise": 1e-6, "pointwise": 300.0, "bias": 1e-5}),
        ("DepthwiseConv2D", {"kernel": 1e-6, "bias": 1e-6}),
    ],
)
def test_what_underflows_in_16_bits_is_allowed(name, sizes, form, tmp_path):
    for seed in range(3):
        legacy = sized(draw(name, 4 * seed), sizes)
        found = dict(compared(legacy, inputs(name, seed), form, ["eager"], tmp_path / "layer.h5"))
        assert found["eager"].is_parity, (seed, found["eager"])


@pytest.mark.parametrize("name", ["Dense", "Conv2D", "SeparableConv2D", "DepthwiseConv2D", "LSTM", "GRU"])
def test_numbers_that_a_platform_flushes_are_allowed(name, tmp_path):
    for part, weights, size in (("kernel", 1e-39, 1e3), ("pointwise", 1e-39, 1e3), ("inputs", 1e3, 1e-39)):
        legacy = sized(draw(name, 0), {"bias": 0.0, part if part != "inputs" else "kernel": weights})
        assert largest(compared(legacy, inputs(name, 1, size), "float32", ["eager"], tmp_path / "layer.h5")) <= 1, part


@pytest.mark.parametrize(
    "name", ["Conv2D", "SeparableConv2D", "BatchNormalization", "LayerNormalization", "GRU", "PReLU"]
)
def test_graph_and_xla_stay_within_as_well(name, tmp_path):
    for seed in (0, 1):
        found = dict(measure(name, seed, "float32", ["graph", "xla"], tmp_path / "layer.h5"))
        assert len(found) == 2 and all(one.is_parity for one in found.values()), found


NORMALIZED_TOO = (
    "Conv2D", "SeparableConv2D", "DepthwiseConv2D", "Conv2DTranspose", "BatchNormalization", "LayerNormalization",
)  # fmt: skip
CHANGE = {"float32": 1.2e-5, "float64": 4e-14, "mixed_float16": 8e-2}
"""Of the kernel, or of gamma: what shows at some element."""


@pytest.mark.parametrize("form", CHANGE)
@pytest.mark.parametrize("name", NORMALIZED_TOO)
def test_weights_a_little_off_are_outside(name, form, tmp_path):
    """Negative control, with inputs of which all but one are zero for most rows."""
    x = inputs(name, 3)
    x[1:] *= np.random.default_rng(4).random(x[1:].shape) < 0.1

    def change(model):
        arrays = model.get_weights()
        arrays[0] = arrays[0] * (1 + CHANGE[form])
        model.set_weights(arrays)

    legacy = draw(name, 0)
    assert largest(compared(legacy, x, form, ["eager"], tmp_path / "layer.h5")) <= 1
    assert largest(compared(legacy, x, form, ["eager"], tmp_path / "layer.h5", change)) > 1


@pytest.mark.parametrize(("form", "share"), [("mixed_float16", 0.02), ("mixed_bfloat16", 0.12)])
def test_a_wide_separable_convolution_in_16_bits_is_bounded_by_less_than_it_ranges_over(form, share, tmp_path):
    """96 channels added up in 16 bits would be allowed ten times that."""
    from benchmarks.keras_networks import Maker

    rng = np.random.default_rng(6)
    maker = Maker(rng, (5, 5, 96))
    arrays = {"depthwise_kernel": maker.normal(3, 3, 96, 1), "pointwise_kernel": maker.normal(1, 1, 96, 4),
              "bias": maker.bias(4)}  # fmt: skip
    maker.add("SeparableConv2D", "layer_1", arrays, filters=4, kernel_size=[3, 3], depth_multiplier=1, strides=[1, 1],
              padding="same", data_format="channels_last", use_bias=True, activation="linear")  # fmt: skip
    x = rng.normal(size=(4, 5, 5, 96))
    for mode, found in compared(maker.chain("wide"), x, form, ["eager", "graph", "xla"], tmp_path / "layer.h5"):
        assert found.is_parity and found.unbounded == 0, mode
        assert found.allowed < share * found.span, mode


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU", BOTH_WAYS, "ConvLSTM2D"])
def test_recurrent_layers_are_built_and_stay_within_in_bfloat16(name, tmp_path):
    """Whose orthogonal matrices, with which Keras begins, TensorFlow cannot make in it."""
    found = dict(measure(name, 0, "bfloat16", ["eager"], tmp_path / "layer.h5"))
    assert found["eager"].is_parity
