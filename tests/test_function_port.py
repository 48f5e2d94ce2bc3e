"""A port that is a plain function: judged from end to end, never called parity, wrong where it is wrong."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.errors import PortError
from tests.handmade import backward, forward, named, read_legacy

NAME = "ocean_7-100-75-50-25-7"


@pytest.fixture(scope="module")
def legacy(fixtures):
    return read_legacy(fixtures / f"{NAME}.h5")


@pytest.fixture(scope="module")
def network(fixtures):
    return porter.read(fixtures / f"{NAME}.h5")


def loop(legacy, dtype="float64", last=lambda y: y):
    """The legacy software's own loop."""

    def run(x):
        scale, offset = (each.astype(dtype) for each in forward(legacy.norm_in))
        h = x.astype(dtype) * scale + offset
        for kernel, bias, name in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True):
            h = h @ kernel.astype(dtype) + bias.astype(dtype)
            h = np.tanh(h) if name == "tanh" else h
        scale, offset = (each.astype(dtype) for each in backward(legacy.norm_out))
        return last(h * scale + offset)

    return run


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_right_function_is_inconclusive_and_its_figures_are_told(network, legacy, dtype):
    report = porter.verify(network, loop(legacy, dtype))
    assert report.verdict == "inconclusive" and report.links["build"] == "inconclusive"
    assert report.findings == ()
    assert {row.verdict for row in report.layers} == {"uncompared"}
    assert all(row.where == "the port does not show its layers" for row in report.layers)
    assert f"end-to-end bound of {dtype}" in report.notes[0]
    assert report.provenance["port"] == "run"


def test_a_transposed_kernel_is_a_mismatch(network, legacy, fixtures):
    square = read_legacy(fixtures / "square_7-7-7-7-7.h5")
    other = porter.read(fixtures / "square_7-7-7-7-7.h5")
    assert porter.verify(other, loop(square)).verdict == "inconclusive"
    report = porter.verify(other, loop(square.with_arrays(2, square.kernels[1].T)))
    assert report.verdict == "mismatch"
    assert named(report) == {("unexplained", "Norm_out")}


def test_a_function_that_is_wrong_for_one_row_or_random_is_a_mismatch(network, legacy):
    alone = loop(legacy, last=lambda y: y * (2 if len(y) == 1 else 1))
    assert porter.verify(network, alone).verdict == "mismatch"
    rng = np.random.default_rng(0)
    noisy = porter.verify(network, loop(legacy, last=lambda y: y + 1e-12 * rng.standard_normal(y.shape)))
    assert ("call.unsteady", "Norm_out") in named(noisy)


def test_a_function_of_another_shape_or_one_that_raises_is_refused_or_wrong(network, legacy):
    assert porter.verify(network, loop(legacy, last=lambda y: y[:, :3])).verdict == "mismatch"
    with pytest.raises(PortError, match="2 outputs"):
        porter.verify(network, loop(legacy, last=lambda y: (y, y)))
    with pytest.raises(PortError, match="a single number, or nothing"):
        porter.verify(network, lambda x: None)
    with pytest.raises(PortError, match="ZeroDivisionError"):
        porter.verify(network, lambda x: 1 / 0)


def test_what_is_only_partly_a_number_is_refused(network, legacy):
    """The imaginary part, and what a mask hides, would be passed over."""
    for last, told in (
        (lambda y: y + 1e-3j, "complex"),
        (lambda y: np.ma.masked_array(y, mask=True), "masked"),
        (lambda y: y.astype(str), "str"),
    ):
        with pytest.raises(PortError, match=told):
            porter.verify(network, loop(legacy, last=last), rows=50)


def test_lists_of_rows_and_a_function_that_prints(network, legacy, capsys):
    def listed(y):
        print("working")
        return y.tolist()

    assert porter.verify(network, loop(legacy, last=listed), rows=50).verdict == "inconclusive"
    assert porter.verify(network, loop(legacy, last=lambda y: (2 * y).tolist()), rows=50).verdict == "mismatch"
    said = capsys.readouterr()
    assert said.out == "" and "working" in said.err


def test_samples_judge_the_reading_beside_a_function(network, legacy, fixtures):
    right = porter.verify(network, loop(legacy), samples=fixtures / f"{NAME}.npz")
    assert right.links["reading"] == "proven"


@pytest.mark.filterwarnings("ignore:You are saving your model:UserWarning")
def test_a_function_beside_a_legacy_keras_file(keras, tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Input((6,)), layers.Dense(5, activation="tanh"), layers.Dense(2)])
    model.save(tmp_path / "old.h5")

    def original(x):
        return np.asarray(model(x.astype("float32")))

    assert porter.verify(tmp_path / "old.h5", original).verdict == "inconclusive"
    assert porter.verify(tmp_path / "old.h5", lambda x: original(x) * 1.01).verdict == "mismatch"
