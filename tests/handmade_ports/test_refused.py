"""Ports made by hand that cannot be run on everything, or not be judged at all."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.errors import PortError
from tests.handmade import (
    assert_parity,
    backward,
    bare_port,
    between,
    dense_chain,
    forward,
    named,
    plain_port,
    rescaling,
    scaled,
    set_weights,
    weighted_layers,
)
from tests.versions import needs_keras

pytestmark = pytest.mark.usefixtures("keras")


# --- ports that cannot be run on everything --------------------------------------------------------------------------


@pytest.mark.parametrize("is_right", [True, False])
def test_a_port_made_for_one_size_of_batch_is_run_in_such(square, judge, is_right):
    import keras

    inputs = keras.Input(batch_shape=(32, 7))
    legacy = square if is_right else square.with_arrays(2, square.kernels[1].T)
    report = judge(keras.Model(inputs, keras.ops.reshape(plain_port(legacy)(inputs), (32, 7))))
    assert report.verdict == ("parity" if is_right else "mismatch"), str(report)
    assert any("cannot be called with 3 rows" in note for note in report.notes)


@pytest.mark.parametrize("is_right", [True, False])
def test_a_hidden_layer_that_refuses_what_no_layer_hands_it_is_judged_on_the_rest(square, judge, is_right):
    import keras

    class Checked(keras.layers.Layer):
        def call(self, x):
            if hasattr(x, "numpy") and float(np.abs(x.numpy()).max()) > 1:
                raise ValueError("more than a tanh gives")
            return x

    legacy = square if is_right else square.with_arrays(3, square.kernels[2].T)
    report = judge(between(legacy, 2, lambda x, y: Checked()(y)))
    assert report.verdict == ("parity" if is_right else "mismatch"), str(report)


def test_an_adapter_left_on_a_layer_is_a_mistake_with_a_remedy(square, judge):
    port = plain_port(square)
    layer = port.layers[3]
    layer.enable_lora(2)
    assert judge(port).verdict == "parity"
    layer.lora_kernel_b.assign(np.full((2, 7), 1e-2))
    report = judge(port)
    assert report.verdict == "mismatch"
    assert {row for _, row in named(report)} == {"Layer2"}
    assert report.after_remedy == "parity"


# --- what cannot be judged -------------------------------------------------------------------------------------------


def test_of_several_outputs_the_one_that_the_network_has_is_judged(square, judge):
    import keras

    right = plain_port(square)
    hidden = right.layers[2].output
    report = judge(keras.Model(right.input, [hidden, right.output]))
    assert_parity(report)
    assert any("the port has 2 outputs; number 2 was judged" in note for note in report.notes)
    wrong = plain_port(square.with_arrays(2, square.kernels[1].T))
    report = judge(keras.Model(wrong.input, [wrong.output, wrong.layers[2].output]))
    assert report.verdict == "mismatch"
    assert ("kernel.transposed", "Layer2") in named(report)


def test_no_output_of_the_networks_width_is_refused(square, judge):
    import keras

    port = plain_port(square)
    outputs = [keras.layers.Dense(3)(port.output), keras.layers.Dense(4)(port.output)]
    with pytest.raises(PortError, match="2, none of 7 columns"):
        judge(keras.Model(port.input, outputs))


@pytest.mark.parametrize("is_right", [True, False])
def test_columns_that_come_through_several_inputs_are_taken_in_their_order(square, judge, is_right):
    import keras

    inputs = [keras.Input((3,)), keras.Input((4,))]
    port = plain_port(square)
    joined = keras.layers.Concatenate()(inputs if is_right else inputs[::-1])
    report = judge(keras.Model(inputs, port(joined)))
    assert report.verdict == ("parity" if is_right else "mismatch")
    assert any("through 2 inputs (3, 4 columns, in order)" in note for note in report.notes)


def test_inputs_that_do_not_add_up_to_the_networks_columns_are_refused(judge):
    import keras

    inputs = [keras.Input((7,)), keras.Input((7,))]
    with pytest.raises(PortError, match=r"2 of shapes \(7,\), \(7,\)"):
        judge(keras.Model(inputs, keras.layers.Add()(inputs)))


@needs_keras("3.4", "it calls a layer without training where the layer does not take it")
def test_a_port_that_cannot_be_called_as_keras_calls_it_is_refused(square, judge):
    port = plain_port(square)
    patched = list(weighted_layers(port))[1]
    own = patched.call
    patched.call = lambda x, **more: own(x)
    assert_parity(judge(port))
    patched.call = lambda x: own(x)  # noqa: PLW0108 - it is to refuse what Keras adds
    with pytest.raises(PortError, match=r"training=False it raises TypeError: .*unexpected keyword"):
        judge(port)


def test_a_model_that_is_not_built_is_refused(judge):
    import keras

    with pytest.raises(PortError) as caught:
        judge(keras.Sequential([keras.layers.Dense(7)]))
    assert "not built" in str(caught.value)
    assert "give it an Input" in str(caught.value)


def test_a_subclass_that_is_not_built_is_refused(judge):
    import keras

    class Port(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(PortError, match="not built"):
        judge(Port())


def test_a_subclass_whose_call_cannot_be_traced_is_refused(judge):
    import keras

    class Port(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = keras.layers.Dense(7)

        def call(self, x):
            return self.layer(x) if float(np.asarray(x).sum()) >= 0 else x

    model = Port()
    model.layer.build((None, 7))
    model.built = True
    with pytest.raises(PortError) as caught:
        judge(model)
    assert "cannot be traced" in str(caught.value)
    assert "functional model" in str(caught.value)


@pytest.mark.parametrize("shape", [(8,), (6,), (1, 7)])
def test_a_model_of_another_input_shape_is_refused(judge, shape):
    import keras

    inputs = keras.Input(shape)
    with pytest.raises(PortError) as caught:
        judge(keras.Model(inputs, keras.layers.Dense(7)(inputs)))
    assert f"an input of shape {(None, *shape)}" in str(caught.value)
    assert "(rows, 7), as square_7-7-7-7-7 has it" in str(caught.value)


def test_a_model_of_another_output_width_is_a_mismatch_or_refused(judge, square):
    import keras

    inputs = keras.Input((7,))
    x = rescaling(forward(square.norm_in))(inputs)
    report = judge(keras.Model(inputs, keras.layers.Dense(3)(x)))
    assert report.verdict == "mismatch"


@needs_keras("3.5", "an Input of 16 bits rounds nothing that it is given")
@pytest.mark.parametrize(
    "taken, computed, is_judged",
    [
        ("int32", "float32", False),
        ("float16", "float32", False),
        ("bfloat16", "float32", False),
        ("float16", "float16", True),
        ("float64", "float32", True),
    ],
)
def test_a_port_that_cuts_or_rounds_its_inputs_first_is_refused(judge, square, taken, computed, is_judged):
    import keras

    inputs = keras.Input((7,), dtype=taken)
    x = dense_chain(square, rescaling(forward(square.norm_in), computed)(inputs), dtype=computed)
    model = set_weights(keras.Model(inputs, rescaling(backward(square.norm_out), computed)(x)), square)
    if is_judged:
        report = judge(model)
        assert report.verdict == "parity"
        assert any("rounds its inputs" in note for note in report.notes) == (taken == "float16")
    else:
        with pytest.raises(PortError, match=f"an input of dtype {taken}, which (cuts|rounds)"):
            judge(model)


def test_outputs_of_another_rank_are_a_mismatch(judge, square):
    """A model of a list of outputs hands a list on, which the next layer stacks into one axis more."""
    import keras

    inner = bare_port(square)
    report = judge(scaled(square, keras.Model(inner.inputs[0], [inner.outputs[0]])))
    assert report.verdict == "mismatch"
    assert {layer for _, layer in named(report)} == {"Norm_out"}


@pytest.mark.parametrize("port", [None, 3, np.zeros((3, 3))])
def test_what_is_no_model_is_refused(judge, port):
    with pytest.raises(PortError, match=r"expected: a keras\.Model"):
        judge(port)


def test_a_port_without_any_layer_is_no_parity(judge):
    import keras

    inputs = keras.Input((7,))
    report = judge(keras.Model(inputs, keras.layers.Identity()(inputs)))
    assert report.verdict != "parity"


def test_a_port_whose_layers_hand_their_input_on_names_what_is_missing(judge, square):
    import keras

    inputs = keras.Input((7,))
    x = rescaling(forward(square.norm_in))(inputs)
    report = judge(keras.Model(inputs, rescaling(backward(square.norm_out))(x)))
    assert report.verdict == "mismatch"
    assert {("layers.missing", f"Layer{i}") for i in range(1, 5)} <= named(report)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_branch_of_less_precision_allows_the_layer_beside_it_no_more(square, judge, dtype):
    import keras

    def body(factor):
        def build(x):
            for number, name in enumerate(square.activations, start=1):
                layer = keras.layers.Dense(7, activation=name)
                x = layer(x)
                if number == 2:  # and what it adds is nothing
                    rounded = keras.ops.cast(x, dtype) * 0
                    x = keras.ops.add(x, keras.ops.cast(rounded, "float32"))
                    changed.append(layer)
            return x

        changed = []
        model = scaled(square, build)
        kernel, bias = changed[0].get_weights()
        kernel[0, 0] *= np.float32(factor)
        changed[0].set_weights([kernel, bias])
        return model

    assert judge(body(1.0)).verdict == "parity"
    assert named(judge(body(1.002))) == {("kernel.values", "Layer2")}


def test_an_activation_that_ordinary_numbers_hardly_bend_is_no_surplus(tmp_path):
    import keras

    rng = np.random.default_rng(3)
    kernels = [rng.normal(0, 0.03, (6, 6)) for _ in range(4)]
    np.savez(tmp_path / "net.npz", **{f"W{at}": kernel for at, kernel in enumerate(kernels, 1)})
    network = porter.read(tmp_path / "net.npz", activation=["elu", "elu", "elu", "linear"], orientation="inputs-first")
    x = h = keras.Input((6,))
    own = [keras.layers.Dense(6, use_bias=False, dtype="mixed_float16") for _ in kernels]
    for at, layer in enumerate(own):
        h = layer(h)
        h = h if at == 3 else keras.layers.Activation("elu", dtype="mixed_float16")(h)
    model = keras.Model(x, h)
    for layer, kernel in zip(own, kernels, strict=True):
        layer.set_weights([kernel])
    assert_parity(porter.verify(network, model, search=False, rows=200))
