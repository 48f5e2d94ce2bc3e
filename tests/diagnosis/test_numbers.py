"""Arrays against arrays."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from porter.examination.numbers import (
    column_order,
    describe_entries,
    describe_permutation,
    equal_within_ulp,
    match_vectors,
    rounded,
    rounding_rules,
    ulp,
)

DTYPES = ["float64", "float32", "float16"]


@pytest.mark.parametrize("dtype", DTYPES)
@given(value=st.floats(1e-4, 6e4))
def test_an_ulp_is_the_distance_to_the_next_number_above(dtype, value):
    number = np.array(value).astype(dtype)
    assert ulp(number.astype(np.float64), dtype) == float(np.nextafter(number, np.array(np.inf, dtype))) - float(number)


def test_an_ulp_of_bfloat16_and_of_nothing():
    assert ulp(np.array([1.0, 2.0, 0.0]), "bfloat16") == pytest.approx([2**-7, 2**-6, 2**-133])
    assert ulp(np.array([0.0]), "float32") == 2.0**-149


@pytest.mark.parametrize("dtype", DTYPES)
@given(value=st.floats(-1e3, 1e3))
def test_equal_within_one_ulp_just_inside_and_just_outside(dtype, value):
    stored = np.array([value])
    held = stored.astype(dtype)
    assume(abs(value) > 1e-5 if dtype == "float16" else abs(value) >= np.finfo(dtype).tiny)
    for steps, equal in ((0, True), (1, True), (3, False)):
        found = held.copy()
        for _ in range(steps):
            found = np.nextafter(found, np.array(np.inf, dtype))
        assert equal_within_ulp(found.astype(np.float64), stored, dtype)[0] == equal


@pytest.mark.parametrize(
    ("dtype", "normal"), [("float64", 2.0**-1022), ("float32", 2.0**-126), ("bfloat16", 2.0**-126)]
)
def test_what_is_too_small_to_be_normal_may_be_zero(dtype, normal):
    stored = np.array([normal / 2, -normal / 4, normal, normal / 2])
    found = np.array([0.0, -0.0, 0.0, normal])
    assert equal_within_ulp(found, stored, dtype).tolist() == [True, True, False, False]
    assert match_vectors(found[None, [0, 1]], stored[None, [0, 1]], partial(equal_within_ulp, dtype=dtype)) is not None


def test_float16_is_not_flushed():
    assert not equal_within_ulp(np.zeros(1), np.array([2.0**-20]), "float16")[0]


def test_what_is_no_number_equals_nothing_finite():
    assert not equal_within_ulp(np.array([np.nan, np.inf]), np.array([1.0, 1.0]), "float32").any()


def test_rounding_to_bfloat16_goes_to_the_nearest():
    assert rounded(np.array([1.0, 1 + 2**-8 + 2**-20, 1 + 3 * 2**-8]), "bfloat16").tolist() == [
        1.0,
        1 + 2**-7,
        1 + 2**-6,
    ]


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 1000), st.booleans())
def test_vectors_are_matched_in_any_order_and_with_signs(n, m, seed, signs):
    rng = np.random.default_rng(seed)
    stored = rng.standard_normal((n, m))
    order, sign = rng.permutation(n), rng.choice([-1.0, 1.0], n) if signs else np.ones(n)
    found = sign[:, None] * stored[order]
    match = match_vectors(found, stored, partial(equal_within_ulp, dtype="float64"), signs=signs)
    assert match is not None
    assert np.array_equal(match[1][:, None] * stored[match[0]], found)


def test_equal_rows_stay_where_they_are():
    stored = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]])
    assert match_vectors(stored, stored, partial(equal_within_ulp, dtype="float64"))[0].tolist() == [0, 1, 2]


def test_a_row_without_a_partner_matches_nothing():
    stored = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert match_vectors(np.array([[3.0, 4.0], [9.0, 9.0]]), stored, partial(equal_within_ulp, dtype="float64")) is None
    assert match_vectors(np.array([[1.0, 2.0], [1.0, 2.0]]), stored, partial(equal_within_ulp, dtype="float64")) is None
    assert match_vectors(-stored, stored, partial(equal_within_ulp, dtype="float64")) is None


def test_the_order_of_columns_is_told_by_moving_one_at_a_time():
    base, moved = np.zeros(4), np.ones(4)
    order = np.array([2, 0, 3, 1])
    assert column_order(lambda x: 3 * x[:, order] + 1, base, moved).tolist() == order.tolist()
    assert column_order(lambda x: x, base, moved).tolist() == [0, 1, 2, 3]
    for mixed in (lambda x: x @ np.ones((4, 4)), np.zeros_like, lambda x: x[:, :2], lambda x: x[:, [0, 0, 1, 2]]):
        assert column_order(mixed, base, moved) is None


def test_permutations_in_words():
    assert describe_permutation(np.array([1, 0, 2]), "units") == "units 0 and 1 are exchanged"
    assert describe_permutation(np.array([3, 2, 1, 0]), "inputs") == "the inputs stand in reverse order"
    text = describe_permutation(np.array([1, 2, 0, 3]), "units")
    assert text == "3 of 4 units stand elsewhere (the first: 0 holds 1)"


def test_entries_in_words():
    found, wanted = np.arange(6.0).reshape(2, 3), np.zeros((2, 3))
    assert describe_entries(found, wanted, found == 5) == "1 of 6 entries differs: [1, 2] 5 for 0"
    assert describe_entries(found, wanted, found > 0).endswith("...")
    assert describe_entries(found, wanted, found > 0).startswith("5 of 6 entries differ: [0, 1] 1 for 0")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_rounding_rules_are_silent_on_any_number(dtype):
    values = np.array([0.0, -0.0, 1.5, -2.25, 1e-300, 1e300, np.inf, -np.inf, np.nan, 123456.789])
    names = []
    for name, rule in rounding_rules(dtype):
        names.append(name)
        assert rule(values).shape == values.shape
    assert len(names) == len(set(names))
    assert f"rounded to {dtype}" not in names


def test_rounding_rules_do_what_they_say():
    rules = dict(rounding_rules("float32"))
    values = np.array([123.456789, -0.00123456789])
    assert rules["printed with 4 significant digits"](values) == pytest.approx([123.5, -0.001235], abs=1e-15)
    assert rules["rounded to 3 decimals"](values).tolist() == [123.457, -0.001]
    assert rules["rounded to integers"](values).tolist() == [123.0, -0.0]
    assert rules["cut to integers"](values).tolist() == [123.0, -0.0]
    assert rules["rounded to float16"](values).tolist() == values.astype(np.float16).astype(float).tolist()
    assert rules["cut to bfloat16"](np.array([1 + 2**-7 + 2**-8])).tolist() == [1 + 2**-7]
