"""Recipes: what they say is followed, what is wrong in them is listed with its place."""

import re
import tomllib

import h5py
import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program
from porter.formats.recipe import (
    BoundsRecipe,
    ClampRecipe,
    EnsembleRecipe,
    LayerRecipe,
    RawRecipe,
    Recipe,
    TransformsRecipe,
    read_recipe,
)
from porter.formats.recipe_ends import EndRecipe
from porter.formats.recipe_explained import EXPLAINED
from porter.formats.recipe_skeleton import list_arrays, skeleton
from porter.formats.recipe_writing import recipe_text, write_recipe
from tests.formats.files import kernels_and_biases, replace, write

TABLES = (Recipe, LayerRecipe, EndRecipe, TransformsRecipe, BoundsRecipe, ClampRecipe, EnsembleRecipe, RawRecipe)
ELSEWHERE = """
[[layers]]
kernel = "net/first/w"
bias = "net/first/b"
orientation = "inputs-first"
activation = "relu"

[[layers]]
kernel = "net/second/w"
bias = "net/second/b"
activation = "leaky_relu(negative_slope=0.1)"

[scaling]
rule = "[0,1]"
input = [[0, 1.5], [-1.0, 2], [3, 4]]
output = "ranges"
"""


@pytest.fixture
def elsewhere(tmp_path):
    """A file of another layout, with things in it that do not matter."""
    kernels, biases = kernels_and_biases((3, 4, 2))
    path = tmp_path / "elsewhere.h5"
    with h5py.File(path, "w") as file:
        file["net/first/w"], file["net/first/b"] = kernels[0], biases[0]
        file["net/second/w"], file["net/second/b"] = kernels[1].astype(">f4"), biases[1]
        file["ranges"] = [[0.0, 10.0], [1.0, 2.0]]
        file["history"] = "trained for a week"
    return path


def recipe(tmp_path, text):
    path = tmp_path / "net.toml"
    path.write_text(text)
    return path


def assert_same(actual, expected):
    """Two networks agree in everything but where the file lies."""
    assert (actual.name, actual.family, actual.claims) == (expected.name, expected.family, expected.claims)
    assert [layer.name for layer in actual.layers] == [layer.name for layer in expected.layers]
    for mine, theirs in zip(actual.layers, expected.layers, strict=True):
        assert mine.__dict__.keys() == theirs.__dict__.keys()
        for key, value in mine.__dict__.items():
            np.testing.assert_array_equal(value, theirs.__dict__[key])
            assert getattr(value, "dtype", None) == getattr(theirs.__dict__[key], "dtype", None)
    np.testing.assert_array_equal(actual.input_range, expected.input_range)


def test_arrays_in_another_layout(elsewhere, tmp_path):
    network = porter.read(elsewhere, recipe=recipe(tmp_path, ELSEWHERE))
    kernels, biases = kernels_and_biases((3, 4, 2))
    first, second = network.dense_layers
    np.testing.assert_array_equal(first.kernel, kernels[0])
    np.testing.assert_array_equal(second.kernel, kernels[1].astype("f4"))
    np.testing.assert_array_equal(second.bias, biases[1])
    assert [str(layer.activation) for layer in (first, second)] == ["relu", "leaky_relu(negative_slope=0.1)"]
    np.testing.assert_array_equal(network.input_range, [[0, 1.5], [-1, 2], [3, 4]])
    assert network.source.places["Weights/Layer2"] == "net/second/w"
    assert set(network.source.arrays) == {
        *("Weights/Layer1", "Bias/Layer1", "Weights/Layer2", "Bias/Layer2", "Norm_in", "Norm_out")
    }
    by_convention = {(c.layer, c.convention): c.evidence for c in network.claims}
    assert by_convention["Layer1", "activation"] == "declared"
    assert by_convention["Layer2", "orientation"] == "shape"
    assert by_convention["Norm_in", "scaling"] == "declared"


