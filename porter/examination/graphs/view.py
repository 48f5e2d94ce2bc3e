"""What a port shows of itself around one tensor: its variables, what it is made of, and its mode."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from porter.errors import PortError
from porter.examination.graphs.slots import slots
from porter.ports.keras.nodes import calls_of
from porter.ports.keras.state import preserved

STEADY = ("CenterCrop", "Resizing")
"""Layers of Keras that take a mode, say that they train unless they are told otherwise, and do the same in both."""


def variables_of(step: Any, operations: Sequence[Any]) -> dict[tuple[str, ...], Any]:
    """The variables that stand for the arrays of a step, by their place in it.

    Args:
        step: of the legacy program.
        operations: the port's layers that compute it.
    """
    waiting: dict[str, list[Any]] = {}
    for operation in operations:
        for variable in getattr(operation, "weights", ()):
            waiting.setdefault(variable.name, []).append(variable)
    found = {}
    for slot in slots(step):
        if waiting.get(slot.variable):
            found[slot.path] = waiting[slot.variable].pop(0)
    return found


def walk_back(tensor: Any, known: Mapping[int, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a tensor is computed from.

    Args:
        tensor: of the port.
        known: names of the tensors of other steps and of the inputs, by identity.

    Returns:
        The names of the nearest of them, in the order of the arguments; names of operations on the way that were
        called in training mode.
    """
    sources: list[str] = []
    trained: list[str] = []
    _walk(tensor, known, sources, trained)
    return tuple(sources), tuple(dict.fromkeys(trained))


def _walk(tensor: Any, known: Mapping[int, str], sources: list[str], trained: list[str]) -> None:
    history = tensor._keras_history
    nodes = getattr(history.operation, "_inbound_nodes", [])
    if history.node_index >= len(nodes) or not nodes[history.node_index].input_tensors:
        return
    node = nodes[history.node_index]
    if is_trained(node, history.operation):
        trained.append(history.operation.name)
    for each in node.input_tensors:
        if id(each) in known:
            sources.append(known[id(each)])
        else:
            _walk(each, known, sources, trained)


def operations_of(model: Any) -> list[Any]:
    """The layers and operations of a model, of a Sequential too."""
    return list(getattr(model, "operations", model.layers))


def trains(model: Any) -> bool:
    """Whether any call in it was built in training mode."""
    return any(is_trained(node, operation) for operation in operations_of(model) for node in calls_of(model, operation))


def is_trained(node: Any, operation: Any) -> bool:
    """Whether a call was built in training mode, and that makes a difference."""
    heeds = getattr(operation, "_call_has_training_arg", False) and type(operation).__name__ not in STEADY
    return bool(heeds and node.arguments.kwargs.get("training"))


@contextmanager
def unchanged(model: Any) -> Iterator[None]:
    """Put every variable back as it was: batch normalization in training mode would move its statistics."""
    with preserved(model) if trains(model) else nullcontext():
        yield


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Refuse a port that breaks down.

    Raises:
        PortError: with whatever its own layers and the backend raise.
    """
    try:
        with warnings.catch_warnings():  # what a layer thinks of probes is no news to the port's owner
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        told = next((line for line in str(error).splitlines() if line.strip()), "")
        raise PortError(
            f"the port {model.name} cannot be evaluated", found=f"{type(error).__name__}: {told[:200]}",
            expected="a model that takes its own inputs", remedy="call it on a few rows of zeros",
        ) from error  # fmt: skip
