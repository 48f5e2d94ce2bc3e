"""Legacy networks and hand-made Keras ports of them, described by plain arrays.

A port is built with Keras by hand, not by porter, so that a mistake of porter's own builder could not hide one of its
judge.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from reference.activation_names import parse_activation
from reference.activations import Activation

Array = np.ndarray
Affine = tuple[Array, Array]

KINDS = {"aaNN": ("cos_degrees",) * 3, "aphNN": ()}
"""Kind of network to the functions of its first inputs; log10 of all others, and 10**y of the outputs."""


@dataclass(frozen=True)
class Legacy:
    """A legacy network as its file holds it.

    Attributes:
        kernels: (units, inputs) each.
        biases: (units,) each.
        activations: one name a layer.
        norm_in: (n, 2) minimum and maximum, or None.
        norm_out: (m, 2), or None.
        rule: of the scaling.
        kind: of a network with physical transforms; None without.
        name: for people.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[str, ...]
    norm_in: Array | None
    norm_out: Array | None
    rule: str = "[-1,1]"
    kind: str | None = None
    name: str = "random"

    @property
    def widths(self) -> list[int]:
        """Inputs, then the units of each layer."""
        return [self.kernels[0].shape[1], *(kernel.shape[0] for kernel in self.kernels)]

    @property
    def options(self) -> dict[str, Any]:
        """What ``porter.read`` has to be told."""
        physical = {} if self.kind is None else {"kind": self.kind, "physical": True}
        scaling = {} if self.norm_in is None else {"scaling": self.rule}
        return {"activation": list(self.activations), **scaling, **physical}

    def write(self, path: Path) -> Path:
        """The HDF5 file that OC-SMART would have."""
        with h5py.File(path, "w") as file:
            for number, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True), start=1):
                file[f"Weights/Layer{number}"] = kernel
                file[f"Bias/Layer{number}"] = bias.reshape(-1, 1)
            file["Layers"] = np.array(self.widths, np.int16)
            if self.norm_in is not None:
                file["Norm_in"], file["Norm_out"] = self.norm_in, self.norm_out
        return path


@dataclass(frozen=True)
class LayerSpec:
    """One dense layer of a port: kernel (inputs, units), bias (units,) or None, activation by name."""

    kernel: Array
    bias: Array | None
    activation: str
    training_dropout: bool = False


@dataclass(frozen=True)
class PortSpec:
    """A port, described.

    Attributes:
        layers: in order.
        before: scale and offset of the input scaling, or None.
        after: scale and offset of the output scaling, or None.
        dtype: a Keras dtype policy.
        fused: activations fused into Dense, or standing as layers of their own.
        first: one function an input column before everything, or None.
        last: the function of all outputs after everything, or None.
        ends_swapped: the last function applied before the output scaling.
        gathered: order in which the inputs are picked before everything, or None.
        idle: with layers in between that do nothing at inference.
        stray: an operation of ``STRAY`` that does not belong, and before which layer it stands; None for none.
    """

    layers: tuple[LayerSpec, ...]
    before: Affine | None
    after: Affine | None
    dtype: str = "float32"
    fused: bool = True
    first: tuple[str, ...] | None = None
    last: str | None = None
    ends_swapped: bool = False
    gathered: Array | None = None
    idle: bool = False
    stray: tuple[str, int] | None = None

    def layer(self, index: int, **changes: Any) -> PortSpec:
        """The same port with one layer changed."""
        layers = list(self.layers)
        layers[index] = replace(layers[index], **changes)
        return replace(self, layers=tuple(layers))

    @property
    def ends(self) -> str:
        """The dtype of everything but the dense layers."""
        return "float64" if self.dtype == "float64" else "float32"

    @property
    def variables(self) -> str:
        """The dtype in which the dense layers keep their weights."""
        return "float32" if self.dtype.startswith("mixed") else self.dtype

    @property
    def compute(self) -> str:
        """The dtype in which the dense layers compute."""
        return self.dtype.removeprefix("mixed_")


def affine(norm: Array, inverse: bool, rule: str = "[-1,1]") -> Affine:
    """Scale and offset of a range under a rule, from the legacy formula."""
    low, high = norm[:, 0], norm[:, 1]
    if rule == "mean-std":  # low is the mean and high the standard deviation
        return (high, low) if inverse else (1 / high, -low / high)
    if rule == "[0,1]":
        return (high - low, low) if inverse else (1 / (high - low), -low / (high - low))
    return ((high - low) / 2, (high + low) / 2) if inverse else (2 / (high - low), -(high + low) / (high - low))


