"""One suspect layer explained: kernel, bias and activation, each by itself, then all confirmed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.diagnosis.activations import (
    ActivationReading,
    explain_activation,
    is_same,
    remedy_of,
    replaced,
    replaced_in_places,
)
from porter.diagnosis.biases import BiasReading, explain_bias
from porter.diagnosis.kernels import KernelReading, explain_kernel
from porter.diagnosis.readout import digits
from porter.diagnosis.recovery import Recovered, assemble, holding, recover_affine
from porter.examination.compare import Comparison
from porter.examination.functions import ALONE, compare_function
from porter.examination.numbers import column_order, describe_permutation
from porter.examination.parts import parts_that_differ
from porter.examination.pasting import taken_out
from porter.examination.suspect import Stored, Suspect
from porter.ports.blocks import Atom
from reference.activations import Activation

Array = NDArray[Any]

WELL_APART = 10.0
"""How many times what numbers that were read out may be off a bias has to differ by, to be told by them alone."""


class Source(Protocol):
    """A layer of the file."""

    @property
    def name(self) -> str:
        """Legacy name."""
        ...


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with one layer.

    Attributes:
        causes: most certain first.
        before: the block against the layer of the file.
        after: the block against what the causes together say that it computes.
        tried: how many explanations were compared.
        twins: other readings that explain the layer as well.
        kernel: (inputs, units) the port's kernel, for pictures; None where it was not found.
        activation: what the port applies, or None where that was not found.
        source: the layer of the file whose arrays it holds.
    """

    causes: tuple[Cause, ...]
    before: Comparison
    after: Comparison
    tried: int
    twins: tuple[str, ...] = ()
    kernel: Array | None = None
    activation: Activation | None = None
    source: Source | None = field(default=None, repr=False)

    @property
    def is_explained(self) -> bool:
        """Whether the causes account for everything that was seen."""
        return self.after.is_parity


def explain_layer(suspect: Suspect, before: Comparison) -> Diagnosis:
    """Name what is wrong with a layer."""
    trained = [atom for atom in suspect.block.atoms if atom.is_training]
    if trained:
        return _without_training(suspect, trained, before)
    if before.where.startswith(ALONE):
        return Diagnosis((_replaced_in_places(suspect, before),), before, before, 0)
    removed = _without_stray_atoms(suspect)
    if removed is not None:
        return replace(removed, before=before)
    return _explain_shown(suspect, before) or _explain_hidden(suspect, before)


def _explain_shown(suspect: Suspect, before: Comparison) -> Diagnosis | None:
    """A layer whose arrays one layer of the port shows, or several together; None where they are hidden."""
    exposed = suspect.kernel
    if exposed is not None:
        # A kernel of other units than the step's stands in front of something that makes them the step's.
        is_own = exposed.shape[1] == suspect.step.width[1]
        return _explain_arrays(suspect, exposed, suspect.bias, before) if is_own else None
    together = assemble(suspect)
    if together is not None:
        return _explain_arrays(*together, before)
    beside = _arrays_beside_others(suspect)
    if beside is None:
        return None
    if _are_own(suspect, *beside):
        return _unexplained(suspect, before)  # no array is wrong
    return _explain_arrays(holding(suspect, *beside), *beside, before)


def _explain_hidden(suspect: Suspect, before: Comparison) -> Diagnosis:
    """A layer that hides its arrays: by its activation alone, which needs no digit of them, or by what is read out."""
    own = suspect.own
    alone = explain_activation(suspect, own.kernel, own.bias)
    if alone.causes and alone.comparison.is_parity:
        return Diagnosis(alone.causes, before, alone.comparison, alone.tried, alone.twins, own.kernel, alone.activation)
    recovered = recover_affine(suspect)
    return _unexplained(suspect, before) if recovered is None else _explain_arrays(*recovered, before)


