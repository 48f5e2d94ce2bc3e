"""Scaling that a port has in a layer: made in any arithmetic, where only the bias shows it, and where nothing does."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

import porter
from reference.activations import Activation
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from tests.handmade import Legacy, backward, bare_port, forward
from tests.reference.test_scaling_rounding import ways_to_fold

pytestmark = pytest.mark.usefixtures("keras")


def legacy(seed, ranges=None, wide=None, inputs=7):
    """A network of two layers; ``ranges`` of its inputs, ``wide`` how wide those of its outputs are."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-5, 5, inputs)
    norm_in = np.stack(ranges(rng, inputs) if ranges else (low, low + rng.uniform(0.5, 6, inputs)), axis=1)
    far = rng.uniform(-3, 9, 4)
    norm_out = np.stack([far, far + (rng.uniform(0.5, 4, 4) if wide is None else wide)], axis=1)
    kernels = tuple(rng.normal(0, 1.2 / np.sqrt(n), (n, m)) for n, m in ((inputs, 9), (9, 4)))
    return Legacy(kernels, tuple(rng.normal(0, 0.3, m) for m in (9, 4)), ("tanh", "linear"), norm_in, norm_out)


def written(legacy, path):
    with h5py.File(path, "w") as file:
        for i, (kernel, bias) in enumerate(zip(legacy.kernels, legacy.biases, strict=True), start=1):
            file[f"Weights/Layer{i}"], file[f"Bias/Layer{i}"] = np.ascontiguousarray(kernel.T), bias[:, np.newaxis]
        file["Layers"] = np.array([legacy.inputs, *(kernel.shape[1] for kernel in legacy.kernels)], "i4")
        file["Norm_in"], file["Norm_out"] = legacy.norm_in, legacy.norm_out
    return path


@pytest.fixture
def judge(tmp_path):
    def verify(legacy, port, **options):
        path = written(legacy, tmp_path / "network.h5")
        return porter.verify(path, port, activation=list(legacy.activations), search=False, rows=200, **options)

    return verify


def folded(legacy, ends="both"):
    """The scaling multiplied into the layers in float64."""
    kernels, biases = list(legacy.kernels), list(legacy.biases)
    if ends != "out":
        scale, offset = forward(legacy.norm_in)
        kernels[0], biases[0] = scale[:, None] * kernels[0], biases[0] + offset @ kernels[0]
    if ends != "in":
        scale, offset = backward(legacy.norm_out)
        kernels[-1], biases[-1] = kernels[-1] * scale, biases[-1] * scale + offset
    return replace(legacy, kernels=tuple(kernels), biases=tuple(biases))


def symmetric(rng, inputs):
    half = rng.uniform(1.5, 8, inputs)
    return -half, half


def two_wide(rng, inputs):
    middle = rng.uniform(-300, 300, inputs)
    return middle - 1, middle + 1


def unit(rng, inputs):
    return -np.ones(inputs), np.ones(inputs)


@pytest.mark.parametrize("ranges", [symmetric, two_wide, unit])
def test_a_fold_made_in_float32_is_right_however_it_is_written(judge, ranges):
    network = legacy(1, ranges, inputs=120)
    dense = Dense("a", ("b",), network.kernels[0].T, network.biases[0], Activation("tanh"))
    before = Scaling("b", ("x",), *network.norm_in.T, "[-1,1]")
    port = folded(network, "out")
    for name, (kernel, bias) in ways_to_fold(dense, before, np.float32).items():
        report = judge(network, bare_port(port.with_arrays(1, kernel, bias)))
        assert report.verdict == "parity", (name, str(report))


