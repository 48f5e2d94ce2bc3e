"""Masks that a port leaves out, or takes from another value: the program as such a port would have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from porter.codes import Cause
from porter.examination.pasting import literal, remade
from porter.ports.keras.graph import PortGraph
from reference.operations.attention import Attention
from reference.operations.bidirectional import Bidirectional
from reference.operations.global_pooling import GlobalPooling
from reference.operations.masking import Mask, Masking
from reference.operations.part import Part
from reference.operations.recurrent import Recurrent
from reference.trace import Program

MOST = 8
"""Programs that are tried."""


@dataclass(frozen=True)
class Altered:
    """A program with a mistake in its masks.

    Attributes:
        program: as the port would have it.
        causes: what is wrong.
        steps: names of the steps that it leaves out or changes.
    """

    program: Program
    causes: tuple[Cause, ...]
    steps: frozenset[str]


def altered_masks(program: Program, graph: PortGraph) -> Iterator[Altered]:
    """The program without each mask, without all of them, and with the values that the port's own layers mask."""
    masks = [step for step in program.steps if isinstance(step, Mask) and step.kind in ("any", "nonzero")]
    named = {_layer_of(mask) for mask in masks}
    # A mask that no layer heeds is no step of the program.
    unheeded = (step for step in program.steps if isinstance(step, Masking) and step.name not in named)
    masks += [Mask(f"{step.name}:mask", step.inputs, "any", step.value) for step in unheeded]
    values = _values(graph)
    found = [one for mask in masks for one in _of_mask(program, mask, values)]
    if len(masks) > 1:
        found.append(_together([_dropped(program, mask) for mask in masks], program))
    yield from found[-MOST:] if len(found) > MOST else found


def _values(graph: PortGraph) -> list[float]:
    """What the port's own Masking layers mask."""
    operations = (node.operation for node in graph.nodes)
    return list(dict.fromkeys(float(one.mask_value) for one in operations if hasattr(one, "mask_value")))


def _of_mask(program: Program, mask: Mask, values: Sequence[float]) -> Iterator[Altered]:
    """The mask with another value, left out with the product, left out alone."""
    for value in values if mask.kind == "any" else ():
        if value != mask.value:
            yield _with_value(program, mask, value)
    yield _dropped(program, mask)
    layer = _layer_of(mask)
    if any(isinstance(step, Masking) and step.name == layer for step in program.steps):
        yield _dropped(program, mask, alone=True)


def _layer_of(mask: Mask) -> str:
    return mask.name.removesuffix(":mask")


def _with_value(program: Program, mask: Mask, value: float) -> Altered:
    names = frozenset((mask.name, _layer_of(mask)))
    steps = tuple(
        replace(step, value=value) if step.name in names and isinstance(step, Mask | Masking) else step
        for step in program.steps
    )
    message = f"time steps of {value!r} are masked for those of {mask.value!r}"
    remedy = remade(_layer_of(mask), {"mask_value": literal(mask.value)})
    cause = Cause("mask.value", _layer_of(mask), message, remedy)
    return Altered(replace(program, steps=steps), (cause,), names & {step.name for step in program.steps})


def _dropped(program: Program, mask: Mask, alone: bool = False) -> Altered:
    layer = _layer_of(mask)
    product = next((step for step in program.steps if isinstance(step, Masking) and step.name == layer), None)
    lost, found = {mask.name}, program
    if product is not None and not alone:
        lost.add(layer)
        found = _bypassed(found, product)
    found = _without_masks(found, {mask.name})
    if mask.kind == "nonzero":
        message, remedy = "the word 0 is not masked", remade(layer, {"mask_zero": "True"})
    else:
        message = f"time steps of {mask.value!r} are not masked" + (", only set to zero" if alone else "")
        remedy = f"keras.layers.Masking of {mask.value!r} for {layer}, and layers behind it that hand masks on"
    lost &= {step.name for step in program.steps}
    return Altered(found, (Cause("mask.missing", layer, message, remedy),), frozenset(lost))


def _together(every: Sequence[Altered], program: Program) -> Altered:
    """Several masks left out at once."""
    causes = tuple(cause for one in every for cause in one.causes)
    names = frozenset(name for one in every for name in one.steps)
    found = program
    for step in program.steps:
        if isinstance(step, Masking) and step.name in names:
            found = _bypassed(found, step)
    return Altered(_without_masks(found, {name for name in names if name.endswith(":mask")}), causes, names)


def _bypassed(program: Program, product: Masking) -> Program:
    """What took the product takes what went into it."""
    own = product.inputs[0]

    def moved(step: Any) -> Any:
        inputs = tuple(own if name == product.name else name for name in step.inputs)
        return step if inputs == step.inputs else replace(step, inputs=inputs)

    steps = tuple(moved(step) for step in program.steps if step is not product)
    return replace(
        program, steps=steps, outputs=tuple(own if name == product.name else name for name in program.outputs)
    )


def _without_masks(program: Program, lost: set[str]) -> Program:
    """Steps without those masks, and without the masks that are made of them alone."""
    kept = []
    for step in program.steps:
        if step.name in lost:
            continue
        left = tuple(name for name in step.inputs if name not in lost)
        if isinstance(step, Mask) and left != step.inputs and (step.kind == "concatenate" or not left):
            lost = lost | {step.name}
            continue
        kept.append(step if left == step.inputs else _unmasked(step, lost))
    return replace(program, steps=tuple(kept))


def _unmasked(step: Any, lost: set[str]) -> Any:
    """A step that no longer takes some masks."""
    inputs = tuple(name for name in step.inputs if name not in lost)
    if isinstance(step, Recurrent | GlobalPooling):
        return replace(step, inputs=inputs, masked=False)
    if isinstance(step, Bidirectional):
        forward, backward = (_unmasked(side, lost) for side in (step.forward, step.backward))
        return replace(step, inputs=inputs, forward=forward, backward=backward)
    if isinstance(step, Part):
        return replace(step, inputs=inputs, step=_unmasked(step.step, lost))
    if isinstance(step, Attention):
        names = iter(step.inputs[len(step.inputs) - sum(step.masked) :])
        query, value = (has and next(names) not in lost for has in step.masked)
        return replace(step, inputs=inputs, masked=(query, value))
    return replace(step, inputs=inputs)
