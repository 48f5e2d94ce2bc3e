"""What is wrong with a layer that is seen and cannot be run: mistakes made in the reference's own step, tried on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.diagnosis import biases, scalings
from porter.diagnosis.activations import candidates, explain_activation, fitted, is_same, replacement
from porter.diagnosis.biases import explain_bias
from porter.diagnosis.kernels import explain_kernel, layouts
from porter.diagnosis.layers import Diagnosis
from porter.diagnosis.transforms import OTHERS, follows
from porter.examination.compare import Comparison
from porter.examination.numbers import describe_permutation
from porter.examination.suspect import Stored
from porter.exports.entries import explain_entries
from porter.exports.mutations import mutations
from porter.exports.suspect import FEW, TracedSuspect, judge_walked, make_suspect
from porter.exports.walk import Walked
from porter.ports.traced import TracedPort
from reference.activations import Activation
from reference.composed.forms import equivalent_forms
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import FUNCTIONS, Transform
from reference.trace import Program

Array = NDArray[Any]


def explain(walked: Walked, program: Program, port: TracedPort, before: Comparison, weights_differ: int) -> Diagnosis:
    """Name what is wrong with a step.

    Args:
        walked: the step with all that was seen of it.
        program: the legacy forward pass.
        port: for its arrays, and for remedies.
        before: the step as it was judged.
        weights_differ: how many arrays' entries are not the file's.
    """
    step = walked.step
    if isinstance(step, Dense) and walked.seen[0].fed[0].ndim == 2:
        found = _explain_dense(make_suspect(walked, program, port), before, weights_differ)
    elif isinstance(step, Scaling):
        others = tuple(one for one in program.steps if isinstance(one, Scaling) and one.name != step.name)
        found = _explain_scaling(walked, others, before)
    elif isinstance(step, Transform):
        found = _explain_transform(walked, before)
    else:
        found = _explain_other(walked, before)
    remedy = f"write it anew with {port.portable}, or put {walked.name} right in {port.name}"
    return replace(found, causes=tuple(replace(cause, remedy=remedy) for cause in found.causes))


# --- dense layers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """One thing that may be wrong with one part of a layer; no code where it is right."""

    code: str
    message: str
    value: Any
    source: Stored | None = None


def _explain_dense(suspect: TracedSuspect, before: Comparison, weights_differ: int) -> Diagnosis:
    if weights_differ:
        shown = _by_arrays(suspect, before)
        if shown is not None:
            return shown
    moved = _permuted(suspect, before)
    if moved is not None:
        return moved
    tried, screen = 0, _Screen(suspect)
    for parts in _combinations(suspect):
        tried += 1
        if not screen.lets_through(*(part.value for part in parts)):
            continue
        variant = suspect.variant(*(part.value for part in parts))
        if not suspect.judge(variant, most=FEW).is_parity:
            continue
        after = suspect.judge(variant)
        if after.is_parity:
            causes = tuple(Cause(part.code, suspect.name, part.message, "") for part in parts if part.code)
            source = next((part.source for part in parts if part.source is not None), None)
            return Diagnosis(causes, before, after, tried, activation=variant.activation, source=source)
    return explain_entries(suspect, before, tried) or _unexplained(suspect.name, before, tried)


class _Screen:
    """A glance at a few rows, for thousands of explanations of which nearly all give something else altogether."""

    ROWS = 8
    LOOSE = 2.0**14
    """Unit roundoffs of the terms of a sum: a bound is far below, and other numbers are far above."""

    def __init__(self, suspect: TracedSuspect) -> None:
        walked = suspect.walked
        assert walked is not None
        one = next(one for one in walked.seen if not one.is_far)
        self._fed, self._found = one.fed[0][-self.ROWS :], one.actual[-self.ROWS :]
        size = np.max(np.abs(self._fed)) * np.max(np.abs(suspect.own.kernel).sum(axis=0), initial=0.0)
        self._slack = self.LOOSE * walked.precision.format.unit * (size + np.max(np.abs(self._found)) + 1)
        self._known: tuple[Any, Array] = (None, np.zeros(0))

    def lets_through(self, kernel: Array, bias: Array | None, activation: Activation) -> bool:
        """Whether these give about what was found on a few rows."""
        if self._known[0] is not kernel:
            self._known = kernel, self._fed @ kernel
        z = self._known[1] if bias is None else self._known[1] + bias
        with np.errstate(all="ignore"):
            given = activation(z)
            apart = np.abs(given - self._found)
        return given.shape == self._found.shape and not bool(np.any(apart > self._slack))


def _by_arrays(suspect: TracedSuspect, before: Comparison) -> Diagnosis | None:
    """What the layer's own arrays say; None where they do not explain what it gives."""
    kernel, bias = suspect.kernel, suspect.bias
    if kernel is None or kernel.shape != suspect.own.kernel.shape:
        return None
    reading = explain_kernel(suspect)
    bias_reading = explain_bias(suspect, reading.columns)
    activation = explain_activation(suspect, kernel, bias)
    causes = (*reading.causes, *bias_reading.causes, *activation.causes)
    if not causes or not activation.comparison.is_parity:
        return None
    tried = reading.tried + bias_reading.tried + activation.tried
    return Diagnosis(
        causes, before, activation.comparison, tried, (*reading.twins, *activation.twins), kernel,
        activation.activation, reading.source,
    )  # fmt: skip


