"""Which function a port applies to the preactivations, told by what it gives on its own kernel and bias."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.compare import Comparison
from porter.examination.functions import ALONE
from porter.examination.judging import judge_values
from porter.examination.pasting import activated
from porter.examination.suspect import Suspect
from reference.activations import BY_COEFFICIENTS, FUNCTIONS, Activation
from reference.composed.forms import equivalent_forms
from reference.operations.dense import Activate
from reference.rational import DENOMINATOR, NUMERATOR, bends, coefficients, horner
from reference.table import entries_of, middles

Array = NDArray[Any]

FEW = 24
NEAR = 0.02
"""A curve that stays this close to a function is an approximation of it."""
CLOSE = 1e-6
"""Closer than a table or a rational would be: the function itself, as exactly as the platform has it."""


@dataclass(frozen=True)
class ActivationReading:
    """The explanation of an activation.

    Attributes:
        causes: what is wrong with it; empty where nothing is.
        activation: what the port applies, or None where nothing that was tried fits.
        comparison: the block against the layer with the port's own kernel and bias and that activation.
        tried: how many activations were compared.
        twins: other activations that fit as well on every probe.
    """

    causes: tuple[Cause, ...]
    activation: Activation | None
    comparison: Comparison
    tried: int = 0
    twins: tuple[str, ...] = ()


def explain_activation(suspect: Suspect, kernel: Array, bias: Array | None) -> ActivationReading:
    """Find the activation with which the port's own kernel and bias give what the port gives.

    Args:
        suspect: the layer.
        kernel: (inputs, units) the port's own, float64.
        bias: (units,) the port's own, or None.
    """
    own = suspect.own.activation
    under = _under(suspect, kernel, bias)
    comparison = under(own, None)
    if comparison.is_parity:
        return ActivationReading((), own, comparison)
    for form in equivalent_forms(suspect.variant(kernel, bias, own)):
        other = suspect.judge(form)
        if other.is_parity:
            return ActivationReading((), own, other)
    tried, fits = 0, list[Activation]()
    for activation in (*candidates(own), *fitted(*curve(suspect, kernel, bias), own)):
        tried += 1
        known = any(is_same(activation, other) for other in fits)
        few = None if activation.parameters.get("axis") == 0 else FEW  # over rows, some rows are another question
        if not known and under(activation, few).is_parity and under(activation, None).is_parity:
            fits.append(activation)
    if fits:
        cause = replaced(suspect, own, fits[0])
        twins = tuple(str(other) for other in fits[1:])
        return ActivationReading((cause,), fits[0], under(fits[0], None), tried, twins)
    return _approximated(suspect, kernel, bias, comparison, tried)


def is_same(one: Activation, other: Activation) -> bool:
    """Whether two spellings are one function: tanh is a scaled tanh with 1 and 1."""
    z = np.linspace(-30, 30, 601)[:, None].repeat(2, axis=1) * [1.0, 0.5]
    with np.errstate(all="ignore"):
        return bool(np.allclose(one(z), other(z), rtol=1e-6, atol=1e-6, equal_nan=True))


def _under(suspect: Suspect, kernel: Array, bias: Array | None) -> Callable[[Activation, int | None], Comparison]:
    def judge(activation: Activation, most: int | None) -> Comparison:
        return suspect.judge(suspect.variant(kernel, bias, activation), most=most)

    return judge


def candidates(own: Activation) -> Iterator[Activation]:
    """Every other activation, then those with a parameter at the values in common use."""
    yield from (Activation(name) for name in FUNCTIONS if Activation(name) != own)
    for slope in (0.01, 0.1, 0.2, 0.25, 0.3):
        yield Activation("leaky_relu", {"negative_slope": slope})
    for alpha in (0.1, 0.5, 1.6732632423543772):
        yield Activation("elu", {"alpha": alpha})
    for limit in (1.0, 6.0):
        yield Activation("relu", {"max_value": limit})
    yield Activation("scaled_tanh", {"amplitude": 1.7159, "slope": 1.0})
    yield Activation("softmax", {"axis": 0})


def fitted(z: Array, found: Array, own: Activation | None = None) -> list[Activation]:
    """Activations whose parameter is read off points of the port's own curve, both (points,).

    Args:
        z: preactivations.
        found: what the port gives.
        own: the file's activation, of which one coefficient may be another.
    """
    with np.errstate(all="ignore"):
        others = [] if own is None else _of_the_same_kind(z, found, own)
        return [*_fitted(z, found), *others]


def _of_the_same_kind(z: Array, found: Array, own: Activation) -> Iterable[Activation]:
    if own.name == "table":
        return [Activation("table", {**own.parameters, "nearest": 1 - own.parameters["nearest"]})]
    return _coefficients(z, found, own) if own.name in BY_COEFFICIENTS and z.size else ()


def _coefficients(z: Array, found: Array, own: Activation) -> Iterator[Activation]:
    """Quotients N / D with one other coefficient c: where N = g D, c z^k is left of the rest, by least squares."""
    sides = coefficients(own.parameters)
    above, below = (horner(each, z) for each in sides)
    certain = 1 / (np.abs(above) + np.abs(found * below))  # what both are rounded by
    for keys, side, factor in ((NUMERATOR, sides[0], np.ones_like(z)), (DENOMINATOR, sides[1], -found)):
        for power, given in enumerate(side):
            term, left = factor * z**power, found * below - above
            held = np.isfinite(certain * left) & np.isfinite(certain * term)
            weighted = (certain * term)[held]
            change = float(weighted @ (certain * left)[held] / (weighted @ weighted))
            other = {**own.parameters, keys[power]: _snap(given + change)}
            if np.isfinite(change) and other[keys[power]] != given and bends(other):
                yield Activation(own.name, other)


def _fitted(z: Array, found: Array) -> Iterator[Activation]:
    if z.size == 0:
        return
    negative = (z < -1e-2) & np.isfinite(found)
    if negative.any():
        slope = _snap(float(np.median(found[negative] / z[negative])))
        if slope != 0 and abs(slope - 1) > 1e-3:  # a slope of 0 is relu, of 1 none at all
            yield Activation("leaky_relu", {"negative_slope": slope})
        alpha = _snap(float(np.median(found[negative] / np.expm1(z[negative]))))
        if alpha != 0:
            yield Activation("elu", {"alpha": alpha})
    yield from _scaled_tanh(z, found)


def _scaled_tanh(z: Array, found: Array) -> Iterator[Activation]:
    """The scaled tanh through the port's curve: the rise at zero, then the amplitude that fits the rest."""
    near = (np.abs(z) < 0.05) & (np.abs(z) > 1e-3)
    amplitude = float(np.max(np.abs(found), initial=0.0))
    if not near.any() or not np.isfinite(amplitude) or amplitude == 0:
        return
    rise = float(np.median(found[near] / z[near]))
    for _ in range(60):  # a = max |g| / tanh(rise / a * max |z|) has one solution, which this iteration comes to
        reach = np.tanh(abs(rise) / amplitude * np.max(np.abs(z)))
        amplitude = float(np.max(np.abs(found)) / reach) if reach > 0 else amplitude
    # The rise is read off inside |z| < 0.05, where tanh bends by less than 1e-3: correct for it once.
    slope = float(np.median(np.arctanh(np.clip(found[near] / amplitude, -0.999, 0.999)) / z[near]))
    yield Activation("scaled_tanh", {"amplitude": _snap(amplitude), "slope": _snap(slope)})


