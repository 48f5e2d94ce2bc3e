"""Mistakes of structure in a port of a legacy Keras network: layers left out, put in, or connected otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from porter.codes import Cause
from porter.examination.graphs.idle import find_idle
from porter.examination.graphs.kinds import has_same_numbers, is_merge
from porter.examination.graphs.pairing import KerasPairing, Pair
from porter.examination.graphs.pieces import Piece
from porter.examination.graphs.states import recurrent_layers
from porter.examination.graphs.surplus import find_surplus
from porter.examination.pasting import taken_out
from porter.ports.keras.graph import PortGraph
from reference.operations.masking import Masking
from reference.operations.part import Part
from reference.rounding.recurrent_steps import directions, is_stepped
from reference.trace import Program

ABSENT = "no layer of the port computes it"
NO_COUNTERPART = "has no counterpart in the file"
MOST_STRAYS = 3
"""Operations behind one step that are told one by one; more are another way to compute something, and wrong in it."""


def find_structure(pairing: KerasPairing, program: Program) -> list[Cause]:
    """What is wrong with the graph itself, in the order of the program."""
    if pairing.by_name:
        return []
    causes = [cause for step in program.steps for cause in _step_causes(pairing, step)]
    causes += [*_stray_causes(pairing, program), *_output_causes(pairing)]
    return causes


def find_unaccounted(pairing: KerasPairing, program: Program) -> list[Cause]:
    """Operations that seem to do nothing, or that nothing needs, and are none of the legacy network's."""
    causes = find_idle(pairing, program, lambda piece: _row_in_front(pairing, program, piece))
    causes = causes or find_surplus(pairing, program)
    return causes


def find_own_masks(graph: PortGraph, program: Program) -> list[Cause]:
    """Layers that mask time steps of a value of their own, which no step of the file does: rows may never hold it."""
    values = {float(np.float32(step.value)) for step in program.steps if isinstance(step, Masking)}
    causes = []
    for node in graph.nodes:
        operation: Any = node.operation
        if type(operation).__name__ == "Masking" and float(np.float32(operation.mask_value)) not in values:
            what = (
                f"{node.name} (Masking) masks time steps that hold {operation.mask_value:g}; no layer of the file does"
            )
            causes.append(Cause("mask.value", program.steps[0].name, what, taken_out([node.name])))
    return causes


def find_lost_states(pairing: KerasPairing, program: Program) -> list[Cause]:
    """Layers that keep their state from call to call in the file and not in the port, or the other way round."""
    causes = []
    for step in program.steps:
        if not is_stepped(step) or isinstance(step, Part):
            continue
        wanted = any(side.stateful for side in directions(step))
        layers = recurrent_layers(pairing.operations(step.name))
        if layers and any(layer.stateful != wanted for layer in layers):
            causes.append(_state(step.name, wanted))
    return causes


def _state(layer: str, wanted: bool) -> Cause:
    if wanted:
        message = "its state is lost between calls; the file's layer begins each call where the last one ended"
        remedy = "make it with stateful=True, behind a keras.Input whose batch_shape has as many rows as the file's"
        return Cause("state.missing", layer, message, remedy)
    message = "it begins each call where the last one ended; the file's layer begins anew"
    return Cause("call.unsteady", layer, message, "make it with stateful=False")


def _step_causes(pairing: KerasPairing, step: Any) -> Iterator[Cause]:
    pair = pairing[step.name]
    if pair.key is None and not pair.folded_into:
        yield _missing(step)
    elif pair.owed is not None and (is_merge(step) or not _strays_between(pairing, pair)):
        yield _edge(pairing, step, pair)


def _missing(step: Any) -> Cause:
    if is_merge(step):
        took = " and ".join(step.inputs)
        return Cause("graph.edge", step.name, f"{ABSENT}: {took} are never joined", f"join {took} as the file does")
    activation = getattr(step, "activation", None)
    if type(step).__name__ == "Elementwise":
        remedy = f"keras.layers.Activation({activation.name!r}) behind {step.inputs[0]}"  # type: ignore[union-attr]
        return Cause("activation.missing", step.name, f"the activation {activation} is left out", remedy)
    return Cause(
        "layers.missing", step.name, ABSENT, f"put it behind {step.inputs[0]}, as porter.build(network) has it"
    )


