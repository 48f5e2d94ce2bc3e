"""Tensors as an architecture refers to them: a layer, the number of its call, the number of its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from porter.formats.keras_legacy.entries import Entry
from porter.formats.keras_legacy.errors import ConfigError, UnknownModeError

Take = tuple[str, int, int]
"""A layer, the number of its call, the number of its output."""


def taken(node: Any, where: str) -> list[Take]:
    """The references of one call, whose further arguments must say nothing.

    Raises:
        UnknownModeError: they say something, or are written as Keras 3 does.
        ConfigError: no references.
    """
    if isinstance(node, Mapping):
        raise UnknownModeError(f"{where}: its calls are written as Keras 3 does")
    for one in [node] if node and isinstance(node[0], str) else node:
        for key, value in one[3].items() if len(one) > 3 else ():
            silent = value is None or value == [] or (isinstance(value, list) and set(map(str, value)) == {"None"})
            if not silent and (key, value) != ("training", False):
                raise UnknownModeError(f"{where} is called with {key}=", found=repr(value)[:80], expected="nothing")
    return tensors(node, where)


def tensors(value: Any, where: str) -> list[Take]:
    """[[layer, call, tensor], ...], or one of them alone.

    Raises:
        ConfigError: something else.
    """
    listed = [value] if isinstance(value, list) and value and isinstance(value[0], str) else value
    ok = isinstance(listed, list) and all(
        isinstance(one, list) and len(one) >= 3 and isinstance(one[0], str)
        and isinstance(one[1], int) and isinstance(one[2], int) for one in listed
    )  # fmt: skip
    if not ok:
        raise ConfigError(f"{where}: tensors", found=repr(value)[:120], expected="[[layer, 0, 0], ...]")
    return [(one[0], one[1], one[2]) for one in listed]


def numbered(
    entries: Sequence[Entry], takes: Mapping[str, Sequence[list[Take]]], ends: Sequence[Take]
) -> dict[tuple[str, int], tuple[Entry, list[Take]]]:
    """Calls by layer and number, with what each takes.

    From Keras 2 on a nested model's call 0 is its own construction, and its first call in the graph has number 1.

    Args:
        entries: the layers.
        takes: what each call of a layer takes, by the layer's name.
        ends: the outputs of the model.
    """
    meant = [*ends, *(take for nodes in takes.values() for node in nodes for take in node)]
    found = {}
    for entry in entries:
        numbers = {at for name, at, _ in meant if name == entry.name}
        first = 1 if entry.is_model and numbers and 0 not in numbers else 0
        for at, node in enumerate(takes[entry.name], start=first):
            found[entry.name, at] = (entry, node)
    return found
