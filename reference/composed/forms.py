"""Other ways to write the same function, exact on paper and less so in floating point."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.dense import Dense
from reference.precision import Precision
from reference.rounding.bounds import Errors, allowed_error, register
from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class TanhBySigmoid(Dense):
    """A tanh layer whose port computes 2 sigmoid(2 z) - 1, as "tansig" is often written.

    The formula is that of the layer; only what rounding can explain is wider, because near zero two numbers close
    to 1 are subtracted.
    """

    form = "2 sigmoid(2 x) - 1"


@dataclass(frozen=True)
class ByExponentials(Dense):
    """A layer whose port writes its activation out with exponentials.

    Near zero two numbers of size 1 are subtracted or added, so that the error is some units of 1 and not of the result.
    """

    @property
    def form(self) -> str:
        """The formula, for people."""
        return WRITTEN_OUT.get(self.activation.name, ("it is", 0.0))[0]


WRITTEN_OUT = {
    "tanh": ("a quotient of exponentials", 18.0),
    "softplus": ("log(1 + exp(x))", 9.0),
}
"""By activation: the formula, and unit roundoffs of 1 that it may cost. Two exponentials of 6 units each, relative to
their sum, and three roundings of at most 2; one exponential of 6 beside 1, the sum's rounding, and the logarithm's own.
"""


def equivalent_forms(dense: Dense) -> tuple[TanhBySigmoid | ByExponentials, ...]:
    """The other ways in which a port may have written the layer's activation, the closest first."""
    name = dense.activation.name
    if type(dense) is not Dense or name not in WRITTEN_OUT:
        return ()
    own = {field.name: getattr(dense, field.name) for field in fields(dense)}
    return (*([TanhBySigmoid(**own)] if name == "tanh" else []), ByExponentials(**own))


def _tanh_by_sigmoid(
    step: TanhBySigmoid, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    """Twice the bound of sigmoid on doubled weights (doubling is exact), and two roundings of at most 2 and 1."""
    own = Dense(**{field.name: getattr(step, field.name) for field in fields(step)})
    if step.activation.name != "tanh":  # a hypothesis on this step, with another activation
        return allowed_error(own, inputs, trace, precision, input_error=input_error)
    twice = replace(
        own,
        weights=2 * step.weights,
        bias=None if step.bias is None else 2 * step.bias,
        activation=Activation("sigmoid"),
    )
    sigmoid = allowed_error(twice, inputs, twice(*inputs), precision, input_error=input_error)
    return 2 * sigmoid + precision.format.unit * (2 + 2 * np.abs(trace.outputs)) + precision.format.tiny


def _by_exponentials(
    step: ByExponentials, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    """That of the layer, and what the exponentials beside 1 lose."""
    own = Dense(**{field.name: getattr(step, field.name) for field in fields(step)})
    allowed = allowed_error(own, inputs, trace, precision, input_error=input_error)
    return allowed + WRITTEN_OUT.get(step.activation.name, ("", 0.0))[1] * precision.format.unit


register(TanhBySigmoid, _tanh_by_sigmoid)
register(ByExponentials, _by_exponentials)
