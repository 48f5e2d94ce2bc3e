"""A port cut as finely as it goes: every call of a layer a piece, an activation fused into a layer one of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.stateful import Begin, without_state
from porter.ports.keras.graph import PortGraph
from porter.ports.keras.nodes import Key, PortNode
from porter.ports.runtime import current_runtime
from reference.precision import FORMATS, Precision

Array = NDArray[Any]


LEAST_ROWS = 4
"""So many rows at least has a port that is not too wide for one more, which it is fed with alone."""


@dataclass(frozen=True)
class Piece:
    """One call of an operation, or one half of it.

    Attributes:
        node: the call that it is, or is half of.
        inputs: keys of the tensors it takes.
        outputs: keys of the tensors it gives.
        activation: the fused activation that it is; None for anything else.
    """

    node: PortNode
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]
    activation: Any = None

    def compute(self, values: dict[Key, Any]) -> None:
        """Add the values of the outputs to ``values``, which holds those of the inputs."""
        if self.activation is None:
            self.node.compute(values)
            return
        given = values[self.inputs[0]]
        result = self.activation(given)
        mask = getattr(given, "_keras_mask", None)
        if mask is not None:
            result._keras_mask = mask
        values[self.outputs[0]] = result

    @property
    def operation(self) -> Any:
        """The port's own layer or operation."""
        return self.node.node.operation

    @property
    def kind(self) -> str:
        """The class of its operation, or "activation" for a fused one."""
        return "activation" if self.activation is not None else type(self.operation).__name__

    @property
    def has_weights(self) -> bool:
        """Whether it computes with variables."""
        return self.activation is None and bool(getattr(self.operation, "weights", ()))

    @property
    def is_activation(self) -> bool:
        """Whether it applies an activation and nothing else."""
        return self.activation is not None or self.node.kind == "activation"


