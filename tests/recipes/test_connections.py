"""Recipes whose layers take more than the layer before them: skip connections, and branches."""

import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program
from tests.recipes.reading import read

RNG = np.random.default_rng(8)
ARRAYS = {
    "w1": RNG.normal(size=(5, 3)), "b1": RNG.normal(size=5), "w2": RNG.normal(size=(5, 5)), "b2": RNG.normal(size=5),
    "w3": RNG.normal(size=(2, 8)), "b3": RNG.normal(size=2),
}  # fmt: skip
LOW, HIGH = np.array([0.0, 280.0, -3.0]), np.array([1.0, 320.0, 5.0])
X = RNG.uniform(LOW, HIGH, (40, 3))
TEXT = """
name = "skipper"
[[layers]]
kernel = "w1"
bias = "b1"
orientation = "units-first"
activation = "tanh"
[[layers]]
kernel = "w2"
bias = "b2"
orientation = "units-first"
activation = "relu"
[[layers]]
takes = ["layer 1", "layer 2"]
merge = "add"
[[layers]]
kernel = "w3"
bias = "b3"
orientation = "units-first"
activation = "linear"
takes = ["inputs", "layer 3"]
merge = "concatenate"
[scaling]
rule = "[-1,1]"
input = [[0.0, 1.0], [280.0, 320.0], [-3.0, 5.0]]
output = [[0.0, 2.0], [10.0, 20.0]]
"""


def formula(x, merged=np.add):
    """In plain NumPy."""
    scaled = 2 * (x - LOW) / (HIGH - LOW) - 1
    first = np.tanh(scaled @ ARRAYS["w1"].T + ARRAYS["b1"])
    second = np.maximum(first @ ARRAYS["w2"].T + ARRAYS["b2"], 0)
    y = np.concatenate([scaled, merged(first, second)], axis=1) @ ARRAYS["w3"].T + ARRAYS["b3"]
    return (y + 1) / 2 * [2, 10] + [0, 10]


def test_skips_are_added_and_put_side_by_side(network, keras):
    (found,) = build_program(network)(X)
    np.testing.assert_allclose(found, formula(X), rtol=1e-13)
    np.testing.assert_allclose(np.asarray(porter.build(network, dtype="float64")(X)), formula(X), rtol=1e-12)
    assert not np.allclose(found, formula(X, np.multiply))


def test_it_is_ported_and_proven_by_samples(network, folder, keras):
    np.savez(folder / "golden.npz", inputs=X, outputs=formula(X))
    report = porter.port(
        folder / "net.npz", folder / "net.keras", recipe=folder / "net.toml", samples=folder / "golden.npz", force=True
    )
    assert (report.verdict, report.links["reading"], report.links["save"]) == ("parity", "proven", "parity"), report
    assert " ".join(row.layer for row in report.layers) == "Norm_in Layer1 Layer2 Layer3 Merge4 Layer4 Norm_out"
    swapped = read(folder, TEXT.replace('["inputs", "layer 3"]', '["layer 3", "inputs"]'))
    report = porter.verify(swapped, folder / "net.keras", samples=folder / "golden.npz")
    assert report.links["reading"] == "contradicted"
    assert "takes inputs, layer 3, concatenate" in report.findings[0].message


@pytest.mark.parametrize(
    ("old", "new", "code", "layer"),
    [
        ('merge = "add"', 'merge = "multiply"', "merge.replaced", "Layer3"),
        ('["inputs", "layer 3"]', '["layer 3", "inputs"]', "graph.edge", "Merge4"),
        ('"relu"', '"linear"', "activation.missing", "Layer2"),
        ('"w2"\nbias = "b2"\norientation = "units-first"', '"w2"\nbias = "b2"\norientation = "inputs-first"',
         "kernel.transposed", "Layer2"),
        ("320.0", "310.0", "scaling.range", "Norm_in"),
        ("[10.0, 20.0]", "[10.0, 25.0]", "scaling.range", "Norm_out"),
    ],
)  # fmt: skip
def test_a_mistake_of_a_port_is_named(network, folder, keras, old, new, code, layer):
    assert old in TEXT
    report = porter.verify(network, porter.build(read(folder, TEXT.replace(old, new))))
    assert report.verdict == "mismatch"
    assert [(each.code, each.layer) for each in report.findings] == [(code, layer)]


