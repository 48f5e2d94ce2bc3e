"""Activations that a recipe writes out: quotients of polynomials."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from porter.errors import PorterError
from porter.formats.recipe_ends import Finite, Name
from porter.network.activations import format_activation, parse_activation
from reference.activations import Activation
from reference.rational import DEGREE, DENOMINATOR, NUMERATOR

ENTRIES = ("below", "nearest")
Coefficients = Annotated[list[Finite], Field(min_length=1, max_length=DEGREE + 1)]


class RationalRecipe(BaseModel):
    """A rational function.

    Attributes:
        numerator: coefficients of the argument's powers, the lowest first.
        denominator: likewise; 1 where left out.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    numerator: Coefficients
    denominator: Coefficients = [1.0]

    @property
    def spelling(self) -> str:
        """The same as the name of an activation."""
        given = [*zip(NUMERATOR, self.numerator, strict=False), *zip(DENOMINATOR, self.denominator, strict=False)]
        kept = {key: float(value) for key, value in given if value or key == DENOMINATOR[0]}
        return format_activation(Activation("rational", kept))


class TableRecipe(BaseModel):
    """Entries that take the place of an activation, at equal distances of its argument; beyond them the ends hold.

    Attributes:
        values: full name of their dataset, or the entries themselves.
        first: argument of the first entry.
        last: argument of the last entry.
        entry: which one an argument between two is given: the one "below" where None, or the "nearest"; what is between
            them is not computed.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    values: Name | Annotated[list[Finite], Field(min_length=2)]
    first: Finite
    last: Finite
    entry: str | None = None

    @model_validator(mode="after")
    def _is_read(self) -> TableRecipe:
        if self.entry not in (None, *ENTRIES):
            told = "; an interpolation is not read" if self.entry == "linear" else ""
            raise ValueError(f"entry {self.entry!r} is not one of {', '.join(ENTRIES)}{told}")
        if self.first >= self.last:
            raise ValueError("first is not below last")
        return self

    @property
    def place(self) -> dict[str, float]:
        """Parameters of the activation beside its entries."""
        return {"first": float(self.first), "last": float(self.last), "nearest": int(self.entry == "nearest")}


def spelt(value: Any) -> Any:
    """The spelling of an activation, also of one that is written out; anything else as it is.

    Raises:
        ValueError: what is written out is not read.
    """
    if isinstance(value, dict):
        if "table" in value or "values" in value:
            raise ValueError(
                'a table of entries has a key of its own: table = {values = "t", first = -5.0, last = 5.0}'
            )
        try:
            value = RationalRecipe.model_validate(value).spelling
        except ValidationError as error:
            raise ValueError("; ".join(_problem(entry) for entry in error.errors())) from error
    if isinstance(value, str):
        try:
            parse_activation(value)
        except PorterError as error:
            raise ValueError(f"{error.what}; known are {error.expected}") from error
    return value


def _problem(entry: Any) -> str:
    place = ", ".join(f"entry {part + 1}" if isinstance(part, int) else part for part in entry["loc"])
    return f"{place}: {entry['msg']}" + (f" (found {entry['input']!r:.60})" if entry["type"] != "missing" else "")


ActivationText = Annotated[str, BeforeValidator(spelt)]
