"""Every activation of the reference in operations of ONNX, opset 17; independent of what Keras makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from porter.errors import UnbuildableError
from porter.exports.onnx_site import OnnxSite
from reference import logistic_table as table
from reference.activations import CUT, GELU_TANH_SCALE, SELU_ALPHA, SELU_SCALE, Activation
from reference.rational import coefficients
from reference.table import entries_of, step_of

Make = Callable[..., str]


def activate(site: OnnxSite, tensor: str, activation: Activation) -> str:
    """The activation behind a tensor.

    Raises:
        UnbuildableError: one that has no form here.
    """
    make = MAKERS.get(activation.name)
    if make is None:
        raise UnbuildableError("activation", found=str(activation), expected=f"one of {', '.join(MAKERS)}")
    return make(site, tensor, **dict(activation.parameters))


def _plain(kind: str) -> Make:
    return lambda site, x: site.add(kind, x)


def _relu(
    site: OnnxSite, x: str, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
) -> str:
    if threshold == 0 and negative_slope == 0:
        return site.add("Relu", x) if max_value is None else site.clip(x, 0.0, max_value)
    if threshold == 0:
        bent = _leak(site, x, negative_slope)
    else:
        below = site.add("Less", x, site.real(threshold))
        line = site.add("Mul", site.add("Sub", x, site.real(threshold)), site.real(negative_slope))
        bent = site.add("Where", below, line, x)
    return bent if max_value is None else site.add("Min", bent, site.real(max_value))


def _leak(site: OnnxSite, x: str, negative_slope: float) -> str:
    if site.dtype == "float32":
        return site.add("LeakyRelu", x, alpha=float(negative_slope))
    # ONNX keeps a slope in float32, whatever it is applied to.
    return site.add("Where", site.add("Less", x, site.real(0)), site.add("Mul", x, site.real(negative_slope)), x)


def _softplus(site: OnnxSite, x: str) -> str:
    tail = _log1p(site, site.add("Exp", site.add("Neg", site.add("Abs", x))))
    return site.add("Add", site.add("Relu", x), tail)


def _log1p(site: OnnxSite, t: str) -> str:
    """log(1 + t) for t in [0, 1], accurate where 1 + t is rounded to 1: what is lost there divides out.

    Source: W. Kahan's identity, log(u) t / (u - 1) with u = fl(1 + t).
    """
    one = site.real(1)
    u = site.add("Add", one, t)
    gone = site.add("Equal", u, one)
    slope = site.add("Div", site.add("Log", u), site.add("Where", gone, one, site.add("Sub", u, one)))
    return site.add("Where", gone, t, site.add("Mul", slope, t))


def _elu(site: OnnxSite, x: str, alpha: float = 1.0) -> str:
    if site.dtype == "float32":
        return site.add("Elu", x, alpha=float(alpha))
    line = site.add("Sub", site.add("Exp", site.add("Min", x, site.real(0))), site.real(1))
    return site.add("Where", site.add("Greater", x, site.real(0)), x, site.add("Mul", line, site.real(alpha)))


def _selu(site: OnnxSite, x: str) -> str:
    return site.add("Mul", _elu(site, x, SELU_ALPHA), site.real(SELU_SCALE))


def _gelu(site: OnnxSite, x: str) -> str:
    phi = site.add("Add", site.add("Erf", site.add("Div", x, site.real(2.0**0.5))), site.real(1))
    return site.add("Mul", site.add("Mul", x, site.real(0.5)), phi)


def _gelu_tanh(site: OnnxSite, x: str) -> str:
    cube = site.add("Mul", site.add("Mul", x, x), x)
    inner = site.add("Mul", site.add("Add", x, site.add("Mul", cube, site.real(0.044715))), site.real(GELU_TANH_SCALE))
    return site.add("Mul", site.add("Mul", x, site.real(0.5)), site.add("Add", site.add("Tanh", inner), site.real(1)))


def _silu(site: OnnxSite, x: str) -> str:
    if site.dtype == "float32":
        return site.add("Mul", x, site.add("Sigmoid", x))
    # onnxruntime's own Sigmoid of float64 is exact to a unit of 1 only, which x makes larger.
    small, one = site.add("Exp", site.add("Neg", site.add("Abs", x))), site.real(1)
    above = site.add("Where", site.add("Less", x, site.real(0)), small, one)
    return site.add("Mul", x, site.add("Div", above, site.add("Add", one, small)))


def _mish(site: OnnxSite, x: str) -> str:
    return site.add("Mul", x, site.add("Tanh", _softplus(site, x)))


def _line(slope: float, offset: float) -> Make:
    return lambda site, x: site.clip(site.affine(x, slope, offset), 0.0, 1.0)


def _scaled_tanh(site: OnnxSite, x: str, amplitude: float = 1.7159, slope: float = 2.0 / 3.0) -> str:
    return site.add("Mul", site.add("Tanh", site.add("Mul", x, site.real(slope))), site.real(amplitude))


def _thresholded(site: OnnxSite, x: str, theta: float = 1.0) -> str:
    return site.add("Where", site.add("LessOrEqual", x, site.real(theta)), site.real(0), x)


def _softmax(site: OnnxSite, x: str, axis: Any = -1) -> str:
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    if len(axes) == 1:
        return site.add("Softmax", x, axis=int(axes[0]))
    shifted = site.add("Exp", site.add("Sub", x, site.add("ReduceMax", x, axes=axes, keepdims=1)))
    return site.add("Div", shifted, site.add("ReduceSum", shifted, site.whole(axes), keepdims=1))


def _cut_sigmoid(site: OnnxSite, x: str) -> str:
    inside = site.add("Where", site.add("Greater", x, site.real(CUT)), site.real(1), site.add("Sigmoid", x))
    return site.add("Where", site.add("Less", x, site.real(-CUT)), site.real(0), inside)


def _logistic_table(site: OnnxSite, x: str) -> str:
    """The entries that the original has, found as it finds them."""
    place = site.add("Div", site.add("Sub", x, site.real(table.START)), site.real(table.STEP))
    return _entry(site, place, table.entries())


def _table(site: OnnxSite, x: str, *, first: float, last: float, values: tuple[float, ...], nearest: float = 0) -> str:
    place = site.add("Div", site.add("Sub", x, site.real(first)), site.real(step_of(first, last, values)))
    place = site.add("Add", place, site.real(0.5)) if nearest else place
    return _entry(site, place, entries_of(values))


def _entry(site: OnnxSite, place: str, entries: Any) -> str:
    """The entry at a place, that of no number being the first."""
    place = site.add("Where", site.add("IsNaN", place), site.real(0), place)
    held = site.clip(place, 0.0, float(len(entries) - 1))
    return site.add("Gather", site.real(entries), site.cast(held, "int32"))


def _rational(site: OnnxSite, x: str, **parameters: float) -> str:
    numerator, denominator = (_horner(site, x, each) for each in coefficients(parameters))
    return site.add("Div", numerator, denominator)


def _horner(site: OnnxSite, x: str, given: Sequence[float]) -> str:
    total = site.real(given[-1])
    for each in given[-2::-1]:
        total = site.add("Add", site.add("Mul", total, x), site.real(each))
    return total


MAKERS: Mapping[str, Make] = {
    "linear": lambda site, x: x,
    "tanh": _plain("Tanh"),
    "relu": _relu,
    "leaky_relu": lambda site, x, negative_slope=0.2: _relu(site, x, negative_slope=negative_slope),
    "relu6": lambda site, x: site.clip(x, 0.0, 6.0),
    "sigmoid": _plain("Sigmoid"),
    "softsign": lambda site, x: site.add("Div", x, site.add("Add", site.add("Abs", x), site.real(1))),
    "softplus": _softplus,
    "elu": _elu,
    "selu": _selu,
    "exponential": _plain("Exp"),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "hard_sigmoid": _line(1.0 / 6.0, 0.5),
    "hard_sigmoid_keras2": _line(0.2, 0.5),
    "thresholded_relu": _thresholded,
    "hard_tanh": lambda site, x: site.clip(x, -1.0, 1.0),
    "scaled_tanh": _scaled_tanh,
    "softmax": _softmax,
    "logistic_table": _logistic_table,
    "cut_sigmoid": _cut_sigmoid,
    "rational": _rational,
    "table": _table,
}
