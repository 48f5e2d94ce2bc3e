"""Which arrays may be the layers by their shapes: chains from the inputs to the outputs, the likeliest first."""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.recipe_places import KernelPlace
from porter.identification.pool import NARROW, Pool, is_bias_name, is_kernel_name, is_number_of_line, is_scaling_name
from reference.operations.dense import Orientation

Array = NDArray[Any]

MOST_LAYERS = 24
MOST_EXPANDED = 6_000
"""Beginnings of chains that are looked at."""
MIXED = 1.0
"""How much less likely it is that some kernels hold their bias, and others have none."""
FARTHEST = 6.0
"""How much less likely than the likeliest a chain may be."""


@dataclass(frozen=True)
class KernelReading:
    """One way to read an array as a kernel, and where its bias is.

    Attributes:
        array: full name, with a slice or not.
        orientation: of the matrix as it is laid out.
        bias: full name of the bias, or None.
        bias_in: which line of the matrix is the bias, or None.
        order: "C" or "Fortran".
        shape: where the numbers are stored flat.
    """

    array: str
    orientation: Orientation
    bias: str | None = None
    bias_in: str | None = None
    order: str = "C"
    shape: tuple[int, int] | None = None

    def stored(self, pool: Pool) -> tuple[Array, Array | None]:
        """The matrix of this orientation, and the bias (units,) or None."""
        array = pool.parts[self.array]
        shape = self.shape
        if shape is None and array.ndim == 1:
            shape = (1, array.size)
        matrix = KernelPlace(self.array, self.bias_in, False, self.order, shape).of(array)
        if self.bias_in is not None:
            return matrix, KernelPlace(self.array, self.bias_in, True, self.order, shape).of(array).reshape(-1)
        return matrix, None if self.bias is None else pool.vectors[self.bias]

    def canonical(self, pool: Pool) -> tuple[Array, Array | None]:
        """(inputs, units) and (units,) or None, both float64."""
        matrix, bias = self.stored(pool)
        kernel = matrix.T if self.orientation == "units-first" else matrix
        if bias is not None and bias.size != kernel.shape[1]:
            raise ValueError(f"{self.bias} for {self.array}")
        return kernel.astype(np.float64), None if bias is None else bias.astype(np.float64)


@dataclass(frozen=True)
class Slot:
    """One layer of a chain.

    Attributes:
        readings: how its kernel may be read, as stored first; those in Fortran's order last.
        inputs: how many values it takes.
        units: how many it gives.
    """

    readings: tuple[KernelReading, ...]
    inputs: int
    units: int

    @cached_property
    def plain(self) -> tuple[KernelReading, ...]:
        """Those that take the numbers in the order in which they are stored."""
        return tuple(each for each in self.readings if each.order == "C")

    @property
    def bias(self) -> str | None:
        """The array that is its bias."""
        return self.readings[0].bias

    @property
    def names(self) -> frozenset[str]:
        """The arrays that it takes."""
        first = self.readings[0]
        return frozenset(name for name in (first.array, first.bias) if name is not None)


