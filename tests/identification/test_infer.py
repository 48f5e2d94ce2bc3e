"""Finding out how a file is to be read: what samples prove, leave open, or contradict."""

import json

import h5py
import numpy as np
import pytest

import porter
from porter.errors import OutputExistsError, SamplesError, UnknownFormatError, UsageError
from porter.formats.programs import build_program
from porter.identification.capture import SNIPPETS, snippet
from porter.identification.coverage import never_used_lines, repeated_lines
from porter.identification.ends import ends, plausible
from porter.identification.forward import Screen, _sharpest
from porter.identification.infer import pool_of
from porter.identification.pool import Pool
from porter.identification.skeletons import skeletons
from tests.conftest import real_folder
from tests.identification_networks import draw_network

RNG = np.random.default_rng(3)
KERNELS = [RNG.normal(size=(5, 5)), RNG.normal(size=(5, 5)), RNG.normal(size=(5, 3))]
BIASES = [RNG.normal(size=5), RNG.normal(size=5), RNG.normal(size=3)]
X = RNG.uniform(-2, 2, (12, 5))


def network(x, hidden=np.tanh):
    for kernel, bias in zip(KERNELS[:-1], BIASES[:-1], strict=True):
        x = hidden(x @ kernel + bias)
    return x @ KERNELS[-1] + BIASES[-1]


def arrays(**more):
    named = {f"{part}{n}": a for part, all_ in (("W", KERNELS), ("b", BIASES)) for n, a in enumerate(all_, start=1)}
    return {**named, **more}


@pytest.fixture
def infer(tmp_path):
    """Write arrays, and find out how they are to be read."""

    def found(stored, samples, **options):
        np.savez(tmp_path / "mystery.npz", **stored)
        return porter.infer(tmp_path / "mystery.npz", samples, **options)

    return found


def activations(found):
    return found.candidate.activations


def test_found_and_proven_and_read_again_by_the_recipe_that_it_writes(infer, tmp_path, keras):
    stored = arrays()
    stored["W1"] = stored["W1"].T  # square: no shape tells
    found = infer(stored, (X, network(X)))
    assert (found.status, found.reading.verdict) == ("found", "proven"), str(found)
    assert [layer.orientation for layer in found.candidate.layers] == ["units-first", "inputs-first", "inputs-first"]
    assert activations(found) == ("tanh", "tanh", "linear")
    found.write_recipe(tmp_path / "net.toml")
    with pytest.raises(OutputExistsError):
        found.write_recipe(tmp_path / "net.toml")
    again = porter.read(tmp_path / "mystery.npz", recipe=tmp_path / "net.toml")
    np.testing.assert_allclose(build_program(again)(X)[0], network(X), rtol=1e-12)
    report = porter.verify(again, porter.build(again), samples=(X, network(X)), search=False, rows=200)
    assert report.verdict == "parity"
    assert repr(found) == "<Identified 'mystery.npz': found>"
    assert json.loads(found.to_json())["verdict"] == "proven"


def test_activations_that_differ_from_layer_to_layer(infer):
    y = np.tanh(np.maximum(X @ KERNELS[0] + BIASES[0], 0) @ KERNELS[1] + BIASES[1]) @ KERNELS[2] + BIASES[2]
    assert activations(infer(arrays(), (X, y))) == ("relu", "tanh", "linear")


def test_scaling_and_functions_of_the_columns(infer):
    low, high = np.full(5, -1.0), np.full(5, 2.0)
    mean, std = RNG.normal(size=3), RNG.uniform(1, 2, 3)
    raw = 10.0 ** RNG.uniform(-1, 2, (12, 5))
    y = network(2 * (np.log10(raw) - low) / (high - low) - 1) * std + mean
    stored = arrays(x_min=low, x_max=high, y_mean=mean, y_std=std)
    found = infer(stored, (raw, np.exp(y)))
    assert found.candidate.functions_in == ("log10",) * 5
    assert found.candidate.functions_out == ("exp",) * 3
    assert found.recipe["scaling"]["input"] == {"rule": "[-1,1]", "minimum": "x_min", "maximum": "x_max"}
    assert found.recipe["scaling"]["output"] == {"mean": "y_mean", "std": "y_std"}


