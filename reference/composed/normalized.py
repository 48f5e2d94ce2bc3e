"""A batch normalization multiplied into the layer in front of it, with what that multiplication itself may cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.batch_normalization import BatchNormalization
from reference.operations.convolution import Convolution
from reference.operations.dense import Dense
from reference.operations.depthwise_convolution import DepthwiseConvolution
from reference.operations.separable_convolution import SeparableConvolution
from reference.operations.time_distributed import TimeDistributed
from reference.operations.timewise import TimewiseDense
from reference.operations.transposed_convolution import TransposedConvolution

Array = NDArray[Any]

UNITS = 6.0
"""Roundings of a folded weight: of the sum under the root, the root, the quotient, gamma's product, the weight's own
and its cast. Nobody rounds a bias more often, of the terms that it is the sum of."""
HOSTS = (Convolution, Dense, DepthwiseConvolution, SeparableConvolution, TimewiseDense, TransposedConvolution)
"""Steps into which it can be multiplied."""


@np.errstate(all="ignore")
def fold_normalization(step: Any, norm: BatchNormalization, unit: float, rank: int) -> Any:
    """One step for a linear layer and the batch normalization behind it; computed in float64.

    W' = W gamma / divisor along the layer's outputs, b' = (b - mean) gamma / divisor + beta.

    Args:
        step: one of ``HOSTS``, without an activation, or at every time step.
        norm: with moving statistics, along the layer's outputs.
        unit: unit roundoff of the coarsest arithmetic in which a port may have folded.
        rank: how many axes the layer's outputs have, with that of the rows.

    Returns:
        The step with the folded weights, and what that arithmetic costs as their errors; None where the two do not fit.
    """
    if isinstance(step, TimeDistributed):
        is_last = norm.axis % rank == rank - 1
        inner = fold_normalization(step.inner, replace(norm, axis=-1), unit, rank - 1) if is_last else None
        return None if inner is None else replace(step, inner=inner)
    if not isinstance(step, HOSTS) or step.activation.name != "linear":
        return None
    if norm.statistics != "moving" or norm.mean is None or norm.spread is None:
        return None
    if norm.axis % rank != (1 if getattr(step, "channels_first", False) else rank - 1):
        return None
    mean, spread = np.asarray(norm.mean, np.float64), np.asarray(norm.spread, np.float64)
    gamma = np.ones(mean.shape) if norm.gamma is None else np.asarray(norm.gamma, np.float64)
    beta = np.zeros(mean.shape) if norm.beta is None else np.asarray(norm.beta, np.float64)
    scale = gamma / norm.divide_by(spread)
    bias = np.zeros(mean.shape) if step.bias is None else np.asarray(step.bias, np.float64).reshape(-1)
    field = _field(step)
    along = _along(step, scale, getattr(step, field).shape)
    if bias.shape != scale.shape or along is None:
        return None
    kernel = np.asarray(getattr(step, field), np.float64) * along
    shifted = (bias - mean) * scale + beta
    terms = (np.abs(bias) + np.abs(mean)) * np.abs(scale) + np.abs(beta)
    changed: dict[str, Any] = {
        field: kernel,
        ("weights_error" if field == "weights" else "kernel_error"): UNITS * unit * np.abs(kernel),
        "bias": shifted,
        "bias_error": UNITS * unit * (terms + np.abs(shifted)),
    }
    return replace(step, **changed)


def _field(step: Any) -> str:
    """Which of the step's arrays is multiplied."""
    if isinstance(step, Dense):
        return "weights"
    return "pointwise" if isinstance(step, SeparableConvolution) else "kernel"


def _along(step: Any, scale: Array, shape: tuple[int, ...]) -> Array | None:
    """One number an output, shaped to be multiplied with the kernel; None where there are others than outputs."""
    if isinstance(step, DepthwiseConvolution):
        return scale.reshape(shape[-2:]) if scale.size == shape[-2] * shape[-1] else None
    axis = len(shape) - 1
    if isinstance(step, TransposedConvolution):
        axis = len(shape) - 2
    if isinstance(step, Dense) and step.orientation == "units-first":
        axis = 0
    own = [1] * len(shape)
    own[axis] = -1
    return scale.reshape(own) if scale.size == shape[axis] else None
