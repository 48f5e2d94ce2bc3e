"""Scalings and transforms in float32, whichever way a port computes them; and folded into a layer."""

from __future__ import annotations

import numpy as np
import pytest

from reference.activations import Activation
from reference.dense import Dense
from reference.folding import fold
from reference.precision import Precision, round_to
from reference.rounding import allowed_error
from reference.scaling import Scaling
from reference.transforms import Transform

SINGLE = Precision("float32", "float32")
RNG = np.random.default_rng(12)
COLUMNS = 400
FIRST = RNG.normal(size=COLUMNS) * 10.0 ** RNG.integers(-3, 4, COLUMNS)
SECOND = FIRST + RNG.uniform(0.01, 2, COLUMNS) * np.maximum(np.abs(FIRST), 1e-3)
RULES = ("[-1,1]", "[0,1]", "mean-std")
F = np.float32


def affine(step, x):
    scale, offset = (part.astype(F) for part in step.affine)
    return x.astype(F) * scale + offset


def legacy(step, x):
    return Scaling("a", (), step.first, step.second, step.rule, step.inverse, F)(x).outputs


def centred(step, x):
    """As a normalization layer has it: mean and variance."""
    scale, offset = step.affine
    mean, variance = (-offset / scale).astype(F), (1 / scale**2).astype(F)
    return (x.astype(F) - mean) / np.sqrt(variance)


def ratio(step, x, port):
    trace = step(x)
    error, bound = np.abs(port.astype(np.float64) - trace.outputs), allowed_error(step, (x,), trace, SINGLE)
    return (error / bound).max()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("port", "inverse"), [(affine, False), (affine, True), (legacy, False), (legacy, True), (centred, False)]
)
def test_faithful_scalings_stay_within(port, rule, inverse):
    second = SECOND - FIRST if rule == "mean-std" else SECOND
    step = Scaling("a", ("inputs",), FIRST, second, rule, inverse)
    inside = (
        RNG.uniform(-1, 1, (200, COLUMNS)) if inverse else FIRST + RNG.uniform(0, 1, (200, COLUMNS)) * (SECOND - FIRST)
    )
    for rows in (inside, inside * 10, np.zeros((1, COLUMNS))):
        x = round_to(rows, "float32")
        assert ratio(step, x, port(step, x)) <= 1


@pytest.mark.parametrize("rule", RULES)
def test_a_range_wrong_by_a_hundred_thousandth_shows(rule):
    """Negative control."""
    first, second = np.array([-1.0, 0.5]), np.array([2.0, 3.0])
    step = Scaling("a", ("inputs",), first, second, rule)
    x = round_to(RNG.uniform(-1, 3, (50, 2)), "float32")
    wrong = Scaling("a", ("inputs",), first, second * (1 + 1e-5), rule)
    assert ratio(step, x, wrong(x).outputs) > 1
    assert ratio(step, x, step(x).outputs) < 1


