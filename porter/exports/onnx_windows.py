"""Convolutions and poolings in operations of ONNX, which has the channels before space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.exports.onnx_layers import named_activation, space_axes
from porter.exports.onnx_site import OnnxSite
from porter.exports.unit import Make, Unit
from reference.windows import count_before, count_outputs

Array = NDArray[Any]


def forward(site: OnnxSite, unit: Unit, tensor: str) -> str:
    """The channels before space, as ONNX wants them."""
    rank = len(unit.shapes[0]) + 1
    return tensor if unit.parameters["channels_first"] else site.transpose(tensor, [0, rank - 1, *range(1, rank - 1)])


def back(site: OnnxSite, unit: Unit, tensor: str) -> str:
    """The layer's own layout again."""
    rank = len(unit.shapes[0]) + 1
    return tensor if unit.parameters["channels_first"] else site.transpose(tensor, [0, *range(2, rank), 1])


def spans(p: Mapping[str, Any]) -> list[int]:
    """How far a dilated window reaches."""
    dilation = p.get("dilation") or [1] * len(p["size"])
    return [(size - 1) * spread + 1 for size, spread in zip(p["size"], dilation, strict=True)]


def edges(site: OnnxSite, unit: Unit, tensor: str) -> tuple[str, dict[str, Any]]:
    """The tensor, cut where no window reaches, and what pads it.

    Args:
        site: where the nodes are gathered.
        unit: with a window.
        tensor: its input, the channels before space.

    Raises:
        UnbuildableError: a rule that depends on a length that is open.
    """
    p = unit.parameters
    rule: Any = "theano-pool" if p["padding"] == "theano" else p["padding"]
    reach = spans(p)
    space = [unit.shapes[0][axis - 1] for axis in space_axes(unit)]
    if rule == "valid":
        return tensor, {}
    if rule in ("causal", "full"):
        behind = [0 if rule == "causal" else span - 1 for span in reach]
        return tensor, {"pads": [span - 1 for span in reach] + behind}
    if None in space:
        if rule != "same":
            raise UnbuildableError(f"{unit.name} as ONNX", found=f"padding {rule!r} of an open length")
        return tensor, {"auto_pad": "SAME_UPPER"}
    found = padded(rule, space, reach, p["strides"])
    if any(cut is not None for cut in found.cuts):
        ends = [np.iinfo(np.int64).max if cut is None else cut for cut in found.cuts]
        tensor = site.slice(tensor, [0] * len(ends), ends, list(range(2, 2 + len(ends))))
    return tensor, {"pads": found.pads}


@dataclass(frozen=True)
class Padded:
    """What becomes of each dimension of space under a window.

    Attributes:
        pads: before each, then behind each, as ONNX lists them.
        outputs: how many places each has afterwards.
        cuts: where each is cut off, counted from its end, for no window reaches further; None for nowhere.
    """

    pads: list[int]
    outputs: list[int]
    cuts: list[int | None]


def padded(rule: Any, space: Sequence[Any], reach: Sequence[int], strides: Sequence[int]) -> Padded:
    """Zeros around known lengths, by a rule of ``reference.windows``.

    Args:
        rule: by which the edges are padded.
        space: lengths.
        reach: how far the window reaches along each.
        strides: along each.
    """
    before, behind, outputs = [], [], []
    for length, span, stride in zip(space, reach, strides, strict=True):
        outputs.append(count_outputs(rule, length, span, stride))
        before.append(count_before(rule, length, span, stride))
        behind.append((outputs[-1] - 1) * stride + span - before[-1] - length)
    cuts = [rest if rest < 0 and rule != "valid" else None for rest in behind]
    return Padded(before + [max(rest, 0) for rest in behind], outputs, cuts)


def _finish(site: OnnxSite, unit: Unit, tensor: str) -> list[str]:
    return [named_activation(site, back(site, unit, tensor), unit.parameters["activation"])]


def _bias(site: OnnxSite, unit: Unit) -> list[str]:
    return [site.real(unit.weights["bias"])] if "bias" in unit.weights else []


def _window(p: Mapping[str, Any]) -> dict[str, Any]:
    return {"strides": list(p["strides"]), "dilations": list(p["dilation"]), "kernel_shape": list(p["size"])}


def convolution(site: OnnxSite, unit: Unit) -> list[str]:
    """Conv1D to Conv3D."""
    p = unit.parameters
    tensor, padding = edges(site, unit, forward(site, unit, unit.inputs[0]))
    kernel = np.moveaxis(unit.weights["kernel"], (-1, -2), (0, 1))
    made = site.add(
        "Conv", tensor, site.real(kernel), *_bias(site, unit), group=int(p["groups"]), **_window(p), **padding
    )
    return _finish(site, unit, made)


def _by_channel(kernel: Array) -> Array:
    """(*window, channels, multiplier) to (channels * multiplier, 1, *window)."""
    turned = np.moveaxis(kernel, (-2, -1), (0, 1))
    return turned.reshape(-1, 1, *kernel.shape[:-2])


def depthwise(site: OnnxSite, unit: Unit) -> list[str]:
    """DepthwiseConv1D and 2D."""
    p, kernel = unit.parameters, unit.weights["kernel"]
    tensor, padding = edges(site, unit, forward(site, unit, unit.inputs[0]))
    made = site.add(
        "Conv", tensor, site.real(_by_channel(kernel)), *_bias(site, unit), group=int(kernel.shape[-2]),
        **_window(p), **padding,
    )  # fmt: skip
    return _finish(site, unit, made)