def test_vectors_called_like_a_bias_may_scale(infer):
    low, high = np.full(5, -2.0), RNG.uniform(1.0, 2.0, 5)
    found = infer(arrays(in_a=low, in_b=high), (X, network(2 * (X - low) / (high - low) - 1)))
    assert found.is_proven and "given to float64 rounding" in str(found), str(found)
    assert found.recipe["scaling"]["input"] == {"rule": "[-1,1]", "minimum": "in_a", "maximum": "in_b"}
    unscaled = infer(arrays(in_a=low, in_b=high), (X, network(X)))
    assert unscaled.is_proven and "scaling" not in unscaled.recipe


def test_a_difference_times_a_gain_behind_the_network(infer):
    offset, gain = RNG.normal(size=3), RNG.uniform(0.5, 2, 3)
    found = infer(arrays(out_offset=offset, out_gain=gain), (X, (network(X) - offset) * gain))
    wanted = {"offset": "out_offset", "gain": "out_gain", "inverse": True}
    assert found.status == "found" and found.recipe["scaling"]["output"] == wanted, str(found)


def test_a_kernel_of_equal_numbers(infer):
    """The mean of five units; an array of zeros is no kernel."""
    hidden = np.tanh(X @ KERNELS[0] + BIASES[0])
    stored = {"W1": KERNELS[0], "b1": BIASES[0], "W2": np.full((5, 1), 0.2), "W3": np.zeros((5, 1))}
    found = infer(stored, (X, hidden.mean(axis=1, keepdims=True)))
    assert [layer.array for layer in found.candidate.layers] == ["W1", "W2"], str(found)


def test_what_the_samples_cannot_tell_is_named_with_an_input_that_would(infer):
    """Outputs that never leave [-1, 1] do not tell a linear output from a clipped one."""
    ranges = np.stack([np.full(5, -2.0), np.full(5, 2.0)], axis=1)
    small = {**arrays(ranges=ranges), "W3": KERNELS[2] * 0.05, "b3": BIASES[2] * 0.1}
    hidden = np.tanh(np.tanh(X / 2 @ KERNELS[0] + BIASES[0]) @ KERNELS[1] + BIASES[1])
    y = hidden @ small["W3"] + small["b3"]
    small["W3"], y = small["W3"] * 4, (hidden @ small["W3"] * 4 + small["b3"])
    keep = np.all(np.abs(y) < 1, axis=1)
    found = infer(small, (X[keep], y[keep]))
    assert activations(found) == ("tanh", "tanh", "linear")
    if found.status == "open":
        (row,) = found.telling_inputs[:1]
        assert row.shape == (5,) and "would tell" in str(found)
    others = {each.candidate.activations[-1] for each in found.alternatives}
    assert "hard_tanh" in others


def test_nothing_is_proven_of_a_branch_beyond_the_samples(infer):
    """No sample leads a unit beyond 6, so a relu is as good as one that stops there, until one does."""
    relu, stopped = (lambda z: np.maximum(z, 0)), (lambda z: np.clip(z, 0, 6))
    kernels = {"W1": KERNELS[0] / 4, "W2": KERNELS[1] / 4}

    def forward(x, function):
        hidden = function(function(x @ kernels["W1"] + BIASES[0]) @ kernels["W2"] + BIASES[1])
        return hidden @ KERNELS[2] + BIASES[2]

    found = infer(arrays(**kernels), (X, forward(X, relu)))
    assert (found.status, found.reading.verdict) == ("found", "consistent"), str(found)
    assert not found.is_proven and "but beyond it" in str(found)
    outside = [each for each in found.alternatives if each.is_outside]
    assert any("relu6" in str(each.differences) for each in outside)
    x = np.concatenate([X, found.telling_inputs])
    again = {name: infer(arrays(**kernels), (x, forward(x, f))) for name, f in (("relu", relu), ("relu6", stopped))}
    assert {name: activations(each)[:2] for name, each in again.items()} == {
        "relu": ("relu",) * 2,
        "relu6": ("relu6",) * 2,
    }
    assert "relu6" not in str(again["relu"].alternatives)


def test_how_far_a_proof_reaches_is_said_with_an_input_that_goes_farther(infer):
    ranges = np.stack([np.full(5, -4.0), np.full(5, 4.0)], axis=1)
    scaled = 2 * (X + 4) / 8 - 1
    found = infer(arrays(ranges=ranges), (X, network(scaled)))
    assert found.is_proven
    z = scaled @ KERNELS[0] + BIASES[0]
    first = found.shown[0]
    assert (first.layer, first.least, first.greatest) == ("Layer1", pytest.approx(z.min()), pytest.approx(z.max()))
    assert f"Layer1 {z.min():.3g} to {z.max():.3g}" in str(found) and "in the documented range" in str(found)
    beyond = (2 * (first.row + 4) / 8 - 1) @ KERNELS[0] + BIASES[0]
    assert np.any((beyond < z.min()) | (beyond > z.max())) and np.any(np.isclose(beyond, first.reached))
    assert np.all(np.abs(first.row) <= 4)
    assert json.loads(found.to_json())["shown"][0]["reached"] == first.reached
    outputs = [(each.least, each.greatest) for each in found.shown if each.layer.startswith("output")]
    y = network(scaled)
    np.testing.assert_allclose(outputs, np.stack([y.min(axis=0), y.max(axis=0)], axis=1))


