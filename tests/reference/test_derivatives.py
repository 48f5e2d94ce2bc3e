"""The chain rule against differences and loops written out, and its bounds just inside and just outside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import porter
from porter.formats.programs import build_program
from reference.activations import BY_COEFFICIENTS, FUNCTIONS, Activation
from reference.composed.ensemble import WITHIN, Ensemble
from reference.composed.extremes import Extremes
from reference.derivatives.activations import DERIVATIVES, derivative
from reference.derivatives.steps import TRANSFORMS, jacobian, local_jacobian
from reference.operations.dense import Activate, Dense
from reference.operations.elementwise import Elementwise
from reference.operations.scaling import Scaling
from reference.operations.transforms import FUNCTIONS as TRANSFORM_FUNCTIONS
from reference.operations.transforms import Transform
from reference.precision import Precision
from reference.rounding.derivatives import allowed_jacobian, end_to_end_jacobian

PARAMETERS = {
    "relu": {"max_value": 2.0, "negative_slope": 0.1, "threshold": 0.3},
    "leaky_relu": {"negative_slope": 0.3},
    "elu": {"alpha": 0.7},
    "scaled_tanh": {"amplitude": 1.2, "slope": 0.8},
    "thresholded_relu": {"theta": 0.5},
    "rational": {"p0": 0.5, "p1": 27.0, "p3": 1.0, "q0": 27.0, "q2": 9.0},
}
FLOAT32, FLOAT64 = Precision("float32", "float32"), Precision("float64", "float64")
BOUNDED = ("tanh", "sigmoid", "softsign", "softplus", "elu", "exponential", "scaled_tanh", "leaky_relu", "linear")


def differences(function, x, step=1e-6):
    """(rows, outputs, inputs) by central differences."""
    columns = []
    for column in range(x.shape[1]):
        moved = np.zeros_like(x)
        moved[:, column] = step
        columns.append((function(x + moved) - function(x - moved)) / (2 * step))
    return np.stack(columns, axis=2)


def dense(activation, seed=0, inputs=5, units=4, **more):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(units, inputs))
    return Dense("Layer1", ("inputs",), weights, rng.normal(size=units), Activation(activation, more))


def points(count=200, width=5, seed=1):
    return np.random.default_rng(seed).normal(size=(count, width))


# --- the derivatives -------------------------------------------------------------------------------------------------


def test_every_activation_has_one_but_softmax():
    assert set(FUNCTIONS) - set(DERIVATIVES) == {"softmax"}
    assert set(TRANSFORM_FUNCTIONS) == set(TRANSFORMS)


@pytest.mark.parametrize("name", sorted(set(DERIVATIVES) - {"logistic_table"}))
@pytest.mark.parametrize("with_parameters", [False, True])
def test_activations_against_differences(name, with_parameters):
    activation = Activation(name, PARAMETERS.get(name, {}) if with_parameters or name in BY_COEFFICIENTS else {})
    z = np.linspace(-7.03, 5.97, 401)
    slopes = (activation(z + 1e-6) - activation(z - 1e-6)) / 2e-6
    smooth = np.abs(activation(z + 2e-6) - 2 * activation(z) + activation(z - 2e-6)) < 1e-8
    found = derivative(activation, z, activation(z))
    assert smooth.sum() > 380
    assert np.allclose(found[smooth], slopes[smooth], rtol=1e-6, atol=1e-7)


def test_another_function_would_be_seen():
    """Negative control: the derivative of one is not that of its neighbour."""
    z = np.linspace(-3, 3, 41)
    wrong = derivative(Activation("silu"), z, Activation("silu")(z))
    slopes = (Activation("mish")(z + 1e-6) - Activation("mish")(z - 1e-6)) / 2e-6
    assert not np.allclose(wrong, slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_transforms_against_differences(name):
    step = Transform("Transform_in", ("inputs",), (name, "identity", name))
    x = np.random.default_rng(3).uniform(0.2, 3, (50, 3))
    assert np.allclose(local_jacobian(step, x), differences(lambda x: step(x).outputs, x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rule", ["[-1,1]", "[0,1]", "mean-std"])
@pytest.mark.parametrize("inverse", [False, True])
def test_scalings_against_differences(rule, inverse):
    step = Scaling("Norm_in", ("inputs",), np.array([-1.0, 2, 0.1]), np.array([3.0, 2.5, 40]), rule, inverse)
    x = points(20, 3)
    assert np.allclose(local_jacobian(step, x), differences(lambda x: step(x).outputs, x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("orientation", ["units-first", "inputs-first"])
def test_a_chain_against_differences(orientation):
    first, second = dense("tanh"), dense("scaled_tanh", 1, 4, 3)
    if orientation == "inputs-first":
        first = replace(first, weights=first.weights.T, orientation=orientation)
    steps = (first, second, Activate("Layer3", ("Layer2",), Activation("sigmoid")))

    def forward(x):
        for step in steps:
            x = step(x).outputs
        return x

    x = points(30)
    assert np.allclose(jacobian(steps, x), differences(forward, x), rtol=1e-6, atol=1e-9)
    wrong = (first, replace(second, weights=-second.weights), steps[2])
    assert not np.allclose(jacobian(wrong, x), differences(forward, x), rtol=1e-2, atol=1e-3)


def test_members_share_and_bounds_hold():
    step = Ensemble("Ensemble", ("Norm_out",), 5, WITHIN)
    x = points(60)
    expected = differences(lambda x: step(x).outputs, x, 1e-9)
    assert np.allclose(local_jacobian(step, x), expected, atol=1e-6)
    ends = (np.array([0.0]), np.array([1.0]), np.array([0.5]))
    held = local_jacobian(Extremes("Extremes", ("Norm_out",), *ends), np.array([[0.5], [-0.2], [1.2], [7.0]]))
    assert np.array_equal(held.ravel(), [1, 0, 0, np.nan], equal_nan=True)


def test_a_step_without_a_derivative_says_so():
    softmax = Elementwise("Softmax", ("Layer1",), Activation("softmax"))
    with pytest.raises(KeyError, match="no derivative of Elementwise; known are Dense"):
        local_jacobian(softmax, points())
    with pytest.raises(KeyError, match="no derivative of softmax"):
        local_jacobian(Activate("Layer1", ("inputs",), Activation("softmax")), points())


def test_softmax_against_differences():
    step, x = dense("softmax"), points(20)
    assert np.allclose(local_jacobian(step, x), differences(lambda x: step(x).outputs, x), rtol=1e-6, atol=1e-9)


def by_loops(arrays, planes, x):
    """The Jacobian of ffbp's original, with its own loops: y (1 - y) of the table's entry."""
    (low, high), (least, most) = arrays["inputs"].T, arrays["outputs"].T
    table = Activation("logistic_table")
    act, slopes = (x - low) / (high - low), np.diag(1 / (high - low))
    for n in range(len(planes) - 1):
        weights = arrays[f"wgt/{n}"].reshape(planes[n + 1], planes[n])
        act = table(weights @ act + arrays[f"bias/{n + 1}"])
        after = np.zeros((planes[n + 1], len(x)))
        for i in range(planes[n + 1]):
            for j in range(len(x)):
                after[i, j] = sum(act[i] * (1 - act[i]) * weights[i, k] * slopes[k, j] for k in range(planes[n]))
        slopes = after
    return slopes * (most - least)[:, None]


def test_ffbp_as_its_loops_have_it(fixtures):
    network = porter.read(fixtures / "families" / "ffbp_7x7.net")
    low, high = network.source.arrays["inputs"].T
    rows = np.random.default_rng(0).uniform(low, high, (5, len(low)))
    found = jacobian(build_program(network).steps, rows)
    for row, each in zip(rows, found, strict=True):
        assert np.allclose(each, by_loops(network.source.arrays, network.source.attributes["planes"], row), rtol=1e-13)


def test_ffbp_as_its_authors_have_it(real):
    """The matrix that the original's own unit test expects, which it holds to 1e-6."""
    network = porter.read(real / "c2rcc_ffbp" / "nn_test.net")
    expected = [
        -7.3325278006568306e-6, 3.2639459486171825e-6, 7.527711538784537e-6,
        -8.186466522910375e-6, 9.557482758745628e-6, 1.2507178214659703e-5,
    ]  # fmt: skip
    found = jacobian(build_program(network).steps, np.array([[1.0, 3.4, 6.988, 4.4, 7.0, 16.21]]))
    assert np.allclose(found.ravel(), expected, rtol=1e-9)


