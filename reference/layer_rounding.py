"""Rounding bounds of the steps of legacy Keras programs; importing this registers them.

Every bound holds for any order of summation. Sums of products are bounded in Higham's classic form, elementwise
functions by the measured constants, recurrent layers by carrying a bound along time, which is sound and grows loose
with the number of steps. What has no rule here has no bound, and is reported as not compared. Direct convolution is
assumed: Winograd's and Fourier's forms have no elementwise bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation, softmax
from reference.attention import Attention
from reference.convolution import (
    Convolution,
    DepthwiseConvolution,
    LocalConvolution,
    SeparableConvolution,
    TransposedConvolution,
)
from reference.dense import Dense
from reference.elementwise import Elementwise, PReLU
from reference.embedding import Embedding, Mask, Masking
from reference.function_rounding import activation_error
from reference.merging import Dot, Merge, batch_dot
from reference.normalization import BatchNormalization, LayerNormalization
from reference.pooling import GlobalPooling, Pooling, average_pool
from reference.precision import FORMATS, Format, Precision, round_to
from reference.recurrent import (
    Bidirectional,
    ConvLSTMCell,
    GRUCell,
    Part,
    Recurrent,
    SimpleCell,
    TimeDistributed,
)
from reference.rounding import allowed_error, register
from reference.shaping import BilinearUpsampling, Rearrangement
from reference.timewise import TimewiseDense
from reference.trace import LayerTrace
from reference.windows import as_stored, channels_last, pad_for_windows

Array = NDArray[Any]
Inputs = tuple[Array, ...]
Errors = tuple[Array, ...] | None

RSQRT = 4.2
"""Units of roundoff of a reciprocal square root: 3.96 was the largest over all float32 of [1, 4), 1.5 in float64."""


def _is_exact(inputs: Inputs, precision: Precision) -> bool:
    """Whether the port's format holds the inputs as they are."""
    return precision.compute == "float64" or all(
        np.array_equal(round_to(array, precision.compute), array, equal_nan=True) for array in inputs
    )


def _rule(bound: Any) -> Any:
    """A rule for inputs that both sides have exactly; of others nothing is known."""

    def rule(step: Any, inputs: Inputs, trace: LayerTrace, precision: Precision, input_error: Errors) -> Array:
        wide = tuple(np.asarray(array, np.float64) for array in inputs)
        moved = input_error is not None and any(np.any(error) for error in input_error)
        if moved or not _is_exact(wide, precision):
            return np.full(trace.outputs.shape, np.inf)
        return np.broadcast_to(np.asarray(bound(step, wide, trace, precision), np.float64), trace.outputs.shape)

    return rule


def _own(step: Any) -> Format:
    return FORMATS[np.dtype(step.dtype).name]


