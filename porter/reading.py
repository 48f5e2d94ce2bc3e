"""Is the file read as the original software reads it? Golden samples prove or contradict it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from reference.scaling import Scaling
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


def _alternatives(program: Program, claim: Claim) -> Iterator[tuple[str, Program]]:
    """Programs in which this one convention is read otherwise."""
    step = next((s for s in program.steps if s.name == claim.layer), None)
    if claim.convention == "orientation" and isinstance(step, Dense) and step.width[0] == step.width[1]:
        other: Orientation = "inputs-first" if step.orientation == "units-first" else "units-first"
        yield other, _with(program, replace(step, orientation=other))
    elif claim.convention == "activation" and isinstance(step, Dense):
        for name in ALTERNATIVES:
            if name != step.activation.name:
                yield name, _with(program, replace(step, activation=Activation(name)))
    elif isinstance(step, Scaling) and claim.convention == "scaling":
        for rule in ("[-1,1]", "[0,1]", "mean-std"):
            if rule != step.rule:
                yield rule, _with(program, replace(step, rule=rule))


def _with(program: Program, step: Any) -> Program:
    return replace(program, steps=tuple(step if old.name == step.name else old for old in program.steps))


def _contradicted(program: Program, claims: Sequence[Claim], golden: Any, ratio: float) -> Reading:
    worst = _largest_difference(program, golden)
    fitting = _other_reading(program, claims, golden)
    last = program.steps[-1].name
    shown = f"largest difference {worst:.4g}, {ratio:.3g} times what rounding allows, over {len(golden.inputs)} rows"
    if fitting is None:
        remedy = "check activation=, orientation=, scaling=, and that the samples are in the network's own units"
        cause = Cause("reading.contradicted", last, "the golden samples are not reproduced", remedy, shown)
        marked = tuple(replace(c, evidence="contradicted") if c.evidence == "assumed" else c for c in claims)
        return Reading("contradicted", marked, f"the reference does not reproduce the golden samples: {shown}", cause)
    layer, convention, value = fitting
    marked = tuple(
        replace(c, evidence="contradicted", detail=f"the golden samples are reproduced with {value}")
        if (c.layer, c.convention) == (layer, convention)
        else c
        for c in claims
    )
    remedy = f"read the file with {convention} {value} for {layer}: {_option(program, layer, convention, value)}"
    message = f"the golden samples contradict {convention} as read; they are reproduced with {value}"
    cause = Cause("reading.contradicted", layer, message, remedy, shown)
    return Reading(
        "contradicted", marked, f"the golden samples are reproduced only with {layer} {convention} {value}", cause
    )


def _other_reading(program: Program, claims: Sequence[Claim], golden: Any) -> tuple[str, str, str] | None:
    """The single convention that, read otherwise, reproduces the samples."""
    for claim in claims:
        for value, other in _alternatives(program, claim):
            if misfit(other, golden, "float32", FEW) <= 1:
                return claim.layer, claim.convention, value
    return None


def _option(program: Program, layer: str, convention: str, value: str) -> str:
    names: dict[str, Callable[[], str]] = {
        "scaling": lambda: f'scaling="{value}"',
        "orientation": lambda: (
            f"orientation={[_orientation(s, layer, value) for s in program.steps if isinstance(s, Dense)]}"
        ),
        "activation": lambda: (
            f"activation={[_activation(s, layer, value) for s in program.steps if isinstance(s, Dense)]}"
        ),
    }
    return names[convention]()


def _orientation(step: Dense, layer: str, value: str) -> str:
    return value if step.name == layer else step.orientation


def _activation(step: Dense, layer: str, value: str) -> str:
    return value if step.name == layer else str(step.activation)
