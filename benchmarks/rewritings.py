"""Right ports that are other programs: forms of arrays, of layers and of ends, alone and combined."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.ports import COMPOSED, Affine, LayerSpec, Legacy, PortSpec, faithful

Array = np.ndarray
ODD = ("tanh", "softsign", "hard_tanh", "scaled_tanh", "linear")
STYLES = ("dense", "columns", "rows", "conv", "einsum", "timewise", "ones", "hidden")
"""Ways in which one layer may be written: a Dense; several Dense for blocks of its units, or of its inputs; a
convolution as wide as its input; EinsumDense; TimeDistributed; its bias as a row of the kernel; a class of its own."""


@dataclass(frozen=True)
class Written:
    """A port, described.

    Attributes:
        spec: its arrays and activations.
        styles: one of ``STYLES`` a layer.
        inputs: how many inputs share the columns.
        extras: how many further outputs it has, in front of its own.
        names: the forms that it is in.
    """

    spec: PortSpec
    styles: tuple[str, ...]
    inputs: int = 1
    extras: int = 0
    names: tuple[str, ...] = ()

    def named(self, name: str, spec: PortSpec) -> Written:
        """The same in one form more."""
        return replace(self, spec=spec, names=(*self.names, name))


def plain(legacy: Legacy, dtype: str = "float32") -> Written:
    """The port as most would write it."""
    spec = faithful(legacy, dtype)
    return Written(spec, ("dense",) * len(spec.layers))


# --- forms of the arrays ------------------------------------------------------------------------------------------


def permuted(port: Written, rng: np.random.Generator) -> Written | None:
    """Every hidden layer's units in another order."""
    spec = port.spec
    for i in range(len(spec.layers) - 1):
        order = rng.permutation(spec.layers[i].kernel.shape[1])
        spec = regauged(spec, i, order, np.ones(len(order)))
    return port.named("permuted", spec) if len(spec.layers) > 1 else None


def flipped(port: Written, rng: np.random.Generator) -> Written | None:
    """Signs turned before odd activations, and back behind them."""
    spec, found = port.spec, False
    for i, layer in enumerate(spec.layers[:-1]):
        if layer.activation in ODD:
            signs, found = rng.choice([-1.0, 1.0], layer.kernel.shape[1]), True
            spec = regauged(spec, i, np.arange(len(signs)), signs)
    return port.named("flipped", spec) if found else None


def balanced(port: Written, rng: np.random.Generator) -> Written | None:
    """Units multiplied before relu, and divided behind it."""
    spec, found = port.spec, False
    for i, layer in enumerate(spec.layers[:-1]):
        if layer.activation in ("relu", "linear"):
            factors, found = np.exp(rng.uniform(-1.5, 1.5, layer.kernel.shape[1])), True
            spec = regauged(spec, i, np.arange(len(factors)), factors)
    return port.named("balanced", spec) if found else None


def as_sigmoid(port: Written, rng: np.random.Generator) -> Written | None:
    """tanh as sigmoid, what is other about it absorbed by the layers on both sides."""
    spec, found = port.spec, False
    for i in range(len(spec.layers) - 1):
        layer, after = spec.layers[i], spec.layers[i + 1]
        if layer.activation == "tanh" and rng.random() < 0.7:
            found = True
            spec = spec.layer(i, kernel=2 * layer.kernel, bias=2 * layer.bias, activation="sigmoid")
            spec = spec.layer(i + 1, kernel=2 * after.kernel, bias=after.bias - after.kernel.sum(axis=0))
    return port.named("sigmoid", spec) if found else None


def padded(port: Written, rng: np.random.Generator) -> Written | None:
    """Units more than the file has, whose outputs nobody takes."""
    hidden = [i for i, layer in enumerate(port.spec.layers[:-1]) if layer.activation != "softmax"]
    if not hidden:
        return None
    i, extra = int(rng.choice(hidden)), int(rng.integers(1, 5))
    layer, after = port.spec.layers[i], port.spec.layers[i + 1]
    kernel = np.hstack([layer.kernel, np.zeros((len(layer.kernel), extra))])
    spec = port.spec.layer(i, kernel=kernel, bias=np.concatenate([layer.bias, np.zeros(extra)]))
    spec = spec.layer(i + 1, kernel=np.vstack([after.kernel, np.zeros((extra, after.kernel.shape[1]))]))
    return port.named("padded", spec)


def folded_in(port: Written, rng: np.random.Generator) -> Written | None:
    """The input scaling multiplied into the first layer."""
    spec = port.spec
    if spec.before is None or spec.first is not None:
        return None
    (scale, offset), layer = spec.before, spec.layers[0]
    changed = spec.layer(0, kernel=scale[:, None] * layer.kernel, bias=layer.bias + offset @ layer.kernel)
    return port.named("folded in", replace(changed, before=None))


