"""The forward pass of RTE-RRTMGP-NN, on the variables of its netCDF files as stored.

Source: peterukk/rte-rrtmgp-nn, commit 8bdcbbb: ``(x - min) / (max - min)``; ``f(W^T x + b)`` with W stored as (inputs,
units); ``std * y + mean``. Outside the network: the logarithm of pressure and the fourth roots of water vapour and
ozone before it; ``y**8`` behind absorption and Rayleigh scattering, ``max(y, 0)**2`` behind Planck fractions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.dense import Dense, Orientation
from reference.operations.scaling import Rule, Scaling
from reference.operations.transforms import Transform
from reference.programs.declared import Declared, chosen_activations, chosen_orientations, chosen_rule
from reference.trace import Program, chain

Array = NDArray[Any]

LARGEST_COEFFICIENT = 9e36  # just below netCDF's fill value of a float
LOGARITHMIC, FOURTH_ROOTS = ("play",), ("h2o", "o3")


def program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    *,
    activation: Declared = None,
    output_activation: str | None = None,
    orientation: Declared = None,
    scaling: str | None = None,
    physical: bool = False,
    dtype: Any = np.float64,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: ``nn_weights_1`` (inputs, units), ``nn_bias_1`` (units,), ...; ``nn_input_coeffs_min``, ``.._max`` and
            ``nn_output_coeffs_mean``, ``.._std`` where there are such.
        attributes: ``nn_activation``: a name a layer; ``nn_inputs``: a name an input; ``output_scaling_info``: text.
        activation: one spelling for all hidden layers, or a list for all layers; the file's where None.
        output_activation: spelling for the last layer.
        orientation: of the kernels; inputs-first where None.
        scaling: another rule for both ends, or "none".
        physical: whether the functions outside the network belong to it.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the arrays do not make a network, or a declaration does not fit them.
    """
    count = sum(name.startswith("nn_weights_") for name in arrays)
    own = list(attributes.get("nn_activation", ["softsign"] * (count - 1) + ["linear"]))
    activations = chosen_activations(own, activation, output_activation)
    kernels = [_native(arrays[f"nn_weights_{n}"]) for n in range(1, count + 1)]
    biases = [_native(arrays[f"nn_bias_{n}"]).reshape(-1) for n in range(1, count + 1)]
    steps: list[Any] = []
    names = [str(name) for name in attributes.get("nn_inputs", ())] if physical else []
    if names:
        steps.append(Transform("Transform_in", ("inputs",), _functions(names), dtype))
    if "nn_input_coeffs_min" in arrays:
        pair = (arrays["nn_input_coeffs_min"], arrays["nn_input_coeffs_max"])
        steps += _scaling("Norm_in", steps, pair, chosen_rule("[0,1]", scaling), dtype)
    ways = chosen_orientations("inputs-first", orientation, count)
    for n, (kernel, bias, way) in enumerate(zip(kernels, biases, ways, strict=True)):
        shown = _shown(kernel, bias.size)
        steps.append(
            Dense(
                f"Layer{n + 1}", (_last(steps),), kernel, bias, activations[n], way if shown is None else shown, dtype
            )
        )
    if "nn_output_coeffs_mean" in arrays:
        pair = _written(_native(arrays["nn_output_coeffs_mean"]), _native(arrays["nn_output_coeffs_std"]))
        steps += _scaling("Norm_out", steps, pair, chosen_rule("mean-std", scaling), dtype)
    power = _power(str(attributes.get("output_scaling_info", ""))) if physical else None
    if power is not None:
        powers = [power] * biases[-1].size
        if "nn_output_coeffs_std" in arrays:
            fills = _native(arrays["nn_output_coeffs_std"]).reshape(-1) > LARGEST_COEFFICIENT
            powers = ["relu_square" if fill else power for fill in fills.tolist()]
        steps.append(Transform("Transform_out", (_last(steps),), tuple(powers), dtype))
    return chain(steps)


def _shown(kernel: Array, units: int) -> Orientation | None:
    """What a kernel's shape says of its orientation; None where it is square."""
    if kernel.shape[0] == kernel.shape[1]:
        return None
    return "inputs-first" if kernel.shape[1] == units else "units-first"


def _last(steps: Sequence[Any]) -> str:
    return steps[-1].name if steps else "inputs"


def _native(array: Array) -> Array:
    return np.asarray(array).astype(array.dtype.newbyteorder("="), copy=False)


def _scaling(
    name: str, steps: Sequence[Any], pair: tuple[Array, Array], rule: Rule | None, dtype: Any
) -> list[Scaling]:
    if rule is None:
        return []
    first, second = (_native(part).reshape(-1) for part in pair)
    return [Scaling(name, (_last(steps),), first, second, rule, name == "Norm_out", dtype)]


def _written(mean: Array, deviation: Array) -> tuple[Array, Array]:
    """The coefficients, 0 and 1 where netCDF's fill value stands: those outputs are Planck fractions, and unscaled."""
    fills = deviation > LARGEST_COEFFICIENT
    return np.where(fills, 0, mean), np.where(fills, 1, deviation)


def _functions(names: Sequence[str]) -> tuple[str, ...]:
    return tuple("ln" if name in LOGARITHMIC else "root4" if name in FOURTH_ROOTS else "identity" for name in names)


def _power(text: str) -> str | None:
    """What the file's own sentence asks for behind the network."""
    if "**8" in text:
        return "pow8"
    return "relu_square" if "y_nn * y_nn" in text or "square root" in text else None
