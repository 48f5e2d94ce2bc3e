"""Which layers of a model stay as they are, by name, and whether they did."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError, UsageError

Array = NDArray[Any]
Freeze = str | Sequence[str] | None

UNTIL = "until:"
FIXED = ("Rescaling", "Normalization")
"""Layers that bring numbers to other units: they are measured once, and never learned."""
TABLES = re.compile(r"(logistic_)?table(_\d+)?")
"""The tables that the ports of some families look their activation up in; no activation is learned."""


def layers_of(model: Any) -> dict[str, Any]:
    """Every layer by its name, with the enclosing models' names before it, in the order of computation."""
    from porter.ports.keras.graph import read_graph

    try:
        nodes = read_graph(model).nodes
        pairs: Iterator[tuple[str, Any]] = ((node.name, node.operation) for node in nodes)
    except PortError:  # a subclassed model shows its layers, if not their order
        pairs = _walk(model, "")
    found: dict[str, Any] = {}
    for name, layer in pairs:
        if hasattr(layer, "trainable") and not any(layer is other for other in found.values()):
            found[name] = layer
    return found


def _walk(model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for layer in model.layers:
        if getattr(layer, "layers", None):
            yield from _walk(layer, f"{prefix}{layer.name}/")
        else:
            yield prefix + layer.name, layer


def freeze(model: Any, chosen: Freeze) -> tuple[str, ...]:
    """Set what learns and what stays.

    Args:
        model: keras.Model; its layers' ``trainable`` is set.
        chosen: None to leave it as it is; names of layers, of models within, or "until:NAME" for all up to that one;
            everything else learns, but for scaling and tables, which never do.

    Returns:
        Names of the layers with weights that stay.

    Raises:
        UsageError: no such layer, or nothing that is left to learn.
    """
    layers = layers_of(model)
    if chosen is not None:
        names = chosen_names(layers, chosen)
        _release(model)
        for name, layer in layers.items():
            layer.trainable = name not in names
    for name, layer in layers.items():
        is_table = type(layer).__name__ == "Embedding" and TABLES.fullmatch(name.split("/")[-1])
        if type(layer).__name__ in FIXED or is_table:
            layer.trainable = False
    if not model.trainable_weights:
        raise UsageError(
            "freeze", found="every layer with weights", expected="at least one that learns",
            remedy=f"freeze fewer of {', '.join(name for name, layer in layers.items() if layer.weights)}",
        )  # fmt: skip
    return frozen_layers(model)


def _release(model: Any) -> None:
    """Let the models within learn: a frozen one would keep all its layers from it."""
    model.trainable = True


def chosen_names(layers: dict[str, Any], chosen: str | Sequence[str]) -> set[str]:
    """The names that are meant.

    Raises:
        UsageError: no such layer.
    """
    parts = [part.strip() for part in chosen.split(",")] if isinstance(chosen, str) else list(chosen)
    order, found = list(layers), set()
    for part in (part for part in parts if part not in ("", "none")):
        name = part.removeprefix(UNTIL)
        meant = [each for each in order if each == name or each.startswith(f"{name}/")]
        if not meant:
            raise UsageError("freeze", found=f"no layer {name!r}", expected=f"one of {_some(order)}")
        found |= set(order[: order.index(meant[-1]) + 1]) if part.startswith(UNTIL) else set(meant)
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 20 else [*names[:19], f"... ({len(names)} in all)"])


def frozen_layers(model: Any) -> tuple[str, ...]:
    """Names of the layers whose weights are all kept from learning."""
    learning = {id(variable) for variable in model.trainable_variables}
    return tuple(
        name
        for name, layer in layers_of(model).items()
        if layer.weights and not any(id(variable) in learning for variable in layer.weights)
    )


def weights_of(layer: Any) -> list[Array]:
    """The layer's weights as they are now, copies."""
    from keras import ops

    return [np.array(ops.convert_to_numpy(weight), copy=True) for weight in layer.weights]


def snapshot(model: Any) -> dict[str, list[Array]]:
    """Name of each layer with weights to copies of them."""
    return {name: weights_of(layer) for name, layer in layers_of(model).items() if layer.weights}


def moved(before: dict[str, list[Array]], model: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the layers in which at least one bit is another than before."""
    now = snapshot(model)
    return tuple(name for name in names if not _same(before[name], now[name]))


def _same(before: list[Array], after: list[Array]) -> bool:
    from porter.jobs.job import same_bits

    return len(before) == len(after) and all(map(same_bits, before, after))
