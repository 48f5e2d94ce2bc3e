"""How else a file might be read: one convention, of one layer or of all, read otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from porter.network import Claim
from reference.activations import Activation
from reference.operations.dense import Dense, Orientation
from reference.operations.scaling import Rule, Scaling
from reference.trace import Program

ALTERNATIVES = ("linear", "tanh", "relu", "sigmoid", "softsign", "hard_tanh", "scaled_tanh", "softplus", "elu")


@dataclass(frozen=True)
class Formula:
    """A legacy forward pass under one reading.

    Attributes:
        program: in float64.
        short: in float32, where that is not made from the steps themselves.
    """

    program: Program
    short: Program | None = None


@dataclass(frozen=True)
class Other:
    """Another reading of the file.

    Attributes:
        convention: what is read otherwise.
        layers: whose.
        value: how.
        formula: what follows from it.
        option: how to say it to ``porter.read``.
    """

    convention: str
    layers: tuple[str, ...]
    value: str
    formula: Formula
    option: str


def alternatives(program: Program, claim: Claim) -> list[Other]:
    """Readings in which this one convention is read otherwise."""
    step = next((s for s in program.steps if s.name == claim.layer), None)
    return [_other(program, claim.convention, value, [changed]) for value, changed in _readings(step, claim.convention)]


def other_readings(program: Program, claims: Sequence[Claim]) -> Iterator[Other]:
    """One convention of one layer read otherwise; then of all layers at once, as an option sets it."""
    for claim in claims:
        yield from alternatives(program, claim)
    dense = [step for step in program.steps if isinstance(step, Dense)]
    for convention in ("scaling", "activation", "orientation") if dense else ():
        steps = [s for s in program.steps if convention != "activation" or s.name != dense[-1].name]
        by_value: dict[str, list[Any]] = {}
        for step in steps:
            for value, changed in _readings(step, convention):
                by_value.setdefault(value, []).append(changed)
        for value, several in by_value.items():
            yield _other(program, convention, value, several)


def _readings(step: Any, convention: str) -> Iterator[tuple[str, Any]]:
    """The step with one convention read otherwise, by the name of that reading."""
    if convention == "orientation" and isinstance(step, Dense) and step.width[0] == step.width[1]:
        flipped: Orientation = "inputs-first" if step.orientation == "units-first" else "units-first"
        yield flipped, replace(step, orientation=flipped)
    elif convention == "activation" and isinstance(step, Dense):
        for name in ALTERNATIVES:
            if name != step.activation.name:
                yield name, replace(step, activation=Activation(name))
    elif convention == "scaling" and isinstance(step, Scaling):
        rules: tuple[Rule, ...] = ("[-1,1]", "[0,1]", "mean-std")
        for rule in rules:
            impossible = rule == "mean-std" and bool((step.second <= 0).any())
            if rule != step.rule and not impossible:
                yield rule, replace(step, rule=rule)


def _other(program: Program, convention: str, value: str, steps: Sequence[Any]) -> Other:
    changed = {step.name: step for step in steps}
    read = replace(program, steps=tuple(changed.get(old.name, old) for old in program.steps))
    return Other(convention, tuple(changed), value, Formula(read), _option(read, convention, value))


def _option(program: Program, convention: str, value: str) -> str:
    dense = [step for step in program.steps if isinstance(step, Dense)]
    if convention == "scaling":
        return f'scaling="{value}"'
    if convention == "orientation":
        return f"orientation={[step.orientation for step in dense]}"
    return f"activation={[str(step.activation) for step in dense]}"
