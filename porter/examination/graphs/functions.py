"""The activations that the layers of a port hold apart, each beside the one that the file has there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison, merge_comparisons
from porter.examination.functions import compare_function
from porter.examination.graphs.slots import HOLDERS
from porter.ports.keras.nodes import ACTIVATIONS, INACTIVE
from reference.activations import Activation
from reference.precision import Precision

Array = NDArray[Any]
Function = tuple[Activation, Callable[[Any], Any]]

FIELDS = ("activation", "recurrent_activation")


def compare_functions(step: Any, operations: Sequence[Any], precision: Precision) -> Comparison:
    """The activations of a step of which every array is the file's, where the port shows them.

    Args:
        step: of the legacy program.
        operations: of the port, in order, which compute it.
        precision: in which they do.
    """
    found = (
        compare_function(own, _on_arrays(function, precision.compute), 1, precision)
        for own, function in _functions(step, [each for each in operations if type(each).__name__ not in INACTIVE])
    )
    return merge_comparisons(found)


def _functions(step: Any, operations: Sequence[Any]) -> Iterator[Function]:
    if not operations or not all(map(_is_plain, operations)):
        return
    first, *rest = operations
    if any(type(each).__name__ not in ACTIVATIONS or getattr(each, "weights", ()) for each in rest):
        return
    if type(first).__name__ in ACTIVATIONS and isinstance(getattr(step, "activation", None), Activation):
        if not getattr(first, "weights", ()):
            yield step.activation, _composed(operations)
        return
    shown = list(_held(step, first))
    if rest and len(shown) == 1:
        own, function = shown[0]
        yield own, _composed([function, *rest])
    elif not rest:
        yield from shown


def _held(step: Any, layer: Any) -> Iterator[Function]:
    """What a layer holds under the names that the step has for the same, in the layers inside it too."""
    for name in FIELDS:
        own, function = getattr(step, name, None), getattr(layer, name, None)
        if isinstance(own, Activation) and callable(function):
            yield own, function
    for name, attribute in HOLDERS.items():
        inner, held = getattr(step, name, None), getattr(layer, attribute[1:], None)
        if inner is not None and held is not None and _is_plain(held):
            yield from _held(inner, held)


def _is_plain(operation: Any) -> bool:
    """Whether a layer or operation is of Keras' own class, and calls what that class says."""
    return type(operation).__module__.startswith("keras.") and not {"call", "__call__"} & vars(operation).keys()


def _composed(functions: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(z: Any) -> Any:
        for function in functions:
            z = function(z)
        return z

    return run


def _on_arrays(function: Callable[[Any], Any], dtype: str) -> Callable[[Array], Array]:
    from keras import ops

    return lambda z: np.asarray(ops.convert_to_numpy(function(ops.convert_to_tensor(z, dtype=dtype))), np.float64)
