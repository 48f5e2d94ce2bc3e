"""A layer as its file configures it, and what its arguments mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from porter.formats.keras_legacy.errors import BackendQuestionError, UnknownModeError, WeightsError
from porter.formats.keras_legacy.fields import Fields
from porter.formats.keras_legacy.roles import Stored, roles_of
from porter.network.graph import Era

Array = NDArray[Any]


Translation = tuple[str, dict[str, Any], dict[str, Array]]


ACTIVATIONS = {
    "hard_sigmoid": "hard_sigmoid_keras2", "swish": "silu", "linear": "linear", "tanh": "tanh", "relu": "relu",
    "sigmoid": "sigmoid", "softmax": "softmax", "softplus": "softplus", "softsign": "softsign", "elu": "elu",
    "selu": "selu", "exponential": "exponential", "gelu": "gelu", "silu": "silu", "mish": "mish", "relu6": "relu6",
    "leaky_relu": "leaky_relu",
}  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """One layer to be translated.

    Attributes:
        path: of names, in the model.
        kind: legacy class.
        fields: its configuration.
        stored: its arrays, or None for an architecture alone.
        era: who saved it.
    """

    path: str
    kind: str
    fields: Fields
    stored: Stored | None
    era: Era

    @property
    def channels_first(self) -> bool:
        """Whether its arrays have the channels before space."""
        known = ("channels_last", "channels_first", "tf", "th", None, "default")
        layout = self.fields.choice("data_format", "dim_ordering", options=known, default=None)
        if layout == "default":
            raise UnknownModeError(f"{self.fields.where}: dim_ordering 'default' depends on the machine that ran it")
        return layout in ("channels_first", "th")

    @property
    def is_theano(self) -> bool:
        """Whether Theano ran it.

        Raises:
            BackendQuestionError: nothing says so or otherwise.
        """
        if self.era.backend is None:
            raise BackendQuestionError(
                f"{self.fields.where}: what this {self.kind} computes depends on the backend that trained it",
                found="Keras 1 stores no backend, and no weight name ends in ':0' as TensorFlow's do",
                expected="--backend theano or --backend tensorflow (backend=)",
                remedy="ask where the model comes from: its kernels do not show which way round they are meant",
            )
        return self.era.backend == "theano"

    @property
    def activation(self) -> str:
        """Its activation, under the reference's names."""
        return activation_of(self.fields, "activation", default="linear")

    @property
    def with_bias(self) -> bool:
        """Whether it has a bias."""
        return self.fields.flag("use_bias", "bias", default=True)

    def arrays(self) -> dict[str, Array]:
        """Its stored arrays by role."""
        return {} if self.stored is None else self.stored.take(roles_of(self.kind, self.fields))

    def learned(self) -> dict[str, Array]:
        """Kernel and bias under Keras 3 names, whatever the version called them."""
        renamed = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}
        return {renamed.get(role, role): array for role, array in self.arrays().items()}

    def check(self, role: str, array: Array, shape: tuple[int | None, ...]) -> Array:
        """An array whose shape is known as far as ``shape`` says.

        Raises:
            WeightsError: it is another.
        """
        fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if not fits:
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise WeightsError(
                f"{self.fields.where}: the array of {role!r}",
                found=f"shape {array.shape}",
                expected=f"({wanted})",
                remedy="the file is damaged, or its weights are those of another model",
            )
        return array


def activation_of(fields: Fields, *keys: str, default: str) -> str:
    """An activation by name, with its parameters in brackets where a layer stands for it; null is none.

    Raises:
        UnknownModeError: a name that neither Keras 1 nor Keras 2 had, or another object.
    """
    value = fields.get(*keys, default=default)
    if value is None:
        return "linear"
    if isinstance(value, Mapping) and value.get("class_name") in OBJECTS:
        inner = value.get("config")
        return OBJECTS[value["class_name"]](Fields(fields.where, inner if isinstance(inner, Mapping) else {}))
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        value = value.get("config")  # as the format of Keras 2.12 on writes functions of Keras' own
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise UnknownModeError(
            f"{fields.where}: {keys[0]}", found=repr(value), expected=f"one of {', '.join(ACTIVATIONS)}",
            remedy="a function of the user's own cannot be read; set it aside with --replace LAYER=module:function",
        )  # fmt: skip
    return ACTIVATIONS[value]


def _relu_object(fields: Fields) -> str:
    top = fields.get("max_value", default=None)
    given = {key: fields.get(key, default=0) or 0 for key in ("negative_slope", "threshold")}
    parts = [f"{key}={fields.number(key)}" for key, value in given.items() if value]
    parts += [] if top is None else [f"max_value={fields.number('max_value')}"]
    return f"relu({', '.join(parts)})" if parts else "relu"


def _softmax_object(fields: Fields) -> str:
    axis = fields.get("axis", default=-1)
    if axis != -1:
        raise UnknownModeError(f"{fields.where}: a Softmax over axis {axis!r} as activation", expected="the last axis")
    return "softmax"


OBJECTS: Mapping[str, Callable[[Fields], str]] = {
    "LeakyReLU": lambda fields: f"leaky_relu(negative_slope={fields.number('alpha', 'negative_slope', default=0.3)})",
    "ELU": lambda fields: f"elu(alpha={fields.number('alpha', default=1.0)})",
    "ThresholdedReLU": lambda fields: f"thresholded_relu(theta={fields.number('theta', default=1.0)})",
    "ReLU": _relu_object,
    "Softmax": _softmax_object,
}
"""Layers that stand for an activation of another layer, as the reference spells them."""


def check_bias(spec: Spec, weights: Mapping[str, Array], *shape: int) -> None:
    """Refuse a bias of another shape."""
    if "bias" in weights:
        spec.check("bias", weights["bias"], shape)


def simple(operation: str, **keys: Any) -> Callable[[Spec], Translation]:
    """A layer without weights whose arguments are taken over: Keras 3 name to a function of its fields."""

    def translate(spec: Spec) -> Translation:
        return operation, {name: take(spec) for name, take in keys.items()}, spec.arrays()

    return translate


def whole_number(key: str, *more: str, default: Any = None) -> Callable[[Spec], int]:
    """What reads a whole number of the configuration, by one of its names."""
    return lambda spec: spec.fields.whole(key, *more, **({} if default is None else {"default": default}))
