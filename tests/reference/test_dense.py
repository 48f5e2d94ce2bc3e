"""Dense layers and activations on arrays as stored."""

from __future__ import annotations

import numpy as np
import pytest

from reference.activations import Activation
from reference.operations.dense import Activate, Dense

RNG = np.random.default_rng(3)
W, B, X = RNG.normal(size=(4, 3)), RNG.normal(size=4), RNG.normal(size=(6, 3))


def by_hand(x, weights, bias):
    """Loops over units-first weights."""
    return np.array(
        [
            [sum(w * v for w, v in zip(ws, row, strict=True)) + b for ws, b in zip(weights, bias, strict=True)]
            for row in x
        ]
    )


@pytest.mark.parametrize(("weights", "orientation"), [(W, "units-first"), (W.T, "inputs-first")])
def test_both_orientations(weights, orientation):
    step = Dense("a", ("inputs",), weights, B, Activation("tanh"), orientation)
    trace = step(X)
    assert step.width == (3, 4)
    np.testing.assert_allclose(trace.preactivation, by_hand(X, W, B), rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(trace.outputs, np.tanh(trace.preactivation))


def test_a_transposed_square_kernel_shows():
    """Negative control."""
    square = RNG.normal(size=(3, 3))
    first = Dense("a", ("inputs",), square, None, Activation("linear"))(X).outputs
    second = Dense("a", ("inputs",), square, None, Activation("linear"), "inputs-first")(X).outputs
    assert np.abs(first - second).max() > 0.1


def test_legacy_precision_and_byte_order():
    stored = W.astype(">f4")
    trace = Dense("a", ("inputs",), stored, B.astype(">f4"), Activation("relu"), dtype=np.float32)(X)
    assert trace.outputs.dtype == np.float32 and trace.outputs.dtype.isnative


def test_overflow_is_silent():
    trace = Dense("a", ("inputs",), W * 1e300, B, Activation("exponential"))(X * 1e300)
    assert not np.isfinite(trace.outputs).all()


def test_activation_as_a_step_of_its_own():
    trace = Activate("a", ("b",), Activation("sigmoid"))(X)
    np.testing.assert_array_equal(trace.preactivation, X)
    np.testing.assert_array_equal(trace.outputs, Activation("sigmoid")(X))
