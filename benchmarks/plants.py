"""Mistakes that people make when they port a dense network, to plant into ports that are right.

A plant changes the description of a port, and says what the mistake should be called and at which layer. Where a
mistake has several right names, all are given, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks import planting
from benchmarks.equivalents import shuffled
from benchmarks.networks import ACTIVATIONS
from benchmarks.planting import ANY
from benchmarks.ports import STRAY, Affine, Legacy, PortSpec, affine
from porter.codes import CODES

Array = np.ndarray
Planted = planting.Planted[PortSpec]

ANYTHING = frozenset(CODES)

Plant = Callable[[Legacy, PortSpec, np.random.Generator], Planted | None]
PLANTS: dict[str, Plant] = {}
REPEATS: dict[str, int] = {"activation_replaced": 3, "one_weight_1e-06": 3, "one_weight_0.0001": 3, "kernel_rounded": 2}
"""How often in each network, where more than once."""


class NotHereError(Exception):
    """The mistake cannot be made in this layer: a mistake made before it took the bias away."""


def plant(function: Plant) -> Plant:
    """Register a mistake under the name of its function."""

    def planted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
        try:
            return function(legacy, spec, rng)
        except NotHereError:
            return None

    return _registered(function.__name__, planted)


def _bias(spec: PortSpec, index: int) -> Array:
    bias = spec.layers[index].bias
    if bias is None:
        raise NotHereError
    return bias


def _registered(name: str, function: Plant) -> Plant:
    if name in PLANTS:
        raise ValueError(f"{name} is planted twice")
    PLANTS[name] = function
    return function


def _at(spec: PortSpec, code: str | Sequence[str], index: int) -> Planted:
    codes = frozenset([code] if isinstance(code, str) else code)
    return Planted(spec, ((codes, f"Layer{index + 1}"),))


def _pick(rng: np.random.Generator, candidates: Sequence[int]) -> int | None:
    return int(rng.choice(candidates)) if len(candidates) else None


def _where(spec: PortSpec, least: Callable[[tuple[int, ...]], bool]) -> list[int]:
    """The layers whose kernel (inputs, units) has such a shape."""
    return [k for k, layer in enumerate(spec.layers) if least(layer.kernel.shape)]


def _squares(spec: PortSpec) -> list[int]:
    return _where(spec, lambda shape: shape[0] == shape[1] > 1)


# --- layout of the kernel -----------------------------------------------------------------------------------------


@plant
def kernel_transposed(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, _squares(spec))
    return None if i is None else _at(spec.layer(i, kernel=spec.layers[i].kernel.T), "kernel.transposed", i)


@plant
def kernel_reshaped(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, _where(spec, lambda shape: min(shape) > 1 and shape[0] != shape[1]))
    if i is None:
        return None
    kernel = legacy.kernels[i].reshape(spec.layers[i].kernel.shape, order=str(rng.choice(["C", "F"])))
    return _at(spec.layer(i, kernel=kernel), "kernel.reshaped", i)


@plant
def kernel_flipped(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, _where(spec, lambda shape: min(shape) > 1))
    return None if i is None else _at(spec.layer(i, kernel=spec.layers[i].kernel[::-1, ::-1]), "kernel.flipped", i)


@plant
def file_column_major(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """Every kernel filled in Fortran order; one of a single row or column stays as it is."""
    touched = _where(spec, lambda shape: min(shape) > 1)
    if not touched:
        return None
    expected = []
    for i in touched:
        units, inputs = legacy.kernels[i].shape
        spec = spec.layer(i, kernel=legacy.kernels[i].reshape(inputs, units))
        # In a square kernel the two orders are each other's transpose.
        codes = frozenset({"kernel.transposed"} if units == inputs else {"kernel.reshaped"})
        expected.append((codes, f"Layer{i + 1}"))
    return Planted(spec, tuple(expected))


@plant
def augmented_matrix(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """[bias, kernel] taken apart as if the bias came last."""
    i = int(rng.integers(len(spec.layers)))
    stacked = np.vstack([_bias(spec, i)[None], spec.layers[i].kernel])
    return _at(spec.layer(i, kernel=stacked[:-1], bias=stacked[-1]), "kernel.augmented", i)


# --- numbers of the kernel ------------------------------------------------------------------------------------------


def _to_bfloat16(array: Array) -> Array:
    return array.astype(ml_dtypes.bfloat16).astype(np.float64)


def _cut_to_bfloat16(array: Array) -> Array:
    return (array.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)


def _digits(count: int) -> Callable[[Array], Array]:
    return np.vectorize(lambda value: float(f"{value:.{count}g}"), otypes=[np.float64])


ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "float32": lambda a: a.astype(np.float32).astype(np.float64),
    "float16": lambda a: a.astype(np.float16).astype(np.float64),
    "bfloat16": _to_bfloat16,
    "bfloat16 cut": _cut_to_bfloat16,
    "4 digits": _digits(4),
    "5 digits": _digits(5),
    "6 digits": _digits(6),
    "7 digits": _digits(7),
    "4 decimals": lambda a: np.round(a, 4),
    "6 decimals": lambda a: np.round(a, 6),
}


def _rounding(spec: PortSpec, rng: np.random.Generator) -> Callable[[Array], Array]:
    """One of those that the port's own variables would not do anyway."""
    names = {
        "float64": list(ROUNDINGS), "float32": list(ROUNDINGS)[1:], "float16": ["bfloat16", "4 decimals"],
        "bfloat16": ["4 decimals"],
    }[spec.variables]  # fmt: skip
    name = str(rng.choice(names))

    def rule(array: Array) -> Array:
        with np.errstate(over="ignore"):
            return ROUNDINGS[name](array)

    return rule


