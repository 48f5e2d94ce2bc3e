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


def compare_functions(step: Any, parts: Sequence[Any], precision: Precision, shape: Sequence[int]) -> Comparison:
    """The activations of a step of which every array is the file's, where the port shows them.

    Args:
        step: of the legacy program.
        parts: layers and operations of the port, and functions fused into them, in order, which compute it.
        precision: in which they do.
        shape: of what they give for one row; a softmax goes over the last axis.
    """
    width = shape[-1] if shape else 1
    active = [part for part in parts if type(part).__name__ not in INACTIVE]
    found = (
        compare_function(own, _on_arrays(function, precision.compute), width, precision)
        for own, function in _functions(step, active)
    )
    return merge_comparisons(found)


def _functions(step: Any, parts: Sequence[Any]) -> Iterator[Function]:
    own = getattr(step, "activation", None)
    if not parts or not all(map(_is_plain, parts)) or not all(map(_is_function, parts[1:])):
        return
    first, *rest = parts
    if _is_function(first):
        held = list(parts)
    elif hasattr(first, "activation"):
        held = [*([first.activation] if callable(first.activation) else []), *rest]
    elif not rest:
        yield from _held(step, first)
        return
    else:
        return
    if isinstance(own, Activation) and held:
        yield own, _composed(held)
    if not _is_function(first) and not rest:
        yield from (each for each in _held(step, first) if each[0] is not own)


def _is_function(part: Any) -> bool:
    """Whether it treats every number alone, with no weights."""
    import keras

    if not isinstance(part, keras.Operation):
        return callable(part)
    return type(part).__name__ in ACTIVATIONS and not getattr(part, "weights", ())


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
    """Whether it is a function, or a layer or operation of Keras' own class that calls what that class says."""
    import keras

    if not isinstance(operation, keras.Operation):
        return callable(operation)
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