def test_the_reference_follows_a_recipe_too(elsewhere, tmp_path):
    from reference.programs import oc_smart

    network = porter.read(elsewhere, recipe=recipe(tmp_path, ELSEWHERE))
    program = oc_smart.program(network.source.arrays, network.source.attributes, **network.declarations)
    assert [step.name for step in program.steps] == [layer.name for layer in network.layers]
    for layer in network.dense_layers:
        assert program.step(layer.name).activation == layer.activation
        assert program.step(layer.name).width == layer.kernel.shape


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"physical": True, "kind": "rrsNN"},
        {"activation": "relu"},
        {"activation": ["elu(alpha=0.3333333333333333)", "softsign"], "scaling": "[0,1]"},
        {"output_activation": "sigmoid", "scaling": "none"},
        {"orientation": ["inputs-first", "units-first"]},
    ],
)
def test_a_written_recipe_gives_the_same_network_and_proves_no_more(tmp_path, options):
    path = write(tmp_path / "net.h5", (4, 4, 2))
    network = porter.read(path, **options)
    write_recipe(network, tmp_path / "net.toml")
    again = porter.read(path, recipe=tmp_path / "net.toml")
    expected = [c for c in network.claims if c.convention != "order"]
    assert [c for c in again.claims if c.convention != "order"] == expected
    assert_same(again, network.__class__(**{**network.__dict__, "claims": again.claims}))


def test_the_same_on_the_real_network(real, tmp_path):
    path = real / "oc_smart" / "PACE_Lrc_aaNN.h5"
    for physical in (False, True):
        network = porter.read(path, physical=physical)
        write_recipe(network, tmp_path / "net.toml", force=physical)
        assert_same(porter.read(path, recipe=tmp_path / "net.toml"), network)


def test_the_comparison_of_networks_can_fail(tmp_path):
    network = porter.read(write(tmp_path / "net.h5"))
    other = porter.read(write(tmp_path / "net.h5", spoil=replace("Bias/Layer1", np.ones(4))))
    with pytest.raises(AssertionError):
        assert_same(other, network)


def test_a_recipe_is_written_again_from_a_recipe(elsewhere, tmp_path):
    network = porter.read(elsewhere, recipe=recipe(tmp_path, ELSEWHERE))
    write_recipe(network, tmp_path / "second.toml")
    assert_same(porter.read(elsewhere, recipe=tmp_path / "second.toml"), network)
    assert 'kernel = "net/second/w"' in (tmp_path / "second.toml").read_text()


def test_what_is_assumed_is_commented_out(tmp_path):
    lines = recipe_text(porter.read(write(tmp_path / "net.h5"))).splitlines()
    assert '# activation = "tanh"  # assumed' in lines
    assert '# rule = "[-1,1]"  # assumed' in lines
    assert 'orientation = "units-first"' in lines


def test_only_some_layers_say_their_activation(elsewhere, tmp_path):
    text = ELSEWHERE.replace('activation = "relu"\n', "")
    network = porter.read(elsewhere, recipe=recipe(tmp_path, text))
    evidence = {c.layer: (c.value, c.evidence) for c in network.claims if c.convention == "activation"}
    assert evidence["Layer1"] == ("tanh", "assumed")
    assert evidence["Layer2"] == ("leaky_relu(negative_slope=0.1)", "declared")
    assert network.declarations["activation"] == [None, "leaky_relu(negative_slope=0.1)"]


def assert_refused(path):
    with pytest.raises(errors.RecipeError) as caught:
        read_recipe(path)
    return caught.value


def test_every_error_is_listed_with_its_place(tmp_path):
    error = assert_refused(
        recipe(
            tmp_path,
            """
            speed = "high"
            format = "c2rcc"
            kind = "xyNN"
            layers = [
                {kernel = 3},
                {kernel = "x", activation = "tahn", orientation = "rows", colour = "red"},
                {bias = "b"},
            ]
            [scaling]
            rule = "minmax"
            input = [[1, 2], [3, nan], [1]]
            output = 5
            """,
        )
    )
    places = [problem.partition(":")[0] for problem in error.problems]
    assert places == [
        "format",
        "layer 1, kernel",
        "layer 2, orientation",
        "layer 2, activation",
        "layer 2, colour",
        "layer 3",
        "scaling, rule",
        "scaling, input, entry 2, entry 2",
        "scaling, input, entry 3",
        "scaling, output",
        "kind",
        "speed",
    ]
    message = str(error)
    assert "net.toml is not a recipe: 12 errors" in message
    assert all(f"\n  {problem}" in message for problem in error.problems)
    assert "softsign, softplus" in message
    assert "aodNN" in message
    assert "--write-recipe" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("layers = [", "is not TOML"),
        ("version = 1", "layers: missing, and needed"),
        ("layers = []", "layers: List should have at least 1 item"),
        ('version = 2\nlayers = [{kernel = "a"}]', "version: Input should be 1 (found 2)"),
        ('physical = "yes"\nlayers = [{kernel = "a"}]', "physical: Input should be a valid boolean"),
    ],
)
def test_refusals(tmp_path, text, says):
    assert says in str(assert_refused(recipe(tmp_path, text)))