@dataclass(frozen=True)
class Skeleton:
    """A chain of layers.

    Attributes:
        slots: in order of computation.
        cost: how unlikely it is, by order, names and what it leaves unused.
    """

    slots: tuple[Slot, ...]
    cost: float

    @property
    def used(self) -> frozenset[str]:
        """The arrays that its layers take."""
        return frozenset().union(*(slot.names for slot in self.slots))

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, then the units of each layer."""
        return (self.slots[0].inputs, *(slot.units for slot in self.slots))


class Skeletons(list[Skeleton]):
    """Chains, the likeliest first.

    Attributes:
        are_all: whether the shapes allow no others; else these are the likeliest, or those found in the time given.
    """

    are_all: bool = True


def skeletons(pool: Pool, inputs: int, outputs: int, most: int, expanded: int = MOST_EXPANDED) -> Skeletons:
    """Chains from so many inputs to so many outputs, the likeliest first, at most so many.

    Where so many beginnings were looked at, what was complete by then is all.
    """
    found = Skeletons()
    for chain in _best_first(pool, inputs, outputs, expanded, found):
        if len(found) == most:
            found.are_all = False
            break
        found.append(chain)
    return found


def _best_first(pool: Pool, inputs: int, outputs: int, expanded: int, found: Skeletons) -> Iterator[Skeleton]:
    """One after the other; what is left out is noted in ``found``."""
    count, best = itertools.count(), np.inf
    heap: list[tuple[float, int, bool, tuple[Slot, ...]]] = [(0.0, next(count), False, ())]
    known: dict[tuple[str, int], dict[tuple[int, bool], tuple[KernelReading, ...]]] = {}
    for _ in range(expanded):
        if not heap or heap[0][0] > best + FARTHEST:
            found.are_all &= not heap
            return
        cost, _, is_whole, slots = heapq.heappop(heap)
        if is_whole:
            best = min(best, cost)
            yield Skeleton(slots, cost)
            continue
        width = inputs if not slots else slots[-1].units
        if slots and width == outputs:
            heapq.heappush(heap, (cost + _left_over(pool, slots, inputs, outputs), next(count), True, slots))
        if len(slots) < MOST_LAYERS:
            for more, slot in _next(pool, slots, width, known):
                if cost + more <= best + FARTHEST:
                    heapq.heappush(heap, (cost + more, next(count), False, (*slots, slot)))
                else:
                    found.are_all = False
    found.are_all &= not heap
    for cost, _, is_whole, slots in sorted(heap):
        if is_whole:
            yield Skeleton(slots, cost)


def _left_over(pool: Pool, slots: tuple[Slot, ...], inputs: int, outputs: int) -> float:
    """What it costs to leave arrays unused: much for matrices, flat ones too, that are no tables of ranges."""
    used = frozenset().union(*(slot.names for slot in slots))
    ends, widths = {inputs, outputs, inputs + outputs}, {slot.units for slot in slots}
    cost = 0.0
    for name, array in pool.parts.items():
        if name in used or array.dtype.kind != "f" or not np.any(array):
            continue
        long, short = max(array.shape, default=1), min(array.shape, default=1)
        is_table = array.ndim == 2 and 1 < short <= 3 and long in ends
        if array.ndim == 2 and (short > 1 or is_kernel_name(name)) and not is_table:
            cost += 3.0
        elif (array.size not in (*ends, 1) and not is_table) or is_bias_name(name):
            is_kernel = array.size > NARROW and array.size not in widths and not is_bias_name(name)
            cost += 3.0 if is_kernel else 1.0
    return cost


def _next(pool: Pool, slots: tuple[Slot, ...], width: int, known: Any) -> Iterator[tuple[float, Slot]]:
    """The layers that may follow, with what each costs."""
    used = frozenset().union(*(slot.names for slot in slots))
    within = {(slot.readings[0].bias_in is not None, None) for slot in slots if slot.bias is None}
    places = [pool.order[slot.readings[0].array] for slot in slots]
    for name, array in pool.kernels.items():
        if name in used:
            continue
        if (name, width) not in known:
            known[name, width] = _readings(name, array, width)
        for (units, is_within), readings in known[name, width].items():
            flat = (0.5 if array.ndim == 1 else 0.0) + (1.5 if units == 1 else 0.0)
            named = 2.0 if is_bias_name(name) or is_scaling_name(name) else 0.0
            cost = 0.5 * sum(place > pool.order[name] for place in places) + flat + named + (0.5 if is_within else 0.0)
            for extra, bias in [(0.0, None)] if is_within else _biases(pool, used | {name}, units, name):
                mixed = MIXED if within and (is_within, bias) not in within else 0.0
                whole = tuple(_with_bias(each, bias) for each in readings)
                yield cost + extra + mixed, Slot(whole, width, units)


def _with_bias(reading: KernelReading, bias: str | None) -> KernelReading:
    if bias is None:
        return reading
    return KernelReading(reading.array, reading.orientation, bias, reading.bias_in, reading.order, reading.shape)


def _biases(pool: Pool, used: frozenset[str], units: int, kernel: str) -> list[tuple[float, str | None]]:
    """The vectors that may be the bias of so many units, those that no name speaks against first; then none."""
    fitting = [
        name
        for name, vector in pool.vectors.items()
        if vector.size == units
        and name not in used
        and vector.dtype.kind == "f"
        and not name.endswith("]")
        and (is_bias_name(name) or np.any(vector))
    ]
    fitting += [
        name for name, vector in pool.vectors.items() if vector.size == units and name.endswith(", :]") and not fitting
    ]
    fitting.sort(key=lambda name: (is_scaling_name(name), not is_bias_name(name)))
    found: list[tuple[float, str | None]] = []
    for place, name in enumerate(fitting):
        other = 0.3 if re.findall(r"\d+", name) != re.findall(r"\d+", kernel) else 0.0
        found.append((0.5 * place + other + (1.0 if is_scaling_name(name) else 0.0), name))
    likely = [name for name in fitting if not is_scaling_name(name)]
    found.append((2.5 if likely else 0.2, None))
    return found


def _readings(name: str, array: Array, width: int) -> dict[tuple[int, bool], tuple[KernelReading, ...]]:
    """How an array may be a kernel of so many inputs: by units, and whether the bias stands in it."""
    found: Found = {}
    if array.ndim == 1:
        _flat(found, name, array.size, width)
    else:
        _matrix(found, name, (array.shape[0], array.shape[1]), width)
    return {key: tuple(sorted(each, key=lambda reading: reading.order)) for key, each in found.items()}


Found = dict[tuple[int, bool], list[KernelReading]]


def _matrix(found: Found, name: str, shape: tuple[int, int], width: int) -> None:
    rows, columns = shape
    orders = ("C",) if 1 in shape or rows == columns else ("C", "Fortran")
    for order in orders:
        if columns == width:
            found.setdefault((rows, False), []).append(KernelReading(name, "units-first", order=order))
        if rows == width and (columns != rows or rows > 1):
            found.setdefault((columns, False), []).append(KernelReading(name, "inputs-first", order=order))
        for place in ("first", "last"):
            if columns == width + 1:
                key = f"{place} column"
                found.setdefault((rows, True), []).append(KernelReading(name, "units-first", None, key, order))
            if rows == width + 1:
                key = f"{place} row"
                found.setdefault((columns, True), []).append(KernelReading(name, "inputs-first", None, key, order))


def _flat(found: Found, name: str, size: int, width: int) -> None:
    units, rest = divmod(size, width)
    if not rest:
        ways: list[tuple[Orientation, tuple[int, int]]] = [("units-first", (units, width))]
        if min(units, width) > 1:
            ways.append(("inputs-first", (width, units)))
        found[units, False] = [KernelReading(name, way, shape=shape) for way, shape in ways]
    units, rest = divmod(size, width + 1)
    if rest or units < 1:
        return
    own = found.setdefault((units, True), [])
    for place in ("first", "last"):
        own.append(KernelReading(name, "units-first", None, f"{place} column", shape=(units, width + 1)))
        if units > 1:
            own.append(KernelReading(name, "inputs-first", None, f"{place} row", shape=(width + 1, units)))


def slot_readings(pool: Pool, reading: KernelReading, inputs: int, units: int) -> list[KernelReading]:
    """How else the same array may be the kernel of so many inputs and units, with any vector that may be its bias."""
    array = pool.parts[reading.array]
    found: list[KernelReading] = []
    for (width, is_within), several in _readings(reading.array, array, inputs).items():
        if width == units and is_within:
            found += several
        elif width == units:
            names = [name for name, vector in pool.vectors.items() if vector.size == units and name != reading.array]
            names = [name for name in names if np.any(pool.vectors[name]) or name == reading.bias]
            names = [name for name in names if not is_number_of_line(name)]
            is_nothing = reading.bias is not None and not np.any(pool.vectors[reading.bias])
            for bias in names if is_nothing else (*names, None):
                found += [_with_bias(each, bias) for each in several]
    return found
