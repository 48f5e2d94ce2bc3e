"""Recipes that have tables of entries in the place of activations."""

import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program
from tests.recipes.reading import read

RNG = np.random.default_rng(4)
ENTRIES = np.tanh(np.linspace(-4, 4, 201))
ARRAYS = {
    "w1": RNG.normal(size=(6, 3)), "b1": RNG.normal(size=6) / 3, "w2": RNG.normal(size=(2, 6)),
    "b2": RNG.normal(size=2), "t": ENTRIES,
}  # fmt: skip
X = RNG.uniform(-1, 1, (40, 3))
TEXT = """
[[layers]]
kernel = "w1"
bias = "b1"
orientation = "units-first"
table = {values = "t", first = -4.0, last = 4.0, entry = "nearest"}
[[layers]]
kernel = "w2"
bias = "b2"
orientation = "units-first"
activation = "linear"
"""
BELOW = TEXT.replace(', entry = "nearest"', "")


def formula(x, half):
    """In plain NumPy."""
    z = x @ ARRAYS["w1"].T + ARRAYS["b1"]
    place = np.clip(np.floor((z + 4) / 0.04 + half), 0, 200).astype(int)
    return ENTRIES[place] @ ARRAYS["w2"].T + ARRAYS["b2"]


@pytest.mark.parametrize(("text", "half"), [(TEXT, 0.5), (BELOW, 0.0)], ids=["nearest", "below"])
def test_the_program_and_the_port_look_it_up(folder, keras, text, half):
    network = read(folder, text)
    np.testing.assert_allclose(build_program(network)(X)[0], formula(X, half), rtol=1e-13)
    np.testing.assert_allclose(np.asarray(porter.build(network, dtype="float64")(X)), formula(X, half), rtol=1e-12)
    assert np.max(np.abs(formula(X, half) - formula(X, 0.5 - half))) > 1e-3


def test_entries_may_be_written_out_and_what_lies_beyond_them_is_held_to_the_ends(folder, keras):
    text = BELOW.replace('"t", first = -4.0, last = 4.0', "[-1.0, 5.0, 2.0], first = -1.0, last = 1.0")
    network = read(folder, text)
    z = X @ ARRAYS["w1"].T + ARRAYS["b1"]
    wanted = np.where(z < 0, -1.0, np.where(z < 1, 5.0, 2.0)) @ ARRAYS["w2"].T + ARRAYS["b2"]
    np.testing.assert_allclose(build_program(network)(X)[0], wanted, rtol=1e-13)
    np.testing.assert_allclose(np.asarray(porter.build(network, dtype="float64")(X)), wanted, rtol=1e-12)


def test_it_is_ported_and_proven_by_samples(folder, network, keras):
    np.savez(folder / "golden.npz", inputs=X, outputs=formula(X, 0.5))
    read(folder, TEXT)
    given = {"recipe": folder / "net.toml", "samples": folder / "golden.npz"}
    report = porter.port(folder / "net.npz", folder / "net.keras", force=True, **given)
    assert (report.verdict, report.links["reading"], report.links["save"]) == ("parity", "proven", "parity"), report
    assert [(row.layer, row.verdict) for row in report.layers] == [("Layer1", "parity"), ("Layer2", "parity")]
    claims = [claim.value for claim in report.claims if (claim.layer, claim.convention) == ("Layer1", "activation")]
    assert claims == ["table(first=-4, last=4, nearest=1, 201 values)"]
    below = porter.verify(read(folder, BELOW), folder / "net.keras", samples=folder / "golden.npz")
    assert below.links["reading"] == "contradicted"


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16"])
def test_parity_in_other_dtypes(network, keras, dtype):
    report = porter.verify(network, porter.build(network, dtype=dtype))
    assert report.verdict == "parity", report


@pytest.mark.parametrize("place", [0, 3, 100, 199, 200])
def test_one_other_entry_is_named(network, keras, place):
    model = porter.build(network)
    (entries,) = model.get_layer("table").get_weights()
    entries[place] += 1e-5
    model.get_layer("table").set_weights([entries])
    report = porter.verify(network, model)
    assert report.verdict == "mismatch"
    assert [(each.code, each.layer) for each in report.findings] == [("activation.parameter", "Layer1")], report
    assert f"1 of 201 entries of its table are others: the first, entry {place}," in report.findings[0].message


@pytest.mark.parametrize(
    ("own", "other", "code"),
    [
        ('entry = "nearest"', 'entry = "below"', "activation.parameter"),
        ("last = 4.0", "last = 4.1", "activation.replaced"),
        ('table = {values = "t", first = -4.0, last = 4.0, entry = "nearest"}', 'activation = "tanh"',
         "activation.replaced"),
    ],
    ids=["entry", "range", "exact function"],
)  # fmt: skip
def test_another_table_or_the_exact_function_is_named(folder, network, keras, own, other, code):
    assert own in TEXT
    report = porter.verify(network, porter.build(read(folder, TEXT.replace(own, other))))
    assert report.verdict == "mismatch"
    assert [(each.code, each.layer) for each in report.findings] == [(code, "Layer1")], report


def test_exports_are_right_or_refused_by_name(folder, network, keras):
    assert porter.export(network, folder / "net.onnx", to="onnx").verdict == "parity"
    assert porter.verify(read(folder, BELOW), folder / "net.onnx").verdict == "mismatch"
    with pytest.raises(errors.UnbuildableError, match=r"Layer1 of net cannot be written in C\n.*looked up in a table"):
        porter.export(network, folder / "net.c", to="c")


@pytest.mark.parametrize(
    ("own", "other", "told"),
    [
        ('"nearest"', '"linear"', "layer 1, table: entry 'linear' is not one of below, nearest; an interpolation"),
        ("first = -4.0", "first = 4.0", "layer 1, table: first is not below last"),
        ("first = -4.0, ", "", "layer 1, table, first: missing, and needed"),
        ('values = "t"', 'values = "u"', "layer 1, table, values: no dataset 'u'"),
        ('values = "t"', 'values = "t[0:1]"', "layer 1, table, values: found 1 values; 2 to 100,000 finite ones"),
        ("table =", 'activation = "tanh"\ntable =', "layer 1: activation and table: one of them"),
        ("\n[[layers]]", 'format = "oc-smart"\n[[layers]]', "layer 1: a table is not read beside format"),
        ("table =", "gain = 2.0\ntable =", "layer 1: a gain or temperature goes before an activation"),
        ('"linear"', '"linear"\ntakes = ["layer 1", "inputs"]\nmerge = "concatenate"',
         "layer 1: a table is not read beside takes"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(folder, own, other, told):
    with pytest.raises(errors.RecipeError) as refused:
        read(folder, TEXT.replace(own, other, 1))
    assert told in str(refused.value)
