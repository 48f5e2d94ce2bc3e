"""A chain of legacy steps beside a chain of a port's pieces, without Keras: who computes what."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from porter.examination.pairing import _best_path, pair_chain
from porter.ports.blocks import Atom, Block
from reference.activations import FUNCTIONS
from reference.precision import Precision
from reference.programs import oc_smart

FLOAT64 = Precision("float64", "float64")


def network(widths=(3, 3, 3, 3), norms=True, seed=0):
    """Stored arrays, units first, and the legacy program."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for number, (inputs, units) in enumerate(itertools.pairwise(widths), start=1):
        arrays[f"Weights/Layer{number}"] = rng.standard_normal((units, inputs))
        arrays[f"Bias/Layer{number}"] = rng.standard_normal(units)
    if norms:
        arrays["Norm_in"] = np.tile([-1.0, 3.0], (widths[0], 1))
        arrays["Norm_out"] = np.tile([2.0, 4.0], (widths[-1], 1))
    return arrays, oc_smart.program(arrays, {})


def dense(arrays, number, activation="tanh", name=None, hidden=False):
    """A piece that computes layer ``number``; with ``hidden``, without showing its weights."""
    kernel, bias = arrays[f"Weights/Layer{number}"].T, arrays[f"Bias/Layer{number}"]

    def run(x):
        return FUNCTIONS[activation](x @ kernel + bias)

    exposed = {} if hidden else {"weights": lambda: (kernel, bias)}
    kind = "other" if hidden else "dense"
    return partial(Atom, (name or f"dense{number}",), kind, run, is_core=True, width=kernel.shape, **exposed)


def other(name, kind, function):
    return partial(Atom, (name,), kind, function)


def scaling_in():
    return other("scale_in", "affine", lambda x: 2 * (x + 1) / 4 - 1)


def scaling_out():
    return other("scale_out", "affine", lambda y: (y + 1) / 2 * 2 + 2)


def chained(*pieces: Callable[..., Atom]) -> list[Atom]:
    """The pieces one behind the other: each takes what the one before gives."""
    return [piece(entry=key, key=key + 1, precision=FLOAT64) for key, piece in enumerate(pieces)]


def pair(program, *pieces):
    rows = np.random.default_rng(0).uniform(-1, 3, (64, 3))
    return pair_chain(program, chained(*pieces), rows, np.random.default_rng(1))


def names(pairing):
    return {found.step.name: found.block.names if found.block is not None else None for found in pairing.pairs}


def whole(arrays, layers=3):
    body = [dense(arrays, number, "tanh" if number < layers else "linear") for number in range(1, layers + 1)]
    return [scaling_in(), *body, scaling_out()]


RIGHT = {
    "Norm_in": ("scale_in",), "Layer1": ("dense1",), "Layer2": ("dense2",), "Layer3": ("dense3",),
    "Norm_out": ("scale_out",),
}  # fmt: skip


def test_a_chain_of_the_same_pieces():
    arrays, program = network()
    found = pair(program, *whole(arrays))
    assert names(found) == RIGHT
    assert found.extra == found.strays == found.merges == ()
    assert found["Layer2"].step.name == "Layer2"
    assert [one.step.name for one in found.dense] == ["Layer1", "Layer2", "Layer3"]


def test_activations_that_stand_alone_belong_to_the_layer_before():
    arrays, program = network()
    body = []
    for number in (1, 2, 3):
        body.append(dense(arrays, number, "linear"))
        body += [other(f"tanh{number}", "activation", np.tanh)] if number < 3 else []
    found = pair(program, scaling_in(), *body, scaling_out())
    assert names(found) == RIGHT | {"Layer1": ("dense1", "tanh1"), "Layer2": ("dense2", "tanh2")}


def test_pieces_that_do_nothing_are_in_no_name():
    arrays, program = network()
    pieces = [piece for one in whole(arrays) for piece in (other("idle", "identity", lambda x: x), one)]
    assert names(pair(program, *pieces)) == RIGHT


def test_names_and_shapes_decide_nothing():
    arrays, program = network()
    body = [
        dense(arrays, number, "tanh" if number < 3 else "linear", name=f"Layer{4 - number}") for number in (1, 2, 3)
    ]
    found = pair(program, scaling_in(), *body, scaling_out())
    assert names(found) == RIGHT | {"Layer1": ("Layer3",), "Layer2": ("Layer2",), "Layer3": ("Layer1",)}


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_missing_layer_is_the_one_that_is_not_there(missing, hidden):
    arrays, program = network()
    kept = [dense(arrays, k, "tanh" if k < 3 else "linear", hidden=hidden) for k in (1, 2, 3) if k != missing]
    found = pair(program, scaling_in(), *kept, scaling_out())
    assert names(found) == RIGHT | {f"Layer{missing}": None}
    assert found.extra == ()


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("twice", [1, 2])
def test_a_repeated_layer_is_left_over(twice, hidden):
    arrays, program = network()
    order = sorted([1, 2, 3, twice])
    body = [dense(arrays, k, "tanh" if k < 3 else "linear", f"piece{i}", hidden) for i, k in enumerate(order)]
    found = pair(program, scaling_in(), *body, scaling_out())
    assert [block.names for block in found.extra] in ([(f"piece{twice - 1}",)], [(f"piece{twice}",)])
    assert all(block is not None for block in names(found).values())


