"""A scaling multiplied into the dense layer beside it, with what that multiplication itself may cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.dense import Dense
from reference.scaling import Scaling

Array = NDArray[Any]


def fold(dense: Dense, before: Scaling | None, after: Scaling | None, unit: float) -> Dense:
    """One dense layer for scaling, layer, scaling; computed in float64.

    Args:
        dense: the layer; linear where ``after`` is given.
        before: input scaling s x + o: the kernel's rows are multiplied by s, the bias gains W o.
        after: output scaling s y + o: the kernel's columns and the bias are multiplied by s, the bias gains o.
        unit: unit roundoff of the arithmetic in which a port may have folded; the error of W s is at most 4 units
            (the scale is the rounded quotient of a rounded difference), of W o + b at most (n + 4) units of the sum
            of magnitudes.

    Returns:
        The folded layer, with those errors as its ``weights_error`` and ``bias_error``.

    Raises:
        ValueError: ``after`` is given and the layer is not linear.
    """
    if after is not None and dense.activation.name != "linear":
        raise ValueError(f"{dense.name} ends in {dense.activation}; a scaling behind it cannot be folded into it")
    canonical = dense.weights.T if dense.orientation == "units-first" else dense.weights
    kernel = np.asarray(canonical, np.float64)
    bias = np.zeros(kernel.shape[1]) if dense.bias is None else np.asarray(dense.bias, np.float64).reshape(-1)
    size, inputs = np.abs(bias), kernel.shape[0]
    if before is not None:
        scale, offset = before.affine
        size = size + np.abs(offset) @ np.abs(kernel)
        bias = bias + offset @ kernel
        kernel = kernel * scale[:, np.newaxis]
    if after is not None:
        scale, offset = after.affine
        size = size * np.abs(scale) + np.abs(offset)
        bias = bias * scale + offset
        kernel = kernel * scale
    weights_error = 4 * unit * np.abs(kernel)
    is_units_first = dense.orientation == "units-first"
    return replace(
        dense,
        weights=kernel.T if is_units_first else kernel,
        bias=bias,
        weights_error=weights_error.T if is_units_first else weights_error,
        bias_error=(inputs + 4) * unit * size,
    )
