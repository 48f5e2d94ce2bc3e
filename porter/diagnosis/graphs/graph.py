"""Mistakes of the graph: what a step takes, how several tensors are made one, and how axes are moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any

from porter.examination.graphs.slots import slots
from porter.examination.graphs.suspect import Suspect, Variant
from reference.operations.batch_normalization import BatchNormalization
from reference.operations.elementwise import Elementwise
from reference.operations.merging import Merge
from reference.operations.prelu import PReLU
from reference.operations.shaping import Rearrangement, crop, flatten, identity, pad, permute

MODES = ("add", "subtract", "multiply", "average", "maximum", "minimum")


def edges(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """The step on what the port's layer really takes, and on its own inputs in another order or one short."""
    remedy = f"connect {suspect.name} to {', '.join(suspect.step.inputs)}, in this order"
    # What stands in front of a layer may use its one input twice: that is no other edge.
    twice = len(suspect.sources) != len(step.inputs) and set(suspect.sources) == set(step.inputs)
    if suspect.sources and suspect.sources != step.inputs and not twice:
        yield Variant("graph.edge", _told(suspect), remedy, replace(step, inputs=suspect.sources))
    if len(step.inputs) < 2 or not isinstance(step, Merge):
        return
    for order in permutations(step.inputs) if len(step.inputs) < 5 else ():
        if order != step.inputs:
            message = f"it takes {', '.join(order)}, in this order, for {', '.join(step.inputs)}"
            yield Variant("graph.edge", message, remedy, replace(step, inputs=order))
    for left in step.inputs:
        rest = tuple(name for name in step.inputs if name != left)
        message = f"the connection from {left} is missing"
        yield Variant("graph.edge", message, remedy, replace(step, inputs=rest))


def _told(suspect: Suspect) -> str:
    missing = [name for name in suspect.step.inputs if name not in suspect.sources]
    extra = [name for name in suspect.sources if name not in suspect.step.inputs]
    if missing and not extra:
        return f"the connection from {', '.join(missing)} is missing"
    return f"it takes {', '.join(suspect.sources)} for {', '.join(suspect.step.inputs)}"


def modes(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Another way to make several tensors one."""
    for mode in MODES if isinstance(step, Merge) else ():
        if mode != step.mode:
            remedy = suspect.configure(f"keras.layers.{step.mode.capitalize()}")
            message = f"its inputs are made one by {mode} for {step.mode}"
            yield Variant("merge.replaced", message, remedy, replace(step, mode=mode))
    for axis in (1, 2, 3) if isinstance(step, Merge) and step.mode == "concatenate" else ():
        message = f"it concatenates along axis {axis} for {step.axis}"
        remedy = suspect.configure(axis=step.axis)
        yield Variant("graph.edge", message, remedy, replace(step, axis=axis))


def moves(suspect: Suspect, step: Any) -> Iterator[Variant]:
    """Axes moved in another way, edges of another width."""
    if not isinstance(step, Rearrangement) or not isinstance(step.function, partial):
        return
    function, given = step.function.func, step.function.keywords
    name = suspect.name

    def variant(code: str, message: str, **changes: Any) -> Variant:
        remedy = f"porter.build(network) has {name} as the file does"
        return Variant(code, message, remedy, replace(step, function=partial(function, **{**given, **changes})))

    if function is flatten:
        first = not given.get("channels_first", False)
        where = "first" if first else "last"
        yield variant("flatten.order", f"it flattens with the channels {where}", channels_first=first)
        rank = len(suspect.shapes.get(step.inputs[0], ()))
        for order in list(permutations(range(1, rank + 1)))[1:] if rank > 1 else []:
            told = f"it flattens the axes in the order {order}"
            yield Variant("flatten.order", told, variant("flatten.order", "").remedy, step, _turn(order))
    elif function is permute:
        for order in permutations(given["order"]):
            if order != tuple(given["order"]):
                yield variant("flatten.order", f"it moves the axes to {order} for {given['order']}", order=order)
    elif function in (pad, crop):
        for message, amounts in _amounts(given["amounts"]):
            yield variant("padding", message, amounts=amounts)
    if function is not identity:
        yield Variant("padding" if function in (pad, crop) else "graph.edge", "it does nothing to its inputs",
                      variant("padding", "").remedy, replace(step, function=partial(identity)))  # fmt: skip


def _turn(order: tuple[int, ...]) -> Any:
    return lambda fed: (fed[0].transpose(0, *order), *fed[1:])


def _amounts(own: Any) -> Iterator[tuple[str, Any]]:
    turned = tuple((last, first) for first, last in own)
    yield f"its edges are {turned} for {own}", turned
    total = max(max(pair) for pair in own) + 2
    pairs = [(a, b) for a in range(total) for b in range(total)]
    for pair in pairs:
        amounts = (pair,) * len(own)
        if amounts != tuple(own):
            yield f"its edges are {amounts} for {own}", amounts
    for at in range(len(own)):
        for pair in pairs:
            amounts = (*own[:at], pair, *own[at + 1 :])
            if pair != tuple(own[at]) and len(own) > 1:
                yield f"its edges are {amounts} for {own}", amounts


def flattened_from(suspect: Suspect) -> tuple[int, ...] | None:
    """The shape that was flattened to what the step takes, by steps that let every number keep its place."""
    steps = {step.name: step for step in suspect.program.steps}
    name = suspect.step.inputs[0]
    while isinstance(steps.get(name), Elementwise | PReLU | BatchNormalization | Rearrangement):
        before = steps[name].inputs[0]
        shapes = suspect.shapes.get(before, ()), suspect.shapes.get(name, ())
        if len(shapes[0]) > len(shapes[1]) == 1:
            return shapes[0]
        if shapes[0] != shapes[1]:
            return None
        name = before
    return None


def layer_before(suspect: Suspect) -> str | None:
    """The step whose units the inputs are, by steps that let every unit keep its place; None for the network's own."""
    steps = {step.name: step for step in suspect.program.steps}
    name = suspect.step.inputs[0]
    while name in steps:
        if has_kernel(steps[name]):
            return name
        name = steps[name].inputs[0]
    return None


def has_kernel(step: Any) -> bool:
    """Whether a step has units of its own."""
    return any("kernel" in slot.variable or slot.variable == "embeddings" for slot in slots(step))


def is_last(suspect: Suspect) -> bool:
    """Whether its units are the network's outputs: no step with units of its own comes behind it."""
    reached = {suspect.name}
    for step in suspect.program.steps:
        if reached & set(step.inputs) and step.name not in reached:
            if has_kernel(step):
                return False
            reached.add(step.name)
    return True