def test_a_recipe_that_is_not_text(tmp_path):
    path = tmp_path / "net.toml"
    path.write_bytes(b"\xff\xfe\x00layers")
    assert "is not TOML" in str(assert_refused(path))


def test_a_missing_recipe(tmp_path):
    with pytest.raises(errors.FileMissingError, match=r"none\.toml does not exist"):
        read_recipe(tmp_path / "none.toml")


def test_datasets_that_are_not_there(elsewhere, tmp_path):
    text = ELSEWHERE.replace("net/first/b", "net/first/bias").replace('"ranges"', '"Norm_out"')
    with pytest.raises(errors.RecipeError) as caught:
        porter.read(elsewhere, recipe=recipe(tmp_path, text))
    assert caught.value.problems == (
        "layer 1, bias: no dataset 'net/first/bias'",
        "scaling, output: no dataset 'Norm_out'",
    )
    assert "'net/second/b'" in str(caught.value)


def test_an_option_that_contradicts_the_recipe(elsewhere, tmp_path):
    with pytest.raises(errors.OptionContradictionError, match="scaling= contradicts the recipe"):
        porter.read(elsewhere, recipe=recipe(tmp_path, ELSEWHERE), scaling="[-1,1]")
    assert porter.read(elsewhere, recipe=recipe(tmp_path, ELSEWHERE), scaling="[0,1]").layer("Norm_in").rule == "[0,1]"


def test_a_recipe_for_a_file_that_is_not_hdf5(tmp_path):
    path = tmp_path / "net.txt"
    path.write_text("no numbers at all\n")
    with pytest.raises(errors.NotHdf5Error, match="is not HDF5"):
        porter.read(path, recipe=recipe(tmp_path, ELSEWHERE))


def test_links_are_not_followed_for_a_recipe_either(tmp_path):
    path = write(tmp_path / "net.h5", spoil=replace("Norm_in", h5py.ExternalLink("other.h5", "/x")))
    with pytest.raises(errors.ExternalLinkError):
        porter.read(path, recipe=recipe(tmp_path, '[[layers]]\nkernel = "Weights/Layer1"\n'))


