"""Mistakes planted into a network in canonical form: a port built from it makes that mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.network import Dense, Layer, Network, Scaling
from reference.activations import Activation

Array = NDArray[Any]
Pick = Callable[[int], int]

REPLACEMENTS = ("tanh", "sigmoid", "relu", "softsign", "elu")


@dataclass(frozen=True)
class Fault:
    """A planted mistake.

    Attributes:
        code: one of ``porter.diagnosis.CODES``.
        layers: legacy names of the layers that carry it.
        network: the network with the mistake; its ``source`` is untouched, so that
            ``porter.verify(original, porter.build(fault.network))`` sees a wrong port.
    """

    code: str
    layers: tuple[str, ...]
    network: Network


def sites(network: Network) -> list[tuple[str, tuple[str, ...]]]:
    """Every (code, layers) at which a mistake would change what the network computes, in order of computation."""
    return [
        (code, tuple(layer.name for layer in group))
        for group in _groups(network)
        for code, change in _changes(network, group)
        if any(differ(old, new) for old, new in zip(group, change(group, lambda count: 0), strict=True))
    ]


def plant(network: Network, code: str, layers: tuple[str, ...], pick: Pick) -> Fault | None:
    """Plant one mistake.

    Args:
        network: the network without it.
        code: as in ``sites``.
        layers: as in ``sites``.
        pick: takes a count, gives an index below it: which element, which unit, which activation.

    Returns:
        The fault, or None where this choice changes nothing.

    Raises:
        KeyError: no such mistake can be planted there; the message lists those that can.
    """
    group = tuple(network.layer(name) for name in layers)
    changes = dict(_changes(network, group))
    if code not in changes:
        raise KeyError(f"no mistake {code!r} for {', '.join(layers)}; there are {', '.join(changes)}")
    changed = dict(zip(layers, changes[code](group, pick), strict=True))
    if not any(differ(old, changed[old.name]) for old in group):
        return None
    wrong = tuple(changed.get(layer.name, layer) for layer in network.layers)
    return Fault(code, layers, replace(network, layers=wrong))


def differ(old: Layer, new: Layer) -> bool:
    """Whether two layers of one kind hold other numbers or another activation."""
    if isinstance(old, Dense) and isinstance(new, Dense):
        same = np.array_equal(old.kernel, new.kernel) and np.array_equal(_bias(old), _bias(new))
        return not same or old.activation != new.activation
    if isinstance(old, Scaling) and isinstance(new, Scaling):
        return not (np.array_equal(old.scale, new.scale) and np.array_equal(old.offset, new.offset))
    return old != new


Group = tuple[Any, ...]
Change = Callable[[Group, Pick], Group]


def _groups(network: Network) -> Iterator[Group]:
    """Layers that a mistake may change together: each alone, and dense layers of the same shape in pairs."""
    for layer in network.layers:
        yield (layer,)
    for first, second in combinations(network.dense_layers, 2):
        if first.bias is not None and second.bias is not None and first.bias.shape == second.bias.shape:
            yield (first, second)


def _changes(network: Network, group: Group) -> Iterator[tuple[str, Change]]:
    if len(group) > 1:
        yield "biases.swapped", _swap_biases
        if group[0].kernel.shape == group[1].kernel.shape:
            yield "layers.swapped", _swap_layers
        return
    (layer,) = group
    if isinstance(layer, Scaling):
        changes: Mapping[str, Callable[..., Any]] = SCALING
    elif isinstance(layer, Dense):
        changes = _of_dense(layer, network.dense_layers)
    else:
        return
    for code, change in changes.items():
        yield code, _alone(change)


def _alone(change: Callable[[Any, Pick], Any]) -> Change:
    return lambda group, pick: (change(group[0], pick),)


def _of_dense(layer: Dense, layers: tuple[Dense, ...]) -> Mapping[str, Callable[[Dense, Pick], Dense]]:
    changes = {**DENSE}
    changes |= {"activation.added": _replace} if layer.activation.name == "linear" else NONLINEAR
    changes |= {"kernel.transposed": _transpose} if len(set(layer.kernel.shape)) == 1 else {"kernel.reshaped": _reshape}
    changes |= {"inputs.permuted": _swap_inputs} if layer is layers[0] else {}
    return changes | ({"outputs.permuted": _swap_units} if layer is layers[-1] else {"units.permuted": _swap_units})


def _transpose(layer: Dense, pick: Pick) -> Dense:
    return replace(layer, kernel=layer.kernel.T)


def _reshape(layer: Dense, pick: Pick) -> Dense:
    return replace(layer, kernel=np.ascontiguousarray(layer.kernel.T).reshape(layer.kernel.shape))


def _negate_one(layer: Dense, pick: Pick) -> Dense:
    kernel = layer.kernel.copy()
    nonzero = np.flatnonzero(kernel)
    if nonzero.size:
        kernel.flat[nonzero[pick(nonzero.size)]] *= -1
    return replace(layer, kernel=kernel)


def _round(layer: Dense, pick: Pick) -> Dense:
    with np.errstate(over="ignore"):
        return replace(layer, kernel=layer.kernel.astype(np.float16).astype(layer.kernel.dtype))


def _without_bias(layer: Dense, pick: Pick) -> Dense:
    return replace(layer, bias=None if layer.bias is None else np.zeros_like(layer.bias))


def _negate_bias(layer: Dense, pick: Pick) -> Dense:
    return replace(layer, bias=None if layer.bias is None else -layer.bias)


def _replace(layer: Dense, pick: Pick) -> Dense:
    others = [name for name in REPLACEMENTS if name != layer.activation.name]
    return replace(layer, activation=Activation(others[pick(len(others))]))


def _linear(layer: Dense, pick: Pick) -> Dense:
    return replace(layer, activation=Activation("linear"))


def _swap_units(layer: Dense, pick: Pick) -> Dense:
    order = _exchange(layer.kernel.shape[1], pick)
    bias = None if layer.bias is None else layer.bias[order]
    return replace(layer, kernel=layer.kernel[:, order], bias=bias)


def _swap_inputs(layer: Dense, pick: Pick) -> Dense:
    return replace(layer, kernel=layer.kernel[_exchange(layer.kernel.shape[0], pick)])


def _exchange(count: int, pick: Pick) -> Array:
    """0 .. count - 1 with two of them exchanged; one alone stays where it is."""
    order = np.arange(count)
    if count > 1:
        first = pick(count - 1)
        second = first + 1 + pick(count - 1 - first)
        order[[first, second]] = order[[second, first]]
    return order


def _swap_biases(group: Group, pick: Pick) -> Group:
    first, second = group
    return replace(first, bias=second.bias), replace(second, bias=first.bias)


def _swap_layers(group: Group, pick: Pick) -> Group:
    first, second = group
    arrays = [{"kernel": layer.kernel, "bias": layer.bias} for layer in group]
    return replace(first, **arrays[1]), replace(second, **arrays[0])


def _identity(layer: Scaling, pick: Pick) -> Scaling:
    return replace(layer, scale=np.ones_like(layer.scale), offset=np.zeros_like(layer.offset))


def _other_range(layer: Scaling, pick: Pick) -> Scaling:
    """[0, 1] for [-1, 1], or the other way round."""
    inwards, unit = layer.name == "Norm_in", layer.rule == "[0,1]"
    if layer.rule == "mean-std":
        return layer
    scale = layer.scale * (2.0 if inwards == unit else 0.5)
    if inwards:
        return replace(layer, scale=scale, offset=2 * layer.offset - 1 if unit else (layer.offset + 1) / 2)
    return replace(layer, scale=scale, offset=layer.offset + scale if unit else layer.offset - layer.scale)


def _exchange_limits(layer: Scaling, pick: Pick) -> Scaling:
    """Minimum for maximum."""
    if layer.rule == "mean-std":
        return layer
    if layer.name == "Norm_out":
        return replace(layer, scale=-layer.scale, offset=layer.offset + (layer.scale if layer.rule == "[0,1]" else 0))
    return replace(layer, scale=-layer.scale, offset=(1.0 if layer.rule == "[0,1]" else 0.0) - layer.offset)


def _bias(layer: Dense) -> Array:
    return np.zeros(layer.kernel.shape[1]) if layer.bias is None else layer.bias


DENSE: Mapping[str, Callable[[Dense, Pick], Dense]] = {
    "kernel.values": _negate_one,
    "bias.missing": _without_bias,
    "bias.negated": _negate_bias,
    "kernel.precision": _round,
}
NONLINEAR: Mapping[str, Callable[[Dense, Pick], Dense]] = {
    "activation.missing": _linear,
    "activation.replaced": _replace,
}
SCALING: Mapping[str, Callable[[Scaling, Pick], Scaling]] = {
    "scaling.missing": _identity,
    "scaling.range": _other_range,
    "scaling.swapped": _exchange_limits,
}
