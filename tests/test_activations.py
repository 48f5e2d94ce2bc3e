"""Spellings of activations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porter.errors import UnknownActivationError
from porter.network.activations import ALIASES, format_activation, parse_activation
from reference import activation_names
from reference.activations import FUNCTIONS, Activation


@pytest.mark.parametrize(
    "text", [*FUNCTIONS, *ALIASES, "leaky_relu(negative_slope=0.1)", " ReLU ( max_value = 6 ) ", "Hard-Tanh"]
)
def test_both_sides_take_a_spelling_for_the_same(text):
    """Porter and the reference have tables of their own; what one understands, so does the other."""
    assert parse_activation(text) == activation_names.parse_activation(text)


def test_no_alias_is_known_to_one_side_only():
    assert set(ALIASES) == set(activation_names.ALIASES)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_digit_of_a_parameter_is_kept(slope):
    activation = Activation("leaky_relu", {"negative_slope": slope})
    assert parse_activation(format_activation(activation)) == activation


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "known"),
        ("tahn", "softsign, softplus"),
        ("os.system", "is not known"),
        ("tanh(1)", "no parameters"),
        ("leaky_relu(0.1)", "negative_slope=NUMBER"),
        ("leaky_relu(slope=0.1)", "'slope=0.1' is not a parameter that leaky_relu takes"),
        ("leaky_relu(negative_slope=__import__('os'))", "not a parameter"),
        ("leaky_relu(negative_slope=1e999)", "not a parameter"),
        ("elu(alpha=1, alpha=2)", "'alpha=2'"),
    ],
)
def test_refusals(text, says):
    with pytest.raises(UnknownActivationError) as caught:
        parse_activation(text)
    assert says in str(caught.value)
