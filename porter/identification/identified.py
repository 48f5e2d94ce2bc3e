"""The answer of a search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.formats.recipe_writing import write_text
from porter.identification.as_recipe import recipe_text
from porter.identification.candidate import Candidate
from porter.identification.confirming import Alternative
from porter.identification.extent import Extent
from porter.network import Network
from porter.reading.check import Reading

Array = NDArray[Any]

Status = Literal["found", "open", "none", "wrong samples", "no samples"]
SHOWN, SHOWN_A_PLACE = 8, 3
"""Alternatives of an answer, and of one convention."""
SHOWN_INPUTS = 12


@dataclass(frozen=True)
class Identified:
    """How a file is to be read, as far as samples show it.

    Attributes:
        file: the legacy file.
        status: "found": one configuration gives the samples, or others give the same for every input that was tried;
            "open": several that some input would tell apart; "none"; "wrong samples": they cannot be this network's;
            "no samples": what shapes and statistics say.
        lines: what there is to say, in sentences.
        recipe: the configuration as a recipe's plain data; None where there is none.
        network: the file read by it; None where there is none.
        reading: how the samples judge it, by the rule of every report; None where there is none.
        alternatives: configurations that the samples cannot tell from it.
        residuals: (outputs,) of the best configuration where none gives the samples, as shares of each output's size.
        tried: how many configurations, about.
        shown: how far the samples lead into each layer, and each output; empty where no configuration gives them.
        candidate: the configuration itself.
        sha256: of the file.
    """

    file: Path
    status: Status
    lines: tuple[str, ...]
    recipe: Mapping[str, Any] | None = None
    network: Network | None = None
    reading: Reading | None = None
    alternatives: tuple[Alternative, ...] = ()
    residuals: Array | None = None
    tried: float = 0.0
    shown: tuple[Extent, ...] = ()
    candidate: Candidate | None = field(default=None, repr=False)
    sha256: str = ""

    @property
    def is_unique(self) -> bool:
        """Whether the samples leave one configuration, up to others that give the same for every input tried."""
        return self.status == "found"

    @property
    def is_proven(self) -> bool:
        """Whether the samples prove it, as far as they lead into its layers (``shown``)."""
        return self.reading is not None and self.reading.verdict == "proven"

    @property
    def telling_inputs(self) -> list[Array]:
        """Inputs to run through the original software: each tells the configuration from an alternative.

        Those in the documented range, or that of the samples, first.
        """
        told = sorted(self.alternatives, key=lambda each: each.is_outside)
        return [each.row for each in told if each.row is not None]

    def write_recipe(self, path: str | Path, *, force: bool = False) -> None:
        """Write the recipe by which ``porter.read`` reads the file so; complete or not at all.

        Raises:
            UsageError: there is none.
            OutputExistsError: the file exists, and ``force`` is not given.
        """
        if self.recipe is None:
            raise UsageError(f"a recipe for {self.file}", found=self.lines[0], expected="a configuration")
        comments = [f"How {self.file.name} is read (SHA-256 {self.sha256}), found from samples:", *self._comments()]
        write_text(Path(path), recipe_text(self.recipe, comments), force=force)

    def _comments(self) -> list[str]:
        told = [line for text in self.lines for line in text.splitlines()]
        return [line[:200] for line in told]

    def to_json(self) -> str:
        """Plain data."""
        return json.dumps(
            {
                "schema_version": 1,
                "file": str(self.file),
                "status": self.status,
                "verdict": None if self.reading is None else self.reading.verdict,
                "lines": list(self.lines),
                "recipe": self.recipe,
                "tried": self.tried,
                "shown": [each.as_dict() for each in self.shown],
                "residuals": None if self.residuals is None else _numbers(self.residuals),
                "alternatives": [_alternative(each) for each in self.alternatives],
            }
        )

    def __str__(self) -> str:
        lines = [f"{self.file}: {_HEADS[self.status]}"]
        if self.candidate is not None:
            lines += [f"  {line}" for line in described(self.candidate)]
        return "\n".join([*lines, *(f"  {line}" for line in self.lines)])

    def __repr__(self) -> str:
        return f"<Identified {self.file.name!r}: {self.status}>"


_HEADS = {
    "found": "one configuration gives the samples",
    "open": "several configurations give the samples",
    "none": "no configuration gives the samples",
    "wrong samples": "the samples cannot be this network's",
    "no samples": "what shapes and weights say, without samples",
}


def described(candidate: Candidate) -> list[str]:
    """A line a step."""
    words = candidate.words
    lines = []
    for name in ("Transform_in", "Norm_in"):
        value = words.get(f"{name} {'transform' if name == 'Transform_in' else 'scaling'}", "none")
        lines += [f"{name}: {value}"] if value != "none" else []
    for number, reading in enumerate(candidate.layers, start=1):
        order = "" if reading.order == "C" else f", {reading.order} order"
        shape = "" if reading.shape is None else f", as {reading.shape[0]} x {reading.shape[1]}"
        bias = reading.bias if reading.bias_in is None else f"the kernel's {reading.bias_in}"
        activation = candidate.activations[number - 1]
        how = f"{reading.orientation}{shape}{order}"
        lines.append(f"Layer{number}: {reading.array} ({how}), bias {bias or 'none'}, {activation}")
    for name, kind in (("Norm_out", "scaling"), ("Ensemble", "transform"), ("Transform_out", "transform")):
        value = words.get(f"{name} {kind}", "none")
        lines += [f"{name}: {value}"] if value != "none" else []
    if candidate.bounds is not None:
        lines.append(f"Extremes: {candidate.bounds}")
    return lines


def alternative_lines(others: Sequence[Alternative]) -> list[str]:
    """A line for each that differs in one convention, or in several together; combinations of these are counted."""
    single = {each.differences[0] for each in others if len(each.differences) == 1}
    shown = [each for each in others if len(each.differences) == 1 or not set(each.differences) <= single]
    shown.sort(key=lambda each: (each.row is None, each.is_outside))
    places = [each.differences[0][0] for each in shown]
    shown = [each for n, each in enumerate(shown) if places[:n].count(places[n]) < SHOWN_A_PLACE][:SHOWN]
    lines = [f"as well: {alternative_line(each)}" for each in shown]
    rest = len(others) - len(shown)
    return [*lines, f"and {rest} more, of these kinds or combinations of these"] if rest else lines


def alternative_line(each: Alternative) -> str:
    """What else it might be, and what would tell."""
    what = "; ".join(f"{place} {there} (not {here})" for place, here, there in each.differences[:SHOWN])
    if each.row is None or each.outputs is None or each.others is None:
        return f"{what}: no input in the documented range, or that of the samples, was found that tells it apart"
    with np.errstate(invalid="ignore"):
        column = int(np.nanargmax(np.abs(each.outputs - each.others)))
    row = ", ".join(f"{value:.6g}" for value in each.row[:SHOWN_INPUTS])
    row += ", ..." if each.row.size > SHOWN_INPUTS else ""
    what += ": not in the range of the samples, but beyond it" if each.is_outside else ""
    return (
        f"{what}: the input [{row}] would tell ({each.outputs[column]:.6g}, or {each.others[column]:.6g}, in output "
        f"{column}): run it through the original software and add it to the samples"
    )


def _alternative(each: Alternative) -> dict[str, Any]:
    return {
        "differences": [list(difference) for difference in each.differences],
        "outside": each.is_outside,
        "input": None if each.row is None else each.row.tolist(),
        "outputs": None if each.outputs is None else _numbers(each.outputs),
        "other_outputs": None if each.others is None else _numbers(each.others),
    }


def _numbers(values: Sequence[float] | Array) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
