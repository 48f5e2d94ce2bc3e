"""Ports made by hand with several mistakes, with none that counts, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

import porter
from tests.handmade import (
    assert_parity,
    backward,
    bare_port,
    between,
    forward,
    named,
    plain_port,
    read_legacy,
    rescaling,
    rows,
    weighted_layers,
)
from tests.handmade_ports.styles import bias_added_by_an_operation, einsum_dense, layer_of_ones_own, matmul_operations

pytestmark = pytest.mark.usefixtures("keras")


# --- several mistakes at once ----------------------------------------------------------------------------------------


def test_four_mistakes_of_one_port_are_all_named_where_they_are(fixtures):
    """relu for tanh, kernels not transposed, a bias left out, initializers that did not take the arrays."""
    import keras

    path = fixtures / "ocean_7-100-75-50-25-7.h5"
    legacy = read_legacy(path)
    constant = keras.initializers.Constant
    inputs = keras.Input((7,))
    x = rescaling(forward(legacy.norm_in))(inputs)
    x = first = keras.layers.Dense(100, activation="tanh")(x)
    x = keras.layers.Dense(75, activation="relu")(x)
    x = keras.layers.Dense(50, activation="tanh", use_bias=False)(x)
    x = keras.layers.Dense(
        25, activation="tanh", kernel_initializer=constant(legacy.kernels[3].flat[0]),
        bias_initializer=constant(legacy.biases[3][0]),
    )(x)  # fmt: skip
    x = keras.layers.Dense(7)(x)
    model = keras.Model(inputs, rescaling(backward(legacy.norm_out))(x))
    dense = list(weighted_layers(model))
    stored = legacy.kernels[0].T
    dense[0].set_weights([stored.reshape(7, 100), legacy.biases[0]])
    dense[1].set_weights([legacy.kernels[1], legacy.biases[1]])
    dense[2].set_weights([legacy.kernels[2]])
    dense[4].set_weights([legacy.kernels[4], legacy.biases[4]])
    assert first.shape == (None, 100)

    report = porter.verify(path, model, search=False)
    assert report.verdict == "mismatch"
    assert {
        ("kernel.reshaped", "Layer1"),
        ("activation.replaced", "Layer2"),
        ("bias.missing", "Layer3"),
        ("kernel.unset", "Layer4"),
    } <= named(report)
    assert {layer for _, layer in named(report)} == {"Layer1", "Layer2", "Layer3", "Layer4"}
    assert rows(report)["Layer5"] == rows(report)["Norm_in"] == rows(report)["Norm_out"] == "parity"
    unset = next(found for found in report.findings if found.code == "kernel.unset")
    assert "first element of the stored array" in unset.message


def test_the_same_four_in_square_layers_with_a_plain_missing_transpose(square, judge):
    import keras

    wrong = square.with_activation(2, "relu").with_arrays(1, square.kernels[0].T)
    wrong = wrong.with_arrays(3, bias=np.zeros(7))
    wrong = wrong.with_arrays(4, np.full((7, 7), square.kernels[3][0, 0]), np.full(7, square.biases[3][0]))
    report = judge(plain_port(wrong))
    assert {
        ("kernel.transposed", "Layer1"),
        ("activation.replaced", "Layer2"),
        ("bias.missing", "Layer3"),
        ("kernel.unset", "Layer4"),
    } <= named(report)
    assert {layer for _, layer in named(report)} == {"Layer1", "Layer2", "Layer3", "Layer4"}
    assert keras.config.floatx() == "float32"


def test_two_mistakes_in_one_layer_are_both_named(square, judge):
    wrong = square.with_arrays(2, square.kernels[1].T).with_activation(2, "sigmoid")
    assert named(judge(plain_port(wrong))) == {("kernel.transposed", "Layer2"), ("activation.replaced", "Layer2")}


def test_a_wrong_activation_is_named_where_no_weights_can_be_read(square, judge):
    wrong = matmul_operations(square.with_activation(3, "sigmoid"))
    assert named(judge(wrong)) == {("activation.replaced", "Layer3")}


@pytest.mark.parametrize("style", [einsum_dense, matmul_operations, layer_of_ones_own, bias_added_by_an_operation])
def test_a_missing_bias_is_named_where_no_weights_can_be_read(square, judge, style):
    report = judge(style(square.with_arrays(3, bias=np.zeros(7))))
    assert named(report) == {("bias.missing", "Layer3")}


# --- not mistakes ----------------------------------------------------------------------------------------------------


def test_hidden_units_in_another_order_and_sign_pass_where_the_next_layer_knows(square, judge):
    rng = np.random.default_rng(0)
    order, sign = rng.permutation(7), rng.choice([-1.0, 1.0], 7)
    moved = square.with_arrays(2, square.kernels[1][:, order] * sign, square.biases[1][order] * sign)
    right = moved.with_arrays(3, square.kernels[2][order] * sign[:, None])
    report = judge(plain_port(right))
    assert_parity(report)
    assert any(note.startswith("Layer2: ") and "equivalent" in note for note in report.notes)
    assert judge(plain_port(moved)).verdict == "mismatch"


def test_a_transposed_symmetric_kernel_and_equal_biases_exchanged_pass(tmp_path, square):
    from tests.formats.files import write

    path = write(tmp_path / "net.h5", (3, 3, 3), norms=False)

    with h5py.File(path, "a") as file:
        symmetric = file["Weights/Layer1"][()] + file["Weights/Layer1"][()].T
        file["Weights/Layer1"][...] = symmetric
        file["Bias/Layer2"][...] = file["Bias/Layer1"][()]
    legacy = read_legacy(path)
    swapped = replace(legacy, biases=legacy.biases[::-1]).with_arrays(1, legacy.kernels[0].T)
    assert_parity(porter.verify(path, bare_port(swapped), search=False, rows=100))


# --- what is said is true --------------------------------------------------------------------------------------------


def test_a_connection_past_a_layer_whose_arrays_are_right_is_no_mistake_of_the_arrays(square, judge):
    import keras

    report = judge(between(square, 2, lambda x, y: keras.layers.Add()([x, y])))
    assert named(report) == {("graph.edge", "Layer2")}
    wrong = square.with_arrays(2, square.kernels[1].T)
    report = judge(between(wrong, 2, lambda x, y: keras.layers.Add()([x, y])))
    assert {code for code, _ in named(report)} != {"graph.edge"}


def test_some_units_with_another_activation_are_counted(square, judge):
    import keras

    def first_alone(z):
        return keras.ops.concatenate([z[:, :2], keras.ops.tanh(z[:, 2:])], axis=1)

    report = judge(between(square, 2, lambda x, y: y, layer2=first_alone))
    assert "2 of 7 units have another activation than tanh: the first, unit 0, follows linear" in str(
        report.findings[0].message
    )


def test_a_pair_of_casts_is_named_and_not_the_activation(square, judge):
    import keras

    report = judge(between(square, 2, lambda x, y: keras.ops.cast(keras.ops.cast(y, "bfloat16"), "float32")))
    assert named(report) == {("precision.port", "Layer2")}
    assert "rounds what passes through it" in report.findings[0].message
