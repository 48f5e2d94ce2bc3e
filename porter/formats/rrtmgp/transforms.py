"""Between physical units and those of an RTE-RRTMGP network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.said import BY_THE_FILE
from porter.formats.scalings import HOW_TO_PROVE, physical_range
from porter.network import Claim, Evidence, Network, Transform

Array = NDArray[Any]

INPUTS = {"play": "ln", "h2o": "root4", "o3": "root4"}
POWERS = (("**8", "pow8"), ("y_nn * y_nn", "relu_square"), ("square root", "relu_square"))


FILL = np.float32(9.969209968386869e36)
"""What netCDF has where nothing was written."""


def is_unscaled(mean: Array, deviation: Array) -> Array:
    """(n,) whether a column has netCDF's fill values for its coefficients: Planck fractions beside absorption."""
    return (mean.astype(np.float32) == FILL) & (deviation.astype(np.float32) == FILL)


def with_transforms(network: Network) -> Network:
    """The same network between the logarithm and roots of its inputs and the power of its outputs.

    Optical depths are per molecule: the product with the column of dry air is the caller's.
    """
    attributes, widths = network.source.attributes, network.widths
    names = attributes.get("nn_inputs", ())
    known = len(names) == widths[0]
    before = Transform("Transform_in", tuple(INPUTS.get(str(name), "identity") for name in names) if known else ())
    said = str(attributes.get("output_scaling_info", ""))
    power = next((function for text, function in POWERS if text in said), None)
    layers = network.layers
    claims = list(network.claims)
    ranges = network.input_range
    if known:
        layers = (before, *layers)
        claims.append(
            _claim("Transform_in", "ln of play, fourth roots of h2o and o3", "input_scaling_info" in attributes)
        )
        ranges = None if ranges is None else physical_range(ranges, before)
    if power is not None:
        functions = _powers(network, power)
        layers = (*layers, Transform("Transform_out", functions))
        spelt = {"pow8": "y**8", "relu_square": "relu(y)**2"}
        value = ", ".join(f"{spelt[name]} of {functions.count(name)}" for name in dict.fromkeys(functions))
        claims.append(_claim("Transform_out", value, set(functions) == {"pow8"}))
    return replace(network, layers=layers, claims=tuple(claims), input_range=ranges)


def _powers(network: Network, power: str) -> tuple[str, ...]:
    """One function a column: what has no scaling is a Planck fraction."""
    arrays = network.source.arrays
    if "nn_output_coeffs_mean" not in arrays:
        return (power,) * network.widths[-1]
    unscaled = is_unscaled(arrays["nn_output_coeffs_mean"], arrays["nn_output_coeffs_std"])
    return tuple("relu_square" if without else power for without in unscaled.tolist())


def _claim(name: str, value: str, is_said: bool) -> Claim:
    evidence: Evidence = "declared" if is_said else "assumed"
    return Claim(name, "transform", value, evidence, BY_THE_FILE if is_said else f"RTE-RRTMGP-NN's; {HOW_TO_PROVE}")
