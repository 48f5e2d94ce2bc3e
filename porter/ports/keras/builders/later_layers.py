"""What Keras 3 has for the layers that came with tf.keras 2.2 to 2.13."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras import layers

from porter.network.graph import KerasLayer
from porter.ports.keras.builders.site import Apply, Site, in_a_row
from porter.ports.keras.names import legal_name


def alone(make: Callable[[KerasLayer, Site, str], Any]) -> Callable[[KerasLayer, Site], Apply]:
    """One layer of Keras for one legacy layer."""

    def build(layer: KerasLayer, site: Site) -> Apply:
        return in_a_row(legal_name(layer.name), ("it", lambda name: make(layer, site, name)))

    return build


@alone
def rescaling(layer: KerasLayer, site: Site, name: str) -> Any:
    """Rescaling."""
    return site.rescaling(layer.parameters["scale"], layer.parameters["offset"], name)


@alone
def normalization(layer: KerasLayer, site: Site, name: str) -> Any:
    """Normalization, its statistics part of the configuration."""
    p = layer.parameters
    mean, variance = site.constants(p["mean"], p["variance"])
    return layers.Normalization(
        p["axis"], mean=mean, variance=variance, invert=p["invert"], name=name, dtype=site.policy
    )


@alone
def resizing(layer: KerasLayer, site: Site, name: str) -> Any:
    """Resizing."""
    p = layer.parameters
    return layers.Resizing(
        p["height"], p["width"], p["method"], crop_to_aspect_ratio=p["crops"], data_format="channels_last", name=name,
        dtype=site.policy,
    )  # fmt: skip


@alone
def center_crop(layer: KerasLayer, site: Site, name: str) -> Any:
    """CenterCrop."""
    p = layer.parameters
    return layers.CenterCrop(p["height"], p["width"], data_format="channels_last", name=name, dtype=site.policy)


@alone
def category_encoding(layer: KerasLayer, site: Site, name: str) -> Any:
    """CategoryEncoding."""
    p = layer.parameters
    return layers.CategoryEncoding(p["tokens"], p["mode"], name=name, dtype=site.policy)


@alone
def discretization(layer: KerasLayer, site: Site, name: str) -> Any:
    """Discretization."""
    p = layer.parameters
    dtype = "int32" if p["mode"] == "int" else site.policy
    return layers.Discretization(list(p["boundaries"]), output_mode=p["mode"], name=name, dtype=dtype)


@alone
def group_norm(layer: KerasLayer, site: Site, name: str) -> Any:
    """GroupNormalization."""
    p = layer.parameters
    chosen = {key: p[key] for key in ("groups", "axis", "epsilon", "center", "scale")}
    made = layers.GroupNormalization(**chosen, name=name, dtype=site.policy)
    return site.keep(made, layer.weights, "gamma", "beta")


@alone
def unit_norm(layer: KerasLayer, site: Site, name: str) -> Any:
    """UnitNormalization."""
    axis = layer.parameters["axis"]
    return layers.UnitNormalization(axis if len(axis) > 1 else axis[0], name=name, dtype=site.policy)


def einsum_dense(layer: KerasLayer, site: Site) -> Apply:
    """EinsumDense, built when the lengths of its input are known, which Keras 3 does not take over by itself."""
    p = layer.parameters
    made: list[Any] = []

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        if not made:
            dense = layers.EinsumDense(
                p["equation"], _output_shape(p, tensors[0].shape), activation=site.activation(p["activation"]),
                bias_axes=p["bias_axes"], name=legal_name(layer.name), dtype=site.policy,
            )  # fmt: skip
            made.append(site.keep(dense, layer.weights, "kernel", "bias"))
        return [made[0](tensors[0])]

    return apply


def _output_shape(p: Mapping[str, Any], shape: Sequence[int | None]) -> tuple[int | None, ...]:
    """The shape of a row of the output, with what the input says where the file leaves it open."""
    given, _, made = p["equation"].partition("->")
    letters = given.split(",")[0]
    if "." in p["equation"]:
        return tuple(p["output_shape"])
    return tuple(
        shape[letters.index(letter)] if n is None and letter in letters else n
        for letter, n in zip(made[1:], p["output_shape"], strict=True)
    )


def multi_head(layer: KerasLayer, site: Site) -> Apply:
    """MultiHeadAttention."""
    p = layer.parameters
    made = layers.MultiHeadAttention(
        p["heads"], p["width"], p["value_width"], use_bias=p["use_bias"], name=legal_name(layer.name),
        dtype=site.policy,
    )  # fmt: skip
    site.keep(made, layer.weights, *layer.weights)

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        # By name, and only what is there: Keras 3.3 takes no None by position.
        given = dict(zip(("query", "value", "key"), (tensors[number] for number in p["order"]), strict=False))
        return [made(**given, use_causal_mask=p["causal"])]

    return apply


OPERATIONS: Mapping[str, Callable[[KerasLayer, Site], Apply]] = {
    "CategoryEncoding": category_encoding,
    "CenterCrop": center_crop,
    "Discretization": discretization,
    "EinsumDense": einsum_dense,
    "GroupNorm": group_norm,
    "MultiHead": multi_head,
    "Normalization": normalization,
    "Rescaling": rescaling,
    "Resizing": resizing,
    "UnitNorm": unit_norm,
}
