"""Mistakes made in one part of a step of any class: its arrays, its functions, its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.activations import candidates, replacement
from reference.activations import Activation

Array = NDArray[Any]
Mistake = tuple[str, str, Any]

MOST_GATES = 4
PADDINGS = ("valid", "same", "half", "causal", "full")
FLAGS = {
    "reverse": ("recurrent.direction", "the sequence is read from its other end"),
    "reset_after": ("recurrent.reset_after", "the reset gate is applied on the other side of the product"),
}


def mutations(step: Any) -> Iterator[Mistake]:
    """(code, message, step) of every mistake that is tried; none of a step that is no dataclass."""
    if not is_dataclass(step):
        return
    for each in fields(step):
        value = getattr(step, each.name)
        for code, message, other in _of_value(each.name, value):
            yield code, message, replace(step, **{each.name: other})  # type: ignore[type-var]


def _of_value(name: str, value: Any) -> Iterator[Mistake]:
    if name in FLAGS and isinstance(value, bool):
        yield *FLAGS[name], not value
    elif name == "padding" and isinstance(value, str):
        yield from (("padding", f"the padding is {other} for {value}", other) for other in PADDINGS if other != value)
    elif isinstance(value, Activation):
        for activation in candidates(value):
            code, message = replacement(value, activation)
            yield ("recurrent.activation" if name.startswith("recurrent") else code), message, activation
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
        yield from _of_array(name, value)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _of_cell(value)
        for each in fields(value):
            for code, message, other in _of_value(each.name, getattr(value, each.name)):
                yield code, message, replace(value, **{each.name: other})


def _of_cell(cell: Any) -> Iterator[Mistake]:
    """The gates of all arrays in another order, and the two kernels exchanged."""
    kernel, recurrent = getattr(cell, "kernel", None), getattr(cell, "recurrent", None)
    if not isinstance(kernel, np.ndarray) or not isinstance(recurrent, np.ndarray) or recurrent.ndim != 2:
        return
    if kernel.shape == recurrent.shape:
        message = "the kernel and the recurrent kernel are exchanged"
        yield "recurrent.swapped", message, replace(cell, kernel=recurrent, recurrent=kernel)
    gates = recurrent.shape[1] // recurrent.shape[0]
    bias = cell.bias
    for order in permutations(range(gates)) if 1 < gates <= MOST_GATES else ():
        if order == tuple(range(gates)):
            continue
        moved = {name: None if each is None else _reordered(each, order)
                 for name, each in (("kernel", kernel), ("recurrent", recurrent), ("bias", bias))}  # fmt: skip
        yield "recurrent.gates", f"the gates stand in the order {order}", replace(cell, **moved)


def _reordered(array: Array, order: Sequence[int]) -> Array:
    parts = np.split(array, len(order), axis=-1)
    return np.concatenate([parts[at] for at in order], axis=-1)


def _of_array(name: str, array: Array) -> Iterator[Mistake]:
    what = name.replace("_", " ")
    if array.ndim == 1 or "bias" in name:
        if array.any():
            yield "bias.missing" if "bias" in name else "unexplained", f"the {what} is left out", np.zeros_like(array)
            yield "bias.negated" if "bias" in name else "unexplained", f"the {what} has the opposite sign", -array
            yield "bias.values" if "bias" in name else "unexplained", f"the {what} stands in reverse order", array[::-1]
        return
    axes = tuple(range(array.ndim))
    for order in permutations(axes):
        other = np.transpose(array, order)
        if order != axes and other.shape == array.shape and not np.array_equal(other, array):
            is_plain = array.ndim == 2
            message = (
                f"the {what} stands transposed" if is_plain else f"the axes of the {what} stand in the order {order}"
            )
            yield "kernel.transposed" if is_plain else "kernel.axes", message, other
    for axis in axes[:-2]:
        yield "kernel.flipped", f"the {what} is flipped along axis {axis}", np.flip(array, axis)
    for gates in (4, 3):
        if array.ndim == 2 and array.shape[1] % gates == 0:
            yield from _gates(what, array, gates)


def _gates(what: str, array: Array, gates: int) -> Iterator[Mistake]:
    for order in permutations(range(gates)):
        if order != tuple(range(gates)):
            yield "recurrent.gates", f"the gates of the {what} stand in the order {order}", _reordered(array, order)
