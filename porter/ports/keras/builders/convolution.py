"""Convolutions of every kind, those on Theano's terms too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import layers, ops

from porter.errors import UnbuildableError
from porter.network.graph import KerasLayer
from porter.ports.keras.builders.site import Apply, Maker, Site, apart, in_a_row
from porter.ports.keras.names import legal_name
from porter.ports.keras.versions import patches


def turn(dims: int, to: str, site: Site) -> tuple[str, Maker]:
    """Channels from first to last, or back."""
    space = range(2, dims + 2)
    order = (*space, 1) if to == "channels_last" else (dims + 1, *range(1, dims + 1))
    return to, lambda name: layers.Permute(order, name=name, dtype=site.policy)


def around(layer: KerasLayer, site: Site, *makers: tuple[str, Maker] | None) -> Apply:
    """Layers that want the channels last, turned to and back where the legacy layer has them first."""
    p = layer.parameters
    makers = (*makers, *apart(layer, site))
    if not p["channels_first"]:
        return in_a_row(legal_name(layer.name), *makers)
    softmax = p.get("activation") == "softmax"  # along the last axis of the legacy layout, which is no channel there
    return in_a_row(
        legal_name(layer.name), turn(p["dims"], "channels_last", site), *makers,
        turn(p["dims"], "channels_first", site),
        ("softmax", lambda name: layers.Softmax(name=name, dtype=site.policy)) if softmax else None,
    )  # fmt: skip


def convolution_arguments(layer: KerasLayer, site: Site) -> dict[str, Any]:
    """What all convolutions take."""
    p = layer.parameters
    later = (p["channels_first"] and p["activation"] == "softmax") or apart(layer, site)
    return {
        "kernel_size": p["size"], "strides": p["strides"], "dilation_rate": p["dilation"], "use_bias": p["use_bias"],
        "activation": None if later else site.activation(p["activation"]), "dtype": site.policy,
        "data_format": "channels_last",
    }  # fmt: skip


def spans(p: Mapping[str, Any]) -> list[int]:
    """How far a dilated kernel reaches."""
    return [(size - 1) * spread + 1 for size, spread in zip(p["size"], p["dilation"], strict=True)]


def edge(layer: KerasLayer, site: Site) -> tuple[str, tuple[str, Maker] | None]:
    """Keras' padding argument, and the layer of zeros that goes before it where Keras has no such rule."""
    p = layer.parameters
    rule, reach = p["padding"], spans(p)
    if rule == "half" and all(span % 2 and stride == 1 for span, stride in zip(reach, p["strides"], strict=True)):
        return "same", None
    if rule not in ("half", "full"):
        return rule, None
    amounts = [(span // 2, span - 1 - span // 2) if rule == "half" else (span - 1, span - 1) for span in reach]
    return "valid", ("edge", lambda name: at_edges("ZeroPadding", amounts, name, site, "channels_last"))


def at_edges(kind: str, amounts: Sequence[tuple[int, int]], name: str, site: Site, layout: str) -> Any:
    """ZeroPadding or Cropping before and behind each dimension of space."""
    dims = len(amounts)
    extra = {} if dims == 1 else {"data_format": layout}
    made = getattr(layers, f"{kind}{dims}D")
    return made(amounts[0] if dims == 1 else tuple(amounts), name=name, dtype=site.policy, **extra)


def convolution(layer: KerasLayer, site: Site) -> Apply:
    """Conv1D to Conv3D."""
    p = layer.parameters
    rule, before = edge(layer, site)
    arguments = convolution_arguments(layer, site) | {"padding": rule, "groups": p["groups"]}
    kind = getattr(layers, f"Conv{p['dims']}D")
    main = (
        "kernel",
        lambda name: site.keep(kind(p["filters"], name=name, **arguments), layer.weights, "kernel", "bias"),
    )
    return around(layer, site, before, main)


def depthwise(layer: KerasLayer, site: Site) -> Apply:
    """DepthwiseConv1D and 2D."""
    p = layer.parameters
    rule, before = edge(layer, site)
    if rule == "causal":
        rule, before = "valid", ("edge", lambda name: layers.ZeroPadding1D((spans(p)[0] - 1, 0), name=name,
                                                                           dtype=site.policy))  # fmt: skip
    arguments = convolution_arguments(layer, site) | {"padding": rule, "depth_multiplier": p["multiplier"]}
    kind = getattr(layers, f"DepthwiseConv{p['dims']}D")
    main = ("kernel", lambda name: site.keep(
        kind(name=name, **arguments), layer.weights, "kernel", "bias"
    ))  # fmt: skip
    return around(layer, site, before, main)


def separable(layer: KerasLayer, site: Site) -> Apply:
    """SeparableConv1D and 2D."""
    p = layer.parameters
    rule, before = edge(layer, site)
    arguments = convolution_arguments(layer, site) | {
        "padding": rule, "depth_multiplier": p["multiplier"], "filters": p["filters"],
    }  # fmt: skip
    kind = getattr(layers, f"SeparableConv{p['dims']}D")
    roles = ("depthwise_kernel", "pointwise_kernel", "bias")
    main = ("kernel", lambda name: site.keep(kind(name=name, **arguments), layer.weights, *roles))
    return around(layer, site, before, main)


def transposed(layer: KerasLayer, site: Site) -> Apply:
    """Conv1DTranspose to Conv3DTranspose; Theano's "same" is the whole output, cut."""
    p = layer.parameters
    rule, after = p["padding"], None
    if rule == "half":
        reach = spans(p)
        surplus = [max(span - stride, 0) for span, stride in zip(reach, p["strides"], strict=True)]
        cuts = [(span // 2, extra - span // 2) for span, extra in zip(reach, surplus, strict=True)]
        rule = "same"
        if any(first != extra // 2 for (first, _), extra in zip(cuts, surplus, strict=True)):
            if p["output_padding"] is not None or any(min(cut) < 0 for cut in cuts):
                raise UnbuildableError(
                    f"layer {layer.name!r}", found="a transposed convolution whose 'same' was Theano's",
                    expected="one that Keras' own layers can express",
                )  # fmt: skip
            rule, after = "valid", ("cut", lambda name: at_edges("Cropping", cuts, name, site, "channels_last"))
    arguments = convolution_arguments(layer, site) | {"padding": rule, "output_padding": p["output_padding"]}
    kind = getattr(layers, f"Conv{p['dims']}DTranspose")
    main = (
        "kernel",
        lambda name: site.keep(kind(p["filters"], name=name, **arguments), layer.weights, "kernel", "bias"),
    )
    return around(layer, site, main, after)


def local(layer: KerasLayer, site: Site) -> Apply:
    """LocallyConnected1D and 2D: patches, then a dense layer with a kernel of its own for each position."""
    p, name = layer.parameters, legal_name(layer.name)
    size, strides = (tuple(p[key]) + (1,) * (2 - p["dims"]) for key in ("size", "strides"))
    positions = len(layer.weights["kernel"])
    own = layers.EinsumDense(
        "bpk,pkf->bpf", output_shape=(positions, p["filters"]), bias_axes="pf" if p["use_bias"] else None,
        activation=None if p["channels_first"] else site.activation(p["activation"]), name=f"{name}_kernel",
        dtype=site.policy,
    )  # fmt: skip
    site.keep(own, layer.weights, "kernel", "bias")
    first = turn(p["dims"], "channels_last", site)[1](f"{name}_channels_last") if p["channels_first"] else None

    ends: list[Any] = []

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        x = tensors[0] if first is None else first(tensors[0])
        space = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], p["size"], p["strides"], strict=True)]
        if p["dims"] == 1:
            x = ops.expand_dims(x, 2)
        places = patches(x, size, strides)
        if not ends:
            ends.extend(_local_ends(layer, site, name, space))
        x = own(ops.reshape(places, (-1, positions, places.shape[-1])))
        for end in ends:
            x = end(x)
        return [x]

    return apply


def _local_ends(layer: KerasLayer, site: Site, name: str, space: Sequence[int]) -> list[Any]:
    """Positions back to space, channels back to the front, and the activation where it comes after that."""
    p = layer.parameters
    shape = (*space, p["filters"])
    if not p["channels_first"]:
        return [layers.Reshape(shape, name=name, dtype=site.policy)]
    back = turn(p["dims"], "channels_first", site)[1]
    return [
        layers.Reshape(shape, name=f"{name}_space", dtype=site.policy),
        back(f"{name}_channels_first"),
        layers.Activation(site.activation(p["activation"]), name=name, dtype=site.policy),
    ]
