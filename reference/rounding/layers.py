"""Rounding bounds of the steps of legacy Keras programs; importing this registers them.

Every bound holds for any order of summation. Sums of products are bounded in Higham's classic form, elementwise
functions by the measured constants, recurrent layers by carrying a bound along time, which is sound and grows loose
with the number of steps. What has no rule here has no bound, and is reported as not compared. Direct convolution is
assumed: Winograd's and Fourier's forms have no elementwise bound.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.affine import Affine
from reference.operations.arithmetic import Arithmetic, Reduction, Stack
from reference.operations.attention import Attention
from reference.operations.batch_normalization import BatchNormalization
from reference.operations.bidirectional import Bidirectional
from reference.operations.bilinear_upsampling import BilinearUpsampling
from reference.operations.convolution import Convolution
from reference.operations.dense import Dense
from reference.operations.depthwise_convolution import DepthwiseConvolution
from reference.operations.dot import Dot
from reference.operations.einsum_dense import EinsumDense
from reference.operations.elementwise import Elementwise
from reference.operations.embedding import Embedding
from reference.operations.encoding import CategoryEncoding, Discretization
from reference.operations.global_pooling import GlobalPooling
from reference.operations.group_normalization import GroupNormalization
from reference.operations.layer_normalization import LayerNormalization
from reference.operations.local_convolution import LocalConvolution
from reference.operations.masking import Mask, Masking
from reference.operations.merging import Merge
from reference.operations.multi_head_attention import MultiHeadAttention
from reference.operations.part import Part
from reference.operations.pooling import Pooling, average_pool
from reference.operations.prelu import PReLU
from reference.operations.recurrent import Recurrent
from reference.operations.resizing import CenterCrop, Resized
from reference.operations.separable_convolution import SeparableConvolution
from reference.operations.shaping import Rearrangement
from reference.operations.standardization import Standardization
from reference.operations.time_distributed import TimeDistributed
from reference.operations.timewise import TimewiseDense
from reference.operations.transposed_convolution import TransposedConvolution
from reference.operations.unit_normalization import UnitNormalization
from reference.precision import Precision, round_to
from reference.rounding.arithmetic import arithmetic_error, reduction_error, stack_error
from reference.rounding.attention import attention_error
from reference.rounding.bounds import allowed_error, register
from reference.rounding.convolution import convolution_error
from reference.rounding.functions import activation_error
from reference.rounding.preprocessing import (
    affine_error,
    center_crop_error,
    einsum_error,
    exact,
    group_normalization_error,
    multi_head_error,
    resized_error,
    standardization_error,
    unit_normalization_error,
)
from reference.rounding.quotients import batch_normalization_error, dot_error, layer_normalization_error
from reference.rounding.recurrent import bidirectional_error, part_error, recurrent_error
from reference.rounding.sums import both_units, contraction_error, own_format, sum_error
from reference.trace import LayerTrace
from reference.windows import as_stored, channels_last

Array = NDArray[Any]

MEAN_UNITS = 2.0
"""Units of a mean that was added up in float32 and rounded to 16 bits: 0.97 was the largest, XLA's among them."""
Inputs = tuple[Array, ...]
Errors = tuple[Array, ...] | None


def _is_exact(inputs: Inputs, precision: Precision) -> bool:
    """Whether the port's format holds the inputs as they are."""
    return precision.compute == "float64" or all(
        np.array_equal(round_to(array, precision.compute), array, equal_nan=True) for array in inputs
    )


def _rule(bound: Any, only_exact: bool = True) -> Any:
    """A rule for inputs that both sides have exactly; of others nothing is known, unless the layer does not cast."""

    def rule(step: Any, inputs: Inputs, trace: LayerTrace, precision: Precision, input_error: Errors) -> Array:
        wide = tuple(np.asarray(array, np.float64) for array in inputs)
        moved = input_error is not None and any(np.any(error) for error in input_error)
        if moved or (only_exact and not _is_exact(wide, precision)):
            return np.full(trace.outputs.shape, np.inf)
        return np.broadcast_to(np.asarray(bound(step, wide, trace, precision), np.float64), trace.outputs.shape)

    return rule