def test_several_that_the_samples_allow_are_not_proven(infer):
    found = infer(arrays(), (X[:1], network(X[:1])))
    told = [each for each in found.alternatives if each.row is not None]
    assert not told or found.reading.verdict == "consistent", str(found)


@pytest.mark.parametrize("times", [1, 12])
def test_one_row_shows_no_range(infer, times):
    """Every output is positive, and the file documents no range: other inputs would tell relu from linear."""
    shift, x = 0.5 - network(X[:1])[0], np.repeat(X[:1], times, axis=0)
    found = infer({**arrays(), "b3": BIASES[2] + shift}, (x, network(x) + shift))
    assert found.status == "open", str(found)
    assert any(each.candidate.activations[-1] == "relu" for each in found.alternatives)


def test_those_that_were_not_judged_count_where_they_give_something_else(infer, monkeypatch):
    monkeypatch.setattr("porter.identification.confirming.MOST", 1)
    shift = 0.5 - network(X[:1])[0]
    found = infer({**arrays(), "b3": BIASES[2] + shift}, (X[:1], network(X[:1]) + shift))
    assert found.status == "open" and not found.alternatives and "more come as close" in str(found), str(found)
    assert infer(arrays(), (X, network(X))).status == "found"


def test_printed_digits_are_respected(infer, tmp_path):
    rows = np.concatenate([X, network(X)], axis=1)
    np.savetxt(tmp_path / "samples.csv", rows, delimiter=",", fmt="%.4f")
    found = infer(arrays(), tmp_path / "samples.csv")
    assert activations(found) == ("tanh", "tanh", "linear"), str(found)
    assert "to the last digit that they have" in str(found) and "float64 rounding" not in str(found)


@pytest.mark.parametrize("kind", ["h5", "npz", "csv"])
def test_samples_in_files(infer, tmp_path, kind):
    path = tmp_path / f"samples.{kind}"
    if kind == "h5":
        with h5py.File(path, "w") as file:
            file["group/x"], file["group/y"] = X, network(X)
    elif kind == "npz":
        np.savez(path, inputs=X, outputs=network(X))
    else:
        np.savetxt(path, np.concatenate([X, network(X)], axis=1), delimiter=",", header="a,b", fmt="%.17g")
    assert infer(arrays(), path).status == "found"


# --- samples that prove nothing -------------------------------------------------------------------------------------


def test_samples_of_another_network_are_told(infer):
    other = [k + 0.3 * RNG.normal(size=k.shape) for k in KERNELS]
    y = np.tanh(np.tanh(X @ other[0] + BIASES[0]) @ other[1] + BIASES[1]) @ other[2] + BIASES[2]
    found = infer(arrays(), (X, y), seconds=4)
    assert found.status == "none" and not found.is_proven
    assert found.recipe is None and found.residuals.shape == (3,)


def test_samples_of_another_width_are_told(infer):
    found = infer(arrays(), (RNG.normal(size=(9, 4)), RNG.normal(size=(9, 2))))
    assert found.status == "wrong samples"
    assert "5 inputs and 3 outputs" in str(found)


def test_outputs_that_are_no_function_of_the_inputs_are_told(infer):
    x = np.concatenate([X, X[:1]])
    y = np.concatenate([network(X), network(X[:1]) + 1])
    found = infer(arrays(), (x, y))
    assert found.status == "wrong samples" and "rows 0 and 12" in str(found)


def test_too_few_numbers_prove_nothing(infer):
    """One number of two digits: a hundred configurations give it by chance."""
    small = {"W1": RNG.normal(size=(3, 4)), "b1": RNG.normal(size=4), "W2": RNG.normal(size=(4, 1)), "b2": np.ones(1)}
    x = np.array([[0.5, -0.2, 0.1]])
    y = np.tanh(x @ small["W1"] + small["b1"]) @ small["W2"] + small["b2"]
    found = infer(small, (x.astype("f4"), np.round(y, 2).astype("f2")))
    assert found.status != "found", str(found)


