"""A dense layer whose sum of products is written out as an equation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.trace import LayerTrace

Array = NDArray[Any]


@dataclass(frozen=True)
class EinsumDense:
    """activation(einsum(equation, x, kernel) + bias).

    Attributes:
        name: legacy name.
        inputs: the step whose outputs it takes, in a tuple of one.
        equation: as Einstein's convention has it: "ab,bc->ac", "...x,xy->...y".
        kernel: the second operand.
        bias: in a shape that is spread over the outputs, or None.
        activation: applied last.
        dtype: in which the arithmetic is done.

    Source: tf.keras 2.15 documentation, EinsumDense.
    """

    name: str
    inputs: tuple[str, ...]
    equation: str
    kernel: Array
    bias: Array | None
    activation: Activation
    dtype: Any = np.float64

    @property
    def terms(self) -> int:
        """How many products one output is the sum of."""
        given, _, made = self.equation.replace(" ", "").partition("->")
        letters = given.split(",")[1]
        return math.prod(n for letter, n in zip(letters, self.kernel.shape, strict=True) if letter not in made)

    def linear(self, x: Array, kernel: Array) -> Array:
        """The sum of products alone, with any kernel of this shape."""
        return np.asarray(np.einsum(self.equation, x, kernel, optimize=True))

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, ...) to whatever the equation makes of it."""
        z = self.linear(x.astype(self.dtype, copy=False), self.kernel.astype(self.dtype))
        z = z if self.bias is None else z + self.bias.astype(self.dtype)
        return LayerTrace(self.name, self.activation(z), z)
