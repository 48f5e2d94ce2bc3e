"""A scaling multiplied into the dense layer beside it, with what that multiplication itself may cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.dense import Dense
from reference.scaling import Scaling

Array = NDArray[Any]

SECOND_ORDER = 1.001
"""Room for products of two roundings; a fold in 16 bits is not provided for."""


def fold(dense: Dense, before: Scaling | None, after: Scaling | None, unit: float) -> Dense:
    """One dense layer for scaling, layer, scaling; computed in float64.

    Args:
        dense: the layer; linear where ``after`` is given.
        before: input scaling s x + o: the kernel's rows are multiplied by s, the bias gains W o.
        after: output scaling s y + o: the kernel's columns and the bias are multiplied by s, the bias gains o.
        unit: unit roundoff of the coarsest arithmetic in which a port may have folded.

    Returns:
        The folded layer, with what that arithmetic costs as its ``weights_error`` and ``bias_error``.

    Raises:
        ValueError: ``after`` is given and the layer is not linear.
    """
    if after is not None and dense.activation.name != "linear":
        raise ValueError(f"{dense.name} ends in {dense.activation}; a scaling behind it cannot be folded into it")
    is_units_first = dense.orientation == "units-first"
    kernel = np.asarray(dense.weights.T if is_units_first else dense.weights, np.float64)
    bias = np.zeros(kernel.shape[1]) if dense.bias is None else np.asarray(dense.bias, np.float64).reshape(-1)
    # In units: the casts of W and b, and 2**-53 of the reference's own.
    kernel_units, bias_units = np.abs(kernel), 2 * np.abs(bias)
    if before is not None:
        scale, offset = before.affine
        spoilt, shifted = _constant_units(before)
        terms = np.abs(offset) @ np.abs(kernel)
        bias_units = bias_units + shifted @ np.abs(kernel) + (len(kernel) + 3) * (terms + np.abs(bias))
        bias = bias + offset @ kernel
        kernel_units = (kernel_units + np.abs(kernel) * (1 + spoilt)[:, np.newaxis]) * np.abs(scale)[:, np.newaxis]
        kernel = kernel * scale[:, np.newaxis]
    if after is not None:
        scale, offset = after.affine
        spoilt, shifted = _constant_units(after)
        kernel_units = (kernel_units + np.abs(kernel) * (1 + spoilt)) * np.abs(scale)
        bias_units = (bias_units + np.abs(bias) * (1 + spoilt)) * np.abs(scale) + shifted
        kernel, bias = kernel * scale, bias * scale + offset
        bias_units = bias_units + np.abs(bias)
    weights_error = SECOND_ORDER * unit * kernel_units
    return replace(
        dense,
        weights=kernel.T if is_units_first else kernel,
        bias=bias,
        weights_error=weights_error.T if is_units_first else weights_error,
        bias_error=SECOND_ORDER * unit * bias_units,
    )


def _constant_units(scaling: Scaling) -> tuple[Array, Array]:
    """(n,) relative error of the scale and absolute error of the offset, in units of roundoff of their arithmetic.

    The width max - min inherits the casts of both and is rounded; its quotient too. The offset is a quotient or a
    mean of them.
    """
    first, second = np.asarray(scaling.first, np.float64), np.asarray(scaling.second, np.float64)
    _, offset = scaling.affine
    if scaling.rule == "mean-std":
        spoilt = np.full(first.shape, 2.0)
        return spoilt, np.abs(offset) * (1.0 if scaling.inverse else 3.0)
    spoilt = (np.abs(first) + np.abs(second)) / np.abs(second - first) + 2
    if scaling.inverse:
        return spoilt, np.abs(first) + np.abs(second)
    sums = (np.abs(first) + np.abs(second)) / np.abs(second - first)
    return spoilt, np.abs(offset) * (spoilt + 1) + 2 * sums