def test_outputs_that_are_all_zero_show_nothing(infer):
    """Dead units give them, whatever stands before."""
    found = infer({**arrays(), "b3": BIASES[2] - 100}, (X, np.zeros((12, 3))), seconds=1)
    assert found.status == "none" or (found.status == "open" and "hold so little" in str(found)), str(found)


@pytest.mark.parametrize("wrong", [(X, network(X)[:3]), (X * np.nan, network(X)), (X, np.full((12, 3), "a")), 7])
def test_what_are_no_samples_is_refused(infer, wrong):
    with pytest.raises(SamplesError):
        infer(arrays(), wrong)


def test_text_of_a_family_says_itself_how_it_is_read(tmp_path):
    """What is numbers and no family is looked at."""
    path = tmp_path / "coef.csv"
    path.write_text('"","x"\n"b->h1",0.5\n"i1->h1",-0.25\n"b->o",1\n"h1->o",2.5\n')
    with pytest.raises(UsageError, match="r-nnet"):
        porter.infer(path)
    path.write_text("1 2 3\n4 5 6\n")
    assert porter.infer(path).status == "no samples"
    path.write_bytes(b"\x93\0nothing")
    with pytest.raises(UnknownFormatError):
        porter.infer(path)


def test_a_number_that_any_value_agrees_with_is_not_held_against_first():
    """A dead unit's: rows have it alike, so it says nothing, and everything would be looked at closely."""
    outputs = np.array([[0.5, 1.0], [0.5, 2.0], [0.5, 3.5], [0.7, 4.0]])
    screen = Screen.of(np.ones((4, 2)), outputs, np.zeros((4, 2)), coarse=False)
    assert np.isinf(screen.least[0]).any() and np.isfinite(screen.least[0][_sharpest(screen)])


# --- what was tried, and what was not -------------------------------------------------------------------------------


def test_whether_the_search_was_cut_is_said(infer):
    other = np.random.default_rng(0).normal(size=(12, 3))
    whole = infer({"W1": KERNELS[2], "b1": BIASES[2]}, (X, other))
    assert whole.status == "none" and "more time would find nothing more" in str(whole), str(whole)
    cut = infer(arrays(), (X, other), seconds=0.2)
    assert cut.status == "none" and "more time goes on" in str(cut) and "not begun" in str(cut), str(cut)
    for unsought in ("connections past a layer", "several outputs each", "temperatures before", "bounds of inputs"):
        assert unsought in str(whole) and unsought in str(cut)


def test_arrays_that_nothing_takes_are_named_with_what_their_shapes_suggest(infer):
    hidden, skip = np.tanh(X @ KERNELS[0][:, :4] + BIASES[0][:4]), RNG.normal(size=(5, 3))
    past = {"W1": KERNELS[0][:, :4], "b1": BIASES[0][:4], "W2": KERNELS[2][:4], "b2": BIASES[2], "S": skip}
    stored = {**past, "note": np.array(["a"]), "gone": np.array([np.nan]), "odd": np.ones(11)}
    found = str(infer(stored, (X, hidden @ KERNELS[2][:4] + X @ skip + BIASES[2]), seconds=0.5))
    assert "S (5, 3), which would fit a connection from the inputs to Layer2" in found, found
    assert "finite numbers: note, gone" in found and "in no configuration at all: odd (11,)" in found, found


def test_what_shapes_suggest_of_arrays_without_a_place():
    beside = Pool.of({"W1": KERNELS[0][:, :4], "W2": RNG.normal(size=(9, 3)), "W3": KERNELS[2]})
    (line, joint) = never_used_lines(beside, skeletons(beside, 5, 3, 4), set(), 5)
    assert "W2 (9, 3)" in line and "the 5 inputs and the 4 units of W1 together" in joint
    assert not never_used_lines(Pool.of(arrays()), skeletons(Pool.of(arrays()), 5, 3, 4), set(), 5)
    twice = {f"{part}{n}": RNG.normal(size=s) for n in "ab" for part, s in (("p", (5, 4)), ("q", (4, 3)))}
    assert "comes 2 times" in repeated_lines(Pool.of(twice))[0]
    assert not repeated_lines(Pool.of({**twice, "r": KERNELS[0]}))


