"""Recipes that say more than where a kernel lies: orders, slices, gains, transforms, bounds, ensembles."""

import re
import shutil

import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program
from porter.report import wording

RNG = np.random.default_rng(5)
W1, B1 = RNG.normal(size=(4, 3)), RNG.normal(size=4)
W2, B2 = RNG.normal(size=(2, 4)), RNG.normal(size=2)
X = RNG.uniform(0.5, 2.0, (40, 3))


def plain(x):
    return np.tanh(x @ W1.T + B1) @ W2.T + B2


def read(tmp_path, arrays, text, **options):
    np.savez(tmp_path / "net.npz", **arrays)
    (tmp_path / "net.toml").write_text(text)
    return porter.read(tmp_path / "net.npz", recipe=tmp_path / "net.toml", **options)


def agrees(network, wanted, x=X):
    """The program and the port, built in float64, give what plain NumPy does."""
    (found,) = build_program(network)(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.asarray(porter.build(network, dtype="float64")(x)), wanted, rtol=1e-11, atol=1e-11)


LAYERS = """
[[layers]]
kernel = "{k1}"
bias = "b1"
activation = "tanh"
orientation = "units-first"
{more}
[[layers]]
kernel = "k2"
bias = "b2"
activation = "linear"
orientation = "units-first"
"""
ARRAYS = {"k1": W1, "b1": B1, "k2": W2, "b2": B2}


def layers(k1="k1", more=""):
    return LAYERS.format(k1=k1, more=more)


def test_fortran_order(tmp_path, keras):
    """Labelled (4, 3), but written column by column."""
    stored = W1.ravel(order="F").reshape(4, 3)
    network = read(tmp_path, {**ARRAYS, "k1": stored}, layers(more='order = "Fortran"'))
    agrees(network, plain(X))
    other = read(tmp_path, {**ARRAYS, "k1": stored}, layers())
    assert not np.allclose(build_program(other)(X)[0], plain(X))


def test_flat_numbers_and_slices(tmp_path, keras):
    flat = np.concatenate([np.zeros(5), W1.reshape(-1), B1])
    text = layers("all[5:17]", "shape = [4, 3]").replace('"b1"', '"all[17:21]"')
    agrees(read(tmp_path, {**ARRAYS, "all": flat}, text), plain(X))
    stack = np.stack([np.zeros((4, 3)), W1])
    agrees(read(tmp_path, {**ARRAYS, "stack": stack}, layers("stack[1, :, :]")), plain(X))


@pytest.mark.parametrize(
    ("end", "forward"),
    [
        ("mean = [1.0, 2.0, 3.0]\nstd = [2.0, 4.0, 5.0]\nfactor = 0.5", lambda x: 0.5 * (x - [1, 2, 3]) / [2, 4, 5]),
        ("offset = [1.0, 2.0, 3.0]\ngain = [2.0, 4.0, 5.0]\nlow = -1.0", lambda x: (x - [1, 2, 3]) * [2, 4, 5] - 1),
        ("offset = 1.0\ngain = 2.0", lambda x: (x - 1) * 2),
        ('rule = "[0.1,0.9]"\nminimum = 0.0\nmaximum = [2.0, 3.0, 4.0]', lambda x: 0.8 * x / [2, 3, 4] + 0.1),
        ("mean = [1.0, 2.0, 3.0]\nstd = [2.0, 4.0, 5.0]\ninverse = true", lambda x: x * [2, 4, 5] + [1, 2, 3]),
        ("std = 4.0", lambda x: x / 4),
        ("minimum = [0.0, 0.0, 1.0]\ngain = 0.25", lambda x: (x - [0, 0, 1]) * 0.25),
    ],
)
def test_any_two_vectors_scale_an_end(tmp_path, keras, end, forward):
    agrees(read(tmp_path, ARRAYS, f"{layers()}\n[scaling.input]\n{end}\n"), plain(forward(X)))