def separable(site: OnnxSite, unit: Unit) -> list[str]:
    """SeparableConv1D and 2D."""
    p, kernel = unit.parameters, unit.weights["depthwise_kernel"]
    tensor, padding = edges(site, unit, forward(site, unit, unit.inputs[0]))
    mixed = site.add(
        "Conv", tensor, site.real(_by_channel(kernel)), group=int(kernel.shape[-2]), **_window(p), **padding
    )
    points = np.moveaxis(unit.weights["pointwise_kernel"], (-1, -2), (0, 1))
    return _finish(site, unit, site.add("Conv", mixed, site.real(points), *_bias(site, unit)))


def transposed(site: OnnxSite, unit: Unit) -> list[str]:
    """Conv1DTranspose to Conv3DTranspose."""
    p = unit.parameters
    space = [unit.shapes[0][axis - 1] for axis in space_axes(unit)]
    wanted = [unit.outcome[axis - 1] for axis in space_axes(unit)]
    if None in space or None in wanted:
        raise UnbuildableError(f"{unit.name} as ONNX", found="a transposed convolution of an open length")
    before, behind, extra = [], [], []
    for n, out, span, stride in zip(space, wanted, spans(p), p["strides"], strict=True):
        assert n is not None and out is not None
        full = (n - 1) * stride + span
        cut = _cut_before(p, span, full - out)
        before.append(cut)
        behind.append(max(full - cut - out, 0))
        extra.append(max(cut + out - full, 0))
    kernel = np.moveaxis(unit.weights["kernel"], (-1, -2), (0, 1))
    made = site.add(
        "ConvTranspose", forward(site, unit, unit.inputs[0]), site.real(kernel), *_bias(site, unit), **_window(p),
        pads=before + behind, output_padding=extra,
    )  # fmt: skip
    return _finish(site, unit, made)


def _cut_before(p: Mapping[str, Any], span: int, surplus: int) -> int:
    if p["padding"] == "valid":
        return 0
    if p["output_padding"] is not None and p["padding"] == "same":
        return max(surplus, 0) // 2
    return span // 2 if p["padding"] == "half" else max(surplus, 0) // 2


def local(site: OnnxSite, unit: Unit) -> list[str]:
    """LocallyConnected1D and 2D: patches by their places, then a matrix of its own for each position."""
    p = unit.parameters
    rank = len(unit.shapes[0]) + 1
    turned = unit.inputs[0]
    shape = list(unit.shapes[0])
    if p["channels_first"]:
        turned, shape = site.transpose(turned, [0, *range(2, rank), 1]), [*shape[1:], shape[0]]
    if None in shape:
        raise UnbuildableError(f"{unit.name} as ONNX", found="a locally connected layer of an open length")
    places = np.arange(np.prod([n or 0 for n in shape])).reshape([n or 0 for n in shape])
    axes = tuple(range(len(shape) - 1))
    views = np.lib.stride_tricks.sliding_window_view(places, tuple(p["size"]), axes)
    views = np.moveaxis(views[tuple(slice(None, None, step) for step in p["strides"])], len(axes), -1)
    positions = int(np.prod(views.shape[: len(axes)]))
    columns = site.add("Gather", site.reshape(turned, [0, -1]), site.whole(views.ravel()), axis=1)
    patches = site.reshape(columns, [0, positions, -1])
    made = site.add("Einsum", patches, site.real(unit.weights["kernel"]), equation="bpk,pkf->bpf")
    if "bias" in unit.weights:
        made = site.add("Add", made, site.real(unit.weights["bias"]))
    made = site.reshape(made, [0, *views.shape[: len(axes)], p["filters"]])
    if p["channels_first"]:
        made = site.transpose(made, [0, rank - 1, *range(1, rank - 1)])
    return [named_activation(site, made, p["activation"])]


def pooling(site: OnnxSite, unit: Unit) -> list[str]:
    """Max and average pooling; the mean is of what lies inside."""
    p = unit.parameters
    tensor, padding = edges(site, unit, forward(site, unit, unit.inputs[0]))
    kind = {"max": "MaxPool", "average": "AveragePool"}[p["kind"]]
    size = {"kernel_shape": list(p["size"]), "strides": list(p["strides"])}
    return [back(site, unit, site.add(kind, tensor, **size, **padding))]


def global_pooling(site: OnnxSite, unit: Unit) -> list[str]:
    """Global max and average pooling, of the time steps that count where there is a mask."""
    p, axes = unit.parameters, space_axes(unit)
    keep = int(p["keepdims"])
    if p["kind"] == "max":
        return [site.add("ReduceMax", unit.inputs[0], axes=axes, keepdims=keep)]
    if unit.mask is None:
        return [site.add("ReduceMean", unit.inputs[0], axes=axes, keepdims=keep)]
    counts = site.add("Unsqueeze", site.cast(unit.mask), site.whole([1 if p["channels_first"] else 2]))
    total = site.add("ReduceSum", site.add("Mul", unit.inputs[0], counts), site.whole(axes), keepdims=keep)
    return [site.add("Div", total, site.add("ReduceSum", counts, site.whole(axes), keepdims=keep))]


def bilinear(site: OnnxSite, unit: Unit) -> list[str]:
    """Bilinear upsampling, by the corners or the centres of the pixels."""
    p = unit.parameters
    scales = np.array([1, 1, *p["sizes"]], np.float32)
    made = site.add(
        "Resize", forward(site, unit, unit.inputs[0]), "", site.constant(scales), mode="linear",
        coordinate_transformation_mode="half_pixel" if p["centres"] else "asymmetric",
    )  # fmt: skip
    return [back(site, unit, made)]


WINDOWS: Mapping[str, Make] = {
    "Bilinear": bilinear,
    "Conv": convolution,
    "ConvTranspose": transposed,
    "DepthwiseConv": depthwise,
    "GlobalPool": global_pooling,
    "LocalConv": local,
    "Pool": pooling,
    "SeparableConv": separable,
}
