"""Rounding in K x + b: for any order of summation, with fused multiply-add or without.

Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., chapters 3 and 4; the constant halved
because a partial sum and its complement add up to the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import Format, Precision

Array = NDArray[Any]

CASTS = 1.01
"""Room for the second order of two roundings to 16 bits."""

PRODUCT_UNITS = {"float16": 1.0, "bfloat16": 2.0}
"""Units of roundoff that a product loses to its 16-bit format.

TensorFlow 2.21 without XLA rounds a bfloat16 product toward zero on processors that have no bfloat16 arithmetic
(``benchmarks/product_accuracy.py``; up to 1.83 times the bound of one unit).
"""


CACHED_ELEMENTS = 2**15
"""Numbers of an array that go through many steps at a time: few enough to stay in the processor's cache."""


def cached_rows(array: Array) -> Iterator[slice]:
    """Slices of rows that together are all of them."""
    size = max(1, CACHED_ELEMENTS // max(array.shape[1], 1))
    return (slice(start, start + size) for start in range(0, len(array), size))


@dataclass(frozen=True)
class Affine:
    """What a port is to compute, and how far its own numbers may lie from that; all float64.

    Attributes:
        kernel: (inputs, units).
        bias: (units,).
        kernel_error: (inputs, units) non-negative.
        bias_error: (units,) non-negative.
    """

    kernel: Array
    bias: Array
    kernel_error: Array
    bias_error: Array

    @cached_property
    def size(self) -> Array:
        """(inputs, units) abs(kernel)."""
        return np.abs(self.kernel)

    @cached_property
    def single(self) -> Array:
        """``size`` in float32."""
        return self.size.astype(np.float32)

    @cached_property
    def column_sums(self) -> Array:
        """(units,) sums of abs(kernel)."""
        return np.asarray(np.sum(self.size, axis=0))

    @cached_property
    def relative(self) -> tuple[Array, Array]:
        """(units,) factors with kernel_error <= factor * size + rest, so that one product serves both."""
        if not self.kernel_error.any():
            return np.zeros(self.size.shape[1]), np.zeros(self.size.shape[1])
        # An entry that underflows loses all its digits, and must not lend that share to the others of its unit.
        normal = (self.size >= 2.0**-126) & (self.kernel_error <= 2.0**-7 * self.size)
        factor = np.divide(self.kernel_error, self.size, out=np.zeros_like(self.size), where=normal)
        rest = np.max(self.kernel_error, axis=0, initial=0, where=~normal)
        return np.max(factor, axis=0, initial=0), rest


@dataclass(frozen=True)
class Arithmetic:
    """In which formats both sides compute.

    Attributes:
        port: of the port.
        own: in which the reference computed.
    """

    port: Precision
    own: Format


@dataclass(frozen=True)
class _Terms:
    """Magnitudes of the terms of each sum, (rows, units) unless it says otherwise.

    Attributes:
        count: (rows, 1) terms that are not zero.
        inputs: (rows, 1) sum of the magnitudes of the inputs.
        products: sum of abs(k x), the port's own numbers included.
        rounded: those of the products that can be inexact.
        moved: by how much the errors of kernel and inputs move the sum of products.
    """

    count: Array
    inputs: Array
    products: Array
    rounded: Array
    moved: Array

    def __getitem__(self, rows: slice) -> _Terms:
        return _Terms(*(getattr(self, field.name)[rows] for field in fields(self)))

    def with_rounded_operands(self, relative: float) -> _Terms:
        """The same where every product may be off by that share before anything is added up."""
        larger = 1 + relative
        moved = self.moved + relative * self.products
        return replace(self, products=larger * self.products, rounded=larger * self.rounded, moved=moved)


def product_error(affine: Affine, x: Array, z: Array, shift: Array | None, arithmetic: Arithmetic) -> Array:
    """A bound on abs(port - reference) of z = x @ kernel + bias.

    Args:
        affine: kernel and bias.
        x: (rows, inputs) float64.
        z: (rows, units) as the reference has it.
        shift: (rows, inputs) how far the port's inputs may lie from x; None where they are x.
        arithmetic: of both sides.

    Returns:
        (rows, units) float64; infinite where a partial sum may overflow.
    """
    magnitude = np.abs(x) if shift is None else np.abs(x) + shift
    count = np.count_nonzero(magnitude, axis=1)
    sparse = count <= 1
    bound = np.empty(z.shape)
    if sparse.any() and not sparse.all():
        for rows in (sparse, ~sparse):
            part = None if shift is None else shift[rows]
            bound[rows] = product_error(affine, x[rows], z[rows], part, arithmetic)
        return bound
    if sparse.all():
        terms = _single_terms(affine, magnitude, shift)
    else:
        terms = _all_terms(affine, magnitude, shift, count, arithmetic)
    for cached in cached_rows(z):
        bound[cached] = _bound(affine, terms[cached], z[cached], arithmetic)
    return bound


def _single_terms(affine: Affine, magnitude: Array, shift: Array | None) -> _Terms:
    """Rows with at most one input that is not zero: every term is known exactly, and no product is needed."""
    rows, place = np.arange(len(magnitude)), np.argmax(magnitude, axis=1)
    size = magnitude[rows, place][:, np.newaxis]
    moved = size * affine.kernel_error[place]
    products = size * affine.size[place]
    inexact = np.frexp(size)[0] != 0.5  # not a power of two
    if shift is not None:
        moved += shift[rows, place][:, np.newaxis] * affine.size[place]
        inexact = np.ones_like(inexact)
    products += moved
    return _Terms((size > 0).astype(np.float64), size, products, products * inexact, moved)


def _all_terms(affine: Affine, magnitude: Array, shift: Array | None, count: Array, arithmetic: Arithmetic) -> _Terms:
    inputs = np.sum(magnitude, axis=1)[:, np.newaxis]
    products = _product_above(magnitude, affine, arithmetic.port)
    factor, rest = affine.relative
    moved = products * factor
    if rest.any():
        moved += inputs * rest
    if shift is not None:
        moved += shift @ affine.size
    products += moved
    return _Terms(count[:, np.newaxis].astype(np.float64), inputs, products, products, moved)


def _product_above(magnitude: Array, affine: Affine, precision: Precision) -> Array:
    """Magnitude @ abs(kernel), or a little more: in float32, which is faster, where that is exact enough."""
    if precision.compute == "float64":
        return np.asarray(magnitude @ affine.size)
    inputs = magnitude.shape[1]
    product = (magnitude.astype(np.float32) @ affine.single).astype(np.float64)
    product *= 1 + 1.01 * (inputs + 4) * 2.0**-24
    product += inputs * 2.0**-126
    return product


def _bound(affine: Affine, terms: _Terms, z: Array, arithmetic: Arithmetic) -> Array:
    kind = arithmetic.port.accumulator
    if arithmetic.port.operand_error:
        terms = terms.with_rounded_operands(arithmetic.port.operand_error)
    moved = terms.moved + affine.bias_error
    reach = np.abs(z)
    reach += moved
    total = terms.products + (np.abs(affine.bias) + affine.bias_error)
    total += reach
    rounding = summation_error(terms.rounded, total, reach, terms.count, kind)
    rounding += kind.tiny * (2 * terms.count + 2 + terms.inputs)
    rounding += kind.tiny * affine.column_sums
    own = summation_error(terms.rounded, total, reach, terms.count, arithmetic.own)
    largest = total
    if arithmetic.port.is_short:
        product = np.abs(z - affine.bias) + moved
        rounding += _short_error(product, reach, rounding, arithmetic.port.format)
        largest = np.maximum(product, reach)
    limit = arithmetic.port.format.largest / 2
    overflow = None if np.max(largest, initial=0) < limit / 2 else ~(largest / 2 + rounding / 2 < limit)
    rounding += own
    rounding += moved
    if overflow is not None:
        rounding[overflow] = np.inf
    return rounding


def summation_error(rounded: Array, total: Array, z: Array, count: Array, kind: Format) -> Array:
    """Every inexact product is rounded once, every partial sum at most once.

    All partial sums but the whole, which is abs(z), are at most ``total / 2`` in magnitude, because a part and its
    complement add up to z, and their magnitudes to at most the sum of all magnitudes.

    Args:
        rounded: (rows, units) sum of the magnitudes of the products that are rounded.
        total: (rows, units) sum of the magnitudes of all terms, the bias included, plus abs(z).
        z: (rows, units) abs of the whole sum.
        count: (rows, 1) products that are not zero.
        kind: format of the arithmetic.
    """
    scale = np.where(count * kind.unit < 1, kind.unit / (1 - count * kind.unit), np.inf)
    error = np.maximum(count - 1, 0) / 2 * scale * total
    error += scale * rounded
    error += scale * (count > 0) * z
    return np.asarray(error)


def _short_error(product: Array, z: Array, rounding: Array, kind: Format) -> Array:
    """The product rounded to 16 bits, then its sum with the bias."""
    u = kind.unit
    once = CASTS * PRODUCT_UNITS[kind.name] * u * (product + rounding)
    return np.asarray(once + CASTS * u * (z + rounding + once) + 3 * kind.tiny)
