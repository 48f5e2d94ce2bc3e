"""Ports made by hand with layers that are missing, come twice, or have nothing to do there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.handmade import (
    assert_parity,
    backward,
    forward,
    named,
    plain_port,
    rescaling,
    rows,
    scaled,
    weighted_layers,
    with_scaling,
)

pytestmark = pytest.mark.usefixtures("keras")


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_layer_left_out(square, judge, number):
    keep = [i for i in range(4) if i != number - 1]
    legacy = replace(
        square, kernels=tuple(square.kernels[i] for i in keep), biases=tuple(square.biases[i] for i in keep),
        activations=tuple(square.activations[i] for i in keep),
    )  # fmt: skip
    report = judge(plain_port(legacy))
    assert report.verdict == "mismatch"
    assert named(report) == {("layers.missing", f"Layer{number}")}
    assert rows(report)[f"Layer{number}"] == "uncompared"
    assert next(row for row in report.layers if row.layer == f"Layer{number}").port_layer == ()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_layer_that_comes_twice(square, judge, number):
    again = [*range(number), *range(number - 1, 4)]
    legacy = replace(
        square, kernels=tuple(square.kernels[i] for i in again), biases=tuple(square.biases[i] for i in again),
        activations=tuple(square.activations[i] for i in again),
    )  # fmt: skip
    report = judge(plain_port(legacy))
    assert report.verdict == "mismatch"
    assert named(report) == {("layers.repeated", f"Layer{number}")}


def test_one_layer_called_twice(square, judge):
    """The same layer object, its weights shared, where the file has two layers."""
    import keras

    def body(x):
        shared = keras.layers.Dense(7, activation="tanh")
        first, last = keras.layers.Dense(7, activation="tanh"), keras.layers.Dense(7)
        return last(shared(shared(first(x))))

    legacy = replace(
        square, kernels=square.kernels[:2] + square.kernels[3:], biases=square.biases[:2] + square.biases[3:],
        activations=square.activations[1:],
    )  # fmt: skip
    report = judge(scaled(legacy, body))
    assert report.verdict == "mismatch"
    assert named(report) == {("layers.repeated", "Layer3")}


def test_a_layer_that_the_file_does_not_have(square, judge):
    import keras

    inserted = keras.layers.Dense(7, activation="tanh", name="inserted")

    def body(x):
        for number, (kernel, name) in enumerate(zip(square.kernels, square.activations, strict=True), start=1):
            x = keras.layers.Dense(kernel.shape[1], activation=name, name=f"body{number}")(x)
            x = inserted(x) if number == 2 else x
        return x

    inputs = keras.Input((7,))
    outputs = rescaling(backward(square.norm_out))(body(rescaling(forward(square.norm_in))(inputs)))
    model = keras.Model(inputs, outputs)
    own = [layer for layer in weighted_layers(model) if layer is not inserted]
    for layer, kernel, bias in zip(own, square.kernels, square.biases, strict=True):
        layer.set_weights([kernel, bias])
    report = judge(model)
    assert report.verdict == "mismatch"
    assert [(found.code, found.layer) for found in report.findings] == [("unexplained", "Layer2")]
    assert "inserted" in report.findings[0].message
    assert [rows(report)[f"Layer{i}"] for i in range(1, 5)] == ["parity", "mismatch", "parity", "parity"]


@pytest.mark.parametrize("start", [0, 1])
def test_a_connection_past_the_layers_is_a_wrong_edge(square, judge, start):
    """Around all layers, and around two of them."""
    import keras

    def body(x):
        tensors = [x]
        for number, (kernel, name) in enumerate(zip(square.kernels, square.activations, strict=True)):
            x = keras.layers.Dense(kernel.shape[1], activation=name)(tensors[-1])
            x = keras.layers.Add()([x, tensors[start]]) if number == (3 if start == 0 else 2) else x
            tensors.append(x)
        return tensors[-1]

    report = judge(scaled(square, body))
    assert report.verdict == "mismatch"
    assert "graph.edge" in {code for code, _ in named(report)}
    assert not {code for code, _ in named(report)} & {"layers.missing", "scaling.missing"}


def test_a_layer_made_of_two_halves_is_no_mistake(square, judge):
    """What cannot be paired is not compared; where the whole agrees, nothing can be missing."""
    import keras

    kernel, bias = square.kernels[3], square.biases[3]

    def body(x):
        for name in square.activations[:3]:
            x = keras.layers.Dense(7, activation=name)(x)
        return keras.layers.Concatenate()([keras.layers.Dense(3)(x), keras.layers.Dense(4)(x)])

    halves = replace(
        square,
        kernels=(*square.kernels[:3], kernel[:, :3], kernel[:, 3:]),
        biases=(*square.biases[:3], bias[:3], bias[3:]),
    )
    report = judge(scaled(halves, body))
    assert report.verdict in ("parity", "inconclusive")
    assert report.findings == ()


def called_linear(square):
    import keras

    def linear(x):
        return 2 * x

    return keras.layers.Activation(linear)


def called_identity(square):
    import keras

    class Identity(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    return Identity()


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("make", [called_linear, called_identity])
def test_what_only_bears_the_name_of_something_that_does_nothing_is_seen(square, judge, make, place):
    def body(x):
        import keras

        for number, name in enumerate(square.activations, start=1):
            x = keras.layers.Dense(7, activation=name)(x)
            x = make(square)(x) if number == place else x
        return x

    report = judge(scaled(square, body))
    assert report.verdict == "mismatch"
    assert {layer for _, layer in named(report)} == {f"Layer{place}"}
    assert "approximated" not in report.findings[0].message


def test_something_behind_the_outputs_is_seen(square, judge):
    import keras

    after = rescaling(backward(square.norm_out))
    model = with_scaling(square, rescaling(forward(square.norm_in)), lambda y: keras.ops.power(10.0, after(y)))
    report = judge(model)
    assert report.verdict == "mismatch"
    assert {layer for _, layer in named(report)} == {"Norm_out"}


def nearly_nothing(change):
    import keras

    class Nearly(keras.layers.Layer):
        def call(self, x):
            return change(keras.ops, x)

    return Nearly()


SLIGHTLY = {
    "a factor": lambda ops, x: x * (1 + 8e-7),
    "a cut after six decimals": lambda ops, x: ops.floor(x * 1e6) / 1e6,
    "an addend": lambda ops, x: x + 7e-7,
}
IN_EFFECT_NOTHING = {
    "nothing": lambda ops, x: x * 1.0,
    "the activation again": lambda ops, x: ops.maximum(x, -1.0),
}


def behind_layer(square, change):
    def body(x):
        import keras

        for number, name in enumerate(square.activations, start=1):
            x = keras.layers.Dense(7, activation=name)(x)
            x = nearly_nothing(change)(x) if number == 2 else x
        return x

    return scaled(square, body)


@pytest.mark.parametrize("change", SLIGHTLY.values(), ids=SLIGHTLY)
def test_a_layer_that_changes_little_more_than_rounding_does_is_seen(square, judge, change):
    report = judge(behind_layer(square, change))
    assert report.verdict == "mismatch", str(report)
    assert {layer for _, layer in named(report)} == {"Layer2"}
    assert report.after_remedy == "parity"


@pytest.mark.parametrize("change", IN_EFFECT_NOTHING.values(), ids=IN_EFFECT_NOTHING)
def test_a_layer_that_changes_nothing_that_a_tanh_gives_is_none(square, judge, change):
    assert_parity(judge(behind_layer(square, change)))
