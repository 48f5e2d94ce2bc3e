"""Normalizations of legacy Keras: configuration to step."""

from __future__ import annotations

from typing import Any

from reference.operations.batch_normalization import BatchNormalization
from reference.operations.layer_normalization import LayerNormalization
from reference.programs.keras_call import Call, Era, UnsupportedError


def batch_normalization(call: Call) -> Any:
    """BatchNormalization, with the modes of Keras 1.

    Source: layers/normalization.py of Keras 1.0.0, 1.0.5, 1.0.6, 1.2.2 and 2.3.1.
    """
    arrays = list(call.weights)
    gamma = arrays.pop(0) if call.get("scale", default=True) else None
    beta = arrays.pop(0) if call.get("center", default=True) else None
    mode: Any = {0: "moving", 1: "sample", 2: "batch"}[call.get("mode", default=0)]
    axis = call.get("axis", default=-1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if isinstance(axis, list):
        raise UnsupportedError(f"BatchNormalization over the axes {axis}")
    return BatchNormalization(
        call.name, call.inputs, gamma, beta, arrays[0], arrays[1], float(call.get("epsilon", default=1e-3)), axis,
        mode, _divisor(call.era, mode), call.dtype,
    )  # fmt: skip


def _divisor(era: Era, mode: str) -> Any:
    version = era.version + (0,) * 3
    early = version[0] == 1 and version[:3] <= (1, 0, 5)
    if version[0] == 1 and version[:3] == (1, 0, 6):
        early = era.flips
    if mode == "moving":
        return "deviation+epsilon" if early else "sqrt(variance+epsilon)"
    if mode == "sample":
        return "deviation+epsilon" if version[:3] < (1, 0, 5) else "sqrt(variance+epsilon)+epsilon"
    return "sqrt(variance+epsilon)+epsilon" if early else "sqrt(variance+epsilon)"


def layer_normalization(call: Call) -> Any:
    """LayerNormalization of tf.keras 2."""
    arrays = list(call.weights)
    gamma = arrays.pop(0) if call.get("scale", default=True) else None
    beta = arrays.pop(0) if call.get("center", default=True) else None
    axis = call.get("axis", default=-1)
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    return LayerNormalization(
        call.name, call.inputs, gamma, beta, float(call.get("epsilon", default=1e-3)), axes, call.dtype
    )
