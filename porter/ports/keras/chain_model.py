"""Network to keras.Model, of Keras' own layers only, so that the saved file loads where porter is not installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, cast

import keras
import ml_dtypes  # noqa: F401  (gives NumPy the name "bfloat16")
import numpy as np
from keras import ops
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.network import Dense, Ensemble, Extremes, Layer, Network, Scaling, Transform
from porter.network.placement import placed
from porter.ports.keras.names import FUSED, legal_name, name_operations
from porter.ports.keras.rational import rational
from porter.ports.keras.versions import activates_by_layers, by_operations, keeps_arrays, to_radians
from reference import logistic_table as logistic
from reference.activations import CUT, Activation
from reference.composed.ensemble import WITHIN
from reference.table import entries_of, step_of

Array = NDArray[Any]


TABLE = "table"
"""Name of the layer that holds the entries of a table."""


def build_chain(network: Network, *, placement: str, dtype: str) -> Any:
    """A chain of dense layers, flat, one Dense with its activation fused for each legacy layer.

    Args:
        network: without calls: one layer after the other.
        placement: "inside", "folded" or "outside".
        dtype: one of ``DTYPES``.

    Returns:
        keras.Model taking (rows, inputs) and giving (rows, outputs).

    Raises:
        UsageError: scaling outside of physical transforms.
        UnbuildableError: scaling that cannot be folded, or a layer that Keras' own layers cannot express.
    """
    layers = placed(network, placement)
    site = _Site(dtype, keras.DTypePolicy(dtype).variable_dtype)
    inputs = keras.Input((layers[0].width[0],), name=site.name("inputs"), dtype=site.ends)
    tensor = inputs
    for layer in layers:
        tensor = _builder(layer)(layer, tensor, site)
    model = keras.Model(inputs, tensor, name=legal_name(network.name))
    site.set_weights()
    name_operations(model)
    return model


@dataclass
class _Site:
    """What the builders share: the policies, the names given so far, and the weights to set in the end."""

    policy: str
    ends: str
    names: set[str] = field(default_factory=set)
    weights: list[tuple[Any, list[Array]]] = field(default_factory=list)
    lookups: dict[Any, Any] = field(default_factory=dict)

    def name(self, wanted: str) -> str:
        """A legal name that no other layer of the model has."""
        stem = legal_name(wanted)
        candidates = (stem if count == 0 else f"{stem}_{count}" for count in range(len(self.names) + 1))
        name = next(candidate for candidate in candidates if candidate not in self.names)
        self.names.add(name)
        return name

    def table(self, name: str, key: Any, entries: Array) -> Any:
        """The layer that holds a table, once for all layers that look it up."""
        if key not in self.lookups:
            shape = {"input_dim": len(entries), "output_dim": 1, "embeddings_initializer": "zeros"}
            lookup = keras.layers.Embedding(**shape, trainable=False, name=self.name(name), dtype=self.policy)
            self.weights.append((lookup, [entries[:, None]]))
            self.lookups[key] = lookup
        return self.lookups[key]

    def set_weights(self) -> None:
        """Cast every array once, from the precision it is stored in, and set it."""
        for layer, arrays in self.weights:
            with np.errstate(over="ignore"):
                layer.set_weights([array.astype(np.dtype(self.ends), copy=False) for array in arrays])


def _build_dense(layer: Layer, tensor: Any, site: _Site) -> Any:
    dense = cast(Dense, layer)
    composed = _composer(dense.activation)
    node = keras.layers.Dense(
        dense.kernel.shape[1],
        activation=fused_activation(dense.activation, site.policy) if composed is None else None,
        use_bias=dense.bias is not None,
        # Every weight is set afterwards; drawing random ones would only cost time.
        kernel_initializer="zeros",
        name=site.name(dense.name),
        dtype=site.policy,
    )
    outputs = node(tensor)
    site.weights.append((node, [dense.kernel] if dense.bias is None else [dense.kernel, dense.bias]))
    return outputs if composed is None else composed(dense, outputs, site)


def _composer(activation: Activation) -> Callable[[Dense, Any, _Site], Any] | None:
    """What builds an activation behind its layer; None where it is fused into it."""
    if activation.name in PARAMETRIC and activation.parameters and not activates_by_layers():
        return _compose_parametric
    if activation.name == "hard_tanh" and not hasattr(keras.activations, "hard_tanh"):
        return _compose_hard_tanh
    return COMPOSED.get(activation.name)


def _build_scaling(layer: Layer, tensor: Any, site: _Site) -> Any:
    scaling = cast(Scaling, layer)
    return _rescaling(site, scaling.name, scaling.scale, scaling.offset, site.ends)(tensor)


def _rescaling(site: _Site, name: str, scale: Array, offset: Array, dtype: str) -> Callable[[Any], Any]:
    """scale * x + offset, from arrays of at least one dimension: Keras rounds Python numbers to float32."""
    parts = [np.atleast_1d(scale), np.atleast_1d(offset)]
    if keeps_arrays():
        return cast(Callable[[Any], Any], keras.layers.Rescaling(*parts, name=site.name(name), dtype=dtype))
    if dtype != "float64":
        numbers = [part.astype(np.float32).tolist() for part in parts]
        return cast(Callable[[Any], Any], keras.layers.Rescaling(*numbers, name=site.name(name), dtype=dtype))
    return by_operations(parts[0], parts[1], site.name(name), dtype)


def _build_transform(layer: Layer, tensor: Any, site: _Site) -> Any:
    transform = cast(Transform, layer)
    # Operations, unlike layers, compute in whatever they are given; after a half-precision layer that is too little.
    tensor = tensor if tensor.dtype == site.ends else ops.cast(tensor, site.ends)
    parts, start = [], 0
    for function, run in groupby(transform.functions):
        stop = start + len(tuple(run))
        columns = tensor if stop - start == len(transform.functions) else tensor[:, start:stop]
        parts.append(_transform_function(function)(columns))
        start = stop
    name = site.name(transform.name)
    if len(parts) == 1:
        return keras.layers.Identity(name=name, dtype=site.ends)(parts[0])
    return keras.layers.Concatenate(name=name, dtype=site.ends)(parts)


def _build_extremes(layer: Layer, tensor: Any, site: _Site) -> Any:
    """Clamped, and NaN where the value before that was too far outside."""
    step = cast(Extremes, layer)
    if len(step.least) > 1 and site.ends not in ("float32", "float64"):
        raise UnbuildableError(
            step.name, found=f"bounds of several outputs in {site.ends}", expected="float32 or float64"
        )
    limits = (step.least, step.greatest, step.least - step.tolerance, step.greatest + step.tolerance)
    # A number takes the tensor's own dtype, an array makes it as wide as itself.
    least, greatest, lowest, highest = (
        float(part[0]) if len(part) == 1 else np.asarray(part, site.ends) for part in limits
    )
    held = ops.minimum(ops.maximum(tensor, least), greatest)
    if np.isfinite(step.tolerance).any():
        far = ops.logical_or(ops.less(tensor, lowest), ops.greater(tensor, highest))
        held = ops.where(far, float("nan"), held)
    return keras.layers.Identity(name=site.name(step.name), dtype=site.ends)(held)


def _build_ensemble(layer: Layer, tensor: Any, site: _Site) -> Any:
    """The mean, or the mean of the members strictly within one sample deviation of it."""
    step = cast(Ensemble, layer)
    mean = ops.mean(tensor, axis=1, keepdims=True)
    if step.rule == WITHIN:
        apart = ops.abs(ops.subtract(tensor, mean))
        deviation = ops.sqrt(ops.sum(ops.square(apart), axis=1, keepdims=True) / float(step.members - 1))
        inside = ops.cast(ops.less(apart, deviation), site.ends)
        mean = ops.sum(tensor * inside, axis=1, keepdims=True) / ops.sum(inside, axis=1, keepdims=True)
    return keras.layers.Identity(name=site.name(step.name), dtype=site.ends)(mean)


def _transform_function(name: str) -> Callable[[Any], Any]:
    functions: Mapping[str, Callable[[Any], Any]] = {
        "identity": lambda x: x,
        "cos_degrees": lambda x: ops.cos(to_radians(x)),
        "log10": ops.log10,
        "ln": ops.log,
        "pow10": lambda x: ops.power(10.0, x),
        "exp": ops.exp,
        "sqrt": ops.sqrt,
        "root4": lambda x: ops.sqrt(ops.sqrt(x)),
        "root8": lambda x: ops.sqrt(ops.sqrt(ops.sqrt(x))),
        "square": ops.square,
        "pow4": lambda x: ops.square(ops.square(x)),
        "pow8": lambda x: ops.square(ops.square(ops.square(x))),
        "relu_square": lambda x: ops.square(ops.relu(x)),
        "relu": ops.relu,
        "cos": ops.cos,
    }
    if name not in functions:
        raise UnbuildableError("transform", found=repr(name), expected=f"one of {', '.join(functions)}")
    return functions[name]


def fused_activation(activation: Activation, dtype: str) -> Any:
    """What ``keras.layers.Dense(activation=)`` takes for it: a name, or a layer where it has parameters.

    Raises:
        UnbuildableError: Keras has no such activation, or none with these parameters.
    """
    parameters = dict(activation.parameters)
    if activation.name in FUSED and not parameters:
        return activation.name
    layer = PARAMETRIC.get(activation.name)
    if layer is None:
        raise UnbuildableError(
            "activation",
            found=str(activation),
            expected=f"one of {', '.join((*FUSED, *COMPOSED))}; parameters for {', '.join(PARAMETRIC)}",
        )
    return getattr(keras.layers, layer)(**parameters, name=activation.name, dtype=dtype)


def _compose_parametric(dense: Dense, tensor: Any, site: _Site) -> Any:
    """A layer of its own, for a Keras that loads none as the activation of another."""
    name = dense.activation.name
    kind = getattr(keras.layers, PARAMETRIC[name])
    return kind(**dense.activation.parameters, name=site.name(f"{dense.name}_{name}"), dtype=site.policy)(tensor)


def _compose_hard_tanh(dense: Dense, tensor: Any, site: _Site) -> Any:
    name = site.name(f"{dense.name}_hard_tanh")
    return keras.layers.Identity(name=name, dtype=site.policy)(ops.clip(tensor, -1.0, 1.0))


def _compose_scaled_tanh(dense: Dense, tensor: Any, site: _Site) -> Any:
    parameters = {"amplitude": 1.7159, "slope": 2.0 / 3.0} | dict(dense.activation.parameters)
    slope, amplitude, zero = np.array(parameters["slope"]), np.array(parameters["amplitude"]), np.zeros(1)
    tensor = _rescaling(site, f"{dense.name}_slope", slope, zero, site.policy)(tensor)
    tensor = keras.layers.Activation("tanh", name=site.name(f"{dense.name}_tanh"), dtype=site.policy)(tensor)
    return _rescaling(site, f"{dense.name}_amplitude", amplitude, zero, site.policy)(tensor)


def _compose_hard_sigmoid_keras2(dense: Dense, tensor: Any, site: _Site) -> Any:
    tensor = _rescaling(site, f"{dense.name}_line", np.array(0.2), np.array(0.5), site.policy)(tensor)
    return keras.layers.ReLU(max_value=1.0, name=site.name(f"{dense.name}_clip"), dtype=site.policy)(tensor)


def _compose_gelu_tanh(dense: Dense, tensor: Any, site: _Site) -> Any:
    outputs = ops.gelu(tensor, approximate=True)
    return keras.layers.Identity(name=site.name(f"{dense.name}_gelu_tanh"), dtype=site.policy)(outputs)


def _compose_cut_sigmoid(dense: Dense, tensor: Any, site: _Site) -> Any:
    inside = ops.where(ops.greater(tensor, CUT), ops.ones_like(tensor), ops.sigmoid(tensor))
    outputs = ops.where(ops.less(tensor, -CUT), ops.zeros_like(tensor), inside)
    return keras.layers.Identity(name=site.name(f"{dense.name}_cut"), dtype=site.policy)(outputs)


def _compose_logistic_table(dense: Dense, tensor: Any, site: _Site) -> Any:
    """The entries that the original has, found as it finds them."""
    lookup = site.table("logistic_table", "logistic_table", logistic.entries())
    return _looked_up(dense, tensor, site, lookup, (logistic.START, logistic.STEP, 0.0))


def _compose_table(dense: Dense, tensor: Any, site: _Site) -> Any:
    """The entries that a recipe gives."""
    given = dict(dense.activation.parameters)
    values, nearest = given["values"], given.get("nearest", 0)
    lookup = site.table(TABLE, values, entries_of(values))
    step = step_of(given["first"], given["last"], values)
    return _looked_up(dense, tensor, site, lookup, (given["first"], step, 0.5 if nearest else 0.0))


def _looked_up(dense: Dense, tensor: Any, site: _Site, lookup: Any, line: tuple[float, float, float]) -> Any:
    """A frozen gather of entries whose place is (x - start) / step + half, found in float32 at least."""
    start, step, half = line
    # An array makes the difference as wide as itself; a number would leave it in half precision.
    first = np.full(1, start, "float64" if site.ends == "float64" else "float32")
    place = ops.subtract(tensor, first) / step
    place = ops.add(place, half) if half else place
    place = ops.where(ops.isnan(place), ops.zeros_like(place), place)
    found = lookup(ops.cast(ops.clip(place, 0, lookup.input_dim - 1), "int32"))
    return keras.layers.Reshape((dense.kernel.shape[1],), name=site.name(f"{dense.name}_table"), dtype=site.policy)(
        found
    )


def _compose_rational(dense: Dense, tensor: Any, site: _Site) -> Any:
    outputs = rational(tensor, **dense.activation.parameters)
    return keras.layers.Identity(name=site.name(f"{dense.name}_rational"), dtype=site.policy)(outputs)


def _builder(layer: Layer) -> Callable[[Layer, Any, _Site], Any]:
    if type(layer) not in BUILDERS:
        known = ", ".join(kind.__name__ for kind in BUILDERS)
        raise UnbuildableError(layer.name, found=f"a layer of type {type(layer).__name__}", expected=f"one of {known}")
    return BUILDERS[type(layer)]


BUILDERS: Mapping[type, Callable[[Layer, Any, _Site], Any]] = {
    Dense: _build_dense,
    Scaling: _build_scaling,
    Transform: _build_transform,
    Extremes: _build_extremes,
    Ensemble: _build_ensemble,
}

# Keras and reference.activations have these under the same name, with the same defaults.
# Keras' layer of the same parameters, which Dense takes as its activation too.
PARAMETRIC: Mapping[str, str] = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU", "softmax": "Softmax"}

# What Keras has not: Dense, then layers of its own.
COMPOSED: Mapping[str, Callable[[Dense, Any, _Site], Any]] = {
    "scaled_tanh": _compose_scaled_tanh,
    "hard_sigmoid_keras2": _compose_hard_sigmoid_keras2,
    "gelu_tanh": _compose_gelu_tanh,
    "logistic_table": _compose_logistic_table,
    "cut_sigmoid": _compose_cut_sigmoid,
    "rational": _compose_rational,
    "table": _compose_table,
}
