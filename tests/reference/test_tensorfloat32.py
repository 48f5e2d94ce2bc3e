"""Layers that multiply on a GPU: operands rounded to tensorfloat32 once more stay within the bound that says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import reference.rounding.layers  # noqa: F401 - registers the bounds
from reference.activations import Activation
from reference.operations.convolution import Convolution
from reference.operations.dot import Dot
from reference.operations.lstm_cell import LSTMCell
from reference.operations.recurrent import Recurrent
from reference.operations.separable_convolution import SeparableConvolution
from reference.precision import Precision, round_to
from reference.rounding.bounds import allowed_error

SINGLE, ROUNDED = Precision("float32", "float32"), Precision("float32", "float32", tensorfloat32=True)
LINEAR = Activation("linear")


def shortened(array):
    """10 bits of fraction, the nearest."""
    mantissa, exponent = np.frexp(array)
    return np.ldexp(np.round(mantissa * 2.0**11) / 2.0**11, exponent)


def single(rng, *shape):
    return round_to(rng.normal(size=shape), "float32")


def convolution(rng):
    step = Convolution("c", ("x",), single(rng, 3, 3, 4, 5), None, LINEAR, (1, 1), (1, 1))
    x = single(rng, 4, 6, 6, 4)
    return step, (x,), replace(step, kernel=shortened(step.kernel))(shortened(x))


def separable(rng):
    step = SeparableConvolution(
        "c", ("x",), single(rng, 3, 3, 4, 2), single(rng, 1, 1, 8, 5), None, LINEAR, (1, 1), (1, 1)
    )
    x = single(rng, 4, 6, 6, 4)
    first = Convolution("c", ("x",), np.zeros((1, 1, 8, 5)), None, LINEAR, (1, 1), (1, 1))
    wide = np.zeros((1, 1, 8, 8))
    wide[0, 0] = np.eye(8)
    middle = replace(step, depthwise=shortened(step.depthwise), pointwise=wide)(shortened(x)).outputs
    return step, (x,), replace(first, kernel=shortened(step.pointwise))(shortened(middle))


def dot(rng):
    step, pair = Dot("d", ("x", "y"), (1, 1)), (single(rng, 40, 9), single(rng, 40, 9))
    return step, pair, step(*map(shortened, pair))


@pytest.mark.parametrize("case", [convolution, separable, dot])
def test_operands_may_be_rounded_where_the_platform_says_so(case):
    step, inputs, port = case(np.random.default_rng(1))
    trace = step(*inputs)
    error = np.abs(port.outputs - trace.outputs)
    assert (error <= allowed_error(step, inputs, trace, ROUNDED)).all()
    assert (error > allowed_error(step, inputs, trace, SINGLE)).mean() > 0.5


def test_a_recurrent_layer_of_one_step():
    rng = np.random.default_rng(2)
    kernel, recurrent = single(rng, 3, 16), single(rng, 4, 16)
    tanh, sigmoid = Activation("tanh"), Activation("sigmoid")
    step = Recurrent("l", ("x",), LSTMCell(kernel, recurrent, single(rng, 16), tanh, sigmoid))
    x = single(rng, 30, 1, 3)
    cell = replace(step.cell, kernel=shortened(kernel), recurrent=shortened(recurrent))
    port, trace = replace(step, cell=cell)(shortened(x)), step(x)
    error = np.abs(port.outputs - trace.outputs)
    assert (error <= allowed_error(step, (x,), trace, ROUNDED)).all()
    assert (error > allowed_error(step, (x,), trace, SINGLE)).any()
