"""Element by element within what is allowed: just inside, just outside, and everything that is no number."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from porter.examination.compare import Comparison, compare_outputs, merge_comparisons

WANTED = np.array([[1.0, -2.0], [0.0, 4.0], [3.0, 0.5]])
ALLOWED = np.full(WANTED.shape, 2.0**-20)


def spoilt(value, place=(1, 1)):
    actual = WANTED.copy()
    actual[place] = value
    return actual


def test_equal_arrays_agree():
    found = compare_outputs(WANTED, WANTED.copy(), ALLOWED)
    assert found.is_parity
    assert (found.elements, found.exceeding, found.ratio, found.error) == (6, 0, 0.0, 0.0)


@pytest.mark.parametrize(("times", "agrees"), [(0.999999, True), (1.0, True), (1.000001, False), (2.0, False)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_just_inside_and_just_outside(times, agrees, sign):
    actual = np.zeros((3, 2))
    actual[1, 1] = sign * times * 2.0**-20
    found = compare_outputs(np.zeros((3, 2)), actual, ALLOWED)
    assert found.is_parity is agrees
    assert found.exceeding == (0 if agrees else 1)
    assert found.ratio == pytest.approx(times)


def test_the_worst_element_is_the_one_with_the_largest_ratio_not_the_largest_error():
    allowed = ALLOWED.copy()
    allowed[0, 0] = 1.0
    actual = WANTED.copy()
    actual[0, 0] += 0.5
    actual[2, 1] += 1e-3
    found = compare_outputs(WANTED, actual, allowed, probes="basis probes")
    assert found.index == (2, 1)
    assert found.where == "basis probes, row 2, unit 1"
    assert (found.expected, found.actual) == (0.5, 0.501)
    assert found.error == pytest.approx(1e-3)
    assert found.allowed == 2.0**-20
    assert found.exceeding == 1


def test_the_relative_tolerance_refers_to_the_units_largest_value():
    found = compare_outputs(WANTED, spoilt(4.4), ALLOWED)
    assert found.span == 4.0
    assert found.rtol == pytest.approx(0.1)


def test_the_relative_tolerance_of_a_unit_that_is_always_zero_is_infinite():
    found = compare_outputs(np.zeros((2, 1)), np.array([[0.0], [1.0]]), np.zeros((2, 1)))
    assert found.rtol == np.inf
    assert Comparison().rtol == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_on_one_side_exceeds_every_finite_bound(value):
    for allowed in (ALLOWED, np.full(WANTED.shape, 1e300)):
        found = compare_outputs(WANTED, spoilt(value), allowed)
        assert not found.is_parity
        assert found.exceeding == 1
        assert found.index == (1, 1)


def test_nothing_is_allowed_where_the_bound_is_not_a_number():
    allowed = ALLOWED.copy()
    allowed[1, 1] = np.nan
    assert not compare_outputs(WANTED, spoilt(4.0000001), allowed).is_parity
    assert compare_outputs(WANTED, WANTED, allowed).is_parity


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_where_the_reference_itself_is_no_number_nothing_is_compared(value):
    """It is counted as left out, not as agreeing."""
    found = compare_outputs(spoilt(value), spoilt(value), ALLOWED)
    assert (found.elements, found.inevitable, found.exceeding) == (5, 1, 0)


UNHELD = np.zeros(WANTED.shape, bool)
UNHELD[1, 1] = True


def test_an_overflow_that_the_dtype_makes_inevitable_is_left_out():
    found = compare_outputs(spoilt(7e4), spoilt(np.inf), ALLOWED, unheld=UNHELD)
    assert (found.elements, found.inevitable, found.exceeding) == (5, 1, 0)
    assert found.is_parity


def test_an_overflow_that_the_dtype_does_not_explain_exceeds():
    assert compare_outputs(spoilt(6e4), spoilt(np.inf), ALLOWED).exceeding == 1
    elsewhere = np.roll(UNHELD, 1, axis=0)
    assert compare_outputs(spoilt(6e4), spoilt(np.inf), ALLOWED, unheld=elsewhere).exceeding == 1


def test_where_everything_is_left_out_there_is_no_parity():
    found = compare_outputs(np.full((3, 2), 1e9), np.full((3, 2), np.inf), ALLOWED, unheld=np.ones((3, 2), bool))
    assert (found.elements, found.inevitable) == (0, 6)
    assert not found.is_parity


def test_a_zero_bound_allows_only_equality():
    zero = np.zeros_like(WANTED)
    assert compare_outputs(WANTED, WANTED, zero).is_parity
    assert compare_outputs(WANTED, spoilt(np.nextafter(4.0, 5.0)), zero).exceeding == 1
    assert compare_outputs(np.zeros((1, 1)), np.full((1, 1), -0.0), np.zeros((1, 1))).is_parity


def test_an_infinite_bound_allows_anything_and_therefore_compares_nothing():
    found = compare_outputs(WANTED, spoilt(np.nan), np.full(WANTED.shape, np.inf))
    assert (found.elements, found.exceeding) == (0, 0)
    assert not found.is_parity
    allowed = ALLOWED.copy()
    allowed[1, 1] = np.inf
    found = compare_outputs(WANTED, spoilt(np.nan), allowed)
    assert (found.elements, found.exceeding) == (5, 0)


@pytest.mark.parametrize("shape", [(3, 1), (3, 3), (2, 2), (6,), (3, 2, 1), (0, 2)])
def test_another_shape_never_agrees(shape):
    found = compare_outputs(WANTED, np.zeros(shape), ALLOWED)
    assert not found.is_parity
    assert found.exceeding == found.elements == 6
    assert found.where == f"shape {shape} for (3, 2)"


def test_nothing_against_nothing_is_no_parity():
    found = compare_outputs(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2)))
    assert found == Comparison()
    assert not found.is_parity


def test_something_where_nothing_is_expected_never_agrees():
    assert not compare_outputs(np.zeros((0, 2)), np.ones((3, 2)), np.zeros((0, 2))).is_parity


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_float_dtype_may_come_from_the_port(dtype):
    assert compare_outputs(WANTED, WANTED.astype(dtype), ALLOWED).is_parity


def test_more_axes_than_two():
    expected = np.zeros((2, 3, 4))
    actual = expected.copy()
    actual[1, 2, 3] = 1.0
    found = compare_outputs(expected, actual, np.full(expected.shape, 1e-9))
    assert found.index == (1, 2, 3)
    assert found.where == "rows, row 1, unit 2, 3"


def test_merging_adds_up_and_keeps_the_worst():
    good = compare_outputs(WANTED, WANTED, ALLOWED, probes="good")
    bad = compare_outputs(WANTED, spoilt(4.5), ALLOWED, probes="bad")
    left_out = compare_outputs(spoilt(np.nan), WANTED, ALLOWED, probes="left out")
    for order in ([good, bad, left_out], [left_out, bad, good], [bad, good, left_out]):
        found = merge_comparisons(order)
        assert (found.elements, found.exceeding, found.inevitable) == (17, 1, 1)
        assert found.where == "bad, row 1, unit 1"
        assert not found.is_parity


def test_merging_nothing_is_no_parity():
    assert merge_comparisons([]) == Comparison()
    assert not merge_comparisons([]).is_parity
    assert not merge_comparisons([Comparison(), Comparison()]).is_parity


def test_merging_takes_an_iterator_once():
    assert merge_comparisons(compare_outputs(WANTED, WANTED, ALLOWED) for _ in range(3)).elements == 18


FLOATS = hnp.arrays(np.float64, (3, 2), elements=st.floats(width=32))


@given(FLOATS, FLOATS, hnp.arrays(np.float64, (3, 2), elements=st.floats(0, 1e30)))
def test_it_is_silent_and_total_and_agrees_with_the_definition(expected, actual, allowed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare_outputs(expected, actual, allowed)
    exceeding = left_out = 0
    for a, b, limit in zip(expected.flat, actual.flat, allowed.flat, strict=True):
        if not np.isfinite(a):
            left_out += 1
        elif not np.isfinite(b) or abs(b - a) > limit:
            exceeding += 1
    assert (found.elements, found.exceeding, found.inevitable) == (6 - left_out, exceeding, left_out)
    assert (found.ratio > 1) == (exceeding > 0)
