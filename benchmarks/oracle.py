"""Whether a planted mistake differs at all beyond rounding: decided in long double, without porter.

Two ways to differ count, as either is reason enough to call a port wrong: a parameter that, cast to the dtype of the
port's variables, lies more than one unit in the last place from the right one; or a step that on some wide input gives
something that the textbook bound for rounding does not explain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.ports import Affine, LayerSpec, PortSpec, activation, prelu_slopes

Array = np.ndarray
Wide = np.longdouble

UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
DTYPES: dict[str, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
ACTIVATION_UNITS = 16
"""An activation is allowed this many rounding units of its value: more than any that was measured."""


def differs(right: PortSpec, planted: PortSpec, row: str, hidden: Collection[str] = ()) -> bool:
    """Whether the planted port differs from the right one beyond rounding at a row.

    Args:
        right: the faithful port.
        planted: with the mistake in it.
        row: "Layer3", "Norm_in", "Transform_out", ...; "*" for anywhere.
        hidden: rows whose arrays the planted port does not show: there the outputs alone count.
    """
    if len(right.layers) != len(planted.layers):
        return not hidden or _ends_differ(right, planted)
    if planted.stray is not None:
        return True
    if row.startswith("Layer") and planted.gathered is None:
        index = int(row[5:]) - 1
        # A mistake in the order of a layer's units may stand in the next layer's rows.
        return any(layer_differs(right, planted, k, hidden) for k in (index, index + 1) if k < len(right.layers))
    ends = [
        right.first != planted.first,
        right.last != planted.last,
        right.ends_swapped != planted.ends_swapped,
        planted.gathered is not None and not np.array_equal(planted.gathered, np.arange(len(planted.gathered))),
        affine_differs(right.before, planted.before, right.ends),
        affine_differs(right.after, planted.after, right.ends),
    ]
    return any(ends) or any(layer_differs(right, planted, k, hidden) for k in range(len(right.layers)))


def layer_differs(right: PortSpec, planted: PortSpec, index: int, hidden: Collection[str] = ()) -> bool:
    """Whether one layer differs beyond rounding."""
    a, b = right.layers[index], planted.layers[index]
    if a.kernel.shape != b.kernel.shape or b.training_dropout:
        return True
    same_arrays = not parameters_differ(a, b, right.variables)
    if f"Layer{index + 1}" in hidden:
        return not (same_arrays and a.activation == b.activation) and _outputs_differ(a, b, right)
    return not same_arrays or (a.activation != b.activation and _outputs_differ(a, b, right))


def parameters_differ(a: LayerSpec, b: LayerSpec, dtype: str) -> bool:
    """Whether any weight or bias, cast, is more than one unit in the last place off."""
    zeros = np.zeros(a.kernel.shape[1])
    pairs = [(a.kernel, b.kernel), (zeros if a.bias is None else a.bias, zeros if b.bias is None else b.bias)]
    return any(bool((_ulps(x, y, dtype) > 1).any()) for x, y in pairs)


def _ulps(a: Array, b: Array, dtype: str) -> Array:
    """Distance in numbers of the dtype that lie between."""
    with np.errstate(over="ignore"):
        a, b = (x.astype(DTYPES[dtype]) for x in (a, b))
    integer = {8: np.int64, 4: np.int32, 2: np.int16}[a.dtype.itemsize]
    lowest = np.iinfo(integer).min
    ordered = []
    for x in (a, b):
        bits = np.ascontiguousarray(x).view(integer).astype(object if integer is np.int64 else np.int64)
        ordered.append(np.where(bits < 0, int(lowest) - bits, bits))
    return np.abs(ordered[0] - ordered[1])


def _outputs_differ(a: LayerSpec, b: LayerSpec, spec: PortSpec) -> bool:
    """On inputs that bring every unit's preactivation to both sides of zero and far out, and on single ones."""
    unit = UNITS[spec.compute]
    x = np.concatenate([_wide_inputs(a), _single_inputs(a, b)])
    first, second = (_computed(layer, x, unit, spec.variables) for layer in (a, b))
    with np.errstate(all="ignore"):
        found = np.abs(first[0] - second[0])
        return bool(
            (
                found
                > np.maximum(first[1], second[1]) + ACTIVATION_UNITS * unit * (np.abs(first[0]) + np.abs(second[0]))
            ).any()
        )