def _combinations(suspect: TracedSuspect) -> Iterator[tuple[_Part, ...]]:
    """Every way to go wrong in one part, then in two, then in all three."""
    kernels, own_biases, activations = list(_kernels(suspect)), list(_biases(suspect)), list(_activations(suspect))
    groups = (kernels, own_biases, activations)
    for count in (1, 2, 3):
        for wrong in product((False, True), repeat=3):
            if sum(wrong) == count:
                yield from product(*(group[1:] if bad else group[:1] for group, bad in zip(groups, wrong, strict=True)))
        if count == 1:
            yield from _foreign(suspect, kernels[0], own_biases[0], activations[0])


def _kernels(suspect: TracedSuspect) -> Iterator[_Part]:
    own = suspect.own
    yield _Part("", "", own.kernel)
    for layout in layouts(own, own.kernel.shape):
        if layout.code:
            yield _Part(layout.code, layout.message, layout.array)
    yield _Part("kernel.values", "every entry of the kernel has the opposite sign", -own.kernel)
    for other in suspect.layers:
        if other.name != own.name:
            for layout in layouts(other, own.kernel.shape):
                yield _Part("layers.swapped", f"its kernel is that of {other.name}", layout.array, other)


def _biases(suspect: TracedSuspect) -> Iterator[_Part]:
    own = suspect.own.bias
    yield _Part("", "", own)
    units = suspect.own.kernel.shape[1]
    stored = np.zeros(units) if own is None else own
    if stored.any():
        yield _Part("bias.missing", "the bias is left out; the file has one", np.zeros(units))
    hidden = replace(suspect, block=replace(suspect.block, atoms=(replace(suspect.block.atoms[0], weights=None),)))
    for code, message, _, values in biases.candidates(hidden, stored, stored, np.zeros(units)):
        if code and code != "bias.missing" and values.shape == (units,) and not np.array_equal(values, stored):
            yield _Part(code, message, values)


def _activations(suspect: TracedSuspect) -> Iterator[_Part]:
    own = suspect.own.activation
    yield _Part("", "", own)
    known: list[Activation] = []
    for activation in (*candidates(own), *_fitted(suspect)):
        if not any(is_same(activation, other) for other in (own, *known)):
            known.append(activation)
            yield _Part(*replacement(own, activation), activation)


