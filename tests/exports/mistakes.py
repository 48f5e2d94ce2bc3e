"""A network with one mistake in one layer, and what it should be called; written, it is a wrong export."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from porter.network import Dense, Scaling
from reference.activations import Activation


def with_layer(network, name, change):
    layers = tuple(change(layer) if layer.name == name else layer for layer in network.layers)
    return replace(network, layers=layers)


def dense(**changes):
    def change(layer):
        assert isinstance(layer, Dense)
        return replace(layer, **{key: value(layer) for key, value in changes.items()})

    return change


def scaled(change):
    def apply(layer):
        assert isinstance(layer, Scaling)
        return replace(layer, **dict(zip(("scale", "offset"), change(layer.scale, layer.offset), strict=True)))

    return apply


def one_entry(layer):
    kernel = layer.kernel.copy()
    kernel[1, 2] += 0.01
    return kernel


def reversed_units(layer):
    return replace(layer, kernel=layer.kernel[:, ::-1], bias=layer.bias[::-1])


PLANTED = {
    "kernel.transposed": ("Layer2", dense(kernel=lambda layer: layer.kernel.T)),
    "kernel.values": ("Layer2", dense(kernel=one_entry)),
    "bias.missing": ("Layer3", dense(bias=lambda layer: None)),
    "bias.negated": ("Layer3", dense(bias=lambda layer: -layer.bias)),
    "activation.replaced": ("Layer2", dense(activation=lambda layer: Activation("softsign"))),
    "activation.missing": ("Layer2", dense(activation=lambda layer: Activation("linear"))),
    "activation.added": ("Layer4", dense(activation=lambda layer: Activation("tanh"))),
    "activation.parameter": (
        "Layer5",
        dense(activation=lambda layer: Activation("leaky_relu", {"negative_slope": 0.3})),
    ),
    "outputs.permuted": ("Layer6", reversed_units),
    "scaling.missing": ("Norm_in", scaled(lambda scale, offset: (np.ones_like(scale), np.zeros_like(offset)))),
    "scaling.range": ("Norm_out", scaled(lambda scale, offset: (scale, 0 * offset))),
    "scaling.swapped": ("Norm_in", scaled(lambda scale, offset: (-scale, -offset))),
}
"""By code: the layer, and the mistake."""
