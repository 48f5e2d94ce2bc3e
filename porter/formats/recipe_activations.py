"""Activations that a recipe writes out: quotients of polynomials."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from porter.errors import PorterError
from porter.formats.recipe_ends import Finite
from porter.network.activations import format_activation, parse_activation
from reference.activations import Activation
from reference.rational import DEGREE, DENOMINATOR, NUMERATOR

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


def spelt(value: Any) -> Any:
    """The spelling of an activation, also of one that is written out; anything else as it is.

    Raises:
        ValueError: what is written out is not read.
    """
    if isinstance(value, dict):
        if "table" in value:
            raise ValueError(
                "a table of entries is not read; a rational function is, as "
                "{numerator = [0.0, 1.0], denominator = [1.0, 0.0, 0.5]}"
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
