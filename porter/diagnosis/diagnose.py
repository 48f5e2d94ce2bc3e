"""From judged steps to causes: each mismatched step explained by itself, then what several have in common."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.diagnosis.ensembles import explain_ensemble
from porter.diagnosis.extremes import explain_extremes
from porter.diagnosis.layers import Diagnosis, explain_layer, share_out, stray_cause
from porter.diagnosis.scalings import explain_scaling
from porter.diagnosis.transforms import explain_transform, transform_remedy
from porter.examination.case import Case, Judged
from porter.examination.judged import JudgedStep
from porter.examination.judging import Refused, cast, judge
from porter.examination.numbers import column_order, describe_permutation
from porter.examination.pasting import quoted, reached, swapped, taken_out
from porter.examination.probes import FAR, wide_rows
from porter.examination.suspect import Stored, Suspect
from porter.ports.blocks import Atom, Block
from reference.composed.ensemble import Ensemble
from reference.composed.extremes import Extremes
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling

Array = NDArray[Any]

MOST_NAMES = 6
"""Of a port's operations that are listed."""


@dataclass(frozen=True)
class Named:
    """A cause with the step it was found at.

    Attributes:
        cause: what is wrong.
        judged: the step that showed it.
        diagnosis: all that was found there, or None for a mistake of structure.
    """

    cause: Cause
    judged: JudgedStep
    diagnosis: Diagnosis | None = None


def diagnose(case: Case) -> list[Named]:
    """Every mistake of a port, in the order of the layers."""
    dense = [one for one in case.judged if isinstance(one.pair.step, Dense)]
    has_layers = any(atom.is_core or len(atom.names) > 1 for atom in case.graph.atoms)
    if len(dense) > 1 and has_layers and not any(map(_is_found, dense)):  # a port in one piece shows no layer
        shows = any(atom.arrays is not None and atom.arrays() for atom in case.graph.atoms)
        # Other layers that give the same, such as the members of an ensemble each by its own, are no mistake.
        is_wrong = case.whole == "mismatch" or (shows and case.whole != "within")
        return [_unrecognised(case, dense[0])] if is_wrong else []
    diagnoses: dict[str, Diagnosis] = {}
    for position, one in enumerate(dense):
        if one.verdict == "mismatch" and one.pair.block is not None:
            suspect = Suspect(one.step, one.pair.block, position, case.layers, one.probes, _slack(one))
            diagnoses[one.name] = explain_layer(suspect, one.comparison)
    diagnoses = share_out(diagnoses, case.layers)
    named = []
    for one in case.judged:
        named += [Named(cause, one, diagnoses.get(one.name)) for cause in _causes(case, one, diagnoses)]
    if case.whole != "parity" and not _may_hide(case):
        named += [*_extra_blocks(case), *_merges(case), *_strays(case)]
    told = {one.cause.remedy for one in named}
    named += [Named(each, case[each.layer]) for each in case.account.causes if each.remedy not in told]
    if case.unaccounted and not named:
        named.append(_unaccounted(case))
    return whole_port(same_once(named), sum(isinstance(one.pair.step, Dense) for one in case.judged))


def _may_hide(case: Case) -> bool:
    """Whether layers that nothing was paired with may stand in pieces that nothing accounts for: the whole agrees."""
    is_short = any(pair.block is None for pair in case.pairing.dense)
    return case.whole == "within" and is_short and bool(case.pairing.extra or case.pairing.strays)


def _is_found(one: Judged) -> bool:
    return one.pair.block is not None or one.verdict.startswith("folded")


def _unrecognised(case: Case, first: Judged) -> Named:
    """A port of other layers throughout: which of them is wrong, or missing, cannot be told."""
    names = list(dict.fromkeys(name for atom in case.graph.atoms if atom.kind != "identity" for name in atom.names))
    few = ", ".join(names[:MOST_NAMES]) + (" and so on" if len(names) > MOST_NAMES else "")
    message = f"none of the port's operations, {few}, can be told to be a layer of the file"
    remedy = "compare the port with porter.build(network) layer by layer, by hand"
    return Named(Cause("unexplained", first.name, message, remedy), first)


def _slack(one: Judged) -> float:
    """A folded kernel passed through a product of its own: its cast may be some units off."""
    return 1.0 if one.step.weights_error is None else 8.0


def _causes(case: Case, one: Judged, diagnoses: dict[str, Diagnosis]) -> Sequence[Cause]:
    step, block = one.pair.step, one.pair.block
    if one.name in diagnoses:
        return diagnoses[one.name].causes
    if block is None:
        return _absent(case, one)
    if one.verdict != "mismatch":
        return []
    return [
        _explain_scaling(case, one, block) if isinstance(step, Scaling) else _explain_other(step, block, case.inputs)
    ]