def _snap(value: float) -> float:
    """The number of five digits that a person would have written, where it is that number to float32."""
    short = 0.0 if abs(value) < 1e-9 else float(f"{value:.5g}")
    return short if abs(short - value) <= 4e-6 * abs(value) else value


def curve(suspect: Suspect, kernel: Array, bias: Array | None, most: int = 400) -> tuple[Array, Array]:
    """Points (preactivation, output) of the port's block, in float64, sorted; both (points,)."""
    z, found = curves(suspect, kernel.shape[1], most)
    return z, found[:, 0]


def curves(suspect: Suspect, units: int, most: int = 400) -> tuple[Array, Array]:
    """The same of each unit: (points,) and (points, units); no points where there are no curves."""
    return _tail_at(suspect, np.concatenate([np.linspace(-10, 10, most), np.linspace(-0.05, 0.05, 41)]), units)


def _tail_at(suspect: Suspect, z: Array, units: int) -> tuple[Array, Array]:
    """What each unit gives for these preactivations, (points,), sorted by them."""
    nothing = np.zeros(0), np.zeros((0, units))
    tail = suspect.block.tail
    if tail is None:
        return nothing
    try:
        found = np.asarray(tail(np.repeat(z[:, None], units, axis=1))).astype(np.float64).reshape(len(z), -1)
    except Exception:  # a tail that does not take plain preactivations has no curve
        return nothing
    order = np.argsort(z)
    return (z[order], found[order]) if found.shape[1] == units else nothing