# --- the bounds ------------------------------------------------------------------------------------------------------


def in_float32(step, x):
    """The Jacobian of a layer with every operation in single precision."""
    z = (x.astype(np.float32) @ step.weights.T.astype(np.float32)) + step.bias.astype(np.float32)
    a = step.activation(z)
    slopes = {
        "tanh": lambda: 1 - a * a,
        "sigmoid": lambda: a * (1 - a),
        "softsign": lambda: 1 / (1 + np.abs(z)) ** 2,
        "softplus": lambda: 1 / (1 + np.exp(-z)),
        "elu": lambda: np.where(z > 0, np.float32(1), a + np.float32(1)),
        "exponential": lambda: a,
        "scaled_tanh": lambda: np.float32(1.7159 * 2 / 3) * (1 - np.tanh(np.float32(2 / 3) * z) ** 2),
        "leaky_relu": lambda: np.where(z > 0, np.float32(1), np.float32(0.2)),
        "linear": lambda: np.ones_like(z),
    }[step.activation.name]()
    assert slopes.dtype == np.float32
    return slopes[:, :, None] * step.weights.astype(np.float32)


@pytest.mark.parametrize("name", BOUNDED)
def test_single_precision_keeps_within_and_a_hundred_times_more_does_not(name):
    step, x = dense(name, 2), points().astype(np.float32).astype(np.float64)
    expected, allowed = local_jacobian(step, x), allowed_jacobian(step, x, FLOAT32)
    error = np.abs(in_float32(step, x) - expected)
    assert np.all(error <= allowed)
    assert np.all(np.median(allowed) < 1e-6)
    far = np.abs(expected * (1 + 1e-5) - expected)
    assert np.mean(far > allowed) > 0.3


