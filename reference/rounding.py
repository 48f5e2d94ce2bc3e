"""What rounding can explain: elementwise bounds on the difference between a correct port and the reference.

Both are given the same input. A larger difference is a mistake, given the measured constants of
``reference/constants.py``. The arithmetic is float64, inflated by ``INFLATION`` for its own rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.constants import ACCURACY, Accuracy
from reference.dense import Activate, Dense
from reference.precision import FORMATS, Format, Precision, round_to
from reference.scaling import Scaling
from reference.spread import spread
from reference.trace import LayerTrace
from reference.transforms import Transform

Array = NDArray[Any]
Errors = tuple[Array, ...]

INFLATION = 1 + 1e-9
CASTS = 1.01
"""Room for the second order of two roundings to 16 bits."""


def allowed_error(
    step: Any, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, *, input_error: Errors | None = None
) -> Array:
    """The largest abs(port - reference) that rounding can explain, elementwise.

    Args:
        step: a step of a program.
        inputs: what both sides were fed, each (rows, ...).
        trace: what the reference made of it.
        precision: of the port's layer.
        input_error: how far the port's inputs may lie from ``inputs``, each of its shape; exactly there where None.

    Returns:
        Float64 of the shape of ``trace.outputs``; never NaN; infinite where the port's format may overflow.

    Raises:
        KeyError: no bound is known for this class of step; the message lists those that have one.
    """
    rule = _RULES.get(type(step))
    if rule is None:
        raise KeyError(f"no rounding bound for {type(step).__name__}; known are {', '.join(c.__name__ for c in _RULES)}")
    with np.errstate(all="ignore"):
        bound = rule(step, inputs, trace, precision, input_error) * INFLATION
    return np.where(np.isnan(bound), np.inf, bound)


def has_bound(step: Any) -> bool:
    """Whether ``allowed_error`` knows this class of step."""
    return type(step) in _RULES


def register(kind: type, rule: Callable[..., Array]) -> None:
    """Add the bound of one class of step.

    Raises:
        ValueError: the class has one already.
    """
    if kind in _RULES:
        raise ValueError(f"{kind.__name__} has a rounding bound already")
    _RULES[kind] = rule


def inevitable_overflow(trace: LayerTrace, precision: Precision) -> Array:
    """Where the reference's own values do not fit the port's format; boolean, of the shape of ``trace.outputs``."""
    limit = precision.format.largest * (1 + precision.format.unit)
    with np.errstate(invalid="ignore"):
        over = ~(np.abs(trace.outputs) < limit)
        return over if trace.preactivation is None else over | ~(np.abs(trace.preactivation) < limit)


def _dense(
    step: Dense, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    z = _float64(trace.outputs if trace.preactivation is None else trace.preactivation)
    error = _preactivation_error(step, _float64(inputs[0]), z, precision, input_error)
    return _activation_error(step.activation, z, _float64(trace.outputs), error, precision, step.dtype)


def _activate(
    step: Activate, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    z = _float64(inputs[0])
    error = _cast_error(z, precision) + (0.0 if input_error is None else input_error[0])
    return _activation_error(step.activation, z, _float64(trace.outputs), error, precision, step.dtype)


def _float64(array: Array) -> Array:
    return np.asarray(array, np.float64)


def _cast_error(x: Array, precision: Precision) -> Array:
    """What a cast of the inputs to the port's format costs; zeros where they fit it exactly."""
    return np.zeros(x.shape) if precision.compute == "float64" else np.abs(round_to(x, precision.compute) - x)


