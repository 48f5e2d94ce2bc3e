"""Ports made by hand in other dtypes, and with layers that were called in training mode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.handmade import (
    assert_parity,
    backward,
    dense_chain,
    forward,
    named,
    plain_port,
    rescaling,
    scaled,
    set_weights,
)
from tests.versions import needs_keras

pytestmark = pytest.mark.usefixtures("keras")


# --- dtypes ----------------------------------------------------------------------------------------------------------


def port_in(legacy, policy, wide="float32"):
    """A port of one policy throughout, with the ends in ``wide``."""
    import keras

    inputs = keras.Input((legacy.inputs,), dtype=wide)
    x = dense_chain(legacy, rescaling(forward(legacy.norm_in), wide)(inputs), dtype=policy)
    return set_weights(keras.Model(inputs, rescaling(backward(legacy.norm_out), wide)(x)), legacy)


@pytest.mark.parametrize(
    ("policy", "wide", "computes"),
    [
        ("float64", "float64", "float64"),
        ("mixed_float16", "float32", "float16"),
        ("mixed_bfloat16", "float32", "bfloat16"),
        ("float16", "float32", "float16"),
        ("bfloat16", "float32", "bfloat16"),
    ],
)
def test_a_declared_dtype_sets_the_bound_and_gives_a_note(square, judge, policy, wide, computes):
    report = judge(port_in(square, policy, wide))
    assert_parity(report)
    assert {row.dtype for row in report.layers if row.layer.startswith("Layer")} == {computes}
    assert any(computes in note for note in report.notes)
    wrong = judge(port_in(square.with_activation(2, "sigmoid"), policy, wide))
    assert named(wrong) == {("activation.replaced", "Layer2")}


def test_half_precision_weights_under_a_wider_dtype_are_a_mistake(square, judge):
    report = judge(
        plain_port(square.with_arrays(3, *(a[2].astype(np.float16) for a in (square.kernels, square.biases))))
    )
    assert named(report) == {("kernel.precision", "Layer3")}


def test_a_whole_port_in_half_precision_under_a_wider_dtype_is_said_once_and_first(square, judge):
    halves = [tuple(a.astype(np.float16) for a in arrays) for arrays in (square.kernels, square.biases)]
    report = judge(plain_port(replace(square, kernels=halves[0], biases=halves[1])))
    assert report.findings[0].code == "precision.port"
    assert {code for code, _ in named(report)} == {"precision.port", "kernel.precision"}


@pytest.mark.filterwarnings("ignore:Layer (InputLayer|Rescaling) does not have a `quantize` method")
@needs_keras("3.5", "it quantizes no model with an InputLayer")
def test_a_quantized_port_is_a_mismatch_of_its_kernels_alone(square, judge):
    """Integer kernels times a scale: the activations are what they were."""
    model = plain_port(square)
    model.quantize("int8")
    report = judge(model)
    assert report.verdict == "mismatch"
    assert {layer for _, layer in named(report)} == {f"Layer{i}" for i in range(1, 5)}
    assert not any(code.startswith(("activation", "bias")) for code, _ in named(report))


# --- mode ------------------------------------------------------------------------------------------------------------


def test_dropout_baked_in_at_training_is_named(square, judge):
    import keras

    def body(x):
        for number, (kernel, name) in enumerate(zip(square.kernels, square.activations, strict=True), start=1):
            x = keras.layers.Dense(kernel.shape[1], activation=name)(x)
            x = keras.layers.Dropout(0.3, name="drop")(x, training=True) if number == 3 else x
        return x

    report = judge(scaled(square, body))
    assert named(report) == {("mode.training", "Layer3")}
    assert "drop" in report.findings[0].port_layer
    assert "drop without training=True" in report.findings[0].remedy


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_nested_model_called_in_training_mode_is_named(square, judge, kind):
    import keras

    layers, inner = keras.layers, keras.Input((7,))
    stack = [layers.Dense(7, activation=square.activations[0]), layers.Dropout(0.3, name="drop")]
    stack += [layers.Dense(7, activation=name) for name in square.activations[1:]]
    core = keras.Sequential([inner, *stack])
    core = core if kind == "sequential" else keras.Model(core.inputs[0], core.outputs[0])
    report = judge(scaled(square, lambda x: core(x, training=True)))
    assert named(report) == {("mode.training", "Layer1")}
    assert judge(scaled(square, core)).verdict == "parity"


def test_what_a_subclass_adds_in_its_own_call_is_seen(square, judge):
    import keras

    class Twice(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs)

    plain = plain_port(square)
    report = judge(Twice(plain.inputs, plain.outputs))
    assert report.verdict == "mismatch"
    assert "as a whole" in report.findings[0].message
