"""OC-SMART's forward pass against plain loops, in every layout in which the arrays may be stored."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from reference.programs.oc_smart import program

RNG = np.random.default_rng(11)
WIDTHS = (4, 4, 3, 5)
KERNELS = [RNG.normal(size=(units, inputs)) for inputs, units in pairwise(WIDTHS)]
BIASES = [RNG.normal(size=units) for units in WIDTHS[1:]]
IN, OUT = np.array([[-1.0, 2.0], [0.5, 1.5], [3.0, 4.0], [-2.0, -1.0]]), np.add(RNG.normal(size=(5, 2)), [0, 5])
X = RNG.uniform(IN[:, 0], IN[:, 1], (7, 4))


def stored(transposed=(), bias_shape=(-1,), names="Layer{}", groups=("Weights", "Bias"), norms=True):
    arrays = {}
    for number, (kernel, bias) in enumerate(zip(KERNELS, BIASES, strict=True)):
        name = names.format(number + 1)
        arrays[f"{groups[0]}/{name}"] = kernel.T if number in transposed else kernel
        arrays[f"{groups[1]}/{name}"] = bias.reshape(bias_shape)
    if norms:
        arrays |= {"Norm_in": IN, "Norm_out": OUT}
    return arrays


def by_hand(row, scaled=True, output=lambda z: z):
    """The formula, one number at a time."""
    values = [2 * (x - low) / (high - low) - 1 for x, (low, high) in zip(row, IN, strict=True)] if scaled else list(row)
    for kernel, bias in zip(KERNELS, BIASES, strict=True):
        sums = [
            math.fsum([*(w * v for w, v in zip(ws, values, strict=True)), b])
            for ws, b in zip(kernel, bias, strict=True)
        ]
        values = [math.tanh(z) for z in sums] if kernel is not KERNELS[-1] else [output(z) for z in sums]
    return [(y + 1) / 2 * (high - low) + low for y, (low, high) in zip(values, OUT, strict=True)] if scaled else values


EXPECTED = np.array([by_hand(row) for row in X])


def outputs(arrays, **options):
    return program(arrays, {}, **options)(X)[0]


@pytest.mark.parametrize("bias_shape", [(-1,), (-1, 1), (1, -1)])
@pytest.mark.parametrize("transposed", [(), (1,), (2,), (1, 2)])
def test_shapes_prove_the_orientation(transposed, bias_shape):
    """But for square layers, which are taken as the family has them."""
    if transposed == (1, 2):
        transposed = (0, 1, 2)  # with every other layer inputs-first, a square one is too
    np.testing.assert_allclose(outputs(stored(transposed, bias_shape)), EXPECTED, rtol=1e-13, atol=1e-14)


def test_a_square_layer_read_the_wrong_way_shows():
    """Negative control."""
    wrong = outputs(stored(), orientation=["inputs-first", "units-first", "units-first"])
    assert np.abs(wrong - EXPECTED).max() > 1e-2


def test_declared_orientation():
    arrays = stored((0,))
    declared = ["inputs-first", "units-first", "units-first"]
    np.testing.assert_allclose(outputs(arrays, orientation=declared), EXPECTED, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(outputs(stored((0, 1, 2)), orientation="inputs-first"), EXPECTED, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("groups", [("weights", "biases"), ("W", "b"), ("kernel", "bias"), ("net/Weights", "net/Bias")])
def test_groups(groups):
    np.testing.assert_allclose(outputs(stored(groups=groups)), EXPECTED, rtol=1e-13, atol=1e-14)


def test_natural_order():
    kernels = [RNG.normal(size=(3, 3)) for _ in range(11)]
    arrays = {f"Weights/Layer{number + 1}": kernel for number, kernel in enumerate(kernels)}
    shuffled = dict(sorted(arrays.items()))
    assert list(shuffled)[1] == "Weights/Layer10"
    steps = program(shuffled, {}).steps
    assert [step.name for step in steps] == [f"Layer{number + 1}" for number in range(11)]
    for step, kernel in zip(steps, kernels, strict=True):
        np.testing.assert_array_equal(step.weights, kernel)


def test_biases_of_other_names_go_by_order():
    arrays = {(f"Bias/b{name[-1]}" if name.startswith("Bias") else name): array for name, array in stored().items()}
    np.testing.assert_allclose(outputs(arrays), EXPECTED, rtol=1e-13, atol=1e-14)


def test_bias_absent():
    arrays = {name: array for name, array in stored().items() if name != "Bias/Layer2"}
    assert program(arrays, {}).step("Layer2").bias is None


def test_norms_of_two_rows():
    np.testing.assert_allclose(
        outputs({**stored(), "Norm_in": IN.T, "Norm_out": OUT.T}), EXPECTED, rtol=1e-13, atol=1e-14
    )


def test_scaling_rules():
    assert [step.name for step in program(stored(), {}).steps] == ["Norm_in", "Layer1", "Layer2", "Layer3", "Norm_out"]
    assert [step.name for step in program(stored(), {}, scaling="none").steps] == ["Layer1", "Layer2", "Layer3"]
    first = program(stored(), {}, scaling="mean-std").steps[0]
    np.testing.assert_allclose(first(X).outputs, (X - IN[:, 0]) / IN[:, 1])
    first = program(stored(), {}, scaling="[0,1]").steps[0]
    np.testing.assert_allclose(first(X).outputs, (X - IN[:, 0]) / (IN[:, 1] - IN[:, 0]))
    bare = np.array([by_hand(row, scaled=False) for row in X])
    np.testing.assert_allclose(outputs(stored(), scaling="none"), bare, rtol=1e-13, atol=1e-14)


def test_activations():
    def names(**options):
        return [str(step.activation) for step in program(stored(norms=False), {}, **options).steps]

    assert names() == ["tanh", "tanh", "linear"]
    assert names(activation="relu") == ["relu", "relu", "linear"]
    assert names(output_activation="logsig") == ["tanh", "tanh", "sigmoid"]
    assert names(activation=["elu", "tanh", "leaky_relu(negative_slope=0.1)"])[2] == "leaky_relu(negative_slope=0.1)"


def test_physical():
    kind = program(stored(norms=False), {}, physical="aaNN")
    assert kind.steps[0].functions == ("cos_degrees",) * 3 + ("log10",)
    assert kind.steps[-1].functions == ("pow10",) * 5
    assert program(stored(norms=False), {}, physical="bbpNN").steps[0].functions == ("log10",) * 4


def test_layers_settle_what_one_kernel_leaves_open():
    lone = {"Weights/Layer1": RNG.normal(size=(3, 2))}
    assert program(lone, {}).step("Layer1").orientation == "units-first"
    assert program({**lone, "Layers": np.array([3, 2])}, {}).step("Layer1").orientation == "inputs-first"


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"Norm_in": IN}, {}, "no group of kernels among Norm_in; expected one of"),
        ({"Weights/Layer1": np.zeros((2, 2, 2))}, {}, "two axes"),
        ({"Weights/a": np.eye(2), "Weights/b": np.eye(2), "Bias/c": np.ones(2)}, {}, "2 kernels, but 1 biases"),
        ({"Weights/a": np.eye(2), "Bias/a": np.ones((2, 2))}, {}, r"expected \(n,\), \(n, 1\) or \(1, n\)"),
        ({"Weights/a": np.ones((3, 2)), "Weights/b": np.ones((4, 5))}, {}, "do not chain"),
        (stored((1,)), {"orientation": "units-first"}, "do not chain"),
        (stored(), {"orientation": ["units-first"]}, "1 orientations for 3 layers"),
        (stored(), {"orientation": "sideways"}, "orientation 'sideways'; expected 'units-first'"),
        (stored(), {"scaling": "[0,2]"}, r"scaling '\[0,2\]'; expected one of \[-1,1\]"),
        (stored(), {"activation": ["tanh", "tanh"]}, "2 activations for 3 layers"),
        (stored(), {"activation": ["tanh"] * 3, "output_activation": "relu"}, "leave output_activation out"),
        (stored(), {"physical": "xxNN"}, "kind 'xxNN' of network; known are aann"),
    ],
)
def test_refusals(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        program(arrays, {}, **options)


def test_blocks_of_rows_change_nothing():
    built = program(stored(), {})
    np.testing.assert_allclose(built(X, block=2)[0], built(X)[0], rtol=1e-15)


class TestReal:
    @pytest.fixture
    def arrays(self, real):
        import h5py

        found = {}
        with h5py.File(real / "oc_smart" / "PACE_Lrc_aaNN.h5") as file:
            file.visititems(lambda name, node: found.update({name: node[...]}) if hasattr(node, "shape") else None)
        return found

    def test_the_original_outputs(self, real, arrays):
        samples = np.load(real / "oc_smart" / "expected_network.npz")
        assert np.abs(program(arrays, {})(samples["inputs"])[0] - samples["outputs"]).max() < 1e-12

    def test_the_wrong_orientation_shows(self, real, arrays):
        """Negative control."""
        samples = np.load(real / "oc_smart" / "expected_network.npz")
        wrong = program(arrays, {}, orientation=["inputs-first", *["units-first"] * 3])
        assert np.abs(wrong(samples["inputs"])[0] - samples["outputs"]).max() > 0.1

    def test_the_original_outputs_in_physical_units(self, real, arrays):
        told = np.load(real / "oc_smart" / "expected_physical.npz")
        inputs = np.column_stack([told["solz"], told["senz"], told["relaz"], told["lrc"], told["rh"]])
        found = program(arrays, {}, physical="aaNN")(inputs)[0]
        assert np.abs(found / told["aann_output"] - 1).max() < 1e-12