def test_the_output_end_is_scaled_backwards(tmp_path, keras):
    text = f"{layers()}\n[scaling.output]\noffset = [1.0, 2.0]\ngain = [2.0, 4.0]\nlow = -1.0\n"
    agrees(read(tmp_path, ARRAYS, text), (plain(X) + 1) / [2, 4] + [1, 2])


def test_functions_of_columns(tmp_path, keras):
    text = f'{layers()}\n[transforms]\ninput = ["log10", "identity", "sqrt"]\noutput = "exp"\n'
    fed = np.stack([np.log10(X[:, 0]), X[:, 1], np.sqrt(X[:, 2])], axis=1)
    network = read(tmp_path, ARRAYS, text)
    agrees(network, np.exp(plain(fed)))
    report = porter.verify(network, porter.build(network), search=False, rows=200)
    assert report.verdict == "parity", str(report)


def test_powers_by_their_exponents(tmp_path, keras):
    text = f'{layers()}\n[transforms]\ninput = ["root 4", "power 0.125", "power 2"]\noutput = "power 4.0"\n'
    fed = np.stack([X[:, 0] ** 0.25, X[:, 1] ** 0.125, X[:, 2] ** 2], axis=1)
    agrees(read(tmp_path, ARRAYS, text), plain(fed) ** 4)


def test_bounds_clamp_and_flag(tmp_path, keras):
    bounds = "\n[bounds]\nleast = [-0.5, -0.5]\ngreatest = [0.5, 0.5]\n"
    network = read(tmp_path, ARRAYS, layers() + bounds)
    agrees(network, np.clip(plain(X), -0.5, 0.5))
    assert porter.verify(network, porter.build(network), search=False, rows=200).verdict == "parity"
    y = plain(X)
    flagged = np.where(np.abs(y) > 0.7, np.nan, np.clip(y, -0.5, 0.5))
    assert np.isnan(flagged).any() and not np.isnan(flagged).all()
    agrees(read(tmp_path, ARRAYS, f"{layers()}{bounds}tolerance = 0.2\n"), flagged)


def test_inputs_are_clamped(tmp_path, keras):
    """In the units in which they are given, before the functions of columns and the scaling."""
    more = '[transforms]\ninput = "sqrt"\n[scaling.input]\nminimum = 0.0\nmaximum = [2.0, 1.0, 3.0]\n'
    clamp = "[bounds.input]\nleast = [0.6, 0.6, 0.5]\ngreatest = 1.5\n"
    network = read(tmp_path, ARRAYS, f"{layers()}\n{more}{clamp}")
    held = np.sqrt(np.clip(X, [0.6, 0.6, 0.5], 1.5))
    agrees(network, plain(2 * held / [2, 1, 3] - 1))
    port = porter.build(network)
    report = porter.verify(network, port, search=False, rows=200)
    assert report.verdict == "parity", str(report)
    assert report.layers[0].layer == "Extremes_in"
    unclamped = read(tmp_path, ARRAYS, f"{layers()}\n{more}")
    for other in (unclamped, read(tmp_path, ARRAYS, f"{layers()}\n{more}{clamp}".replace("1.5", "1.6"))):
        wrong = porter.verify(network, porter.build(other), search=False, rows=200)
        assert wrong.verdict == "mismatch"
        assert [(each.code, each.layer) for each in wrong.findings] == [("transform.replaced", "Extremes_in")]
    assert porter.verify(unclamped, port, search=False, rows=200).verdict == "mismatch"
    if shutil.which("gfortran"):
        assert porter.export(network, tmp_path / "net.f90").links["export"] == "parity"


MEMBERS = """
[[layers]]
kernel = "W_{i}"
bias = "B_{i}"
activation = "tanh"
orientation = "units-first"
[[layers]]
kernel = "V_{i}"
activation = "linear"
orientation = "inputs-first"
[ensemble]
"""


