"""Layers that join tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers, ops

from porter.network.graph import KerasLayer
from porter.ports.keras.builders.site import Apply, Site, named
from porter.ports.keras.names import legal_name
from porter.ports.keras.versions import attention_masks, check_steps


def merge(layer: KerasLayer, site: Site) -> Apply:
    """The merge layers."""
    p, name = layer.parameters, legal_name(layer.name)
    if p["mode"] == "Concatenate":
        made = layers.Concatenate(axis=p["axis"], name=name, dtype=site.policy)
    else:
        made = getattr(layers, p["mode"])(name=name, dtype=site.policy)
    return lambda tensors, masks: [made(list(tensors))]


def dot(layer: KerasLayer, site: Site) -> Apply:
    """Dot, and the mode "cos" of Keras 1."""
    p, name = layer.parameters, legal_name(layer.name)
    if not (p["cosine"] or p["normalize"]):
        made = layers.Dot(p["axes"], name=name, dtype=site.policy)
        return lambda tensors, masks: [made(list(tensors))]
    first, second = p["axes"]

    def times(part: str, x: Any, y: Any, *axes: int) -> Any:
        return layers.Dot(axes, name=f"{name}_{part}", dtype=site.policy)([x, y])

    def cosine(x: Any, y: Any) -> Any:
        square = times("first", x, x, first, first) * times("second", y, y, second, second)
        return ops.expand_dims(times("both", x, y, first, second) / ops.maximum(ops.sqrt(square), 1e-7), 1)

    def proximity(x: Any, y: Any) -> Any:
        # Keras 3's own normalize= divides by at least 1e-7, Keras 2's by at least 1e-6.
        return times("both", _length_1(x, first), _length_1(y, second), first, second)

    return named(name, cosine if p["cosine"] else proximity, site)


def _length_1(x: Any, axis: int) -> Any:
    return x / ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=axis, keepdims=True)), 1e-6)


def attention(layer: KerasLayer, site: Site) -> Apply:
    """Attention and AdditiveAttention."""
    p, name = layer.parameters, legal_name(layer.name)
    if p["score"] == "additive":
        made = layers.AdditiveAttention(use_scale=p["use_scale"], name=name, dtype=site.policy)
    else:
        made = layers.Attention(use_scale=p["use_scale"], score_mode=p["score"], name=name, dtype=site.policy)
    site.keep(made, layer.weights, "scale", "concat_score_weight")

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        check_steps(f"layer {layer.name!r}", tensors[0])
        given = attention_masks(tensors, masks, p["causal"])
        return [made(list(tensors), use_causal_mask=p["causal"], **({} if given is None else {"mask": given}))]

    return apply