def faithful(legacy: Legacy, dtype: str = "float32", fused: bool = True) -> PortSpec:
    """The port that is right."""
    layers = tuple(
        LayerSpec(kernel.T.astype(np.float64), bias.astype(np.float64), activation)
        for kernel, bias, activation in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True)
    )
    before = None if legacy.norm_in is None else affine(legacy.norm_in, False, legacy.rule)
    after = None if legacy.norm_out is None else affine(legacy.norm_out, True, legacy.rule)
    spec = PortSpec(layers, before, after, dtype, fused)
    if legacy.kind is None:
        return spec
    angles = KINDS[legacy.kind]
    return replace(spec, first=angles + ("log10",) * (legacy.widths[0] - len(angles)), last="pow10")


# --- building -----------------------------------------------------------------------------------------------------


@dataclass
class Builder:
    """Builds described ports, and uses the last model again where only its weights differ: most of the time."""

    key: Any = None
    parts: tuple[Any, list[Any]] = (None, [])

    def __call__(self, spec: PortSpec) -> Any:
        """The described port as a keras.Model."""
        shapes = tuple(
            (layer.kernel.shape, layer.bias is None, layer.activation, layer.training_dropout) for layer in spec.layers
        )
        constants = tuple(
            None if part is None else part.tobytes() for pair in (spec.before, spec.after) for part in pair or (None,)
        )
        gathered = None if spec.gathered is None else tuple(spec.gathered)
        key = (
            shapes,
            constants,
            gathered,
            spec.dtype,
            spec.fused,
            spec.first,
            spec.last,
            spec.ends_swapped,
            spec.idle,
            spec.stray,
        )
        if key != self.key:
            self.key, self.parts = key, _connected(spec)
        model, dense = self.parts
        for made, layer in zip(dense, spec.layers, strict=True):
            arrays = [layer.kernel] if layer.bias is None else [layer.kernel, layer.bias]
            with np.errstate(over="ignore"):
                made.set_weights([array.astype(spec.ends) for array in arrays])
        return model


def build(spec: PortSpec) -> Any:
    """The described port as a keras.Model of its own, made by hand."""
    return Builder()(spec)


def _connected(spec: PortSpec) -> tuple[Any, list[Any]]:
    """The model without its weights, and its dense layers."""
    import keras

    width = spec.layers[0].kernel.shape[0] if spec.gathered is None else len(spec.gathered)
    x = inputs = keras.Input((width,), dtype=spec.ends)
    if spec.gathered is not None:
        x = keras.ops.take(x, spec.gathered, axis=-1)
    x = _rescaled(_transformed(x, spec.first), spec.before, spec)
    dense = []
    for index, layer in enumerate(spec.layers):
        if spec.stray is not None and spec.stray[1] == index:
            x = STRAY[spec.stray[0]](x)
        x, made = _dense(layer, x, spec)
        dense.append(made)
    if spec.stray is not None and spec.stray[1] == len(spec.layers):
        x = STRAY[spec.stray[0]](x)
    ending = [lambda t: _rescaled(t, spec.after, spec), lambda t: _transformed(t, spec.last)]
    for step in ending[::-1] if spec.ends_swapped else ending:
        x = step(x)
    return keras.Model(inputs, x), dense


def _dense(layer: LayerSpec, x: Any, spec: PortSpec) -> tuple[Any, Any]:
    import keras

    fused = spec.fused and layer.activation not in COMPOSED
    made = keras.layers.Dense(
        layer.kernel.shape[1],
        activation=_fused(layer.activation, spec.dtype) if fused else None,
        use_bias=layer.bias is not None,
        kernel_initializer="zeros",
        dtype=spec.dtype,
    )
    x = made(x)
    if not fused:
        x = _activated(layer.activation, x, spec.dtype)
    if spec.idle:
        x = keras.layers.Dropout(0.2, dtype=spec.dtype)(keras.layers.Identity(dtype=spec.dtype)(x))
    if layer.training_dropout:
        x = keras.layers.Dropout(0.3, dtype=spec.dtype)(x, training=True)
    return x, made


def _rescaled(x: Any, pair: Affine | None, spec: PortSpec) -> Any:
    import keras

    if pair is None:
        return x
    scale, offset = (np.asarray(part).astype(spec.ends) for part in pair)
    return keras.layers.Rescaling(scale, offset, dtype=spec.ends)(x)