def _dense(step: TimewiseDense, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """The bound of a dense layer, every place of the other axes a row."""

    def flat(array: Array | None) -> Array:
        wide = np.asarray(array)
        return wide.reshape((-1, wide.shape[-1]))

    plain = Dense(**{each.name: getattr(step, each.name) for each in fields(step)})
    rows = LayerTrace(trace.name, flat(trace.outputs), flat(trace.preactivation))
    return allowed_error(plain, (flat(inputs[0]),), rows, precision).reshape(trace.outputs.shape)


def _pooling(step: Pooling, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array | float:
    if step.kind == "max":
        return 0.0
    x = np.abs(channels_last(inputs[0], step.channels_first))
    mean = as_stored(average_pool(x, step.window, step.strides, step.padding), step.channels_first)
    return sum_error(mean, int(np.prod(step.window)) + 2, precision, own_format(step))


def _global_pooling(step: GlobalPooling, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array | float:
    if step.kind == "max":
        return 0.0
    count = int(np.prod([inputs[0].shape[axis] for axis in step.axes(inputs[0].ndim)]))
    size = np.asarray(step(np.abs(inputs[0]), *inputs[1:]).outputs)
    if not precision.is_short or len(inputs) > 1 or not step.keeps_sums:
        return sum_error(size, count + 3, precision, own_format(step))
    kind = precision.accumulator
    kept = sum_error(size, count + 3, Precision(kind.name, kind.name), own_format(step))
    return kept + MEAN_UNITS * precision.format.unit * (np.abs(trace.outputs) + kept) + precision.format.tiny


def _rearrangement(step: Any, inputs: Inputs, trace: LayerTrace, precision: Precision) -> float:
    """Numbers that are only moved stay what they are."""
    return 0.0


def _masking(step: Masking, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """What counts is decided before the cast, and handed on after it."""
    return precision.cast_error(np.asarray(trace.outputs, np.float64))


def _elementwise(step: Elementwise, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    z, a = inputs[0], np.asarray(trace.outputs, np.float64)
    parameters, u = step.activation.parameters, both_units(precision, own_format(step))
    if step.activation.name == "thresholded_relu":
        # Only the threshold itself is rounded: what lies between it and its cast may be kept or not.
        theta = np.asarray(parameters["theta"], np.float64)
        return np.where(np.abs(z - theta) <= precision.variable_error(theta), np.abs(z), 0.0)
    error = activation_error(step.activation, z, a, np.zeros(z.shape), precision.format, own_format(step))
    if step.activation.name == "relu" and parameters:
        slope, edge = abs(parameters.get("negative_slope", 0.0)), abs(parameters.get("threshold", 0.0))
        top = parameters.get("max_value") or 0.0
        error = error + u * (3 * slope * (np.abs(z) + edge) + abs(top))
        near = precision.variable_error(np.asarray(parameters.get("threshold", 0.0)))
        error = np.where(np.abs(z - parameters.get("threshold", 0.0)) <= near, np.abs(z) + error, error)
    if step.activation.name in ("leaky_relu", "elu"):
        error = error + 2 * u * np.abs(a)
    return error


def _prelu(step: PReLU, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    cast = precision.variable_error(step.alpha.astype(np.float64))
    u = both_units(precision, own_format(step))
    return np.where(inputs[0] < 0, u * np.abs(trace.outputs) + cast * np.abs(inputs[0]), 0.0) + precision.format.tiny


def _embedding(step: Embedding, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    return precision.variable_error(step.table.astype(np.float64))[inputs[0].astype(np.int64)]


def _merge(step: Merge, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array | float:
    if step.mode in ("concatenate", "maximum", "minimum"):
        return 0.0
    if step.mode == "multiply":
        return sum_error(np.abs(trace.outputs), len(inputs), precision, own_format(step))
    mode = "average" if step.mode == "average" else "add"
    size = Merge(step.name, step.inputs, mode, step.axis)(*(np.abs(array) for array in inputs)).outputs  # type: ignore[arg-type]
    return sum_error(size, len(inputs) + 1, precision, own_format(step))


def _bilinear(step: BilinearUpsampling, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """Four neighbours, whose weights are rounded as the places are that they follow from."""
    x = np.abs(channels_last(inputs[0], step.channels_first))
    down, across = (step.weights(n, s) > 0 for n, s in zip(x.shape[1:3], step.sizes, strict=True))
    around = np.einsum("oh,nhwc->nowc", down.astype(float), x)
    around = np.einsum("pw,nowc->nopc", across.astype(float), around)
    places = max(trace.outputs.shape[1:])
    return contraction_error(as_stored(around, step.channels_first), 4 * places + 8, precision, own_format(step), 2)


def _time_distributed(step: TimeDistributed, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """The inner layer's bound, every time step a row; raises KeyError for a whole model inside."""
    flat = inputs[0].reshape((-1, *inputs[0].shape[2:]))
    inner = step.inner(flat)
    if not isinstance(inner, LayerTrace):
        raise KeyError("no rounding bound for a model inside TimeDistributed")
    return allowed_error(step.inner, (flat,), inner, precision).reshape(trace.outputs.shape)


RULES = {
    TimewiseDense: _dense,
    Convolution: convolution_error,
    DepthwiseConvolution: convolution_error,
    SeparableConvolution: convolution_error,
    TransposedConvolution: convolution_error,
    LocalConvolution: convolution_error,
    Pooling: _pooling,
    GlobalPooling: _global_pooling,
    BatchNormalization: batch_normalization_error,
    LayerNormalization: layer_normalization_error,
    Rearrangement: _rearrangement,
    Masking: _masking,
    Mask: _rearrangement,
    Elementwise: _elementwise,
    PReLU: _prelu,
    Embedding: _embedding,
    Merge: _merge,
    Dot: dot_error,
    Attention: attention_error,
    BilinearUpsampling: _bilinear,
    Recurrent: recurrent_error,
    Bidirectional: bidirectional_error,
    Part: part_error,
    TimeDistributed: _time_distributed,
    Affine: affine_error,
    Arithmetic: arithmetic_error,
    CategoryEncoding: exact,
    CenterCrop: center_crop_error,
    Discretization: exact,
    EinsumDense: einsum_error,
    GroupNormalization: group_normalization_error,
    MultiHeadAttention: multi_head_error,
    Reduction: reduction_error,
    Resized: resized_error,
    Stack: stack_error,
    Standardization: standardization_error,
    UnitNormalization: unit_normalization_error,
}

for _kind, _bound in RULES.items():
    register(_kind, _rule(_bound, _kind not in (Embedding, Mask, Masking)))
