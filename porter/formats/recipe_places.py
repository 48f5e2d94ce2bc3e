"""Where a recipe says that an array lies: a name, a slice of it, a line of a kernel, another order of its numbers."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SLICED = re.compile(r"(.+)\[([-0-9:,\s]+)\]")
_ITEM = re.compile(r"(-?\d+)|(-?\d*):(-?\d*)")
MEMBER, SET = "{i}", "{set}"
"""What stands for the member of an ensemble in a name; and for its set: the member without the number at its end."""


class PlaceError(ValueError):
    """A place that an array does not have; the message says what was found."""


@dataclass(frozen=True)
class KernelPlace:
    """A kernel, or the bias in it, as the numbers of one array.

    Attributes:
        dataset: full name, with a slice behind it or not.
        bias_in: which row or column of it is the bias; None where it is a kernel alone.
        is_bias: whether that is meant, and not the rest.
        order: "C" or "Fortran": along which axis the stored numbers run fastest.
        shape: of the matrix, where the array is not stored as one; None for as stored.
    """

    dataset: str
    bias_in: str | None = None
    is_bias: bool = False
    order: str = "C"
    shape: tuple[int, int] | None = None

    def of(self, stored: Array) -> Array:
        """The matrix, or the line of it.

        Raises:
            PlaceError: the array is no such matrix.
        """
        matrix = self._matrix(stored)
        if self.bias_in is None:
            return matrix
        end, axis = self.bias_in.split()
        lines = matrix if axis == "row" else matrix.T
        if matrix.ndim != 2 or len(lines) < 2:
            raise PlaceError(f"{self.dataset!r} has shape {stored.shape}; a matrix with the bias in it")
        place = 0 if end == "first" else len(lines) - 1
        part = lines[place] if self.is_bias else np.delete(lines, place, axis=0)
        return np.asarray(part if axis == "row" or self.is_bias else part.T)

    def _matrix(self, stored: Array) -> Array:
        shape = stored.shape if self.shape is None else self.shape
        if self.shape is not None and int(np.prod(shape)) != stored.size:
            raise PlaceError(f"{self.dataset!r} has {stored.size} values; {shape[0]} x {shape[1]}")
        if self.order == "C":
            return stored if self.shape is None else stored.reshape(shape)
        return stored.reshape(-1).reshape(shape, order="F")

    def __str__(self) -> str:
        words = [] if self.bias_in is None else [f"{'' if self.is_bias else 'without the '}{self.bias_in}"]
        words += [] if self.shape is None else [f"as {self.shape[0]} x {self.shape[1]}"]
        words += [] if self.order == "C" else ["in Fortran's order"]
        return self.dataset + (f" ({', '.join(words)})" if words else "")


def split_name(name: str, names: Collection[str]) -> tuple[str, str | None]:
    """The array that is meant, and the slice of it or None; a name that an array bears is that array's."""
    plain = name.strip("/")
    match = _SLICED.fullmatch(plain)
    if plain in names or match is None:
        return plain, None
    return match[1].strip("/"), match[2]


def sliced(name: str, array: Array, text: str | None) -> Array:
    """The part of an array that ``[text]`` behind its name means; one line of numbers counts as one axis.

    Raises:
        PlaceError: the array has no such part.
    """
    if text is None:
        return array
    if "," not in text and array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    items: list[Any] = []
    for word in text.split(","):
        match = _ITEM.fullmatch(word.strip())
        if match is None:
            raise PlaceError(f"{name!r} with [{text}]; whole numbers and first:end, one an axis")
        first, end = (None if not part else int(part) for part in match.groups()[1:])
        items.append(slice(first, end) if match[1] is None else int(match[1]))
    ends = [(each, size) for each, size in zip(items, array.shape, strict=False) if isinstance(each, slice)]
    if any(end is not None and not -size <= end <= size for each, size in ends for end in (each.start, each.stop)):
        raise PlaceError(f"{name!r} of shape {array.shape}; one that has [{text}]")
    try:
        part = np.asarray(array[tuple(items)])
    except IndexError as error:
        raise PlaceError(f"{name!r} of shape {array.shape}; one that has [{text}]") from error
    if part.size == 0:
        raise PlaceError(f"{name!r} of shape {array.shape}, of which [{text}] is empty; one that is not")
    return part


def for_member(name: str, member: str) -> str:
    """A name with the member of an ensemble, or its set, written into it."""
    return name.replace(MEMBER, member).replace(SET, set_of(member))


def set_of(member: str) -> str:
    """``F`` of ``F_3``: the member without the number at its end and the sign before that."""
    return re.sub(r"[-_./ ]?\d+$", "", member)
