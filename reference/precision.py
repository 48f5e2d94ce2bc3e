"""Number formats, and in which of them a port computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Format:
    """A binary floating point format.

    Attributes:
        name: as Keras spells it.
        unit: unit roundoff, half the distance from 1 to the next number.
        tiny: absolute error of one operation whose result underflows. Where the platform flushes subnormal numbers
            to zero that is the smallest normal number; float16 is not flushed: its smallest subnormal.
        largest: largest finite number.
    """

    name: str
    unit: float
    tiny: float
    largest: float

    @property
    def flushed(self) -> float:
        """Numbers below this in magnitude may count as zero wherever they are read."""
        return 0.0 if self.name == "float16" else self.tiny

    def lost(self, array: Array, axis: tuple[int, ...] | None = None) -> Array:
        """The largest magnitude that may count as zero, over the axes, which are kept; 0 nearly always."""
        size = np.abs(array)
        return np.asarray(np.max(size, axis=axis, keepdims=True, initial=0.0, where=size < self.flushed))


FORMATS: Mapping[str, Format] = {
    "float64": Format("float64", 2.0**-53, 2.0**-1022, float(np.finfo(np.float64).max)),
    "float32": Format("float32", 2.0**-24, 2.0**-126, float(np.finfo(np.float32).max)),
    "float16": Format("float16", 2.0**-11, 2.0**-24, 65504.0),
    "bfloat16": Format("bfloat16", 2.0**-8, 2.0**-126, float.fromhex("0x1.fep127")),
}


TENSORFLOAT32_UNIT = 2.0**-10
"""Relative error of an operand that is cut to 10 bits of fraction.  On an H100 cuBLAS was seen to round to nearest,
half of that at most; kernels that XLA makes itself exceed the bound that follows from it by 7 %."""


@dataclass(frozen=True)
class Precision:
    """What a port's layer computes in, and what its variables are kept in.

    Attributes:
        compute: a name of ``FORMATS``; 16-bit formats accumulate products in float32.
        variables: a name of ``FORMATS``; variables are cast to ``compute`` before use.
        tensorfloat32: whether float32 products take their operands rounded to tensorfloat32, as NVIDIA's GPUs do
            unless they are told otherwise.
        short_sums: whether partial sums of products may be rounded to a 16-bit ``compute``, as they are where a GPU
            shares one sum out (measured on an H100: up to 71 times the bound without).

    Raises:
        ValueError: a name that is not a format; the message lists those that are.
    """

    compute: str
    variables: str
    tensorfloat32: bool = False
    short_sums: bool = False

    def __post_init__(self) -> None:
        for name in (self.compute, self.variables):
            if name not in FORMATS:
                raise ValueError(f"no number format {name!r}; known are {', '.join(FORMATS)}")

    @property
    def format(self) -> Format:
        """The format of results."""
        return FORMATS[self.compute]

    @property
    def accumulator(self) -> Format:
        """The format in which sums of products are kept."""
        return FORMATS[self.compute if self.compute == "float64" or self.short_sums else "float32"]

    @property
    def operand_error(self) -> float:
        """Relative error of a product whose operands are rounded once more before it: 0 where they are not."""
        unit = TENSORFLOAT32_UNIT if self.tensorfloat32 and self.compute == "float32" else 0.0
        return 2 * unit + unit**2

    @property
    def is_short(self) -> bool:
        """Whether results are rounded to 16 bits."""
        return self.format != self.accumulator

    def as_variable(self, array: Array) -> Array:
        """The values that the port computes with where ``array`` was assigned to a variable; float64."""
        rounded = round_to(array, self.variables)
        return rounded if self.compute == self.variables else round_to(rounded, self.compute)

    def cast_error(self, array: Array) -> Array:
        """abs of what is lost where ``array`` is cast for a layer."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.abs(round_to(array, self.compute) - array)

    def variable_error(self, array: Array) -> Array:
        """abs(as_variable(array) - array), exactly; of the two ways to round to float16, the larger error."""
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.abs(self.as_variable(array) - array)
            if "float16" in (self.variables, self.compute):
                error = np.maximum(error, np.abs(round_to(round_to(array, "float32"), "float16") - array))
        return error


def round_to(array: Array, name: str) -> Array:
    """Round to nearest, ties to even; overflows to infinity, silently.

    Args:
        array: any shape and real dtype.
        name: a name of ``FORMATS``.

    Returns:
        The rounded values in float64.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if name == "bfloat16":
            return _round_to_bfloat16(np.asarray(array, np.float32)).astype(np.float64)
        return np.asarray(array).astype(name).astype(np.float64)


def _round_to_bfloat16(array: Array) -> Array:
    """The upper 16 bits of each float32, rounded."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(array), np.float32(np.nan), rounded.view(np.float32))