def ensemble(sizes=(4, 5, 3)):
    arrays = {}
    for number, size in enumerate(sizes, start=1):
        arrays[f"W_{number}"], arrays[f"B_{number}"] = RNG.normal(size=(size, 3)), RNG.normal(size=size)
        arrays[f"V_{number}"] = RNG.normal(size=(size, 1))
        arrays[f"m_{number}"], arrays[f"s_{number}"] = RNG.normal(size=3), RNG.uniform(1, 2, 3)
    return arrays


def of_members(arrays, x=lambda x, n: x):
    count = sum(name.startswith("W") for name in arrays)
    return np.concatenate(
        [np.tanh(x(X, n) @ arrays[f"W_{n}"].T + arrays[f"B_{n}"]) @ arrays[f"V_{n}"] for n in range(1, count + 1)], 1
    )


def test_ensembles(tmp_path, keras):
    arrays = ensemble()
    members = of_members(arrays)
    network = read(tmp_path, arrays, f"{MEMBERS}members = 3\n")
    agrees(network, members.mean(axis=1, keepdims=True))
    assert porter.verify(network, porter.build(network), search=False, rows=200).verdict == "parity"
    weighted = f'{MEMBERS}members = ["1", "2", "3"]\nrule = "weighted mean"\nweights = [1.0, 2.0, 5.0]\n'
    network = read(tmp_path, arrays, f"{weighted}[scaling.output]\noffset = 1.0\ngain = 4.0\n")
    agrees(network, members @ np.array([[1], [2], [5]]) / 8 / 4 + 1)
    assert porter.verify(network, porter.build(network), search=False, rows=200).verdict == "parity"
    mean, spread = members.mean(1, keepdims=True), members.std(1, ddof=1, keepdims=True)
    inside = np.abs(members - mean) < spread
    within = read(tmp_path, arrays, f'{MEMBERS}members = 3\nrule = "mean within one deviation"\n')
    agrees(within, (members * inside).sum(1, keepdims=True) / inside.sum(1, keepdims=True))


def test_members_with_scalings_of_their_own(tmp_path, keras):
    arrays = ensemble()
    text = f'{MEMBERS}members = 3\n[scaling.input]\nmean = "m_{{i}}"\nstd = "s_{{i}}"\n'
    wanted = of_members(arrays, lambda x, n: (x - arrays[f"m_{n}"]) / arrays[f"s_{n}"])
    network = read(tmp_path, arrays, text)
    agrees(network, wanted.mean(axis=1, keepdims=True))
    assert porter.verify(network, porter.build(network), search=False, rows=200).verdict == "parity"


def test_no_shape_proves_what_a_recipe_lays_out(tmp_path, keras):
    """Members side by side and flat numbers have the shapes that the recipe gives them."""
    square = {f"{name}_{number}": RNG.normal(size=(3, 3)) for name in "WV" for number in (1, 2)}
    text = MEMBERS.replace('bias = "B_{i}"\n', "").replace('"units-first"', '"inputs-first"')
    network = read(tmp_path, square, f"{text}members = 2\n")
    found = [(claim.value, claim.evidence) for claim in network.claims if claim.convention == "orientation"]
    assert found == [("inputs-first", "declared")] * 2
    flat = read(tmp_path, {**ARRAYS, "k1": W1.reshape(-1)}, layers(more="shape = [4, 3]"))
    found = [(claim.layer, claim.evidence) for claim in flat.claims if claim.convention == "orientation"]
    assert found == [("Layer1", "declared"), ("Layer2", "shape")]


def test_members_that_a_port_has_each_by_its_own(tmp_path, keras):
    """Nothing tells such layers to be those of the file: the port is right, or wrong, as a whole alone."""
    arrays = ensemble((4, 4, 4))
    network = read(tmp_path, arrays, f"{MEMBERS}members = 3\n")
    verdicts = {}
    for name, scales in (("right", (1, 1, 1)), ("wrong", (1, 1, 0.9))):
        inputs = keras.Input((3,))
        members = []
        for number, scale in enumerate(scales, start=1):
            hidden, output = keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1, use_bias=False)
            members.append(output(hidden(inputs)))
            hidden.set_weights([arrays[f"W_{number}"].T, arrays[f"B_{number}"]])
            output.set_weights([arrays[f"V_{number}"] * scale])
        report = porter.verify(network, keras.Model(inputs, keras.layers.Average()(members)), search=False, rows=200)
        verdicts[name] = report.verdict
        assert bool(report.findings) == (name == "wrong"), str(report)
    assert verdicts == {"right": "inconclusive", "wrong": "mismatch"}
    assert "recipe=" in str(wording.setting(report)) and "activation=" not in str(wording.setting(report))


