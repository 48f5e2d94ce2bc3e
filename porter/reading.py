"""Is the file read as the original software reads it? Golden samples prove or contradict it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.codes import Cause
from porter.network import Claim
from reference.activations import Activation
from reference.dense import Dense, Orientation
from reference.precision import Precision
from reference.rounding import allowed_error
from reference.scaling import Rule, Scaling
from reference.trace import Program

Array = NDArray[Any]

ALTERNATIVES = ("linear", "tanh", "relu", "sigmoid", "softsign", "hard_tanh", "scaled_tanh", "softplus", "elu")
FEW = 64
"""Rows on which other readings are tried; they are refuted by far fewer."""


@dataclass(frozen=True)
class Reading:
    """The link from the file to its meaning.

    Attributes:
        verdict: "proven", "declared", "assumed" or "contradicted"; the weakest of the claims.
        claims: as the network has them, with what the samples add.
        note: what was checked and with what.
        cause: the mistake, where the samples contradict the reading.
    """

    verdict: str
    claims: tuple[Claim, ...]
    note: str
    cause: Cause | None = None


def check_reading(program: Program, claims: Sequence[Claim], golden: Any = None) -> Reading:
    """Judge the reading by golden samples, where there are some.

    Args:
        program: the legacy forward pass under this reading.
        claims: its conventions with their evidence.
        golden: samples with ``inputs`` (rows, n), ``outputs`` (rows, m), ``input_resolution`` and
            ``resolution`` (how exactly either is known), or None.
    """
    if golden is None:
        return Reading(_weakest(claims), tuple(claims), "no golden samples were given: what is assumed stays assumed")
    ratio, unit = _closest(program, golden)
    rows = len(golden.inputs)
    if ratio > 1:
        return _contradicted(program, claims, golden, ratio)
    proven, open_ones = _proven(program, claims, golden, unit)
    worst = _largest_difference(program, golden)
    name = {2.0**-53: "float64", 2.0**-24: "float32"}[unit]
    note = f"the reference reproduces {rows} golden samples to {name} rounding (largest difference {worst:.2g})"
    if open_ones:
        note += f"; they cannot tell apart: {'; '.join(open_ones)}"
    return Reading(_weakest(proven), tuple(proven), note)


def _weakest(claims: Sequence[Claim]) -> str:
    evidence = {claim.evidence for claim in claims}
    for weak in ("contradicted", "assumed", "declared"):
        if weak in evidence:
            return weak
    return "proven"


def _closest(program: Program, golden: Any) -> tuple[float, float]:
    """The largest difference over what rounding allows, and the unit roundoff that the samples were computed in."""
    ratio = np.inf
    for unit, name in ((2.0**-53, "float64"), (2.0**-24, "float32")):
        ratio = misfit(program, golden, name)
        if ratio <= 1:
            return ratio, unit
    return ratio, 2.0**-24


def misfit(program: Program, golden: Any, dtype: str, most: int | None = None) -> float:
    """Largest abs(sample - reference) over the end-to-end bound of an evaluation in ``dtype`` by another's code.

    Args:
        program: a chain.
        golden: the samples.
        dtype: in which the original software computed.
        most: how many rows at most.
    """
    inputs, outputs = np.asarray(golden.inputs)[:most], np.asarray(golden.outputs, np.float64)[:most]
    precision = Precision(dtype, "float64")
    values, error = np.asarray(inputs, np.float64), np.asarray(golden.input_resolution, np.float64)[:most]
    for step in program.steps:
        trace = step(values)
        error = allowed_error(step, (values,), trace, precision, input_error=(error,))
        values = np.asarray(trace.outputs, np.float64)
    if values.shape != outputs.shape:
        return np.inf
    allowed = error + np.asarray(golden.resolution, np.float64)[:most]
    if not np.isfinite(allowed).all():  # a bound that allows anything proves nothing
        return np.inf
    with np.errstate(all="ignore"):
        ratio = np.where(values == outputs, 0.0, np.abs(values - outputs) / allowed)
    return float(np.max(np.where(np.isnan(ratio), np.inf, ratio), initial=0.0))


def _largest_difference(program: Program, golden: Any) -> float:
    (values,) = program(np.asarray(golden.inputs, np.float64))
    return float(np.max(np.abs(values - golden.outputs), initial=0.0))


def _proven(program: Program, claims: Sequence[Claim], golden: Any, unit: float) -> tuple[list[Claim], list[str]]:
    """Claims with what the samples say of them, and the readings that the samples cannot tell apart.

    A reading that the samples refute is out. One that gives the very same numbers on every sample is a twin: the
    convention is proven up to it, and it is named.
    """
    dtype = "float64" if unit == 2.0**-53 else "float32"
    result, left = [], []
    for claim in claims:
        others = list(_alternatives(program, claim))
        fitting = [(name, other) for name, other in others if misfit(other, golden, dtype, FEW) <= 1]
        fitting = [(name, other) for name, other in fitting if misfit(other, golden, dtype) <= 1]
        twins = [name for name, other in fitting if _is_twin(program, other, golden)]
        if fitting:
            left.append(f"{claim.layer} {claim.convention} {claim.value} and {', '.join(name for name, _ in fitting)}")
        if claim.evidence == "shape" or len(fitting) > len(twins) or (not others and claim.evidence != "assumed"):
            result.append(claim)
        else:
            result.append(replace(claim, evidence="samples", detail=_proof(golden, len(others) - len(twins), twins)))
    return result, left


def _is_twin(program: Program, other: Program, golden: Any) -> bool:
    """Whether two readings give the same numbers on every sample, so that none of them could tell."""
    inputs = np.asarray(golden.inputs, np.float64)
    return bool(np.array_equal(program(inputs)[0], other(inputs)[0]))


def _proof(golden: Any, refuted: int, twins: Sequence[str]) -> str:
    detail = f"{len(golden.inputs)} golden samples are reproduced with it"
    detail += f" and with none of {refuted} other readings" if refuted else ""
    return detail + (f"; {', '.join(twins)} gives the same numbers on every one of them" if twins else "")


@dataclass(frozen=True)
class _Other:
    """Another reading of the file: one convention, of one layer or of all that it concerns, read otherwise."""

    convention: str
    layers: tuple[str, ...]
    value: str
    program: Program


def _alternatives(program: Program, claim: Claim) -> Iterator[tuple[str, Program]]:
    """Programs in which this one convention is read otherwise."""
    step = next((s for s in program.steps if s.name == claim.layer), None)
    for value, other in _readings(step, claim.convention):
        yield value, _with(program, [other])


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


def _other_readings(program: Program, claims: Sequence[Claim]) -> Iterator[_Other]:
    """One convention of one layer read otherwise; then of all layers at once, as an option sets it."""
    for claim in claims:
        for value, other in _alternatives(program, claim):
            yield _Other(claim.convention, (claim.layer,), value, other)
    last = next(step.name for step in reversed(program.steps) if isinstance(step, Dense))
    for convention in ("scaling", "activation", "orientation"):
        steps = [s for s in program.steps if convention != "activation" or s.name != last]
        by_value: dict[str, list[Any]] = {}
        for step in steps:
            for value, other in _readings(step, convention):
                by_value.setdefault(value, []).append(other)
        for value, changed in by_value.items():
            yield _Other(convention, tuple(step.name for step in changed), value, _with(program, changed))


def _with(program: Program, steps: Sequence[Any]) -> Program:
    changed = {step.name: step for step in steps}
    return replace(program, steps=tuple(changed.get(old.name, old) for old in program.steps))


def _contradicted(program: Program, claims: Sequence[Claim], golden: Any, ratio: float) -> Reading:
    worst = _largest_difference(program, golden)
    shown = f"largest difference {worst:.4g}, {ratio:.3g} times what rounding allows, over {len(golden.inputs)} rows"
    tries = _other_readings(program, claims)
    fitting = next((other for other in tries if misfit(other.program, golden, "float32", FEW) <= 1), None)
    if fitting is None:
        remedy = "check activation=, orientation=, scaling=, and that the samples are in the network's own units"
        message = "the golden samples are not reproduced"
        cause = Cause("reading.contradicted", program.steps[-1].name, message, remedy, shown)
        marked = tuple(replace(c, evidence="contradicted") if c.evidence == "assumed" else c for c in claims)
        return Reading("contradicted", marked, f"the reference does not reproduce the golden samples: {shown}", cause)
    marked = tuple(
        replace(c, evidence="contradicted", detail=f"the golden samples are reproduced with {fitting.value}")
        if c.layer in fitting.layers and c.convention == fitting.convention
        else c
        for c in claims
    )
    where = ", ".join(fitting.layers)
    instead = ", instead of activation= and output_activation=" if fitting.convention == "activation" else ""
    remedy = f"read the file with {fitting.convention} {fitting.value} for {where}{instead}: {_option(fitting)}"
    message = f"the golden samples contradict {fitting.convention} as read; they are reproduced with {fitting.value}"
    cause = Cause("reading.contradicted", fitting.layers[0], message, remedy, shown)
    note = f"the golden samples are reproduced only with {fitting.convention} {fitting.value} for {where}"
    return Reading("contradicted", marked, note, cause)


def _option(other: _Other) -> str:
    """How to say it to ``porter.read``."""
    dense = [step for step in other.program.steps if isinstance(step, Dense)]
    if other.convention == "scaling":
        return f'scaling="{other.value}"'
    if other.convention == "orientation":
        return f"orientation={[step.orientation for step in dense]}"
    return f"activation={[str(step.activation) for step in dense]}"
