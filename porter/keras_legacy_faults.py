"""What is wrong with a step of a port: each known mistake tried on the reference, until the port is reproduced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reference.activations import Activation
from reference.normalization import BatchNormalization
from reference.recurrent import Bidirectional, GRUCell, Recurrent


@dataclass(frozen=True)
class Cause:
    """A mistake, and what to do about it."""

    code: str
    message: str
    remedy: str


UNEXPLAINED = Cause("unexplained", "it computes something else", "compare its arguments and weights with the file's")


def explain(judged: Any) -> Cause:
    """The first mistake that reproduces the port within its bound."""
    trial = getattr(judged, "trial", None)
    if trial is not None:
        for cause, step in mistakes(judged.step):
            if trial(step):
                return cause
    if judged.weights_differ:
        return Cause("kernel.values", "its weights are not the stored ones", "set the layer's weights again")
    return UNEXPLAINED


def mistakes(step: Any) -> Iterator[tuple[Cause, Any]]:
    """The step as each known mistake would have made it."""
    if isinstance(step, Bidirectional):
        for (cause, ahead), (_, back) in zip(mistakes(step.forward), mistakes(step.backward), strict=True):
            yield cause, replace(step, forward=ahead, backward=back)
        return
    if isinstance(step, Recurrent):
        for cause, cell in _cell_mistakes(step.cell):
            yield cause, replace(step, cell=cell)
        return
    yield from _activation_mistakes(step, "activation", "activation.replaced")
    kernel = getattr(step, "kernel", None)
    if isinstance(kernel, np.ndarray) and kernel.ndim > 2:
        flipped = np.flip(kernel, axis=tuple(range(kernel.ndim - 2)))
        yield (
            Cause("kernel.flipped", "its kernel is turned round", "kernel = kernel[::-1, ::-1]"),
            replace(step, kernel=flipped),
        )
    if getattr(step, "bias", None) is not None:
        yield Cause("bias.missing", "it has no bias", "use_bias=True, and set it"), replace(step, bias=None)
    if getattr(step, "padding", None) in ("same", "half"):
        other = "half" if step.padding == "same" else "same"
        yield (
            Cause("padding", "its edges are padded as another backend pads them", "pad before it"),
            replace(step, padding=other),
        )
    if isinstance(step, BatchNormalization):
        for epsilon in (1e-3, 1e-5, 1e-6, 1e-4, 1e-2):
            if epsilon != step.epsilon:
                yield (
                    Cause("batch_norm.epsilon", f"its epsilon is {epsilon:g}", f"epsilon={step.epsilon:g}"),
                    replace(step, epsilon=epsilon),
                )


def _activation_mistakes(step: Any, field: str, code: str) -> Iterator[tuple[Cause, Any]]:
    activation = getattr(step, field, None)
    if not isinstance(activation, Activation):
        return
    for name in (
        "hard_sigmoid",
        "hard_sigmoid_keras2",
        "sigmoid",
        "tanh",
        "relu",
        "linear",
        "elu",
        "softplus",
        "softmax",
    ):
        if name != activation.name:
            told = f"its {field} is {name}, where the legacy layer's is {activation}"
            yield (
                Cause(code, told, f"{field} as the legacy layer has it: {activation}"),
                replace(step, **{field: Activation(name)}),
            )


def _cell_mistakes(cell: Any) -> Iterator[tuple[Cause, Any]]:
    yield from _activation_mistakes(cell, "recurrent_activation", "recurrent.activation")
    yield from _activation_mistakes(cell, "activation", "recurrent.activation")
    if isinstance(cell, GRUCell):
        bias = cell.bias
        if cell.reset_after and bias is not None:
            bias = np.concatenate([bias[:1], np.zeros_like(bias[:1])])
        yield (
            Cause("recurrent.reset_after", "its reset gate acts elsewhere", f"reset_after={cell.reset_after}"),
            replace(cell, reset_after=not cell.reset_after, bias=bias),
        )
    gates = {4: (0, 2, 1, 3), 3: (1, 0, 2)}.get(_gate_count(cell))
    if gates is not None:
        yield (
            Cause(
                "recurrent.gates", "its gates are in another order", "order the columns as the legacy layer has them"
            ),
            _ordered(cell, gates),
        )


def _gate_count(cell: Any) -> int:
    return int(cell.recurrent.shape[-1] // cell.recurrent.shape[-2])


def _ordered(cell: Any, order: tuple[int, ...]) -> Any:
    def turned(array: Any) -> Any:
        parts = np.split(array, len(order), axis=-1)
        return np.concatenate([parts[gate] for gate in order], axis=-1)

    bias = None if cell.bias is None else turned(cell.bias)
    return replace(cell, kernel=turned(cell.kernel), recurrent=turned(cell.recurrent), bias=bias)
