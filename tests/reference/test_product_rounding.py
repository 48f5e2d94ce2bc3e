"""The bound of a sum of products, held against exact arithmetic for adversarial orders of summation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.activations import Activation
from reference.operations.dense import Dense
from reference.precision import FORMATS, Precision, round_to
from reference.rounding.bounds import allowed_error
from reference.rounding.products import Affine, Arithmetic, product_error
from tests.reference.summing import all_ways, exact

SINGLE = Precision("float32", "float32")
DOUBLE = Precision("float64", "float64")


def allowed(kernel, bias, x, z, precision=SINGLE):
    """(units,) for one row x and a kernel of (inputs, units) whose entries the port has exactly."""
    affine = Affine(kernel, bias, np.zeros(kernel.shape), np.zeros(bias.shape))
    own = FORMATS["float64"]
    return product_error(affine, x[np.newaxis], z[np.newaxis], None, Arithmetic(precision, own))[0]


def draw(rng, inputs, cancelling):
    """Weights, inputs and bias in float32; where cancelling, their sum is far smaller than its terms."""
    spread = 10.0 ** rng.integers(-3, 3, inputs)
    weights, x = (rng.normal(size=inputs) * spread).astype(np.float32), rng.normal(size=inputs).astype(np.float32)
    bias = np.float32(rng.normal())
    if cancelling:
        bias = np.float32(-np.dot(weights.astype(np.float64), x))
    return weights, x, bias


def ratio(weights, x, bias, value, bound):
    error = abs(Fraction(float(value)) - exact(weights, x, bias))
    return float(error / Fraction(float(bound))) if error else 0.0


@pytest.mark.parametrize("cancelling", [False, True])
@pytest.mark.parametrize("inputs", [1, 2, 3, 7, 20, 111])
def test_no_order_of_summation_exceeds_it(inputs, cancelling):
    rng = np.random.default_rng(inputs)
    for _ in range(60):
        weights, x, bias = draw(rng, inputs, cancelling)
        z = np.array([float(exact(weights, x, bias))])
        bound = allowed(weights[:, np.newaxis].astype(float), np.array([float(bias)]), x.astype(float), z)[0]
        for name, value in all_ways(weights, x, bias, rng).items():
            assert ratio(weights, x, bias, value, bound) <= 1, name


@given(
    st.lists(st.tuples(*[st.floats(-1e3, 1e3, width=32)] * 2), min_size=1, max_size=9),
    st.floats(-1e6, 1e6, width=32),
    st.integers(0, 99),
)
def test_whatever_the_terms(pairs, bias, seed):
    weights, x = (np.array(part, np.float32) for part in zip(*pairs, strict=True))
    z = np.array([float(exact(weights, x, bias))])
    bound = allowed(weights[:, np.newaxis].astype(float), np.array([bias]), x.astype(float), z)[0]
    for name, value in all_ways(weights, x, bias, np.random.default_rng(seed)).items():
        assert ratio(weights, x, bias, value, bound) <= 1, name


def test_the_bound_is_nearly_reached():
    """Two products whose roundings add up: with half the bound this would be called a mistake."""
    rng, worst = np.random.default_rng(0), 0.0
    for _ in range(800):
        weights, x, bias = draw(rng, 2, cancelling=False)
        z = np.array([float(exact(weights, x, bias))])
        bound = allowed(weights[:, np.newaxis].astype(float), np.array([float(bias)]), x.astype(float), z)[0]
        worst = max(
            worst, *(ratio(weights, x, bias, value, bound) for value in all_ways(weights, x, bias, rng).values())
        )
    assert 0.6 < worst <= 1


def test_a_basis_probe_costs_half_a_unit():
    """One term, multiplied by one: the only rounding is that of its sum with the bias."""
    kernel, bias = np.array([[0.3], [2.0]]), np.array([0.7])
    for scale in (1.0, -1.0, 4.0, 0.0):
        x = np.array([0.0, scale])
        z = x @ kernel + bias
        bound = allowed(kernel, bias, x, z)[0]
        assert bound == pytest.approx(2.0**-24 * abs(z[0]) * (scale != 0), rel=1e-6, abs=1e-36)
    x = np.array([0.0, 3.0])
    z = x @ kernel + bias
    assert allowed(kernel, bias, x, z)[0] == pytest.approx(2.0**-24 * (abs(z[0]) + 6), rel=1e-6)


def test_one_float32_product_bounds_the_exact_one():
    rng = np.random.default_rng(1)
    kernel, x = rng.normal(size=(300, 7)), round_to(rng.normal(size=(1, 300)), "float32")
    step = Dense("a", ("inputs",), kernel, None, Activation("linear"), "inputs-first")
    found = allowed_error(step, (x,), step(x), SINGLE)[0]
    size = np.abs(x) @ np.abs(kernel)
    z = np.abs(step(x).outputs)
    exact_bound = 2.0**-24 * (size + z + 299 * (size + z) / 2) / (1 - 300 * 2.0**-24)
    moved = np.abs(x) @ np.abs(kernel.astype(np.float32) - kernel)
    assert (found >= exact_bound + moved).all()
    assert (found <= 1.02 * (exact_bound + moved)).all()


def test_rows_of_both_kinds_together_are_as_each_alone():
    rng = np.random.default_rng(2)
    step = Dense("a", ("inputs",), rng.normal(size=(5, 40)), rng.normal(size=5), Activation("tanh"))
    x = np.concatenate([np.eye(40), rng.normal(size=(30, 40)), np.zeros((1, 40))])[rng.permutation(71)]
    whole = allowed_error(step, (x,), step(x), DOUBLE)
    alone = np.concatenate([allowed_error(step, (row,), step(row), DOUBLE) for row in x[:, np.newaxis]])
    np.testing.assert_allclose(whole, alone, rtol=1e-9)


def test_16_bits():
    """Accumulated in float32, rounded to 16 bits, added to the bias, rounded again."""
    rng = np.random.default_rng(3)
    for name in ("float16", "bfloat16"):
        kernel = rng.normal(size=(30, 4)) / 5
        bias, x = rng.normal(size=4), round_to(rng.normal(size=(50, 30)), name)
        step = Dense("a", ("inputs",), kernel, bias, Activation("linear"), "inputs-first")
        precision = Precision(name, "float32")
        product = (x.astype(np.float32) @ precision.as_variable(kernel).astype(np.float32)).astype(np.float64)
        port = round_to(round_to(product, name) + precision.as_variable(bias), name)
        found = np.abs(port - step(x).outputs) / allowed_error(step, (x,), step(x), precision)
        assert 0.3 < found.max() <= 1


@pytest.mark.parametrize(("kind", "bits", "inside"), [("bfloat16", 16, True), ("float16", 13, False)])
def test_only_bfloat16_products_may_be_rounded_toward_zero(kind, bits, inside):
    rng, precision, worst = np.random.default_rng(4), Precision(kind, kind), 0.0
    for _ in range(300):
        weights, x, bias = (round_to(rng.normal(size=size), kind) for size in (2, 2, 1))
        z = weights @ x + bias
        value = round_to(cut(np.array([weights @ x]), bits) + bias, kind)
        bound = allowed(weights[:, np.newaxis], bias, x, z, precision)[0]
        worst = max(worst, float((np.abs(value - z) / bound).max()))
    assert worst > 0.8 and (worst <= 1) == inside


@pytest.mark.parametrize(("scale", "finite"), [(1e37, True), (1e38, False)])
def test_infinite_where_a_partial_sum_may_overflow(scale, finite):
    step = Dense("a", ("inputs",), np.array([[3.0, -3.0]]), None, Activation("tanh"))
    x = np.array([[scale, scale]])
    bound = allowed_error(step, (x,), step(x), SINGLE)
    assert np.isfinite(bound).all() == finite


def test_flushed_subnormal_numbers_are_allowed():
    step = Dense("a", ("inputs",), np.array([[1.0]]), None, Activation("linear"))
    x = np.array([[1e-40]]).astype(np.float32).astype(float)
    assert allowed_error(step, (x,), step(x), SINGLE)[0, 0] > 1e-40
    assert allowed_error(step, (x * 1e10,), step(x * 1e10), SINGLE)[0, 0] < 1e-36


def cut(array, bits=13):
    """Float32 with the last bits of its fraction cut off, as a kernel in tensorfloat32 may take its operands."""
    return (array.astype(np.float32).view(np.uint32) & np.uint32(2**32 - 2**bits)).view(np.float32)


@pytest.mark.parametrize("inputs", [1, 7, 111])
def test_operands_cut_to_tensorfloat32_stay_inside_its_bound_and_leave_that_of_float32(inputs):
    rng = np.random.default_rng(inputs)
    rounded = Precision("float32", "float32", tensorfloat32=True)
    ratios = {SINGLE: [], rounded: []}
    for _ in range(100):
        weights, x, bias = draw(rng, inputs, cancelling=False)
        z = np.array([float(exact(weights, x, bias))])
        value = np.float32(cut(weights).astype(np.float64) @ cut(x) + bias)
        for precision, found in ratios.items():
            arguments = weights[:, np.newaxis].astype(float), np.array([float(bias)]), x.astype(float), z
            found.append(ratio(weights, x, bias, value, allowed(*arguments, precision)[0]))
    assert 0.05 < max(ratios[rounded]) <= 1 < max(ratios[SINGLE])


def test_only_float32_has_products_in_tensorfloat32():
    for kind in ("float64", "float16", "bfloat16"):
        assert Precision(kind, kind, tensorfloat32=True).operand_error == 0
    assert Precision("float32", "float32").operand_error == 0 < Precision("float32", "float32", True).operand_error


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_partial_sums_rounded_to_16_bits_stay_inside_their_bound_and_leave_the_other(kind):
    rng = np.random.default_rng(0)
    shared = Precision(kind, kind, short_sums=True)
    ratios = {Precision(kind, kind): [], shared: []}
    for _ in range(300):
        weights, x = (round_to(rng.normal(size=100), kind) for _ in range(2))
        halves = [round_to(np.dot(weights[part], x[part]), kind) for part in (slice(50), slice(50, 100))]
        value, z = round_to(halves[0] + halves[1], kind), np.array([np.dot(weights, x)])
        for precision, found in ratios.items():
            bound = allowed(weights[:, np.newaxis], np.zeros(1), x, z, precision)[0]
            found.append(float(np.abs(value - z).max() / bound))
    first, second = ratios.values()
    assert max(second) <= 1 < max(first)
