"""Ports that look otherwise and compute the same: not mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.ports import Legacy, PortSpec

Array = np.ndarray


@dataclass(frozen=True)
class Equivalent:
    """A port that is right in another form, and what ``porter.verify`` has to be told about it."""

    name: str
    spec: PortSpec
    options: dict[str, Any] = field(default_factory=dict)


def equivalents(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> Iterator[Equivalent]:
    """Every form that applies to the network, the plain one first."""
    yield Equivalent("faithful", spec)
    yield Equivalent(
        "activations standing alone" if spec.fused else "activations fused", replace(spec, fused=not spec.fused)
    )
    yield Equivalent("idle layers in between", replace(spec, idle=True))
    yield from _reordered(spec, rng)
    yield from _scaled_elsewhere(legacy, spec)
    tanh = [k for k, layer in enumerate(spec.layers) if layer.activation == "tanh"]
    if tanh:
        yield Equivalent("2 sigmoid(2x) - 1", spec.layer(int(rng.choice(tanh)), activation="two_sigmoid"))


def _reordered(spec: PortSpec, rng: np.random.Generator) -> Iterator[Equivalent]:
    hidden = [k for k, layer in enumerate(spec.layers[:-1]) if layer.kernel.shape[1] > 1]
    if not hidden:
        return
    i = int(rng.choice(hidden))
    order = shuffled(rng, spec.layers[i].kernel.shape[1])
    yield Equivalent("hidden units permuted", regauged(spec, i, order, np.ones(len(order))))
    odd = [k for k in hidden if spec.layers[k].activation in ("tanh", "softsign", "linear", "hard_tanh", "scaled_tanh")]
    if odd:
        i = int(rng.choice(odd))
        order = rng.permutation(spec.layers[i].kernel.shape[1])
        signs = rng.choice([-1.0, 1.0], len(order))
        yield Equivalent("hidden signs flipped", regauged(spec, i, order, signs))
    everywhere = spec
    for k in hidden:
        order = shuffled(rng, spec.layers[k].kernel.shape[1])
        everywhere = regauged(everywhere, k, order, np.ones(len(order)))
    yield Equivalent("every hidden layer permuted", everywhere)


def _scaled_elsewhere(legacy: Legacy, spec: PortSpec) -> Iterator[Equivalent]:
    if spec.before is None or spec.after is None:
        return
    yield Equivalent("scaling folded", folded(spec))
    if spec.ends == "float32":
        yield Equivalent("scaling folded in float32", folded(spec, np.float32))
    if legacy.kind is None:
        yield Equivalent("scaling outside", replace(spec, before=None, after=None), {"placement": "outside"})


def shuffled(rng: np.random.Generator, n: int) -> Array:
    """A permutation of n that moves something, and does not merely turn three or more round: that is a flip."""
    kept = np.arange(n)
    while True:
        order = rng.permutation(n)
        if not np.array_equal(order, kept) and not (n > 2 and np.array_equal(order, kept[::-1])):
            return order


def regauged(spec: PortSpec, i: int, order: Array, signs: Array) -> PortSpec:
    """The units of a hidden layer in another order and with other signs, made up for in the next layer."""
    layer, after = spec.layers[i], spec.layers[i + 1]
    assert layer.bias is not None
    changed = spec.layer(i, kernel=layer.kernel[:, order] * signs, bias=layer.bias[order] * signs)
    return changed.layer(i + 1, kernel=after.kernel[order] * signs[:, None])


def folded(spec: PortSpec, dtype: Any = np.float64) -> PortSpec:
    """The scaling multiplied into the first layer, and into the last one where that is linear, in that arithmetic."""
    assert spec.before is not None and spec.after is not None
    scale, offset = (part.astype(dtype) for part in spec.before)
    kernel, bias = _parts(spec, 0, dtype)
    spec = spec.layer(0, kernel=kernel * scale[:, None], bias=bias + offset @ kernel)
    if spec.layers[-1].activation != "linear":
        return replace(spec, before=None)
    assert spec.after is not None
    scale, offset = (part.astype(dtype) for part in spec.after)
    last = len(spec.layers) - 1
    kernel, bias = _parts(spec, last, dtype)
    spec = spec.layer(last, kernel=kernel * scale, bias=bias * scale + offset)
    return replace(spec, before=None, after=None)


def _parts(spec: PortSpec, index: int, dtype: Any) -> tuple[Array, Array]:
    layer = spec.layers[index]
    assert layer.bias is not None
    return layer.kernel.astype(dtype), layer.bias.astype(dtype)
