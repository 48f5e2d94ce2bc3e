"""Ports that people make by hand, in every style: what is right passes, what is wrong is named where it is."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

import porter
from porter.errors import PortError
from tests.handmade import (
    Legacy,
    backward,
    bare_port,
    dense_chain,
    forward,
    named,
    plain_port,
    read_legacy,
    rescaling,
    rows,
    scaled,
    set_weights,
    split_chain,
    weighted_layers,
)
from tests.versions import needs_keras

pytestmark = pytest.mark.usefixtures("keras")

MIXED = "mixed_7-20-16-12-10-7"
MIXED_ACTIVATIONS = ["tanh", "relu", "sigmoid", "softsign", "linear"]


@pytest.fixture(scope="module")
def square(fixtures):
    """Four layers of 7 x 7: no shape helps to pair them."""
    return read_legacy(fixtures / "square_7-7-7-7-7.h5")


@pytest.fixture(scope="module")
def mixed(fixtures):
    """Another activation in every layer."""
    return read_legacy(fixtures / f"{MIXED}.h5", MIXED_ACTIVATIONS)


@pytest.fixture
def judge(fixtures):
    """Verify a port of the square network."""

    def verify(model, **options):
        return porter.verify(fixtures / "square_7-7-7-7-7.h5", model, search=False, rows=200, **options)

    return verify


@pytest.fixture
def judge_mixed(fixtures):
    """Verify a port of the network of mixed activations."""

    def verify(model, **options):
        path = fixtures / f"{MIXED}.h5"
        return porter.verify(path, model, activation=MIXED_ACTIVATIONS, search=False, rows=200, **options)

    return verify


def assert_parity(report):
    assert report.verdict == "parity", str(report)
    assert report.findings == ()
    assert report.links["build"] == "parity"


def test_the_helper_that_judges_can_fail(square, judge):
    wrong = judge(plain_port(square.with_arrays(2, square.kernels[1].T)))
    undecided = judge(bare_port(square))
    for report in (wrong, undecided):
        with pytest.raises(AssertionError):
            assert_parity(report)


# --- styles that are right ------------------------------------------------------------------------------------------


def dropout(legacy):
    import keras

    return scaled(legacy, lambda x: split_chain(legacy, x, keras.layers.Activation, lambda: keras.layers.Dropout(0.3)))


def noise(legacy):
    import keras

    layers = keras.layers
    made = iter((layers.GaussianNoise(0.3), layers.GaussianDropout(0.3), layers.AlphaDropout(0.2), layers.Identity()))
    return scaled(legacy, lambda x: split_chain(legacy, x, layers.Activation, lambda: next(made)))


def sequential(legacy):
    import keras

    dense = [
        keras.layers.Dense(kernel.shape[1], activation=name)
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True)
    ]
    ends = rescaling(forward(legacy.norm_in)), rescaling(backward(legacy.norm_out))
    return set_weights(keras.Sequential([keras.Input((legacy.inputs,)), ends[0], *dense, ends[1]]), legacy)


def sequential_built_by_a_call(legacy):
    import keras

    dense = [
        keras.layers.Dense(kernel.shape[1], activation=name)
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True)
    ]
    model = keras.Sequential([rescaling(forward(legacy.norm_in)), *dense, rescaling(backward(legacy.norm_out))])
    model(np.zeros((1, legacy.inputs), np.float32))
    return set_weights(model, legacy)


def sequential_inside_functional(legacy):
    import keras

    inner = keras.Input((legacy.inputs,))
    core = keras.Sequential([inner, *keras.Model(inner, dense_chain(legacy, inner)).layers[1:]], name="core")
    return scaled(legacy, core)


def functional_inside_sequential(legacy):
    import keras

    inner = keras.Input((legacy.inputs,))
    core = keras.Model(inner, dense_chain(legacy, inner), name="core")
    ends = rescaling(forward(legacy.norm_in)), rescaling(backward(legacy.norm_out))
    return set_weights(keras.Sequential([keras.Input((legacy.inputs,)), ends[0], core, ends[1]]), legacy)


def wrapped_twice(legacy):
    import keras

    model = plain_port(legacy)
    for name in ("once", "twice"):
        inputs = keras.Input((legacy.inputs,))
        model = keras.Model(inputs, model(inputs), name=name)
    return model


def model_called_elsewhere_too(legacy):
    """The nested core has a second call, which is no part of the port."""
    import keras

    inner = keras.Input((legacy.inputs,))
    core = keras.Model(inner, dense_chain(legacy, inner), name="core")
    core(keras.Input((legacy.inputs,)))
    return scaled(legacy, core)


def branch_that_leads_nowhere(legacy):
    import keras

    def body(x):
        keras.layers.Dense(3)(x)
        return dense_chain(legacy, x)

    return scaled(legacy, body)


def subclass(legacy):
    import keras

    class Port(keras.Model):
        def __init__(self):
            super().__init__()
            self.before, self.after = rescaling(forward(legacy.norm_in)), rescaling(backward(legacy.norm_out))
            self.body = [
                keras.layers.Dense(kernel.shape[1], activation=name)
                for kernel, name in zip(legacy.kernels, legacy.activations, strict=True)
            ]

        def call(self, x):
            x = self.before(x)
            for layer in self.body:
                x = layer(x)
            return self.after(x)

    model = Port()
    model(np.zeros((1, legacy.inputs), np.float32))
    return set_weights(model, legacy)


def misleading_names(legacy):
    import keras

    def body(x):
        for number, (kernel, name) in enumerate(zip(legacy.kernels, legacy.activations, strict=True)):
            layer = keras.layers.Dense(kernel.shape[1], activation=name, name=f"Layer{len(legacy.kernels) - number}")
            x = layer(x)
        return x

    return scaled(legacy, body)


def bias_added_by_an_operation(legacy):
    import keras

    inputs = keras.Input((legacy.inputs,))
    x = rescaling(forward(legacy.norm_in))(inputs)
    for kernel, bias, name in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True):
        x = keras.layers.Dense(kernel.shape[1], use_bias=False)(x) + bias.astype(np.float32)
        x = keras.layers.Activation(name)(x)
    return set_weights(keras.Model(inputs, rescaling(backward(legacy.norm_out))(x)), legacy)


def matmul_operations(legacy):
    import keras

    inputs = keras.Input((legacy.inputs,))
    x = rescaling(forward(legacy.norm_in))(inputs)
    for kernel, bias, name in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True):
        x = keras.ops.add(keras.ops.matmul(x, kernel.astype(np.float32)), bias.astype(np.float32))
        x = keras.activations.get(name)(x)
    return keras.Model(inputs, rescaling(backward(legacy.norm_out))(x))


def lambda_layers(legacy):
    import keras

    def step(kernel, bias, name):
        kernel, bias, activate = kernel.astype(np.float32), bias.astype(np.float32), keras.activations.get(name)
        return keras.layers.Lambda(lambda x: activate(keras.ops.matmul(x, kernel) + bias))

    inputs = keras.Input((legacy.inputs,))
    x = rescaling(forward(legacy.norm_in))(inputs)
    for arrays in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True):
        x = step(*arrays)(x)
    return keras.Model(inputs, rescaling(backward(legacy.norm_out))(x))


def einsum_dense(legacy):
    import keras

    def body(x):
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True):
            shape = (kernel.shape[1],)
            x = keras.layers.EinsumDense("ab,bc->ac", output_shape=shape, bias_axes="c", activation=name)(x)
        return x

    return scaled(legacy, body)


def convolutions_of_width_one(legacy):
    import keras

    def body(x):
        x = keras.layers.Reshape((1, legacy.inputs))(x)
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True):
            x = keras.layers.Conv1D(kernel.shape[1], 1, activation=name)(x)
        return keras.layers.Flatten()(x)

    return scaled(legacy, body)


def layer_of_ones_own(legacy):
    import keras

    class Affine(keras.layers.Layer):
        def __init__(self, units, activation):
            super().__init__()
            self.units, self.activate = units, keras.activations.get(activation)

        def build(self, shape):
            self.matrix = self.add_weight(shape=(shape[-1], self.units), name="matrix")
            self.shift = self.add_weight(shape=(self.units,), name="shift")

        def call(self, x):
            return self.activate(keras.ops.matmul(x, self.matrix) + self.shift)

    def body(x):
        for kernel, name in zip(legacy.kernels, legacy.activations, strict=True):
            x = Affine(kernel.shape[1], name)(x)
        return x

    return scaled(legacy, body)


def python_functions_as_activations(legacy):
    import keras

    def mine(name):
        function = keras.activations.get(name)

        def activate(z):
            return 1.0 * function(z)

        return activate

    own = replace(legacy, activations=tuple(map(mine, legacy.activations)))
    return scaled(legacy, lambda x: dense_chain(own, x))


def inputs_taken_apart_and_joined(legacy):
    import keras

    return scaled(legacy, lambda x: dense_chain(legacy, keras.layers.Concatenate()([x[:, :3], x[:, 3:]])))


def frozen_and_compiled(legacy):
    model = plain_port(legacy)
    model.compile("adam", "mse", jit_compile=True)
    model.trainable = False
    return model


def fixed_batch(legacy):
    import keras

    inputs = keras.Input(batch_shape=(16, legacy.inputs))
    x = dense_chain(legacy, rescaling(forward(legacy.norm_in))(inputs))
    return set_weights(keras.Model(inputs, rescaling(backward(legacy.norm_out))(x)), legacy)


def inputs_as_a_dictionary(legacy):
    import keras

    inputs = keras.Input((legacy.inputs,), name="rows")
    x = dense_chain(legacy, rescaling(forward(legacy.norm_in))(inputs))
    return set_weights(keras.Model({"rows": inputs}, rescaling(backward(legacy.norm_out))(x)), legacy)


STYLES = [
    plain_port,
    dropout,
    noise,
    sequential,
    sequential_built_by_a_call,
    sequential_inside_functional,
    functional_inside_sequential,
    wrapped_twice,
    model_called_elsewhere_too,
    branch_that_leads_nowhere,
    subclass,
    misleading_names,
    bias_added_by_an_operation,
    matmul_operations,
    lambda_layers,
    einsum_dense,
    convolutions_of_width_one,
    layer_of_ones_own,
    python_functions_as_activations,
    inputs_taken_apart_and_joined,
    frozen_and_compiled,
    fixed_batch,
    inputs_as_a_dictionary,
]


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_every_style_of_a_right_port_passes(square, judge, style):
    report = judge(style(square))
    assert_parity(report)
    assert set(rows(report).values()) == {"parity"}
    assert all(row.port_layer and row.elements > 0 for row in report.layers)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_every_style_of_a_wrong_port_is_caught(square, judge, style):
    """The negative control of the test above: the same styles with two weights of Layer2 exchanged."""
    kernel = square.kernels[1].copy()
    kernel[0, 1], kernel[1, 0] = kernel[1, 0], kernel[0, 1]
    report = judge(style(square.with_arrays(2, kernel)))
    assert report.verdict == "mismatch"
    assert rows(report)["Layer2"] == "mismatch"
    assert {layer for _, layer in named(report)} == {"Layer2"}


# --- activations ----------------------------------------------------------------------------------------------------


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


def same(x):
    return x


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


# --- scaling --------------------------------------------------------------------------------------------------------


def as_normalization(legacy):
    import keras

    def layer(norm, **options):
        low, high = norm.T
        return keras.layers.Normalization(mean=(low + high) / 2, variance=((high - low) / 2) ** 2, **options)

    return layer(legacy.norm_in), layer(legacy.norm_out, invert=True)


def as_arithmetic(legacy):
    low, high = legacy.norm_in.T.astype(np.float32)
    bottom, top = legacy.norm_out.T.astype(np.float32)
    return (lambda x: 2 * (x - low) / (high - low) - 1), (lambda y: (y + 1) / 2 * (top - bottom) + bottom)


def as_lambda(legacy):
    import keras

    return tuple(keras.layers.Lambda(function) for function in as_arithmetic(legacy))


def as_two_layers(legacy):
    low, high = legacy.norm_in.T
    shift = rescaling((np.ones_like(low), -low))
    stretch = rescaling((2 / (high - low), -np.ones_like(low)))
    return (lambda x: stretch(shift(x))), rescaling(backward(legacy.norm_out))


def with_scaling(legacy, before, after):
    import keras

    inputs = keras.Input((legacy.inputs,))
    return set_weights(keras.Model(inputs, after(dense_chain(legacy, before(inputs)))), legacy)


@pytest.mark.parametrize("scaling", [as_normalization, as_arithmetic, as_lambda, as_two_layers])
def test_every_way_to_scale_inside(square, judge, scaling):
    report = judge(with_scaling(square, *scaling(square)))
    assert_parity(report)
    assert report.provenance["placement"] == "inside"
    other = judge(with_scaling(square, *scaling(replace(square, norm_out=square.norm_out + np.array([0, 0.1])))))
    assert other.verdict == "mismatch"
    assert {layer for _, layer in named(other)} == {"Norm_out"}


def folded(legacy, dtype):
    """Scaling multiplied into the first and the last layer, in the arithmetic of ``dtype``."""
    kernels, biases = ([array.astype(dtype) for array in arrays] for arrays in (legacy.kernels, legacy.biases))
    scale, offset = (part.astype(dtype) for part in forward(legacy.norm_in.astype(dtype)))
    kernels[0], biases[0] = scale[:, None] * kernels[0], biases[0] + offset @ kernels[0]
    scale, offset = (part.astype(dtype) for part in backward(legacy.norm_out.astype(dtype)))
    kernels[-1], biases[-1] = kernels[-1] * scale, biases[-1] * scale + offset
    return replace(legacy, kernels=tuple(kernels), biases=tuple(biases))


@pytest.mark.parametrize("placement", [None, "folded"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_scaling_folded_into_the_first_and_last_layer(square, judge, dtype, placement):
    report = judge(bare_port(folded(square, dtype)), placement=placement)
    assert_parity(report)
    assert rows(report) == {
        "Norm_in": "folded into Layer1", "Layer1": "parity", "Layer2": "parity", "Layer3": "parity",
        "Layer4": "parity", "Norm_out": "folded into Layer4",
    }  # fmt: skip
    assert any("Norm_in is folded into Layer1" in note for note in report.notes)


def test_a_mistake_beside_folded_scaling_is_named(square, judge):
    report = judge(bare_port(folded(square, "float64").with_arrays(2, square.kernels[1].T)))
    assert named(report) == {("kernel.transposed", "Layer2")}


def test_scaling_folded_the_wrong_way_is_caught(square, judge):
    wrong = folded(replace(square, norm_in=square.norm_in[:, ::-1]), "float64")
    report = judge(bare_port(wrong), placement="folded")
    assert report.verdict == "mismatch"
    assert {layer for _, layer in named(report)} <= {"Layer1", "Norm_in"}


def test_scaling_declared_outside_passes_and_is_not_called_checked(square, judge):
    report = judge(bare_port(square), placement="outside")
    assert_parity(report)
    assert [rows(report)[name] for name in ("Norm_in", "Norm_out")] == ["uncompared", "uncompared"]
    assert report.layers[0].where == "declared outside the port"
    assert any("declared outside the port and were not checked" in note for note in report.notes)


def test_a_mistake_beside_scaling_outside_is_named(square, judge):
    wrong = square.with_arrays(3, bias=np.zeros(7))
    assert named(judge(bare_port(wrong), placement="outside")) == {("bias.missing", "Layer3")}


def test_scaling_that_is_declared_outside_and_stands_inside_is_a_mismatch(square, judge):
    assert judge(plain_port(square), placement="outside").verdict == "mismatch"


def test_scaling_absent_and_undeclared_is_a_question(square, judge):
    report = judge(bare_port(square))
    assert report.verdict == report.links["build"] == "inconclusive"
    assert report.findings == ()
    assert "--placement outside" in report.notes[0] and report.notes[0].startswith("the port has no Norm_in and Norm")
    assert {rows(report)[f"Layer{i}"] for i in range(1, 5)} == {"parity"}


def test_scaling_absent_where_declared_inside_is_missing(square, judge):
    report = judge(bare_port(square), placement="inside")
    assert named(report) == {("scaling.missing", "Norm_in"), ("scaling.missing", "Norm_out")}


def nothing(legacy):
    import keras

    return keras.layers.Rescaling(1.0)


@pytest.mark.parametrize(
    ("does_nothing", "missing"),
    [
        ((True, False), {"Norm_in"}),
        ((False, True), {"Norm_out"}),
        ((True, True), {"Norm_in", "Norm_out"}),
    ],
)
def test_scaling_steps_that_do_nothing_are_missing(square, judge, does_nothing, missing):
    ends = rescaling(forward(square.norm_in)), rescaling(backward(square.norm_out))
    ends = [nothing(square) if idle else end for idle, end in zip(does_nothing, ends, strict=True)]
    report = judge(with_scaling(square, *ends))
    assert report.verdict == "mismatch"
    assert named(report) == {("scaling.missing", layer) for layer in missing}


@pytest.mark.parametrize("missing", ["Norm_in", "Norm_out"])
def test_one_scaling_step_of_two_left_out_is_missing(square, judge, missing):
    ends = rescaling(forward(square.norm_in)), rescaling(backward(square.norm_out))
    ends = [same if (missing == "Norm_in") == (i == 0) else end for i, end in enumerate(ends)]
    report = judge(with_scaling(square, *ends))
    assert named(report) == {("scaling.missing", missing)}


def wrong_scalings(legacy):
    """(code, layer) of each mistake and the two steps that have it."""
    before, after = forward(legacy.norm_in), backward(legacy.norm_out)
    low, high = legacy.norm_in.T
    yield "scaling.range", "Norm_in", (1 / (high - low), -low / (high - low)), after
    yield "scaling.inverted", "Norm_in", backward(legacy.norm_in), after
    yield "scaling.inverted", "Norm_out", before, forward(legacy.norm_out)
    yield "scaling.swapped", "Norm_in", forward(legacy.norm_in[:, ::-1]), after
    yield "scaling.swapped", "Norm_out", before, backward(legacy.norm_out[:, ::-1])
    yield "scaling.swapped", "Norm_in", forward(legacy.norm_out), after
    yield "scaling.repeated", "Norm_in", (before[0] ** 2, before[0] * before[1] + before[1]), after
    order = np.array([1, 0, 2, 3, 4, 5, 6])
    yield "scaling.range", "Norm_in", (before[0][order], before[1][order]), after
    yield "scaling.range", "Norm_out", before, (after[0][order], after[1][order])
    other = before[0].copy()
    other[3] *= 1.01
    yield "scaling.range", "Norm_in", (other, before[1]), after


@pytest.mark.parametrize("index", range(10))
def test_a_wrong_scaling_is_named(square, judge, index):
    code, layer, before, after = list(wrong_scalings(square))[index]
    report = judge(with_scaling(square, rescaling(before), rescaling(after)))
    assert report.verdict == "mismatch"
    assert named(report) == {(code, layer)}


@pytest.mark.parametrize("place", ["in front", "behind Norm_in", "behind the layers", "at the end"])
def test_columns_in_another_order_are_named(square, judge, place):
    import keras

    def shuffle(where, x):
        return keras.ops.take(x, np.array([2, 1, 0, 3, 4, 5, 6]), axis=-1) if where == place else x

    before, after = rescaling(forward(square.norm_in)), rescaling(backward(square.norm_out))
    report = judge(
        with_scaling(
            square,
            lambda x: shuffle("behind Norm_in", before(shuffle("in front", x))),
            lambda y: shuffle("at the end", after(shuffle("behind the layers", y))),
        )
    )
    assert report.verdict == "mismatch"
    allowed = {"inputs.permuted": {"Norm_in", "Layer1"}, "outputs.permuted": {"Layer4", "Norm_out"}}
    code = "inputs.permuted" if place in ("in front", "behind Norm_in") else "outputs.permuted"
    assert len(report.findings) == 1
    assert report.findings[0].code == code
    assert report.findings[0].layer in allowed[code]


@pytest.mark.parametrize("width", [5, 40])
def test_inputs_picked_in_another_order_before_a_network_without_scaling_are_named(width, tmp_path):
    import keras

    rng = np.random.default_rng(width)
    legacy = Legacy((rng.standard_normal((width, 4)), rng.standard_normal((4, 2))), (np.ones(4), np.ones(2)),
                    ("tanh", "linear"))  # fmt: skip
    with h5py.File(tmp_path / "m.h5", "w") as file:
        for number, (kernel, bias) in enumerate(zip(legacy.kernels, legacy.biases, strict=True), start=1):
            file[f"Weights/Layer{number}"], file[f"Bias/Layer{number}"] = kernel.T, bias.reshape(-1, 1)
        file["Layers"] = np.array([width, 4, 2], np.int16)
    inputs = keras.Input((width,))
    order = np.roll(np.arange(width), 2)
    port = keras.Model(inputs, bare_port(legacy)(keras.ops.take(inputs, order, axis=-1)))
    report = porter.verify(tmp_path / "m.h5", port, search=False, rows=100)
    assert named(report) == {("inputs.permuted", "Layer1")}


# --- dtypes ---------------------------------------------------------------------------------------------------------


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


# --- mode -----------------------------------------------------------------------------------------------------------


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


# --- layers that are missing, come twice, or have nothing to do there ----------------------------------------------


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


# --- several mistakes at once ---------------------------------------------------------------------------------------


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


# --- not mistakes ---------------------------------------------------------------------------------------------------


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
    import h5py

    with h5py.File(path, "a") as file:
        symmetric = file["Weights/Layer1"][()] + file["Weights/Layer1"][()].T
        file["Weights/Layer1"][...] = symmetric
        file["Bias/Layer2"][...] = file["Bias/Layer1"][()]
    legacy = read_legacy(path)
    swapped = replace(legacy, biases=legacy.biases[::-1]).with_arrays(1, legacy.kernels[0].T)
    assert_parity(porter.verify(path, bare_port(swapped), search=False, rows=100))


# --- what is said is true -------------------------------------------------------------------------------------------


def between(legacy, number, change, **activations):
    """The port with something behind one of its layers; ``change`` takes what the layer takes and what it gives."""
    import keras

    x = inputs = keras.Input((legacy.inputs,))
    x = rescaling(forward(legacy.norm_in))(x)
    layers = zip(legacy.kernels, legacy.activations, strict=True)
    for position, (kernel, own) in enumerate(layers, start=1):
        activation = activations.get(f"layer{position}", own)
        y = keras.layers.Dense(kernel.shape[1], activation=activation, name=f"d{position}")(x)
        x = change(x, y) if position == number else y
    return set_weights(keras.Model(inputs, rescaling(backward(legacy.norm_out))(x)), legacy)


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


# --- ports that cannot be run on everything -------------------------------------------------------------------------


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


# --- what cannot be judged ------------------------------------------------------------------------------------------


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
