"""What a recipe says one end is scaled by: two vectors of any kind, and how they are meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Array = NDArray[Any]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]
Vector = Name | Finite | Annotated[list[Finite], Field(min_length=1)]
"""Full name of a dataset; one number for all columns; or a number a column."""
NATIVE = ("[-1,1]", "[0,1]")
_RANGE = re.compile(r"\[\s*([-+0-9.eE]+)\s*,\s*([-+0-9.eE]+)\s*\]")
PAIRS = (
    ("minimum", "maximum"), ("mean", "std"), ("mean", "variance"), ("mean", "gain"), ("offset", "gain"),
    ("offset", "std"), ("minimum", "gain"), ("minimum", "std"), ("maximum", "gain"), ("maximum", "std"),
    ("mean",), ("offset",), ("std",), ("gain",),
)  # fmt: skip
"""What is subtracted, and what the difference is divided or multiplied by."""
KEYS = ("minimum", "maximum", "mean", "offset", "std", "variance", "gain")


class EndRecipe(BaseModel):
    """What one end is scaled by, in vectors of their own.

    From physical units to the network's it is ``factor * (x - centre) / width + low``; the output end is scaled by the
    same formula backwards.

    Attributes:
        rule: "[-1,1]" for a minimum and a maximum where None; "[0,1]" or any other "[low,high]"; "mean-std".
        minimum: full name of a dataset, or the values themselves.
        maximum: likewise.
        mean: likewise.
        std: likewise.
        variance: likewise, in the place of std.
        offset: likewise, in the place of mean.
        gain: likewise: what the difference is multiplied by.
        low: what the centre becomes; 0 where None. The rule says it of a minimum and a maximum.
        factor: what the result is multiplied by before that.
        inverse: whether the formula is meant the other way round.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    rule: str | None = None
    minimum: Vector | None = None
    maximum: Vector | None = None
    mean: Vector | None = None
    offset: Vector | None = None
    std: Vector | None = None
    variance: Vector | None = None
    gain: Vector | None = None
    low: Finite | None = None
    factor: Annotated[Finite, Field(gt=0)] | None = None
    inverse: bool = False

    @field_validator("rule")
    @classmethod
    def _is_a_rule(cls, rule: str | None) -> str | None:
        if rule is None or rule == "mean-std":
            return rule
        ends = _ends(rule)
        if ends is None or not ends[0] < ends[1]:
            raise ValueError('a rule is "mean-std" or "[low,high]", as in "[-1,1]"')
        return rule

    @model_validator(mode="after")
    def _is_whole(self) -> EndRecipe:
        given = self.given
        if given not in PAIRS:
            raise ValueError(
                "minimum and maximum, or mean and std or variance, are needed, or offset and gain "
                f"(found {' and '.join(given) or 'none'})"
            )
        ranges = given == ("minimum", "maximum")
        fits = ranges if self.rule != "mean-std" else given[0] in ("mean", "offset", "std", "gain")
        if self.rule is not None and not fits:
            raise ValueError(f"the rule {self.rule} does not go with {' and '.join(given)}")
        if ranges and self.low is not None:
            raise ValueError('low beside minimum and maximum, whose rule says it: rule = "[low,high]"')
        return self

    @property
    def given(self) -> tuple[str, ...]:
        """Which vectors it names."""
        return tuple(key for key in KEYS if getattr(self, key) is not None)

    @property
    def vectors(self) -> tuple[str | float | list[float], ...]:
        """These vectors."""
        return tuple(getattr(self, key) for key in self.given)

    @property
    def chosen_rule(self) -> str:
        """The rule that the network's own scaling layer has."""
        if self.given == ("minimum", "maximum") and not self.inverse and self.low is None and self.factor is None:
            rule = "[-1,1]" if self.rule is None else self.rule.replace(" ", "")
            if rule in NATIVE:
                return rule
        return "mean-std"

    def pairs(self, read: Callable[[str | float | list[float]], Array]) -> Array:
        """(n, 2) what that rule scales by; (1, 2) of numbers that hold for all columns.

        Raises:
            ValueError: vectors of different lengths; the message says which.
        """
        found = {key: read(getattr(self, key)) for key in self.given}
        size = max(array.size for array in found.values())
        if any(array.ndim > 0 and array.size != size for array in found.values()):
            raise ValueError(f"{' and '.join(str(array.size) for array in found.values())} values; as many of both")
        found = {key: np.broadcast_to(array, (size,)) for key, array in found.items()}
        if self.chosen_rule != "mean-std" or (self.given == ("mean", "std") and self._is_plain):
            first, second = found.values()
            return np.stack([first, second], axis=1)
        with np.errstate(all="ignore"):
            return np.stack(self._affine({key: array.astype(np.float64) for key, array in found.items()}), axis=1)

    @property
    def is_one_for_all(self) -> bool:
        """Whether it names single numbers alone, which hold for all columns."""
        return all(isinstance(part, int | float) for part in self.vectors)

    def check(self, read: Callable[[str | float | list[float]], Array]) -> None:
        """Refuse a gain, a deviation or a range that is not above 0, under the name that the user gave it.

        Raises:
            ValueError: the message says which, and in which column.
        """
        found = {key: np.atleast_1d(read(getattr(self, key))) for key in self.given}
        if self.given == ("minimum", "maximum"):
            low, high = np.broadcast_arrays(found["minimum"], found["maximum"])
            wrong = np.flatnonzero(~(low < high))
            if wrong.size:
                low, high = low[wrong[0]], high[wrong[0]]
                told = f"minimum {low:.6g} and maximum {high:.6g} in column {wrong[0]}"
                raise ValueError(f"{told}; a maximum above the minimum")
        for key in ("gain", "std", "variance"):
            wrong = np.flatnonzero(~(found[key] > 0)) if key in found else np.zeros(0, int)
            if wrong.size:
                told = f"a {key} of {found[key][wrong[0]]:.6g} in column {wrong[0]}"
                raise ValueError(f"{told}; one above 0")

    @property
    def _is_plain(self) -> bool:
        return self.low is None and self.factor is None and not self.inverse

    def _affine(self, found: dict[str, Array]) -> tuple[Array, Array]:
        """A mean and a deviation that scale alike."""
        low, high = (0.0, 1.0) if self.rule in (None, "mean-std") else _ends(str(self.rule)) or (0.0, 1.0)
        if self.rule is None and self.given == ("minimum", "maximum"):
            low, high = -1.0, 1.0
        width = self._width(found, high - low) * (1.0 if self.factor is None else 1.0 / self.factor)
        centre = next((found[key] for key in ("minimum", "mean", "offset", "maximum") if key in found), 0 * width)
        centre = centre - (low if self.low is None else self.low) * width
        return (-centre / width, 1 / width) if self.inverse else (centre, width)

    def _width(self, found: dict[str, Array], reach: float) -> Array:
        if self.given == ("minimum", "maximum"):
            return np.asarray((found["maximum"] - found["minimum"]) / reach)
        if "gain" in found:
            return np.asarray(1 / found["gain"])
        if "variance" in found:
            return np.asarray(np.sqrt(found["variance"]))
        return found["std"] if "std" in found else np.ones(next(iter(found.values())).shape)


def _ends(rule: str) -> tuple[float, float] | None:
    match = _RANGE.fullmatch(rule)
    try:
        return None if match is None else (float(match[1]), float(match[2]))
    except ValueError:
        return None
