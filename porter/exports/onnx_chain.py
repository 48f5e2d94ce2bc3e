"""The layers of a chain in operations of ONNX: scalings, transforms, dense layers, bounds, ensembles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import cast

import numpy as np

from porter.errors import UnbuildableError
from porter.exports.onnx_activations import activate
from porter.exports.onnx_site import OnnxSite
from porter.network import Dense, Ensemble, Extremes, Layer, Scaling, Transform
from reference.composed.ensemble import WITHIN


def add_layer(site: OnnxSite, layer: Layer, tensor: str) -> str:
    """One layer behind a tensor; the tensor that it gives bears its name.

    Raises:
        UnbuildableError: a layer that has no form here.
    """
    make = MAKERS.get(type(layer))
    if make is None:
        known = ", ".join(kind.__name__ for kind in MAKERS)
        raise UnbuildableError(layer.name, found=f"a layer of type {type(layer).__name__}", expected=f"one of {known}")
    site.enter(layer.name)
    return site.rename(make(site, layer, tensor), layer.name)


def _dense(site: OnnxSite, layer: Layer, tensor: str) -> str:
    dense = cast(Dense, layer)
    product = site.add("MatMul", tensor, site.real(dense.kernel))
    if dense.bias is not None:
        product = site.add("Add", product, site.real(dense.bias))
    return activate(site, product, dense.activation)


def _scaling(site: OnnxSite, layer: Layer, tensor: str) -> str:
    scaling = cast(Scaling, layer)
    return site.affine(tensor, scaling.scale, scaling.offset)


def _transform(site: OnnxSite, layer: Layer, tensor: str) -> str:
    transform = cast(Transform, layer)
    parts, start = [], 0
    for function, run in groupby(transform.functions):
        stop = start + len(tuple(run))
        alone = stop - start == len(transform.functions)
        parts.append(write_function(site, function, tensor if alone else site.slice(tensor, [start], [stop], [1])))
        start = stop
    return parts[0] if len(parts) == 1 else site.add("Concat", *parts, axis=1)


def write_function(site: OnnxSite, name: str, x: str) -> str:
    """A function of a transform by its name; the name of the tensor that it gives.

    Raises:
        UnbuildableError: one that has no form here.
    """

    def square(y: str) -> str:
        return site.add("Mul", y, y)

    functions: Mapping[str, Callable[[], str]] = {
        "identity": lambda: x,
        "cos_degrees": lambda: site.add("Cos", site.add("Mul", x, site.real(math.pi / 180))),
        "log10": lambda: site.add("Mul", site.add("Log", x), site.real(1 / math.log(10))),
        "ln": lambda: site.add("Log", x),
        "pow10": lambda: site.add("Pow", site.real(10), x),
        "exp": lambda: site.add("Exp", x),
        "sqrt": lambda: site.add("Sqrt", x),
        "root4": lambda: site.add("Sqrt", site.add("Sqrt", x)),
        "root8": lambda: site.add("Sqrt", site.add("Sqrt", site.add("Sqrt", x))),
        "square": lambda: square(x),
        "pow4": lambda: square(square(x)),
        "pow8": lambda: square(square(square(x))),
        "relu_square": lambda: square(site.add("Relu", x)),
        "relu": lambda: site.add("Relu", x),
        "cos": lambda: site.add("Cos", x),
    }
    if name not in functions:
        raise UnbuildableError("transform", found=repr(name), expected=f"one of {', '.join(functions)}")
    return functions[name]()


def _extremes(site: OnnxSite, layer: Layer, tensor: str) -> str:
    """Clamped, and NaN where the value before that was too far outside."""
    step = cast(Extremes, layer)
    low, high = site.real(step.least - step.tolerance), site.real(step.greatest + step.tolerance)
    far = site.add("Or", site.add("Less", tensor, low), site.add("Greater", tensor, high))
    held = site.add("Min", site.add("Max", tensor, site.real(step.least)), site.real(step.greatest))
    return site.add("Where", far, site.real(np.nan), held)


def _ensemble(site: OnnxSite, layer: Layer, tensor: str) -> str:
    """The mean, or the mean of the members strictly within one sample deviation of it."""
    step = cast(Ensemble, layer)
    mean = site.add("ReduceMean", tensor, axes=[1], keepdims=1)
    if step.rule != WITHIN:
        return mean
    apart = site.add("Abs", site.add("Sub", tensor, mean))
    axis = site.whole([1])
    squares = site.add("ReduceSum", site.add("Mul", apart, apart), axis, keepdims=1)
    deviation = site.add("Sqrt", site.add("Div", squares, site.real(step.members - 1)))
    inside = site.cast(site.add("Less", apart, deviation))
    total = site.add("ReduceSum", site.add("Mul", tensor, inside), axis, keepdims=1)
    return site.add("Div", total, site.add("ReduceSum", inside, axis, keepdims=1))


MAKERS: Mapping[type, Callable[[OnnxSite, Layer, str], str]] = {
    Dense: _dense,
    Scaling: _scaling,
    Transform: _transform,
    Extremes: _extremes,
    Ensemble: _ensemble,
}