def sum_error(size: Array, count: Array | float, precision: Precision, own: Format) -> Array:
    """Of a sum of ``count`` products whose magnitudes add up to ``size``, on both sides.

    Source: Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    total: Any = 0.0
    for kind in (precision.format, own):
        steps = (np.asarray(count) + 2) * kind.unit
        total = total + np.where(steps < 1, steps / (1 - steps), np.inf) * size + (np.asarray(count) + 2) * kind.tiny
    return np.asarray(total)


def _activated(step: Any, trace: LayerTrace, error: Array, precision: Precision) -> Array:
    z = np.asarray(trace.preactivation, np.float64)
    return activation_error(
        step.activation, z, np.asarray(trace.outputs, np.float64), error, precision.format, _own(step)
    )


def _dense(step: TimewiseDense, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """The bound of a dense layer, every place of the other axes a row."""

    def flat(array: Array | None) -> Array:
        wide = np.asarray(array)
        return wide.reshape((-1, wide.shape[-1]))

    plain = Dense(step.name, step.inputs, step.weights, step.bias, step.activation, step.orientation, step.dtype)
    rows = LayerTrace(trace.name, flat(trace.outputs), flat(trace.preactivation))
    return allowed_error(plain, (flat(inputs[0]),), rows, precision).reshape(trace.outputs.shape)


def _count(step: Any) -> int:
    """How many products one output is the sum of, at most."""
    if isinstance(step, SeparableConvolution):
        return int(np.prod(step.depthwise.shape[:-2]) + step.pointwise.shape[-2])
    if isinstance(step, DepthwiseConvolution):
        return int(np.prod(step.kernel.shape[:-2]))
    if isinstance(step, LocalConvolution):
        return int(step.kernel.shape[1])
    channels = step.kernel.shape[-1] if isinstance(step, TransposedConvolution) else step.kernel.shape[-2]
    return int(np.prod(step.kernel.shape[:-2]) * channels)


def _convolution(step: Any, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """A dense layer on patches."""
    # Magnitudes in float32, which is twice as fast, and raised by what that rounds away.
    x = np.abs(inputs[0]).astype(np.float32)
    kernels = (step.depthwise, step.pointwise) if isinstance(step, SeparableConvolution) else (step.kernel,)
    wide = [np.abs(kernel).astype(np.float32) for kernel in kernels]
    size = step.linear(x, *wide).astype(np.float64) * (1 + (_count(step) + 4) * 2.0**-23) + 2.0**-126 * _count(step)
    bias = 0.0 if step.bias is None else np.abs(np.asarray(trace.preactivation)) + size
    error = sum_error(size, _count(step), precision, _own(step)) + precision.format.unit * bias
    for at, kernel in enumerate(kernels):
        cast = precision.variable_error(kernel.astype(np.float64))
        if cast.any():
            error = error + step.linear(x, *(cast if i == at else w for i, w in enumerate(wide)))
    if step.bias is not None and precision.variable_error(step.bias.astype(np.float64)).any():
        error = error + np.max(precision.variable_error(step.bias.astype(np.float64)))
    return _activated(step, trace, error, precision)


def _pooling(step: Pooling, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array | float:
    if step.kind == "max":
        return 0.0
    x = np.abs(channels_last(inputs[0], step.channels_first))
    mean = as_stored(average_pool(x, step.window, step.strides, step.padding), step.channels_first)
    return sum_error(mean, int(np.prod(step.window)) + 2, precision, _own(step))


def _global_pooling(step: GlobalPooling, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array | float:
    if step.kind == "max":
        return 0.0
    count = int(np.prod([inputs[0].shape[axis] for axis in step.axes(inputs[0].ndim)]))
    size = step(np.abs(inputs[0]), *inputs[1:]).outputs
    return sum_error(np.asarray(size), count + 3, precision, _own(step))


def _batch_normalization(step: BatchNormalization, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """For (x - mean) / sqrt(variance + epsilon) * gamma + beta, and for x * factor + (beta - mean * factor).

    Raises:
        KeyError: statistics of the data themselves have no bound here.
    """
    if step.statistics != "moving":
        raise KeyError("no rounding bound for batch normalization with statistics of the data")
    x = inputs[0]
    centre, spread = step.centre_and_spread(x)
    factor = np.abs(step.column(step.gamma, x.ndim, 1) / step.divide_by(spread))
    beta = np.abs(step.column(step.beta, x.ndim, 0))
    parts = (np.abs(x) + np.abs(centre)) * factor
    error: Any = 0.0
    for kind in (precision.format, _own(step)):
        error = error + kind.unit * ((RSQRT + 6) * parts + 2 * beta + np.abs(trace.outputs)) + 4 * kind.tiny
    for value, weight in ((step.beta, 1.0), (step.mean, factor)):
        if value is not None:
            error = error + step.column(precision.variable_error(value.astype(np.float64)), x.ndim, 0) * weight
    for value in (step.gamma, step.spread):
        if value is not None and precision.variable_error(value.astype(np.float64)).any():
            error = error + precision.format.unit * parts
    return np.asarray(error)


def _layer_normalization(step: LayerNormalization, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """Mean, then the mean of squares about it, then the quotient, each with the errors of those before."""
    x = inputs[0]
    axes = tuple(axis % x.ndim for axis in step.axes)
    count = int(np.prod([x.shape[axis] for axis in axes]))
    mean, variance = np.mean(x, axis=axes, keepdims=True), np.var(x, axis=axes, keepdims=True)
    far = np.abs(x - mean)
    of_mean = sum_error(np.mean(np.abs(x), axis=axes, keepdims=True), count + 2, precision, _own(step))
    u = precision.format.unit + _own(step).unit
    of_far = of_mean + u * far
    of_variance = np.mean(2 * far * of_far + of_far**2, axis=axes, keepdims=True) + (count + 3) * u * variance
    relative = of_variance / (variance + step.epsilon)
    gamma = np.ones(1) if step.gamma is None else step.gamma.astype(np.float64).reshape(_spread_out(x, axes))
    beta = np.zeros(1) if step.beta is None else step.beta.astype(np.float64).reshape(_spread_out(x, axes))
    factor = np.abs(gamma) / np.sqrt(variance + step.epsilon)
    shrunk = np.where(relative < 0.5, 1 / np.sqrt(1 - np.minimum(relative, 0.5)) - 1, np.inf)
    parts = (np.abs(x) + np.abs(mean)) * factor
    return of_far * factor * (1 + shrunk) + parts * (shrunk + (RSQRT + 6) * u) + 3 * u * np.abs(beta)


def _spread_out(x: Array, axes: tuple[int, ...]) -> list[int]:
    return [x.shape[axis] if axis in axes else 1 for axis in range(x.ndim)]


def _rearrangement(step: Any, inputs: Inputs, trace: LayerTrace, precision: Precision) -> float:
    """Numbers that are only moved stay what they are."""
    return 0.0


def _elementwise(step: Elementwise, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    z, a = inputs[0], np.asarray(trace.outputs, np.float64)
    parameters = step.activation.parameters
    if step.activation.name == "thresholded_relu":
        # Only the threshold itself is rounded: what lies between it and its cast may be kept or not.
        theta = np.asarray(parameters["theta"], np.float64)
        return np.where(np.abs(z - theta) <= precision.variable_error(theta), np.abs(z), 0.0)
    error = activation_error(step.activation, z, a, np.zeros(z.shape), precision.format, _own(step))
    if step.activation.name == "relu" and parameters:
        slope, edge = abs(parameters.get("negative_slope", 0.0)), abs(parameters.get("threshold", 0.0))
        top = parameters.get("max_value") or 0.0
        error = error + precision.format.unit * (3 * slope * (np.abs(z) + edge) + abs(top))
        near = precision.variable_error(np.asarray(parameters.get("threshold", 0.0)))
        error = np.where(np.abs(z - parameters.get("threshold", 0.0)) <= near, np.abs(z) + error, error)
    if step.activation.name in ("leaky_relu", "elu"):
        error = error + 2 * precision.format.unit * np.abs(a)
    return error


def _prelu(step: PReLU, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    cast = precision.variable_error(step.alpha.astype(np.float64))
    u = precision.format.unit + _own(step).unit
    return np.where(inputs[0] < 0, u * np.abs(trace.outputs) + cast * np.abs(inputs[0]), 0.0) + precision.format.tiny


def _embedding(step: Embedding, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    return precision.variable_error(step.table.astype(np.float64))[inputs[0].astype(np.int64)]


def _merge(step: Merge, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array | float:
    if step.mode in ("concatenate", "maximum", "minimum"):
        return 0.0
    if step.mode == "multiply":
        return sum_error(np.abs(trace.outputs), len(inputs), precision, _own(step))
    mode = "average" if step.mode == "average" else "add"
    size = Merge(step.name, step.inputs, mode, step.axis)(*(np.abs(array) for array in inputs)).outputs  # type: ignore[arg-type]
    return sum_error(size, len(inputs) + 1, precision, _own(step))


def _dot(step: Dot, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """Raises KeyError for the mode "cos" of Keras 1, which has no bound here."""
    if step.cosine:
        raise KeyError("no rounding bound for the mode 'cos' of Merge")
    x, y = inputs
    count = x.shape[step.axes[0]]
    size = batch_dot(np.abs(x), np.abs(y), step.axes)
    if not step.normalize:
        return sum_error(size, count, precision, _own(step))
    # Each vector made length 1: its squares summed, the root's reciprocal, one product.
    root = [
        np.sqrt(np.maximum(np.sum(v * v, axis=a, keepdims=True), 1e-12)) for v, a in zip(inputs, step.axes, strict=True)
    ]
    size = batch_dot(np.abs(x) / root[0], np.abs(y) / root[1], step.axes)
    return sum_error(size, 2 * count + 2 * RSQRT + 10, precision, _own(step))


def _attention(step: Attention, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """Scores, softmax, and the sum of values; raises KeyError for scores other than the product, and for masks."""
    if step.score != "dot" or any(step.masked) or step.causal:
        raise KeyError("no rounding bound for this attention")
    query, value = inputs[0], inputs[1]
    key = inputs[2] if len(inputs) > 2 else value
    scores = step.scores(query, key)
    size = np.abs(query) @ np.swapaxes(np.abs(key), -1, -2) * abs(1.0 if step.scale is None else float(step.scale))
    error = sum_error(size, query.shape[-1] + 2, precision, _own(step))
    shares = softmax(scores)
    moved = activation_error(Activation("softmax"), scores, shares, error, precision.format, _own(step))
    summed = sum_error((shares + moved) @ np.abs(value), value.shape[1], precision, _own(step))
    return moved @ np.abs(value) + summed


def _bilinear(step: BilinearUpsampling, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """Four neighbours, whose weights are rounded as the places are that they follow from."""
    x = np.abs(channels_last(inputs[0], step.channels_first))
    down, across = (step.weights(n, s) > 0 for n, s in zip(x.shape[1:3], step.sizes, strict=True))
    around = np.einsum("oh,nhwc->nowc", down.astype(float), x)
    around = np.einsum("pw,nowc->nopc", across.astype(float), around)
    places = max(trace.outputs.shape[1:])
    return sum_error(as_stored(around, step.channels_first), 4 * places + 8, precision, _own(step))


class _Carried:
    """Bounds carried along the time of one recurrent layer.

    A state's bound is what its own arithmetic and the bounds of what it was made of allow; each step adds to it.
    """

    def __init__(self, cell: Any, precision: Precision, own: Format) -> None:
        self.cell, self.precision, self.own = cell, precision, own

    def apply(self, activation: Activation, z: Array, error: Array) -> tuple[Array, Array]:
        """Value and bound after an activation."""
        a = activation(z)
        return a, activation_error(activation, z, a, error, self.precision.format, self.own)

    def times(self, a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        """Value and bound of a product."""
        value, u = a[0] * b[0], self.precision.format.unit + self.own.unit
        moved = np.abs(a[0]) * b[1] + np.abs(b[0]) * a[1] + a[1] * b[1]
        return value, moved + u * (np.abs(value) + moved) + self.precision.format.tiny

    def plus(self, a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        """Value and bound of a sum."""
        value, u = a[0] + b[0], self.precision.format.unit + self.own.unit
        return value, a[1] + b[1] + u * (np.abs(value) + a[1] + b[1])

    def linear(self, v: Array, kernel: Array, recurrent: bool) -> Array:
        """The product of a step's input, or of its state, with a kernel."""
        cell = self.cell
        if not isinstance(cell, ConvLSTMCell):
            return np.asarray(v @ kernel)
        ones = [1] * len(cell.strides)
        strides, dilation = (ones, ones) if recurrent else (cell.strides, cell.dilation)
        padding = cell.recurrent_padding if recurrent else cell.padding
        from reference.convolution import convolve

        return convolve(pad_for_windows(v, kernel.shape[:-2], strides, dilation, padding), kernel, strides, dilation)

    def product(self, v: Array, error: Array | None, kernel: Array, recurrent: bool) -> tuple[Array, Array, Array]:
        """Value, magnitude and bound (without the summation's own) of one product."""
        size = self.linear(np.abs(v), np.abs(kernel), recurrent)
        cast = self.precision.variable_error(kernel)
        moved = self.linear(np.abs(v), cast, recurrent) if cast.any() else np.zeros(size.shape)
        if error is not None:
            moved = moved + self.linear(error, np.abs(kernel) + cast, recurrent)
        return self.linear(v, kernel, recurrent), size, moved

    def gates(self, x: Array, h: Array, h_error: Array, columns: slice, bias: Array | None) -> tuple[Array, Array]:
        """Preactivations of some gates: both products and the bias."""
        kernel = self.cell.kernel.astype(np.float64)[..., columns]
        recurrent = self.cell.recurrent.astype(np.float64)[..., columns]
        inputs, states = self.product(x, None, kernel, False), self.product(h, h_error, recurrent, True)
        z, size, moved = (one + two for one, two in zip(inputs, states, strict=True))
        if bias is not None:
            part = bias.astype(np.float64)[..., columns]
            part = part.sum(axis=0) if part.ndim == 2 else part
            z, size = z + part, size + np.abs(part)
            moved = moved + np.max(self.precision.variable_error(bias.astype(np.float64))) * 2
        count = np.prod(kernel.shape[:-1]) + np.prod(recurrent.shape[:-1]) + 2
        return z, moved + sum_error(size + moved, float(count), self.precision, self.own)

    def step(self, x: Array, states: tuple[Array, ...], errors: tuple[Array, ...]) -> tuple[Any, Any]:
        """The states after a step and their bounds."""
        if isinstance(self.cell, SimpleCell):
            z, error = self.gates(x, states[0], errors[0], slice(None), self.cell.bias)
            value, bound = self.apply(self.cell.activation, z, error)
            return (value,), (bound,)
        if isinstance(self.cell, GRUCell):
            return self.gru(x, states[0], errors[0])
        z, error = self.gates(x, states[0], errors[0], slice(None), self.cell.bias)
        parts = list(zip(np.split(z, 4, axis=-1), np.split(error, 4, axis=-1), strict=True))
        gate = self.cell.recurrent_activation
        new, forget, out = (self.apply(gate, *parts[i]) for i in (0, 1, 3))
        candidate = self.apply(self.cell.activation, *parts[2])
        c = self.plus(self.times(forget, (states[1], errors[1])), self.times(new, candidate))
        h = self.times(out, self.apply(self.cell.activation, *c))
        return (h[0], c[0]), (h[1], c[1])

    def gru(self, x: Array, h: Array, h_error: Array) -> tuple[Any, Any]:
        """Update and reset gate, candidate, and the mean of old and new."""
        cell, units = self.cell, self.cell.recurrent.shape[0]
        both, last = slice(0, 2 * units), slice(2 * units, None)
        z, error = self.gates(x, h, h_error, both, cell.bias)
        halves = zip(np.split(z, 2, axis=-1), np.split(error, 2, axis=-1), strict=True)
        update, reset = (self.apply(cell.recurrent_activation, *half) for half in halves)
        bias = (None, None) if cell.bias is None else tuple(cell.bias) if cell.bias.ndim == 2 else (cell.bias, None)
        zero, nothing = np.zeros(h.shape), np.zeros(h.shape)
        inputs = self.gates(x, zero, nothing, last, bias[0])
        if cell.reset_after:
            inner = self.gates(np.zeros(x.shape), h, h_error, last, bias[1])
            candidate = self.plus(inputs, self.times(reset, inner))
        else:
            candidate = self.plus(inputs, self.gates(np.zeros(x.shape), *self.times(reset, (h, h_error)), last, None))
        fresh = self.apply(cell.activation, *candidate)
        rest = self.plus((np.ones(h.shape), zero), (-update[0], update[1]))
        value, bound = self.plus(self.times(update, (h, h_error)), self.times(rest, fresh))
        return (value,), (bound,)