def test_members_with_several_outputs(tmp_path, keras):
    arrays = ensemble()
    for number in (1, 2, 3):
        arrays[f"V_{number}"] = RNG.normal(size=(len(arrays[f"W_{number}"]), 2))
    each = of_members(arrays).reshape(len(X), 3, 2)
    scaled = f"{MEMBERS}members = 3\n[scaling.output]\noffset = [1.0, 2.0]\ngain = [2.0, 4.0]\n"
    network = read(tmp_path, arrays, scaled)
    agrees(network, each.mean(axis=1) / [2, 4] + [1, 2])
    port = porter.build(network)
    assert porter.verify(network, port, search=False, rows=200).verdict == "parity"
    rule = 'rule = "weighted mean"\nweights = [1.0, 2.0, 5.0]\n'
    other = read(tmp_path, arrays, scaled.replace("members = 3\n", f"members = 3\n{rule}"))
    agrees(other, np.einsum("rmo,m->ro", each, [1 / 8, 2 / 8, 5 / 8]) / [2, 4] + [1, 2])
    wrong = porter.verify(other, port, search=False, rows=200)
    assert wrong.verdict == "mismatch"
    assert {finding.layer for finding in wrong.findings} == {"Ensemble"}
    with pytest.raises(errors.RecipeError, match="members with 2 outputs and the rule 'mean within one deviation'"):
        read(tmp_path, arrays, f'{MEMBERS}members = 3\nrule = "mean within one deviation"\n')
    own = {f"c_{n}": RNG.normal(size=2) for n in (1, 2, 3)}
    with pytest.raises(errors.RecipeError, match="another range for each member, and mean of 2 outputs"):
        read(tmp_path, arrays | own, f'{MEMBERS}members = 3\n[scaling.output]\nmean = "c_{{i}}"\nstd = 2.0\n')
    arrays["V_3"] = arrays["V_3"][:, :1]
    with pytest.raises(errors.RecipeError, match="members with 1, 2 outputs; as many of each"):
        read(tmp_path, arrays, f"{MEMBERS}members = 3\n")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("= 3\n", '= ["1", "2", "1"]\n', "the member '1' twice"),
        ("= 3\n", '= 3\nrule = "weighted mean"\nweights = [1.0, -1.0, 0.0]\n', "found a sum of 0; finite weights"),
        ("= 3\n", '= 3\nrule = "weighted mean"\nweights = [1.0, 1.0]\n', "found 2 for 3 members; one each"),
        (
            "= 3\n",
            '= 3\nrule = "weighted mean"\nweights = "w_{i}"\n',
            "weights: {i} in it, and it is one for all members",
        ),
        ("= 3\n", '= 3\n[bounds]\nleast = 0.0\ngreatest = "y_{i}"\n', "bounds, greatest: {i} in it"),
        ('"tanh"', '"softmax"', "layer 1, activation: found softmax, which is not read of members"),
        ('"linear"', '"softmax"', "layer 2, activation: found softmax"),
    ],
)
def test_what_members_cannot_be_is_named(tmp_path, old, new, says):
    """A softmax over the units of all members would be another function than that of each."""
    assert read(tmp_path, ensemble(), f"{MEMBERS}members = 3\n").widths[0] == 3
    with pytest.raises(errors.RecipeError, match=re.escape(says)):
        read(tmp_path, ensemble(), f"{MEMBERS}members = 3\n".replace(old, new))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (layers("k1[0:9]"), r"one that has \[0:9\]"),
        (layers("k1[7, :]"), r"\[7, :\]"),
        (layers("k1[9:, :]"), r"one that has \[9:, :\]"),
        (layers("k1[4:, :]"), "is empty"),
        (layers("k1[-9:, :]"), r"one that has \[-9:, :\]"),
        (layers(more="shape = [5, 5]"), "5 x 5"),
        (f"{layers()}\n[transforms]\ninput = 'sine'\n", "'sine' is not known"),
        (f"{layers()}\n[transforms]\ninput = 'power 0.3'\n", "'power 0.3' is not read; powers that are read are 0.125"),
        (f"{layers()}\n[transforms]\ninput = 'root 0'\n", "'root 0' is not read"),
        (f"{layers()}\n[transforms]\ninput = ['ln']\n", "1 functions; the network has 3 inputs"),
        (f"{layers()}\n[bounds]\nleast = [0.0]\ngreatest = [-1.0]\n", "below the greatest|2 of each"),
        (f"{layers()}\n[bounds]\nleast = [0.0]\n", "least and greatest of the outputs are needed"),
        (f"{layers()}\n[bounds.input]\nleast = [0.0, 1.0]\ngreatest = 2.0\n", "bounds, input: found 2, 1, 1 values; 3"),
        (f"{layers()}\n[bounds.input]\nleast = 0.0\ngreatest = 2.0\ntolerance = 0.1\n", "bounds, input, tolerance"),
        (f"{layers()}\n[scaling]\nrule = '[0,1]'\n[scaling.input]\nminimum = 0.0\nmaximum = 1.0\n", "say it in their"),
        (f"{layers()}\n[scaling]\nrule = 'none'\n[scaling.output]\nmean = 0.0\nstd = 1.0\n", "vectors of output"),
        (f"{layers()}\n[scaling.input]\nminimum = 0.0\nmaximum = 1.0\nlow = 0.0\n", "low beside minimum and maximum"),
        (f"{layers()}\n[scaling.input]\nrule = '[0,1]'\nmaximum = 0.0\ngain = 1.0\n", "not go with maximum and gain"),
        (f"{layers()}\n[bounds]\nleast = 'gap'\ngreatest = 9.0\n", "bounds, least: found NaN in column 1; a number"),
        (f"{layers()}\n[bounds.input]\nleast = 'text'\ngreatest = 9.0\n", "bounds, input, least: found <U4; numbers"),
        (f"{layers()}\n[bounds.input]\nleast = 2.0\ngreatest = 1.0\n", "bounds, input: found a least value"),
        (layers("deep"), "'deep' is not a matrix"),
        (layers().replace('"b1"', '"b2"'), "'b2' does not fit 'k1'"),
        (f"{layers()}\n[ensemble]\nmembers = 3\n", "where the member stands"),
        (f"{layers('W_{i}')}\n[ensemble]\nmembers = 3\n", "no dataset 'W_1'"),
        (f"{layers('W_{i}')}\n[ensemble]\nmembers = 3\nweights = [1.0]\n", "no other takes"),
        (f"{layers()}\n[scaling.input]\nrule = '[2,1]'\nminimum = 0.0\nmaximum = 1.0\n", "a rule is"),
        (f"{layers()}\n[scaling.input]\noffset = 0.0\ngain = 0.0\n", "a gain of 0 in column 0; one above 0"),
        (f"{layers()}\n[scaling.input]\noffset = 0.0\ngain = [1.0, -1.0, 2.0]\n", "a gain of -1 in column 1"),
        (f"{layers()}\n[scaling.output]\nmean = 0.0\nvariance = -4.0\n", "a variance of -4 in column 0"),
        (f"{layers()}\n[scaling.input]\nminimum = 1.0\nmaximum = 1.0\n", "minimum 1 and maximum 1 in column 0"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, says):
    with pytest.raises((errors.RecipeError, errors.UnreadableError), match=says):
        read(tmp_path, {**ARRAYS, "gap": np.array([0.0, np.nan]), "text": np.array(["none"]), "deep": W1[None]}, text)
