"""A dense layer as another program may have it: its units elsewhere and scaled, or several layers made one."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import TANH_AMPLITUDE, TANH_SLOPE, Activation
from reference.operations.dense import Dense
from reference.precision import FORMATS, Precision
from reference.rounding.bounds import Errors, allowed_error, register
from reference.trace import LayerTrace

Array = NDArray[Any]

SECOND_ORDER = 1.001
"""Room for products of two roundings."""

ODD = {"linear", "tanh", "softsign", "hard_tanh", "scaled_tanh"}
"""Activations with g(-z) = -g(z), through which a sign may pass."""
HOMOGENEOUS = {"relu", "leaky_relu"}
"""Activations with g(c z) = c g(z) for every c > 0, as long as no parameter says otherwise."""


CONSTANT = 1e-6
"""How near a constant has to be to an activation's own value at zero to be tried as that; it is judged then."""


@dataclass(frozen=True)
class Units:
    """Where a port keeps the units of a tensor: its column j is ``scale[j] * unit order[j] + offset[j]``.

    Attributes:
        order: (columns,) which unit of the file.
        scale: (columns,) not zero; or zero, where the column is constant, and no unit of the file.
        offset: (columns,).
    """

    order: Array
    scale: Array
    offset: Array

    @classmethod
    def identity(cls, units: int) -> Units:
        """Every unit as the file has it."""
        return cls(np.arange(units), np.ones(units), np.zeros(units))

    @property
    def is_identity(self) -> bool:
        """Whether every column is the file's own unit."""
        own = np.arange(len(self.order))
        return bool((self.order == own).all() and (self.scale == 1).all() and (self.offset == 0).all())

    @property
    def is_exact(self) -> bool:
        """Whether arrays that are changed accordingly keep all their digits: signs and powers of two."""
        mantissa, _ = np.frexp(np.where(self.scale == 0, 1.0, self.scale))
        return bool((np.abs(mantissa) == 0.5).all() and (self.offset == 0).all())

    def columns(self, units: int) -> Array:
        """(units,) the column in which each unit of the file is found; -1 where there is none."""
        found = np.full(units, -1)
        for column in np.flatnonzero(self.scale != 0)[::-1]:
            found[self.order[column]] = column
        return found

    def place(self, rows: Array) -> Array:
        """(rows, units) of the file to (rows, columns) of the port."""
        return np.asarray(rows[:, self.order] * self.scale + self.offset)

    def reach(self, rows: Array) -> Array:
        """(rows, columns) to the nearest that the port can ever have there: constants, and units that come twice."""
        units = int(self.order.max(initial=-1)) + 1
        columns = self.columns(units)
        known = np.flatnonzero(columns >= 0)
        own = np.zeros((len(rows), units))
        picked = columns[known]
        own[:, known] = (rows[:, picked] - self.offset[picked]) / self.scale[picked]
        reached = self.place(own)
        reached[:, picked] = rows[:, picked]
        return reached


@dataclass(frozen=True)
class Rescaled(Dense):
    """A layer whose port multiplies and shifts each unit behind the activation; the next layer makes up for it.

    Attributes:
        scale: (units,).
        offset: (units,).
    """

    scale: Any = None
    offset: Any = None

    def __call__(self, x: Array) -> LayerTrace:
        """(rows, inputs) to (rows, units)."""
        trace = super().__call__(x)
        return replace(trace, outputs=trace.outputs * self.scale + self.offset)