def test_a_jump_within_reach_is_not_judged():
    step = replace(dense("relu"), weights=np.eye(4, 5), bias=np.array([0, 0, 0, -0.1]))
    x = np.array([[0.0, 1.0, -1.0, 0.1, 3.0]])
    assert np.array_equal(np.isinf(allowed_jacobian(step, x, FLOAT32)[0]).all(axis=1), [True, False, False, True])


def test_the_arguments_own_error_widens_the_bound():
    step, x = dense("tanh"), points(20)
    near, far = allowed_jacobian(step, x, FLOAT64), allowed_jacobian(step, x, FLOAT64, np.full(x.shape, 1e-6))
    moved = np.abs(local_jacobian(step, x + 1e-6) - local_jacobian(step, x))
    assert np.all(moved <= far)
    assert np.any(moved > near)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "gelu_tanh", "softmax"])
def test_what_has_no_bound_says_so(name):
    with pytest.raises(KeyError, match=f"no bound on the derivative of {name}"):
        allowed_jacobian(dense(name), points(), FLOAT32)


def test_from_end_to_end():
    """A chain in single precision, backwards as a port takes it: within the bound, and a wrong factor is not."""
    steps = (dense("tanh", 0), dense("sigmoid", 1, 4, 4), dense("linear", 2, 4, 3))
    x = points().astype(np.float32).astype(np.float64)
    expected, allowed = end_to_end_jacobian(steps, x, [FLOAT32] * 3)
    assert np.array_equal(expected, jacobian(steps, x))
    fed, factors = x, []
    for step in steps:
        factors.append(in_float32(step, fed))
        fed = step.activation(step.preactivation(fed).astype(np.float32))
    found = factors[2] @ factors[1] @ factors[0]
    assert found.dtype == np.float32
    assert np.all(np.abs(found - expected) <= allowed)
    assert np.any(np.abs(expected * (1 + 1e-4) - expected) > allowed)


def test_what_underflows_backwards_is_allowed_for():
    """A steep step behind flat ones: what is lost between these, backwards, is not made small by them again."""
    factors = (1e20, 1e-20, 1e-25)
    steps = [Dense("Layer", ("inputs",), np.array([[each]]), np.zeros(1), Activation("linear")) for each in factors]
    expected, allowed = end_to_end_jacobian(steps, np.array([[1.0]]), [FLOAT32] * 3)
    backwards = np.float32(factors[2]) * np.float32(factors[1])
    assert abs(backwards) < np.finfo(np.float32).tiny  # which a processor may take for zero
    assert abs(expected.item() - 0.0) <= allowed.item()
    assert end_to_end_jacobian(steps[1:], np.array([[1.0]]), [FLOAT32] * 2)[1].item() < 1e-36