@plant
def kernel_rounded(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    layer, rule = spec.layers[i], _rounding(spec, rng)
    kernel = rule(layer.kernel)
    if not np.isfinite(kernel).all() or not kernel.any():  # rounded to nothing at all is no rounding
        return None
    # The only layer is the whole port.  Of fewer than four numbers, a few that differ and a rounding are the same
    # thing.
    codes = ["kernel.precision", "precision.port"] if len(spec.layers) == 1 else ["kernel.precision"]
    codes += ["kernel.values"] if layer.kernel.size < 4 else []
    return _at(spec.layer(i, kernel=kernel, bias=rule(_bias(spec, i))), codes, i)


@plant
def port_rounded(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """Every layer in lower precision than the port declares."""
    if len(spec.layers) < 2 or spec.variables not in ("float64", "float32"):
        return None
    names = ["float32", "float16", "bfloat16"] if spec.variables == "float64" else ["float16", "bfloat16"]
    rule = ROUNDINGS[str(rng.choice(names))]
    with np.errstate(over="ignore"):
        layers = tuple(replace(layer, kernel=rule(layer.kernel), bias=rule(layer.bias)) for layer in spec.layers)
    if not all(np.isfinite(layer.kernel).all() and layer.kernel.any() for layer in layers):
        return None
    return Planted(replace(spec, layers=layers), ((frozenset({"precision.port"}), ANY),))


@plant
def kernel_integer(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    kernel = np.trunc(spec.layers[i].kernel)
    # Where nothing is left of it, it is a kernel of zeros.
    codes = ["kernel.precision"] if kernel.any() else ["kernel.precision", "kernel.unset"]
    codes += ["kernel.values"] if kernel.size < 4 else []
    return _at(spec.layer(i, kernel=kernel), codes, i)


@plant
def kernel_unset(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, _where(spec, lambda shape: math.prod(shape) >= 16))
    if i is None:
        return None
    a, b = spec.layers[i].kernel.shape
    limit = np.sqrt(6 / (a + b))
    return _at(spec.layer(i, kernel=rng.uniform(-limit, limit, (a, b)), bias=np.zeros(b)), "kernel.unset", i)


@plant
def kernel_constant(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """Constant(array) took the first number of the array."""
    i = _pick(rng, _where(spec, lambda shape: math.prod(shape) >= 4))
    if i is None:
        return None
    layer = spec.layers[i]
    return _at(spec.layer(i, kernel=np.full_like(layer.kernel, layer.kernel.flat[0])), "kernel.unset", i)


@plant
def bias_constant(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, _where(spec, lambda shape: shape[1] >= 3))
    if i is None:
        return None
    bias = _bias(spec, i)
    return _at(spec.layer(i, bias=np.full_like(bias, bias[0])), "bias.values", i)


@plant
def byte_order(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """The stored float64 numbers read in the other order of bytes."""
    i = int(rng.integers(len(spec.layers)))
    with np.errstate(all="ignore"):
        kernel = legacy.kernels[i].astype(np.float64).byteswap().T
        held = kernel.astype(spec.ends)
    if not np.isfinite(held).all():
        return None
    held = np.where(np.abs(held) < np.finfo(held.dtype).tiny, 0, held)
    # Numbers too small for the dtype are held as zeros.
    codes = ["kernel.values", "unexplained"] if held.any() else ["kernel.values", "kernel.unset"]
    return _at(spec.layer(i, kernel=kernel), codes, i)


def _one_weight(change: Callable[[float, np.random.Generator], float]) -> Plant:
    def one_weight(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
        i = int(rng.integers(len(spec.layers)))
        kernel = spec.layers[i].kernel.copy()
        place = int(rng.integers(kernel.size))
        kernel.flat[place] = change(float(kernel.flat[place]), rng)
        return _at(spec.layer(i, kernel=kernel), "kernel.values", i) if np.isfinite(kernel).all() else None

    return one_weight


def _flip_bit(value: float, rng: np.random.Generator) -> float:
    """One bit of a float32 above the last two."""
    bits = np.array(value, np.float32).view(np.uint32) ^ np.uint32(1 << int(rng.integers(2, 32)))
    return float(bits.view(np.float32))


for _relative in (1e-6, 1e-5, 1e-4, 1e-3):
    _registered(f"one_weight_{_relative:g}", _one_weight(lambda value, rng, r=_relative: value * (1 + r)))  # type: ignore[misc]
_registered("one_weight_sign", _one_weight(lambda value, rng: -value))
_registered("one_weight_bit", _one_weight(_flip_bit))


# --- biases ---------------------------------------------------------------------------------------------------------


@plant
def bias_missing(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    bias = None if rng.random() < 0.5 else np.zeros_like(_bias(spec, i))
    return _at(spec.layer(i, bias=bias), "bias.missing", i)


@plant
def bias_negated(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    bias = _bias(spec, i)
    return _at(spec.layer(i, bias=-bias), "bias.negated", i)


@plant
def bias_value(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    bias = _bias(spec, i).copy()
    bias[int(rng.integers(len(bias)))] *= 1.001
    return _at(spec.layer(i, bias=bias), "bias.values", i)


@plant
def biases_swapped(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    return _swapped(spec, rng, ("bias",), lambda layer: layer.kernel.shape[1], "biases.swapped")


# --- which array goes where -----------------------------------------------------------------------------------------


def _swapped(
    spec: PortSpec, rng: np.random.Generator, parts: tuple[str, ...], key: Callable[[Any], Any], code: str
) -> Planted | None:
    count = len(spec.layers)
    pairs = [(i, j) for i in range(count) for j in range(i) if key(spec.layers[i]) == key(spec.layers[j])]
    if not pairs:
        return None
    i, j = pairs[int(rng.integers(len(pairs)))]
    a, b = spec.layers[i], spec.layers[j]
    changed = spec.layer(i, **{part: getattr(b, part) for part in parts})
    changed = changed.layer(j, **{part: getattr(a, part) for part in parts})
    return Planted(changed, tuple((frozenset({code}), f"Layer{k + 1}") for k in (j, i)))


@plant
def layers_swapped(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    return _swapped(spec, rng, ("kernel", "bias"), lambda layer: layer.kernel.shape, "layers.swapped")


@plant
def text_order(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """Layer10 before Layer2."""
    count = len(spec.layers)
    if count < 10 or len({layer.kernel.shape for layer in spec.layers}) > 1:
        return None
    order = sorted(range(count), key=lambda k: f"Layer{k + 1}")
    layers = tuple(replace(spec.layers[k], activation=spec.layers[i].activation) for i, k in enumerate(order))
    moved = [i for i, k in enumerate(order) if i != k]
    code = frozenset({"layers.swapped"})
    return Planted(replace(spec, layers=layers), tuple((code, f"Layer{i + 1}") for i in moved))


@plant
def layer_missing(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k in _squares(spec) if len(spec.layers) > 1])
    if i is None:
        return None
    return _at(replace(spec, layers=spec.layers[:i] + spec.layers[i + 1 :]), "layers.missing", i)


@plant
def layer_repeated(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, _squares(spec))
    if i is None:
        return None
    return _at(replace(spec, layers=spec.layers[: i + 1] + spec.layers[i:]), "layers.repeated", i)


@plant
def layer_copied(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """The arrays of one layer loaded into another one as well."""
    pairs = [
        (i, j) for i, a in enumerate(spec.layers) for j, b in enumerate(spec.layers)
        if i != j and a.kernel.shape == b.kernel.shape
    ]  # fmt: skip
    if not pairs:
        return None
    i, j = pairs[int(rng.integers(len(pairs)))]
    return _at(spec.layer(i, kernel=spec.layers[j].kernel, bias=spec.layers[j].bias), "layers.repeated", i)


# --- order of units -------------------------------------------------------------------------------------------------


def _exchange(spec: PortSpec, i: int, order: Array, code: str) -> Planted:
    kernel, bias = spec.layers[i].kernel, _bias(spec, i)
    return _at(spec.layer(i, kernel=kernel[:, order], bias=bias[order]), code, i)


@plant
def units_permuted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k in _where(spec, lambda shape: shape[1] > 2) if k < len(spec.layers) - 1])
    if i is None:
        return None
    return _exchange(spec, i, shuffled(rng, spec.layers[i].kernel.shape[1]), "units.permuted")


@plant
def rows_permuted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k in _where(spec, lambda shape: shape[0] > 2) if k > 0])
    if i is None:
        return None
    order = shuffled(rng, spec.layers[i].kernel.shape[0])
    return _at(spec.layer(i, kernel=spec.layers[i].kernel[order]), "units.permuted", i)


@plant
def inputs_permuted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    if spec.layers[0].kernel.shape[0] < 2:
        return None
    order = shuffled(rng, spec.layers[0].kernel.shape[0])
    # Two rows in reverse order are two inputs exchanged.
    codes = ["inputs.permuted"] if len(order) > 2 else ["inputs.permuted", "kernel.flipped"]
    return _at(spec.layer(0, kernel=spec.layers[0].kernel[order]), codes, 0)


@plant
def outputs_permuted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    last = len(spec.layers) - 1
    if spec.layers[last].kernel.shape[1] < 2:
        return None
    return _exchange(spec, last, shuffled(rng, spec.layers[last].kernel.shape[1]), "outputs.permuted")


# --- activations ----------------------------------------------------------------------------------------------------

OTHERS = (*ACTIVATIONS, "exponential", "softmax", "rational_tanh", "tanh_table", "relu(max_value=1)")


def _renamed(spec: PortSpec, i: int, name: str) -> Planted:
    own = spec.layers[i].activation
    code = "activation.replaced"
    if name == "linear" or own == "linear":
        code = "activation.missing" if name == "linear" else "activation.added"
    elif name.split("(", maxsplit=1)[0] == own.split("(")[0]:
        code = "activation.parameter"
    return _at(spec.layer(i, activation=name), code, i)


@plant
def activation_replaced(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    own, units = spec.layers[i].activation, spec.layers[i].kernel.shape[1]
    # One unit has no softmax to speak of; a table of tanh is a mistake where tanh was meant.
    names = [name for name in OTHERS if name != own and (units > 1 or name != "softmax")]
    return _renamed(
        spec, i, str(rng.choice([n for n in names if own == "tanh" or n not in ("rational_tanh", "tanh_table")]))
    )


@plant
def activation_approximated(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k, layer in enumerate(spec.layers) if layer.activation == "tanh"])
    return None if i is None else _renamed(spec, i, str(rng.choice(["rational_tanh", "tanh_table", "scaled_tanh"])))


@plant
def activation_slope(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """Another slope of leaky relu, of elu, or learned slopes."""
    i = _pick(rng, [k for k, layer in enumerate(spec.layers) if layer.activation.startswith(("leaky", "elu"))])
    if i is None:
        return None
    if spec.layers[i].activation.startswith("elu"):
        return _renamed(spec, i, f"elu(alpha={rng.choice([0.3, 0.7, 1.5])})")
    if rng.random() < 0.3:
        return _at(
            spec.layer(i, activation=f"prelu:{rng.integers(10)}"), ["activation.parameter", "activation.replaced"], i
        )
    return _renamed(spec, i, f"leaky_relu(negative_slope={rng.choice([0.01, 0.25, 0.3])})")


@plant
def activation_missing(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k, layer in enumerate(spec.layers) if layer.activation != "linear"])
    return None if i is None else _renamed(spec, i, "linear")


@plant
def output_activation_added(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    last = len(spec.layers) - 1
    if spec.layers[last].activation != "linear" or last == 0:
        return None
    return _renamed(spec, last, spec.layers[0].activation) if spec.layers[0].activation != "linear" else None


@plant
def output_relu_missing(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    last = len(spec.layers) - 1
    return _renamed(spec, last, "linear") if spec.layers[last].activation == "relu" else None


@plant
def softmax_axis(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    last = len(spec.layers) - 1
    if spec.layers[last].activation != "softmax":
        return None
    codes = ["activation.parameter", "activation.replaced"]
    return _at(spec.layer(last, activation="softmax(axis=0)"), codes, last)


@plant
def training_mode(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    if len(spec.layers) < 2:
        return None
    i = int(rng.integers(len(spec.layers) - 1))
    return _at(spec.layer(i, training_dropout=True), "mode.training", i)


@plant
def stray_operation(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """Something that the file has not, before a layer or behind the last one; what to call it is open."""
    place = int(rng.integers(len(spec.layers) + 1))
    width = spec.layers[place].kernel.shape[0] if place < len(spec.layers) else spec.layers[-1].kernel.shape[1]
    if width == 1:
        return None  # one number reversed is itself
    options = {} if spec.before is None else {"placement": "inside"}
    changed = replace(spec, stray=(str(rng.choice(list(STRAY))), place))
    return Planted(changed, ((ANYTHING, ANY),), options)


# --- before and after the network -----------------------------------------------------------------------------------


def _scaling_plant(
    name: str, code: str | Sequence[str], change: Callable[[Array, bool, str, Affine], Affine | None]
) -> None:
    codes = frozenset([code] if isinstance(code, str) else code)

    def planted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
        if legacy.norm_in is None or legacy.norm_out is None or spec.before is None or spec.after is None:
            return None
        inverse = bool(rng.random() < 0.5)
        norm, own = (legacy.norm_out, spec.after) if inverse else (legacy.norm_in, spec.before)
        with np.errstate(all="ignore"):
            changed = change(norm, inverse, legacy.rule, own)
        if changed is not None and not all(np.isfinite(part).all() for part in changed):
            return None
        changed_spec = replace(spec, **{"after" if inverse else "before": changed})
        return Planted(changed_spec, ((codes, "Norm_out" if inverse else "Norm_in"),), {"placement": "inside"})

    _registered(name, planted)


def _other_range(norm: Array, inverse: bool, rule: str, own: Affine) -> Affine:
    return affine(norm, inverse, "[0,1]" if rule == "[-1,1]" else "[-1,1]")


def _other_statistics(norm: Array, inverse: bool, rule: str, own: Affine) -> Affine:
    """Minimum and maximum used as mean and standard deviation, or the other way round."""
    return affine(norm, inverse, "[-1,1]" if rule == "mean-std" else "mean-std")


_scaling_plant("scaling_range", "scaling.range", _other_range)
_scaling_plant("scaling_mean_std", "scaling.range", _other_statistics)
_scaling_plant("scaling_inverted", "scaling.inverted", lambda norm, inverse, rule, own: affine(norm, not inverse, rule))
_scaling_plant(
    "scaling_swapped", "scaling.swapped", lambda norm, inverse, rule, own: affine(norm[:, ::-1], inverse, rule)
)
_scaling_plant(
    "scaling_twice", "scaling.repeated", lambda norm, inverse, rule, own: (own[0] ** 2, own[0] * own[1] + own[1])
)
_scaling_plant(
    "scaling_nothing", "scaling.missing", lambda norm, inverse, rule, own: (np.ones_like(own[0]), np.zeros_like(own[1]))
)
_scaling_plant("scaling_absent", "scaling.missing", lambda norm, inverse, rule, own: None)


@plant
def scaling_multiplied(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """(x - mean) * std for (x - mean) / std."""
    if legacy.rule != "mean-std" or legacy.norm_in is None:
        return None
    mean, deviation = legacy.norm_in.T
    codes = frozenset({"scaling.swapped"})
    return Planted(replace(spec, before=(deviation, -mean * deviation)), ((codes, "Norm_in"),), {"placement": "inside"})


@plant
def scaling_column(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """Two columns of the ranges exchanged."""
    if spec.before is None or len(spec.before[0]) < 3:
        return None
    order = np.arange(len(spec.before[0]))
    i, j = rng.choice(len(order), 2, replace=False)
    order[[i, j]] = order[[j, i]]
    before = (spec.before[0][order], spec.before[1][order])
    codes = frozenset({"inputs.permuted", "scaling.range"})
    return Planted(replace(spec, before=before), ((codes, "Norm_in"),), {"placement": "inside"})


@plant
def inputs_gathered(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """The columns of the input picked in another order before the network, or before its scaling."""
    width = legacy.widths[0]
    if width < 3 or spec.first is not None:
        return None
    row = "Norm_in" if spec.before is not None else "Layer1"
    codes = frozenset({"inputs.permuted"})
    return Planted(replace(spec, gathered=shuffled(rng, width)), ((codes, row),), {"placement": "inside"})


TRANSFORM = frozenset({"transform.replaced"})


def _transform_plant(name: str, old: str, new: str) -> None:
    def planted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
        if spec.first is None or old not in (*spec.first, spec.last):
            return None
        options = {"placement": "inside"}
        if spec.last == old:
            return Planted(replace(spec, last=new), ((TRANSFORM, "Transform_out"),), options)
        first = tuple(new if function == old else function for function in spec.first)
        return Planted(replace(spec, first=first), ((TRANSFORM, "Transform_in"),), options)

    _registered(name, planted)


_transform_plant("transform_ln", "log10", "ln")
_transform_plant("transform_log2", "log10", "log2")
_transform_plant("transform_log_missing", "log10", "identity")
_transform_plant("transform_degrees", "cos_degrees", "cos")
_transform_plant("transform_cos_missing", "cos_degrees", "identity")
_transform_plant("transform_exp", "pow10", "exp")
_transform_plant("transform_power_missing", "pow10", "identity")


@plant
def transform_order(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    """10**y before the output scaling instead of after it."""
    if spec.last is None:
        return None
    # Either of the two steps is in the wrong place.
    either = frozenset(
        {"transform.replaced", "activation.added", "scaling.missing", "scaling.range", "layers.swapped", "unexplained"}
    )
    return Planted(replace(spec, ends_swapped=True), ((either, ANY),), {"placement": "inside"})