def folded_out(port: Written, rng: np.random.Generator) -> Written | None:
    """The output scaling multiplied into the last layer."""
    spec, last = port.spec, len(port.spec.layers) - 1
    if spec.after is None or spec.layers[last].activation != "linear":
        return None
    (scale, offset), layer = spec.after, spec.layers[last]
    changed = spec.layer(last, kernel=layer.kernel * scale, bias=layer.bias * scale + offset)
    return port.named("folded out", replace(changed, after=None))


def merged(port: Written, rng: np.random.Generator) -> Written | None:
    """Linear layers multiplied into those behind them."""
    layers, styles = list(port.spec.layers), list(port.styles)
    i, found = 0, False
    while i + 1 < len(layers):
        first, second = layers[i], layers[i + 1]
        if first.activation == "linear":
            kernel, bias = first.kernel @ second.kernel, first.bias @ second.kernel + second.bias
            layers[i : i + 2], styles[i : i + 2] = [LayerSpec(kernel, bias, second.activation)], ["dense"]
            found = True
        else:
            i += 1
    spec = replace(port.spec, layers=tuple(layers))
    return replace(port.named("merged", spec), styles=tuple(styles)) if found else None


def regauged(spec: PortSpec, i: int, order: Array, factors: Array) -> PortSpec:
    """The units of a hidden layer in another order and multiplied, made up for in the next layer."""
    layer, after = spec.layers[i], spec.layers[i + 1]
    changed = spec.layer(i, kernel=layer.kernel[:, order] * factors, bias=layer.bias[order] * factors)
    return changed.layer(i + 1, kernel=after.kernel[order] / factors[:, None])


ARRAYS: dict[str, Callable[[Written, np.random.Generator], Written | None]] = {
    "permuted": permuted, "flipped": flipped, "balanced": balanced, "sigmoid": as_sigmoid, "padded": padded,
    "merged": merged, "folded in": folded_in, "folded out": folded_out,
}  # fmt: skip


# --- forms of the layers and of the ends ----------------------------------------------------------------------------


def styled(port: Written, style: str, rng: np.random.Generator) -> Written:
    """Some layers written in another way."""
    chosen = rng.random(len(port.styles)) < 0.6
    chosen[int(rng.integers(len(chosen)))] = True
    styles = tuple(style if picked else own for picked, own in zip(chosen, port.styles, strict=True))
    return replace(port, styles=styles, names=(*port.names, style))


def several_inputs(port: Written, rng: np.random.Generator) -> Written | None:
    """The columns through several inputs."""
    width = port.spec.layers[0].kernel.shape[0]
    if width < 2 or port.spec.first is not None:
        return None
    return replace(port, inputs=min(width, int(rng.integers(2, 4))), names=(*port.names, "several inputs"))


def extra_outputs(port: Written, rng: np.random.Generator) -> Written | None:
    """Hidden tensors as outputs beside the network's own."""
    return replace(port, extras=1, names=(*port.names, "extra outputs"))


ENDS = {"several inputs": several_inputs, "extra outputs": extra_outputs}
FORMS = (*ARRAYS, *STYLES[1:], *ENDS)


def rewritten(port: Written, forms: tuple[str, ...], rng: np.random.Generator) -> Written:
    """The port in several forms at once; those that do not apply to it are left out."""
    for name in (name for name in FORMS if name in forms):
        if name in STYLES:
            port = styled(port, name, rng)
            continue
        changed = {**ARRAYS, **ENDS}[name](port, rng)
        port = port if changed is None else changed
    return port


def spoilt(port: Written, rng: np.random.Generator) -> Written:
    """The port with the largest weight of one layer off by a hundredth of itself."""
    i = int(rng.integers(len(port.spec.layers)))
    kernel = port.spec.layers[i].kernel.copy()
    kernel[np.unravel_index(np.argmax(np.abs(kernel)), kernel.shape)] *= 1.01
    return port.named("spoilt", port.spec.layer(i, kernel=kernel))


# --- building -------------------------------------------------------------------------------------------------------


def write(port: Written) -> Any:
    """The port as a keras.Model, made by hand."""
    import keras

    spec = port.spec
    assert spec.first is None and spec.last is None
    width = spec.layers[0].kernel.shape[0]
    parts = [len(part) for part in np.array_split(np.arange(width), port.inputs)]
    inputs = [keras.Input((part,), dtype=spec.ends) for part in parts]
    x = inputs[0] if len(inputs) == 1 else keras.layers.Concatenate(dtype=spec.ends)(inputs)
    x = _scaled(x, spec.before, spec)
    fills: list[tuple[Any, list[Array]]] = []
    hidden = []
    for layer, style in zip(spec.layers, port.styles, strict=True):
        x = _WRITERS[style](layer, x, spec, fills)
        hidden.append(x)
    x = _scaled(x, spec.after, spec)
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], [*hidden[: port.extras], x] if port.extras else x)
    for made, arrays in fills:
        made.set_weights([array.astype(spec.ends) for array in arrays])
    return model


def _scaled(x: Any, pair: Affine | None, spec: PortSpec) -> Any:
    import keras

    if pair is None:
        return x
    return keras.layers.Rescaling(*(np.asarray(part, spec.ends) for part in pair), dtype=spec.ends)(x)


