"""Activations that a file names itself, beside its arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BESIDE = ("activation", "activation_function", "transfer_function", "act")
LISTS = ("activations", "activation_functions")
HIDDEN = ("activation", "hidden_activation", "hidden_activations")
OUTPUT = ("output_activation", "out_activation", "final_activation")


def said(attributes: Mapping[str, Any], names: Sequence[tuple[str, str | None]]) -> list[str | None]:
    """One spelling a layer, None where the file does not say.

    What stands at the kernel goes before what stands at the bias, at the groups around the kernel from the inside out,
    in a list for all layers, and in one word for all hidden ones.

    Args:
        attributes: by ``"object@name"``, and ``"name"`` for those of the file.
        names: of the kernel, and of the bias or None, of each layer in order.
    """
    lower = {name.lower(): value for name, value in attributes.items()}
    result: list[str | None] = []
    for number, (kernel, bias) in enumerate(names):
        places = [kernel] if bias is None else [kernel, bias]
        parts = kernel.split("/")[:-1]
        places += ["/".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
        words = [lower.get(f"{place.lower()}@{name}") for place in places for name in BESIDE]
        words += [_listed(lower.get(name), number, len(names)) for name in LISTS]
        words += [lower.get(name) for name in (OUTPUT if number == len(names) - 1 else HIDDEN)]
        result.append(next((word for word in words if isinstance(word, str)), None))
    return result


def _listed(value: Any, number: int, layers: int) -> str | None:
    """The entry of a list for all layers, or for all but the last."""
    entries = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(entries, list) or len(entries) not in (layers, layers - 1) or number >= len(entries):
        return None
    return str(entries[number])