def test_writing_is_complete_or_not_at_all(tmp_path, monkeypatch):
    network = porter.read(write(tmp_path / "net.h5"))
    target = tmp_path / "net.toml"
    target.write_text("mine")
    with pytest.raises(errors.OutputExistsError, match="exists already"):
        write_recipe(network, target)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("porter.formats.recipe_writing.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_recipe(network, target, force=True)
    assert target.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.h5", "net.toml"]
    monkeypatch.undo()
    write_recipe(network, target, force=True)
    assert read_recipe(target).widths == "Layers"


def test_a_folder_that_is_not_there(tmp_path):
    network = porter.read(write(tmp_path / "net.h5"))
    with pytest.raises(errors.UsageError, match="cannot be written"):
        write_recipe(network, tmp_path / "none" / "net.toml")


def test_a_network_of_another_family(tmp_path):
    network = porter.read(write(tmp_path / "net.h5"))
    other = network.__class__(**{**network.__dict__, "family": "keras"})
    with pytest.raises(errors.UsageError, match="a recipe cannot describe net"):
        write_recipe(other, tmp_path / "net.toml")


def test_a_real_network_of_another_family_by_recipe(real, tmp_path):
    """RTE-RRTMGP-NN's netCDF-4, against what the original Fortran gives in float32."""
    name = "lw-g128-210809_absorption_72_72_HR_1.14e+00_FRC_5.19e-01"
    path = real / "rrtmgp_nn" / f"{name}.nc"
    layer = '[[layers]]\nkernel = "nn_weights_{0}"\nbias = "nn_bias_{0}"\nactivation = "{1}"\n'
    activations = ("softsign", "softsign", "linear")
    text = "".join(layer.format(number, name) for number, name in enumerate(activations, start=1))
    network = porter.read(path, recipe=recipe(tmp_path, text))
    assert network.widths == (18, 72, 72, 128)
    with np.load(real / "rrtmgp_nn" / "expected" / f"{name}_tau.npz") as samples, h5py.File(path) as file:
        values, expected, amount = samples["x"], samples["y"], samples["coldry"][:, np.newaxis]
        std, mean = file["nn_output_coeffs_std"][()], file["nn_output_coeffs_mean"][()]

    def error(second):
        outputs = values.astype(np.float64)
        for layer, kernel in zip(network.dense_layers, (None, second, None), strict=True):
            outputs = layer.activation(outputs @ (layer.kernel if kernel is None else kernel) + layer.bias)
        root = np.abs(std * outputs + mean)
        compared = root**8 >= np.finfo(np.float32).tiny  # below, the original's eighth power is no normal number
        return (np.abs(root - (expected / amount) ** 0.125) / std)[compared].max()

    # Measured: 1.1e-5 of outputs up to 6.7, which is float32; the square kernel the other way round gives 7.3.
    assert error(network.dense_layers[1].kernel) < 1e-4
    assert error(network.dense_layers[1].kernel.T) > 1


# --- what else a recipe can say ---------------------------------------------------------------------------------------


@pytest.fixture
def emulator(tmp_path):
    """Flat names, two vectors for either end, and another rule at each."""
    kernels, biases = kernels_and_biases((3, 4, 2))
    path = tmp_path / "emulator.h5"
    with h5py.File(path, "w") as file:
        for n, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            file[f"A{n}"], file[f"B{n}"] = kernel, bias
        file["x_min"], file["x_max"] = np.array([0.0, 1, 2]), np.array([2.0, 4, 8])
        file["y_mean"], file["y_var"] = np.array([0.5, -1]), np.array([4.0, 9])
    return path


EMULATOR = """
name = "emulator of mine"
[[layers]]
kernel = "A0"
bias = "B0"
activation = "softsign"
[[layers]]
kernel = "A1"
bias = "B1"
activation = "linear"
[scaling.input]
rule = "[0,1]"
minimum = "x_min"
maximum = "x_max"
[scaling.output]
mean = "y_mean"
variance = "y_var"
"""


def test_each_end_has_its_own_rule_and_its_own_vectors(emulator, tmp_path):
    network = porter.read(emulator, recipe=recipe(tmp_path, EMULATOR))
    kernels, biases = kernels_and_biases((3, 4, 2))
    x = np.random.default_rng(0).uniform(0, 8, (20, 3))
    hidden = (x - [0, 1, 2]) / [2, 3, 6] @ kernels[0] + biases[0]
    wanted = (hidden / (1 + np.abs(hidden)) @ kernels[1] + biases[1]) * [2, 3] + [0.5, -1]
    np.testing.assert_allclose(build_program(network)(x)[0], wanted, rtol=1e-12)
    assert [layer.rule for layer in network.layers if layer.name.startswith("Norm")] == ["[0,1]", "mean-std"]


def test_a_network_read_by_recipe_bears_its_own_name(emulator, tmp_path):
    network = porter.read(emulator, recipe=recipe(tmp_path, EMULATOR))
    assert (network.name, network.family, network.source.format) == ("emulator of mine", "recipe", "emulator of mine")
    assert "oc-smart" not in str(network.claims).lower()
    unnamed = porter.read(emulator, recipe=recipe(tmp_path, EMULATOR.replace('name = "emulator of mine"', "")))
    assert (unnamed.name, unnamed.source.format) == ("emulator", "recipe")


def test_what_was_read_by_recipe_is_written_as_one_again(emulator, tmp_path):
    network = porter.read(emulator, recipe=recipe(tmp_path, EMULATOR))
    again = tmp_path / "again.toml"
    write_recipe(network, again)
    assert_same(porter.read(emulator, recipe=again), network)


@pytest.mark.parametrize("where", ["first row", "last row", "first column", "last column"])
def test_the_bias_may_stand_in_the_kernel(tmp_path, where):
    kernels, biases = kernels_and_biases((3, 4, 2))
    path = tmp_path / "neuralnet.npz"
    rows = [np.vstack([bias[None], kernel]) if "first" in where else np.vstack([kernel, bias[None]])
            for kernel, bias in zip(kernels, biases, strict=True)]  # fmt: skip
    np.savez(path, **{f"m{n}": matrix if "row" in where else matrix.T for n, matrix in enumerate(rows)})
    text = "".join(f'[[layers]]\nkernel = "m{n}"\nbias_in = "{where}"\n' for n in (0, 1))
    network = porter.read(path, recipe=recipe(tmp_path, text))
    for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
        np.testing.assert_array_equal(network.layer(f"Layer{number}").kernel, kernel)
        np.testing.assert_array_equal(network.layer(f"Layer{number}").bias, bias)
    again = tmp_path / "again.toml"
    write_recipe(network, again)
    assert f'bias_in = "{where}"' in again.read_text()
    assert_same(porter.read(path, recipe=again), network)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('maximum = "x_max"', "", "minimum and maximum, or mean and std or variance, are needed"),
        ('rule = "[0,1]"', 'rule = "mean-std"', "does not go with minimum and maximum"),
        ('maximum = "x_max"', 'maximum = "x_top"', "no dataset 'x_top'"),
        ('maximum = "x_max"', "maximum = [1.0]", "as many of both"),
        ('bias = "B0"', 'bias = "B0"\nbias_in = "first row"', "one place only"),
        ('bias = "B0"', 'bias_in = "middle row"', "first row"),
        ('kernel = "A1"\nbias = "B1"', 'kernel = "B1"\nbias_in = "first row"', "a matrix with the bias in it"),
    ],
)
def test_what_is_wrong_with_the_new_words_is_named(emulator, tmp_path, old, new, says):
    assert old in EMULATOR
    with pytest.raises(errors.RecipeError, match=re.escape(says)):
        porter.read(emulator, recipe=recipe(tmp_path, EMULATOR.replace(old, new)))