def _preactivation_error(
    step: Dense, x: Array, z: Array, precision: Precision, input_error: Errors | None
) -> Array:
    """Bound on the error of W x + b, (rows, units), for any order of summation, with or without fused products."""
    weights = _float64(step.weights if step.orientation == "inputs-first" else step.weights.T)
    bias = np.zeros(weights.shape[1]) if step.bias is None else _float64(step.bias)
    shift = _cast_error(x, precision)
    if input_error is not None:
        shift = shift + input_error[0]
    magnitude, count = np.abs(x) + shift, np.count_nonzero(x, axis=1)[:, np.newaxis]
    products, displaced = magnitude @ np.abs(weights), shift @ np.abs(weights)
    moved = magnitude @ (precision.variable_error(weights) + _folding_error(step))
    moved_bias = precision.variable_error(bias) + (0.0 if step.bias_error is None else step.bias_error)
    size = products + moved
    offset = np.abs(bias) + moved_bias
    reach = np.abs(z) + displaced + moved + moved_bias
    flush = precision.accumulator.tiny * (2 * count + 2 + np.sum(np.abs(weights), axis=0) + np.sum(magnitude, 1)[:, None])
    rounding = _summation_error(size, offset, reach, count, precision.accumulator) + flush
    if precision.is_short:
        rounding += _short_error(reach + offset, reach, rounding, precision.format)
    own = _summation_error(products, np.abs(bias), np.abs(z), count, FORMATS[np.dtype(step.dtype).name])
    total = rounding + own + displaced + moved + moved_bias
    return np.where((size + offset + reach) / 2 + rounding > precision.format.largest, np.inf, total)


def _folding_error(step: Dense) -> Array | float:
    """What a fold's arithmetic costs the kernel, (inputs, units)."""
    if step.weights_error is None:
        return 0.0
    return step.weights_error if step.orientation == "inputs-first" else step.weights_error.T


def _summation_error(products: Array, bias: Array, z: Array, count: Array, kind: Format) -> Array:
    """Every product is rounded once, every partial sum at most once.

    All of them but the whole sum, which is abs(z), are at most (S + abs(z)) / 2 in magnitude, because a part and its
    complement add up to z and their magnitudes to at most S = products + bias.
    """
    u, total = kind.unit, products + bias
    first_order = u * products + u * z * (count > 0) + np.maximum(count - 1, 0) * u * (total + z) / 2
    return np.where(count * u < 1, first_order / (1 - count * u), np.inf)


def _short_error(product: Array, z: Array, rounding: Array, kind: Format) -> Array:
    """The product rounded to 16 bits, then its sum with the bias."""
    u = kind.unit
    once = CASTS * u * (product + rounding)
    return once + CASTS * u * (z + rounding + once) + 3 * kind.tiny


def _activation_error(
    activation: Activation, z: Array, a: Array, error: Array, precision: Precision, dtype: Any
) -> Array:
    """What becomes of an error of the argument, and the activation's own error on both sides."""
    moved = spread(activation, z, a, error)
    kind = precision.format
    value, argument = np.abs(a) + moved, np.abs(z) + error
    if activation.name == "softmax":
        own = _softmax_error(z, a, value, kind, **activation.parameters)
    else:
        own = _function_error(activation, value, argument, kind)
    reference = _function_error(activation, value, argument, FORMATS[np.dtype(dtype).name])
    return moved + own + reference


def _function_error(activation: Activation, value: Array, argument: Array, kind: Format) -> Array:
    constants = ACCURACY[kind.name][activation.name]
    if constants == Accuracy():
        return np.zeros(value.shape)
    scale = max(1.0, *(abs(v) for v in activation.parameters.values() if isinstance(v, float | int)), 1.0)
    own = constants.relative * value + constants.absolute * scale
    if constants.argument:
        own = own + constants.argument * argument
    return kind.unit * own + kind.tiny


def _softmax_error(z: Array, a: Array, value: Array, kind: Format, axis: Any = -1) -> Array:
    """exp, sum and division: every exponential inherits the rounding of z - max(z)."""
    depth = np.max(z, axis=axis, keepdims=True) - z
    own = ACCURACY[kind.name]["softmax"].relative
    terms = np.prod([z.shape[i] for i in np.atleast_1d(axis)])
    common = np.sum(np.where(a > 0, a * depth, 0), axis=axis, keepdims=True)
    return value * kind.unit * (np.where(value > 0, depth, 0) + common + terms + 2 * own) + (terms + 2) * kind.tiny


