"""What rounding can explain: elementwise bounds on the difference between a correct port and the reference.

Both are given the same input. A larger difference is a mistake, given the measured constants of
``reference/constants.py``. The arithmetic is float64, inflated by ``INFLATION`` for its own rounding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.dense import Activate, Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform
from reference.precision import FORMATS, Format, Precision, round_to
from reference.rounding.constants import platform_deviation
from reference.rounding.functions import activation_error
from reference.rounding.products import CACHED_ELEMENTS, Affine, Arithmetic, cached_rows, product_error
from reference.rounding.scaling import scaling_error, transform_error
from reference.trace import LayerTrace, Program

Array = NDArray[Any]
Errors = tuple[Array, ...]

INFLATION = 1 + 1e-9
BLOCK_ROWS = 256
"""In a product at least: with fewer, the kernel is streamed from memory again and again."""


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
        known = ", ".join(kind.__name__ for kind in _RULES)
        raise KeyError(f"no rounding bound for {type(step).__name__}; known are {known}")
    with np.errstate(all="ignore"):
        bound = rule(step, inputs, trace, precision, input_error) * INFLATION
    bound[np.isnan(bound)] = np.inf
    return np.asarray(bound)


def has_bound(step: Any) -> bool:
    """Whether ``allowed_error`` knows this class of step."""
    return type(step) in _RULES


def register(kind: type, rule: Callable[..., Array]) -> None:
    """Add the bound of one class of step: ``rule(step, inputs, trace, precision, input_error)``.

    Raises:
        ValueError: the class has one already.
    """
    if kind in _RULES:
        raise ValueError(f"{kind.__name__} has a rounding bound already")
    _RULES[kind] = rule


def platform_allowance(step: Any, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision) -> Array:
    """What known inaccuracies of the platform add to ``allowed_error``; zeros where none is known.

    Args:
        step: a step of a program.
        inputs: what both sides were fed.
        trace: what the reference made of it.
        precision: of the port's layer.

    Returns:
        Float64 of the shape of ``trace.outputs``.
    """
    activation = getattr(step, "activation", None)
    per_argument, anywhere = (0.0, 0.0) if activation is None else platform_deviation(activation, precision.compute)
    if per_argument == anywhere == 0:
        return np.zeros(trace.outputs.shape)
    z = _float64(inputs[0] if trace.preactivation is None else trace.preactivation)
    with np.errstate(over="ignore"):
        return per_argument * np.abs(z) + anywhere


def inevitable_overflow(trace: LayerTrace, precision: Precision) -> Array:
    """Where the reference's own values do not fit the port's format; boolean, of the shape of ``trace.outputs``."""
    limit = precision.format.largest * (1 + precision.format.unit)
    over = ~(np.abs(trace.outputs) < limit)
    return over if trace.preactivation is None else over | ~(np.abs(trace.preactivation) < limit)


def end_to_end(
    program: Program, feed: Mapping[str, Array] | Array, precision: Precision | Mapping[str, Precision], *,
    with_platform: bool = True,
) -> dict[str, Array]:  # fmt: skip
    """How far a correct port may lie from the reference after each step, both fed with the same program inputs.

    Sound but loose (in the median a thousand times the error): it informs, and judges whether golden samples of
    another implementation are reproduced.

    Args:
        program: the legacy program; every step with a bound.
        feed: as ``Program.trace`` takes it.
        precision: of the port, for all steps or by step name.
        with_platform: whether what Keras' backends are known to do wrong is allowed for.

    Returns:
        By step name, float64 of the shape of its outputs.
    """
    traces = program.trace(feed)
    feeds = feed if isinstance(feed, Mapping) else {program.inputs[0]: feed}
    values = {name: np.asarray(array) for name, array in feeds.items()}
    errors = {name: np.zeros(array.shape) for name, array in values.items()}
    for step in program.steps:
        inputs = tuple(values[name] for name in step.inputs)
        carried = tuple(errors[name] for name in step.inputs)
        chosen = precision if isinstance(precision, Precision) else precision[step.name]
        trace = traces[step.name]
        errors[step.name] = allowed_error(step, inputs, trace, chosen, input_error=carried)
        if with_platform:
            errors[step.name] += platform_allowance(step, inputs, trace, chosen)
        values[step.name] = trace.outputs
    return {step.name: errors[step.name] for step in program.steps}


def _dense(
    step: Dense, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    """In blocks of rows that stay in the processor's cache, but enough of them for a product to be worth its kernel."""
    x, a = _float64(inputs[0]), _float64(trace.outputs)
    z = a if trace.preactivation is None else _float64(trace.preactivation)
    affine, shift, own = _prepared(step, precision), _shift(x, precision, input_error), _format(step)
    arithmetic, bound = Arithmetic(precision, own), np.empty(z.shape)
    block = max(BLOCK_ROWS, CACHED_ELEMENTS // max(affine.kernel.shape))
    for start in range(0, len(x), block):
        rows = slice(start, start + block)
        error = product_error(affine, x[rows], z[rows], None if shift is None else shift[rows], arithmetic)
        for part in cached_rows(error):
            bound[rows][part] = activation_error(
                step.activation, z[rows][part], a[rows][part], error[part], precision.format, own
            )
    return bound


class _Affines:
    """The layers of late, prepared for their bounds: a layer, which never changes, is judged many times in a row."""

    NUMBERS = 2**22
    """In all kernels together, about 30 bytes each; one that is larger is kept alone."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, Precision], tuple[Dense, Affine]] = OrderedDict()
        self._numbers = 0
        self._lock = Lock()

    def __call__(self, dense: Dense, precision: Precision) -> Affine:
        key = (id(dense), precision)
        with self._lock:
            if key not in self._known:
                affine = _affine(dense, precision)
                # Beside its layer, so that no other can have the same id.
                self._known[key] = dense, affine
                self._numbers += affine.kernel.size
                while len(self._known) > 1 and self._numbers > self.NUMBERS:
                    self._numbers -= self._known.popitem(last=False)[1][1].kernel.size
            self._known.move_to_end(key)
            return self._known[key][1]


_prepared = _Affines()


def _affine(dense: Dense, precision: Precision) -> Affine:
    """The layer's kernel as (inputs, units), and the errors of its variables: of the cast, and of a fold."""
    is_units_first = dense.orientation == "units-first"
    kernel = _float64(dense.weights.T if is_units_first else dense.weights)
    bias = np.zeros(kernel.shape[1]) if dense.bias is None else _float64(dense.bias)
    kernel_error, bias_error = precision.variable_error(kernel), precision.variable_error(bias)
    if dense.weights_error is not None:
        kernel_error = kernel_error + (dense.weights_error.T if is_units_first else dense.weights_error)
    if dense.bias_error is not None:
        bias_error = bias_error + dense.bias_error
    return Affine(kernel, bias, kernel_error, bias_error)


def _activate(
    step: Activate, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    z = _float64(inputs[0])
    error = _shift(z, precision, input_error)
    error = np.zeros(z.shape) if error is None else error
    return activation_error(step.activation, z, _float64(trace.outputs), error, precision.format, _format(step))


def _scaling(
    step: Scaling, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    x = _float64(inputs[0])
    return scaling_error(step, x, _float64(trace.outputs), _shift(x, precision, input_error), precision.format)


def _transform(
    step: Transform, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Errors | None
) -> Array:
    x, y = _float64(inputs[0]), _float64(trace.outputs)
    shift = _shift(x, precision, input_error)
    bound = np.zeros(y.shape)
    for name in set(step.functions):
        columns = np.array([function == name for function in step.functions])
        part = None if shift is None else shift[:, columns]
        bound[:, columns] = transform_error(name, x[:, columns], y[:, columns], part, precision.format)
        bound[:, columns] += transform_error(name, x[:, columns], y[:, columns], None, _format(step))
    return bound


def _float64(array: Array) -> Array:
    return np.asarray(array, np.float64)


def _format(step: Any) -> Format:
    return FORMATS[np.dtype(step.dtype).name]


def _shift(x: Array, precision: Precision, input_error: Errors | None) -> Array | None:
    """How far the port's inputs may lie from x, the cast to its format included; None where they are x."""
    shift = None if input_error is None else input_error[0]
    if precision.compute != "float64":
        cast = np.abs(round_to(x, precision.compute) - x)
        if cast.any():
            shift = cast if shift is None else shift + cast
    return shift


_RULES: dict[type, Callable[..., Array]] = {
    Dense: _dense,
    Activate: _activate,
    Scaling: _scaling,
    Transform: _transform,
}
