"""The forward pass of networks that list their connections: units whose sources are all known come next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    pending: dict[Any, list[tuple[Any, Any]]] = {}
    for source, target, weight in wires:
        pending.setdefault(target, []).append((source, weight))
    known, before, layers = set(inputs), list(inputs), []
    while pending:
        ready = [unit for unit, taken in pending.items() if all(source in known for source, _ in taken)]
        column = {unit: place for place, unit in enumerate(before)}
        matrix = np.zeros((len(ready), len(before)), dtype)
        for row, unit in enumerate(ready):
            for source, weight in pending.pop(unit):
                if source not in column:
                    raise ValueError(f"{unit} takes from {source}, which is not in the layer before it")
                matrix[row, column[source]] = weight
        if not ready:
            raise ValueError(f"connections in a circle, at or before {next(iter(pending))}")
        layers.append((ready, matrix))
        known.update(ready)
        before = ready
    return layers


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