@pytest.mark.parametrize("ranges", [symmetric, two_wide])
def test_a_ten_thousandth_of_the_folded_bias_is_found(judge, ranges):
    """Negative control."""
    network = legacy(2, ranges, inputs=30)
    port = folded(network)
    assert judge(network, bare_port(port)).verdict == "parity"
    wrong = port.with_arrays(1, bias=port.biases[0] * (1 + 1e-4))
    report = judge(network, bare_port(wrong))
    assert report.verdict == "mismatch" and {finding.layer for finding in report.findings} <= {"Layer1", "Norm_in"}


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("ends", ["in", "out", "both"])
def test_a_fold_that_changes_the_bias_alone(judge, ends, hidden):
    network = legacy(3, two_wide if ends != "out" else unit, 2.0 if ends != "in" else None)
    network = replace(network, norm_out=np.tile([-1.0, 1.0], (4, 1))) if ends == "in" else network
    report = judge(network, concealed(folded(network)) if hidden else bare_port(folded(network)))
    assert report.verdict == "parity", str(report)
    left = judge(network, concealed(network) if hidden else bare_port(network))
    assert left.verdict != "parity"


def concealed(legacy):
    """A port that shows no weights."""
    import keras

    inputs = keras.Input((legacy.inputs,))
    x = inputs
    for kernel, bias, activation in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True):
        single = kernel.astype(np.float32), bias.astype(np.float32)
        x = keras.layers.Lambda(lambda t, k=single[0], b=single[1]: keras.ops.add(keras.ops.matmul(t, k), b))(x)
        x = keras.layers.Activation(activation)(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_scaling_that_is_the_identity_may_be_left_out_at_either_end(judge, hidden):
    network = legacy(4, unit)
    network = replace(network, norm_out=np.tile([-1.0, 1.0], (4, 1)))
    report = judge(network, concealed(network) if hidden else bare_port(network))
    assert report.verdict == "parity", str(report)
    assert sum("changes nothing" in note for note in report.notes) == 2


def test_a_scaling_that_is_nearly_the_identity_may_not(judge):
    """Negative control: one range of seven a thousandth wider."""
    network = legacy(4, unit)
    network.norm_in[3, 1] = 1.001
    assert judge(network, bare_port(folded(network, "out"))).verdict != "parity"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_subnormal_weights_may_be_zeros_where_a_platform_flushes_them(judge, dtype):
    """float16 is not flushed: there a number that the format holds must not be missing."""
    network = legacy(5)
    network.kernels[1][2] *= 1e-39 if dtype == "float32" else 2e-6
    tiny = float(np.finfo(dtype).tiny)
    gone = np.where(np.abs(network.kernels[1]) < tiny, 0, network.kernels[1])
    assert (gone != network.kernels[1]).any()
    report = judge(network, scaled_port(network, dtype, gone))
    assert (report.verdict == "parity") == (dtype == "float32"), str(report)


def scaled_port(legacy, dtype, last):
    import keras

    inputs = keras.Input((legacy.inputs,))
    x = keras.layers.Rescaling(*forward(legacy.norm_in))(inputs)
    for kernel, activation in zip(legacy.kernels, legacy.activations, strict=True):
        x = keras.layers.Dense(kernel.shape[1], activation=activation, dtype=dtype)(x)
    model = keras.Model(inputs, keras.layers.Rescaling(*backward(legacy.norm_out))(x))
    first, second = (layer for layer in model.layers if layer.weights)
    first.set_weights([legacy.kernels[0], legacy.biases[0]])
    second.set_weights([last, legacy.biases[1]])
    return model


@pytest.mark.parametrize("form", ["float16", "mixed_float16"])
def test_a_fold_made_in_the_ports_own_16_bits(judge, form):
    network = legacy(6, symmetric)
    dense = Dense("a", ("b",), network.kernels[0].T, network.biases[0], Activation("tanh"))
    before = Scaling("b", ("x",), *network.norm_in.T, "[-1,1]")
    port = folded(network, "out")
    for name, (kernel, bias) in ways_to_fold(dense, before, np.float16).items():
        report = judge(network, bare_port(port.with_arrays(1, kernel, bias), form))
        assert report.verdict == "parity", (name, str(report))
    wrong = judge(network, bare_port(folded(network).with_arrays(1, bias=network.biases[0] + 0.1), form))
    assert wrong.verdict == "mismatch"