def _fitted(suspect: TracedSuspect) -> list[Activation]:
    """Activations whose parameter is read off what went in and came out."""
    walked = suspect.walked
    assert walked is not None
    z = [np.asarray(suspect.step(one.fed[0]).preactivation) for one in walked.seen if not one.is_far]
    found = [one.actual for one in walked.seen if not one.is_far]
    if not z or any(one.shape != other.shape for one, other in zip(z, found, strict=True)):
        return []
    before, after = np.concatenate([one.ravel() for one in z]), np.concatenate([one.ravel() for one in found])
    keep = np.isfinite(before) & np.isfinite(after)
    return fitted(before[keep][:20000], after[keep][:20000], suspect.own.activation)


def _foreign(suspect: TracedSuspect, kernel: _Part, bias: _Part, activation: _Part) -> Iterator[tuple[_Part, ...]]:
    """Kernel and bias of another layer together, which are one mistake."""
    for other in suspect.layers:
        if other.name != suspect.name and other.kernel.shape == kernel.value.shape:
            message = f"its kernel and bias are those of {other.name}"
            foreign = _Part("layers.swapped", message, other.kernel, other)
            yield foreign, replace(bias, value=other.bias), activation
            if other.activation != suspect.own.activation:
                yield foreign, replace(bias, value=other.bias), replace(activation, value=other.activation)


def _permuted(suspect: TracedSuspect, before: Comparison) -> Diagnosis | None:
    """Units in another order: what each gives is what another should."""
    walked = suspect.walked
    assert walked is not None
    one = walked.seen[0]
    wanted = np.asarray(suspect.step(one.fed[0]).outputs)
    if wanted.shape != one.actual.shape:
        return None
    order = match_columns(wanted, one.actual, walked.precision.format.unit)
    if order is None or np.array_equal(order, np.arange(len(order))):
        return None
    own = suspect.own
    bias = None if own.bias is None else own.bias[order]
    after = suspect.judge(suspect.variant(own.kernel[:, order], bias))
    if not after.is_parity:
        return None
    code, what = ("outputs.permuted", "outputs") if suspect.is_last else ("units.permuted", "units")
    message = f"the {what} stand in another order: {describe_permutation(order, what)}"
    return Diagnosis((Cause(code, suspect.name, message, ""),), before, after, 1)


def match_columns(wanted: Array, found: Array, unit: float) -> Array | None:
    """(columns,) with found[:, j] nearest to wanted[:, order[j]]; None where that is no permutation.

    Args:
        wanted: (rows, columns).
        found: (rows, columns).
        unit: unit roundoff of the port's format.
    """
    keep = np.isfinite(wanted).all(axis=1) & np.isfinite(found).all(axis=1)
    wanted, found = wanted[keep][-64:], found[keep][-64:]
    if not len(wanted):
        return None
    apart = np.stack([np.max(np.abs(wanted - found[:, [j]]), axis=0) for j in range(found.shape[1])])
    order, size = np.argmin(apart, axis=1), np.max(np.abs(wanted), initial=0.0)
    close = apart[np.arange(len(order)), order] <= 2**16 * unit * size
    return order if close.all() and len(set(order.tolist())) == len(order) else None


def _unexplained(name: str, before: Comparison, tried: int) -> Diagnosis:
    detail = f"the worst element is {before.actual:.9g} for {before.expected:.9g}"
    message = "rounding does not explain the difference, and nothing that was tried does"
    return Diagnosis((Cause("unexplained", name, message, "", detail),), before, before, tried)


# --- everything else ------------------------------------------------------------------------------------------------


def _explain_scaling(walked: Walked, others: tuple[Scaling, ...], before: Comparison) -> Diagnosis:
    step, tried = walked.step, 0
    near = [one for one in walked.seen if not one.is_far]
    fed = np.concatenate([one.fed[0] for one in near])
    found = np.concatenate([one.actual.reshape(len(one.actual), -1) for one in near])
    unit = walked.precision.format.unit
    if fed.shape == found.shape:
        for code, message, affine in scalings.candidates(step, others):
            tried += 1
            if len(affine[0]) == fed.shape[1] and scalings.fits(affine, fed, found, unit):
                return _told(walked, code, message, before, tried)
        order = match_columns(np.asarray(step(fed).outputs), found, unit)
        if order is not None and not np.array_equal(order, np.arange(len(order))):
            code = "outputs.permuted" if step.inverse else "inputs.permuted"
            return _told(walked, code, describe_permutation(order, "columns"), before, tried)
        columns = _scaled_otherwise(step, fed, found, unit)
        if columns is not None:
            return _told(walked, "scaling.range", columns, before, tried)
    return _unexplained(walked.name, before, tried)