def _explain_arrays(suspect: Suspect, kernel: Array, bias: Array | None, before: Comparison) -> Diagnosis:
    """A layer by the arrays that it was found to hold, (inputs, units) and (units,)."""
    reading = explain_kernel(suspect)
    bias_reading = explain_bias(suspect, reading.columns)
    if isinstance(suspect, Recovered) and reading.exact is not None and bias_reading.exact is not None:
        kernel, bias = reading.exact, bias_reading.exact  # probes give three digits; the file has them all
    activation = explain_activation(suspect, kernel, bias)
    if isinstance(suspect, Recovered) and not activation.comparison.is_parity:
        bias_reading, activation = _as_read_out(suspect, bias_reading, activation)
    causes = _merged(suspect, reading, bias_reading, activation)
    # Arrays that are the file's to three digits do not say that nothing finer is wrong with them.
    is_open = isinstance(suspect, Recovered) and reading.exact is not None and bias_reading.exact is not None
    if not causes or (not activation.comparison.is_parity and (is_open or not activation.causes)):
        causes = (*causes, _unexplained_cause(suspect, before))
    return Diagnosis(
        causes,
        before,
        activation.comparison,
        reading.tried + bias_reading.tried + activation.tried,
        (*reading.twins, *activation.twins),
        kernel,
        activation.activation,
        reading.source,
    )


def _as_read_out(
    suspect: Recovered, bias: BiasReading, activation: ActivationReading
) -> tuple[BiasReading, ActivationReading]:
    """What numbers of three digits say of the bias and the activation where they are all that is known.

    A bias has to differ by more than they may be off, and an activation is the one that they were read out under.
    """
    held = np.zeros(suspect.own.kernel.shape[1]) if suspect.own.bias is None else suspect.own.bias
    assert suspect.bias is not None
    apart = np.max(np.abs(suspect.bias - held), initial=0.0)
    share = digits(suspect.block.precision.format.unit)
    size = np.max(np.abs([suspect.bias, held]), initial=0.0) + share * np.max(np.abs(suspect.own.kernel), initial=0.0)
    told = bias.causes if apart > WELL_APART * share * size else ()
    other = () if is_same(suspect.activation, suspect.own.activation) else (
        replaced(suspect, suspect.own.activation, suspect.activation),
    )  # fmt: skip
    return replace(bias, causes=told), replace(activation, causes=other)


def _merged(
    suspect: Suspect, reading: KernelReading, bias_reading: BiasReading, activation_reading: ActivationReading
) -> tuple[Cause, ...]:
    """Causes of one layer, those that another one accounts for left out."""
    bias_causes, bias_source = bias_reading.causes, bias_reading.source
    activation_causes, activation = activation_reading.causes, activation_reading.activation
    source = reading.source
    is_foreign = source is not None and source.name != suspect.name
    causes = list(reading.causes)
    if is_foreign:
        assert source is not None
        causes.insert(0, _foreign(suspect, source, bias_source == source.name))
        if bias_source == source.name:
            bias_causes = ()
        if activation == source.activation:
            activation_causes = ()
    if any(cause.code == "kernel.unset" for cause in causes):
        bias_causes = tuple(cause for cause in bias_causes if cause.code != "bias.missing")
    if any(cause.code == "kernel.augmented" for cause in causes):
        bias_causes = ()
    if any(cause.code == "kernel.precision" for cause in causes):
        bias_causes = tuple(cause for cause in bias_causes if not cause.message.startswith("the bias was "))
    elif bias_causes and not causes and bias_causes[0].message.startswith("the bias was "):
        bias_causes = (replace(bias_causes[0], code="kernel.precision"),)
    if causes and bias_reading.causes and not bias_causes:  # the bias is put right with what accounts for it
        lines = dict.fromkeys((causes[0].remedy, bias_reading.causes[0].remedy))
        causes[0] = replace(causes[0], remedy="\n".join(lines))
    return (*causes, *bias_causes, *activation_causes)


def _foreign(suspect: Suspect, source: Stored, with_bias: bool) -> Cause:
    what = "kernel and bias" if with_bias else "kernel"
    return Cause(
        "layers.swapped",
        suspect.name,
        f"its {what} are those of {source.name}" if with_bias else f"its kernel is that of {source.name}",
        suspect.assign("kernel", "bias") if with_bias else suspect.assign("kernel"),
    )