def replaced(suspect: Suspect, own: Activation, found: Activation) -> Cause:
    """One activation in the place of the file's."""
    code, message = replacement(own, found)
    return Cause(code, suspect.name, message, remedy_of(suspect, own))


def replacement(own: Activation, found: Activation) -> tuple[str, str]:
    """Code and message of one activation in the place of another."""
    if found.name == "linear":
        return "activation.missing", f"the activation {own} is left out"
    if own.name == "linear":
        return "activation.added", f"{found} is applied where there is no activation"
    code = "activation.parameter" if own.name == found.name else "activation.replaced"
    return code, f"the activation is {found} for {own}"


def replaced_in_places(name: str, own: Activation | None, before: Comparison, remedy: str) -> Cause:
    """An activation that is the file's but for some numbers, of which one is told.

    Args:
        name: of the step.
        own: the file's activation; None where the step has several.
        before: as the activation alone was judged.
        remedy: puts the file's in its place.
    """
    at, told = before.where.removeprefix(f"{ALONE}, at "), "the file's activation" if own is None else str(own)
    message = f"the activation is not {told} everywhere: at {at} it gives {before.actual:.6g} for {before.expected:.6g}"
    return Cause("activation.replaced", name, message, remedy)


def remedy_of(suspect: Suspect, own: Activation) -> str:
    """The file's activation in the layer that applies the port's, which may be one of its own."""
    apart = [atom for atom in suspect.block.atoms if atom.kind == "activation"]
    read = f"or, if the port is right and the file is read wrongly, say so for {suspect.name} with activation="
    if len(apart) > 1 or (not apart and suspect.block.dense is None):
        return f"apply {own} in {', '.join(suspect.block.names)}\n{read}"
    name = apart[0].names[0] if apart else suspect.holder
    has_own = bool(apart) and not apart[0].description.startswith("Activation")
    return f"{activated(name, own.name, own.parameters, has_own)}\n{read}"


def _approximated(
    suspect: Suspect, kernel: Array, bias: Array | None, comparison: Comparison, tried: int
) -> ActivationReading:
    """Nothing fits exactly: the nearest function, if the port's curve follows one, or nothing."""
    others = _other_entries(suspect, kernel.shape[1]) if suspect.own.activation.name == "table" else None
    if others is not None:
        return ActivationReading((others,), None, comparison, tried)
    z, every = curves(suspect, kernel.shape[1])
    found, own = every[:, 0], suspect.own.activation
    if z.size and _is_right(suspect, z, every):
        return ActivationReading((), None, comparison, tried)  # something else is wrong
    mixed = _mixed(suspect, z, every)
    if mixed is not None:
        return ActivationReading((mixed,), None, comparison, tried)
    options = [own, *candidates(own)]
    gaps = [_gap(option, z, found) for option in options]
    best = int(np.argmin(gaps))
    if gaps[best] < NEAR:
        how = f"approximated to {gaps[best]:.2g} (a table, a rational or a hard form)"
        if options[best] == own:
            message = f"the activation {own} is only {how}"
            cause = Cause("activation.replaced", suspect.name, message, remedy_of(suspect, own))
        else:
            cause = replaced(suspect, own, options[best])
            cause = replace(cause, message=f"{cause.message}, {how}" if gaps[best] > CLOSE else cause.message)
    elif z.size and np.isfinite(found).all() and _is_elementwise(suspect, kernel):
        message = f"the activation is none of the {tried} that were tried"
        cause = Cause("activation.replaced", suspect.name, message, remedy_of(suspect, own))
    else:
        return ActivationReading((), None, comparison, tried)
    return ActivationReading((cause,), None, comparison, tried)


