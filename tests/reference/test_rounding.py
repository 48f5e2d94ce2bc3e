"""What rounding can explain, against real Keras layers, and what it cannot."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from reference.activations import FUNCTIONS, Activation
from reference.operations.dense import Activate, Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform
from reference.precision import Precision, round_to
from reference.rounding import bounds as rounding
from reference.rounding.bounds import (
    allowed_error,
    end_to_end,
    has_bound,
    inevitable_overflow,
    platform_allowance,
    register,
)
from reference.trace import LayerTrace, chain

SINGLE = Precision("float32", "float32")
POLICIES = {
    "float32": SINGLE,
    "float64": Precision("float64", "float64"),
    "mixed_float16": Precision("float16", "float32"),
    "mixed_bfloat16": Precision("bfloat16", "float32"),
}
COMPOSED = ("gelu_tanh", "hard_sigmoid_keras2", "scaled_tanh", "thresholded_relu", "logistic_table", "cut_sigmoid")
KERAS_HAS = [name for name in FUNCTIONS if name not in COMPOSED]


def rows(rng, inputs, precision):
    """Rows of every kind, in numbers that the port's format has."""
    kinds = [
        rng.uniform(-1, 1, (40, inputs)),
        rng.normal(0, 10, (20, inputs)),
        rng.choice([-1.0, 1.0], (10, inputs)),
        np.eye(inputs)[:32],
        -np.eye(inputs)[:32],
        3.7 * np.eye(inputs)[:8],
        np.zeros((1, inputs)),
        rng.normal(size=(20, inputs)) * 10.0 ** rng.integers(-42, 3, (20, inputs)),
        (rng.random((10, inputs)) < 0.1) * rng.normal(size=(10, inputs)),
    ]
    return round_to(np.concatenate(kinds), precision.compute)


def drawn(rng, inputs, units, scale):
    weights = rng.normal(size=(units, inputs)) * scale / np.sqrt(inputs)
    if rng.random() < 0.3:
        weights *= 10.0 ** rng.integers(-4, 1, weights.shape)
    return weights, rng.normal(size=units) * scale * rng.choice([0, 1e-3, 1])


def ratios(step, x, port, precision):
    """abs(port - reference) over what is allowed, where anything is."""
    trace = step(x)
    bound = allowed_error(step, (x,), trace, precision) + platform_allowance(step, (x,), trace, precision)
    known = np.isfinite(bound)
    error = np.abs(port - np.where(known, trace.outputs, 0))
    error = np.where(known, np.where(np.isnan(error), np.inf, error), 0)
    with np.errstate(divide="ignore"):
        return np.divide(error, bound, out=np.zeros_like(error), where=error > 0), known


@pytest.mark.filterwarnings("ignore:You are using a softmax")
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", KERAS_HAS)
def test_faithful_keras_layers_stay_within(keras, name, policy):
    import tensorflow as tf

    precision, rng = POLICIES[policy], np.random.default_rng(len(name))
    for inputs, units, jit in ((1, 7, False), (17, 5, True), (200, 7, False), (512, 3, False)):
        layer = keras.layers.Dense(units, activation=name, dtype=policy)
        layer.build((None, inputs))
        run = tf.function(layer, jit_compile=True) if jit else layer
        x = rows(rng, inputs, precision)
        fed = tf.cast(tf.constant(x), precision.compute)
        for scale in (1e-3, 1.0, 30.0, 1e3):
            weights, bias = drawn(rng, inputs, units, scale)
            layer.set_weights([weights.T, bias])
            step = Dense("a", ("inputs",), weights, bias, Activation(name))
            found, known = ratios(step, x, np.asarray(tf.cast(run(fed), "float64")), precision)
            assert found.max() <= 1, (inputs, scale, jit)
            assert known.mean() > 0.9 or scale > 1 or name == "exponential"


