"""How a bias came about."""

from __future__ import annotations

import numpy as np
import pytest

from porter.diagnosis.biases import explain_bias
from porter.examination.suspect import Stored
from tests.diagnosis.suspects import codes, steps, suspect


@pytest.fixture
def file():
    return steps([(5, 6), (6, 6), (6, 6)])


def explained(file, bias, columns=None, **options):
    return explain_bias(suspect(file, 1, bias=bias, **options), columns)


def own(file, position=1):
    return Stored.of(file[position]).bias.copy()


def test_the_right_bias_has_no_cause(file):
    found = explained(file, own(file))
    assert found.causes == () and found.source == "Layer2"


def test_one_unit_in_the_last_place_off_has_no_cause_and_two_have(file):
    bias = own(file)
    bias[3] = np.nextafter(bias[3], 9)
    assert explained(file, bias).causes == ()
    bias[3] = np.nextafter(bias[3], 9)
    assert codes(explained(file, bias).causes) == ["bias.values"]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda bias: None, "bias.missing", "the layer has no bias"),
        (np.zeros_like, "bias.missing", "zero throughout"),
        (np.negative, "bias.negated", "opposite sign"),
        (lambda bias: 2 * bias, "bias.values", "added twice"),
        (lambda bias: bias[::-1], "bias.values", "reverse order"),
        (lambda bias: np.full_like(bias, bias[0]), "bias.values", "first element of the stored array"),
        (lambda bias: np.full_like(bias, 0.25), "bias.values", "constant initializer"),
        (lambda bias: bias[[1, 0, 2, 3, 4, 5]], "bias.values", "entries 0 and 1 are exchanged"),
        (lambda bias: bias.astype(np.float16).astype(float), "bias.values", "rounded to float16"),
        (lambda bias: bias + np.eye(6)[2], "bias.values", "1 of 6 entries differs: [2]"),
    ],
)
def test_each_change_is_called_by_its_name(file, change, code, words):
    (cause,) = explained(file, change(own(file))).causes
    assert cause.code == code
    assert cause.layer == "Layer2"
    assert words in cause.message


@pytest.mark.parametrize("other", [0, 2])
def test_the_bias_of_another_layer_is_known_as_that(file, other):
    found = explained(file, own(file, other))
    assert codes(found.causes) == ["biases.swapped"]
    assert found.source == f"Layer{other + 1}"


def test_equal_biases_exchanged_are_right(file):
    file[0] = type(file[0])("Layer1", (), file[0].weights, file[1].bias, file[0].activation)
    assert explained(file, own(file, 0)).causes == ()


def test_a_bias_that_moved_with_its_units_is_right(file):
    order = np.array([3, 1, 2, 0, 4, 5])
    assert explained(file, own(file)[order], order).causes == ()
    assert codes(explained(file, own(file)[order]).causes) == ["bias.values"]


def test_a_layer_without_bias_in_the_file(file):
    file[1] = type(file[1])("Layer2", (), file[1].weights, None, file[1].activation)
    assert explained(file, None).causes == ()
    assert explained(file, np.zeros(6)).causes == ()
    (cause,) = explained(file, np.arange(6.0)).causes
    assert cause.code == "bias.values" and "where the file has none" in cause.message


def test_the_remedy_builds_a_bias_where_there_is_none(file):
    (absent,) = explained(file, None).causes
    (zero,) = explained(file, np.zeros(6)).causes
    assert '"use_bias": True' in absent.remedy
    assert absent.remedy.endswith('model.get_layer("dense").bias.assign(network.layer("Layer2").bias)')
    assert zero.remedy == 'model.get_layer("dense").bias.assign(network.layer("Layer2").bias)'
