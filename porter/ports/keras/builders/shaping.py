"""Layers that move numbers about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.network.graph import KerasLayer
from porter.ports.keras.builders.convolution import around, at_edges
from porter.ports.keras.builders.site import Apply, Site, in_a_row, named
from porter.ports.keras.names import legal_name

Array = NDArray[Any]


def flatten(layer: KerasLayer, site: Site) -> Apply:
    """Flatten, which turns the channels last itself where asked."""
    layout = "channels_first" if layer.parameters["channels_first"] else "channels_last"
    return in_a_row(legal_name(layer.name), ("it", lambda name: layers.Flatten(layout, name=name, dtype=site.policy)))


def on_edges(kind: str) -> Callable[[KerasLayer, Site], Apply]:
    """ZeroPadding and Cropping."""

    def build(layer: KerasLayer, site: Site) -> Apply:
        p = layer.parameters
        layout = "channels_first" if p["channels_first"] else "channels_last"
        return in_a_row(legal_name(layer.name), ("it", lambda name: at_edges(kind, p["amounts"], name, site, layout)))

    return build


def upsampling(layer: KerasLayer, site: Site) -> Apply:
    """UpSampling by repetition."""
    p = layer.parameters
    size = p["sizes"][0] if p["dims"] == 1 else p["sizes"]
    layout = {} if p["dims"] == 1 else {"data_format": "channels_first" if p["channels_first"] else "channels_last"}
    kind = getattr(layers, f"UpSampling{p['dims']}D")
    return in_a_row(legal_name(layer.name), ("it", lambda name: kind(size, name=name, dtype=site.policy, **layout)))


def bilinear(layer: KerasLayer, site: Site) -> Apply:
    """Bilinear UpSampling2D; TensorFlow's old way as two products with constant matrices."""
    p = layer.parameters
    if p["centres"]:
        return around(layer, site, ("it", lambda name: layers.UpSampling2D(
            p["sizes"], interpolation="bilinear", data_format="channels_last", name=name, dtype=site.policy
        )))  # fmt: skip
    axes = (2, 3) if p["channels_first"] else (1, 2)

    def compute(x: Any) -> Any:
        height, width = (x.shape[axis] for axis in axes)
        if height is None or width is None:
            raise UnbuildableError(f"layer {layer.name!r}", found=f"an input of {x.shape}", expected="a fixed size")
        down, across = (_from_corners(n, s, site.dtype) for n, s in zip((height, width), p["sizes"], strict=True))
        if p["channels_first"]:
            return ops.einsum("pw,nchw->nchp", across, ops.einsum("oh,nchw->ncow", down, x))
        return ops.einsum("pw,nhwc->nhpc", across, ops.einsum("oh,nhwc->nowc", down, x))

    return named(legal_name(layer.name), compute, site)


def _from_corners(length: int, size: int, dtype: str) -> Array:
    """(outputs, inputs): output i at i / size, between the inputs on either side, the last one held."""
    matrix = np.zeros((length * size, length), dtype)
    for place in range(length * size):
        low, share = place // size, place % size / size
        matrix[place, low] += 1 - share
        matrix[place, min(low + 1, length - 1)] += share
    return matrix
