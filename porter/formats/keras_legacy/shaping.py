"""Layers that move numbers about."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from porter.formats.keras_legacy.errors import UnknownModeError
from porter.formats.keras_legacy.fields import Fields
from porter.formats.keras_legacy.spec import Spec, Translation


def pairs_of(spec: Spec, key: str, dims: int) -> tuple[tuple[int, int], ...]:
    """Before and after for each dimension, from all the ways in which that was written."""
    value = spec.fields.get(key, default=1)
    if isinstance(value, Mapping):
        sides = (("left_pad", "right_pad"),) if dims == 1 else (("top_pad", "bottom_pad"), ("left_pad", "right_pad"))
        inner = Fields(spec.fields.where, value)
        return tuple((inner.whole(a, default=0, least=0), inner.whole(b, default=0, least=0)) for a, b in sides)
    flat = spec.fields
    if isinstance(value, list) and value and all(isinstance(side, list) for side in value):
        rows = [Fields(flat.where, {key: side}).each(key, count=2, least=0) for side in value]
        if len(rows) == dims:
            return tuple((first, last) for first, last in rows)
        raise flat.wrong((key,), value, f"{dims} pairs")
    if isinstance(value, list) and len(value) == 2 * dims:
        numbers = flat.each(key, count=2 * dims, least=0)
        return tuple((numbers[at], numbers[at + 1]) for at in range(0, 2 * dims, 2))
    return tuple((each, each) for each in flat.each(key, count=dims, default=1, least=0))


def edges(operation: str, key: str, dims: int) -> Callable[[Spec], Translation]:
    """ZeroPadding and Cropping."""

    def translate(spec: Spec) -> Translation:
        first = dims > 1 and spec.channels_first
        return operation, {"dims": dims, "amounts": pairs_of(spec, key, dims), "channels_first": first}, {}

    return translate


def upsampling(spec: Spec, dims: int) -> Translation:
    """UpSampling, nearest or bilinear."""
    sizes = spec.fields.each("size", "length", count=dims, default=2)
    how = spec.fields.choice("interpolation", options=("nearest", "bilinear"), default="nearest")
    parameters = {"dims": dims, "sizes": sizes, "channels_first": dims > 1 and spec.channels_first}
    if how == "nearest":
        return "Upsample", parameters, {}
    if spec.is_theano:
        raise UnknownModeError(f"{spec.fields.where}: bilinear upsampling by Theano", expected="by TensorFlow")
    if spec.era.resizes_by_centres is None:
        raise UnknownModeError(
            f"{spec.fields.where}: bilinear upsampling in tf.keras {'.'.join(map(str, spec.era.version))}",
            found="nothing in the file that tells TensorFlow up to 1.14 from later ones, which resize differently",
        )
    return "Bilinear", parameters | {"centres": spec.era.resizes_by_centres}, {}


def shape_of(spec: Spec) -> tuple[int, ...]:
    """The shape of a row that Reshape asks for."""
    shape = spec.fields.get("target_shape", "dims")
    if not isinstance(shape, list) or not all(isinstance(n, int | None) and not isinstance(n, bool) for n in shape):
        raise spec.fields.wrong(("target_shape",), shape, "a list of whole numbers")
    return tuple(-1 if n is None else n for n in shape)


def says_channels_first(spec: Spec) -> bool:
    """Whether the configuration itself names that order; the backend's own counts for nothing."""
    return bool(spec.fields.get("data_format", default=None) == "channels_first")


def order_of(spec: Spec) -> tuple[int, ...]:
    """The axes in the order that Permute asks for, from 1 on."""
    order = spec.fields.get("dims")
    if not isinstance(order, list) or sorted(order) != list(range(1, len(order) + 1)):
        raise spec.fields.wrong(("dims",), order, "the axes from 1 on, each once")
    return tuple(order)
