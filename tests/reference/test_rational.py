"""Quotients of polynomials: their values, and what rounding does to them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from reference.activations import Activation
from reference.precision import FORMATS
from reference.rational import coefficients
from reference.rounding.functions import activation_error
from reference.rounding.spread import spread

PADE = Activation("rational", {"p1": 27.0, "p3": 1.0, "q0": 27.0, "q2": 9.0})
RNG = np.random.default_rng(11)


def drawn(rng, poles):
    """A quotient; with ``poles`` its denominator may be 0 somewhere."""
    numerator, denominator = (rng.normal(size=rng.integers(2, 7)) * 10.0 ** rng.integers(-2, 3) for _ in range(2))
    if not poles:
        denominator = np.abs(denominator)
        denominator[1::2] = 0
    given = zip("pq", (numerator, denominator), strict=True)
    return Activation("rational", {f"{side}{n}": float(c) for side, row in given for n, c in enumerate(row)})


def exact(activation, z):
    """In rational numbers."""
    above, below = (
        [sum(Fraction(c) * Fraction(float(at)) ** n for n, c in enumerate(side)) for at in z]
        for side in coefficients(activation.parameters)
    )
    return np.array([float(n / d) if d else np.inf for n, d in zip(above, below, strict=True)])


def by_powers(activation, x):
    """Another order of evaluation than Horner's."""
    above, below = (
        sum((x.dtype.type(c) * x**n for n, c in enumerate(side) if c), x.dtype.type(0))
        for side in coefficients(activation.parameters)
    )
    return above / below


def test_values_and_the_default_denominator():
    np.testing.assert_array_equal(PADE(np.array([0.0, 1.0, 3.0])), [0, 28 / 36, (81 + 27) / (27 + 81)])
    np.testing.assert_array_equal(Activation("rational", {"p0": 1, "p2": 2})(np.array([0.0, 3.0])), [1, 19])
    assert PADE(np.ones((2, 3), np.float32)).dtype == np.float32
    with pytest.raises(KeyError, match="no coefficient 'p10'"):
        Activation("rational", {"p10": 1.0})(np.ones(1))
    with pytest.raises(KeyError, match="no activation 'rational'"):
        Activation("rational")


@pytest.mark.parametrize("poles", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_no_rounding_exceeds_the_bound(dtype, poles):
    """Either order of evaluation, at an argument that is off."""
    kind, own, worst, known = FORMATS[np.dtype(dtype).name], FORMATS["float64"], 0.0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        activation = drawn(rng, poles)
        z = np.concatenate([rng.normal(size=40), rng.normal(size=20) * 10.0 ** rng.integers(-6, 3, 20)])
        fed = (z * (1 + rng.uniform(-1, 1, 60) * 3 * kind.unit)).astype(dtype)
        error = np.abs(fed.astype(np.float64) - z)
        allowed = activation_error(activation, z, activation(z), error, kind, own)
        with np.errstate(all="ignore"):
            found = [activation(fed), by_powers(activation, fed)]
            off = np.max([np.abs(each.astype(np.float64) - exact(activation, z)) for each in found], axis=0)
        held = np.isfinite(allowed)
        known.append(held.mean())
        assert np.isfinite(off[held]).all()
        worst = max(worst, np.max(off[held] / allowed[held], initial=0))
    assert worst <= 1
    assert worst > 0.1  # and it is not far from what happens
    assert np.mean(known) > (0.5 if dtype == np.float16 else 0.9)


def test_another_coefficient_is_beyond_the_bound():
    """Negative control."""
    z = np.linspace(-4, 4, 81)
    other = Activation("rational", {**PADE.parameters, "q2": 9.0 * (1 + 1e-5)})
    allowed = activation_error(PADE, z, PADE(z), np.zeros(81), FORMATS["float32"], FORMATS["float64"])
    assert (np.abs(other(z) - PADE(z)) > allowed).any()


def test_it_moves_no_further_than_its_spread_and_nearly_as_far():
    for seed in range(20):
        activation = drawn(np.random.default_rng(seed), seed % 2 == 0)
        z = RNG.normal(0, 2, 60)
        for size in (1e-6, 1e-2, 0.3):
            radius = RNG.uniform(0, size, 60)
            bound = spread(activation, z, activation(z), radius)
            inside = z + np.linspace(-1, 1, 201)[:, None] * radius
            moved = np.max(np.abs(activation(inside) - activation(z)), axis=0)
            assert (moved <= bound * (1 + 1e-9) + 1e-13 * np.max(np.abs(activation(inside)), axis=0) + 1e-15).all()
            if size == 1e-6:
                assert np.mean(bound <= 1.01 * moved + 1e-12 * (1 + np.abs(activation(z)))) > 0.9


def test_nothing_is_known_where_a_pole_is_within_reach():
    pole, z = Activation("rational", {"p0": 1.0, "q0": -1.0, "q1": 1.0}), np.array([1.0001, 1.1])
    assert spread(pole, z, pole(z), np.full(2, 1e-3)).tolist()[0] == np.inf
    assert np.isfinite(spread(pole, z, pole(z), np.full(2, 1e-3))[1])