TRANSFORMS = {
    "cos_degrees": (lambda x: np.cos(np.deg2rad(x)), (-360, 360)),
    "log10": (lambda x: np.log(x) / F(np.log(10.0)), (1e-6, 100)),
    "ln": (np.log, (1e-6, 100)),
    "pow10": (lambda x: np.exp(x * F(np.log(10.0))), (-6, 6)),
    "exp": (np.exp, (-20, 20)),
    "identity": (lambda x: x, (-5, 5)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name):
    port, domain = TRANSFORMS[name]
    step = Transform("a", ("inputs",), (name,))
    x = round_to(RNG.uniform(*domain, (20_000, 1)), "float32")
    trace = step(x)
    bound = allowed_error(step, (x,), trace, SINGLE)
    assert (np.abs(port(x.astype(F)).astype(float) - trace.outputs) <= bound).all()
    if name != "identity":
        assert (np.abs(port((x * (1 + 1e-5)).astype(F)).astype(float) - trace.outputs) > bound).any()


def test_the_logarithm_of_what_may_be_flushed_to_zero_is_not_judged():
    step = Transform("a", ("inputs",), ("log10",))
    x = np.array([[1e-40], [0.0], [1e-30]])
    bound = allowed_error(step, (x,), step(x), SINGLE)
    assert np.isinf(bound[:2]).all() and bound[2] < 1e-4


@pytest.mark.parametrize(("x", "finite"), [(38.0, True), (38.6, False)])
def test_a_power_that_overflows_is_not_judged(x, finite):
    step, inputs = Transform("a", ("inputs",), ("pow10",)), np.array([[float(F(x))]])
    assert np.isfinite(allowed_error(step, (inputs,), step(inputs), SINGLE))[0, 0] == finite


def folded_by_hand(dense, before, after, dtype):
    """Kernel and bias as an author computes them in a dtype, then cast to float32."""
    kernel, bias = dense.weights.astype(dtype), dense.bias.astype(dtype)
    if before is not None:
        low, high = before.first.astype(dtype), before.second.astype(dtype)
        scale = dtype(2) / (high - low)
        offset = -(low + high) / (high - low)
        bias = bias + (kernel * offset).sum(axis=1, dtype=dtype)
        kernel = kernel * scale
    if after is not None:
        low, high = after.first.astype(dtype), after.second.astype(dtype)
        half = (high - low) / dtype(2)
        bias = bias * half + (low + high) / dtype(2)
        kernel = kernel * half[:, np.newaxis]
    return kernel.astype(F), bias.astype(F)


@pytest.mark.parametrize("ends", ["before", "after", "both"])
@pytest.mark.parametrize(("dtype", "unit"), [(np.float32, 2.0**-24), (np.float64, 2.0**-53), (np.float64, 2.0**-24)])
def test_scaling_folded_into_a_layer(ends, dtype, unit):
    rng = np.random.default_rng(13)
    for inputs, units in ((1, 3), (20, 6), (111, 10)):
        low, far = rng.normal(size=inputs) * 5, rng.normal(size=units) * 5
        before = Scaling("Norm_in", ("inputs",), low, low + rng.uniform(0.1, 4, inputs), "[-1,1]")
        after = Scaling("Norm_out", ("a",), far, far + rng.uniform(0.1, 4, units), "[-1,1]", True)
        before, after = before if ends != "after" else None, after if ends != "before" else None
        activation = Activation("tanh" if after is None else "linear")
        dense = Dense("a", ("Norm_in",), rng.normal(size=(units, inputs)), rng.normal(size=units), activation)
        step = fold(dense, before, after, unit)
        x = round_to(np.concatenate([rng.normal(0, 5, (300, inputs)), np.eye(inputs), -np.eye(inputs)]), "float32")
        kernel, bias = folded_by_hand(dense, before, after, dtype)
        z = x.astype(F) @ kernel.T + bias
        trace = step(x)
        bound = allowed_error(step, (x,), trace, SINGLE)
        assert (np.abs(activation(z).astype(float) - trace.outputs) <= bound).all()
        legacy_steps = dense(x if before is None else before(x).outputs).outputs
        legacy_steps = legacy_steps if after is None else after(legacy_steps).outputs
        assert (np.abs(legacy_steps - trace.outputs) <= bound).all()
        wrong = activation(x @ (kernel * (1 + 1e-4)).T + bias)
        assert (np.abs(wrong - trace.outputs) > bound).any()


def test_a_scaling_behind_a_tanh_cannot_be_folded():
    scaling = Scaling("Norm_out", ("a",), np.zeros(2), np.ones(2), "[0,1]", True)
    with pytest.raises(ValueError, match="a ends in tanh; a scaling behind it cannot be folded"):
        fold(Dense("a", ("inputs",), np.eye(2), None, Activation("tanh")), None, scaling, 2.0**-24)


def test_a_column_whose_range_is_a_point():
    """The original divides by zero, and so does the reference; nothing warns, and nothing is judged there."""
    step = Scaling("a", ("inputs",), np.array([1.0, 0.0]), np.array([1.0, 2.0]), "[-1,1]")
    x = np.array([[1.0, 1.0], [2.0, 1.0]])
    bound = allowed_error(step, (x,), step(x), SINGLE)
    assert np.isinf(bound[:, 0]).all() and np.isfinite(bound[:, 1]).all()
