"""The forward pass of networks that list their connections: units whose sources are all known come next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.dense import Dense
from reference.programs.declared import Declared, chosen_orientations
from reference.trace import Program, chain

Array = NDArray[Any]
Wire = tuple[Any, Any, Any]


def peeled(inputs: Sequence[Any], wires: Iterable[Wire], dtype: Any) -> list[tuple[list[Any], Array]]:
    """Layers of units, in the order in which they are first a target, with their matrix (units, inputs).

    Args:
        inputs: units that take the network's inputs, in order.
        wires: source, target and weight of each connection.
        dtype: of the matrices.

    Raises:
        ValueError: connections that make no chain of layers.
    """
    taken: dict[Any, list[tuple[Any, Any]]] = {}
    leads: dict[Any, list[Any]] = {}
    for source, target, weight in wires:
        taken.setdefault(target, []).append((source, weight))
        leads.setdefault(source, []).append(target)
    place = {unit: number for number, unit in enumerate(taken)}
    waiting = {unit: len(own) for unit, own in taken.items()}
    before, layers = list(inputs), []
    while before:
        ready = []
        for target in (target for source in before for target in leads.get(source, ())):
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
        ready.sort(key=place.__getitem__)
        if ready:
            layers.append((ready, _matrix(before, ready, taken, dtype)))
        before = ready
    if any(waiting.values()):
        raise ValueError("connections in a circle, or units that no input reaches")
    return layers


def _matrix(
    before: Sequence[Any], units: Sequence[Any], taken: Mapping[Any, Sequence[tuple[Any, Any]]], dtype: Any
) -> Array:
    column = {unit: number for number, unit in enumerate(before)}
    matrix = np.zeros((len(units), len(before)), dtype)
    for row, unit in enumerate(units):
        for source, weight in taken[unit]:
            if source not in column:
                raise ValueError(f"{unit} takes from {source}, which is not in the layer before it")
            matrix[row, column[source]] = weight
    return matrix


def wired_program(
    matrices: Sequence[Array],
    biases: Sequence[Array | None],
    activations: Sequence[Any],
    orientation: Declared,
    dtype: Any,
) -> Program:
    """A program of matrices (units, inputs) that follow each other, as they are or meant the other way round."""
    steps, before = [], "inputs"
    ways = chosen_orientations("units-first", orientation, len(matrices))
    for n, (matrix, bias, activation, way) in enumerate(zip(matrices, biases, activations, ways, strict=True), 1):
        shape = matrix.shape if way == "units-first" else matrix.shape[::-1]
        steps.append(Dense(f"Layer{n}", (before,), matrix.reshape(shape), bias, activation, way, dtype))
        before = f"Layer{n}"
    return chain(steps)