def _scaling(
    step: Scaling, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    """For scale * x + offset, (x - mean) / std and the legacy formula alike, with constants rounded or not."""
    x, y = _float64(inputs[0]), np.abs(_float64(trace.outputs))
    scale, offset = (np.abs(part) for part in step.affine)
    shift = _cast_error(x, precision) + (0.0 if input_error is None else input_error[0])
    reach = np.abs(x) + shift
    affine = 6 * (scale * reach + offset)
    units = np.maximum(affine, _legacy_scaling(step, x, shift, y))
    kind, own = precision.format, FORMATS[np.dtype(step.dtype).name]
    flush = kind.tiny * (4 + scale + reach)
    return (CASTS * kind.unit + own.unit) * units + scale * shift + flush


def _legacy_scaling(step: Scaling, x: Array, shift: Array, y: Array) -> Array:
    """Units of roundoff that the formula as the original software writes it can cost."""
    first, second = np.abs(_float64(step.first)), np.abs(_float64(step.second))
    if step.rule == "mean-std":
        return np.zeros(x.shape)
    width = np.abs(_float64(step.second) - _float64(step.first))
    spoilt = (first + second) / width + 3  # relative error of a product or quotient with max - min
    factor = 2.0 if step.rule == "[-1,1]" else 1.0
    if step.inverse:
        part = (np.abs(x + (1 if step.rule == "[-1,1]" else 0)) + shift) / factor
        return part * width * spoilt + first + y + scale_of(step) * shift
    quotient = factor * (np.abs(x - _float64(step.first)) + shift) / width
    return factor * first / width + quotient * spoilt + y + scale_of(step) * shift


def scale_of(step: Scaling) -> Array:
    """(n,) magnitude of the scale of a scaling step, float64."""
    return np.abs(step.affine[0])


_TRANSFORMS: Mapping[str, Callable[[Array, Array, Array, float], Array]] = {}


def _transform(
    step: Transform, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    x, y = _float64(inputs[0]), _float64(trace.outputs)
    shift = _cast_error(x, precision) + (np.zeros(x.shape) if input_error is None else input_error[0])
    bound = np.empty(y.shape)
    for name in set(step.functions):
        columns = np.array([function == name for function in step.functions])
        part = (x[:, columns], y[:, columns], shift[:, columns])
        bound[:, columns] = sum(
            _transform_error(name, *part, kind) for kind in (precision.format, FORMATS[np.dtype(step.dtype).name])
        )
    return bound


def _transform_error(name: str, x: Array, y: Array, shift: Array, kind: Format) -> Array:
    """One function; its argument may have been multiplied by a rounded constant first (degrees, ln 10)."""
    constants, u = ACCURACY[kind.name][name], kind.unit
    if name == "cos_degrees":
        turn = np.deg2rad(shift) + 3 * u * np.deg2rad(np.abs(x) + shift)
        moved = np.abs(np.sin(np.deg2rad(x))) * turn + turn * turn / 2
    elif name in ("log10", "ln"):
        factor = 1 / np.log(10) if name == "log10" else 1.0
        moved = np.where(np.abs(x) - shift > kind.tiny, -np.log1p(-shift / np.abs(x)) * factor, np.inf)
    elif name in ("pow10", "exp"):
        factor = np.log(10) if name == "pow10" else 1.0
        moved = y * np.expm1(factor * (shift + 3 * u * (np.abs(x) + shift)))
    else:
        moved = shift
    return moved + u * (constants.relative * (np.abs(y) + moved) + constants.absolute) + kind.tiny


_RULES: dict[type, Callable[..., Array]] = {
    Dense: _dense,
    Activate: _activate,
    Scaling: _scaling,
    Transform: _transform,
}
