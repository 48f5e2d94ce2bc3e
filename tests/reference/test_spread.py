"""How far activations move: bounds that hold, and that are nearly reached."""

from __future__ import annotations

import numpy as np
import pytest

from reference.activations import BY_COEFFICIENTS, FUNCTIONS, LOOKED_UP, Activation
from reference.rounding.constants import ACCURACY
from reference.rounding.spread import _BOUNDS, NEAR, SMALL, spread

RNG = np.random.default_rng(4)
CASES = [
    *(Activation(name) for name in FUNCTIONS if name != "softmax"),
    Activation("relu", {"max_value": 3.0, "negative_slope": 0.1, "threshold": 0.5}),
    Activation("relu", {"negative_slope": -0.4, "threshold": -0.5}),
    Activation("leaky_relu", {"negative_slope": -0.3}),
    Activation("elu", {"alpha": 2.5}),
    Activation("elu", {"alpha": -0.7}),
    Activation("scaled_tanh", {"amplitude": -2.0, "slope": 1.5}),
]


def moved(activation, z, radius):
    """The largest move found among many arguments within the radius, breakpoints and just below them included."""
    inside = z + np.linspace(-1, 1, 401).reshape(-1, 1) * radius
    for breakpoint_ in (0.0, 0.5, -0.5, 3.0, 15.0, -15.0):
        for at in (breakpoint_, np.nextafter(breakpoint_, -99)):
            inside = np.concatenate([inside, np.clip(np.full((1, len(z)), at), z - radius, z + radius)])
    return np.max(np.abs(activation(inside) - activation(z)), axis=0)


def bound(activation, z, radius):
    return spread(activation, z, activation(z), radius)


ROUNDING = 1e-15  # of the differences formed here, relative to the values


@pytest.mark.parametrize("exponents", [(-12, -1), (-6, 1)], ids=["small", "large"])
@pytest.mark.parametrize("activation", CASES, ids=str)
def test_nothing_moves_further(activation, exponents):
    z = np.concatenate([RNG.normal(0, 4, 300), np.linspace(-4, 4, 81), 15 + np.linspace(-0.1, 0.1, 21)])
    radius = 10.0 ** RNG.uniform(*exponents, z.shape)
    radius = np.minimum(radius, NEAR) if exponents[1] < 0 else radius
    slack = ROUNDING * (1 + np.abs(activation(z)))
    assert (moved(activation, z, radius) <= bound(activation, z, radius) * (1 + 1e-9) + slack).all()


@pytest.mark.parametrize("activation", [each for each in CASES if each.name != "relu"], ids=str)
def test_the_bound_is_nearly_reached(activation):
    z = np.linspace(-3, 3, 61)
    radius = np.full(z.shape, 1e-5)
    assert (bound(activation, z, radius) <= 1.01 * moved(activation, z, radius) + 2e-10).all()


@pytest.mark.parametrize("name", ["relu", "relu6", "hard_tanh"])
def test_no_rounding_of_an_end_cuts_the_radius(name):
    """A quarter more than the distance to the next number: at the end it would round to that distance."""
    z = np.array([40.0, 0.9, 5.9, -0.9]) if name == "relu" else np.array([0.9, 0.7])
    radius = 1.25 * np.spacing(np.abs(z))
    assert (bound(Activation(name), z, radius) == np.where((z > 0) | (name == "hard_tanh"), radius, 0.0)).all()


def test_a_halved_bound_would_be_exceeded():
    """Negative control."""
    z, radius = np.linspace(-3, 3, 61), np.full(61, 1e-3)
    for activation in CASES[1:3]:
        assert (moved(activation, z, radius) > bound(activation, z, radius) / 2).any()


@pytest.mark.parametrize(("name", "rate"), [("tanh", 2.0), ("sigmoid", 1.0)])
def test_how_fast_slopes_change(name, rate):
    """The slope within the radius is at most e^(rate radius) times that at its centre, and not much less."""
    z = np.linspace(-12, 12, 24_001)
    values = FUNCTIONS[name](z)
    slopes = 1 - values**2 if name == "tanh" else values * FUNCTIONS[name](-z)
    changes = np.abs(np.diff(np.log(slopes[np.abs(z) < 8]))) / (z[1] - z[0])
    assert rate * 0.98 < changes.max() <= rate
    radius = np.full(z.shape, NEAR)
    np.testing.assert_allclose(bound(Activation(name), z, radius), slopes * NEAR * np.exp(rate * NEAR), atol=1e-16)


@pytest.mark.parametrize("name", ["softsign", "softplus", "gelu", "gelu_tanh", "silu", "mish"])
def test_curvatures_and_slopes(name):
    """Twice the second-order part of the bound is radius^2 times the largest second derivative."""
    z = np.linspace(-12, 12, 600_001)
    step = z[1] - z[0]
    values = FUNCTIONS[name](z)
    curvature, slope = np.abs(np.diff(values, 2)).max() / step**2, np.abs(np.diff(values)).max() / step
    flat = np.array([z[1:-1][np.argmin(np.abs(np.diff(values, 2)) + np.abs(values[2:] - values[:-2]) * 1e3)]])
    radius = np.array([SMALL])
    first_order = np.abs(FUNCTIONS[name](flat + 1e-6) - FUNCTIONS[name](flat - 1e-6)) / 2e-6 * SMALL
    second = 2 * (bound(Activation(name), flat, radius) - first_order) / SMALL**2
    assert curvature * 0.998 <= second[0] <= curvature * 1.02
    assert slope <= 1.13


def test_softmax():
    activation = Activation("softmax")
    for scale in (1.0, 20.0):
        z = RNG.normal(0, scale, (20, 5))
        for size in (1e-6, 0.3, 30.0):
            radius = np.full(z.shape, size) * RNG.uniform(0.5, 1, z.shape)
            allowed = bound(activation, z, radius)
            signs = np.sign(RNG.normal(size=(300, *z.shape)))
            found = np.abs(activation(z + signs * radius) - activation(z)).max(axis=0)
            assert (found <= allowed * (1 + 1e-9) + ROUNDING).all()
            assert (found > allowed / 2).any()  # the corners are reached


def test_softmax_of_a_tie_in_the_port():
    """Logits far apart, and an error as large: the port may see them equal."""
    z = np.array([[100.0, 0.0, -500.0]])
    allowed = bound(Activation("softmax"), z, np.array([[60.0, 60.0, 1.0]]))
    assert allowed[0, 0] > 0.99 and allowed[0, 1] > 0.99 and allowed[0, 2] < 1e-100


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_only_where_the_value_is_not_finite(name):
    z = np.array([[0.0, 1e308, -1e308, 5.0, -5.0]])
    a = FUNCTIONS[name](z)
    for radius in (0.0, 1.0, 1e308, np.inf, np.nan):
        found = spread(Activation(name), z, a, np.full(z.shape, radius))
        assert not np.isnan(found[np.isfinite(a)]).any()
    assert np.isinf(spread(Activation(name), z, a, np.full(z.shape, np.inf))).all()


def test_every_activation_has_a_bound_and_constants():
    assert {*FUNCTIONS, *BY_COEFFICIENTS, *LOOKED_UP} == set(_BOUNDS)
    assert all(set(FUNCTIONS) <= set(constants) for constants in ACCURACY.values())
