"""Rounding in activations: what becomes of an error of the argument, and the function's own error on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.logistic_table import START
from reference.precision import Format
from reference.rounding.constants import accuracy_of, form_units
from reference.rounding.rational import rational_error
from reference.rounding.spread import spread

Array = NDArray[Any]

FLUSHES = 4
"""Results that may underflow on the way through one function."""
LOOKUP = 3
"""Roundings on the way to a place in a table: of a sum with its start, of its step, of the quotient."""
TABLE_LOOKUP = 8
"""The same where start and step are rounded, the step may be a difference of rounded ends, and half of it is added."""
HEADROOM = 2
"""An intermediate result may be this much larger than the function's value (gelu behind a product, measured)."""


def activation_error(activation: Activation, z: Array, a: Array, error: Array, kind: Format, own: Format) -> Array:
    """A bound on abs(port - reference) of a = g(z), where the port's argument lies within ``error`` of z.

    Args:
        activation: g.
        z: (rows, units) float64.
        a: g(z) as the reference has it.
        error: same shape, non-negative.
        kind: format in which the port computes g.
        own: format in which the reference did.
    """
    if activation.name == "linear":
        return error
    if activation.name == "rational":
        return rational_error(activation.parameters, z, a, error, kind, own)
    breakpoint_ = abs(activation.parameters.get("threshold", 0.0)) * kind.unit
    if activation.name == "logistic_table":
        error = error + LOOKUP * (kind.unit + own.unit) * (np.abs(z) - START)
    if activation.name == "table":
        ends = abs(activation.parameters["first"]), abs(activation.parameters["last"])
        error = error + TABLE_LOOKUP * (kind.unit + own.unit) * (np.abs(z) + max(ends)) + kind.tiny
    moved = spread(activation, z, a, error + breakpoint_ if breakpoint_ else error)
    if activation.name == "softmax":
        return moved + _softmax_error(activation, z, a, np.abs(a) + moved, kind, own)
    accuracies = ((kind.unit, accuracy_of(activation, kind.name)), (own.unit, accuracy_of(activation, own.name)))
    relative, argument, absolute = (
        sum(unit * getattr(accuracy, term) for unit, accuracy in accuracies)
        for term in ("relative", "argument", "absolute")
    )
    if relative == argument == absolute == 0:
        return moved
    total = moved * (1 + relative) + relative * np.abs(a) + (absolute + FLUSHES * kind.tiny)
    if activation.form:
        total = total + kind.unit * form_units(activation, a, kind.name)
    if argument:
        total += argument * (np.abs(z) + error)
    overflow = HEADROOM * (np.abs(a) + total) > kind.largest
    return np.where(overflow, np.inf, total) if overflow.any() else np.asarray(total)


def _softmax_error(activation: Activation, z: Array, a: Array, value: Array, kind: Format, own: Format) -> Array:
    """exp, sum and division: every exponential inherits the rounding of z - max(z)."""
    axis = activation.parameters.get("axis", -1)
    depth = np.max(z, axis=axis, keepdims=True) - z
    terms = np.prod([z.shape[i] for i in np.atleast_1d(axis)])
    common = np.sum(np.where(a > 0, a * depth, 0), axis=axis, keepdims=True) + terms
    units = np.where(value > 0, depth, 0) + common
    error = (terms + FLUSHES) * kind.tiny
    for form in (kind, own):
        error = error + form.unit * value * (units + accuracy_of(activation, form.name).relative)
    return np.asarray(error)
