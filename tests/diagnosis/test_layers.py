"""One layer explained as a whole, and what several layers have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from porter.codes import CODES, Cause
from porter.diagnosis.layers import explain_layer, share_out
from porter.diagnosis.recovery import recover_affine
from porter.examination.suspect import Stored
from porter.ports.blocks import Atom
from reference.activations import Activation
from reference.precision import Precision
from tests.diagnosis.suspects import before, codes, steps, suspect

SHAPES = [(6, 6), (6, 6), (6, 6)]


@pytest.fixture
def file():
    return steps(SHAPES)


def explained(file, position=1, **changes):
    one = suspect(file, position, **changes)
    return explain_layer(one, before(one))


def kernel(file, position=1):
    return Stored.of(file[position]).kernel


def bias(file, position=1):
    return Stored.of(file[position]).bias


def halved(array):
    """Rounded to half precision."""
    return array.astype(np.float16).astype(np.float64)


TWO = [
    (lambda f: {"kernel": kernel(f).T, "activation": "relu"}, {"kernel.transposed", "activation.replaced"}),
    (lambda f: {"kernel": kernel(f).T, "bias": None}, {"kernel.transposed", "bias.missing"}),
    (lambda f: {"bias": -bias(f), "activation": "sigmoid"}, {"bias.negated", "activation.replaced"}),
    (lambda f: {"bias": np.zeros(6), "activation": "linear"}, {"bias.missing", "activation.missing"}),
    (lambda f: {"kernel": kernel(f, 0), "bias": bias(f, 0)}, {"layers.swapped"}),
    (lambda f: {"kernel": kernel(f, 0), "bias": bias(f)}, {"layers.swapped"}),
    (
        lambda f: {"kernel": kernel(f, 0), "bias": bias(f, 0), "activation": "relu"},
        {"layers.swapped", "activation.replaced"},
    ),
    (lambda f: {"kernel": np.full((6, 6), kernel(f)[0, 0]), "bias": np.zeros(6)}, {"kernel.unset"}),
    (lambda f: {"kernel": halved(kernel(f)), "bias": halved(bias(f))}, {"kernel.precision"}),
    (lambda f: {"bias": halved(bias(f))}, {"kernel.precision"}),
]


@pytest.mark.parametrize("index", range(len(TWO)))
def test_mistakes_in_one_layer_are_all_named_and_none_twice(file, index):
    changes, wanted = TWO[index]
    found = explained(file, **changes(file))
    assert set(codes(found.causes)) == wanted
    assert len(found.causes) == len(wanted)
    assert found.before.exceeding > 0


def test_an_explanation_that_is_complete_says_so(file):
    found = explained(file, kernel=kernel(file).T)
    assert found.is_explained
    assert found.after.error < 1e-9 < found.before.error
    assert found.tried > 1


def test_an_explanation_that_is_not_complete_says_so(file):
    found = explained(file, activation=lambda z: np.sin(3 * z))
    assert not found.is_explained
    assert "unexplained" in codes(found.causes) or "activation.replaced" in codes(found.causes)


@pytest.mark.parametrize(
    "activation", ["tanh", "linear", "sigmoid", "softsign", "softplus", "relu", "elu", "selu", "gelu"]
)
def test_weights_that_are_not_shown_are_read_out(activation):
    file = steps(SHAPES, activation)
    one = suspect(file, 1, hidden=True)
    assert one.kernel is None
    recovered = recover_affine(one)
    assert recovered is not None
    assert np.allclose(recovered[1], kernel(file), atol=1e-2)
    assert np.allclose(recovered[2], bias(file), atol=1e-2)


def test_weights_behind_something_that_cannot_be_inverted_are_not_read_out():
    file = steps(SHAPES)
    assert recover_affine(suspect(file, 1, hidden=True, activation=lambda z: np.sin(2e4 * z))) is None


@pytest.mark.parametrize("function", [np.square, lambda z: np.sin(20 * z), lambda z: np.sin(2e4 * z)])
def test_a_function_that_nobody_knows_behind_hidden_weights_is_no_other_mistake(file, function):
    found = explained(file, hidden=True, activation=function)
    assert set(codes(found.causes)) <= {"unexplained", "activation.replaced"}
    assert found.causes and not found.is_explained


@pytest.mark.parametrize("own", ["tanh", "relu", "softplus"])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (lambda f: {"kernel": kernel(f).T}, "kernel.transposed"),
        (lambda f: {"kernel": kernel(f)[::-1]}, "kernel.flipped"),
        (lambda f: {"kernel": np.roll(kernel(f), 1, axis=1), "bias": np.roll(bias(f), 1)}, "units.permuted"),
        (lambda f: {"kernel": np.roll(kernel(f), 1, axis=0)}, "units.permuted"),
        (lambda f: {"bias": np.zeros(6)}, "bias.missing"),
        (lambda f: {"bias": -bias(f)}, "bias.negated"),
        (lambda f: {"activation": "sigmoid"}, "activation.replaced"),
        (lambda f: {"activation": "elu"}, "activation.replaced"),
        (lambda f: {"activation": "linear"}, "activation.missing"),
        (lambda f: {"kernel": kernel(f, 0), "bias": bias(f, 0)}, "layers.swapped"),
    ],
)
def test_mistakes_are_named_where_weights_are_not_shown(own, changes, code):
    file = steps(SHAPES, own)
    assert codes(explained(file, hidden=True, **changes(file)).causes) == [code]


def one_sign(array):
    """The largest number with the other sign."""
    changed = array.copy()
    changed.flat[np.argmax(np.abs(array))] *= -1
    return changed


@pytest.mark.parametrize(
    ("own", "changes", "wanted"),
    [
        ("relu", lambda f: {"kernel": np.full((6, 6), 0.3)}, {"kernel.unset"}),
        ("relu", lambda f: {"kernel": kernel(f) * (np.arange(6) > 1)}, {"kernel.values"}),
        ("relu", lambda f: {"kernel": np.zeros((6, 6))}, {"kernel.unset"}),
        ("tanh", lambda f: {"bias": np.full(6, bias(f)[0])}, {"bias.values"}),
        ("tanh", lambda f: {"kernel": one_sign(kernel(f)), "activation": "elu"},
         {"kernel.values", "activation.replaced"}),
        ("relu", lambda f: {"kernel": one_sign(kernel(f)), "bias": -bias(f)}, {"kernel.values", "bias.negated"}),
        ("softmax", lambda f: {"activation": "relu6"}, {"activation.replaced"}),
        ("tanh", lambda f: {"activation": "softmax"}, {"activation.replaced"}),
    ],
)  # fmt: skip
def test_what_is_read_out_of_a_layer_that_hides_its_arrays_is_told(own, changes, wanted):
    file = steps(SHAPES, own)
    found = explained(file, hidden=True, **changes(file))
    assert set(codes(found.causes)) - {"unexplained"} == wanted


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("own", ["relu", "gelu", "elu"])
def test_small_arrays_are_read_out_as_large_ones_are(own, dtype):
    small = [replace(step, weights=step.weights / 1024, bias=step.bias / 1024) for step in steps(SHAPES, own)]
    assert codes(explained(small, hidden=True, dtype=dtype, bias=-bias(small)).causes) == ["bias.negated"]
    recovered = recover_affine(suspect(small, 1, hidden=True, dtype=dtype))
    assert recovered is not None
    assert np.allclose(recovered[2], bias(small), rtol=0, atol=1e-3 * np.abs(bias(small)).max())


def test_few_columns_in_another_order_are_read_out():
    file = steps([(9, 2), (2, 2), (2, 2)], "relu")
    order = np.random.default_rng(1).permutation(9)
    assert codes(explained(file, 0, hidden=True, kernel=kernel(file, 0)[order]).causes) == ["inputs.permuted"]


def test_arrays_are_not_read_out_under_an_activation_that_only_begins_alike():
    """A scaled tanh is a straight line, a little steeper, on small preactivations."""
    small = [replace(step, weights=step.weights / 1024, bias=step.bias / 1024) for step in steps(SHAPES, "linear")]
    scaled = Activation("scaled_tanh")
    assert recover_affine(suspect(small, 1, hidden=True, activation=lambda z: 1.7 * np.sin(z))) is None
    assert codes(explained(small, hidden=True, activation=scaled, kernel=one_sign(kernel(small))).causes) == [
        "unexplained"
    ]


def test_what_is_finer_than_numbers_read_out_stays_open_beside_another_activation(file):
    changed = kernel(file) * (1 + 1e-4 * np.random.default_rng(0).standard_normal((6, 6)))
    found = explained(file, hidden=True, kernel=changed, activation="elu")
    assert codes(found.causes) == ["activation.replaced", "unexplained"] and not found.is_explained


def behind(name, function, *, kind="other", training=False):
    return Atom((name,), kind, function, 1, 2, Precision("float64", "float64"), is_training=training)


def test_a_piece_behind_the_layer_is_named(file):
    stray = behind("stray", lambda x: 2 * x, kind="affine")
    (cause,) = explained(file, behind=[stray]).causes
    assert "stray" in cause.message and "take" in cause.remedy
    assert cause.layer == "Layer2"


def test_a_piece_in_training_mode_is_named_with_what_else_is_wrong(file):
    rng = np.random.default_rng(0)
    drop = behind("drop", lambda x: x * (rng.random(x.shape) > 0.3) / 0.7, training=True)
    assert codes(explained(file, behind=[drop]).causes) == ["mode.training"]
    both = codes(explained(file, behind=[drop], bias=-bias(file)).causes)
    assert set(both) == {"mode.training", "bias.negated"}


def test_what_only_the_weights_show_is_named_beside_training_mode(file):
    """One unit in the last place but one of float64: the outputs stay within the bound."""
    changed = kernel(file).copy()
    changed[2, 3] *= 1 + 2.0**-50
    assert codes(explained(file, kernel=changed, behind=[]).causes) == ["kernel.values"]
    drop = behind("drop", np.asarray, training=True)
    assert set(codes(explained(file, kernel=changed, behind=[drop]).causes)) == {"mode.training", "kernel.values"}


# --- what several layers have in common -----------------------------------------------------------------------------


def shared(file, order):
    """The port has the arrays of these layers, by position."""
    found = {}
    for position, source in enumerate(order):
        if position != source:
            arrays = {"kernel": kernel(file, source), "bias": bias(file, source)}
            found[f"Layer{position + 1}"] = explained(file, position, **arrays)
    layers = [Stored.of(step) for step in file]
    return {name: codes(one.causes) for name, one in share_out(found, layers).items()}


def test_two_layers_exchanged(file):
    assert shared(file, [1, 0, 2]) == {"Layer1": ["layers.swapped"], "Layer2": ["layers.swapped"]}


def test_three_layers_in_a_circle(file):
    assert set(map(tuple, shared(file, [1, 2, 0]).values())) == {("layers.swapped",)}


def test_a_layer_that_comes_twice(file):
    assert shared(file, [0, 0, 2]) == {"Layer2": ["layers.repeated"]}


def test_nothing_is_said_of_the_own_place_of_a_layer_that_nobody_can_read(file):
    found = {
        "Layer1": explained(file, 0, kernel=kernel(file, 1), bias=bias(file, 1)),
        "Layer2": explained(file, 1, hidden=True, activation=lambda z: np.sin(2e4 * z)),
    }
    layers = [Stored.of(step) for step in file]
    assert codes(share_out(found, layers)["Layer1"].causes) == ["layers.swapped"]
    assert codes(share_out({"Layer1": found["Layer1"]}, layers)["Layer1"].causes) == ["layers.repeated"]


def test_layers_sorted_as_text_are_said_to_be():
    file = steps([(4, 4)] * 12)
    names = [step.name for step in file]
    found = {}
    for position, source in enumerate(names.index(name) for name in sorted(names)):
        if position != source:
            one = explained(file, position, kernel=kernel(file, source), bias=bias(file, source))
            found[names[position]] = one
    result = share_out(found, [Stored.of(step) for step in file])
    assert len(result) == 11
    assert all("sorted as text, Layer10 before Layer2" in one.causes[0].message for one in result.values())


# --- codes ----------------------------------------------------------------------------------------------------------


def test_a_cause_has_a_known_code():
    assert Cause("kernel.values", "Layer1", "m", "r").code in CODES
    with pytest.raises(KeyError, match=r"no finding code 'kernel\.wrong'; known are"):
        Cause("kernel.wrong", "Layer1", "m", "r")


def test_every_code_of_the_contract_is_there():
    contract = """
    kernel.transposed kernel.reshaped kernel.flipped kernel.axes kernel.values kernel.precision kernel.unset
    bias.missing bias.negated bias.values biases.swapped
    activation.replaced activation.missing activation.added activation.parameter
    units.permuted inputs.permuted outputs.permuted layers.swapped layers.missing layers.repeated
    scaling.missing scaling.range scaling.inverted scaling.swapped transform.replaced
    batch_norm.epsilon batch_norm.order recurrent.gates recurrent.reset_after recurrent.activation
    padding strides pooling flatten.order graph.edge mode.training
    mask.missing mask.value state.missing precision.port reading.contradicted unexplained
    """
    assert set(contract.split()) <= set(CODES)
    assert all(CODES.values())
