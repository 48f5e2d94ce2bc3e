"""One call of a layer in a legacy Keras file, with all that decides what it computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from reference.activations import Activation
from reference.programs.keras_weights import use_bias

Array = NDArray[Any]
Config = Mapping[str, Any]


class UnsupportedError(ValueError):
    """A layer, a mode or a call that this program does not follow."""


@dataclass(frozen=True)
class Era:
    """Who saved the file.

    Attributes:
        version: of Keras, as numbers.
        backend: "tensorflow", "theano" or "cntk"; None where it is unknown.
        drops_masks: whether a layer that knows no masks lets them end (tf.keras), or is an error (Keras 1 and 2).
        centred_resize: whether bilinear upsampling took pixel centres (TensorFlow from 1.15 on); None where unknown.
    """

    version: tuple[int, ...]
    backend: str | None
    centred_resize: bool | None = None
    drops_masks: bool = False

    @property
    def flips(self) -> bool:
        """Whether kernels are meant for true convolution, as Theano's are.

        Raises:
            UnsupportedError: the backend is not known.
        """
        if self.backend is None:
            raise UnsupportedError("the backend decides what this layer computes, and it is not known")
        return self.backend == "theano"


@dataclass(frozen=True)
class Call:
    """One call of one layer.

    Attributes:
        name: of the step.
        inputs: names of the steps it takes.
        masks: names of the mask steps of those inputs, or None.
        config: the layer's configuration, as stored.
        weights: its arrays, in the order stored.
        era: who saved the file.
        dtype: in which the arithmetic is done.
        arguments: what it is called with, where its class takes more than tensors.
    """

    name: str
    inputs: tuple[str, ...]
    masks: tuple[str | None, ...]
    config: Config
    weights: tuple[Array, ...]
    era: Era
    dtype: Any
    arguments: Any = None

    def get(self, *keys: str, default: Any = None) -> Any:
        """The first of these keys that the configuration has."""
        for key in keys:
            if key in self.config:
                return self.config[key]
        return default

    @property
    def channels_first(self) -> bool:
        """Whether the layer's arrays have the channels before space."""
        return self.get("data_format", "dim_ordering") in ("channels_first", "th")

    @property
    def bias(self) -> Array | None:
        """The last array, where the layer has a bias."""
        return self.weights[-1] if use_bias(self.config) else None


ACTIVATIONS = {
    "hard_sigmoid": "hard_sigmoid_keras2",
    "swish": "silu",
    **{name: name for name in (
        "linear", "tanh", "relu", "sigmoid", "softmax", "softplus", "softsign", "elu", "selu", "exponential", "gelu",
        "silu", "mish", "relu6", "leaky_relu",
    )},
}  # fmt: skip


def activation_named(value: Any) -> Activation:
    """The activation that a configuration names, as Keras 1 and 2 meant it; or the layer that stands for one.

    Raises:
        UnsupportedError: a name that neither of them knew.
    """
    if value is None:
        return Activation("linear")
    if isinstance(value, Mapping):
        return _activation_object(value)
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise UnsupportedError(f"activation {value!r}")
    return Activation(ACTIVATIONS[value])


def _activation_object(value: Mapping[str, Any]) -> Activation:
    """A layer given as the activation of another. Source: tf.keras 2.15, activations.get."""
    kind, config = value.get("class_name"), value.get("config")
    if kind == "function":
        return activation_named(config)
    config = config if isinstance(config, Mapping) else {}
    if kind == "LeakyReLU":
        return Activation("leaky_relu", {"negative_slope": float(config.get("alpha", 0.3))})
    if kind == "ELU":
        return Activation("elu", {"alpha": float(config.get("alpha", 1.0))})
    if kind == "ThresholdedReLU":
        return Activation("thresholded_relu", {"theta": float(config.get("theta", 1.0))})
    if kind == "Softmax" and config.get("axis", -1) == -1:
        return Activation("softmax")
    if kind != "ReLU":
        raise UnsupportedError(f"activation {kind!r}")
    given = {key: config.get(key) for key in ("max_value", "negative_slope", "threshold")}
    return Activation("relu", {key: float(number) for key, number in given.items() if number})
