"""Units that a network can do without: what follows from its arrays alone, for all inputs, and is proven so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.network import Dense

Array = NDArray[Any]

ODD = ("tanh", "linear", "softsign")
"""Activations with f(-x) = -f(x): a unit and its mirror image are one."""
JOINT = ("softmax",)
"""Activations in which the units of a layer depend on each other."""
SCALABLE = ("relu", "linear")
"""Activations with f(c x) = c f(x) for c > 0."""


@dataclass(frozen=True)
class Removal:
    """One unit, or one layer, that is gone.

    Attributes:
        layer: that it stood in.
        unit: its number there, as stored; None for a whole layer.
        why: half a sentence.
        rounds: whether what takes its place is a sum or product that had to be rounded; otherwise every number that is
            left is one of those stored.
    """

    layer: str
    unit: int | None
    why: str
    rounds: bool


@dataclass(frozen=True)
class Reduction:
    """A chain of dense layers that computes what a longer or wider one did.

    Attributes:
        layers: what is left.
        removals: what is gone, and why.
        kept: for each layer that is left, numbers of its units in the layer as stored.
    """

    layers: tuple[Dense, ...]
    removals: tuple[Removal, ...]
    kept: tuple[Array, ...] = ()


def reduce_chain(
    layers: Sequence[Dense], *, merge: bool = True, limits: Array | None = None, widths: Sequence[int] | None = None
) -> Reduction:
    """Take out of a chain of dense layers what changes nothing.

    The arrays are taken as exact numbers; sums that take a unit's place are formed in float64.

    Args:
        layers: each takes what the one before gives.
        merge: whether linear layers are multiplied into the next where that is smaller.
        limits: (n, 2) range of the inputs of the first layer: units that never answer inside of it go as well. None for
            what holds for all inputs.
        widths: how many units of each layer stay at least; None for one.
    """
    least = [1] * len(layers) if widths is None else list(widths)
    chain, kept = list(layers), [np.arange(layer.kernel.shape[1]) for layer in layers]
    found: list[Removal] = []
    again = True
    while again:
        again = False
        quiet = _quiet(chain, limits)
        for place in range(len(chain) - 1):
            if chain[place].kernel.shape[1] <= least[place]:
                continue
            for removal, unit, changed in _removals(chain[place], chain[place + 1], quiet[place]):
                found.append(replace(removal, unit=int(kept[place][unit])))
                chain[place], chain[place + 1] = changed
                kept[place] = np.delete(kept[place], unit)
                again = True
                break  # the numbers of the units that are left have changed
            if again:
                break
    place = 0
    while merge and place < len(chain) - 1:
        joined = _merged(chain[place], chain[place + 1])
        if joined is None:
            place += 1
            continue
        found.append(Removal(chain[place].name, None, f"it is linear, and multiplied into {joined.name}", True))
        chain[place : place + 2] = [joined]
        kept[place : place + 2] = [kept[place + 1]]
    return Reduction(tuple(chain), tuple(found), tuple(kept))


Changed = tuple[Dense, Dense]


def _removals(layer: Dense, after: Dense, quiet: Array) -> Iterator[tuple[Removal, int, Changed]]:
    """The first unit that can go, of each kind, with both layers as they are then."""
    if layer.activation.name in JOINT:
        return
    kernel, bias = layer.kernel, _bias(layer)
    silent = np.flatnonzero(~after.kernel.any(axis=1))
    if silent.size:
        yield _gone(layer, after, int(silent[0]), "nothing takes what it gives: its outgoing weights are all zero")
    for unit in map(int, np.flatnonzero(~kernel.any(axis=0))):
        value = float(layer.activation(np.array([bias[unit]], np.float64))[0])
        if value == 0:
            yield _gone(layer, after, unit, "it gives zero for every input: its incoming weights are all zero")
        elif after.bias is not None and np.isfinite(value):
            moved = replace(after, bias=after.bias.astype(np.float64) + value * after.kernel[unit].astype(np.float64))
            why = f"it gives {value:.6g} for every input, which went into the bias of {after.name}"
            yield _gone(layer, moved, unit, why, rounds=True)
    never = np.flatnonzero(quiet)
    if never.size:
        yield _gone(layer, after, int(never[0]), "it gives zero everywhere inside the documented range")
    twin = _twin(layer, kernel, bias)
    if twin is not None:
        unit, other, factor, why = twin
        wide = after.kernel.astype(np.float64)
        wide[other] += factor * wide[unit]
        yield _gone(layer, replace(after, kernel=wide), unit, why, rounds=True)


def _gone(layer: Dense, after: Dense, unit: int, why: str, rounds: bool = False) -> tuple[Removal, int, Changed]:
    bias = None if layer.bias is None else np.delete(layer.bias, unit)
    less = replace(layer, kernel=np.delete(layer.kernel, unit, axis=1), bias=bias)
    return Removal(layer.name, unit, why, rounds), unit, (less, replace(after, kernel=np.delete(after.kernel, unit, 0)))


def _bias(layer: Dense) -> Array:
    return np.zeros(layer.kernel.shape[1]) if layer.bias is None else layer.bias


def _twin(layer: Dense, kernel: Array, bias: Array) -> tuple[int, int, float, str] | None:
    """(unit, the one that stands for both, factor of its outgoing weights, why)."""
    columns = np.vstack([kernel, bias[None]]).astype(np.float64)
    plain = not layer.activation.parameters
    seen: dict[bytes, int] = {}
    for unit in range(columns.shape[1]):
        column = columns[:, unit] + 0.0  # no negative zeros
        for key, known, told in _keys(column, layer.activation.name if plain else ""):
            other = seen.get(key)
            factor = known if known is not None or other is None else _factor(column, columns[:, other])
            if other is not None and factor is not None:
                words = {"same": "the same as", "mirrored": "the mirror image of", "scaled": f"{factor:g} times"}[told]
                return unit, other, factor, f"it is {words} another unit, whose outgoing weights took its own in"
        for key, _, told in _keys(column, layer.activation.name if plain else ""):
            if told != "mirrored":
                seen.setdefault(key, unit)
    return None


def _keys(column: Array, activation: str) -> Iterator[tuple[bytes, float | None, str]]:
    """Under what a unit is found by another that computes the same up to a factor."""
    yield b"same" + column.tobytes(), 1.0, "same"
    if activation in ODD:
        yield b"same" + (0.0 - column).tobytes(), -1.0, "mirrored"
    if activation in SCALABLE and column.any():
        first = column[np.flatnonzero(column)[0]]
        yield b"ratio" + np.round(column / abs(first), 12).tobytes(), None, "scaled"


def _factor(column: Array, other: Array) -> float | None:
    """c with column = c * other in every last bit; None where there is none."""
    place = int(np.flatnonzero(other)[0])
    factor = float(column[place] / other[place])
    return factor if factor > 0 and np.array_equal(factor * other, column) else None


def _quiet(chain: Sequence[Dense], limits: Array | None) -> list[Array]:
    """For each layer, which relu units have no positive preactivation for any input within the limits."""
    if limits is None:
        return [np.zeros(layer.kernel.shape[1], bool) for layer in chain]
    low, high = (limits[:, k].astype(np.float64) for k in (0, 1))
    found = []
    for layer in chain:
        kernel, bias = layer.kernel.astype(np.float64), _bias(layer).astype(np.float64)
        plus, minus = np.maximum(kernel, 0), np.minimum(kernel, 0)
        # The sums below are rounded; so much at most, by the usual bound of a sum of n terms.
        room = len(kernel) * 2.0**-52 * (np.maximum(np.abs(low), np.abs(high)) @ np.abs(kernel) + np.abs(bias))
        top, bottom = high @ plus + low @ minus + bias + room, low @ plus + high @ minus + bias - room
        is_relu = layer.activation.name == "relu" and not layer.activation.parameters
        found.append((top <= 0) if is_relu else np.zeros(len(top), bool))
        with np.errstate(all="ignore"):
            ends = layer.activation(np.stack([bottom, top]))
        if layer.activation.name not in MONOTONE:
            return [*found, *(np.zeros(each.kernel.shape[1], bool) for each in chain[len(found) :])]
        # A monotone function rounds within a few units in the last place of its ends.
        slack = 8 * np.spacing(np.abs(ends).max(axis=0))
        low, high = ends[0] - slack, ends[1] + slack
    return found


MONOTONE = ("relu", "linear", "tanh", "sigmoid", "softsign", "leaky_relu", "elu", "softplus")


def _merged(layer: Dense, after: Dense) -> Dense | None:
    """A linear layer multiplied into the next; None where it is not linear, or where that would be larger."""
    if layer.activation.name != "linear" or (layer.bias is not None and layer.bias.any() and after.bias is None):
        return None
    parts = layer.kernel.size + after.kernel.size + (0 if layer.bias is None else layer.bias.size)
    if layer.kernel.shape[0] * after.kernel.shape[1] > parts:
        return None
    first, second = layer.kernel.astype(np.float64), after.kernel.astype(np.float64)
    bias = None if after.bias is None else _bias(layer).astype(np.float64) @ second + after.bias
    return replace(after, kernel=first @ second, bias=bias)