class Pieces:
    """A port in pieces, with the value of every tensor on one set of rows.

    Attributes:
        graph: the port.
        pieces: in an order of computation.
        values: by key, in the port's dtypes.
        maker: the position of the piece that gives a tensor; inputs have none.
        takers: positions of the pieces that take a tensor.
        root: the tensor that a tensor merely hands on: what dropout layers give is what they take.
    """

    def __init__(self, graph: PortGraph, feeds: Sequence[Array], begin: Begin | None = None) -> None:
        self.graph = graph
        count = 1 + max(graph.inputs + tuple(key for node in graph.nodes for key in node.outputs))
        nodes = (without_state(node, {} if begin is None else begin) for node in graph.nodes)
        self.pieces = tuple(piece for node in nodes for piece in split(node, count))
        self.values = self._trace(feeds)
        self.maker = {key: at for at, piece in enumerate(self.pieces) for key in piece.outputs}
        self.takers: dict[Key, list[int]] = {}
        for at, piece in enumerate(self.pieces):
            for key in piece.inputs:
                self.takers.setdefault(key, []).append(at)
        self.root: dict[Key, Key] = {key: key for key in graph.inputs}
        for piece in self.pieces:
            for key in piece.outputs:
                self.root[key] = self.root[piece.inputs[0]] if self._hands_on(piece) else key

    def _trace(self, feeds: Sequence[Array]) -> dict[Key, Array]:
        """Every tensor; a split layer that gives other bits than the whole one is left whole."""
        from keras import ops

        tensors = dict(zip(self.graph.inputs, map(_tensor, feeds, self.graph.input_dtypes), strict=True))
        kept: list[Piece] = []
        for piece in self.pieces:
            piece.compute(tensors)
            kept.append(piece)
            if piece.activation is not None:
                whole = dict(tensors)
                piece.node.compute(whole)
                halves, key = tensors[piece.outputs[0]], piece.outputs[0]
                if np.asarray(halves).tobytes() != np.asarray(whole[key]).tobytes():
                    del kept[-2:], tensors[piece.inputs[0]]
                    kept.append(Piece(piece.node, piece.node.inputs, piece.node.outputs))
                    tensors[key] = whole[key]
        self.pieces = tuple(kept)
        return {key: ops.convert_to_numpy(tensor) for key, tensor in tensors.items()}

    @cached_property
    def single(self) -> dict[Key, Array]:
        """Every tensor for one of the rows alone; nothing where the port is wide, or takes other batches only."""
        from keras import ops

        keys, count = self.graph.inputs, len(self.values[self.graph.inputs[0]])
        if count < LEAST_ROWS:
            return {}
        at = min(1, count - 1)
        tensors = {key: _tensor(self.values[key][at : at + 1], self.values[key].dtype) for key in keys}
        try:
            for piece in self.pieces:
                piece.compute(tensors)
        except Exception:  # of whatever kind such a piece raises
            return {}
        return {key: ops.convert_to_numpy(tensor) for key, tensor in tensors.items()}

    def _hands_on(self, piece: Piece) -> bool:
        if len(piece.inputs) != 1 or len(piece.outputs) != 1:
            return False
        given, made = (self.values[keys[0]] for keys in (piece.inputs, piece.outputs))
        if given.shape != made.shape or given.dtype != made.dtype:
            return False
        return piece.node.kind == "identity" or piece.kind in ("Flatten", "Reshape")

    @cached_property
    def ancestors(self) -> dict[Key, int]:
        """By key, a bit for each key that it is computed from, its own included."""
        found = {key: 1 << key for key in self.graph.inputs}
        for piece in self.pieces:
            before = 0
            for key in piece.inputs:
                before |= found[key]
            found.update((key, before | 1 << key) for key in piece.outputs)
        return found

    def is_behind(self, key: Key, source: Key) -> bool:
        """Whether a tensor is computed from another, or is it."""
        return bool(self.ancestors[key] >> source & 1)

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The tensors that are not merely handed on, in order of computation."""
        every = (*self.graph.inputs, *(key for piece in self.pieces for key in piece.outputs))
        return tuple(key for key in every if self.root[key] == key)

    def between(self, sources: Sequence[Key], target: Key) -> tuple[tuple[int, ...], bool]:
        """The pieces that compute a tensor from others, and whether they need nothing else."""
        cut, roots = set(sources), {self.root[key] for key in sources}
        needed: set[int] = set()
        pending, alone = [target], True
        while pending:
            key = pending.pop()
            if key in cut or (self.root[key] in roots and key != target):
                continue
            at = self.maker.get(key)
            if at is None:
                alone = False
            elif at not in needed:
                needed.add(at)
                pending += self.pieces[at].inputs
        return tuple(sorted(needed)), alone

    def run(self, sources: Mapping[Key, Array], target: Key) -> Array:
        """A tensor as the port makes it of other values of those it is computed from.

        Args:
            sources: (rows, ...) by key; nothing else may be needed.
            target: which tensor.
        """
        count, own = len(next(iter(sources.values()))), len(self.values[self.graph.inputs[0]])
        try:
            return self._run(sources, target)
        except Exception:  # of whatever kind a piece raises that takes batches of one size alone
            if count == own:
                raise
        parts = (np.arange(start, start + own) % count for start in range(0, count, own))
        found = [self._run({key: array[rows] for key, array in sources.items()}, target) for rows in parts]
        return np.concatenate(found)[:count]

    def _run(self, sources: Mapping[Key, Array], target: Key) -> Array:
        from keras import ops

        tensors = {key: _tensor(array, self.values[key].dtype) for key, array in sources.items()}
        return np.asarray(ops.convert_to_numpy(self.compute(tensors, target)))

    def compute(self, sources: Mapping[Key, Any], target: Key) -> Any:
        """As ``run``, of the backend's tensors in the port's dtypes, and as it may be traced."""
        tensors = dict(sources)
        roots = {self.root[key]: tensor for key, tensor in tensors.items()}
        positions, _ = self.between(tuple(sources), target)
        for at in positions:
            for key in self.pieces[at].inputs:
                if key not in tensors and self.root[key] in roots:
                    tensors[key] = roots[self.root[key]]
            self.pieces[at].compute(tensors)
        if target not in tensors:
            tensors[target] = roots[self.root[target]]
        return tensors[target]

    def precision(self, key: Key) -> Precision:
        """In which the operation that gives a tensor computes, and holds its variables."""
        dtype, at = str(self.values[key].dtype), self.maker.get(key)
        policy = None if at is None else getattr(self.pieces[at].operation, "dtype_policy", None)
        compute = dtype if policy is None or dtype == "bool" else policy.compute_dtype
        variables = compute if policy is None else policy.variable_dtype
        known = (each if each in FORMATS else "float32" for each in (compute, variables))
        return current_runtime().precision(*known)


def split(node: PortNode, count: int) -> tuple[Piece, ...]:
    """A call as it is, or a layer's affine part and the activation fused into it.

    The affine half is the layer's own code on a copy of its attributes that names no activation: its variables are
    the layer's, and the layer itself is left alone.

    Args:
        node: the call.
        count: added to the key of its output, a key that no other tensor has.
    """
    activation = getattr(node.operation, "activation", None)
    whole = Piece(node, node.inputs, node.outputs)
    if not _is_split(node) or activation is None or getattr(activation, "__name__", "") == "linear":
        return (whole,)
    bare = object.__new__(type(node.operation))
    bare.__dict__.update({**node.operation.__dict__, "activation": None})
    middle = count + node.outputs[0]
    affine = replace(node, operation=bare, outputs=(middle,))
    return (Piece(affine, node.inputs, (middle,)), Piece(node, (middle,), node.outputs, activation))


def _is_split(node: PortNode) -> bool:
    kind = type(node.operation)
    if not kind.__module__.startswith("keras."):
        return False
    return kind.__name__ in ("Dense", "EinsumDense") or ("Conv" in kind.__name__ and "LSTM" not in kind.__name__)


def _tensor(array: Array, dtype: Any) -> Any:
    from keras import ops

    return ops.convert_to_tensor(array, dtype=str(dtype))