def _without_training(suspect: Suspect, trained: Sequence[Atom], before: Comparison) -> Diagnosis:
    """What runs in training mode is named and taken out; then the rest is explained by itself."""
    causes = tuple(stray_cause(suspect.name, atom, is_linear=False) for atom in trained)
    rest = replace(suspect.block, atoms=tuple(atom for atom in suspect.block.atoms if not atom.is_training))
    calm = replace(suspect, block=rest)
    after = calm.judge(suspect.step)
    if after.is_parity and _holds_own(suspect):
        return Diagnosis(causes, before, after, len(causes), activation=suspect.own.activation)
    found = explain_layer(calm, after)
    return replace(found, causes=(*causes, *found.causes), before=before)


def _arrays_beside_others(suspect: Suspect) -> tuple[Array, Array] | None:
    """Kernel and bias of the one dense layer among others in a piece of the port, where a connection leads past it."""
    for atom in suspect.block.atoms:
        if atom.kind == "other" and len(atom.names) > 1 and atom.weights is not None:
            kernel, bias = atom.weights()
            if kernel.shape == suspect.own.kernel.shape:
                return kernel, np.zeros(kernel.shape[1]) if bias is None else bias
    return None


def _are_own(suspect: Suspect, kernel: Array, bias: Array) -> bool:
    own = suspect.own
    wanted = np.zeros(own.kernel.shape[1]) if own.bias is None else own.bias
    return bool(
        kernel.shape == own.kernel.shape
        and suspect.equal(kernel, own.kernel).all()
        and suspect.equal(bias, wanted).all()
    )


def _holds_own(suspect: Suspect) -> bool:
    """Whether the layer's exposed arrays, if any, are the file's."""
    kernel = suspect.kernel
    if kernel is None:
        return True
    return _are_own(suspect, kernel, np.zeros(kernel.shape[1]) if suspect.bias is None else suspect.bias)


def _without_stray_atoms(suspect: Suspect) -> Diagnosis | None:
    """Whether the layer is right once one piece behind its affine part is taken out."""
    every = suspect.block.atoms
    casts = [atom for atom in every if atom.description == "Cast"]
    atoms = [atom for atom in every if atom.kind != "identity"][1:]
    options = [[atom] for atom in atoms if atom.kind != "activation" and not atom.is_core]
    for strays in [*options, *([casts] if casts else [])]:
        rest = replace(suspect.block, atoms=tuple(other for other in every if other not in strays))
        try:
            after = replace(suspect, block=rest).judge(suspect.step)
        except Exception:  # what is left may not fit together; then it explains nothing
            continue
        if after.is_parity:
            is_linear = suspect.own.activation.name == "linear"
            cause = _cast_cause(suspect, strays) if strays is casts else _reorder_cause(suspect, strays[0])
            cause = stray_cause(suspect.name, strays[0], is_linear) if cause is None else cause
            return Diagnosis((cause,), after, after, 1, activation=suspect.own.activation)
    return None


def _cast_cause(suspect: Suspect, casts: Sequence[Atom]) -> Cause:
    names = ", ".join(dict.fromkeys(name for atom in casts for name in atom.names))
    message = f"{names} (Cast) behind it rounds what passes through it; the file has nothing there"
    return Cause(
        "precision.port", suspect.name, message, taken_out(dict.fromkeys(n for each in casts for n in each.names))
    )


def _reorder_cause(suspect: Suspect, atom: Atom) -> Cause | None:
    """The name of a piece behind a layer that only puts its units in another order."""
    units = np.arange(suspect.own.kernel.shape[1])
    order = column_order(atom.run, (0.1 + units / 64).astype(np.float32), (0.2 + units / 32).astype(np.float32))
    if order is None or np.array_equal(order, units):
        return None
    code, what = ("outputs.permuted", "outputs") if suspect.is_last else ("units.permuted", "units")
    name = ", ".join(atom.names)
    message = f"{name} puts the {what} in another order: {describe_permutation(order, what)}"
    return Cause(code, suspect.name, message, taken_out(atom.names))