def carry(step: Recurrent, inputs: Inputs, precision: Precision) -> tuple[Array, tuple[Array, ...]]:
    """Bounds of a recurrent layer's outputs (as it gives them) and of its last states."""
    x = np.moveaxis(inputs[0], 2, -1) if step.channels_first else inputs[0]
    mask = inputs[-1].astype(bool) if step.masked else None
    given = inputs[1 : len(inputs) - step.masked]
    states = tuple(channels_last(state, step.channels_first) for state in given) or step.cell.begin(x[:, 0])
    errors, bounds = tuple(np.zeros(state.shape) for state in states), []
    carried, order = _Carried(step.cell, precision, _own(step)), range(x.shape[1])
    last = np.zeros(states[0].shape)
    for time in reversed(order) if step.reverse else order:
        fresh, fresh_errors = carried.step(x[:, time], states, errors)
        if mask is None:
            states, errors, last = fresh, fresh_errors, fresh_errors[0]
        else:
            counts = mask[:, time].reshape((-1,) + (1,) * (last.ndim - 1))
            states = tuple(np.where(counts, new, old) for new, old in zip(fresh, states, strict=True))
            errors = tuple(np.where(counts, new, old) for new, old in zip(fresh_errors, errors, strict=True))
            last = np.where(counts, fresh_errors[0], 0.0 if step.zeros else last)
        bounds.append(last)
    outputs = np.stack(bounds, axis=1) if step.return_sequences else last
    if step.channels_first:
        outputs = np.moveaxis(outputs, -1, 2 if step.return_sequences else 1)
    return outputs, tuple(as_stored(error, step.channels_first) for error in errors)


