"""Networks whose files list every connection: units put into layers, and a kernel made for each layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, DuplicateMemberError, UnknownMemberError

Array = NDArray[Any]

FREE_NUMBERS, MOST_EMPTY = 2**20, 64
"""Numbers that a kernel may have anyway, and for each of its connections: most are there as a rule."""


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
        DamagedFileError: a kernel that is nearly empty and larger than memory should hold.
    """
    depth = _depths(wires)
    _check_steps(wires, depth)
    last = int(depth.max())
    leading = np.isin(np.arange(wires.units), wires.sources) | (depth == 0)
    given = np.flatnonzero(~leading) if outputs is None else np.array(sorted(outputs), np.int64)
    _check_outputs(wires, depth, given, last)
    order = [tuple(np.flatnonzero(depth == each).tolist()) for each in range(1, last + 1)]
    before = [tuple(wires.inputs), *order]
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
    _refuse_unit(wires, waiting > 0, "takes, by way of others or directly, what it gives itself")
    return depth


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


def _kernel(wires: Wires, before: Sequence[int], units: Sequence[int], is_here: Array) -> Array:
    here = np.flatnonzero(is_here[wires.targets])
    if len(units) * len(before) > max(FREE_NUMBERS, MOST_EMPTY * here.size):
        raise DamagedFileError(
            f"{wires.where}: a layer of {len(units):,} units that take {len(before):,} inputs",
            found=f"{here.size:,} connections",
            expected="a layer of which not nearly everything is empty",
        )
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
