"""What the builders share: names, policies, and one layer of Keras or several in a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.network.graph import KerasLayer
from porter.ports.keras.names import FUSED
from porter.ports.keras.versions import activates_by_layers, by_operations, keeps_arrays
from reference.activation_names import parse_activation
from reference.activations import BY_COEFFICIENTS, TANH_AMPLITUDE, TANH_SLOPE

Array = NDArray[Any]


Apply = Callable[[Sequence[Any], Sequence[Any]], list[Any]]


Maker = Callable[[str], Any]
Part = tuple[str, Maker]
"""A layer among several in a row: what its name ends in, and what makes it."""


@dataclass
class Site:
    """What the builders share.

    Attributes:
        policy: dtype policy of every layer.
        dtype: of the weights.
        operations: the builder of each canonical layer, by the name of its operation.
        connect: what makes a model of a network inside another.
        weights: layers and the arrays to set in the end.
        keeps_states: whether every input says how many rows a batch has, without which nothing can be stateful.
    """

    policy: str
    dtype: str
    operations: Mapping[str, Callable[[KerasLayer, Site], Apply]]
    connect: Callable[..., Any]
    weights: list[tuple[Any, list[Array]]] = field(default_factory=list)
    keeps_states: bool = False

    def keep(self, made: Any, arrays: Mapping[str, Array], *order: str) -> Any:
        """Remember the arrays of a layer, in Keras' order of its variables."""
        self.weights.append((made, [arrays[role] for role in order if role in arrays]))
        return made

    def constants(self, *values: Any) -> list[Any]:
        """Arrays of one shape as numbers in lists, which a saved file holds as they are.

        In float64 as arrays, because Keras makes float32 of Python's numbers first.
        """
        alike = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in values))
        return [np.atleast_1d(each).copy() if self.policy == "float64" else each.tolist() for each in alike]

    def rescaling(self, scale: Any, offset: Any, name: str) -> Any:
        """``scale * x + offset``."""
        factor, shift = self.constants(scale, offset)
        if self.policy == "float64" and not keeps_arrays():
            return by_operations(factor, shift, name, self.policy)
        return layers.Rescaling(factor, shift, name=name, dtype=self.policy)

    def activation(self, name: str, shape: tuple[int | None, ...] | None = None) -> Any:
        """What a layer's ``activation`` argument takes for it: a name, or layers where Keras 3 has no such name.

        Args:
            name: as the reference has it.
            shape: of one row that it is applied to, where that is known.
        """
        if name == "hard_sigmoid_keras2" and (shape is not None or self.policy == "float32"):
            return hard_sigmoid_keras2(self, name, shape)
        if name in FUSED:
            return None if name == "linear" else name
        if "(" in name and parse_activation(name).name not in BY_COEFFICIENTS:
            return self.parametric(name)
        raise UnbuildableError("activation", found=repr(name), expected=f"one of {', '.join(FUSED)}")

    def parametric(self, spelt: str, name: str | None = None) -> Any:
        """Keras' layer for an activation with parameters, which other layers take as their activation too."""
        activation = parse_activation(spelt)
        parameters = dict(activation.parameters)
        if activation.name == "thresholded_relu":
            kind, parameters = layers.ReLU, {"threshold": parameters["theta"]}
        else:
            kind = {"relu": layers.ReLU, "leaky_relu": layers.LeakyReLU, "elu": layers.ELU}[activation.name]
        return kind(**parameters, name=name or activation.name, dtype=self.policy)


def hard_sigmoid_keras2(site: Site, name: str, shape: tuple[int | None, ...] | None = None) -> Any:
    """clip(0.2 x + 0.5, 0, 1) of Keras' own layers, which a saved file holds like any other activation.

    A Sequential casts what it is given to float32, unless an Input of its own says otherwise.
    """
    parts = [make(suffix) for suffix, make in hard_sigmoid_layers(site)]
    if site.policy != "float32" and shape is not None:
        parts.insert(0, keras.Input(shape, dtype=keras.DTypePolicy(site.policy).compute_dtype))
    return keras.Sequential(parts, name=name)


def hard_sigmoid_layers(site: Site) -> tuple[tuple[str, Maker], tuple[str, Maker]]:
    """The line and the clip."""
    return (
        ("line", lambda name: layers.Rescaling(*site.constants(0.2, 0.5), name=name, dtype=site.policy)),
        ("clip", lambda name: layers.ReLU(max_value=1.0, name=name, dtype=site.policy)),
    )


def scaled_tanh_layers(site: Site, amplitude: float = TANH_AMPLITUDE, slope: float = TANH_SLOPE) -> tuple[Part, ...]:
    """A factor, the hyperbolic tangent, and another factor."""
    return (
        ("slope", lambda name: site.rescaling(slope, 0.0, name)),
        ("tanh", lambda name: layers.Activation("tanh", name=name, dtype=site.policy)),
        ("amplitude", lambda name: site.rescaling(amplitude, 0.0, name)),
    )


def apart(layer: KerasLayer, site: Site) -> tuple[Part, ...]:
    """The layers of an activation that cannot be fused into its layer; none where it can.

    The old hard sigmoid cannot in another dtype than float32, and nothing that layers compute can in a Keras that
    loads no layer as the activation of another. A scaled tanh is three layers.
    """
    spelt = layer.parameters.get("activation") or "linear"
    if spelt == "hard_sigmoid_keras2" and (site.policy != "float32" or not activates_by_layers()):
        return hard_sigmoid_layers(site)
    activation = parse_activation(spelt)
    if activation.name == "scaled_tanh":
        return scaled_tanh_layers(site, **activation.parameters)
    if "(" in spelt and not activates_by_layers():
        return (("activation", lambda name: site.parametric(spelt, name)),)
    return ()


def in_a_row(name: str, *makers: tuple[str, Maker] | None) -> Apply:
    """One input through several layers, each named after its part, the last after the legacy layer alone."""
    parts = [part for part in makers if part is not None]
    made = [make(name if part is parts[-1] else f"{name}_{suffix}") for part in parts for suffix, make in [part]]

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        tensor = tensors[0]
        for one in made:
            tensor = one(tensor)
        return [tensor]

    apply.layers = made  # type: ignore[attr-defined]
    return apply


def named(name: str, function: Callable[..., Any], site: Site) -> Apply:
    """Keras' operations on the inputs, and a layer that does nothing to bear the name."""
    end = layers.Identity(name=name, dtype=site.policy)
    return lambda tensors, masks: [end(function(*tensors))]


def masked_value(layer: KerasLayer) -> float:
    """What a Masking masks: the legacy layer compared in float32."""
    return float(np.float32(layer.parameters["value"]))