def test_no_chain_at_all_may_be_a_connection_past_a_layer(infer):
    stored = {"W1": KERNELS[0][:, :4], "W2": RNG.normal(size=(9, 7))}
    y = np.hstack([X, np.tanh(X @ stored["W1"])]) @ stored["W2"]
    found = infer(stored, (X, y))
    assert found.status == "none" and "the 5 inputs and the 4 units of W1 together" in str(found), str(found)
    assert infer({"W1": stored["W1"], "W2": stored["W2"][1:]}, (X, y)).status == "wrong samples"


# --- what a difference suggests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behind", "says"),
    [
        (lambda y: 3.7 * y + 11, "a gain of 3.7"),
        (lambda y: np.exp(0.3 * y + 1), "an exponential"),
    ],
)
def test_a_gain_or_an_exponential_behind_the_network_is_suggested(infer, behind, says):
    found = infer(arrays(), (X, behind(network(X))), seconds=4)
    assert found.status == "none" and says in str(found), str(found)


def test_a_clamp_that_no_array_holds_is_found(infer):
    found = infer(arrays(), (X, np.minimum(network(X), np.quantile(network(X), 0.8, axis=0))))
    assert found.candidate.bounds is not None, str(found)


@pytest.mark.slow
def test_bounds_of_the_file_are_found(infer):
    y = network(X)
    low, high = np.quantile(y, 0.2, axis=0), np.quantile(y, 0.8, axis=0)
    found = infer(arrays(limits=np.stack([low, high], axis=1)), (X, np.clip(y, low, high)))
    assert found.candidate.bounds.names[:2] == ("limits[:, 0]", "limits[:, 1]"), str(found)


def test_arrays_that_are_left_over_may_be_bounds_that_no_sample_reaches(infer):
    """Clipped or not, the samples are the same; without such arrays nothing of the kind is asked."""
    y = network(X)
    wide = np.stack([y.min(axis=0) - 0.01, y.max(axis=0) + 0.01], axis=1)
    for stored, wanted in ((arrays(limits=wide), True), (arrays(), False)):
        found = infer(stored, (X, y))
        places = [each.differences[0][0] for each in found.alternatives if each.row is not None]
        assert ("Extremes bounds" in places) == wanted, str(found)
        assert (found.status == "open") == wanted and found.candidate.bounds is None


# --- ensembles, stacks, no samples, recording -----------------------------------------------------------------------


def test_the_mean_of_members(infer):
    stored, outputs = {}, []
    for member in range(1, 4):
        w, b, v = RNG.normal(size=(4 + member, 5)), RNG.normal(size=4 + member), RNG.normal(size=(1, 4 + member))
        stored |= {f"net_IW_{member}": w, f"net_b1_{member}": b, f"net_LW_{member}": v}
        outputs.append(np.tanh(X @ w.T + b) @ v.T)
    found = infer(stored, (X, np.mean(outputs, axis=0)))
    assert found.recipe["ensemble"] == {"members": ["1", "2", "3"], "rule": "mean"}, str(found)
    np.testing.assert_allclose(build_program(found.network)(X)[0], np.mean(outputs, axis=0), rtol=1e-12)


def test_members_whose_layers_do_not_follow_each_other_are_no_ensemble(infer):
    """The second one's would, the other way round."""
    w, v = RNG.normal(size=(4, 5)), RNG.normal(size=(1, 4))
    stored = {"a_IW_1": w, "a_LW_1": v, "a_IW_2": RNG.normal(size=(3, 5)), "a_LW_2": RNG.normal(size=(1, 7))}
    found = infer(stored, (X, np.tanh(X @ w.T) @ v.T), seconds=2)
    assert found.status == "found" and found.candidate.rule is None


def test_of_many_networks_without_names_one_is_a_chain():
    """Ten networks of three layers: the beginnings run out before the search is through, and one still counts."""
    drawn = np.random.default_rng(0)
    stored = [drawn.normal(size=s) for n in range(10) for s in ((n + 9, 7), (n + 9,), (5, n + 9), (5,), (1, 5), (1,))]
    pool = Pool.of({f"arr_{place}": stored[number] for place, number in enumerate(drawn.permutation(len(stored)))})
    found = skeletons(pool, 7, 1, 4, expanded=500)
    assert found and {(chain.widths[0], chain.widths[-1]) for chain in found} == {(7, 1)}
    assert not skeletons(pool, 30, 1, 4, expanded=500), "nothing takes thirty"