def test_a_layer_of_another_shape_is_left_over():
    arrays, program = network((3, 5, 4, 3))
    strange, _ = network((5, 5), norms=False, seed=5)
    body = [dense(arrays, 1), dense(strange, 1, name="strange"), dense(arrays, 2), dense(arrays, 3, "linear")]
    found = pair(program, scaling_in(), *body, scaling_out())
    assert names(found) == RIGHT
    assert [block.names for block in found.extra] == [("strange",)]


def test_exchanged_layers_stay_in_their_places():
    """So that they can be named as exchanged, not as missing and superfluous."""
    arrays, program = network()
    body = [dense(arrays, 2), dense(arrays, 1), dense(arrays, 3, "linear")]
    found = pair(program, scaling_in(), *body, scaling_out())
    assert names(found) == RIGHT | {"Layer1": ("dense2",), "Layer2": ("dense1",)}
    assert found.extra == ()


def test_two_layers_alike_of_which_one_is_missing_are_a_tie():
    arrays, program = network()
    for part in ("Weights", "Bias"):
        arrays[f"{part}/Layer2"] = arrays[f"{part}/Layer1"]
    program = oc_smart.program(arrays, {})
    found = pair(program, scaling_in(), dense(arrays, 1), dense(arrays, 3, "linear"), scaling_out())
    assert set(found.ties) & {"Layer1", "Layer2"}
    assert sum(names(found)[f"Layer{k}"] is None for k in (1, 2)) == 1


def test_without_scaling_in_the_port_the_steps_have_no_block():
    arrays, program = network()
    found = pair(program, *whole(arrays)[1:-1])
    assert names(found) == RIGHT | {"Norm_in": None, "Norm_out": None}


def test_a_stray_piece_before_a_network_without_scaling_is_reported():
    arrays, program = network(norms=False)
    found = pair(program, other("stray", "affine", lambda x: 2 * x), *whole(arrays)[1:-1])
    assert [block.names for block in found.strays] == [("stray",)]


def test_what_stands_behind_the_last_layer_goes_to_the_step_that_it_computes():
    arrays, program = network()
    pieces = whole(arrays)[:-1]
    split = [other("times", "other", lambda y: (y + 1) / 2), other("plus", "other", lambda y: y * 2 + 2)]
    assert names(pair(program, *pieces, *split)) == RIGHT | {"Norm_out": ("times", "plus")}
    activated = other("relu", "activation", lambda y: np.maximum(y, 0))
    program_of_relu = oc_smart.program(arrays, {}, output_activation="relu")
    found = pair(program_of_relu, *pieces, activated, scaling_out())
    assert names(found) == RIGHT | {"Layer3": ("dense3", "relu")}


def test_a_port_without_any_matrix_pairs_no_layer():
    _, program = network()
    found = pair(program, scaling_in())
    assert {name for name, block in names(found).items() if block is None} >= {"Layer1", "Layer2", "Layer3"}


def test_a_piece_that_cannot_run_does_not_agree():
    arrays, program = network()

    def fail(x):
        raise ValueError("not for these rows")

    found = pair(program, other("scale_in", "affine", fail), *whole(arrays)[1:])
    assert names(found)["Layer1"] == ("dense1",)


# --- the best monotone path -----------------------------------------------------------------------------------------


def brute_force(scores):
    """The highest total over every monotone matching."""
    n, m = scores.shape
    best = 0.0
    for count in range(1, min(n, m) + 1):
        for left in itertools.combinations(range(n), count):
            for right in itertools.combinations(range(m), count):
                best = max(best, sum(scores[i, j] for i, j in zip(left, right, strict=True)))
    return best


@given(st.integers(0, 5), st.integers(0, 5), st.data())
def test_the_path_has_the_highest_total_of_all_monotone_ones(n, m, data):
    values = st.sampled_from([-np.inf, 1.6, 2.5, 3.0])
    scores = np.array(data.draw(st.lists(values, min_size=n * m, max_size=n * m))).reshape(n, m)
    matched, _ = _best_path(scores)
    used = [j for j in matched if j is not None]
    assert len(matched) == n
    assert used == sorted(set(used))
    total = sum(scores[i, j] for i, j in enumerate(matched) if j is not None)
    assert total == pytest.approx(brute_force(scores))


def test_nothing_is_matched_that_does_not_fit():
    matched, _ = _best_path(np.array([[-np.inf, 3.0], [-np.inf, -np.inf]]))
    assert matched == [1, None]


def test_a_block_knows_its_ends_its_names_and_its_precision():
    arrays, _ = network()
    atoms = chained(
        other("idle", "identity", lambda x: x), dense(arrays, 1, "linear"), other("tanh", "activation", np.tanh)
    )
    block = Block(tuple(atoms), Precision("float32", "float32"))
    assert (block.entry, block.leaving) == (0, 3)
    assert block.names == ("dense1", "tanh")
    assert block.precision == FLOAT64
    assert block.dense is atoms[1]
    assert not block.is_training
    x = np.ones((2, 3))
    assert np.array_equal(block.run(x), np.tanh(x @ arrays["Weights/Layer1"].T + arrays["Bias/Layer1"]))
    assert block.tail is not None
    assert np.array_equal(block.tail(x), np.tanh(x))
