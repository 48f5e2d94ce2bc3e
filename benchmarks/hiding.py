"""Layers of somebody's own that compute what a layer computes and show none of its arrays."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from typing import Any

import numpy as np

from porter.diagnosis.readout import ABOVE, DIGITS, INVERSES
from porter.examination.probes import FULL_BASIS_WIDTH
from reference.activations import Activation

Array = np.ndarray
SATURATED = {"tanh": 3.0, "sigmoid": 6.0, "softsign": 30.0, "exponential": 10.0}
"""Biases from which on float32 leaves too few digits of what such an activation gives for its inverse."""


def hide(model: Any, names: Collection[str], as_lambda: bool = False) -> Any:
    """A copy of a model some of whose layers hide their arrays.

    Args:
        model: a functional ``keras.Model``.
        names: of the layers.
        as_lambda: as ``Lambda`` layers, otherwise as layers of a class that holds constants.

    Returns:
        A ``keras.Model`` with the same names of layers.
    """
    import keras

    def copied(layer: Any) -> Any:
        if layer.name not in names:
            return layer.__class__.from_config(layer.get_config())
        made = _as_lambda if as_lambda else _hidden_class()
        return made(_with_constants(layer), layer)

    def called(layer: Any, *given: Any, **options: Any) -> Any:
        return layer(*given) if layer.name in names else layer(*given, **options)

    copy = keras.models.clone_model(model, clone_function=copied, call_function=called)
    for layer in copy.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return copy


def _with_constants(layer: Any) -> Callable[[Any], Any]:
    """What the layer computes, with the arrays that it has now."""
    import keras

    trained, others = (
        [keras.ops.convert_to_tensor(keras.ops.convert_to_numpy(one).copy(), one.dtype) for one in part]
        for part in (layer.trainable_variables, layer.non_trainable_variables)
    )
    return lambda x: layer.stateless_call(trained, others, x)[0]


def _as_lambda(function: Callable[[Any], Any], layer: Any) -> Any:
    import keras

    return keras.layers.Lambda(function, layer.compute_output_shape, name=layer.name, dtype=layer.dtype_policy)


@cache
def _hidden_class() -> Any:
    import keras

    class Hidden(keras.layers.Layer):  # type: ignore[misc]
        """Computes what another layer does."""

        def __init__(self, function: Callable[[Any], Any], layer: Any) -> None:
            super().__init__(name=layer.name, dtype=layer.dtype_policy)
            self._function, self._shaped = function, layer.compute_output_shape

        def call(self, x: Any) -> Any:
            return self._function(x)

        def compute_output_shape(self, shape: Any) -> Any:
            return self._shaped(shape)

    return Hidden


# --- what numbers that are read out can tell ------------------------------------------------------------------------


def can_be_read(kernel: Array, bias: Array, activation: str | Activation) -> bool:
    """Whether the diagnosis promises to read out a dense layer that hides its arrays.

    Args:
        kernel: (inputs, units).
        bias: (units,).
        activation: that the port applies.
    """
    name = activation if isinstance(activation, str) else activation.name
    limit = SATURATED.get(name, np.inf)
    is_known = name in INVERSES or name in ABOVE
    return is_known and len(kernel) <= FULL_BASIS_WIDTH and bool(np.max(np.abs(bias), initial=0.0) <= limit)


def differ_visibly(before: Array, after: Array) -> bool:
    """Whether some number differs by more than the digits to which it is read out."""
    size = np.max(np.abs(before), initial=0.0)
    return before.shape != after.shape or bool((np.abs(after - before) > 2 * DIGITS * (np.abs(before) + size)).any())