def test_the_explanation_is_a_recipe_that_can_be_read(tmp_path):
    kernels, biases = kernels_and_biases((3, 4, 2))
    path = tmp_path / "net.npz"
    first = {"net/first/w": kernels[0], "net/first/b": biases[0], "x_min": np.zeros(3), "x_max": np.ones(3)}
    np.savez(path, **first, **{"net/second": np.vstack([biases[1][None], kernels[1]])})
    network = porter.read(path, recipe=recipe(tmp_path, EXPLAINED))
    assert network.name == "mystery"
    tables = {key for model in TABLES for key in model.model_fields}
    missing = [key for key in tables if f"{key} =" not in EXPLAINED and f"[{key}]" not in EXPLAINED]
    assert missing == [], "every key is shown"


# --- a skeleton for anything ------------------------------------------------------------------------------------------


def skeleton_of(path):
    with pytest.raises(errors.UnreadableError) as refused:
        porter.read(path)
    return skeleton(list_arrays(path, refused.value))


def test_a_skeleton_has_every_array_and_guesses_that_are_comments(emulator):
    text = skeleton_of(emulator)
    for name, shape in (("A0", "3 x 4"), ("B1", "2"), ("x_min", "3"), ("y_var", "2")):
        assert re.search(rf"^# +{name} +{shape}  float64$", text, re.MULTILINE)
    assert tomllib.loads(text) == {"version": 1}


def test_an_uncommented_skeleton_is_a_recipe(emulator, tmp_path):
    lines = skeleton_of(emulator).splitlines()
    start = lines.index("version = 1")
    text = "\n".join(line.removeprefix("# ") for line in lines[start:]).replace("units-first", "inputs-first")
    network = porter.read(emulator, recipe=recipe(tmp_path, text))
    kernels, biases = kernels_and_biases((3, 4, 2))
    for layer, kernel, bias in zip(network.dense_layers, kernels, biases, strict=True):
        np.testing.assert_array_equal(layer.kernel, kernel)
        np.testing.assert_array_equal(layer.bias, bias)
    assert network.layers[0].name == "Norm_in"
