"""Where a port keeps the units of a layer, told by what both give on the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.composed.rewriting import Units

Array = NDArray[Any]

FOLLOWS = 1e-3
"""Residual beside its spread with which a column still follows a unit: one wrong weight is not to hide the unit."""
MOST = 0.5
"""Share of the units that have to be found."""
NEARLY_ALL = 0.9
"""Share of those that were found whose factor has to be one number, for the others to be given it."""

FEW_ROWS, ALIKE = 64, 0.9
"""On how many rows two columns must correlate, and by how much, before they are compared on all."""


@dataclass(frozen=True)
class Found:
    """Where the units are, and what share of them was found by more than elimination."""

    units: Units
    share: float


def find_units(wanted: Array, found: Array, unit: float, is_free: bool) -> Found | None:
    """Find each unit of the file in the port's columns.

    Args:
        wanted: (rows, units) of the file.
        found: (rows, columns) of the port.
        unit: unit roundoff of the port's dtype.
        is_free: whether the activation lets any factor pass.

    Returns:
        None where fewer than ``MOST`` of the units are found, or there are too few columns.
    """
    usable = np.isfinite(wanted).all(axis=1) & np.isfinite(found).all(axis=1)
    n, m = wanted.shape[1], found.shape[1]
    if m < n or usable.sum() < 8:
        return None
    search = _Search(wanted[usable], found[usable], max(16 * unit, 1e-6), max(FOLLOWS, 16 * unit), is_free)
    search.in_place()
    if not search.may_find(MOST):
        return None
    search.elsewhere()
    share = search.taken.mean()
    if share < MOST or not search.eliminate():
        return None
    return Found(search.units, float(share))


class _Search:
    def __init__(self, wanted: Array, found: Array, clean: float, follows: float, is_free: bool) -> None:
        self._wanted, self._found = wanted, found
        self._clean, self._follows, self._is_free = clean, follows, is_free
        n, m = wanted.shape[1], found.shape[1]
        self.units = Units(np.zeros(m, int), np.zeros(m), np.zeros(m))
        self._open = np.ones(m, bool)
        self.taken = np.zeros(n, bool)

    def in_place(self) -> None:
        """Columns that are the unit of their own number."""
        n = self._wanted.shape[1]
        size = np.abs(self._wanted).max(axis=0, initial=0)
        room = np.maximum(self._follows * self._wanted.std(axis=0), self._clean * size)
        error = np.sqrt(np.mean((self._found[:, :n] - self._wanted) ** 2, axis=0))
        for column in map(int, np.flatnonzero(error <= room)):
            scale = self._fit(column, column)[0] if self._is_free and self._wanted[:, column].any() else 1.0
            self._take(column, column, scale, 0.0)

    def may_find(self, least: float) -> bool:
        """Whether so many units are taken or look like some column on a few rows: most tensors are another step's."""
        left = np.flatnonzero(~self.taken)
        few = slice(None, None, max(1, len(self._wanted) // FEW_ROWS))
        wanted = self._wanted[few][:, left]
        alike = np.abs(_correlation(self._found[few], wanted)).max(axis=0, initial=0) > ALIKE
        return bool((self.taken.sum() + (alike | (np.ptp(wanted, axis=0) == 0)).sum()) / len(self.taken) >= least)

    def elsewhere(self) -> None:
        """Columns that follow another unit, or their own with a factor."""
        columns, units = np.flatnonzero(self._open), np.arange(len(self.taken))
        if not len(columns) or (self.taken.all() and not self._open.any()):
            return
        spread, sizes = self._found[:, columns].std(axis=0), np.abs(self._found[:, columns]).max(axis=0, initial=0)
        flat = spread <= self._clean * sizes
        for column in columns[flat]:
            self.units.offset[column] = self._found[:, column].mean()
            self._open[column] = False
        columns = columns[~flat]
        likeness = _correlation(self._found[:, columns], self._wanted[:, units])
        # The clearest first, so that two units that are much alike are not taken for each other.
        for index in np.argsort(-np.max(np.abs(likeness), axis=1, initial=0)):
            column = int(columns[index])
            free = np.where(self.taken, 0.0, np.abs(likeness[index]))
            unit = int(np.argmax(free if free.max() > 1 - self._follows**2 else np.abs(likeness[index])))
            if 1 - likeness[index, unit] ** 2 <= self._follows**2:
                scale, offset = self._fit(column, unit)
                if not self.taken[unit] or abs(scale) == 1:  # a unit that comes twice, and no product of it
                    self._take(column, unit, scale, offset)

    def _fit(self, column: int, unit: int) -> tuple[float, float]:
        """Factor and offset with which a column follows a unit; round numbers where it is as near to them."""
        h, u = self._wanted[:, unit], self._found[:, column]
        centred = h - h.mean()
        scale = float(centred @ (u - u.mean()) / (centred @ centred))
        rest = np.std(u - scale * h) / max(float(np.std(u)), 1e-300)
        room = max(self._clean, 4 * float(rest))
        power = float(np.sign(scale) * 2.0 ** np.round(np.log2(abs(scale))))
        if self._is_free:  # any factor may be meant, and only one that cannot be told from a power of two is that
            room = self._clean / 16 + 6 * float(rest) / np.sqrt(len(h))
        scale = power if abs(scale - power) <= room * abs(power) else scale
        offset = float(np.mean(u - scale * h))
        room = max(self._clean, 4 * float(rest))
        half = np.round(2 * offset) / 2
        return scale, float(half) if abs(offset - half) <= room * max(float(np.abs(u).max()), 1e-300) else offset

    def _take(self, column: int, unit: int, scale: float, offset: float) -> None:
        self.units.order[column], self.units.scale[column], self.units.offset[column] = unit, scale, offset
        self._open[column], self.taken[unit] = False, True

    def eliminate(self) -> bool:
        """The units that follow nothing, each to the column left over that is most like it."""
        factor = self._common_factor()
        for unit in np.flatnonzero(~self.taken):
            columns = np.flatnonzero(self._open)
            constant = np.flatnonzero((self.units.scale == 0) & ~self._open)
            if unit in columns or (unit in constant and self._is_near(int(unit), factor)):
                column = int(unit)
            elif len(columns):
                likeness = _correlation(self._found[:, columns], self._wanted[:, [unit]])[:, 0]
                column = int(columns[np.argmax(np.abs(likeness))])
            elif len(constant):
                column = int(unit) if unit in constant else int(constant[0])
            else:
                return False
            self._take(column, int(unit), factor, 0.0)
        return not self._open.any()

    def _is_near(self, unit: int, factor: float) -> bool:
        """Whether the column of a unit's own number is what the unit is, times a factor: both hardly move."""
        wanted, found = factor * self._wanted[:, unit], self._found[:, unit]
        return bool(np.max(np.abs(found - wanted)) <= self._follows * np.max(np.abs(wanted)))

    def _common_factor(self) -> float:
        """By which the units were multiplied that were found, where that is one number, as of an amplitude; else 1."""
        real = self.units.scale != 0
        scales = self.units.scale[real]
        if self._is_free or not len(scales) or self.units.offset[real].any():
            return 1.0
        middle = float(np.median(scales))
        return middle if np.mean(np.abs(scales - middle) <= self._clean * abs(middle)) >= NEARLY_ALL else 1.0


def _correlation(found: Array, wanted: Array) -> Array:
    """(columns, units) of Pearson's coefficients; 0 for what is constant."""
    parts = []
    for values in (found, wanted):
        centred = values - values.mean(axis=0)
        norm = np.linalg.norm(centred, axis=0)
        parts.append(centred / np.where(norm > 0, norm, 1.0))
    return np.asarray(parts[0].T @ parts[1])
