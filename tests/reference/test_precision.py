"""Rounding to the formats that ports compute in."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from reference.precision import FORMATS, Precision, round_to

RNG = np.random.default_rng(2)
NUMBERS = np.concatenate(
    [RNG.normal(size=5000) * 10.0 ** RNG.integers(-44, 39, 5000), [0.0, -0.0, np.inf, -np.inf, np.nan]]
)


@pytest.mark.parametrize(
    ("name", "dtype"), [("bfloat16", ml_dtypes.bfloat16), ("float16", np.float16), ("float32", np.float32)]
)
def test_to_nearest_even(name, dtype):
    with np.errstate(over="ignore"):
        expected = NUMBERS.astype(np.float32).astype(dtype) if name == "bfloat16" else NUMBERS.astype(dtype)
    np.testing.assert_array_equal(round_to(NUMBERS, name), expected.astype(np.float64))


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name):
    form = FORMATS[name]
    assert round_to(np.array([form.largest]), name)[0] == form.largest
    assert round_to(np.array([1 + form.unit]), name)[0] == 1
    assert round_to(np.array([1 + 3 * form.unit]), name)[0] > 1 + form.unit or name == "float64"


def test_the_error_of_a_variable_is_exact():
    weights = RNG.normal(size=100)
    error = Precision("float32", "float32").variable_error(weights)
    np.testing.assert_array_equal(error, np.abs(weights.astype(np.float32).astype(np.float64) - weights))
    assert not Precision("float64", "float64").variable_error(weights).any()
    mixed = Precision("bfloat16", "float32")
    np.testing.assert_array_equal(mixed.as_variable(weights), round_to(weights.astype(np.float32), "bfloat16"))


def test_float16_may_be_rounded_twice():
    weight = np.array([1 + 2.0**-11 + 2.0**-30])  # just above a tie, and a tie once it is float32
    assert abs(weight.astype(np.float16)[0] - weight[0]) < 2.0**-11
    assert Precision("float16", "float16").variable_error(weight)[0] == 2.0**-11 + 2.0**-30


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="no number format 'float8'; known are float64, float32"):
        Precision("float8", "float32")