Fills = list[tuple[Any, list[Array]]]


def _activated(x: Any, name: str, dtype: str) -> Any:
    import keras

    if name in COMPOSED:
        return COMPOSED[name](x)
    return keras.layers.Activation(name, dtype=dtype)(x)


def _dense(layer: LayerSpec, x: Any, spec: PortSpec, fills: Fills) -> Any:
    import keras

    made = keras.layers.Dense(layer.kernel.shape[1], dtype=spec.dtype)
    fills.append((made, [layer.kernel, layer.bias]))
    return _activated(made(x), layer.activation, spec.dtype)


def _columns(layer: LayerSpec, x: Any, spec: PortSpec, fills: Fills) -> Any:
    import keras

    units = layer.kernel.shape[1]
    if units < 2 or layer.activation == "softmax":
        return _dense(layer, x, spec, fills)
    edges = (0, units // 2, units)
    parts = [
        _dense(LayerSpec(layer.kernel[:, a:b], layer.bias[a:b], layer.activation), x, spec, fills)
        for a, b in itertools.pairwise(edges)
    ]
    return keras.layers.Concatenate(dtype=spec.dtype)(parts)


def _rows(layer: LayerSpec, x: Any, spec: PortSpec, fills: Fills) -> Any:
    import keras

    inputs, units = layer.kernel.shape
    if inputs < 2:
        return _dense(layer, x, spec, fills)
    half, parts = inputs // 2, []
    for rows, has_bias in ((slice(0, half), True), (slice(half, inputs), False)):
        made = keras.layers.Dense(units, use_bias=has_bias, dtype=spec.dtype)
        parts.append(made(x[:, rows]))
        fills.append((made, [layer.kernel[rows], *([layer.bias] if has_bias else [])]))
    return _activated(keras.layers.Add(dtype=spec.dtype)(parts), layer.activation, spec.dtype)


def _conv(layer: LayerSpec, x: Any, spec: PortSpec, fills: Fills) -> Any:
    import keras

    inputs, units = layer.kernel.shape
    made = keras.layers.Conv1D(units, inputs, dtype=spec.dtype)
    fills.append((made, [layer.kernel[:, None], layer.bias]))
    x = made(keras.layers.Reshape((inputs, 1), dtype=spec.dtype)(x))
    return _activated(keras.layers.Flatten(dtype=spec.dtype)(x), layer.activation, spec.dtype)


def _einsum(layer: LayerSpec, x: Any, spec: PortSpec, fills: Fills) -> Any:
    import keras

    made = keras.layers.EinsumDense("ab,bc->ac", layer.kernel.shape[1], bias_axes="c", dtype=spec.dtype)
    fills.append((made, [layer.kernel, layer.bias]))
    return _activated(made(x), layer.activation, spec.dtype)


def _timewise(layer: LayerSpec, x: Any, spec: PortSpec, fills: Fills) -> Any:
    import keras

    inputs, units = layer.kernel.shape
    inner = keras.layers.Dense(units, dtype=spec.dtype)
    made = keras.layers.TimeDistributed(inner, dtype=spec.dtype)
    fills.append((made, [layer.kernel, layer.bias]))
    x = made(keras.layers.Reshape((1, inputs), dtype=spec.dtype)(x))
    return _activated(keras.layers.Reshape((units,), dtype=spec.dtype)(x), layer.activation, spec.dtype)


def _ones(layer: LayerSpec, x: Any, spec: PortSpec, fills: Fills) -> Any:
    import keras

    x = keras.layers.Concatenate(dtype=spec.dtype)([x, keras.ops.ones_like(x[:, :1])])
    made = keras.layers.Dense(layer.kernel.shape[1], use_bias=False, dtype=spec.dtype)
    fills.append((made, [np.vstack([layer.kernel, layer.bias])]))
    return _activated(made(x), layer.activation, spec.dtype)


def _hidden(layer: LayerSpec, x: Any, spec: PortSpec, fills: Fills) -> Any:
    import keras

    kernel, bias = (array.astype(spec.variables) for array in (layer.kernel, layer.bias))
    compute, activation = spec.compute, layer.activation

    class Hidden(keras.layers.Layer):
        def call(self, rows: Any) -> Any:
            ops = keras.ops
            z = ops.matmul(rows, ops.cast(kernel, compute)) + ops.cast(bias, compute)
            return COMPOSED[activation](z) if activation in COMPOSED else keras.activations.get(activation)(z)

        def compute_output_shape(self, shape: Any) -> Any:
            return (shape[0], kernel.shape[1])

    return Hidden(dtype=spec.dtype)(x)


_WRITERS: dict[str, Callable[[LayerSpec, Any, PortSpec, Fills], Any]] = {
    "dense": _dense, "columns": _columns, "rows": _rows, "conv": _conv, "einsum": _einsum, "timewise": _timewise,
    "ones": _ones, "hidden": _hidden,
}  # fmt: skip