def _edge(pairing: KerasPairing, step: Any, pair: Pair) -> Cause:
    owners = {one.key: name for name, one in pairing.pairs.items() if one.key is not None}
    owners = {key: name for name, key in pairing.inputs.items()} | owners
    if pair.owed is not None and sorted(pair.owed) == sorted(pair.fed):
        told = f"it takes its inputs in another order than {', '.join(step.inputs)}"
    else:
        told = f"it takes {', '.join(owners.get(key, 'another tensor') for key in pair.fed)}"
    return Cause("graph.edge", step.name, told, f"feed it with {', '.join(step.inputs)}, in this order")


def _strays_between(pairing: KerasPairing, pair: Pair) -> list[int]:
    """Pieces between what a step should be fed with and what it is fed with, which no step of the file accounts for."""
    claimed = {at for one in pairing.pairs.values() for at in one.pieces}
    found: list[int] = []
    for right, key in zip(pair.owed or (), pair.fed, strict=False):
        found += [] if right == key else pairing.port.between((right,), key)[0]
    return [at for at in found if at not in claimed]


def _stray_causes(pairing: KerasPairing, program: Program) -> Iterator[Cause]:
    """What the port computes where the legacy network has nothing."""
    port = pairing.port
    claimed = {at for pair in pairing.pairs.values() for at in pair.pieces}
    found: dict[str, Piece] = {}
    for at, piece in enumerate(port.pieces):
        if at not in claimed and port.root[piece.outputs[0]] == piece.outputs[0] and _counts(pairing, piece):
            found.setdefault(piece.node.name, piece)
    causes = {name: _stray(pairing, program, piece) for name, piece in found.items()}
    plain: dict[str, list[str]] = {}
    for name, cause in causes.items():
        if cause.message.endswith(NO_COUNTERPART):
            plain.setdefault(cause.layer, []).append(name)
    for row, names in plain.items():
        if len(names) > MOST_STRAYS:
            causes = {name: cause for name, cause in causes.items() if name not in names}
            yield _many(row, names)
    yield from causes.values()


def _many(row: str, names: list[str]) -> Cause:
    """Operations none of which can be told to be too much: together they are to compute something."""
    first = ", ".join(names[:MOST_STRAYS])
    message = f"{len(names)} operations of the port, {first} and so on, compute nothing that the file does there"
    return Cause("unexplained", row, message, f"compare them with {row} by hand")


def _counts(pairing: KerasPairing, piece: Piece) -> bool:
    """Whether a piece hands numbers on; masks show in what they are used for."""
    return all(pairing.port.values[key].dtype != np.bool_ for key in piece.outputs)


def _stray(pairing: KerasPairing, program: Program, piece: Piece) -> Cause:
    name, row = piece.node.name, _row_in_front(pairing, program, piece)
    if piece.node.is_training:
        message = f"{name} ({piece.kind}) was built with training=True"
        return Cause("mode.training", row, message, f"call {name} without training=True")
    source = next((step.name for step in program.steps if has_same_numbers(step, piece)), None)
    if source is not None and pairing[source].key is None:
        message = f"{name} has its arrays, and takes another tensor"
        return Cause("graph.edge", source, message, f"connect {name} as the file does")
    if source is not None:
        return Cause("layers.repeated", source, f"{name} has its arrays a second time", taken_out([name]))
    message = f"{name} ({piece.kind}), behind it, {NO_COUNTERPART}"
    code = "activation.added" if piece.is_activation else "unexplained"
    return Cause(code, row, message, taken_out([name]))


def _row_in_front(pairing: KerasPairing, program: Program, piece: Piece) -> str:
    """The last step whose tensor a piece is computed from."""
    port, found = pairing.port, program.steps[0].name
    for name, pair in pairing.pairs.items():
        if pair.key is not None and any(port.is_behind(key, pair.key) for key in piece.inputs):
            found = name
    return found


def _output_causes(pairing: KerasPairing) -> Iterator[Cause]:
    """Outputs that the port gives in the place of others."""
    port = pairing.port
    right = [port.root[key] for key in pairing.ends]
    given = [port.root[key] for key in port.graph.outputs]
    for name, key, own in zip(pairing.outputs, right, given, strict=True):
        if key != own and own in right and name in pairing.pairs:
            other = pairing.outputs[right.index(own)]
            remedy = f"list the outputs as the file does: {', '.join(pairing.outputs)}"
            yield Cause("graph.edge", name, f"the port gives {other} in its place", remedy)
