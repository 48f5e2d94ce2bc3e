"""Pooling, over windows and over all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.network.graph import KerasLayer
from porter.ports.keras.builders.convolution import around, turn
from porter.ports.keras.builders.site import Apply, Site, named
from porter.ports.keras.names import legal_name

Array = NDArray[Any]


def pooling(layer: KerasLayer, site: Site) -> Apply:
    """Max and average pooling."""
    p = layer.parameters
    if p["padding"] == "theano":
        return theano_pooling(layer, site)
    kind = getattr(layers, f"{p['kind'].capitalize()}Pooling{p['dims']}D")
    arguments = {"strides": p["strides"], "padding": p["padding"], "data_format": "channels_last"}
    return around(layer, site, ("pool", lambda name: kind(p["size"], name=name, dtype=site.policy, **arguments)))


def theano_pooling(layer: KerasLayer, site: Site) -> Apply:
    """Theano's "same" pooling, which lets its windows begin further out than TensorFlow's."""
    p, name = layer.parameters, legal_name(layer.name)
    kind = getattr(layers, f"{p['kind'].capitalize()}Pooling{p['dims']}D")
    pool = kind(p["size"], strides=p["strides"], padding="valid", name=f"{name}_pool", dtype=site.policy)
    axes = range(2, 2 + p["dims"]) if p["channels_first"] else range(1, 1 + p["dims"])
    last, first = turn(p["dims"], "channels_last", site)[1], turn(p["dims"], "channels_first", site)[1]

    def compute(x: Any) -> Any:
        if p["channels_first"]:
            x = last(f"{name}_channels_last")(x)
        space = x.shape[1:-1]
        if None in space:
            raise UnbuildableError(
                f"layer {layer.name!r}", found=f"space {space}", expected="a fixed size of the input"
            )
        before = [k - 2 if k > 2 and k % 2 else k - 1 for k in p["size"]]
        wanted = [(-(-n // s) - 1) * s + k for n, s, k in zip(space, p["strides"], p["size"], strict=True)]
        after = [max(w - b - n, 0) for w, b, n in zip(wanted, before, space, strict=True)]
        edges = [(0, 0), *zip(before, after, strict=True), (0, 0)]
        keep = (slice(None), *(slice(0, w) for w in wanted), slice(None))
        if p["kind"] == "max":
            x = pool(ops.pad(x, edges, constant_values=-np.inf)[keep])
        else:
            inside = np.pad(np.ones((1, *space, 1)), edges)[keep].astype(site.dtype)
            share = np.asarray(_window_means(inside, p["size"], p["strides"]))
            x = pool(ops.pad(x, edges)[keep]) / share.astype(site.dtype)
        return first(f"{name}_channels_first")(x) if p["channels_first"] else x

    del axes
    return named(name, compute, site)


def _window_means(x: Array, size: Sequence[int], strides: Sequence[int]) -> Array:
    """The share of each window that lies inside."""
    axes = tuple(range(1, 1 + len(size)))
    views = np.lib.stride_tricks.sliding_window_view(x, tuple(size), axes)
    steps = (slice(None), *(slice(None, None, step) for step in strides))
    return np.asarray(views[steps].mean(axis=tuple(range(-len(size), 0))))


def global_pooling(layer: KerasLayer, site: Site) -> Apply:
    """Global max and average pooling, with the mask where there is one."""
    p = layer.parameters
    kind = getattr(layers, f"Global{p['kind'].capitalize()}Pooling{p['dims']}D")
    layout = "channels_first" if p["channels_first"] else "channels_last"
    made = kind(data_format=layout, keepdims=p["keepdims"], name=legal_name(layer.name), dtype=site.policy)

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        masked = p["kind"] == "average" and masks and masks[0] is not None
        return [made(tensors[0], mask=masks[0]) if masked else made(tensors[0])]

    apply.layers = [made]  # type: ignore[attr-defined]
    return apply
