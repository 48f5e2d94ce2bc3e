"""Back into a legacy Keras file: the arrays of a network that was tuned since, in the layout of the era."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.exports.keras_chain import is_saved, variables_of
from porter.exports.like import as_kept, misfit
from porter.network.graph import KerasLayer, KerasNetwork

Array = NDArray[Any]
Layers = Mapping[str, Sequence[Array]]


@singledispatch
def arrays_of(source: Any) -> Layers:
    """The arrays of every layer of a network, or of a model that Keras 3 saved, by the layer's name in Keras' order.

    Raises:
        UnbuildableError: something else.
    """
    if isinstance(source, str | Path) and is_saved(Path(source)):
        return variables_of(Path(source))
    raise UnbuildableError(
        "what is to be written back into a Keras file", found=f"{source}",
        expected="a .keras file, or a legacy Keras file or network",
        remedy="save the model: model.save('tuned.keras')",
    )  # fmt: skip


@arrays_of.register(KerasNetwork)
def _(source: KerasNetwork) -> Layers:
    return {name: list(layer.weights.values()) for name, layer in _counted(source)}


def graph_changes(arrays: Layers, legacy: KerasNetwork) -> dict[str, Array]:
    """The arrays that differ from the stored ones, by stored name, as they are stored.

    Args:
        arrays: by layer name.
        legacy: as read.

    Raises:
        UnbuildableError: the first layer that does not fit, or whose arrays are not used as they are stored.
    """
    found: dict[str, Array] = {}
    taken: set[str] = set()
    for key, layer in _counted(legacy):
        mine = _own(arrays, key, layer, legacy)
        for (role, old), new in zip(layer.weights.items(), mine, strict=True):
            if new.shape != old.shape:
                raise misfit(legacy, f"{layer.name}: {role} of shape {new.shape}", f"{old.shape}")
            for name, values in _stored(legacy, layer, role, np.asarray(old), np.asarray(new), taken):
                taken.add(name)
                if values is not None:
                    found[name] = values
    return found


def _counted(network: KerasNetwork) -> Iterator[tuple[str, KerasLayer]]:
    """Every layer that holds arrays by its name; the second of a name, as of two directions, with its number."""
    counts: Counter[str] = Counter()
    for layer in (each for each in network.every_layer() if each.weights):
        counts[layer.name] += 1
        yield layer.name if counts[layer.name] == 1 else f"{layer.name}#{counts[layer.name]}", layer


def _own(arrays: Layers, key: str, layer: KerasLayer, legacy: KerasNetwork) -> Sequence[Array]:
    legal = "/".join(re.sub(r"[^A-Za-z0-9_.\-#]", "_", part) for part in key.split("/"))
    outer = legal.split("/")[0]
    sides = (f"{outer}/backward" if "#" in key else f"{outer}/forward", outer) if "/" in key else ()
    options = (key, legal, key.rsplit("/", maxsplit=1)[-1], *sides)
    mine = next((arrays[name] for name in options if name in arrays), None)
    if mine is None:
        raise misfit(legacy, f"no layer {layer.name}", f"one with {len(layer.weights)} arrays")
    if len(mine) != len(layer.weights):
        raise misfit(legacy, f"{layer.name}: {len(mine)} arrays", f"{len(layer.weights)}: {', '.join(layer.weights)}")
    return mine


def _stored(
    legacy: KerasNetwork, layer: KerasLayer, role: str, old: Array, new: Array, taken: set[str]
) -> Iterator[tuple[str, Array | None]]:
    """The stored arrays that one array is made of, with their new values; None where nothing changes."""
    values = as_kept(new, old)
    is_changed = not np.array_equal(values, old)
    own = [name for name in legacy.source.arrays if name not in taken and _belongs(name, layer)]
    for gates in (1, 4, 3):
        if old.ndim == 0 or old.shape[-1] % gates:
            continue
        pairs = zip(np.split(old, gates, axis=-1), np.split(values, gates, axis=-1), strict=True)
        parts = [_placed(legacy, own, *pair) for pair in pairs]
        if all(part is not None for part in parts):
            yield from ((part[0], part[1] if is_changed else None) for part in parts if part is not None)
            return
    if is_changed:
        raise UnbuildableError(
            f"{legacy.source.path} cannot be written back", found=f"{role} of {layer.name}, which is stored otherwise",
            expected="arrays that are stored as they are used, but for the order of their axes",
        )  # fmt: skip


def _belongs(name: str, layer: KerasLayer) -> bool:
    """Whether a stored name is of the layer, or of what it stands in."""
    parts = re.split(r"[/:]", name)
    return layer.name.split("/")[-1] in parts or layer.name.split("/")[0] in parts


def _placed(legacy: KerasNetwork, names: Sequence[str], old: Array, new: Array) -> tuple[str, Array] | None:
    """The stored array of these numbers, its axes in another order or turned round, and the new ones in that layout."""
    for name in names:
        stored = legacy.source.arrays[name]
        if stored.size != old.size or stored.dtype.kind != "f":
            continue
        for there, back in _layouts(stored.shape, old.shape):
            if np.array_equal(there(stored), old):
                return name, np.ascontiguousarray(back(new), stored.dtype.newbyteorder("="))
    return None


def _layouts(stored: tuple[int, ...], used: tuple[int, ...]) -> Iterator[tuple[Any, Any]]:
    """Ways from the stored layout to the used one, and back."""
    yield lambda x: x.reshape(used), lambda x: x.reshape(stored)
    if len(stored) != len(used) or len(stored) < 2:
        return
    for order in permutations(range(len(stored))):
        if tuple(stored[axis] for axis in order) != used:
            continue
        inverse = np.argsort(order)
        for signs in product((1, -1), repeat=len(used)):
            turn = tuple(slice(None, None, sign) for sign in signs)
            yield (
                lambda x, order=order, turn=turn: np.transpose(x, order)[turn],
                lambda x, inverse=inverse, turn=turn: np.transpose(x[turn], inverse),
            )
