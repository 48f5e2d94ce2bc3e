"""Recipes whose activations are rational functions, written out by their coefficients."""

import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program
from tests.recipes.reading import read

RNG = np.random.default_rng(3)
ARRAYS = {
    "w1": RNG.normal(size=(6, 3)), "b1": RNG.normal(size=6) / 3, "w2": RNG.normal(size=(2, 6)),
    "b2": RNG.normal(size=2),
}  # fmt: skip
X = RNG.uniform(-1, 1, (40, 3))
PADE = "{numerator = [0.0, 27.0, 0.0, 1.0], denominator = [27.0, 0.0, 9.0]}"
TEXT = f"""
[[layers]]
kernel = "w1"
bias = "b1"
orientation = "units-first"
activation = {PADE}
[[layers]]
kernel = "w2"
bias = "b2"
orientation = "units-first"
activation = "linear"
"""
WITH_GAIN = TEXT.replace("activation = {", "gain = 0.5\nactivation = {")


def formula(x):
    """In plain NumPy."""
    z = x @ ARRAYS["w1"].T + ARRAYS["b1"]
    return z * (27 + z**2) / (27 + 9 * z**2) @ ARRAYS["w2"].T + ARRAYS["b2"]


@pytest.mark.parametrize(("text", "gain"), [(TEXT, 1.0), (WITH_GAIN, 0.5)], ids=["chain", "graph"])
def test_the_program_and_the_port_compute_it(folder, keras, text, gain):
    network = read(folder, text)
    z = gain * (X @ ARRAYS["w1"].T + ARRAYS["b1"])
    wanted = (27 * z + z**3) / (27 + 9 * z**2) @ ARRAYS["w2"].T + ARRAYS["b2"]
    np.testing.assert_allclose(build_program(network)(X)[0], wanted, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(np.asarray(porter.build(network, dtype="float64")(X)), wanted, rtol=1e-12, atol=1e-13)


def test_it_is_ported_and_proven_by_samples(folder, network, keras):
    np.savez(folder / "golden.npz", inputs=X, outputs=formula(X))
    given = {"recipe": folder / "net.toml", "samples": folder / "golden.npz"}
    read(folder, TEXT)
    report = porter.port(folder / "net.npz", folder / "net.keras", force=True, **given)
    assert (report.verdict, report.links["reading"], report.links["save"]) == ("parity", "proven", "parity"), report
    assert [(row.layer, row.verdict) for row in report.layers] == [("Layer1", "parity"), ("Layer2", "parity")]
    assert "rational(p1=27.0, p3=1.0, q0=27.0, q2=9.0)" in [
        claim.value for claim in report.claims if claim.convention == "activation"
    ]
    other = read(folder, TEXT.replace("27.0, 0.0, 9.0", "27.0, 0.0, 9.001"))
    contradicted = porter.verify(other, folder / "net.keras", samples=folder / "golden.npz")
    assert contradicted.links["reading"] == "contradicted"


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16"])
def test_parity_in_other_dtypes(network, keras, dtype):
    assert porter.verify(network, porter.build(network, dtype=dtype)).verdict == "parity"


@pytest.mark.parametrize(
    ("activation", "code", "told"),
    [
        (PADE.replace("9.0", "9.001"), "activation.parameter", "q2=9.001"),
        (PADE.replace("0.0, 1.0]", "0.0, 1.0001]"), "activation.parameter", "p3=1.0001"),
        (
            PADE.replace("27.0, 0.0, 9.0", "27.0, 0.01, 9.0"),
            "activation.parameter",
            "q1=0.00999",
        ),  # as exactly as the curve gives it
        ('"tanh"', "activation.replaced", "tanh for rational"),
    ],
)
@pytest.mark.parametrize("text", [TEXT, WITH_GAIN], ids=["chain", "graph"])
def test_a_mistake_of_a_port_is_named(folder, keras, text, activation, code, told):
    report = porter.verify(read(folder, text), porter.build(read(folder, text.replace(PADE, activation))))
    assert report.verdict == "mismatch"
    (finding,) = report.findings
    assert (finding.code, finding.layer) == (code, "Activation1" if text is WITH_GAIN else "Layer1"), report
    assert told in finding.message


def test_one_that_is_left_out_is_named(folder, network, keras):
    report = porter.verify(network, porter.build(read(folder, TEXT.replace(PADE, '"linear"'))))
    assert [(each.code, each.layer) for each in report.findings] == [("activation.missing", "Layer1")]


def test_where_two_coefficients_are_others_is_named(folder, network, keras):
    other = PADE.replace("27.0, 0.0, 1.0], ", "27.001, 0.0, 1.001], ")
    report = porter.verify(network, porter.build(read(folder, TEXT.replace(PADE, other))))
    assert report.verdict == "mismatch"
    assert [(row.layer, row.verdict) for row in report.layers] == [("Layer1", "mismatch"), ("Layer2", "parity")]
    assert [(each.code, each.layer) for each in report.findings] == [("activation.replaced", "Layer1")]


def test_exports_are_right_or_refused_by_name(folder, network, keras):
    assert porter.export(network, folder / "net.onnx", to="onnx").verdict == "parity"
    wrong = read(folder, TEXT.replace(PADE, PADE.replace("9.0", "9.001")))
    assert porter.verify(wrong, folder / "net.onnx").verdict == "mismatch"
    with pytest.raises(errors.UnbuildableError, match=r"Layer1 of net cannot be written in C\n.*a rational"):
        porter.export(network, folder / "net.c", to="c")


@pytest.mark.parametrize(
    ("activation", "told"),
    [
        ('{table = "t", first = -5.0, last = 5.0}', "layer 1, activation: a table of entries has a key of its own"),
        ("{denominator = [1.0]}", "layer 1, activation: numerator: Field required"),
        ("{numerator = [1.0, nan]}", "numerator, entry 2"),
        ("{numerator = [0.0, 1.0], denominators = [1.0]}", "denominators"),
        ("{numerator = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}", "at most 10 items"),
        ("{numerator = [0.0, 1.0], denominator = [0.0, 0.0]}", "leave no function of its argument"),
        ("{numerator = [3.0]}", "leave no function of its argument"),
        ('"rational"', "leave no function of its argument"),
        ('"rational(p1=1, p10=1)"', "'p10=1' is not a parameter"),
    ],
)
def test_what_is_no_function_is_refused(folder, activation, told):
    with pytest.raises(errors.RecipeError) as refused:
        read(folder, TEXT.replace(PADE, activation))
    assert told in str(refused.value)
    assert "layer 1, activation" in str(refused.value)
