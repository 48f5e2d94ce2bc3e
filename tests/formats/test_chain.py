"""What shapes prove about orientation, widths and order, and what they leave open."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porter.errors import WidthError
from porter.formats.chain import LayerShape, chains, order_is_proven


def shapes(*kernels, biases=True):
    return [
        LayerShape(f"Layer{number}", kernel, kernel[0] if biases else None)
        for number, kernel in enumerate(kernels, start=1)
    ]


def test_biases_fix_the_direction():
    assert chains("net.h5", shapes((5, 3), (3, 5))) == ((3, 5, 3),)


def test_without_biases_a_palindrome_chains_both_ways_units_first_before_inputs_first():
    assert chains("net.h5", shapes((5, 3), (3, 5), biases=False)) == ((3, 5, 3), (5, 3, 5))


def test_a_single_layer_without_bias():
    assert chains("net.h5", shapes((5, 3), biases=False)) == ((3, 5), (5, 3))


def test_mixed_orientations_chain():
    layers = [LayerShape("Layer1", (5, 3), 5), LayerShape("Layer2", (5, 4), 4)]
    assert chains("net.h5", layers) == ((3, 5, 4),)
    assert [layer.orientation(*pair) for layer, pair in zip(layers, ((3, 5), (5, 4)), strict=True)] == [
        "units-first",
        "inputs-first",
    ]


def test_a_square_kernel_has_no_orientation_by_shape():
    assert LayerShape("Layer1", (4, 4), 4).orientation(4, 4) is None


def test_what_does_not_chain_is_named_where_it_breaks():
    with pytest.raises(WidthError) as caught:
        chains("net.h5", shapes((5, 3), (4, 5), (2, 6)))
    message = str(caught.value)
    assert "net.h5: Layer3 (kernel 2 x 6, 2 biases) cannot follow Layer2 (kernel 4 x 5, 4 biases)" in message
    assert "takes 6 inputs" in message
    assert "4, the units of Layer2" in message


def test_order_proven_by_shape():
    assert order_is_proven(shapes((5, 3), (4, 5), (2, 4)), {})


def test_order_open_where_two_layers_have_the_same_shape():
    assert not order_is_proven(shapes((5, 5), (5, 5), (2, 5)), {})


def test_order_open_where_another_order_chains_and_proven_again_by_stated_widths():
    layers = shapes((111, 111), (57, 111), (111, 57), (107, 111))
    assert not order_is_proven(layers, {})
    assert order_is_proven(layers, dict(enumerate((111, 111, 57, 111, 107))))


def test_an_unbiased_chain_could_be_run_backwards():
    assert not order_is_proven(shapes((5, 3), (4, 5), biases=False), {})
    assert order_is_proven(shapes((5, 3), (4, 5), biases=False), {0: 3})


def test_a_search_that_would_take_too_long_proves_nothing():
    """Layers from a hub of width 9 and back: every order of the round trips chains."""
    trips = [((width, 9), (9, width)) for width in range(10, 40)]
    assert not order_is_proven(shapes(*itertools.chain(*trips)), {})


@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.booleans())
def test_a_proven_order_is_the_only_one_by_brute_force(widths, biases):
    layers = shapes(*((units, inputs) for inputs, units in itertools.pairwise(widths)), biases=biases)
    orders = 0
    for order in itertools.permutations(layers):
        try:
            chains("net.h5", order)
        except WidthError:
            continue
        orders += 1
    assert order_is_proven(layers, {}) == (orders == 1)