def _scaled_otherwise(step: Scaling, fed: Array, found: Array, unit: float) -> str | None:
    """Columns that are affine, by other factors than the file's; None where one is not affine."""
    keep = np.isfinite(fed).all(axis=1) & np.isfinite(found).all(axis=1)
    fed, found, columns = fed[keep], found[keep], np.arange(fed.shape[1])
    low, high = np.argmin(fed, axis=0), np.argmax(fed, axis=0)
    with np.errstate(all="ignore"):
        scale = (found[high, columns] - found[low, columns]) / (fed[high, columns] - fed[low, columns])
        offset = found[low, columns] - scale * fed[low, columns]
        terms = np.max(np.abs(scale * fed), axis=0) + np.abs(offset) + np.max(np.abs(found), axis=0)
        if not np.all(np.abs(found - (scale * fed + offset)) <= 512 * unit * terms):
            return None
        own_scale, own_offset = step.affine
        size = np.max(np.abs(own_scale * fed), axis=0) + np.abs(own_offset)
        differs = np.max(np.abs(found - (own_scale * fed + own_offset)), axis=0) > 8 * unit * size
    if not differs.any():
        return None
    j = int(np.argmax(differs))
    return (
        f"{int(differs.sum())} of {len(scale)} columns are scaled otherwise (the first: column {j}, "
        f"{scale[j]:.6g} x + {offset[j]:.6g} for {own_scale[j]:.6g} x + {own_offset[j]:.6g})"
    )


def _explain_transform(walked: Walked, before: Comparison) -> Diagnosis:
    one = walked.seen[0]
    unit = walked.precision.format.unit
    for column, name in enumerate(walked.step.functions if one.fed[0].shape == one.actual.shape else ()):
        x, y = one.fed[0][:, column], one.actual[:, column]
        if not follows(FUNCTIONS[name], x, y, unit):
            other = next((o for o, function in OTHERS.items() if follows(function, x, y, unit)), None)
            what = f"is {other}" if other is not None else "is none of those that were tried"
            message = f"the function of column {column} {what}, for {name}"
            return _told(walked, "transform.replaced", message, before, len(OTHERS))
    message = "it differs by more than rounding, function by function alike"
    return _told(walked, "transform.replaced", message, before, len(OTHERS))


def _explain_other(walked: Walked, before: Comparison) -> Diagnosis:
    """A step of any other class, with a mistake in one of its parts."""
    tried = 0
    for code, message, variant in mutations(walked.step):
        tried += 1
        try:
            if (
                not judge_walked(walked, variant, FEW).is_parity
                or not (after := judge_walked(walked, variant)).is_parity
            ):
                continue
        except (KeyError, ValueError, IndexError, TypeError):  # a mistake that no such step can have
            continue
        if after.is_parity:
            return Diagnosis((Cause(code, walked.name, message, ""),), before, after, tried)
    return _unexplained(walked.name, before, tried)


def _told(walked: Walked, code: str, message: str, before: Comparison, tried: int) -> Diagnosis:
    return Diagnosis((Cause(code, walked.name, message, ""),), before, before, tried)


def in_another_form(walked: Walked) -> Any:
    """The step with its activation written another way, where it agrees so; else None."""
    forms = (form for form in equivalent_forms(walked.step) if judge_walked(walked, form, FEW).is_parity)
    return next((form for form in forms if judge_walked(walked, form).is_parity), None)
