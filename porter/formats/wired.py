"""Networks whose files list every connection: units put into layers, and a kernel made for each layer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, DuplicateMemberError, MissingMemberError, UnknownMemberError

Array = NDArray[Any]

FREE_NUMBERS, MOST_EMPTY = 2**20, 64
"""Numbers that all kernels may have anyway, and for each connection: most are there as a rule."""
MOST_LAYERS = 1000


@dataclass(frozen=True)
class Wires:
    """Connections between units that are numbered from 0.

    Attributes:
        where: the file, for messages.
        label: what a unit is called in messages.
        units: how many there are.
        inputs: those that take the network's inputs, in order.
        sources: (connections,) where each comes from.
        targets: (connections,) where it leads to.
        weights: (connections,) its weight.
    """

    where: str
    label: Callable[[int], str]
    units: int
    inputs: Sequence[int]
    sources: Array
    targets: Array
    weights: Array


@dataclass(frozen=True)
class WiredLayer:
    """One layer.

    Attributes:
        units: their numbers, ascending.
        kernel: (units, inputs): zero where nothing connects.
    """

    units: tuple[int, ...]
    kernel: Array


def layers_of(wires: Wires, outputs: Sequence[int] | None = None) -> list[WiredLayer]:
    """The layers, by the longest way from the inputs.

    Args:
        wires: the connections.
        outputs: units that give the network's outputs, where the file says; else all that lead nowhere.

    Raises:
        UnknownMemberError: no chain of layers: circles, connections past a layer, outputs that are not the last layer.
        DuplicateMemberError: two connections between the same units.
        DamagedFileError: more layers than anybody has, or nearly empty kernels larger than memory should hold.
    """
    depth = _depths(wires)
    _check_steps(wires, depth)
    last = int(depth.max())
    if last > MOST_LAYERS:
        raise DamagedFileError(f"{wires.where}: layers", found=f"{last:,}", expected=f"at most {MOST_LAYERS:,}")
    leading = np.isin(np.arange(wires.units), wires.sources) | (depth == 0)
    given = np.flatnonzero(~leading) if outputs is None else np.array(sorted(outputs), np.int64)
    _check_outputs(wires, depth, given, last)
    order = [tuple(np.flatnonzero(depth == each).tolist()) for each in range(1, last + 1)]
    before = [tuple(wires.inputs), *order]
    _check_size(wires, [len(units) for units in before])
    return [WiredLayer(units, _kernel(wires, before[n], units, depth == n + 1)) for n, units in enumerate(order)]


def _depths(wires: Wires) -> Array:
    """How many connections the longest way from an input to each unit has, (units,)."""
    waiting = np.bincount(wires.targets, minlength=wires.units)
    is_input = np.zeros(wires.units, bool)
    is_input[list(wires.inputs)] = True
    _refuse_unit(wires, (waiting > 0) & is_input, "is an input, and yet takes what other units give")
    _refuse_unit(wires, (waiting == 0) & ~is_input, "takes nothing from any other unit")
    if not wires.sources.size:
        raise UnknownMemberError(f"{wires.where} has no connections", expected="one layer of units at least")
    order = np.argsort(wires.sources, kind="stable")
    following = wires.targets[order]
    starts = np.searchsorted(wires.sources[order], np.arange(wires.units + 1))
    depth = np.zeros(wires.units, np.int64)
    reached = list(wires.inputs)
    for unit in reached:
        for target in following[starts[unit] : starts[unit + 1]].tolist():
            depth[target] = max(depth[target], depth[unit] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                reached.append(target)
    if waiting.any():
        raise UnknownMemberError(
            f"{wires.where}: connections in a circle, which are not read",
            found=f"{wires.label(_in_circle(wires, waiting > 0))} takes, directly or by way of others, what it gives",
            expected="inputs, then layers of units, each of which takes from the layer before it",
        )
    return depth


def _in_circle(wires: Wires, is_waiting: Array) -> int:
    """A unit that reaches itself: units that were never reached are followed backwards until one comes again."""
    inside = is_waiting[wires.sources] & is_waiting[wires.targets]
    before = dict(zip(wires.targets[inside].tolist(), wires.sources[inside].tolist(), strict=True))
    unit, seen = next(iter(before)), set()
    while unit not in seen:
        seen.add(unit)
        unit = before[unit]
    return int(unit)


def _refuse_unit(wires: Wires, wrong: Array, what: str) -> None:
    found = np.flatnonzero(wrong)
    if found.size:
        more = f" and {found.size - 1} more do so" if found.size > 1 else ""
        raise UnknownMemberError(
            f"{wires.where}: no chain of layers",
            found=f"{wires.label(int(found[0]))} {what}{more}",
            expected="inputs, then layers of units, each of which takes from the layer before it",
        )


def _check_steps(wires: Wires, depth: Array) -> None:
    past = np.flatnonzero(depth[wires.targets] - depth[wires.sources] != 1)
    if past.size:
        source, target = (wires.label(int(ends[past[0]])) for ends in (wires.sources, wires.targets))
        raise UnknownMemberError(
            f"{wires.where}: connections past a layer, which are not read",
            found=f"{past.size:,} of {wires.sources.size:,}, the first from {source} to {target}",
            expected="every connection from the layer just before it",
            remedy="train it without shortcuts; or build the model by hand and judge it as a function",
        )


def _check_outputs(wires: Wires, depth: Array, outputs: Array, last: int) -> None:
    inside = outputs[depth[outputs] < last]
    others = np.setdiff1d(np.flatnonzero(depth == last), outputs)
    if inside.size or others.size:
        unit, what = (inside[0], "an output before") if inside.size else (others[0], "no output, but in")
        raise UnknownMemberError(
            f"{wires.where}: the outputs are not the last layer",
            found=f"{wires.label(int(unit))} is {what} the last layer",
            expected="every output in the last layer, and nothing else there",
        )


def _check_size(wires: Wires, widths: Sequence[int]) -> None:
    size = sum(inputs * units for inputs, units in itertools.pairwise(widths))
    if size > max(FREE_NUMBERS, MOST_EMPTY * wires.sources.size):
        raise DamagedFileError(
            f"{wires.where}: layers of up to {max(widths):,} units",
            found=f"{wires.sources.size:,} connections, for kernels of {size:,} numbers",
            expected="layers of which not nearly everything is empty",
        )


def _kernel(wires: Wires, before: Sequence[int], units: Sequence[int], is_here: Array) -> Array:
    here = np.flatnonzero(is_here[wires.targets])
    place = np.zeros(wires.units, np.int64)
    place[list(before)] = np.arange(len(before))
    place[list(units)] = np.arange(len(units))
    flat = place[wires.targets[here]] * len(before) + place[wires.sources[here]]
    _, first = np.unique(flat, return_index=True)
    if first.size < here.size:
        again = here[np.setdiff1d(np.arange(here.size), first)[0]]
        source, target = (wires.label(int(ends[again])) for ends in (wires.sources, wires.targets))
        raise DuplicateMemberError(f"{wires.where}: two connections from {source} to {target}", expected="one")
    kernel = np.zeros(len(units) * len(before), wires.weights.dtype)
    kernel[flat] = wires.weights[here]
    return kernel.reshape(len(units), len(before))


@dataclass(frozen=True)
class NamedLayer:
    """One layer of units that have names.

    Attributes:
        units: their names, in order.
        kernel: (units, inputs).
        bias: (units,) or None where none of them has one.
    """

    units: tuple[str, ...]
    kernel: Array
    bias: Array | None


def named_layers(
    where: str, names: Sequence[str], inputs: int, ends: Sequence[tuple[str, str]], weights: Array, bias: str
) -> list[NamedLayer]:
    """The layers of a listing that names both ends of every connection, each layer whole.

    Args:
        where: the file, for messages.
        names: of all units, in the order that they have in their layers, the inputs first.
        inputs: how many of them are inputs.
        ends: source and target of each connection.
        weights: (connections,) theirs.
        bias: the source that is one, and no unit.

    Raises:
        UnreadableError: no chain of layers, a connection that is not there or there twice.
    """
    place = {name: number for number, name in enumerate(names)}
    from_bias = np.array([source == bias for source, _ in ends], bool)
    offsets = _offsets(where, [target for source, target in ends if source == bias], weights[from_bias])
    pairs = [(place[source], place[target]) for source, target in ends if source != bias]
    sources, targets = np.array(pairs, np.int64).reshape(-1, 2).T
    wires = Wires(where, lambda n: repr(names[n]), len(names), range(inputs), sources, targets, weights[~from_bias])
    layers = layers_of(wires)
    before: Sequence[str] = names[:inputs]
    found = []
    for layer in layers:
        units = tuple(names[number] for number in layer.units)
        _check_whole(where, before, units, ends, layer.kernel.size, np.isin(targets, layer.units).sum())
        found.append(NamedLayer(units, layer.kernel, _biases(where, units, offsets, bias)))
        before = units
    return found


def _offsets(where: str, targets: Sequence[str], weights: Array) -> dict[str, Any]:
    offsets = dict(zip(targets, weights, strict=True))
    if len(offsets) < len(targets):
        again = next(name for place, name in enumerate(targets) if name in targets[:place])
        raise DuplicateMemberError(f"{where}: two biases of {again!r}", expected="one")
    return offsets


def _check_whole(
    where: str, before: Sequence[str], units: Sequence[str], ends: Sequence[tuple[str, str]], size: int, listed: int
) -> None:
    if listed < size:
        there = set(ends)
        source, target = next((s, t) for t in units for s in before if (s, t) not in there)
        raise MissingMemberError(
            f"{where}: nothing is said of the connection from {source!r} to {target!r}",
            found=f"{listed:,} connections into its layer",
            expected=f"{size:,}, from each unit to each",
            remedy="copy the file again; list a connection that is not there with the weight 0",
        )


def _biases(where: str, units: Sequence[str], offsets: dict[str, Any], bias: str) -> Array | None:
    missing = [name for name in units if name not in offsets]
    if len(missing) == len(units):
        return None
    if missing:
        raise MissingMemberError(
            f"{where}: nothing is said of the bias of {missing[0]!r}",
            expected=f"a connection from {bias!r} to every unit of a layer, or to none",
            remedy="copy the file again; list a bias that is not there with the weight 0",
        )
    return np.array([offsets[name] for name in units])