def _rescaled(
    step: Rescaled, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    """The layer's own bound times the scale; three roundings of the product, two of the sum."""
    own = _plain(step)
    plain = own(*inputs)
    error = allowed_error(own, inputs, plain, precision, input_error=input_error)
    product = np.abs(step.scale * plain.outputs)
    moved = np.abs(step.scale) * error
    unit = precision.format.unit
    return moved * (1 + 4 * unit) + unit * (4 * product + 2 * np.abs(step.offset)) + 3 * precision.format.tiny


register(Rescaled, _rescaled)


def _plain(step: Dense) -> Dense:
    return Dense(**{field.name: getattr(step, field.name) for field in fields(Dense)})


@dataclass(frozen=True)
class _Arrays:
    """Kernel (inputs, units) and bias (units,), with how far a port's may lie from them beside their cast."""

    kernel: Array
    bias: Array
    kernel_error: Array
    bias_error: Array

    @classmethod
    def of(cls, dense: Dense) -> _Arrays:
        first = dense.orientation == "units-first"
        kernel = np.asarray(dense.weights.T if first else dense.weights, np.float64)
        bias = np.zeros(kernel.shape[1]) if dense.bias is None else np.asarray(dense.bias, np.float64).reshape(-1)
        error = dense.weights_error
        kernel_error = np.zeros(kernel.shape) if error is None else (error.T if first else error)
        bias_error = np.zeros(bias.shape) if dense.bias_error is None else dense.bias_error
        return cls(kernel, bias, kernel_error, bias_error)

    def times(self, factor: Array) -> _Arrays:
        """The units multiplied by a factor each."""
        size = np.abs(factor)
        return _Arrays(self.kernel * factor, self.bias * factor, self.kernel_error * size, self.bias_error * size)

    def into(self, dense: Dense, activation: Activation) -> Dense:
        """The layer with these arrays."""
        first = dense.orientation == "units-first"
        inexact = self.kernel_error.any() or self.bias_error.any()
        return replace(
            dense,
            weights=self.kernel.T if first else self.kernel,
            bias=self.bias,
            activation=activation,
            weights_error=(self.kernel_error.T if first else self.kernel_error) if inexact else None,
            bias_error=self.bias_error if inexact else None,
        )


def merge(first: Dense, second: Dense, unit: float) -> Dense:
    """One layer for two, of which the first is linear.

    Args:
        first: linear.
        second: takes its units.
        unit: unit roundoff of the coarsest arithmetic in which a port may have multiplied them.

    Raises:
        ValueError: the first has an activation.
    """
    if first.activation.name != "linear":
        raise ValueError(f"{first.name} ends in {first.activation}; it cannot be multiplied into the next layer")
    a, b = _Arrays.of(first), _Arrays.of(second)
    size_a, size_b = np.abs(a.kernel), np.abs(b.kernel)
    # The casts of both, and the products and sums of their product, in any order.
    units = SECOND_ORDER * unit * (len(b.kernel) + 3)
    kernel_error = units * (size_a @ size_b) + a.kernel_error @ size_b + size_a @ b.kernel_error
    through = np.abs(a.bias) @ size_b
    bias_error = units * (through + np.abs(b.bias)) + a.bias_error @ size_b + np.abs(a.bias) @ b.kernel_error
    merged = _Arrays(a.kernel @ b.kernel, a.bias @ b.kernel + b.bias, kernel_error, bias_error + b.bias_error)
    return replace(merged.into(second, second.activation), inputs=first.inputs)


def regauge(dense: Dense, entering: Units, leaving: Units, unit: float) -> tuple[Dense, ...]:
    """The layer on a port's units, in every way in which the port may give them, the plainest first.

    Args:
        dense: the layer of the file (of the file's units on both sides).
        entering: where the port keeps the units that it takes; every unit is found.
        leaving: where the port keeps the units that it gives.
        unit: unit roundoff of the coarsest arithmetic in which a port may have scaled its arrays.
    """
    arrays = _entered(_Arrays.of(dense), entering, unit)
    arrays = _Arrays(*(part[..., leaving.order] for part in vars(arrays).values()))
    ways = [_absorbed(dense, leaving, column) for column in range(len(leaving.order))]
    names = {way[0].name for way in ways if way is not None}
    found: list[Dense] = []
    if None not in ways and len(names) == 1:
        factor = np.array([way[1] for way in ways if way is not None])
        inexact = np.abs(np.frexp(factor)[0]) != 0.5
        scaled = arrays.times(factor)
        found.append(_loosened(scaled, inexact, unit).into(dense, next(way[0] for way in ways if way is not None)))
    if not found or names != {dense.activation.name}:
        plain = arrays.into(dense, dense.activation)
        values = {field.name: getattr(plain, field.name) for field in fields(plain)}
        found.append(Rescaled(**values, scale=leaving.scale, offset=leaving.offset))
    return tuple(found)


def is_absorbed(dense: Dense, leaving: Units) -> bool:
    """Whether the layer's own arrays can give its units so, with nothing behind the activation."""
    return all(_absorbed(dense, leaving, column) is not None for column in range(len(leaving.order)))


def _loosened(arrays: _Arrays, columns: Array, unit: float) -> _Arrays:
    """Room for three roundings where the columns were multiplied by a number that is no power of two."""
    room = 3 * SECOND_ORDER * unit * columns
    return replace(
        arrays,
        kernel_error=arrays.kernel_error + room * np.abs(arrays.kernel),
        bias_error=arrays.bias_error + room * np.abs(arrays.bias),
    )


def _entered(arrays: _Arrays, entering: Units, unit: float) -> _Arrays:
    """The arrays that take the port's columns: rows elsewhere and divided, what was added taken off the bias."""
    if entering.is_identity:
        return arrays
    columns = entering.columns(len(arrays.kernel))
    scale, offset = entering.scale[columns], entering.offset[columns]
    shape = (len(entering.order), arrays.kernel.shape[1])
    kernel, error = np.zeros(shape), np.zeros(shape)
    kernel[columns] = arrays.kernel / scale[:, np.newaxis]
    error[columns] = arrays.kernel_error / np.abs(scale)[:, np.newaxis]
    moved = offset @ kernel[columns]
    terms = np.abs(offset) @ np.abs(kernel[columns])
    bias_error = arrays.bias_error + np.abs(offset) @ error[columns]
    if offset.any():
        bias_error = bias_error + SECOND_ORDER * unit * (len(kernel) + 3) * (terms + np.abs(arrays.bias))
    if not entering.is_exact:
        error = error + 3 * SECOND_ORDER * unit * np.abs(kernel)
    return _Arrays(kernel, arrays.bias - moved, error, bias_error)


def _absorbed(dense: Dense, leaving: Units, column: int) -> tuple[Activation, float] | None:
    """The activation and the factor of the preactivation with which one unit comes out as the port has it, or None."""
    own, scale, offset = dense.activation, float(leaving.scale[column]), float(leaving.offset[column])
    if scale == 0:
        is_zero = own.name != "softmax" and abs(offset - own(np.zeros((1, 1))).item()) <= CONSTANT
        return (own, 0.0) if is_zero else None
    if offset == 0 and _passes(own, scale):
        return own, scale
    if own.name == "scaled_tanh" and offset == 0 and scale == 1 / amplitude_of(own):
        return Activation("tanh"), float(own.parameters.get("slope", TANH_SLOPE))
    way = _OTHERS.get((own.name, scale, offset)) if not own.parameters else None
    return None if way is None else (Activation(way[0]), way[1])


_OTHERS = {
    ("tanh", 0.5, 0.5): ("sigmoid", 2.0),  # (tanh(z) + 1) / 2 = sigmoid(2 z)
    ("tanh", -0.5, 0.5): ("sigmoid", -2.0),
    ("sigmoid", 2.0, -1.0): ("tanh", 0.5),
    ("sigmoid", -2.0, 1.0): ("tanh", -0.5),
    ("sigmoid", -1.0, 1.0): ("sigmoid", -1.0),
}
"""Activation, scale and offset to the activation that gives just that, and of which multiple of the preactivation."""


def amplitude_of(activation: Activation) -> float:
    """By which the next layer's arrays are multiplied where a port has a plain function in its place; 1 for most."""
    return float(activation.parameters.get("amplitude", TANH_AMPLITUDE)) if activation.name == "scaled_tanh" else 1.0


def _passes(activation: Activation, factor: float) -> bool:
    """Whether g(c z) = c g(z)."""
    if factor == 1 or activation.name == "linear":
        return True
    if factor == -1:
        return activation.name in ODD
    return factor > 0 and activation.name in HOMOGENEOUS and "max_value" not in activation.parameters


def in_blocks(dense: Dense, blocks: int, unit: float) -> Dense:
    """A layer whose products are rounded block by block of its inputs before they are added up.

    Each partial sum is at most the sum of the magnitudes of all terms, and so is each sum of partial sums: as many
    roundings of that, which are those of weights off by as many units.

    Args:
        dense: the layer.
        blocks: how many products there are at most, the bias one of them.
        unit: of the format to which they are rounded.
    """
    arrays, room = _Arrays.of(dense), 2 * blocks * SECOND_ORDER * unit
    loose = replace(
        arrays,
        kernel_error=arrays.kernel_error + room * np.abs(arrays.kernel),
        bias_error=arrays.bias_error + room * np.abs(arrays.bias),
    )
    return replace(loose.into(dense, dense.activation), by_blocks=room)


def entered(dense: Dense, entering: Units) -> Array:
    """(columns, units) the layer's kernel on the columns in which a port keeps its inputs."""
    return _entered(_Arrays.of(dense), entering, 0.0).kernel


def coarsest_unit(precision: Precision) -> float:
    """Unit roundoff of the coarsest arithmetic in which a port's arrays may have been made."""
    return max(precision.accumulator.unit, FORMATS[precision.variables].unit)
