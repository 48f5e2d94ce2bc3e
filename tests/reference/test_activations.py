"""The activations against arbitrary precision, in their tails too, and without a warning anywhere."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from reference.activations import FUNCTIONS, SELU_ALPHA, SELU_SCALE, Activation
from reference.precision import FORMATS
from reference.rounding.constants import accuracy_of

mpmath = pytest.importorskip("mpmath", reason="needs mpmath for values of arbitrary precision")
mp = mpmath.mp

# The table of the logistic function is held against its own loop in tests/formats/test_ffbp.py.
ELEMENTWISE = [name for name in FUNCTIONS if name not in ("softmax", "logistic_table")]


def logistic(x):
    return 1 / (1 + mp.exp(-x))


def clipped(x, low, high):
    return min(max(x, mp.mpf(low)), mp.mpf(high))


def line(x, slope, offset):
    return clipped(x * mp.mpf(slope) + mp.mpf(offset), 0, 1)


TRUTH = {
    "linear": lambda x: x,
    "tanh": mp.tanh,
    "relu": lambda x: max(x, mp.mpf(0)),
    "leaky_relu": lambda x: x if x >= 0 else x * mp.mpf(0.2),
    "relu6": lambda x: clipped(x, 0, 6),
    "sigmoid": logistic,
    "softsign": lambda x: x / (1 + abs(x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "elu": lambda x: x if x > 0 else mp.expm1(x),
    "selu": lambda x: mp.mpf(SELU_SCALE) * (x if x > 0 else mp.mpf(SELU_ALPHA) * mp.expm1(x)),
    "exponential": mp.exp,
    "gelu": lambda x: x / 2 * mp.erfc(-x / mp.sqrt(2)),
    "gelu_tanh": lambda x: x * logistic(2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)),
    "silu": lambda x: x * logistic(x),
    "mish": lambda x: x * mp.tanh(mp.log1p(mp.exp(x))),
    "hard_sigmoid": lambda x: clipped(x / 6 + mp.mpf(0.5), 0, 1),
    "hard_sigmoid_keras2": lambda x: line(x, 0.2, 0.5),
    "hard_tanh": lambda x: clipped(x, -1, 1),
    "thresholded_relu": lambda x: x if x > 1 else mp.mpf(0),
    "cut_sigmoid": lambda x: mp.mpf(x > 0) if abs(x) > 15 else logistic(x),
    "scaled_tanh": lambda x: mp.mpf(1.7159) * mp.tanh(mp.mpf(2.0 / 3.0) * x),
}


def arguments(dtype):
    rng = np.random.default_rng(7)
    parts = [sign * np.ldexp(rng.uniform(1, 2, 6), exponent) for exponent in range(-40, 8) for sign in (1, -1)]
    return np.concatenate([*parts, [0.0, 3.0, -3.0, 2.5, -2.5, 6.0, 1.0, -1.0]]).astype(dtype)


def excess(name, function, dtype):
    """The largest error over what the table of constants allows."""
    x = arguments(dtype)
    form, constants = FORMATS[np.dtype(dtype).name], accuracy_of(Activation(name), np.dtype(dtype).name)
    with mp.workprec(200):
        truth = [TRUTH[name](mp.mpf(float(value))) for value in x]
        found = function(x)
        return max(
            float(
                abs(mp.mpf(float(got)) - true)
                / (
                    form.unit * (constants.relative * abs(true) + constants.argument * abs(at) + constants.absolute)
                    + form.tiny
                )
            )
            for got, true, at in zip(found, truth, map(float, x), strict=True)
            if abs(true) < form.largest
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_as_accurate_as_the_table_says(name, dtype):
    assert excess(name, FUNCTIONS[name], dtype) <= 1


def test_the_table_is_not_so_wide_that_everything_passes():
    """Negative control: a gelu of the other form, and a tanh by float32."""
    assert excess("gelu", FUNCTIONS["gelu_tanh"], np.float64) > 1e6
    assert excess("tanh", lambda x: np.tanh(x.astype(np.float32)), np.float64) > 1e6


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtype_shape_and_silence(name, dtype):
    largest = np.finfo(dtype).max
    x = np.array([[0.0, -0.0, 1e-300, -1e-45], [largest, -largest, 700.0, -700.0]], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = FUNCTIONS[name](x)
    assert y.dtype == dtype and y.shape == x.shape
    assert not np.isnan(y).any()


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("relu", {"negative_slope": 0.1, "threshold": 1.0, "max_value": 3.0}, [-0.3, -0.1, 1.0, 3.0]),
        ("leaky_relu", {"negative_slope": 0.5}, [-1.0, 0.0, 1.0, 5.0]),
        ("elu", {"alpha": 2.0}, [2 * np.expm1(-2.0), 0.0, 1.0, 5.0]),
        ("scaled_tanh", {"amplitude": 2.0, "slope": 1.0}, [2 * np.tanh(v) for v in (-2.0, 0.0, 1.0, 5.0)]),
    ],
)
def test_parameters(name, parameters, expected):
    np.testing.assert_allclose(Activation(name, parameters)(np.array([-2.0, 0.0, 1.0, 5.0])), expected, rtol=1e-15)


def test_relu_of_minus_infinity_is_zero():
    assert FUNCTIONS["relu"](np.array([-np.inf]))[0] == 0
    assert FUNCTIONS["leaky_relu"](np.array([-np.inf]), 0.0)[0] == 0


def test_relu_keeps_nan():
    assert np.isnan(FUNCTIONS["relu"](np.array([np.nan]))[0])


def test_softmax_along_axes():
    x = np.random.default_rng(0).normal(0, 30, (3, 4, 5))
    for axis in (-1, 1, (1, 2)):
        np.testing.assert_allclose(FUNCTIONS["softmax"](x, axis).sum(axis), 1, rtol=1e-14)
    np.testing.assert_allclose(FUNCTIONS["softmax"](np.array([0.0, np.log(3)])), [0.25, 0.75], rtol=1e-15)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(KeyError, match="no activation 'tan'; known are linear, tanh"):
        Activation("tan")
