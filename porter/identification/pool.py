"""The arrays of a file that nothing is known about, by the names that a recipe would call them and their parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.arrays.names import role_of
from porter.formats.members import natural_key

Array = NDArray[Any]

MOST_SLICES = 64
"""Of a stack of matrices, and of the lines of a narrow matrix."""
NARROW = 3
"""Columns that a table of ranges has at most."""
SCALING_WORDS = re.compile(
    r"min|max|mean|std|avg|moy|sigma|dev|norm|scal|offset|gain|rang|mu\b|var|coeff|bound|lower|upper|extreme|[xy]_",
    re.I,
)


@dataclass(frozen=True)
class Pool:
    """Arrays of finite floats.

    Attributes:
        arrays: as stored, by full name, in natural order.
    """

    arrays: Mapping[str, Array]

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Pool:
        """What of a file's arrays a network may be made of: numbers, all finite, and not empty."""
        usable = {
            name: array
            for name, array in arrays.items()
            if array.dtype.kind in "fiu" and array.size and np.isfinite(array).all()
        }
        return cls({name: usable[name] for name in sorted(usable, key=natural_key)})

    @cached_property
    def parts(self) -> dict[str, Array]:
        """Every array, and every slice of a stack of matrices, by the name that a recipe calls it by."""
        found: dict[str, Array] = {}
        for name, array in self.arrays.items():
            if array.ndim == 3 and min(array.shape[0], array.shape[2]) <= MOST_SLICES:
                found.update(_slices(name, array))
            elif array.ndim <= 2:
                found[name] = array
        return found

    @cached_property
    def kernels(self) -> dict[str, Array]:
        """What may be a kernel: floats of two axes, or of one, that are not all zero."""
        floats = {name: each for name, each in self.parts.items() if each.dtype.kind == "f" and each.ndim in (1, 2)}
        return {name: each for name, each in floats.items() if each.size == 1 or np.any(each)}

    @cached_property
    def vectors(self) -> dict[str, Array]:
        """What may be a vector, (n,): arrays along one axis, the lines of narrow tables, the numbers of a line."""
        found: dict[str, Array] = {}
        for name, array in self.parts.items():
            flat = array.reshape(-1)
            if array.ndim <= 1 or 1 in array.shape:
                found[name] = flat
                if 1 < flat.size <= NARROW:
                    found |= {f"{name}[{place}:{place + 1}]": flat[place : place + 1] for place in range(flat.size)}
            if array.ndim == 2 and len(array) > 1 and 1 < array.shape[1] <= NARROW:
                found |= {f"{name}[:, {place}]": array[:, place] for place in range(array.shape[1])}
            if array.ndim == 2 and 1 < array.shape[0] <= NARROW:
                found |= {f"{name}[{place}, :]": array[place] for place in range(array.shape[0])}
        return found

    def vector(self, name: str) -> Array:
        """One of them, or a part of one, ``name[first:end]``."""
        if name in self.vectors:
            return self.vectors[name]
        match = re.fullmatch(r"(.*)\[(\d+):(\d+)\]", name)
        if match is None:
            raise KeyError(name)
        return self.vectors[match[1]][int(match[2]) : int(match[3])]

    @cached_property
    def order(self) -> dict[str, int]:
        """The place of each part in natural order."""
        return {name: place for place, name in enumerate(self.parts)}


def _slices(name: str, array: Array) -> Iterator[tuple[str, Array]]:
    if array.shape[0] <= MOST_SLICES:
        yield from ((f"{name}[{place}, :, :]", array[place]) for place in range(array.shape[0]))
    else:
        yield from ((f"{name}[:, :, {place}]", array[:, :, place]) for place in range(array.shape[2]))


def is_bias_name(name: str) -> bool:
    """Whether a name says that it is a bias'."""
    role = role_of(name)
    return role is not None and role[0] == "bias"


def is_kernel_name(name: str) -> bool:
    """Whether a name says that it is a kernel's."""
    role = role_of(name)
    return role is not None and role[0] == "kernel"


def is_scaling_name(name: str) -> bool:
    """Whether a name speaks of ranges and the like."""
    return not is_bias_name(name) and SCALING_WORDS.search(name) is not None


def is_number_of_line(name: str) -> bool:
    """Whether a name means one of the few numbers in a line, which may be an end of a single column."""
    return re.search(r"\[\d+:\d+\]$", name) is not None


def base_name(name: str) -> str:
    """A name without the slice behind it."""
    return re.sub(r"\[[-\d:, ]*\]$", "", name)