def _explain_scaling(case: Case, one: Judged, block: Block) -> Cause:
    step = one.pair.step
    if FAR in one.probes:
        return _far_cause(one, block)
    others = tuple(s for s in case.program.steps if isinstance(s, Scaling) and s.name != one.name)
    reading = explain_scaling(step, block.run, block.precision.format.unit, others)
    # A piece that rounds makes other ranges of the right ones, a little.
    is_sure = reading.explained and reading.cause.code != "scaling.range"
    stray = None if is_sure else _stray_atom(case, one, block)
    if stray is not None:
        return stray_cause(one.name, stray, is_linear=stray.kind == "activation")
    return replace(reading.cause, remedy=_rescaled(one.name, block))


def _rescaled(name: str, block: Block) -> str:
    """The file's scaling in the place of the first layer of a block, and nothing in that of the others."""
    first, *others = block.names or (name,)
    own = f"network.layer({quoted(name)})"
    layer = (
        f"keras.layers.Rescaling({own}.scale, {own}.offset, name={quoted(first)}, dtype={reached(first)}.dtype_policy)"
    )
    return "\n".join([swapped(first, layer), *([taken_out(others)] if others else [])])


def _explain_other(step: Any, block: Block | None, inputs: Array) -> Cause:
    """A step that is neither a layer nor a scaling."""
    if isinstance(step, Extremes):
        return explain_extremes(step, block)
    if isinstance(step, Ensemble):
        return explain_ensemble(step, block)
    assert block is not None
    return explain_transform(step, block, inputs)


def _absent(case: Case, one: Judged) -> Sequence[Cause]:
    step = one.pair.step
    if case.whole == "parity" or one.verdict.startswith("folded"):  # built in another way, paired or not
        return []
    if _may_hide(case):
        return []
    if isinstance(step, Scaling):
        return _absent_scaling(case, one)
    if isinstance(step, Dense):
        remedy = (
            f"put Dense({step.width[1]}) between its neighbours, with the arrays of network.layer({quoted(one.name)})"
        )
        return [Cause("layers.missing", one.name, "no layer of the port computes it", remedy)]
    if isinstance(step, Extremes | Ensemble):
        return [_explain_other(step, None, case.inputs)]
    return [Cause("transform.replaced", one.name, "the port has no such step", transform_remedy(step))]


def _stray_atom(case: Case, one: Judged, block: Block) -> Atom | None:
    """The piece without which a scaling step is right."""
    active = [atom for atom in block.atoms if atom.kind != "identity"]
    step = one.pair.step
    low, high = (-1.0, 1.0) if step.inverse else (case.inputs.min(axis=0), case.inputs.max(axis=0))
    rows = low + np.linspace(0.0, 1.0, 33)[:, None] * (np.zeros(len(step.first)) + high - low)
    return next((atom for atom in active if _is_right_without(atom, step, block, rows)), None)


def _is_right_without(atom: Atom, step: Any, block: Block, rows: Array, *, is_far: bool = False) -> bool:
    """Whether a block gives what a step does, one of its pieces left out."""
    rest = tuple(other for other in block.atoms if other.kind != "identity" and other is not atom)
    try:
        return (
            bool(rest) and judge(step, replace(block, atoms=rest).run, rows, block.precision, is_far=is_far).is_parity
        )
    except Refused:  # the others do not fit together
        return False


def _far_cause(one: Judged, block: Block) -> Cause:
    """A scaling step that is right in the documented range and something else far outside of it."""
    for atom in (atom for atom in block.atoms if atom.kind != "identity"):
        if _is_right_without(atom, one.step, block, one.probes[FAR], is_far=True):
            return stray_cause(one.name, atom, is_linear=atom.kind == "activation")
    message = "it scales as the file does in the documented range, and far outside of it something else comes out"
    return Cause("unexplained", one.name, message, f"make {', '.join(block.names)} as the file has it")


def _absent_scaling(case: Case, one: Judged) -> Sequence[Cause]:
    """A scaling step that nothing in the port computes is a mistake only where it should have been there."""
    if one.verdict != "uncompared" or case.declared_placement == "outside":
        return []
    others = [other for other in case.judged if isinstance(other.pair.step, Scaling) and other.name != one.name]
    has_other = any(other.pair.block is not None or other.verdict.startswith("folded") for other in others)
    if case.declared_placement is None and not has_other:
        return []
    remedy = f"put keras.layers.Rescaling there, with the scale and offset of network.layer({quoted(one.name)})"
    return [Cause("scaling.missing", one.name, "the port has no such step", remedy)]


