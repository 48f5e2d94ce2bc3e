"""A port's variables, kept as they are: to judge a port must not train it, nor move its state on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Snapshot:
    """Every variable of a Keras model, as it was at one moment: (variable, copy of its array)."""

    kept: tuple[tuple[Any, Array], ...]

    @property
    def moved(self) -> tuple[str, ...]:
        """Paths of the variables that hold other bits now."""
        return tuple(str(getattr(each, "path", getattr(each, "name", ""))) for each in self.changed)

    @property
    def changed(self) -> tuple[Any, ...]:
        """The variables that hold other bits now."""
        return tuple(variable for variable, before in self.kept if not _same_bits(_array(variable), before))

    def restore(self) -> None:
        """Put back every variable that has moved."""
        for variable, before in self.kept:
            if not _same_bits(_array(variable), before):
                variable.assign(before)


def take_snapshot(model: Any) -> Snapshot:
    """Of a Keras model's variables, trainable or not, its seeds' among them, and of what Keras does not list."""
    found = {id(variable): variable for variable in (*getattr(model, "variables", ()), *_unlisted(model))}
    return Snapshot(tuple((variable, _array(variable).copy()) for variable in found.values()))


def _unlisted(model: Any) -> Iterator[Any]:
    """Variables that a layer merely holds: the states of a recurrent one, a counter of the user's own."""
    for layer in model._flatten_layers() if hasattr(model, "_flatten_layers") else ():
        for value in vars(layer).values():
            yield from _held_in(value)


def _held_in(value: Any) -> Iterator[Any]:
    """Itself, or what lies in a list or a dictionary."""
    if value is None or isinstance(value, str | int | float):
        return
    if all(hasattr(value, name) for name in ("assign", "shape", "dtype")):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _held_in(each)


@contextmanager
def preserved(model: Any) -> Iterator[Snapshot]:
    """Put every variable of a Keras model back to what it was, whatever the calls in between did to it.

    Batch normalization built in training mode moves its statistics with every call, a stateful layer its state, a seed
    its counter.
    """
    snapshot = take_snapshot(model)
    try:
        yield snapshot
    finally:
        snapshot.restore()


def _array(variable: Any) -> Array:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(variable))


def _same_bits(one: Array, other: Array) -> bool:
    """A NaN equals itself, and 0 is not -0."""
    return np.array_equal(_bytes(one), _bytes(other))


def _bytes(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
