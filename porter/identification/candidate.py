"""One way to read the file: which arrays are the layers, how, and what stands around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from porter.identification.candidates import activation
from porter.identification.columns import applied
from porter.identification.ends import End
from porter.identification.pool import Pool
from porter.identification.skeletons import KernelReading
from reference.composed.ensemble import Ensemble
from reference.composed.extremes import Extremes
from reference.operations.dense import Dense
from reference.operations.scaling import Rule, Scaling
from reference.operations.transforms import Transform
from reference.trace import Program, chain

Array = NDArray[Any]


@dataclass(frozen=True)
class Bounds:
    """What the outputs are held to.

    Attributes:
        names: of the vectors, for a recipe: least, greatest, and tolerance or None.
        least: (n,) float64.
        greatest: (n,).
        tolerance: (n,) infinite where nothing is flagged.
    """

    names: tuple[str | None, str | None, str | None]
    least: Array
    greatest: Array
    tolerance: Array

    def __str__(self) -> str:
        least, greatest, tolerance = (name if name is not None else "a number" for name in self.names)
        flagged = "" if np.isinf(self.tolerance).all() else f", flagged more than {tolerance} beyond"
        return f"held to {least} and {greatest}{flagged}"


@dataclass(frozen=True)
class Member:
    """One network of an ensemble, or the only one.

    Attributes:
        layers: in order of computation.
        before: how its inputs are scaled.
        after: how its outputs are scaled.
    """

    layers: tuple[KernelReading, ...]
    before: End
    after: End


@dataclass(frozen=True)
class Candidate:
    """A configuration.

    Attributes:
        members: one, or those of an ensemble.
        activations: one a layer.
        functions_in: one a column.
        functions_out: one a column.
        rule: of the ensemble; None for one network.
        bounds: None where there are none.
    """

    members: tuple[Member, ...]
    activations: tuple[str, ...]
    functions_in: tuple[str, ...]
    functions_out: tuple[str, ...]
    rule: str | None = None
    bounds: Bounds | None = None

    @property
    def layers(self) -> tuple[KernelReading, ...]:
        """Those of the first member."""
        return self.members[0].layers

    def with_bounds(self, bounds: Bounds) -> Candidate:
        """The same, held to these bounds."""
        return replace(self, bounds=bounds)

    def unused(self, pool: Pool) -> list[str]:
        """Names of the arrays that no part of it takes."""
        used: set[str] = set()
        for member in self.members:
            for reading in member.layers:
                used |= {name for name in (reading.array, reading.bias) if name is not None}
            for end in (member.before, member.after):
                used |= {str(vector) for vector in end.recipe.vectors} if end.recipe is not None else set()
        if self.bounds is not None:
            used |= {name for name in self.bounds.names if name is not None}
        plain = {name.partition("[")[0] for name in used}
        return [name for name in pool.arrays if name not in plain]

    def predict(self, pool: Pool, inputs: Array) -> Array:
        """(rows, outputs) in float64, without bounds."""
        fed = applied(self.functions_in, inputs)
        with np.errstate(all="ignore"):
            parts = [self._member(pool, member, fed) for member in self.members]
            values = merged(np.concatenate(parts, axis=1), self.rule) if self.rule is not None else parts[0]
            return applied(self.functions_out, values)

    def _member(self, pool: Pool, member: Member, fed: Array) -> Array:
        values = fed * member.before.scale + member.before.offset
        for reading, name in zip(member.layers, self.activations, strict=True):
            kernel, bias = reading.canonical(pool)
            z = values @ kernel
            values = activation(name)(z if bias is None else z + bias)
        return np.asarray((values - member.after.offset) / member.after.scale)

    def program(self, pool: Pool, dtype: Any = np.float64) -> Program:
        """The forward pass of one network as a program of the reference.

        Raises:
            ValueError: it is an ensemble, whose program the recipe's reader makes.
        """
        if self.rule is not None:
            raise ValueError("an ensemble")
        member = self.members[0]
        steps: list[Any] = []
        if set(self.functions_in) != {"identity"}:
            steps.append(Transform("Transform_in", ("",), self.functions_in, dtype))
        steps += _scaling("Norm_in", member.before, dtype)
        for number, (reading, name) in enumerate(zip(member.layers, self.activations, strict=True), start=1):
            matrix, bias = reading.stored(pool)
            steps.append(Dense(f"Layer{number}", ("",), matrix, bias, activation(name), reading.orientation, dtype))
        steps += _scaling("Norm_out", member.after, dtype)
        if set(self.functions_out) != {"identity"}:
            steps.append(Transform("Transform_out", ("",), self.functions_out, dtype))
        if self.bounds is not None:
            limits = (self.bounds.least, self.bounds.greatest, self.bounds.tolerance)
            steps.append(Extremes("Extremes", ("",), *limits, dtype))
        names = ["inputs", *(step.name for step in steps)]
        return chain([replace(step, inputs=(before,)) for step, before in zip(steps, names, strict=False)])

    @cached_property
    def words(self) -> dict[str, str]:
        """Every convention by its place, in words that can be compared."""
        found: dict[str, str] = {}
        for number, (reading, name) in enumerate(zip(self.layers, self.activations, strict=True), start=1):
            found[f"Layer{number} kernel"] = reading.array
            found[f"Layer{number} orientation"] = reading.orientation
            found[f"Layer{number} memory order"] = reading.order
            found[f"Layer{number} bias"] = str(reading.bias if reading.bias_in is None else reading.bias_in)
            found[f"Layer{number} activation"] = name
        found["Norm_in scaling"] = str(self.members[0].before)
        found["Norm_out scaling"] = str(self.members[0].after)
        found["Transform_in transform"] = spelt(self.functions_in)
        found["Transform_out transform"] = spelt(self.functions_out)
        if self.rule is not None:
            found["Ensemble transform"] = f"{self.rule} of {len(self.members)}"
        if self.bounds is not None:
            found["Extremes bounds"] = str(self.bounds)
        return found

    def differences(self, other: Candidate) -> list[tuple[str, str, str]]:
        """Place, what it is here, what it is there."""
        mine, theirs = self.words, other.words
        return [(place, mine.get(place, "none"), theirs.get(place, "none"))
                for place in dict.fromkeys((*mine, *theirs)) if mine.get(place) != theirs.get(place)]  # fmt: skip


def spelt(functions: Sequence[str]) -> str:
    """Functions a column, in few words."""
    names = list(dict.fromkeys(functions))
    if len(names) == 1:
        return "none" if names[0] == "identity" else names[0]
    return ", ".join(f"{name} of {functions.count(name)}" for name in names)


def merged(values: Array, rule: str | None) -> Array:
    """(rows, members) to (rows, 1)."""
    step = Ensemble("Ensemble", ("",), values.shape[1], str(rule))
    return np.asarray(step(values).outputs)


def _scaling(name: str, end: End, dtype: Any) -> list[Scaling]:
    if end.recipe is None or end.pairs is None:
        return []
    rule = cast(Rule, end.recipe.chosen_rule)
    return [Scaling(name, ("",), end.pairs[:, 0], end.pairs[:, 1], rule, name == "Norm_out", dtype)]