def _extra_blocks(case: Case) -> list[Named]:
    named = []
    for block in case.pairing.extra:
        shown = _source_of(block, case.layers)
        source = shown or _computed_by(block, case)
        one = case[source.name if source is not None else _in_front(case, block)]
        names = ", ".join(block.names)
        if source is not None:
            does = "computes what it does" if shown is None else "has its arrays"
            cause = Cause("layers.repeated", source.name, f"{names} {does} a second time", taken_out(block.names))
        else:
            cause = Cause(
                "unexplained", one.name, f"{names}, behind it, has no counterpart in the file", taken_out(block.names)
            )
        named.append(Named(cause, one))
    return named


def _in_front(case: Case, block: Block) -> str:
    """The layer whose output an extra block takes."""
    fed = (
        pair.step.name for pair in case.pairing.dense if pair.block is not None and pair.block.leaving == block.entry
    )
    return next(fed, case.layers[0].name)


def _merges(case: Case) -> list[Named]:
    """Tensors that come together where the legacy network is a chain."""
    named = []
    for atom, layer in case.pairing.merges:
        what = f"{', '.join(atom.names)} joins its output with another tensor; the file has a plain chain"
        remedy = f"hand the output of {layer} on alone"
        named.append(Named(Cause("graph.edge", layer, what, remedy), case[layer]))
    return named


def _strays(case: Case) -> list[Named]:
    """What the port does to its inputs where the legacy network has no step."""
    named = []
    one = case[case.layers[0].name]
    # The last rows are random ones; the first may be all but zero, and tell no order.
    rows = cast(case.inputs[-64:], case.graph.input_dtypes[0])
    for block in case.pairing.strays:
        try:
            found = np.asarray(block.run(rows))
        except Exception:  # it stands further on, and takes no rows of the network's
            continue
        if len(found) != len(rows) or np.array_equal(found, rows):  # of rows laid out otherwise, or idle
            continue
        order = column_order(block.run, rows[-1], rows[-2])
        if order is None or np.array_equal(order, np.arange(len(order))):
            cause = stray_cause(one.name, block.atoms[0], is_linear=False, where="in front of")
        else:
            names = ", ".join(block.names)
            message = f"{names} picks the inputs in another order: {describe_permutation(order, 'inputs')}"
            cause = Cause("inputs.permuted", one.name, message, taken_out(block.names))
        named.append(Named(cause, one))
    return named


def _unaccounted(case: Case) -> Named:
    one = case.judged[-1]
    message = "the port as a whole gives something else, although every layer is right by itself"
    remedy = "look for an operation between the layers"
    return Named(Cause("unexplained", one.name, message, remedy), one)


def _source_of(block: Block, layers: Sequence[Stored]) -> Stored | None:
    kernel = None if block.dense is None else block.dense.kernel
    if kernel is None:
        return None
    alike = (layer for layer in layers if layer.kernel.shape == kernel.shape)
    return next((layer for layer in alike if np.mean(np.isclose(kernel, layer.kernel, rtol=1e-3, atol=0)) > 0.9), None)


def _computed_by(block: Block, case: Case) -> Stored | None:
    """The layer of the file that a block computes, where its arrays cannot be looked at."""
    for layer in case.layers:
        step = case[layer.name].step
        if any(atom.is_core and atom.width == step.width for atom in block.atoms):
            rows = wide_rows(step.width[0], np.random.default_rng(0))
            with suppress(Refused):  # it does not take what the layer takes
                if judge(step, block.run, rows, block.precision).is_parity:
                    return layer
    return None


def same_once(named: Sequence[Named]) -> list[Named]:
    """One finding a code and layer: the same mistake may show from two sides."""
    kept: dict[tuple[str, str], Named] = {}
    for one in named:
        kept.setdefault((one.cause.code, one.cause.layer), one)
    return list(kept.values())


def whole_port(named: list[Named], layers: int) -> list[Named]:
    """Every layer rounded to the same format is one mistake of the port as a whole; it comes first.

    Args:
        named: what was found.
        layers: how many layers have a kernel.
    """
    rounded = [one for one in named if one.cause.code == "kernel.precision"]
    messages = {one.cause.message for one in rounded}
    if layers < 2 or len(rounded) < layers or len(messages) != 1:
        return named
    first = rounded[0]
    cause = replace(
        first.cause,
        code="precision.port",
        message=f"every layer: {messages.pop()}, under a dtype that holds more",
    )
    return [replace(first, cause=cause), *named]
