"""Recipes with a temperature of a softmax, or a gain before an activation."""

import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program
from tests.recipes.reading import read

RNG = np.random.default_rng(3)
ARRAYS = {
    "w1": RNG.normal(size=(5, 3)), "b1": RNG.normal(size=5), "w2": RNG.normal(size=(4, 5)), "b2": RNG.normal(size=4),
}  # fmt: skip
X = RNG.normal(size=(30, 3))
TEXT = """
[[layers]]
kernel = "w1"
bias = "b1"
orientation = "units-first"
activation = "sigmoid"
gain = 0.3
[[layers]]
kernel = "w2"
bias = "b2"
orientation = "units-first"
activation = "softmax"
temperature = 2.5
"""


def formula(x):
    """In plain NumPy."""
    hidden = 1 / (1 + np.exp(-0.3 * (x @ ARRAYS["w1"].T + ARRAYS["b1"])))
    powers = np.exp((hidden @ ARRAYS["w2"].T + ARRAYS["b2"]) / 2.5)
    return powers / powers.sum(axis=1, keepdims=True)


def test_they_are_read_and_proven_by_samples(network, keras):
    np.testing.assert_allclose(build_program(network)(X)[0], formula(X), rtol=1e-13)
    report = porter.verify(network, porter.build(network), samples=(X, formula(X)))
    assert (report.verdict, report.links["reading"]) == ("parity", "proven"), report
    assert [row.layer for row in report.layers][:3] == ["Layer1", "Gain1", "Activation1"]


@pytest.mark.parametrize(
    ("old", "new", "finding", "read_as"),
    [
        ("temperature = 2.5", "temperature = 2.6", ("scaling.range", "Gain2"), ""),
        ("temperature = 2.5", "gain = 2.5", ("scaling.inverted", "Gain2"), "reproduced with 1 / 2.5"),
        ("gain = 0.3\n", "", ("layers.missing", "Gain1"), ""),
        ('"sigmoid"', '"tanh"', ("activation.replaced", "Activation1"), "reproduced with sigmoid"),
    ],
)
def test_another_one_is_named(network, folder, keras, old, new, finding, read_as):
    other = read(folder, TEXT.replace(old, new))
    port = porter.build(other)
    report = porter.verify(network, port)
    assert report.verdict == "mismatch"
    assert [(each.code, each.layer) for each in report.findings] == [finding]
    wrong = porter.verify(other, port, samples=(X, formula(X)))
    assert wrong.links["reading"] == "contradicted"
    assert read_as in wrong.findings[0].message


@pytest.mark.parametrize(("gain", "wrong"), [(0.3, None), (0.31, "Layer1")])
def test_a_port_may_have_them_in_its_kernels(network, keras, gain, wrong):
    port = keras.Sequential([keras.layers.Dense(5, "sigmoid"), keras.layers.Dense(4, "softmax")])
    port.build((None, 3))
    w1, b1, w2, b2 = ARRAYS.values()
    port.set_weights([w1.T * gain, b1 * gain, w2.T / 2.5, b2 / 2.5])
    report = porter.verify(network, port)
    assert report.verdict == ("parity" if wrong is None else "mismatch"), report
    assert {each.layer for each in report.findings} == ({wrong} if wrong else set())
    assert {row.layer: row.verdict for row in report.layers}["Gain2"] == "folded into Layer2"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("gain = 0.3", "gain = 0.0", "layer 1: gain and temperature: one of them, and no gain of 0"),
        ("gain = 0.3", "gain = 0.3\ntemperature = 2.0", "layer 1: gain and temperature: one of them"),
        ("temperature = 2.5", "temperature = -1.0", "layer 2, temperature"),
        ('"sigmoid"', '"linear"', "layer 1: a gain or temperature goes before an activation"),
        ("gain = 0.3", "gain = 0.3\n[bounds]\nleast = 0.0\ngreatest = 1.0", "layers.bounds|bounds"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder, old, new, says):
    with pytest.raises(errors.RecipeError, match=says):
        read(folder, TEXT.replace(old, new))
