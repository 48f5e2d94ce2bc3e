"""A scaling multiplied into the dense layer beside it, with what that multiplication itself may cost.

The folded bias is a long sum that may cancel: b' = b + sum w_j o_j, or b - sum w'_j lo_j - sum w_j, and so on.  The
worst case of its rounding grows with the number of terms and would hide real mistakes, so where the sum is long its
rounding is taken to be at most ``SIGMAS`` standard deviations: roundings within u of each partial sum, independent of
each other (N. J. Higham and T. Mary, A new approach to probabilistic rounding error analysis, 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.dense import Dense
from reference.operations.scaling import Scaling

Array = NDArray[Any]

SIGMAS = 12.0
"""8.1 was the most in 33 million sums of products."""


@np.errstate(all="ignore")
def fold(dense: Dense, before: Scaling | None, after: Scaling | None, unit: float, tiny: float = 0.0) -> Dense:
    """One dense layer for scaling, layer, scaling; computed in float64.

    Args:
        dense: the layer; linear where ``after`` is given.
        before: input scaling s x + o: the kernel's rows are multiplied by s, the bias gains W o.
        after: output scaling s y + o: the kernel's columns and the bias are multiplied by s, the bias gains o.
        unit: unit roundoff of the coarsest arithmetic in which a port may have folded.
        tiny: absolute error of one of its operations whose result underflows.

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
    kernel_units, bias_units, growth = np.abs(kernel), 2 * np.abs(bias), np.zeros((1, 1))
    reach = 2.0
    if before is not None:
        scale, offset = before.affine
        spoilt, shifted = _constant_units(before)
        reach += float(np.sum(np.abs(offset) + np.abs(before.first) + 2))
        growth = growth + spoilt[:, np.newaxis]
        bias_units = bias_units + shifted @ np.abs(kernel) + _sum_units(kernel, bias, before)
        bias = bias + offset @ kernel
        kernel_units = (kernel_units + np.abs(kernel) * (1 + spoilt)[:, np.newaxis]) * np.abs(scale)[:, np.newaxis]
        kernel = kernel * scale[:, np.newaxis]
    if after is not None:
        scale, offset = after.affine
        spoilt, shifted = _constant_units(after)
        growth = growth + spoilt
        kernel_units = (kernel_units + np.abs(kernel) * (1 + spoilt)) * np.abs(scale)
        # b s + o, and (b + 1) / 2 (max - min) + min.
        bias_units = (bias_units + (np.abs(bias) + 1) * (2 + spoilt)) * np.abs(scale) + shifted
        kernel, bias = kernel * scale, bias * scale + offset
        bias_units = bias_units + np.abs(bias)
    # Of products of several roundings.
    whole = np.where(unit * (growth + 8) < 1, unit / (1 - unit * (growth + 8)), np.inf)
    underflow = tiny * (2 + sum(float(np.max(np.abs(each.affine[0]))) for each in (before, after) if each is not None))
    weights_error = whole * kernel_units + underflow
    return replace(
        dense,
        weights=kernel.T if is_units_first else kernel,
        bias=bias,
        weights_error=weights_error.T if is_units_first else weights_error,
        bias_error=np.max(whole, axis=0) * bias_units + underflow * reach,
    )


def changes_nothing(dense: Dense, folded: Dense) -> bool:
    """Whether a layer with a scaling folded into it is the layer alone, to within the fold's own arithmetic."""
    if folded.weights_error is None or folded.bias_error is None or folded.bias is None:
        return False
    if dense.weights.shape != folded.weights.shape:
        return False
    bias = np.zeros(folded.bias.shape) if dense.bias is None else np.asarray(dense.bias, np.float64).reshape(-1)
    moved = np.abs(np.asarray(dense.weights, np.float64) - folded.weights) <= folded.weights_error
    return bool(moved.all() and np.all(np.abs(bias - folded.bias) <= folded.bias_error))


def _sum_units(kernel: Array, bias: Array, before: Scaling) -> Array:
    """Rounding in the folded bias's sum, in units: the smaller of the worst case and ``SIGMAS`` deviations.

    Of the ways to write the sum, the one that rounds most: b + sum w_j o_j, or b - sum w'_j lo_j - sum w_j.
    """
    scale, offset = before.affine
    ways = [[offset[:, np.newaxis] * kernel]]
    if before.rule != "mean-std":
        pivot = -np.asarray(before.first, np.float64) * scale
        ways.append([pivot[:, np.newaxis] * kernel, *([-kernel] if before.rule == "[-1,1]" else [])])
    found = [_one_way(parts, bias) for parts in ways]
    return np.asarray(np.max(found, axis=0))


def _one_way(parts: Sequence[Array], bias: Array) -> Array:
    """The parts added up one after the other, each from either end, onto what is there already or by itself."""
    square, worst, reached, held = np.zeros(bias.shape), np.abs(bias), bias, np.abs(bias)
    for part in parts:
        partial = np.cumsum(part, axis=0)
        whole = partial[-1]
        largest = np.maximum(np.abs(partial), np.abs(whole - partial)) + held
        square += np.sum(largest**2, axis=0) + np.sum(part**2, axis=0)
        worst = worst + np.sum(np.abs(part), axis=0)
        reached = reached + whole
        held = np.maximum(held, np.maximum(np.abs(whole), np.abs(reached)))
    certain = (len(parts) * len(parts[0]) + 3) * worst
    return np.minimum(certain, SIGMAS * np.sqrt(square / 3) + 3 * held)


def _constant_units(scaling: Scaling) -> tuple[Array, Array]:
    """(n,) relative error of the scale and absolute error of the offset, in units of roundoff of their arithmetic.

    The width max - min inherits the casts of both and is rounded; its quotient too. The offset is a quotient or a
    mean of them, or 1 more than the minimum times the scale.
    """
    first, second = np.asarray(scaling.first, np.float64), np.asarray(scaling.second, np.float64)
    scale, offset = scaling.affine
    if scaling.rule == "mean-std":
        spoilt = np.full(first.shape, 2.0)
        return spoilt, np.abs(offset) * (1.0 if scaling.inverse else 3.0)
    spoilt = (np.abs(first) + np.abs(second)) / np.abs(second - first) + 2
    if scaling.inverse:
        return spoilt, np.abs(first) + np.abs(second)
    sums = (np.abs(first) + np.abs(second)) / np.abs(second - first)
    return spoilt, np.maximum(np.abs(offset), np.abs(first * scale)) * (spoilt + 2) + 2 * sums
