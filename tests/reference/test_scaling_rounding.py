"""Scalings and transforms in float32, whichever way a port computes them; and folded into a layer."""

from __future__ import annotations

import numpy as np
import pytest

from reference.activations import Activation
from reference.composed.folding import changes_nothing, fold
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform
from reference.precision import Precision, round_to
from reference.rounding.bounds import allowed_error

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


def ways_to_fold(dense, before, dtype):
    """Kernel and bias by name, as authors write the fold of a [-1, 1] scaling, every operation in a dtype."""
    kernel, bias = dense.weights.T.astype(dtype), dense.bias.astype(dtype)
    low, high = before.first.astype(dtype), before.second.astype(dtype)
    scale = dtype(2) / (high - low)
    scaled, middle = kernel * scale[:, np.newaxis], (low + high) / dtype(2)
    found = {
        "minimum": (scaled, bias - low @ scaled - kernel.sum(axis=0)),
        "offset": (scaled, bias + (-low * scale - dtype(1)) @ kernel),
    }
    halved = kernel / ((high - low) / dtype(2))[:, np.newaxis]
    found["middle"] = (halved, bias - middle @ halved)
    for order in (np.arange(len(low)), np.arange(len(low))[::-1], np.argsort(kernel[:, 0])):
        one, two, three = bias.copy(), bias.copy(), np.zeros_like(bias)
        for j in order:
            one = one - scaled[j] * low[j] - kernel[j]
            two = two - scaled[j] * low[j]
            three = three + kernel[j] * (-(low[j] + high[j]) / (high[j] - low[j]))
        for j in order:
            two = two - kernel[j]
        found |= {f"loop from {order[0]}": (scaled, one), f"two loops from {order[0]}": (scaled, two),
                  f"loop of offsets from {order[0]}": (scaled, bias + three)}  # fmt: skip
    return found


RANGES = {
    "any": lambda rng, n: (low := rng.uniform(-5, 0, n), low + rng.uniform(0.5, 6, n)),
    "symmetric": lambda rng, n: (-(half := rng.uniform(1.5, 8, n)), half),
    "2 wide": lambda rng, n: ((low := rng.uniform(10, 300, n)) - 1, low + 1),
    "[-1, 1]": lambda rng, n: (-np.ones(n), np.ones(n)),
    "[0, 1]": lambda rng, n: (np.zeros(n), np.ones(n)),
}


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize(("dtype", "unit", "tiny"), [(np.float32, 2.0**-24, 0.0), (np.float16, 2.0**-11, 2.0**-24)])
def test_a_fold_may_be_written_and_added_up_in_any_way(dtype, unit, tiny, ranges, positive):
    rng = np.random.default_rng(14)
    for inputs in (1, 2, 9, 60, 400):
        low, high = RANGES[ranges](rng, inputs)
        weights = rng.normal(size=(6, inputs)) / np.sqrt(inputs)
        dense = Dense("a", ("Norm_in",), np.abs(weights) if positive else weights, rng.normal(size=6) * 0.3,
                      Activation("tanh"))  # fmt: skip
        before = Scaling("Norm_in", ("inputs",), low, high, "[-1,1]")
        step = fold(dense, before, None, unit, tiny)
        for name, (kernel, bias) in ways_to_fold(dense, before, dtype).items():
            assert (np.abs(kernel.T.astype(float) - step.weights) <= step.weights_error).all(), (inputs, name)
            assert (np.abs(bias.astype(float) - step.bias) <= step.bias_error).all(), (inputs, name)


@pytest.mark.parametrize("ranges", [name for name in RANGES if name != "2 wide"])
@pytest.mark.parametrize("change", ["bias", "offset of one input", "sign of the offsets"])
def test_a_mistake_in_a_folded_bias_is_outside(ranges, change):
    """Negative control: a ten-thousandth of the bias, one input's offset forgotten, or the wrong sign."""
    rng = np.random.default_rng(15)
    for inputs in (5, 30, 120):
        low, high = RANGES[ranges](rng, inputs)
        dense = Dense("a", ("Norm_in",), rng.normal(size=(12, inputs)) / np.sqrt(inputs), rng.normal(size=12),
                      Activation("linear"))  # fmt: skip
        before = Scaling("Norm_in", ("inputs",), low, high, "[-1,1]")
        step = fold(dense, before, None, 2.0**-24)
        _, offset = before.affine
        wrong = {"bias": step.bias * (1 + 1e-4), "offset of one input": step.bias - dense.weights[:, 0] * offset[0],
                 "sign of the offsets": dense.bias - dense.weights @ offset}[change]  # fmt: skip
        if np.array_equal(wrong, step.bias):
            continue
        x = np.zeros((1, inputs))
        bound = allowed_error(step, (x,), step(x), SINGLE)
        assert (np.abs(wrong - step.bias) > bound[0]).any(), inputs


def test_a_scaling_that_changes_nothing():
    dense = Dense("a", ("Norm_in",), np.array([[1.0, -2.0]]), np.array([0.5]), Activation("tanh"))
    for low, high, nothing in ((-1.0, 1.0, True), (-1.0 - 1e-9, 1.0, True), (-1.0001, 1.0, False), (0.0, 2.0, False)):
        before = Scaling("Norm_in", ("inputs",), np.full(2, low), np.full(2, high), "[-1,1]")
        assert changes_nothing(dense, fold(dense, before, None, 2.0**-24)) is nothing, (low, high)


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