def test_a_kernel_of_one_number_is_left_out_of_no_chain_that_may_have_it():
    named = {"W1": RNG.normal(size=(5, 1)), "b1": RNG.normal(size=1), "W2": np.array([[0.7]]), "b2": RNG.normal(size=1)}
    chains = [[slot.readings[0].array for slot in chain.slots] for chain in skeletons(Pool.of(named), 5, 1, 4)]
    assert chains[0] == ["W1", "W2"]
    other = {"W1": named["W1"], "b1": named["b1"], "c": np.array([[0.7]])}  # a number that may be anything
    assert [slot.readings[0].array for slot in skeletons(Pool.of(other), 5, 1, 4)[0].slots] == ["W1"]


def test_biases_in_other_lines_of_each_kernel_are_one_chain():
    pool = Pool.of({"a": np.vstack([BIASES[0], KERNELS[0]]), "b": np.vstack([KERNELS[2], BIASES[2]])})
    lines = [[{each.bias_in for each in slot.readings} for slot in chain.slots] for chain in skeletons(pool, 5, 3, 9)]
    assert lines.count([{"first row", "last row"}] * 2) == 1, lines


@pytest.mark.parametrize("names", [("minimum", "min", "maximum", "max"), ("mean", "mean", "std", "std")])
def test_names_say_which_scaling_is_tried_first(names):
    key, low, other, high = names
    vectors = {f"in_{high}": np.full(5, 2.0), f"in_{low}": np.full(5, 1.0), "out_gain": np.full(5, 3.0)}
    every = ends(Pool.of(vectors), frozenset(), 5, first=True, others=5)
    first = next(end for end in plausible(every, np.full((1, 5), 2.0)) if end.recipe is not None)
    assert f"by {key} in_{low} and {other} in_{high}" in str(first)


def test_without_samples_what_shapes_prove(infer):
    found = infer({"W1": KERNELS[2].T, "b1": BIASES[2]}, None)
    assert found.status == "no samples" and "5-3" in str(found) and "by its shape" in str(found)
    with pytest.raises(UsageError):
        found.write_recipe("net.toml")


def test_square_kernels_with_their_bias_inside_suggest_nothing(infer):
    """First or last column: more than one way to read each, and all of one orientation."""
    found = infer({"W1": RNG.normal(size=(4, 5)), "W2": RNG.normal(size=(4, 5))}, None)
    assert found.status == "no samples"


@pytest.mark.parametrize("language", SNIPPETS)
def test_a_snippet_to_record_samples(language):
    text = snippet(language, 5, 3, 20)
    assert "samples.csv" in text and "N_INPUTS" not in text and "N_OUTPUTS" not in text and "20" in text


def test_the_python_snippet_records_what_infer_takes(tmp_path, monkeypatch, infer):
    monkeypatch.chdir(tmp_path)
    text = snippet("python", 5, 3, 12).replace("LOW, HIGH", "np.full(5, -2.0), np.full(5, 2.0)")
    exec(text, {"network": network})
    assert infer(arrays(), tmp_path / "samples.csv", inputs=5).status == "found"


# --- random networks in random layouts; benchmarks/identification.py has two hundred --------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_never_wrong(infer, seed):
    drawn = draw_network(seed)
    x = drawn.draw(20)
    found = infer(drawn.arrays, (x, drawn.forward(x)), seconds=6)
    fresh = drawn.draw(300)
    wanted = drawn.forward(fresh).astype(np.float64)
    if found.candidate is None or found.status == "none":
        pytest.skip(f"none in the time given: {drawn.words}")
    pool, _ = pool_of(found.file)
    tried = (
        [found.candidate] if found.status == "found" else [found.candidate, *(a.candidate for a in found.alternatives)]
    )
    size = np.max(np.abs(wanted), axis=0)
    assert any(np.all(np.abs(each.predict(pool, fresh) - wanted) <= 1e-4 * size) for each in tried), drawn.words


PACE = real_folder() / "oc_smart" / "PACE_Lrc_aaNN.h5"


@pytest.mark.skipif(not PACE.exists(), reason=f"no {PACE}")
def test_the_square_layer_of_a_real_network_from_one_sample(infer):
    with h5py.File(PACE) as file, np.load(PACE.parent / "expected_network.npz") as samples:
        stored = {}
        file.visititems(lambda name, item: stored.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        found = infer(stored, (samples["inputs"][:1], samples["outputs"][:1]))
    assert found.candidate.layers[0].orientation == "units-first"
    assert activations(found) == ("tanh", "tanh", "tanh", "linear")
    assert {d[0] for each in found.alternatives for d in each.differences} <= {"Layer4 activation"}, str(found)