def stray_cause(layer: str, atom: Atom, is_linear: bool, where: str = "behind") -> Cause:
    """The name of a piece of the port that should not be there.

    Args:
        layer: the row behind which it stands.
        atom: the piece.
        is_linear: whether the file has no activation there.
        where: on which side of the row it stands.
    """
    name = ", ".join(atom.names)
    if atom.is_training:
        message = f"{name} ({atom.description}) was built with training=True"
        return Cause("mode.training", layer, message, f"call {name} without training=True")
    if is_linear and atom.kind in ("activation", "other"):
        message = f"{name} ({atom.description}) is applied where there is no activation"
        return Cause("activation.added", layer, message, taken_out(atom.names))
    message = f"{name} ({atom.description}) stands {where} it; the file has nothing there"
    return Cause("unexplained", layer, message, taken_out(atom.names))


def _replaced_in_places(suspect: Suspect, alone: Comparison) -> Cause:
    own = suspect.own.activation
    return replaced_in_places(suspect.name, own, alone, remedy_of(suspect, own))


def _activation_alone(suspect: Suspect) -> Comparison:
    """The activation that the port shows, behind weights that are the file's."""
    kernel, tail = suspect.kernel, suspect.block.tail
    if tail is None or kernel is None or kernel.shape != suspect.own.kernel.shape:
        return Comparison()
    if not suspect.equal(kernel, suspect.own.kernel).all():
        return Comparison()
    return compare_function(suspect.own.activation, tail, kernel.shape[1], suspect.block.precision)


def _unexplained(suspect: Suspect, before: Comparison) -> Diagnosis:
    return Diagnosis((_unexplained_cause(suspect, before),), before, before, 0)


def _unexplained_cause(suspect: Suspect, before: Comparison) -> Cause:
    alone = _activation_alone(suspect)
    if alone.exceeding:
        return _replaced_in_places(suspect, alone)
    names = ", ".join(suspect.block.names)
    detail = f"the worst element is {before.actual:.9g} for {before.expected:.9g}"
    # Of pieces that hide their arrays nobody knows whether these are right.
    is_merged = any(len(atom.names) > 1 and atom.weights is not None for atom in suspect.block.atoms)
    if is_merged and not parts_that_differ(suspect.step, suspect.block):
        message = f"{names} stand where one dense layer should: a connection past the layer, or one more input"
        return Cause(
            "graph.edge", suspect.name, message, "connect the layer to the one before it and to nothing else", detail
        )
    message = "rounding does not explain the difference, and nothing that was tried does"
    return Cause("unexplained", suspect.name, message, f"compare {names} with {suspect.name} by hand", detail)


def share_out(diagnoses: dict[str, Diagnosis], layers: Sequence[Source]) -> dict[str, Diagnosis]:
    """Tell layers exchanged from layers that come twice, and kernels unset or rounded one by one from all at once."""
    foreign = {
        name: found.source.name
        for name, found in diagnoses.items()
        if found.source is not None and _is_foreign(name, found)
    }
    order = {layer.name: i for i, layer in enumerate(layers)}
    result = dict(diagnoses)
    unknown = {name for name, found in diagnoses.items() if found.kernel is None and not found.is_explained}
    for name, source in foreign.items():
        if source in foreign or source in unknown:
            continue
        diagnosis = diagnoses[name]
        first = replace(
            diagnosis.causes[0],
            code="layers.repeated",
            message=f"it has the arrays of {source}, which stands in its own place "
            f"{'before' if order[source] < order[name] else 'behind'} it as well",
        )
        result[name] = replace(diagnosis, causes=(first, *diagnosis.causes[1:]))
    if len(foreign) > 2 and _is_text_order(foreign, layers):
        for name in foreign:
            diagnosis = result[name]
            first = diagnosis.causes[0]
            hint = "; the layers were sorted as text, Layer10 before Layer2"
            result[name] = replace(
                diagnosis, causes=(replace(first, message=first.message + hint), *diagnosis.causes[1:])
            )
    return result


def _is_foreign(name: str, diagnosis: Diagnosis) -> bool:
    return diagnosis.source is not None and diagnosis.source.name != name and bool(diagnosis.causes)


def _is_text_order(foreign: dict[str, str], layers: Sequence[Source]) -> bool:
    names = [layer.name for layer in layers]
    as_text = dict(zip(names, sorted(names), strict=True))
    return all(as_text[name] == source for name, source in foreign.items())
