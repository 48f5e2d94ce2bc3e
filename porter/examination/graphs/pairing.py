"""Which tensors of a port stand for which steps of a legacy Keras program: by name, or by what agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.compare import Comparison
from porter.examination.graphs.agreement import Agreement, Folded
from porter.examination.graphs.alignment import Aligner, Alignment, Match
from porter.examination.graphs.pieces import Pieces
from porter.examination.graphs.view import evaluating
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph import PortGraph
from porter.ports.keras.graph_model import pairs
from porter.ports.keras.nodes import Key
from reference.precision import Precision
from reference.trace import Program

Array = NDArray[Any]


@dataclass(frozen=True)
class Pair:
    """One step and what of the port it is compared with.

    Attributes:
        step: as it is judged: together with steps that the port has no tensor for.
        fed: the tensors that the port feeds it with.
        key: the tensor that it is compared with; None where the port has none.
        pieces: positions of the pieces that compute it.
        names: the port's layers that compute it.
        folded_into: the step that it is judged together with, or "".
        owed: what it should have been fed with, where the port feeds it with something else.
        comparison: of the tensor on the port's own rows, where it was made already.
    """

    step: Any
    fed: tuple[Key, ...]
    key: Key | None
    pieces: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    folded_into: str = ""
    owed: tuple[Key, ...] | None = None
    comparison: Comparison | None = None


@dataclass(frozen=True)
class KerasPairing:
    """A port against a program.

    Attributes:
        port: in pieces, with its values.
        pairs: by step name, in order of computation.
        by_name: whether the port bears the legacy names.
        notes: how it was paired, and what else would have done as well.
        inputs: the program's inputs in order, with the port's tensors.
        outputs: names of the program's outputs, in order.
    """

    port: Pieces
    pairs: Mapping[str, Pair]
    by_name: bool
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, Key] = field(default_factory=dict)

    outputs: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Pair:
        return self.pairs[name]

    @property
    def ends(self) -> tuple[Key, ...]:
        """The port's tensors of the program's outputs; its own outputs where it has none for them."""
        keys = [self.inputs[name] if name in self.inputs else self.pairs[name].key for name in self.outputs]
        own = self.port.graph.outputs
        return tuple(end if key is None else key for key, end in zip(keys, own, strict=True))

    def precision(self, name: str) -> Precision:
        """In which the port computes a step."""
        pair = self.pairs[name]
        return self.port.precision(pair.fed[0] if pair.key is None else pair.key)

    def actual(self, name: str) -> Array | None:
        """(rows, ...) what the port computes at a step; None where it has no tensor for it."""
        key = self.pairs[name].key
        return None if key is None else np.asarray(self.port.values[key], np.float64)

    def fed(self, name: str) -> tuple[Array, ...]:
        """What the port feeds a step with, in float64."""
        return tuple(np.asarray(self.port.values[key], np.float64) for key in self.pairs[name].fed)

    def operations(self, name: str) -> tuple[Any, ...]:
        """The Keras layers and operations that compute a step."""
        pieces = (self.port.pieces[at] for at in self.pairs[name].pieces)
        return tuple({id(piece.operation): piece.operation for piece in pieces}.values())

    def parts(self, name: str) -> tuple[Any, ...]:
        """The same cut finer: a layer without the activation fused into it, and that activation."""
        pieces = [self.port.pieces[at] for at in self.pairs[name].pieces]
        return tuple(piece.node.operation if piece.activation is None else piece.activation for piece in pieces)


def pair_port(network: KerasNetwork, program: Program, graph: PortGraph, feeds: Mapping[str, Array]) -> KerasPairing:
    """Pair a port with a program.

    A port that bears the legacy names throughout, as ``porter.build`` makes them, is paired by them, unless its
    connections contradict its names. Any other is paired by what agrees, each step judged alone.

    Args:
        network: as read.
        program: its forward pass.
        graph: the port.
        feeds: (rows, ...) for each input of the program, in order.

    """
    with evaluating(graph.model):
        port = Pieces(graph, list(feeds.values()))
    inputs = dict(zip(program.inputs, graph.inputs, strict=True))
    named = pair_by_name(network, program, port, inputs)
    return named if named is not None else pair_by_agreement(program, port, inputs)


def check_ends(network: KerasNetwork, graph: PortGraph) -> None:
    """Refuse a port that takes or gives something of another shape.

    Raises:
        PortError: other inputs, or another number of outputs.
    """
    for each, taken in zip(network.inputs, graph.input_shapes, strict=True):
        shape = taken if each.shape is None else each.shape
        known = [(n, m) for n, m in zip(shape, taken, strict=False) if n is not None and m is not None]
        if len(shape) != len(taken) or any(n != m for n, m in known):
            raise PortError(
                f"the port {graph.model.name}",
                found=f"rows of shape {taken} where the legacy input {each.name!r} is",
                expected=f"shape {shape}; several inputs in the order {', '.join(one.name for one in network.inputs)}",
                remedy="build it with the inputs in that order, and with the channels where the legacy model has them",
            )
    if len(graph.outputs) != len(network.outputs):
        raise PortError(
            f"the port {graph.model.name}", found=f"{len(graph.outputs)} outputs", expected=f"{len(network.outputs)}"
        )


def pair_by_name(
    network: KerasNetwork, program: Program, port: Pieces, inputs: Mapping[str, Key]
) -> KerasPairing | None:
    """The pairing by the names of the legacy layers; None where they are not there, or not where they belong."""
    try:
        tensors = pairs(network, port.graph.model)
    except PortError:
        return None
    known = {
        id(tensor): key
        for piece in port.pieces
        for tensor, key in zip(piece.node.node.outputs, piece.outputs, strict=True)
    }
    keys = dict(inputs) | {name: known[id(tensor)] for name, tensor in tensors.items() if id(tensor) in known}
    found = {}
    for step in program.steps:
        if step.name not in keys:
            return None
        fed, key = tuple(keys[name] for name in step.inputs), keys[step.name]
        positions, alone = port.between(fed, key)
        if not alone:
            return None
        names = tuple(dict.fromkeys(port.pieces[at].node.name for at in positions))
        found[step.name] = Pair(step, fed, key, positions, names)
    return KerasPairing(port, found, True, (), inputs, program.outputs)


def pair_by_agreement(program: Program, port: Pieces, inputs: Mapping[str, Key]) -> KerasPairing:
    """The pairing under which most steps agree, each judged alone."""
    steps = {step.name: step for step in program.steps}
    agreement = Agreement(steps, port)
    states = Aligner(program, agreement).align([inputs[name] for name in program.inputs])
    best = states[0]
    found = _without_borrowed(
        {name: _pair(agreement, steps[name], match) for name, match in best.matches.items()}, best
    )
    found = _with_activations_behind(_with_folds(found, best), best, program, port)
    notes = ["the port's layers were paired with the legacy ones by what they compute, not by their names"]
    notes += _inputs_note(inputs, port) + _ties(states)
    return KerasPairing(port, _with_names(found, port), False, tuple(notes), inputs, program.outputs)


def _pair(agreement: Agreement, step: Any, match: Match) -> Pair:
    whole, keys = agreement.whole(step, match.fed)
    owed = None if match.owed is None else agreement.whole(step, match.owed)[1]
    positions = () if match.key is None else agreement.port.between(keys, match.key)[0]
    known = None if match.key is None else agreement.comparisons.get((step.name, match.fed, match.key))
    return Pair(whole, keys, match.key, positions, owed=owed, comparison=known)


def _without_borrowed(found: dict[str, Pair], best: Alignment) -> dict[str, Pair]:
    """The pairs without those that do not agree and are made of pieces that another step agrees with."""
    owned = {at for name, pair in found.items() if best.matches[name].agrees for at in pair.pieces}
    return {
        name: replace(pair, key=None, pieces=())
        if not best.matches[name].agrees and owned & set(pair.pieces) else pair
        for name, pair in found.items()
    }  # fmt: skip


def _with_folds(found: dict[str, Pair], best: Alignment) -> dict[str, Pair]:
    """The pairs with the step that each folded one is judged together with."""
    folded = dict(found)
    for name, pair in found.items():
        for part in getattr(pair.step, "steps", ())[:-1] if pair.key is not None else ():
            if isinstance(best.gives[part.name], Folded):
                folded[part.name] = replace(found[part.name], folded_into=name)
    return folded


def _with_activations_behind(
    found: dict[str, Pair], best: Alignment, program: Program, port: Pieces
) -> dict[str, Pair]:
    """The pairs with activations that stand where the legacy network has none taken as part of the step before."""
    links = [link for pair in found.values() for link in zip(pair.owed or (), pair.fed, strict=False)]
    ends = [(best.gives[name], port.root[key]) for name, key in zip(program.outputs, port.graph.outputs, strict=True)]
    moved: dict[Key, Key] = {}
    for right, key in [*links, *ends]:
        if isinstance(right, Folded) or key == right:
            continue
        positions, alone = port.between((right,), key)
        if alone and positions and all(port.pieces[at].is_activation for at in positions):
            moved[right] = key
    return {name: _moved(pair, moved, port) for name, pair in found.items()}


def _moved(pair: Pair, moved: Mapping[Key, Key], port: Pieces) -> Pair:
    """A pair with the activation behind it, fed with what is behind those in front of it."""
    if pair.key is not None and pair.key in moved and pair.key not in pair.fed:
        key = moved[pair.key]
        pair = replace(pair, key=key, pieces=port.between(pair.fed, key)[0], comparison=None)
    settled = pair.owed is not None and tuple(moved.get(key, key) for key in pair.owed) == pair.fed
    return replace(pair, owed=None) if settled else pair


def _with_names(found: Mapping[str, Pair], port: Pieces) -> dict[str, Pair]:
    """The pairs with the names of the port's layers, and layers that hand their inputs on given to such steps."""
    named, used = {}, set()
    for name, pair in found.items():
        positions = list(pair.pieces)
        if pair.key is not None and pair.key in pair.fed:
            idle = [at for at, piece in enumerate(port.pieces) if port.root[piece.outputs[0]] == pair.key]
            idle = [at for at in idle if at not in used and port.pieces[at].outputs[0] != pair.key]
            positions = idle[:1]
            used.update(positions)
        names = tuple(dict.fromkeys(port.pieces[at].node.name for at in positions))
        named[name] = replace(pair, names=names)
    return named


def _inputs_note(inputs: Mapping[str, Key], port: Pieces) -> list[str]:
    if len(inputs) < 2:
        return []
    return [f"the inputs were paired in the order in which the two models list them: {', '.join(inputs)}"]


def _ties(states: Sequence[Alignment]) -> list[str]:
    """Steps that another alignment, as good as the best, pairs with another tensor."""
    alike = [state for state in states[1:] if state.score >= states[0].score - 1e-9]
    differ = {
        name: None
        for state in alike
        for name, match in state.matches.items()
        if match.key != states[0].matches[name].key
    }
    return [f"{name} could be paired with another layer of the port just as well" for name in differ]
