"""A legacy network with units that a port has beside the file's: the same function, for all inputs, of more numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.rewriting.reduced import with_dense
from porter.network import Dense, Network
from porter.ports.keras.graph import PortGraph

Array = NDArray[Any]
Arrays = tuple[Array, Array | None]
"""Kernel (inputs, units) and bias (units,) of a port's layer, as it shows them."""

TOGETHER = ("softmax",)
"""Activations in which the units of a layer depend on each other."""
SHARED, CANCELLED = 1.0, 4.0
"""Epsilons, two unit roundoffs, that shares may be off by, and how many times as large as their weight they may be."""


def shown_by(graph: PortGraph) -> list[Arrays]:
    """Kernels and biases of a port's dense layers that have a kernel, in their order."""
    layers: list[Any] = [node.operation for node in graph.nodes if node.kind == "dense"]
    return [
        (np.asarray(layer.kernel), None if getattr(layer, "bias", None) is None else np.asarray(layer.bias))
        for layer in layers
        if layer.built and hasattr(layer, "kernel")
    ]


def widened_to(network: Network, port: Sequence[Arrays]) -> tuple[Network, tuple[str, ...]] | None:
    """The network with the units that a port has more, as ``widen_chain`` finds them.

    Args:
        network: whose dense layers follow each other.
        port: the arrays of the port's dense layers, in order.

    Returns:
        The wider network and what is told of each layer; None where the port has no such units, or others as well.
    """
    dense = network.dense_layers
    first = network.layers.index(dense[0]) if dense else 0
    found = widen_chain(dense, port) if network.layers[first : first + len(dense)] == dense else None
    if found is None:
        return None
    wider = with_dense(network, found[0], np.result_type(*(kernel for kernel, _ in port)).name)
    return None if wider is None else (wider, found[1])


def widen_chain(dense: Sequence[Dense], port: Sequence[Arrays]) -> tuple[list[Dense], tuple[str, ...]] | None:
    """A chain of dense layers with the units that a port has more, where these change nothing.

    A unit whose weights in the next layer are all zero changes nothing. One without inputs gives a number, which the
    next layer's bias can make up for. One that repeats another shares with it what the next layer takes of both. The
    file's own units have to stand in their order.

    Args:
        dense: of the file, each of which takes what the one before gives.
        port: the arrays of the port's dense layers, in order.

    Returns:
        The wider layers and what is told of each; None where the port has no such units, or others as well.
    """
    if any(kernel.shape[1] != len(behind) for (kernel, _), (behind, _) in itertools.pairwise(port)):
        return None
    if len(port) != len(dense) or any(layer.activation.name in TOGETHER for layer in dense[:-1]):
        return None
    wanted = [len(dense[0].kernel), *(layer.kernel.shape[1] for layer in dense)]
    sizes = [len(port[0][0]), *(kernel.shape[1] for kernel, _ in port)]
    if sizes == wanted or sizes[0] != wanted[0] or sizes[-1] != wanted[-1]:
        return None
    kept = [np.arange(wanted[0]), *_kept(port, wanted[1:-1]), np.arange(wanted[-1])]
    if list(map(len, kept)) != wanted:
        return None
    wider = list(_widened(dense, port, kept))
    if len(wider) < len(dense):
        return None
    return wider, tuple(
        f"{layer.name}: units more than the file has: {size - len(own)}; nothing takes them, the next bias makes up "
        "for them, or they repeat units of the file and share their weights"
        for layer, size, own in zip(dense, sizes[1:], kept[1:], strict=True)
        if size > len(own)
    )


def _kept(port: Sequence[Arrays], wanted: Sequence[int]) -> Iterator[Array]:
    """For each layer but the last, the numbers of the port's units that may be the file's."""
    for (layer, (behind, _)), count in zip(itertools.pairwise(port), wanted, strict=True):
        alive = np.flatnonzero(behind.any(axis=1) & layer[0].any(axis=0))
        yield alive if len(alive) <= count else alive[_first_of(layer)[alive] == alive]


def _first_of(layer: Arrays) -> Array:
    """(units,) for each the number of the first with the same weights and bias."""
    kernel, bias = layer
    units = kernel.T if bias is None else np.column_stack([kernel.T, bias])
    _, first, same = np.unique(units, axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[same.reshape(-1)])


def _widened(dense: Sequence[Dense], port: Sequence[Arrays], kept: Sequence[Array]) -> Iterator[Dense]:
    constant = np.zeros(len(port[0][0]))  # what the units that are not the file's give to the next layer
    before: Arrays | None = None
    for number, (layer, (shown, added)) in enumerate(zip(dense, port, strict=True)):
        entering, leaving = kept[number], kept[number + 1]
        kernel = shown.astype(np.float64)
        kernel[np.ix_(entering, leaving)] = layer.kernel
        if before is not None and not _share(kernel, shown, before, entering, leaving):
            return
        bias = np.zeros(kernel.shape[1]) if added is None else added.astype(np.float64)
        own = np.zeros(len(leaving)) if layer.bias is None else np.asarray(layer.bias, np.float64)
        bias[leaving] = own - constant @ kernel[:, leaving]
        others = np.setdiff1d(np.arange(kernel.shape[1]), leaving)
        constant = np.zeros(kernel.shape[1])
        flat = others[~kernel[:, others].any(axis=0)]
        constant[flat] = layer.activation(bias[None, flat])[0] if len(flat) else 0.0
        yield replace(layer, kernel=kernel, bias=bias)
        before = shown, added


def _share(kernel: Array, shown: Array, before: Arrays, entering: Array, leaving: Array) -> bool:
    """Give to units of the layer before that repeat one of the file's what the port takes of them, and the rest to it.

    Not where the shares are so much larger than the weight that, cancelling, they leave too few of its digits.

    Args:
        kernel: (inputs, units) changed in place; the file's weights where its units are.
        shown: the port's.
        before: the port's layer in front.
        entering: the numbers of the file's own units among the inputs.
        leaving: the same among the units.
    """
    first = _first_of(before)
    for unit in entering:
        copies = np.setdiff1d(np.flatnonzero(first == first[unit]), entering)
        if not len(copies) or not before[0][:, unit].any():
            continue
        rows = shown[np.append(copies, unit)][:, leaving].astype(np.float64)
        rest = kernel[unit, leaving] - rows[:-1].sum(axis=0)
        size = np.abs(rows).sum(axis=0)
        if np.any(size > CANCELLED * np.abs(kernel[unit, leaving])):
            return False
        rounding = SHARED * np.finfo(shown.dtype).eps * size  # each share is a product and a cast of its own
        kernel[unit, leaving] = np.where(np.abs(rest - rows[-1]) <= rounding, rows[-1], rest)
    return True
