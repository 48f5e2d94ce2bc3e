"""TensorFlow's plain functions that stand in a legacy graph as layers, in operations of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from porter.errors import UnbuildableError
from porter.exports.onnx_layers import named_activation
from porter.exports.onnx_site import OnnxSite
from porter.exports.unit import Make, Unit

Compute = Callable[[OnnxSite, Mapping[str, Any], Sequence[str]], str]


def operation(site: OnnxSite, unit: Unit) -> list[str]:
    """One function of tensors and constants.

    Raises:
        UnbuildableError: one that has no form here.
    """
    p = unit.parameters
    compute = COMPUTED.get(p["function"])
    if compute is None:
        raise UnbuildableError(
            f"{unit.name} as ONNX", found=f"the function {p['function']}", expected=f"one of {', '.join(COMPUTED)}",
            remedy="export it to saved_model",
        )  # fmt: skip
    given = [unit.inputs[each.number] if hasattr(each, "number") else site.real(each) for each in p["operands"]]
    return [compute(site, p, given)]


def _one(kind: str) -> Compute:
    return lambda site, p, xs: site.add(kind, xs[0])


def _two(kind: str) -> Compute:
    def compute(site: OnnxSite, p: Mapping[str, Any], xs: Sequence[str]) -> str:
        total = xs[0]
        for other in xs[1:]:
            total = site.add(kind, total, other)
        return total

    return compute


def _activated(name: str) -> Compute:
    return lambda site, p, xs: named_activation(site, xs[0], name)


def _reduced(kind: str) -> Compute:
    def compute(site: OnnxSite, p: Mapping[str, Any], xs: Sequence[str]) -> str:
        axes, keep = [int(axis) for axis in p["axis"]], int(bool(p["keepdims"]))
        if kind == "ReduceSum":
            return site.add(kind, xs[0], site.whole(axes), keepdims=keep)
        return site.add(kind, xs[0], axes=axes, keepdims=keep)

    return compute


def _square(site: OnnxSite, p: Mapping[str, Any], xs: Sequence[str]) -> str:
    return site.add("Mul", xs[0], xs[0])


def _difference(site: OnnxSite, p: Mapping[str, Any], xs: Sequence[str]) -> str:
    apart = site.add("Sub", *xs)
    return site.add("Mul", apart, apart)


def _clipped(site: OnnxSite, p: Mapping[str, Any], xs: Sequence[str]) -> str:
    return site.add("Min", site.add("Max", xs[0], xs[1]), xs[2])


def _turned(site: OnnxSite, p: Mapping[str, Any], xs: Sequence[str]) -> str:
    return site.transpose(xs[0], [int(axis) for axis in p["perm"]])


def _stacked(site: OnnxSite, p: Mapping[str, Any], xs: Sequence[str]) -> str:
    axis = site.whole([int(p["axis"])])
    return site.add("Concat", *(site.add("Unsqueeze", x, axis) for x in xs), axis=int(p["axis"]))


def _expanded(site: OnnxSite, p: Mapping[str, Any], xs: Sequence[str]) -> str:
    return site.add("Unsqueeze", xs[0], site.whole([int(axis) for axis in p["axis"]]))


def _sliced(site: OnnxSite, p: Mapping[str, Any], xs: Sequence[str]) -> str:
    parts, gone, tensor = [tuple(part) for part in p["parts"]], [], xs[0]
    if any(part[0] == "ellipsis" for part in parts[:-1]) or not all(part[0] in ("slice", "at", "index", "ellipsis")
                                                                   for part in parts):  # fmt: skip
        raise UnbuildableError("a slice as ONNX", found=repr(parts), expected="slices and numbers")
    most = np.iinfo(np.int64).max
    for axis, part in enumerate(part for part in parts if part[0] != "ellipsis"):
        if part[0] == "slice":
            begin, end, step = (*part[1:], None, None, None)[:3]
            if (begin, end, step) == (None, None, None):
                continue
            step = 1 if step is None else int(step)
            begin = (0 if step > 0 else -1) if begin is None else int(begin)
            end = (most if step > 0 else -most) if end is None else int(end)
            tensor = site.add("Slice", tensor, *(site.whole([each]) for each in (begin, end, axis, step)))
        else:
            at = int(part[1])
            tensor = site.slice(tensor, [at], [most if at == -1 else at + 1], [axis])
            gone.append(axis)
    return site.add("Squeeze", tensor, site.whole(gone)) if gone else tensor


COMPUTED: Mapping[str, Compute] = {
    "abs": _one("Abs"),
    "add": _two("Add"),
    "clip": _clipped,
    "concat": lambda site, p, xs: site.add("Concat", *xs, axis=int(p["axis"])),
    "divide": _two("Div"),
    "elu": _activated("elu"),
    "exp": _one("Exp"),
    "expand_dims": _expanded,
    "gelu": lambda site, p, xs: named_activation(site, xs[0], "gelu_tanh" if p["approximate"] else "gelu"),
    "identity": lambda site, p, xs: xs[0],
    "matmul": _two("MatMul"),
    "maximum": _two("Max"),
    "minimum": _two("Min"),
    "multiply": _two("Mul"),
    "negative": _one("Neg"),
    "reciprocal": _one("Reciprocal"),
    "reduce_max": _reduced("ReduceMax"),
    "reduce_mean": _reduced("ReduceMean"),
    "reduce_min": _reduced("ReduceMin"),
    "reduce_sum": _reduced("ReduceSum"),
    "relu": _activated("relu"),
    "relu6": _activated("relu6"),
    "reshape": lambda site, p, xs: site.reshape(xs[0], [0, *map(int, p["shape"])]),
    "rsqrt": lambda site, p, xs: site.add("Reciprocal", site.add("Sqrt", xs[0])),
    "selu": _activated("selu"),
    "sigmoid": _activated("sigmoid"),
    "silu": _activated("silu"),
    "slice": _sliced,
    "softplus": _activated("softplus"),
    "softsign": _activated("softsign"),
    "sqrt": _one("Sqrt"),
    "square": _square,
    "squared_difference": _difference,
    "stack": _stacked,
    "subtract": _two("Sub"),
    "tanh": _activated("tanh"),
    "transpose": _turned,
}

OPERATIONS: Mapping[str, Make] = {"Operation": operation}
