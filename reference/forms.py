"""Other ways to write the same function, exact on paper and less so in floating point."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.dense import Dense
from reference.precision import Precision
from reference.rounding import Errors, allowed_error, register
from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class TanhBySigmoid(Dense):
    """A tanh layer whose port computes 2 sigmoid(2 z) - 1, as "tansig" is often written.

    The formula is that of the layer; only what rounding can explain is wider, because near zero two numbers close
    to 1 are subtracted.
    """

    form = "2 sigmoid(2 x) - 1"


def equivalent_forms(dense: Dense) -> tuple[TanhBySigmoid, ...]:
    """The other ways in which a port may have written the layer's activation."""
    if type(dense) is not Dense or dense.activation.name != "tanh":
        return ()
    return (TanhBySigmoid(**{field.name: getattr(dense, field.name) for field in fields(dense)}),)


def _tanh_by_sigmoid(
    step: TanhBySigmoid, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    """Twice the bound of sigmoid on doubled weights (doubling is exact), and two roundings of at most 2 and 1."""
    own = Dense(**{field.name: getattr(step, field.name) for field in fields(step)})
    twice = replace(
        own,
        weights=2 * step.weights,
        bias=None if step.bias is None else 2 * step.bias,
        activation=Activation("sigmoid"),
    )
    sigmoid = allowed_error(twice, inputs, twice(*inputs), precision, input_error=input_error)
    return 2 * sigmoid + precision.format.unit * (2 + 2 * np.abs(trace.outputs)) + precision.format.tiny


register(TanhBySigmoid, _tanh_by_sigmoid)
