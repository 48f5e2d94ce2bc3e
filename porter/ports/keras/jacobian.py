"""How the tensors of a Keras model change with its inputs, by the backend's own gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.ports.keras.graph import PortGraph
from porter.ports.keras.nodes import Key

Array = NDArray[Any]

NUMBERS = 2**22
"""Numbers of the widest tensor that are computed at a time."""
STEP = 2.0**-7
"""Of central differences in float32, as a share of what a column spans: the cube root of its unit, about."""


def has_gradients() -> bool:
    """Whether the backend's gradients are taken here; the others' are not asked for."""
    import keras

    return bool(keras.config.backend() == "tensorflow")


def jacobian(graph: PortGraph, rows: Array, entry: Key | None = None, leaving: Key | None = None) -> Array:
    """Of the model, or of the part between two of its tensors, by TensorFlow's gradients.

    A gradient that is not connected, as behind a lookup, is zero, which is what a training would take it for.

    Args:
        graph: of the port.
        rows: (rows, n) what the part takes.
        entry: key of the tensor that it takes; None for the model as it is called.
        leaving: key of the tensor that it gives.

    Returns:
        (rows, outputs, inputs) float64.
    """
    if entry is None or leaving is None:
        return _by_tape(lambda x: graph.outputs_of([x])[0], rows, graph.input_dtypes[0])
    return _by_tape(partial(_between, graph, entry, leaving), rows, str(rows.dtype))


def central_differences(run: Callable[[Array], Array], rows: Array) -> Array:
    """The same of any function of arrays, with an error that no bound is known of.

    Args:
        run: (rows, inputs) to (rows, outputs).
        rows: (rows, inputs); a column's step is a share of what it spans.
    """
    width = np.ptp(rows, axis=0)
    steps = STEP * np.where(width > 0, width, np.maximum(np.abs(rows).max(axis=0), 1.0))
    columns = []
    for column, step in enumerate(steps):
        moved = np.zeros_like(rows)
        moved[:, column] = step
        apart = np.asarray(run(rows + moved), np.float64) - np.asarray(run(rows - moved), np.float64)
        columns.append(apart.reshape(len(rows), -1) / (2 * step))
    return np.stack(columns, axis=2)


def _between(graph: PortGraph, entry: Key, leaving: Key, x: Any) -> Any:
    """The nodes that lead from one tensor to the other."""
    values = {entry: x}
    for node in graph.nodes:
        if leaving in values:
            break
        if set(node.inputs) <= set(values):
            node.compute(values)
    return values[leaving]


def _by_tape(run: Callable[[Any], Any], rows: Array, dtype: str) -> Array:
    """Each row once for each output, whose gradient alone is asked for there."""
    import tensorflow as tf

    first = run(tf.convert_to_tensor(rows[:1], dtype))
    width = int(np.prod(first.shape[1:]))
    found = np.empty((len(rows) * width, rows.shape[1]))
    size = max(1, NUMBERS // max(width, rows.shape[1]))
    for start in range(0, len(found), size):
        row, output = np.divmod(np.arange(start, min(start + size, len(found))), width)
        x = tf.convert_to_tensor(rows[row], dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = run(x)
        asked = tf.reshape(tf.one_hot(output, width, dtype=y.dtype), tf.shape(y))
        gradient = tape.gradient(y, x, asked, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        found[start : start + len(row)] = np.asarray(tf.cast(gradient, "float64"))
    return found.reshape(len(rows), width, rows.shape[1])
