"""Ports made by hand with the scaling inside, folded, outside or left out, and with wrong ones."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

import porter
from tests.handmade import (
    Legacy,
    assert_parity,
    backward,
    bare_port,
    forward,
    named,
    plain_port,
    rescaling,
    rows,
    same,
    with_scaling,
)

pytestmark = pytest.mark.usefixtures("keras")


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
