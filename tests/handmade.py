"""Ports made by hand, as users make them: from the arrays of the file as h5py gives them, never by porter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Array = np.ndarray
Affine = tuple[Array, Array]


@dataclass(frozen=True)
class Legacy:
    """A legacy network, made ready by hand.

    Attributes:
        kernels: (inputs, units) each, float64.
        biases: (units,) each, float64.
        activations: one name a layer.
        norm_in: (n, 2) minimum and maximum, or None.
        norm_out: (m, 2), or None.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[str, ...]
    norm_in: Array | None = None
    norm_out: Array | None = None

    @property
    def inputs(self) -> int:
        """How many inputs."""
        return len(self.kernels[0])

    def with_arrays(self, number: int, kernel: Array | None = None, bias: Array | None = None) -> Legacy:
        """The same with other arrays in one layer; ``number`` counts from 1, as the names do."""
        kernels, biases = list(self.kernels), list(self.biases)
        kernels[number - 1] = kernels[number - 1] if kernel is None else kernel
        biases[number - 1] = biases[number - 1] if bias is None else bias
        return replace(self, kernels=tuple(kernels), biases=tuple(biases))

    def with_activation(self, number: int, name: str) -> Legacy:
        """The same with another activation in one layer."""
        return replace(self, activations=(*self.activations[: number - 1], name, *self.activations[number:]))


def read_legacy(path: Path, activations: Sequence[str] | None = None) -> Legacy:
    """The arrays of an OC-SMART file with units-first kernels."""
    with h5py.File(path) as file:
        groups = {name.lower(): file[name] for name in file}
        kernels, biases = groups["weights"], groups["bias" if "bias" in groups else "biases"]
        count = len(kernels)
        return Legacy(
            tuple(kernels[f"Layer{i + 1}"][()].T.astype(np.float64) for i in range(count)),
            tuple(biases[f"Layer{i + 1}"][()].reshape(-1).astype(np.float64) for i in range(count)),
            tuple(activations or ("tanh",) * (count - 1) + ("linear",)),
            file["Norm_in"][()].astype(np.float64) if "Norm_in" in file else None,
            file["Norm_out"][()].astype(np.float64) if "Norm_out" in file else None,
        )


def forward(norm: Array) -> Affine:
    """Scale and offset of 2 (x - min) / (max - min) - 1."""
    low, high = norm.T
    return 2 / (high - low), -(high + low) / (high - low)


def backward(norm: Array) -> Affine:
    """Scale and offset of (y + 1) / 2 (max - min) + min."""
    low, high = norm.T
    return (high - low) / 2, (high + low) / 2


def rescaling(pair: Affine, dtype: str = "float32", **options: Any) -> Any:
    """A Rescaling layer from ndarrays."""
    import keras

    return keras.layers.Rescaling(pair[0].astype(dtype), pair[1].astype(dtype), dtype=dtype, **options)


def dense_chain(legacy: Legacy, x: Any, *, dtype: str = "float32", **options: Any) -> Any:
    """A Dense with its activation fused for each layer; the weights are set by ``set_weights``."""
    import keras

    for kernel, activation in zip(legacy.kernels, legacy.activations, strict=True):
        x = keras.layers.Dense(kernel.shape[1], activation=activation, dtype=dtype, **options)(x)
    return x


def split_chain(
    legacy: Legacy, x: Any, activate: Callable[[str], Any], between: Callable[[], Any] | None = None
) -> Any:
    """A Dense without activation, then the activation by itself, then whatever comes between two layers."""
    import keras

    for number, (kernel, activation) in enumerate(zip(legacy.kernels, legacy.activations, strict=True), start=1):
        x = activate(activation)(keras.layers.Dense(kernel.shape[1])(x))
        x = between()(x) if between is not None and number < len(legacy.kernels) else x
    return x


def scaled(legacy: Legacy, body: Callable[[Any], Any]) -> Any:
    """Rescaling, the body, Rescaling, with the file's ranges and weights."""
    import keras

    assert legacy.norm_in is not None and legacy.norm_out is not None
    inputs = keras.Input((legacy.inputs,))
    outputs = rescaling(backward(legacy.norm_out))(body(rescaling(forward(legacy.norm_in))(inputs)))
    return set_weights(keras.Model(inputs, outputs), legacy)


def plain_port(legacy: Legacy) -> Any:
    """The port that most people make first: functional, activations fused, scaling as Rescaling layers."""
    return scaled(legacy, lambda x: dense_chain(legacy, x))


def bare_port(legacy: Legacy, dtype: str = "float32") -> Any:
    """The dense layers alone."""
    import keras

    inputs = keras.Input((legacy.inputs,), dtype="float64" if dtype == "float64" else "float32")
    return set_weights(keras.Model(inputs, dense_chain(legacy, inputs, dtype=dtype)), legacy)


def set_weights(model: Any, legacy: Legacy) -> Any:
    """Give every layer with a kernel the arrays of the file, in order, through nested models too."""
    arrays = zip(legacy.kernels, legacy.biases, strict=True)
    for layer, (kernel, bias) in zip(weighted_layers(model), arrays, strict=True):
        shaped = kernel.reshape(layer.weights[0].shape)
        layer.set_weights([shaped, bias] if len(layer.weights) == 2 else [shaped])
    return model


def weighted_layers(model: Any) -> Iterator[Any]:
    """Layers with weights, in order, those of nested models included."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from weighted_layers(layer)
        elif layer.weights:
            yield layer


def named(report: Any) -> set[tuple[str, str]]:
    """(code, layer) of every finding."""
    return {(finding.code, finding.layer) for finding in report.findings}


def rows(report: Any) -> dict[str, str]:
    """Verdict by row name."""
    return {row.layer: row.verdict for row in report.layers}


def assert_parity(report):
    assert report.verdict == "parity", str(report)
    assert report.findings == ()
    assert report.links["build"] == "parity"


def same(x):
    return x


def with_scaling(legacy, before, after):
    import keras

    inputs = keras.Input((legacy.inputs,))
    return set_weights(keras.Model(inputs, after(dense_chain(legacy, before(inputs)))), legacy)


def between(legacy, number, change, **activations):
    """The port with something behind one of its layers; ``change`` takes what the layer takes and what it gives."""
    import keras

    x = inputs = keras.Input((legacy.inputs,))
    x = rescaling(forward(legacy.norm_in))(x)
    layers = zip(legacy.kernels, legacy.activations, strict=True)
    for position, (kernel, own) in enumerate(layers, start=1):
        activation = activations.get(f"layer{position}", own)
        y = keras.layers.Dense(kernel.shape[1], activation=activation, name=f"d{position}")(x)
        x = change(x, y) if position == number else y
    return set_weights(keras.Model(inputs, rescaling(backward(legacy.norm_out))(x)), legacy)
