"""Mistakes of an activation: another one, none, one too many, another parameter or axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.activations import candidates, fitted, replacement
from porter.examination.graphs.suspect import Suspect, Variant
from porter.examination.pasting import quoted, remade
from reference.activations import Activation
from reference.operations.elementwise import Elementwise
from reference.operations.masking import Mask
from reference.operations.prelu import PReLU
from reference.precision import FORMATS, Precision
from reference.rounding.bounds import allowed_error, register
from reference.rounding.functions import activation_error
from reference.trace import LayerTrace

Array = NDArray[Any]

KERAS_NAMES = {"silu", "relu", "tanh", "sigmoid", "elu", "selu", "softmax", "softplus", "softsign", "linear", "gelu",
               "exponential", "mish", "relu6", "leaky_relu"}  # fmt: skip
POINTS = 2000


@dataclass(frozen=True)
class Followed:
    """A step whose outputs go through an activation that the file does not have."""

    name: str
    inputs: tuple[str, ...]
    inner: Any
    activation: Activation

    def __call__(self, *inputs: Array) -> LayerTrace:
        """What the step takes to the activation of what it gives."""
        z = self.inner(*inputs).outputs
        return LayerTrace(self.name, self.activation(z), z)


def _followed(
    step: Followed, inputs: tuple[Array, ...], trace: LayerTrace, precision: Precision, input_error: Any
) -> Array:
    """The activation's bound on inputs that are as far off as the inner step's bound allows."""
    inner = step.inner(*inputs)
    error = allowed_error(step.inner, inputs, inner, precision, input_error=input_error)
    own = FORMATS[np.dtype(getattr(step.inner, "dtype", np.float64)).name]
    z, a = np.asarray(inner.outputs, np.float64), np.asarray(trace.outputs, np.float64)
    return activation_error(step.activation, z, a, error, precision.format, own)


register(Followed, _followed)


def activations(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Every other activation of a layer that has one, those whose parameter the port's own curve shows included."""
    own = getattr(step, "activation", None)
    if not isinstance(own, Activation) or hasattr(step, "recurrent"):
        return
    for other in _others(own, _rank(suspect)):
        yield _replaced(suspect, step, own, other)
    for other in fitted(*_curve(suspect, replace(step, activation=Activation("linear"))), own):
        yield _replaced(suspect, step, own, other)


def slopes(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """A function with one slope, or none, where the file has learned slopes."""
    if not isinstance(step, PReLU):
        return
    plain = Elementwise(step.name, step.inputs, Activation("linear"), step.dtype)
    for other in (*candidates(Activation("linear")), *fitted(*_curve(suspect, plain))):
        message = f"the activation is {other} for the learned slopes"
        remedy = f"keras.layers.PReLU in its place, with the slopes of {suspect.name}"
        yield Variant("activation.replaced", message, remedy, replace(plain, activation=other))
    yield Variant("activation.missing", "the learned slopes are left out", "", plain)


def followers(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """An activation behind, or in front of, a layer that has none."""
    if isinstance(getattr(step, "activation", None), Activation) or hasattr(step, "cell") or hasattr(step, "forward"):
        return
    if isinstance(step, Mask):  # gives no numbers
        return
    for other in candidates(Activation("linear")):
        message = f"{other} is applied behind it; the file has nothing there"
        remedy = f"take {other} out behind {suspect.name}"
        yield Variant("activation.added", message, remedy, Followed(step.name, step.inputs, step, other))


def _others(own: Activation, rank: int) -> Iterator[Activation]:
    yield from candidates(own)
    axis = own.parameters.get("axis", -1)
    for other in range(1, rank):
        if own.name == "softmax" and other not in (axis, rank + axis if isinstance(axis, int) else axis):
            yield Activation("softmax", {"axis": other})


def _rank(suspect: Suspect) -> int:
    return len(suspect.shapes.get(suspect.name, ())) + 1


def _replaced(suspect: Suspect, step: Any, own: Activation, other: Activation) -> Variant:
    code, message = replacement(own, other)
    return Variant(code, message, remedy_of(suspect, "activation", own), replace(step, activation=other))


def remedy_of(suspect: Suspect, argument: str, own: Activation) -> str:
    """A line of Keras that gives the layer its activation, or where to take it from."""
    if own.name in KERAS_NAMES and not own.parameters:
        return suspect.configure(**{argument: own.name})
    layer = f"porter.build(network).get_layer({quoted(suspect.name.split('#')[0].split('@')[0])})"
    return remade(suspect.layer, {argument: f"{layer}.{argument}"})


def _curve(suspect: Suspect, plain: Any) -> tuple[Array, Array]:
    """Points (what goes in, what comes out) of the port's own activation, both (points,)."""
    z, a = [np.zeros(0)], [np.zeros(0)]
    for part in suspect.seen:
        try:
            before = plain(*(part.fed[name] for name in plain.inputs)).outputs
        except (KeyError, ValueError, IndexError):
            continue
        if before.shape == part.actual.shape:
            z.append(np.asarray(before, np.float64).ravel())
            a.append(part.actual.ravel())
    z_all, a_all = np.concatenate(z), np.concatenate(a)
    few = np.unique(np.linspace(0, len(z_all) - 1, POINTS).astype(int)) if len(z_all) > POINTS else slice(None)
    z_few, a_few = z_all[few], a_all[few]
    order = np.argsort(z_few)
    return z_few[order], a_few[order]
