"""One call of one Keras operation in a port, evaluated as it was built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from porter.ports.blocks import Kind
from porter.ports.keras.foreign import is_own

Key = int

INACTIVE = {
    "InputLayer",
    "Identity",
    "Dropout",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "ActivityRegularization",
    "Cast",
}
"""Keras classes that hand their input on unchanged at inference."""

ACTIVATIONS = {
    "Activation",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "Softmax",
    "Relu",
    "Relu6",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
    "Silu",
    "LeakyRelu",
    "HardSigmoid",
    "HardTanh",
    "Elu",
    "Selu",
    "Gelu",
    "Exp",
    "Clip",
}
AFFINE = {"Rescaling", "Normalization", "BatchNormalization", "Add", "Subtract", "Multiply", "TrueDivide", "Divide"}


@dataclass(frozen=True)
class PortNode:
    """One call of one Keras operation, with the arguments it was built with.

    Attributes:
        name: the operation's name, with the enclosing models' names before it.
        operation: the Keras layer or operation.
        node: Keras' own record of the call.
        inputs: keys of the tensors it takes.
        outputs: keys of the tensors it gives.
        sources: identity of each symbolic argument to the key of its value.
        training: of the call of the model that it stands in, where that was built with it; None where not.
        follows: in which dtype it computes, where it follows its input and that is another than it was built for.
    """

    name: str
    operation: Any
    node: Any
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]
    sources: Mapping[int, Key]
    training: bool | None = None
    follows: str | None = None

    def compute(self, values: dict[Key, Any]) -> None:
        """Add the values of the outputs to ``values``, which holds those of the inputs."""
        from keras import tree

        arguments, keywords = self.node.arguments.fill_in({s: values[key] for s, key in self.sources.items()})
        if self.training is not None and self._heeds_training:  # Keras lets the outer call win
            keywords = {**keywords, "training": self.training}
        results = tree.flatten(self.operation(*arguments, **keywords))
        values.update(zip(self.outputs, results, strict=True))

    def in_float32(self) -> PortNode:
        """The same call, its layer computing in float32 where it is Keras' own and computes in 16 bits."""
        import keras

        layer = self.operation
        if self.compute_dtype not in ("float16", "bfloat16") or not is_own(layer) or type(layer).__name__ == "Cast":
            return self
        if not isinstance(layer, keras.layers.Layer):
            return replace(self, follows="float32")
        bare = object.__new__(type(layer))
        bare.__dict__.update({**layer.__dict__, "_dtype_policy": keras.DTypePolicy("float32")})
        return replace(self, operation=bare)

    @property
    def casts_to(self) -> str | None:
        """The dtype to which it casts a floating tensor; None where it is anything else."""
        given = self.node.input_tensors
        is_cast = type(self.operation).__name__ == "Cast" and _is_keras(type(self.operation)) and len(given) == 1
        return str(self.operation.dtype) if is_cast and "float" in given[0].dtype else None

    @property
    def autocasts_to(self) -> str | None:
        """The dtype in which a layer takes every floating tensor; None where it takes them as they are."""
        return self.compute_dtype if getattr(self.operation, "autocast", False) else None

    def fed_from(self, sources: Mapping[Key, Key]) -> PortNode:
        """The same call with other tensors in the place of some."""
        if not any(key in sources for key in self.inputs):
            return self
        fed = {symbol: sources.get(key, key) for symbol, key in self.sources.items()}
        return replace(self, sources=fed, inputs=tuple(dict.fromkeys(fed.values())))

    @property
    def kind(self) -> Kind:
        """What the operation is, as far as its class says; pairing does not rest on it alone."""
        import keras

        if not _is_keras(type(self.operation)):
            return "other"
        name = type(self.operation).__name__
        if name == "Dense":
            return "dense"
        if name in INACTIVE:
            return "other" if self.is_training or not is_own(self.operation) else "identity"
        if name == "Activation" and self.operation.activation is keras.activations.linear:
            return "identity"
        if name in ACTIVATIONS:
            return "activation"
        return "affine" if name in AFFINE else "other"

    @property
    def is_training(self) -> bool:
        """Whether the call was built in training mode, or stands in a model that was called so."""
        kind = type(self.operation)
        differs = kind.__name__ in INACTIVE or kind.__name__ == "BatchNormalization" or not _is_keras(kind)
        own = self.node.arguments.kwargs.get("training", False)
        return differs and self._heeds_training and bool(own if self.training is None else self.training)

    @property
    def _heeds_training(self) -> bool:
        return bool(getattr(self.operation, "_call_has_training_arg", False))

    @property
    def compute_dtype(self) -> str:
        """In which dtype the operation computes; an operation without a policy follows its input."""
        own = self.follows if self.follows is not None else getattr(self.operation, "compute_dtype", None)
        return str(self.node.outputs[0].dtype) if own is None else str(own)


def calls_of(model: Any, operation: Any) -> list[Any]:
    """Keras' records of the calls of an operation in a model, in order; it may have been called in others, too."""
    every = list(getattr(operation, "_inbound_nodes", ()))
    functional = getattr(model, "_functional", None) or model
    known = getattr(functional, "_nodes_by_depth", None)
    if known is None:
        return every
    own = {id(node) for nodes in known.values() for node in nodes}
    return [node for node in every if id(node) in own]


def _is_keras(kind: type) -> bool:
    """Whether a class is Keras' own, so that its name says what it does."""
    return kind.__module__.startswith("keras.")