def _transformed(x: Any, functions: tuple[str, ...] | str | None) -> Any:
    """Column by column as a person would write it: slices, functions, and a concatenation."""
    import keras

    if functions is None:
        return x
    ops = keras.ops
    made: dict[str, Callable[[Any], Any]] = {
        "cos_degrees": lambda t: ops.cos(ops.deg2rad(t)),
        "cos": ops.cos,
        "log10": ops.log10,
        "ln": ops.log,
        "log2": ops.log2,
        "pow10": lambda t: ops.power(10.0, t),
        "exp": ops.exp,
        "identity": keras.layers.Identity(),
    }
    if isinstance(functions, str):
        return made[functions](x)
    runs, start = [], 0
    for name, group in itertools.groupby(functions):
        stop = start + len(list(group))
        runs.append(made[name](x[:, start:stop]))
        start = stop
    return runs[0] if len(runs) == 1 else keras.layers.Concatenate(dtype=x.dtype)(runs)


LAYERS = {"leaky_relu": "LeakyReLU", "elu": "ELU", "relu": "ReLU", "softmax": "Softmax"}


def _fused(name: str, dtype: str) -> Any:
    """What ``Dense(activation=)`` takes: a name, or a layer where there are parameters."""
    import keras

    activation = parse_activation(name)
    if not activation.parameters:
        return activation.name
    return getattr(keras.layers, LAYERS[activation.name])(**activation.parameters, dtype=dtype)


def _activated(name: str, x: Any, dtype: str) -> Any:
    import keras

    if name.startswith("prelu:"):  # learned slopes, one a unit
        slopes = prelu_slopes(name, x.shape[-1])
        layer = keras.layers.PReLU(dtype=dtype)
        x = layer(x)
        layer.set_weights([slopes.astype("float64" if dtype == "float64" else "float32")])
        return x
    if name in COMPOSED:
        return COMPOSED[name](x)
    made = _fused(name, dtype)
    return keras.layers.Activation(made, dtype=dtype)(x) if isinstance(made, str) else made(x)


def prelu_slopes(name: str, units: int) -> Array:
    """The learned slopes of ``"prelu:3"``, (units,)."""
    return np.random.default_rng(int(name[6:])).uniform(0.05, 0.45, units)


def _ops() -> Any:
    import keras

    return keras.ops


def _tanh_table(x: Any) -> Any:
    """Linear interpolation in a table of 4,096 intervals over [-8, 8]."""
    ops = _ops()
    table = np.tanh(np.linspace(-8, 8, 4097))
    position = ops.clip((x + 8.0) * 256.0, 0.0, 4095.999)
    below = ops.minimum(ops.cast(ops.floor(position), "int32"), 4095)
    left, right = (ops.take(ops.cast(table, x.dtype), below + k) for k in (0, 1))
    return left + (right - left) * (position - ops.cast(below, x.dtype))


COMPOSED: dict[str, Callable[[Any], Any]] = {
    "scaled_tanh": lambda x: _ops().multiply(1.7159, _ops().tanh(_ops().multiply(2 / 3, x))),
    "gelu_tanh": lambda x: _ops().gelu(x, approximate=True),
    "hard_sigmoid_keras2": lambda x: _ops().clip(_ops().add(_ops().multiply(x, 0.2), 0.5), 0.0, 1.0),
    "two_sigmoid": lambda x: _ops().subtract(_ops().multiply(2.0, _ops().sigmoid(_ops().multiply(2.0, x))), 1.0),
    "rational_tanh": lambda x: _ops().clip(x * (27.0 + x * x) / (27.0 + 9.0 * x * x), -1.0, 1.0),
    "tanh_table": _tanh_table,
    **{f"prelu:{seed}": lambda x: x for seed in range(10)},
}
"""Activations that Dense does not take; those of PReLU are made in ``_activated``."""


STRAY: dict[str, Callable[[Any], Any]] = {
    "doubled": lambda x: _ops().multiply(x, 2.0),
    "shifted": lambda x: _ops().add(x, 0.5),
    "reversed": lambda x: _ops().flip(x, axis=-1),
    "clipped": lambda x: _ops().clip(x, -0.1, 0.1),
    "tanh": lambda x: _ops().tanh(x),
    "normalized": lambda x: _ops().divide(x, 1e-3 + _ops().std(x, axis=-1, keepdims=True)),
}
"""Operations that a port has and the file has not."""


def activation(name: str) -> Activation | None:
    """The reference's function of that name, or None where it has none."""
    try:
        return parse_activation(name)
    except ValueError:
        return None