@pytest.mark.parametrize("change", [1e-5, -1e-5])
def test_one_weight_changed_by_a_hundred_thousandth_is_found(change):
    """Negative control: a basis probe reads it out, in tanh units that are not saturated."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(12, 20)) / np.sqrt(20)
    step = Dense("a", ("inputs",), weights, rng.normal(size=12) / 100, Activation("tanh"))
    x = np.concatenate([np.eye(20), -np.eye(20)])
    found = 0
    for unit, place in ((0, 0), (3, 7), (11, 19), (5, 5)):
        wrong = weights.copy()
        wrong[unit, place] *= 1 + change
        port = Dense("a", ("inputs",), wrong, step.bias, step.activation)(x).outputs
        found += ratios(step, x, port, SINGLE)[0].max() > 1
    assert found == 4


@pytest.mark.parametrize("precision", [each for each in POLICIES.values() if each.compute != "float64"], ids=str)
def test_just_inside_and_just_outside(precision):
    """A port that is off by the allowed error passes, and by a thousandth more does not.

    In float64 the allowed error is a few units in the last place, and a thousandth of that cannot be added.
    """
    rng = np.random.default_rng(6)
    step = Dense("a", ("inputs",), rng.normal(size=(4, 9)), rng.normal(size=4), Activation("sigmoid"))
    x = rows(rng, 9, precision)
    trace = step(x)
    bound = allowed_error(step, (x,), trace, precision)
    assert (bound > 0).all()
    assert ratios(step, x, trace.outputs + 0.999 * bound, precision)[0].max() <= 1
    assert ratios(step, x, trace.outputs + 1.001 * bound, precision)[0].min() > 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_activation_alone(name):
    """The reference in float32 is a port too."""
    x = round_to(np.random.default_rng(7).normal(0, 5, (500, 4)), "float32")
    step, single = (Activate("a", ("inputs",), Activation(name), dtype) for dtype in (np.float64, np.float32))
    assert ratios(step, x, single(x).outputs, SINGLE)[0].max() <= 1
    if name not in ("linear", "relu"):
        off = single(x * (1 + 1e-4)).outputs
        assert ratios(step, x, off, SINGLE)[0].max() > 1


def test_float32_accurate_functions_in_float64_are_the_platforms(keras):
    double, x = POLICIES["float64"], np.linspace(-4, 4, 401).reshape(-1, 1)
    for name in ("gelu", "leaky_relu"):
        step = Activate("a", ("inputs",), Activation(name))
        port = np.asarray(keras.layers.Activation(name, dtype="float64")(x))
        error, trace = np.abs(port - step(x).outputs), step(x)
        bound, extra = allowed_error(step, (x,), trace, double), platform_allowance(step, (x,), trace, double)
        assert (error > bound).any()
        assert (error <= bound + extra).all()
        assert not platform_allowance(step, (x,), trace, SINGLE).any()


def test_a_threshold_that_is_rounded():
    """The function jumps there: a port whose 0.7 is a float32 may fall on the other side."""
    step = Activate("a", ("inputs",), Activation("relu", {"threshold": 0.7}))
    x = np.array([[float(np.float32(0.7)), 0.7 + 1e-3]])
    bound = allowed_error(step, (x,), step(x), SINGLE)
    assert bound[0, 0] > 0.69 and bound[0, 1] < 1e-6


def test_inputs_that_the_port_must_round():
    step = Dense("a", ("inputs",), np.array([[1.0]]), None, Activation("linear"))
    x = np.array([[0.1]])
    exact = np.float64(np.float32(0.1))
    assert allowed_error(step, (x,), step(x), SINGLE)[0, 0] >= abs(exact - 0.1)
    assert allowed_error(step, (np.array([[exact]]),), step(np.array([[exact]])), SINGLE)[0, 0] == pytest.approx(
        2 * 2.0**-24 * exact, rel=1e-6
    )


def test_a_larger_input_error_allows_more_but_not_too_much():
    rng = np.random.default_rng(8)
    step = Dense("a", ("inputs",), rng.normal(size=(6, 5)), rng.normal(size=6), Activation("tanh"))
    x = rng.normal(size=(50, 5))
    shift = rng.uniform(0, 1e-4, x.shape)
    bound = allowed_error(step, (x,), step(x), POLICIES["float64"], input_error=(shift,))
    signs = rng.choice([-1.0, 1.0], (200, *x.shape))
    found = np.abs(step((x + signs * shift).reshape(-1, 5)).outputs.reshape(200, 50, 6) - step(x).outputs).max(axis=0)
    assert (found <= bound).all() and (found > bound / 2).any()


def test_overflow_that_the_format_makes_inevitable():
    half = Precision("float16", "float32")
    trace = LayerTrace("a", np.array([[1.0, 1.0, 7e4]]), np.array([[1.0, 7e4, 1.0]]))
    np.testing.assert_array_equal(inevitable_overflow(trace, half), [[False, True, True]])
    assert not inevitable_overflow(trace, SINGLE).any()
    assert inevitable_overflow(LayerTrace("a", np.array([np.nan, np.inf, 65504.0])), half).tolist() == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_never_nan_and_never_a_warning(name):
    x = np.array([[1e300, -1e300], [np.inf, 1.0], [np.nan, 1.0], [0.0, 1e-310], [1e38, 1e38], [1.0, 2.0]])
    step = Dense("a", ("inputs",), np.array([[1e20, 1.0], [1.0, -1.0], [0.0, 1e-320]]), np.zeros(3), Activation(name))
    for precision in POLICIES.values():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trace = step(x)
            bound = allowed_error(step, (x,), trace, precision)
        assert not np.isnan(bound).any()
        assert np.isfinite(bound[-1, 1:]).all() or name == "softmax"


class Unknown:
    name, inputs = "a", ("inputs",)


def test_a_step_without_a_bound():
    assert has_bound(Dense("a", (), np.eye(2), None, Activation("tanh"))) and not has_bound(Unknown())
    with pytest.raises(KeyError, match="no rounding bound for Unknown; known are Dense, Activate"):
        allowed_error(Unknown(), (), LayerTrace("a", np.zeros(1)), SINGLE)


def test_a_second_bound_for_one_class_is_refused():
    with pytest.raises(ValueError, match="Dense has a rounding bound already"):
        register(Dense, lambda *_: np.zeros(1))


def network(rng, dtype):
    """A whole chain with scalings and transforms, in which the reference computes in a dtype."""
    low, high = np.array([0.1, -2.0, 1.0]), np.array([0.9, 3.0, 5.0])
    return chain(
        [
            Transform("Transform_in", ("inputs",), ("log10", "identity", "cos_degrees"), dtype),
            Scaling("Norm_in", ("Transform_in",), low, high, "[-1,1]", dtype=dtype),
            Dense("Layer1", ("Norm_in",), rng.normal(size=(8, 3)), rng.normal(size=8), Activation("tanh"), dtype=dtype),
            Dense("Layer2", ("Layer1",), rng.normal(size=(4, 8)), rng.normal(size=4), Activation("elu"), dtype=dtype),
            Dense(
                "Layer3", ("Layer2",), rng.normal(size=(3, 4)), rng.normal(size=3), Activation("linear"), dtype=dtype
            ),
            Scaling("Norm_out", ("Layer3",), low, high, "[-1,1]", True, dtype),
            Transform("Transform_out", ("Norm_out",), ("pow10", "exp", "identity"), dtype),
        ]
    )


def test_end_to_end():
    double = network(np.random.default_rng(9), np.float64)
    single = network(np.random.default_rng(9), np.float32)
    rng = np.random.default_rng(10)
    x = round_to(rng.uniform([1, -2, 0], [8, 3, 180], (300, 3)), "float32")
    bounds = end_to_end(double, x, SINGLE)
    expected, found = double.trace(x), single.trace(x)
    assert list(bounds) == [step.name for step in double.steps]
    for name, bound in bounds.items():
        error = np.abs(found[name].outputs - expected[name].outputs)
        assert (error <= bound).all(), name
        assert bound.shape == error.shape
    last = np.abs(found["Layer3"].outputs - expected["Layer3"].outputs)
    assert np.median(bounds["Layer3"]) < 1e4 * np.median(last)


def test_end_to_end_judges_samples_in_double_precision():
    """Another order of summation passes; a weight changed by 1e-9 does not."""
    program = network(np.random.default_rng(9), np.float64)
    x = np.random.default_rng(11).uniform([1, -2, 0], [8, 3, 180], (50, 3))
    bound = end_to_end(program, x, POLICIES["float64"])["Layer2"]
    z = {step.name: step for step in program.steps}
    hidden = z["Layer1"](z["Norm_in"](z["Transform_in"](x).outputs).outputs).outputs
    layer = z["Layer2"]
    backwards = Activation("elu")(hidden[:, ::-1] @ layer.weights.T[::-1] + layer.bias)
    wrong = Activation("elu")(hidden @ layer.weights.T * (1 + 1e-9) + layer.bias)
    expected = program.trace(x)["Layer2"].outputs
    assert (np.abs(backwards - expected) <= bound).all()
    assert (np.abs(wrong - expected) > bound).any()


def test_a_bound_is_that_of_its_own_layer_however_often_layers_are_prepared(monkeypatch):
    monkeypatch.setattr(rounding._Affines, "NUMBERS", 20)
    rng = np.random.default_rng(0)
    layers = [Dense("a", (), rng.normal(size=(3, 2)) * 10.0**k, None, Activation("linear")) for k in range(8)]
    precisions = (Precision("float32", "float32"), Precision("float16", "float16"))
    x = rng.normal(size=(4, 2))

    def bound(step, precision):
        return allowed_error(step, (x,), step(x), precision)

    alone = {(k, p): rounding._affine(layers[k], p).kernel_error for k in range(8) for p in precisions}
    for k in [*range(8), 0, 0, 7, 3]:
        for precision in precisions:
            np.testing.assert_array_equal(rounding._prepared(layers[k], precision).kernel_error, alone[k, precision])
            again = Dense("a", (), layers[k].weights.copy(), None, Activation("linear"))
            np.testing.assert_array_equal(bound(layers[k], precision), bound(again, precision))
    assert sum(affine.kernel.size for _, affine in rounding._prepared._known.values()) <= 20