def _computed(layer: LayerSpec, x: Array, unit: float, dtype: str) -> tuple[Array, Array]:
    """What a layer gives in long double, and how far the rounding of its sums may carry that."""
    bias = np.zeros(layer.kernel.shape[1]) if layer.bias is None else layer.bias
    with np.errstate(over="ignore"):
        kernel, bias = (np.asarray(part.astype(DTYPES[dtype]), Wide) for part in (layer.kernel, bias))
    z = x @ kernel + bias
    sums = np.count_nonzero(x, axis=1)[:, None] + 2
    spread = sums * unit * (np.abs(x) @ np.abs(kernel) + np.abs(bias))
    activation = function(layer.activation)
    with np.errstate(all="ignore"):
        y = activation(z)
        return y, np.max([np.abs(activation(z + s) - y) for s in (spread, -spread)], axis=0)


def _wide_inputs(layer: LayerSpec) -> Array:
    rng = np.random.default_rng(0)
    n = layer.kernel.shape[0]
    drawn = rng.standard_normal((48, n))
    size = np.abs(drawn @ layer.kernel).max() if layer.kernel.any() else 1.0
    scales = np.repeat([0.3, 3.0, 30.0], 16)[:, None] / max(float(size), 1e-300)
    return (drawn * scales).astype(Wide)


def _single_inputs(a: LayerSpec, b: LayerSpec) -> Array:
    """One input at a time, of a few whose weights differ, small and large, to both sides; and none at all."""
    rows = np.flatnonzero((a.kernel != b.kernel).any(axis=1))[:8]
    size = max(float(np.abs(a.kernel).max()), 1e-300)
    scales = np.array([sign * 4.0**power for power in range(-4, 5) for sign in (1, -1)]) / size
    return np.concatenate(
        [np.zeros((1, len(a.kernel))), *(np.eye(len(a.kernel))[row] * scales[:, None] for row in rows)]
    ).astype(Wide)


def function(name: str) -> Callable[[Array], Array]:
    """The activation in long double where NumPy has what it needs, in float64 otherwise."""
    if name.startswith("prelu:"):
        return lambda z: np.where(z > 0, z, z * prelu_slopes(name, z.shape[-1]))
    if name in APPROXIMATIONS:
        return APPROXIMATIONS[name]
    found = activation("tanh" if name == "two_sigmoid" else name)
    if found is None:
        raise KeyError(f"no formula for the activation {name!r}")
    return lambda z: np.asarray(found(z), Wide)


def _tanh_table(z: Array) -> Array:
    return np.asarray(np.interp(z.astype(np.float64), TABLE, np.tanh(TABLE)), Wide)


TABLE = np.linspace(-8, 8, 4097)
APPROXIMATIONS: dict[str, Callable[[Array], Array]] = {
    "rational_tanh": lambda z: np.clip(z * (27 + z * z) / (27 + 9 * z * z), -1, 1),
    "tanh_table": _tanh_table,
}


BEYOND = 64
"""Units of roundoff of an output's largest value from which on a difference at the end is no longer rounding."""


def _ends_differ(right: PortSpec, planted: PortSpec) -> bool:
    """Whether the networks as wholes differ: all that shows where one layer more or less hides its arrays."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, len(right.layers[0].kernel))) * np.repeat([0.3, 1.0, 3.0, 10.0], 8)[:, None]
    with np.errstate(all="ignore"):
        a, b = outputs(right, x), outputs(planted, x)
        return bool((np.abs(a - b) > BEYOND * UNITS[right.compute] * np.max(np.abs(a), axis=0)).any())


def affine_differs(a: Affine | None, b: Affine | None, dtype: str) -> bool:
    """Whether scale * x + offset differs anywhere beyond a few roundings; nothing at all is x itself."""
    if a is None and b is None:
        return False
    width = len((a or b)[0])  # type: ignore[index]
    identity = (np.ones(width), np.zeros(width))
    (s, o), (t, p) = (
        tuple(np.asarray(part).astype(dtype).astype(Wide) for part in pair or identity) for pair in (a, b)
    )
    allowed = 4 * UNITS[dtype]
    return any(
        bool((np.abs((s - t) * x + (o - p)) > allowed * (np.abs(s * x) + np.abs(o) + np.abs(t * x) + np.abs(p))).any())
        for x in (-1.0, 0.0, 1.0, 10.0)
    )


def outputs(spec: PortSpec, x: Array) -> Array:
    """The described port end to end in long double; (rows, inputs) to (rows, outputs).  Without transforms."""
    y = np.asarray(x, Wide)
    y = y if spec.before is None else y * spec.before[0] + spec.before[1]
    for layer in spec.layers:
        z = y @ np.asarray(layer.kernel, Wide) + (0 if layer.bias is None else layer.bias)
        y = function(layer.activation)(z)
    return y if spec.after is None else y * spec.after[0] + spec.after[1]
