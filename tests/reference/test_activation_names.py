"""Spellings of activations, as the reference understands them by itself."""

from __future__ import annotations

import pytest

from porter.network import activations as ported
from reference.activation_names import ALIASES, parse_activation
from reference.activations import FUNCTIONS, Activation


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        ("tanh", "tanh", {}),
        (" Tansig ", "tanh", {}),
        ("leaky-relu(negative_slope=0.1)", "leaky_relu", {"negative_slope": 0.1}),
        ("relu(max_value=6, negative_slope=1e-2)", "relu", {"max_value": 6, "negative_slope": 0.01}),
        ("softmax(axis=-1)", "softmax", {"axis": -1}),
        ("elu()", "elu", {}),
    ],
)
def test_spellings(text, name, parameters):
    assert parse_activation(text) == Activation(name, parameters)


def test_whole_numbers_stay_whole():
    assert isinstance(parse_activation("softmax(axis=1)").parameters["axis"], int)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tann", "no such name; known are"),
        ("tanh(", "expected name or name"),
        ("", "expected name or name"),
        ("elu(beta=1)", "no parameter 'beta'; known are alpha"),
        ("tanh(x=1)", "no parameter 'x'; known are none"),
        ("elu(alpha)", "is not parameter=number"),
        ("elu(alpha=nan)", "is not parameter=number"),
        ("elu(alpha=__import__)", "is not parameter=number"),
        ("elu(alpha=1, alpha=2)", "is not parameter=number, once"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(ValueError, match=message):
        parse_activation(text)


def test_both_sides_know_the_same_spellings():
    """The two readings are written apart; a spelling that only one knows would stop a verification."""
    assert dict(ALIASES) == dict(ported.ALIASES)
    assert not set(ALIASES) & set(FUNCTIONS)
    for text in [*ALIASES, *FUNCTIONS, "elu(alpha=0.5)", "relu(max_value=6)"]:
        assert parse_activation(text) == ported.parse_activation(text)
