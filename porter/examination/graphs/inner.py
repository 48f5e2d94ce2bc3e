"""A whole model inside TimeDistributed: its layers judged one by one, as the port computes them at every time step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison, merge_comparisons
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph_model import pairs
from reference.operations.time_distributed import TimeDistributed
from reference.trace import Program

Array = NDArray[Any]
Compare = Callable[[Any, tuple[Array, ...], Array, Any, str], Comparison]


def holds_model(step: Any) -> bool:
    """Whether a step is a whole model at every time step."""
    return isinstance(step, TimeDistributed) and isinstance(step.inner, Program)


def compare_inside(
    step: TimeDistributed, inner: KerasNetwork, wrapper: Any, fed: Array, actual: Array, compare: Compare, probes: str
) -> Comparison:
    """Every inner layer on what the port's own inner layers give it, every time step a row.

    The port is cut behind each inner layer and run in the same way as the whole, so that the last cut must give the
    whole's outputs bit by bit.

    Args:
        step: as the program has it.
        inner: the model inside, as read.
        wrapper: the port's TimeDistributed.
        fed: (rows, steps, ...) what it takes.
        actual: (rows, steps, ...) what it gave.
        compare: of a step, its inputs, the port's outputs, the tensor that they are of, and what the rows are.
        probes: what the rows are.

    Raises:
        KeyError: the cut port does not give what the whole gave.
    """
    values = _values(step, inner, wrapper, fed)
    tensors = pairs(inner, wrapper.layer)
    prefix = f"{step.name.split('@')[0]}/"
    if not np.array_equal(values[step.inner.outputs[0]], _flat(actual), equal_nan=True):
        raise KeyError("the model inside gives something else when it is looked into")
    found = [
        compare(
            each, tuple(values[name] for name in each.inputs), values[each.name], tensors[prefix + each.name],
            f"{each.name} inside, on {probes}",
        )
        for each in step.inner.steps
    ]  # fmt: skip
    return merge_comparisons(found)


def _values(step: TimeDistributed, inner: KerasNetwork, wrapper: Any, fed: Array) -> Mapping[str, Array]:
    tensors, prefix = pairs(inner, wrapper.layer), f"{step.name.split('@')[0]}/"
    values = {step.inner.inputs[0]: _flat(fed)}
    for each in step.inner.steps:
        cut = keras.Model(wrapper.layer.inputs, tensors[prefix + each.name])
        outputs = keras.layers.TimeDistributed(cut, dtype=wrapper.dtype_policy)(fed, training=False)
        values[each.name] = _flat(np.asarray(outputs))
    return values


def _flat(array: Array) -> Array:
    return np.asarray(array).reshape((-1, *np.shape(array)[2:]))
