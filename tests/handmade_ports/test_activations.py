"""Ports made by hand whose activations stand by themselves, are written otherwise, or are others."""

from __future__ import annotations

import pytest

import porter
from tests.handmade import (
    assert_parity,
    named,
    same,
    scaled,
    split_chain,
)

pytestmark = pytest.mark.usefixtures("keras")


def as_layers(name):
    import keras

    layers = keras.layers
    own = {"relu": layers.ReLU, "softsign": lambda: layers.Activation(keras.ops.softsign), "linear": layers.Identity}
    return own[name]() if name in own else layers.Activation(name)


def as_operations(name):
    import keras

    return getattr(keras.ops, name) if name != "linear" else lambda x: x


@pytest.mark.parametrize("activate", [as_layers, as_operations], ids=lambda function: function.__name__)
def test_activations_that_stand_by_themselves(mixed, judge_mixed, activate):
    assert_parity(judge_mixed(scaled(mixed, lambda x: split_chain(mixed, x, activate))))


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_wrong_activation_that_stands_by_itself(mixed, judge_mixed, number):
    wrong = mixed.with_activation(number, "relu" if number != 2 else "tanh")
    report = judge_mixed(scaled(wrong, lambda x: split_chain(wrong, x, as_layers)))
    assert named(report) == {("activation.replaced", f"Layer{number}")}
    assert report.findings[0].certain


@pytest.mark.parametrize(
    ("spelling", "make"),
    [
        ("leaky_relu(negative_slope=0.1)", lambda layers: layers.LeakyReLU(negative_slope=0.1)),
        ("elu(alpha=0.5)", lambda layers: layers.ELU(alpha=0.5)),
        ("softmax", lambda layers: layers.Softmax()),
        ("relu6", lambda layers: layers.ReLU(max_value=6.0)),
        ("gelu_tanh", lambda layers: layers.Activation(gelu_tanh)),
        ("scaled_tanh", lambda layers: layers.Lambda(scaled_tanh)),
        ("hard_sigmoid_keras2", lambda layers: layers.Lambda(hard_sigmoid_of_keras_2)),
    ],
)
def test_activations_with_parameters(fixtures, square, spelling, make):
    import keras

    port = scaled(square, lambda x: split_chain(square, x, lambda name: make(keras.layers) if name == "tanh" else same))
    path = fixtures / "square_7-7-7-7-7.h5"
    right = porter.verify(path, port, activation=spelling, search=False, rows=100)
    assert_parity(right)
    wrong = porter.verify(path, port, search=False, rows=100)
    assert {layer for _, layer in named(wrong)} == {"Layer1", "Layer2", "Layer3"}
    assert {code for code, _ in named(wrong)} == {"activation.replaced"}


def gelu_tanh(x):
    import keras

    return keras.ops.gelu(x, approximate=True)


def scaled_tanh(x):
    import keras

    return 1.7159 * keras.ops.tanh(x * (2 / 3))


def hard_sigmoid_of_keras_2(x):
    import keras

    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def test_a_softmax_over_the_wrong_axis(fixtures, square):
    import keras

    def port(axis):
        last = iter((same, same, same, keras.layers.Softmax(axis=axis)))
        return scaled(square, lambda x: split_chain(square, x, lambda name: both(name, next(last))))

    def both(name, after):
        activation = keras.layers.Activation(name)
        return lambda x: after(activation(x))

    options = {"output_activation": "softmax", "search": False, "rows": 100}
    path = fixtures / "square_7-7-7-7-7.h5"
    assert_parity(porter.verify(path, port(-1), **options))
    report = porter.verify(path, port(0), **options)
    assert report.verdict == "mismatch"
    assert [(found.layer, found.code.startswith("activation.")) for found in report.findings] == [("Layer4", True)]


def test_tanh_written_by_sigmoid_passes_with_a_note(square, judge):
    import keras

    def by_sigmoid(name):
        return same if name == "linear" else lambda x: 2 * keras.ops.sigmoid(2 * x) - 1

    report = judge(scaled(square, lambda x: split_chain(square, x, by_sigmoid)))
    assert_parity(report)
    assert sum("2 sigmoid(2 x) - 1" in note for note in report.notes) == 3


def test_an_activation_applied_twice_is_seen(square, judge):
    import keras

    def twice(x):
        for number, (kernel, name) in enumerate(zip(square.kernels, square.activations, strict=True), start=1):
            x = keras.layers.Dense(kernel.shape[1], activation=name)(x)
            x = keras.layers.Activation("tanh")(x) if number == 2 else x
        return x

    report = judge(scaled(square, twice))
    assert report.verdict == "mismatch"
    assert {layer for _, layer in named(report)} == {"Layer2"}
