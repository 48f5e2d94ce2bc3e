"""Rounding bounds of convolutions: a dense layer on patches, or two of them one after the other.

Direct convolution is assumed: Winograd's and Fourier's forms have no elementwise bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.convolution import Convolution
from reference.operations.depthwise_convolution import DepthwiseConvolution
from reference.operations.einsum_dense import EinsumDense
from reference.operations.local_convolution import LocalConvolution
from reference.operations.separable_convolution import SeparableConvolution
from reference.operations.transposed_convolution import TransposedConvolution
from reference.precision import Format, Precision
from reference.rounding.functions import activation_error
from reference.rounding.sums import both_units, contraction_error, kept_sum_error, own_format, sum_error
from reference.trace import LayerTrace

Array = NDArray[Any]

SPARSE = 0.25
"""Share of inputs that are not zero, up to which the products of each sum are counted one by one."""


def convolution_error(step: Any, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision) -> Array:
    """The sum of products, what underflows in it, the bias added to it, and the activation of that.

    Infinite where a partial sum may overflow.
    """
    own, kind, kernels = own_format(step), precision.format, _kernels(step)
    x, z = np.abs(inputs[0]), np.asarray(trace.preactivation, np.float64)
    # Magnitudes in float32, which is twice as fast, and raised by what that rounds away.
    wide = np.float64 if precision.compute == "float64" else np.float32
    narrow, sizes = x.astype(wide), [np.abs(kernel).astype(wide) for kernel in kernels]
    count = _count(step)
    size = step.linear(narrow, *sizes).astype(np.float64) * (1 + (count + 4) * 2.0**-23) + kind.tiny * count
    error = _products(step, np.abs(z), size, _nonzero(step, x), precision) + _underflow(step, x, kernels, kind)
    for at, kernel in enumerate(kernels):
        cast = precision.variable_error(kernel.astype(np.float64))
        if at == len(kernels) - 1 and getattr(step, "kernel_error", None) is not None:
            cast = cast + step.kernel_error
        if cast.any():
            error = error + step.linear(narrow, *(cast if i == at else each for i, each in enumerate(sizes)))
    if step.bias is not None:
        own_error = getattr(step, "bias_error", None)
        cast = precision.variable_error(step.bias.astype(np.float64))
        error = error + np.max(cast if own_error is None else cast + own_error)
    error = np.where(np.maximum(size, np.abs(z)) + error < kind.largest / 2, error, np.inf)
    return activation_error(step.activation, z, np.asarray(trace.outputs, np.float64), error, kind, own)


def _products(step: Any, z: Array, size: Array, count: Array | int, precision: Precision) -> Array:
    """The rounding of the sums of products, and of their sums with the bias, on both sides.

    With 16 bits a plain convolution keeps its sums in float32, the second of a separable one as well; a transposed one,
    one of each channel alone, and one over three axes in float16 do not.

    Args:
        step: a convolution.
        z: magnitudes of the preactivations.
        size: magnitudes of all terms of a sum; with ``z`` it bounds the sum before the bias is added and after it.
        count: how many terms.
        precision: of the port.
    """
    own = own_format(step)
    over_three = isinstance(step, Convolution) and step.kernel.ndim == 5
    is_kept = isinstance(step, Convolution | SeparableConvolution) and not (
        over_three and precision.compute == "float16"
    )
    if precision.is_short and is_kept:
        bias, first = 0.0 if step.bias is None else np.max(np.abs(step.bias), initial=0.0), np.zeros(1)
        if isinstance(step, SeparableConvolution):
            channels = step.pointwise.shape[-2]
            first, count = sum_error(size, _count(step) - channels, precision, own), channels
        parts = z + bias + first
        return first + kept_sum_error(size + first, parts, count, 1, precision, own) + own.unit * (z + size)
    added = 0.0 if step.bias is None else both_units(precision, own) * (z + size)
    return np.asarray(contraction_error(size, count, precision, own, len(_kernels(step))) + added)


def _nonzero(step: Any, x: Array) -> Array | int:
    """How many products of each sum are not zero, where there are few: in sparse probes."""
    if isinstance(step, SeparableConvolution) or np.count_nonzero(x) > SPARSE * x.size:
        return _count(step)
    return np.asarray(step.linear((x != 0).astype(np.float32), np.ones(step.kernel.shape, np.float32)), np.float64)


def _kernels(step: Any) -> tuple[Array, ...]:
    return (step.depthwise, step.pointwise) if isinstance(step, SeparableConvolution) else (step.kernel,)


def _count(step: Any) -> int:
    """How many products one output is the sum of, at most."""
    if isinstance(step, EinsumDense):
        return step.terms
    if isinstance(step, SeparableConvolution):
        return int(np.prod(step.depthwise.shape[:-2]) + step.pointwise.shape[-2])
    if isinstance(step, DepthwiseConvolution):
        return int(np.prod(step.kernel.shape[:-2]))
    if isinstance(step, LocalConvolution):
        return int(step.kernel.shape[1])
    channels = step.kernel.shape[-1] if isinstance(step, TransposedConvolution) else step.kernel.shape[-2]
    return int(np.prod(step.kernel.shape[:-2]) * channels)


def _underflow(step: Any, x: Array, kernels: tuple[Array, ...], kind: Format) -> Array:
    """What numbers that count as zero take from one sum; of two sums, also what underflows between them.

    Args:
        step: a convolution.
        x: (rows, ...) magnitudes of the inputs.
        kernels: one, or the depthwise and the pointwise one.
        kind: format of the port.

    Returns:
        (rows, 1, ...).
    """
    axes = tuple(range(1, x.ndim))
    largest, lost = np.max(x, axis=axes, keepdims=True, initial=0), kind.lost(x, axes)
    first, count = np.max(np.abs(kernels[0]), initial=0.0), _count(step)
    if len(kernels) == 1:
        return np.asarray(count * (lost * first + largest * kind.lost(kernels[0]).max(initial=0)))
    between = count - kernels[1].shape[-2]
    mixed = np.max(np.sum(np.abs(kernels[1].astype(np.float64)), axis=-2))
    moved = between * (lost * first + largest * kind.lost(kernels[0]).max(initial=0)) + (between + 2) * kind.tiny
    middle = between * largest * first
    error = moved * mixed + kind.lost(kernels[1]).max(initial=0) * kernels[1].shape[-2] * middle
    return np.where(middle < kind.largest / 2, error, np.inf)