def test_activations_of_several_layers_and_sums_with_one(folder, keras):
    text = TEXT.replace('"relu"', '"scaled_tanh"').replace('merge = "add"', 'merge = "add"\nactivation = "sigmoid"')
    network = read(folder, text)
    scaled = 2 * (X - LOW) / (HIGH - LOW) - 1
    first = np.tanh(scaled @ ARRAYS["w1"].T + ARRAYS["b1"])
    second = 1.7159 * np.tanh(2 / 3 * (first @ ARRAYS["w2"].T + ARRAYS["b2"]))
    joined = np.concatenate([scaled, 1 / (1 + np.exp(-first - second))], axis=1)
    wanted = (joined @ ARRAYS["w3"].T + ARRAYS["b3"] + 1) / 2 * [2, 10] + [0, 10]
    np.testing.assert_allclose(build_program(network)(X)[0], wanted, rtol=1e-12)
    report = porter.verify(network, porter.build(network))
    assert report.verdict == "parity", report
    assert " ".join(row.layer for row in report.layers[2:6]) == "Layer2 Merge3 Layer3 Merge4"


def test_one_number_scales_all_columns_that_are_joined(folder, keras):
    """Behind the last layer, which has no kernel that says how many there are."""
    last = TEXT.index('[[layers]]\nkernel = "w3"')
    text = TEXT[:last] + "[scaling.output]\noffset = 1.0\ngain = 2.0\n"
    first = np.tanh(X @ ARRAYS["w1"].T + ARRAYS["b1"])
    second = np.maximum(first @ ARRAYS["w2"].T + ARRAYS["b2"], 0)
    (found,) = build_program(read(folder, text))(X)
    np.testing.assert_allclose(found, (first + second) / 2 + 1, rtol=1e-12)
    (found,) = build_program(read(folder, text.replace('"add"', '"concatenate"')))(X)
    np.testing.assert_allclose(found, np.concatenate([first, second], axis=1) / 2 + 1, rtol=1e-12)


def test_nothing_is_assumed_of_what_a_recipe_writes_out(network):
    assert {claim.evidence for claim in network.claims} == {"declared"}


def test_inspection_shows_the_connections(network):
    from porter.jobs.inspection import inspect

    found = inspect(network)
    assert (found.inputs, found.outputs, found.parameters) == (3, 2, sum(array.size for array in ARRAYS.values()))
    told = {layer.name: (layer.inputs, layer.units, layer.computes) for layer in found.layers}
    assert told["Layer3"] == (5, 5, "add of Layer1, Layer2")
    assert told["Merge4"] == (8, 8, "concatenate of Norm_in, Layer3")
    assert told["Norm_in"] == (3, 3, "[-1,1]")


@pytest.mark.parametrize("suffix", [".py", ".onnx"])
def test_it_is_exported(network, folder, suffix, keras):
    assert porter.export(network, folder / f"out{suffix}", force=True).links["export"] == "parity"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (', "layer 2"]', ', "layer 4"]', "layer 3, takes: 'layer 4' is none of inputs, layer 1, layer 2"),
        (', "layer 2"]', ', "input"]', "layer 3, takes: 'input' is none of inputs, layer 1, layer 2"),
        (', "layer 2"]', ', "layer 1"]', "one of them twice"),
        (', "layer 2"]', "]", "layer 3: several that it takes need a merge"),
        ('\nmerge = "concatenate"', "", "layer 4: several that it takes need a merge"),
        ('["inputs", "layer 3"]', '["inputs", "layer 2"]', "layer 3 leads nowhere"),
        ('activation = "relu"\n', "", "layer 2: its activation has to be said"),
        ('merge = "add"', 'merge = "add"\nbias = "b1"', "bias without a kernel"),
        ('name = "skipper"', "physical = true", "physical is not read beside layers with takes"),
        ("[scaling]", "[transforms]\ninput = 'log10'\n[scaling]", "transforms is not read beside layers with takes"),
        ('takes = ["layer 1", "layer 2"]', 'takes = ["inputs", "layer 2"]', "found 3 and 5 columns to add"),
        ('["inputs", "layer 3"]', '["layer 1", "layer 3"]', "found 8 inputs, units-first; 10, of what the layer takes"),
        ('bias = "b3"', 'bias = "b1"', "does not fit"),
        ('merge = "add"', 'merge = "mean"', "layer 3, merge"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(folder, old, new, says):
    assert old in TEXT
    with pytest.raises((errors.RecipeError, errors.BiasShapeError)) as refused:
        read(folder, TEXT.replace(old, new))
    assert says in str(refused.value)


def test_options_that_mean_nothing_are_refused(folder):
    with pytest.raises(errors.OptionContradictionError, match="physical="):
        read(folder, TEXT, physical=True)
    with pytest.raises(errors.OptionContradictionError, match="activation= contradicts"):
        read(folder, TEXT, activation="relu")
