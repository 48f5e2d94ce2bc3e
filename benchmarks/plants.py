"""Mistakes that people make when they port a dense network, to plant into ports that are right.

A port is described by plain arrays (``PortSpec``) and built with Keras by hand, not by porter, so that a mistake of
porter's own builder could not hide one of its judge. A plant changes the description, and says what it should be
called and where.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Array = np.ndarray
Expected = tuple[tuple[frozenset[str], str], ...]

ACTIVATIONS = ("tanh", "sigmoid", "relu", "softsign", "softplus", "elu", "selu", "gelu", "silu", "linear", "leaky_relu")


@dataclass(frozen=True)
class Legacy:
    """A legacy network as its file holds it.

    Attributes:
        kernels: (units, inputs) each.
        biases: (units,) each.
        activations: one name a layer.
        norm_in: (n, 2) minimum and maximum, or None.
        norm_out: (m, 2), or None.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[str, ...]
    norm_in: Array | None
    norm_out: Array | None

    @property
    def widths(self) -> list[int]:
        """Inputs, then the units of each layer."""
        return [self.kernels[0].shape[1], *(kernel.shape[0] for kernel in self.kernels)]

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
    """

    layers: tuple[LayerSpec, ...]
    before: tuple[Array, Array] | None
    after: tuple[Array, Array] | None
    dtype: str = "float32"
    fused: bool = True
    permute_inputs: Array | None = None
    permute_outputs: Array | None = None

    def layer(self, index: int, **changes: Any) -> PortSpec:
        """The same port with one layer changed."""
        layers = list(self.layers)
        layers[index] = replace(layers[index], **changes)
        return replace(self, layers=tuple(layers))


def affine(norm: Array, inverse: bool, rule: str = "[-1,1]") -> tuple[Array, Array]:
    """Scale and offset of a range under a rule, from the legacy formula."""
    low, high = norm[:, 0], norm[:, 1]
    if rule == "[-1,1]":
        return ((high - low) / 2, (high + low) / 2) if inverse else (2 / (high - low), -(high + low) / (high - low))
    if rule == "[0,1]":
        return (high - low, low) if inverse else (1 / (high - low), -low / (high - low))
    mean, deviation = (low + high) / 2, (high - low) / np.sqrt(12)
    return (deviation, mean) if inverse else (1 / deviation, -mean / deviation)


def faithful(legacy: Legacy, dtype: str = "float32", fused: bool = True) -> PortSpec:
    """The port that is right."""
    layers = tuple(
        LayerSpec(kernel.T.astype(np.float64), bias.astype(np.float64), activation)
        for kernel, bias, activation in zip(legacy.kernels, legacy.biases, legacy.activations, strict=True)
    )
    before = None if legacy.norm_in is None else affine(legacy.norm_in, False)
    after = None if legacy.norm_out is None else affine(legacy.norm_out, True)
    return PortSpec(layers, before, after, dtype, fused)


def draw_legacy(rng: np.random.Generator, **fixed: Any) -> Legacy:
    """A network of random shape: depth 1 to 12 (20 at times), widths 1 to 64 (512 at times), any activation.

    ``fixed`` sets depth, width, activation, magnitude or scaling.
    """
    depth = fixed.get("depth") or int(rng.choice([1, 2, 3, 4, 5, 6, 8, 12, 20], p=[.06, .15, .2, .2, .15, .1, .08, .04, .02]))
    widest = fixed.get("width") or int(rng.choice([8, 16, 32, 64, 128, 512], p=[.2, .25, .25, .2, .08, .02]))
    square = bool(rng.random() < 0.35)
    widths = [int(rng.integers(1, widest + 1)) for _ in range(depth + 1)]
    if square:
        widths = [max(2, widths[0])] * (depth + 1)
    hidden = fixed.get("activation") or str(rng.choice(ACTIVATIONS, p=[.4, .1, .12, .06, .06, .06, .05, .05, .04, .02, .04]))
    magnitude = fixed.get("magnitude") or float(10 ** rng.uniform(-1.5, 1.5)) if rng.random() < 0.5 else 1.0
    kernels = [
        magnitude * rng.standard_normal((b, a)) / np.sqrt(a) for a, b in zip(widths[:-1], widths[1:], strict=True)
    ]
    biases = [0.3 * magnitude * rng.standard_normal(b) for b in widths[1:]]
    last = str(rng.choice(["linear", "sigmoid", "relu", "tanh"], p=[.75, .1, .1, .05]))
    activations = [hidden] * (depth - 1) + [fixed.get("last") or last]
    norm_in = norm_out = None
    if fixed.get("scaling", rng.random() < 0.7):
        norm_in, norm_out = _norm(rng, widths[0]), _norm(rng, widths[-1])
    return Legacy(tuple(kernels), tuple(biases), tuple(activations), norm_in, norm_out)


def _norm(rng: np.random.Generator, n: int) -> Array:
    low = rng.normal(size=n)
    return np.stack([low, low + rng.uniform(0.5, 4, n)], axis=1)


# --- building -----------------------------------------------------------------------------------------------------


def build(spec: PortSpec) -> Any:
    """The described port as a keras.Model, made by hand."""
    import keras

    width = spec.layers[0].kernel.shape[0]
    ends = "float64" if spec.dtype == "float64" else "float32"
    x = inputs = keras.Input((width,), dtype=ends)
    if spec.permute_inputs is not None:
        x = keras.ops.take(x, spec.permute_inputs, axis=-1)
    if spec.before is not None:
        x = keras.layers.Rescaling(*_constants(spec.before, ends), dtype=ends)(x)
    dense = []
    for layer in spec.layers:
        fused = spec.fused and layer.activation in FUSED
        made = keras.layers.Dense(
            layer.kernel.shape[1],
            activation=layer.activation if fused else None,
            use_bias=layer.bias is not None,
            dtype=spec.dtype,
        )
        x = made(x)
        if not fused:
            x = _activate(layer.activation, x, spec.dtype)
        if layer.training_dropout:
            x = keras.layers.Dropout(0.3, dtype=spec.dtype)(x, training=True)
        dense.append((made, layer))
    if spec.permute_outputs is not None:
        x = keras.ops.take(x, spec.permute_outputs, axis=-1)
    if spec.after is not None:
        x = keras.layers.Rescaling(*_constants(spec.after, ends), dtype=ends)(x)
    model = keras.Model(inputs, x)
    for made, layer in dense:
        arrays = [layer.kernel] if layer.bias is None else [layer.kernel, layer.bias]
        made.set_weights([array.astype(np.float64) for array in arrays])
    return model


def _constants(pair: tuple[Array, Array], dtype: str) -> list[Array]:
    return [np.asarray(part).astype(dtype) for part in pair]


FUSED = {"tanh", "sigmoid", "relu", "softsign", "softplus", "elu", "selu", "silu", "linear", "gelu", "softmax", "leaky_relu",
         "hard_sigmoid", "hard_tanh", "exponential", "mish", "relu6"}  # fmt: skip


def _activate(name: str, x: Any, dtype: str) -> Any:
    import keras

    layers, ops = keras.layers, keras.ops
    if name.startswith("leaky:"):
        return layers.LeakyReLU(negative_slope=float(name[6:]), dtype=dtype)(x)
    if name.startswith("elu:"):
        return layers.ELU(alpha=float(name[4:]), dtype=dtype)(x)
    special: dict[str, Callable[[], Any]] = {
        "scaled_tanh": lambda: ops.multiply(1.7159, ops.tanh(ops.multiply(2 / 3, x))),
        "gelu_tanh": lambda: ops.gelu(x, approximate=True),
        "gelu": lambda: ops.gelu(x, approximate=False),
        "hard_sigmoid_keras2": lambda: ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0),
        "two_sigmoid": lambda: ops.subtract(ops.multiply(2.0, ops.sigmoid(ops.multiply(2.0, x))), 1.0),
        "rational_tanh": lambda: ops.clip(x * (27.0 + x * x) / (27.0 + 9.0 * x * x), -1.0, 1.0),
    }
    return special[name]() if name in special else layers.Activation(name, dtype=dtype)(x)


# --- plants -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planted:
    """A port with a mistake in it, and what the mistake should be called.

    Attributes:
        spec: the port.
        expected: for each mistake, the codes that name it rightly and the row that it is at.
    """

    spec: PortSpec
    expected: Expected
    options: dict[str, Any] = field(default_factory=dict)


Plant = Callable[[Legacy, PortSpec, np.random.Generator], Planted | None]
PLANTS: dict[str, Plant] = {}


def plant(function: Plant) -> Plant:
    """Register a mistake under the name of its function."""
    name = function.__name__
    if name in PLANTS:
        raise ValueError(f"{name} is planted twice")
    PLANTS[name] = function
    return function


def _at(spec: PortSpec, code: str | Sequence[str], index: int) -> Planted:
    codes = frozenset([code] if isinstance(code, str) else code)
    return Planted(spec, ((codes, f"Layer{index + 1}"),))


def _pick(rng: np.random.Generator, candidates: Sequence[int]) -> int | None:
    return int(rng.choice(candidates)) if len(candidates) else None


def _squares(spec: PortSpec) -> list[int]:
    return [
        i for i, layer in enumerate(spec.layers)
        if layer.kernel.shape[0] == layer.kernel.shape[1] > 1 and not np.array_equal(layer.kernel, layer.kernel.T)
    ]  # fmt: skip


def _all(spec: PortSpec) -> list[int]:
    return list(range(len(spec.layers)))


@plant
def kernel_transposed(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, _squares(spec))
    return None if i is None else _at(spec.layer(i, kernel=spec.layers[i].kernel.T), "kernel.transposed", i)


@plant
def kernel_reshaped(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k, layer in enumerate(spec.layers) if min(layer.kernel.shape) > 1 and k not in _squares(spec)])
    if i is None:
        return None
    order = str(rng.choice(["C", "F"]))
    kernel = legacy.kernels[i].reshape(spec.layers[i].kernel.shape, order=order)
    return _at(spec.layer(i, kernel=kernel), "kernel.reshaped", i)


@plant
def kernel_rounded(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, _all(spec))
    assert i is not None
    rules: list[Callable[[Array], Array]] = [
        lambda a: a.astype(np.float16).astype(np.float64),
        lambda a: (a.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32).astype(np.float64),
        lambda a: np.vectorize(lambda v: float(f"{v:.5g}"))(a),
        lambda a: np.round(a, 4),
        lambda a: np.round(a, 6),
    ]
    rule = rules[int(rng.integers(len(rules)))]
    layer = spec.layers[i]
    bias = None if layer.bias is None else rule(layer.bias)
    codes = ["kernel.precision"] if len(spec.layers) > 1 else ["kernel.precision", "precision.port"]
    return _at(spec.layer(i, kernel=rule(layer.kernel), bias=bias), [*codes, "kernel.values"] if layer.kernel.size < 4 else codes, i)


@plant
def kernel_unset(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k, layer in enumerate(spec.layers) if layer.kernel.size >= 16])
    if i is None:
        return None
    a, b = spec.layers[i].kernel.shape
    limit = np.sqrt(6 / (a + b))
    changed = spec.layer(i, kernel=rng.uniform(-limit, limit, (a, b)), bias=np.zeros(b))
    return _at(changed, "kernel.unset", i)


@plant
def kernel_constant(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k, layer in enumerate(spec.layers) if layer.kernel.size >= 4])
    if i is None:
        return None
    layer = spec.layers[i]
    return _at(spec.layer(i, kernel=np.full_like(layer.kernel, layer.kernel.flat[0])), "kernel.unset", i)


def _one_weight(relative: float) -> Plant:
    def one_weight(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
        i = int(rng.integers(len(spec.layers)))
        kernel = spec.layers[i].kernel.copy()
        kernel.flat[int(rng.integers(kernel.size))] *= 1 + relative
        return _at(spec.layer(i, kernel=kernel), "kernel.values", i)

    return one_weight


for _relative in (1e-6, 1e-5, 1e-4, 1e-3, -2.0):
    PLANTS[f"one_weight_{_relative:g}" if _relative > 0 else "one_weight_sign"] = _one_weight(_relative)


@plant
def byte_order(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    kernel = legacy.kernels[i].astype(np.float32).byteswap().astype(np.float64).T
    if not np.isfinite(kernel).all():
        return None
    return _at(spec.layer(i, kernel=kernel), ["kernel.values", "unexplained"], i)


@plant
def augmented_matrix(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    layer = spec.layers[i]
    assert layer.bias is not None
    stacked = np.vstack([layer.bias[None], layer.kernel])  # bias first, taken apart as if it came last
    changed = spec.layer(i, kernel=stacked[:-1], bias=stacked[-1])
    return _at(changed, "kernel.augmented", i)


@plant
def bias_missing(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    bias = None if rng.random() < 0.5 else np.zeros_like(spec.layers[i].bias)
    return _at(spec.layer(i, bias=bias), "bias.missing", i)


@plant
def bias_negated(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    bias = spec.layers[i].bias
    assert bias is not None
    return _at(spec.layer(i, bias=-bias), "bias.negated", i)


@plant
def bias_value(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    bias = np.array(spec.layers[i].bias)
    bias[int(rng.integers(len(bias)))] *= 1.001
    return _at(spec.layer(i, bias=bias), "bias.values", i)


@plant
def biases_swapped(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    pairs = [
        (i, j) for i in _all(spec) for j in range(i)
        if spec.layers[i].kernel.shape[1] == spec.layers[j].kernel.shape[1]
    ]  # fmt: skip
    if not pairs:
        return None
    i, j = pairs[int(rng.integers(len(pairs)))]
    changed = spec.layer(i, bias=spec.layers[j].bias).layer(j, bias=spec.layers[i].bias)
    code = frozenset({"biases.swapped"})
    return Planted(changed, ((code, f"Layer{j + 1}"), (code, f"Layer{i + 1}")))


@plant
def layers_swapped(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    pairs = [
        (i, j) for i in _all(spec) for j in range(i) if spec.layers[i].kernel.shape == spec.layers[j].kernel.shape
    ]
    if not pairs:
        return None
    i, j = pairs[int(rng.integers(len(pairs)))]
    a, b = spec.layers[i], spec.layers[j]
    changed = spec.layer(i, kernel=b.kernel, bias=b.bias).layer(j, kernel=a.kernel, bias=a.bias)
    code = frozenset({"layers.swapped"})
    return Planted(changed, ((code, f"Layer{j + 1}"), (code, f"Layer{i + 1}")))


@plant
def text_order(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
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
    return None if i is None else _at(replace(spec, layers=spec.layers[: i + 1] + spec.layers[i:]), "layers.repeated", i)


@plant
def units_permuted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k in _all(spec)[:-1] if spec.layers[k].kernel.shape[1] > 2])
    if i is None:
        return None
    order = _shuffle(rng, spec.layers[i].kernel.shape[1])
    layer = spec.layers[i]
    assert layer.bias is not None
    return _at(spec.layer(i, kernel=layer.kernel[:, order], bias=layer.bias[order]), "units.permuted", i)


@plant
def rows_permuted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = _pick(rng, [k for k in _all(spec)[1:] if spec.layers[k].kernel.shape[0] > 2])
    if i is None:
        return None
    order = _shuffle(rng, spec.layers[i].kernel.shape[0])
    return _at(spec.layer(i, kernel=spec.layers[i].kernel[order]), "units.permuted", i - 1)


@plant
def inputs_permuted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    if spec.layers[0].kernel.shape[0] < 2:
        return None
    order = _shuffle(rng, spec.layers[0].kernel.shape[0])
    return _at(spec.layer(0, kernel=spec.layers[0].kernel[order]), "inputs.permuted", 0)


@plant
def outputs_permuted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    last = len(spec.layers) - 1
    layer = spec.layers[last]
    if layer.kernel.shape[1] < 2 or layer.bias is None:
        return None
    order = _shuffle(rng, layer.kernel.shape[1])
    return _at(spec.layer(last, kernel=layer.kernel[:, order], bias=layer.bias[order]), "outputs.permuted", last)


def _shuffle(rng: np.random.Generator, n: int) -> Array:
    while True:
        order = rng.permutation(n)
        if not np.array_equal(order, np.arange(n)):
            return order


@plant
def activation_replaced(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    own = spec.layers[i].activation
    others = [*ACTIVATIONS, "scaled_tanh", "hard_tanh", "hard_sigmoid", "hard_sigmoid_keras2", "gelu_tanh", "mish", "relu6",
              "leaky:0.01", "leaky:0.3", "elu:0.5", "rational_tanh", "exponential"]  # fmt: skip
    other = str(rng.choice([name for name in others if name != own]))
    codes = ["activation.replaced"]
    if other == "linear":
        codes = ["activation.missing"]
    elif own == "linear":
        codes = ["activation.added"]
    elif other.split(":")[0][:4] == own[:4] and other[:4] in ("leak", "elu:", "elu"):
        codes = ["activation.parameter"]
    return _at(spec.layer(i, activation=other), codes, i)


@plant
def output_relu_missing(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    last = len(spec.layers) - 1
    if spec.layers[last].activation != "relu":
        return None
    return _at(spec.layer(last, activation="linear"), "activation.missing", last)


@plant
def training_mode(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
    i = int(rng.integers(len(spec.layers)))
    if i == len(spec.layers) - 1:
        return None
    return _at(spec.layer(i, training_dropout=True), "mode.training", i)


def _scaling_plant(name: str, code: str | Sequence[str], change: Callable[[Array, bool, tuple[Array, Array]], Any]) -> None:
    def planted(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Planted | None:
        if legacy.norm_in is None or legacy.norm_out is None:
            return None
        inverse = bool(rng.random() < 0.5)
        norm, own = (legacy.norm_out, spec.after) if inverse else (legacy.norm_in, spec.before)
        assert own is not None
        changed = change(norm, inverse, own)
        spec = replace(spec, **{"after" if inverse else "before": changed})
        codes = frozenset([code] if isinstance(code, str) else code)
        return Planted(spec, ((codes, "Norm_out" if inverse else "Norm_in"),), {"placement": "inside"})

    PLANTS[name] = planted


_scaling_plant("scaling_range", "scaling.range", lambda norm, inverse, own: affine(norm, inverse, "[0,1]"))
_scaling_plant("scaling_mean_std", "scaling.range", lambda norm, inverse, own: affine(norm, inverse, "mean-std"))
_scaling_plant("scaling_inverted", "scaling.inverted", lambda norm, inverse, own: affine(norm, not inverse))
_scaling_plant("scaling_swapped", "scaling.swapped", lambda norm, inverse, own: affine(norm[:, ::-1], inverse))
_scaling_plant("scaling_twice", "scaling.repeated", lambda norm, inverse, own: (own[0] ** 2, own[0] * own[1] + own[1]))
_scaling_plant("scaling_nothing", "scaling.missing", lambda norm, inverse, own: (np.ones_like(own[0]), np.zeros_like(own[1])))
_scaling_plant("scaling_absent", "scaling.missing", lambda norm, inverse, own: None)


# --- equivalent forms: not mistakes --------------------------------------------------------------------------------


def equivalents(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> list[tuple[str, PortSpec]]:
    """Ports that look otherwise and compute the same."""
    found = [("activations standing alone", replace(spec, fused=not spec.fused))]
    hidden = [k for k in _all(spec)[:-1] if spec.layers[k].kernel.shape[1] > 1]
    if hidden:
        i = int(rng.choice(hidden))
        order = _shuffle(rng, spec.layers[i].kernel.shape[1])
        found.append(("hidden units permuted", _regauged(spec, i, order, np.ones(len(order)))))
        if spec.layers[i].activation in ("tanh", "softsign", "linear"):
            signs = rng.choice([-1.0, 1.0], len(order))
            found.append(("hidden signs flipped", _regauged(spec, i, order, signs)))
    if spec.before is not None and spec.after is not None:
        found.append(("scaling folded", _folded(spec)))
    tanh = [k for k in _all(spec) if spec.layers[k].activation == "tanh"]
    if tanh:
        found.append(("2 sigmoid(2x) - 1", spec.layer(int(rng.choice(tanh)), activation="two_sigmoid")))
    return found


def _regauged(spec: PortSpec, i: int, order: Array, signs: Array) -> PortSpec:
    layer, after = spec.layers[i], spec.layers[i + 1]
    assert layer.bias is not None
    changed = spec.layer(i, kernel=layer.kernel[:, order] * signs, bias=layer.bias[order] * signs)
    return changed.layer(i + 1, kernel=after.kernel[order] * signs[:, None])


def _folded(spec: PortSpec) -> PortSpec:
    assert spec.before is not None and spec.after is not None
    scale, offset = spec.before
    first = spec.layers[0]
    assert first.bias is not None
    spec = spec.layer(0, kernel=first.kernel * scale[:, None], bias=first.bias + offset @ first.kernel)
    last = spec.layers[-1]
    if last.activation != "linear":
        return replace(spec, before=None)
    assert last.bias is not None
    scale, offset = spec.after
    spec = spec.layer(len(spec.layers) - 1, kernel=last.kernel * scale, bias=last.bias * scale + offset)
    return replace(spec, before=None, after=None)