def _recurrent(step: Recurrent, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    return carry(step, inputs, precision)[0]


def carry_both(step: Bidirectional, inputs: Inputs, precision: Precision) -> tuple[Array, Array, tuple[Array, ...]]:
    """Bounds of both directions, in the order of time, and of all states."""
    masks = inputs[-1:] if step.forward.masked else ()
    given = inputs[1 : len(inputs) - len(masks)]
    half = len(given) // 2
    ahead, ahead_states = carry(step.forward, (inputs[0], *given[:half], *masks), precision)
    back, back_states = carry(step.backward, (inputs[0], *given[half:], *masks), precision)
    if step.backward.return_sequences:
        back = back[:, ::-1]
    return ahead, back, ahead_states + back_states


def _bidirectional(step: Bidirectional, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    ahead, back, _ = carry_both(step, inputs, precision)
    if step.merge_mode is None:
        return ahead
    if step.merge_mode == "concat":
        return np.concatenate([ahead, back], axis=-1)
    first, second = (trace.outputs for trace in step.halves(*inputs))
    u = precision.format.unit + _own(step.forward).unit
    if step.merge_mode == "mul":
        moved = np.abs(first) * back + np.abs(second) * ahead + ahead * back
        return moved + u * (np.abs(first * second) + moved)
    share = 0.5 if step.merge_mode == "ave" else 1.0
    return share * (ahead + back + 2 * u * (np.abs(first) + np.abs(second) + ahead + back))


def _part(step: Part, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    if isinstance(step.step, Recurrent):
        return carry(step.step, inputs, precision)[1][step.index]
    _, back, states = carry_both(step.step, inputs, precision)
    return ((back, *states) if step.step.merge_mode is None else states)[step.index]


def _time_distributed(step: TimeDistributed, inputs: Inputs, trace: LayerTrace, precision: Precision) -> Array:
    """The inner layer's bound, every time step a row; raises KeyError for a whole model inside."""
    flat = inputs[0].reshape((-1, *inputs[0].shape[2:]))
    inner = step.inner(flat)
    if not isinstance(inner, LayerTrace):
        raise KeyError("no rounding bound for a model inside TimeDistributed")
    return allowed_error(step.inner, (flat,), inner, precision).reshape(trace.outputs.shape)


RULES = {
    TimewiseDense: _dense,
    Convolution: _convolution,
    DepthwiseConvolution: _convolution,
    SeparableConvolution: _convolution,
    TransposedConvolution: _convolution,
    LocalConvolution: _convolution,
    Pooling: _pooling,
    GlobalPooling: _global_pooling,
    BatchNormalization: _batch_normalization,
    LayerNormalization: _layer_normalization,
    Rearrangement: _rearrangement,
    Masking: _rearrangement,
    Mask: _rearrangement,
    Elementwise: _elementwise,
    PReLU: _prelu,
    Embedding: _embedding,
    Merge: _merge,
    Dot: _dot,
    Attention: _attention,
    BilinearUpsampling: _bilinear,
    Recurrent: _recurrent,
    Bidirectional: _bidirectional,
    Part: _part,
    TimeDistributed: _time_distributed,
}

for _kind, _bound in RULES.items():
    register(_kind, _rule(_bound))
