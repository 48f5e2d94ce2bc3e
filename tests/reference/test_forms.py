"""Activations written out: every float32 evaluation lies within the bound of its form, and little more does."""

from __future__ import annotations

import numpy as np
import pytest

from reference.activations import Activation
from reference.composed.forms import equivalent_forms
from reference.operations.dense import Dense
from reference.precision import Precision
from reference.rounding.bounds import allowed_error
from reference.rounding.constants import BY_SIGMOID

F = np.float32
PRECISION = Precision("float32", "float32")


def layer(name):
    return Dense("l", ("i",), np.ones((1, 1)), None, Activation(name), "inputs-first")


def quotient(z):
    return (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))


def one_exponential(z):
    return (F(1) - np.exp(F(-2) * z)) / (F(1) + np.exp(F(-2) * z))


def sigmoid(z):
    return F(2) / (F(1) + np.exp(F(-2) * z)) - F(1)


def logarithm(z):
    return np.log(F(1) + np.exp(z))


QUOTIENT = "a quotient of exponentials"
CASES = (
    ("tanh", QUOTIENT, quotient), ("tanh", QUOTIENT, one_exponential), ("tanh", BY_SIGMOID, sigmoid),
    ("softplus", "log(1 + exp(x))", logarithm),
)  # fmt: skip


@pytest.mark.parametrize(("name", "form", "written"), CASES)
def test_every_evaluation_lies_within_the_bound_of_its_form(name, form, written):
    step = next(each for each in equivalent_forms(layer(name)) if each.activation.form == form)
    z = np.concatenate([np.linspace(-12, 12, 400_001), np.geomspace(1e-8, 1, 20_000)]).astype(F)
    z = np.concatenate([z, -z])[:, np.newaxis]
    trace = step(z.astype(np.float64))
    allowed = allowed_error(step, (z.astype(np.float64),), trace, PRECISION)
    error = np.abs(written(z).astype(np.float64) - trace.outputs)
    assert np.all(error <= allowed)
    assert np.max(error / allowed) > 0.02  # not so wide that it says nothing
    assert np.max(allowed / (1 + np.abs(trace.outputs))) < 4e-6
    plain = allowed_error(layer(name), (z.astype(np.float64),), layer(name)(z.astype(np.float64)), PRECISION)
    assert np.any(error > plain) or form == BY_SIGMOID  # it is a form of its own


@pytest.mark.parametrize("name", ["relu", "linear", "sigmoid", "softsign"])
def test_other_activations_have_no_other_form(name):
    assert list(equivalent_forms(layer(name))) == []


def test_a_form_has_no_other_forms():
    assert all(not list(equivalent_forms(form)) for form in equivalent_forms(layer("tanh")))