def _other_entries(suspect: Suspect, units: int) -> Cause | None:
    """Some entries of a table are others; None where all are as the file's, or most are not."""
    own, unit = suspect.own.activation, suspect.block.precision.format.unit
    z, wanted = middles(**own.parameters), entries_of(own.parameters["values"])
    _, every = _tail_at(suspect, z, units)
    if not len(every):
        return None
    apart = np.abs(every[:, 0] - wanted) > 2 * unit * np.abs(wanted) + suspect.block.precision.format.tiny
    if not 0 < np.count_nonzero(apart) <= len(wanted) / 2:
        return None
    first = int(np.argmax(apart))
    message = (
        f"{np.count_nonzero(apart):,} of {len(wanted):,} entries of its table are others: the first, entry {first}, of "
        f"{z[first]:.6g}, is {every[first, 0]:.9g} for {wanted[first]:.9g}"
    )
    return Cause("activation.parameter", suspect.name, message, remedy_of(suspect, own))


def _is_right(suspect: Suspect, z: Array, found: Array) -> bool:
    """Whether the tail is the file's activation, within what rounding allows it."""
    own = suspect.own.activation
    if own.name == "softmax":
        return False
    alone = Activate(suspect.name, (), own)
    fed = np.repeat(z[:, None], found.shape[1], axis=1)
    held = np.float64 if suspect.block.precision.compute == "float64" else np.float32
    return judge_values(alone, fed.astype(held), found, suspect.block.precision, "preactivations").is_parity


def _mixed(suspect: Suspect, z: Array, found: Array) -> Cause | None:
    """Units with another activation than the others, of which some follow the file's."""
    own = suspect.own.activation
    gaps = np.array([_gap(own, z, column) for column in found.T])
    wrong = np.flatnonzero(gaps >= NEAR)
    if not z.size or not 0 < len(wrong) < len(gaps):
        return None
    options = [option for option in candidates(own) if _gap(option, z, found[:, wrong[0]]) < CLOSE * 10]
    follows = f"follows {options[0]}" if options else "follows none of those that were tried"
    message = (
        f"{len(wrong)} of {len(gaps)} units have another activation than {own}: the first, unit {wrong[0]}, {follows}"
    )
    code = "activation.missing" if options and options[0].name == "linear" else "activation.replaced"
    return Cause(code, suspect.name, message, remedy_of(suspect, own))


def _gap(option: Activation, z: Array, found: Array) -> float:
    if option.name == "softmax" or not z.size:
        return np.inf
    with np.errstate(all="ignore"):
        gap = np.max(np.abs(option(z) - found))
    return float(gap) if np.isfinite(gap) else np.inf


def _is_elementwise(suspect: Suspect, kernel: Array) -> bool:
    """Whether the tail treats every unit alone: moving one preactivation moves no other output."""
    tail = suspect.block.tail
    units = kernel.shape[1]
    if tail is None or units < 2:
        return tail is not None
    base = np.zeros((2, units))
    base[1, 0] = 1.0
    out = np.asarray(tail(base)).astype(np.float64).reshape(2, -1)
    return bool(np.array_equal(out[0, 1:], out[1, 1:]))
