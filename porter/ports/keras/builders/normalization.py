"""Normalizations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import layers, ops

from porter.network.graph import KerasLayer
from porter.ports.keras.builders.site import Apply, Site, in_a_row
from porter.ports.keras.names import legal_name


def batch_norm(layer: KerasLayer, site: Site) -> Apply:
    """BatchNormalization; of an early Keras 1 deviation the variance is made that comes to the same."""
    p, weights = layer.parameters, dict(layer.weights)
    epsilon = p["epsilon"]
    if p["early"]:
        weights["moving_variance"] = (weights["moving_variance"].astype(np.float64) + epsilon) ** 2
        epsilon = 0.0
    roles = ("gamma", "beta", "moving_mean", "moving_variance")
    arguments = {"axis": p["axis"], "epsilon": epsilon, "center": p["center"], "scale": p["scale"]}
    return in_a_row(legal_name(layer.name), ("norm", lambda name: site.keep(
        layers.BatchNormalization(name=name, dtype=site.policy, **arguments), weights, *roles
    )))  # fmt: skip


def own_statistics(layer: KerasLayer, site: Site) -> Apply:
    """Modes 1 and 2 of Keras 1: the data's own mean and spread, then gamma and beta."""
    p, name = layer.parameters, legal_name(layer.name)
    axis = -1 if layer.operation == "SampleNorm" else p["axis"]
    units = len(layer.weights["gamma"])
    weights = dict(layer.weights) | {"moving_mean": np.zeros(units), "moving_variance": np.ones(units)}
    affine = layers.BatchNormalization(axis=axis, epsilon=0.0, name=name, dtype=site.policy)
    site.keep(affine, weights, "gamma", "beta", "moving_mean", "moving_variance")
    twice = not p["first"] if layer.operation == "SampleNorm" else p["early"]

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        x = tensors[0]
        rank = len(x.shape)
        axes = (
            [rank - 1]
            if axis == -1 and layer.operation == "SampleNorm"
            else [a for a in range(rank) if a != axis % rank]
        )
        variance = ops.var(x, axis=axes, keepdims=True)
        inside = 0.0 if layer.operation == "SampleNorm" and p["first"] else p["epsilon"]
        divisor = ops.sqrt(variance + inside)
        divisor = divisor + p["epsilon"] if twice or inside == 0.0 else divisor
        return [affine((x - ops.mean(x, axis=axes, keepdims=True)) / divisor)]

    return apply


def layer_norm(layer: KerasLayer, site: Site) -> Apply:
    """LayerNormalization."""
    p = layer.parameters
    arguments = {key: p[key] for key in ("axis", "epsilon", "center", "scale")}
    return in_a_row(legal_name(layer.name), ("norm", lambda name: site.keep(
        layers.LayerNormalization(name=name, dtype=site.policy, **arguments), layer.weights, "gamma", "beta"
    )))  # fmt: skip
