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

Array = NDArray[Any]
Arrays = tuple[Array, Array | None]
"""Kernel (inputs, units) and bias (units,) of a port's layer, as it shows them."""

TOGETHER = ("softmax",)
"""Activations in which the units of a layer depend on each other."""


def widened_to(network: Network, port: Sequence[Arrays]) -> tuple[Network, tuple[str, ...]] | None:
    """The network with the units that a port has more: those that nothing takes, and those that are constant.

    A unit whose weights in the next layer are all zero changes nothing. One without inputs gives a number, which the
    next layer's bias can make up for. The file's own units have to stand in their order.

    Args:
        network: whose dense layers follow each other.
        port: the arrays of the port's dense layers, in order.

    Returns:
        The wider network and what is told of each layer; None where the port has no such units, or others as well.
    """
    dense = network.dense_layers
    first = network.layers.index(dense[0]) if dense else 0
    is_chain = network.layers[first : first + len(dense)] == dense
    if any(kernel.shape[1] != len(behind) for (kernel, _), (behind, _) in itertools.pairwise(port)):
        return None
    if len(port) != len(dense) or not is_chain or any(layer.activation.name in TOGETHER for layer in dense[:-1]):
        return None
    kept = [np.arange(len(dense[0].kernel)), *_kept(dense, port), np.arange(dense[-1].kernel.shape[1])]
    sizes = [len(port[0][0]), *(kernel.shape[1] for kernel, _ in port)]
    wanted = [len(dense[0].kernel), *(layer.kernel.shape[1] for layer in dense)]
    if list(map(len, kept)) != wanted or sizes == wanted or sizes[0] != wanted[0] or sizes[-1] != wanted[-1]:
        return None
    wider = with_dense(network, list(_widened(dense, port, kept)))
    if wider is None:
        return None
    return wider, tuple(
        f"{layer.name}: units more than the file has: {size - len(own)}; nothing takes them, or the next bias makes up"
        for layer, size, own in zip(dense, sizes[1:], kept[1:], strict=True)
        if size > len(own)
    )


def _kept(dense: Sequence[Dense], port: Sequence[Arrays]) -> Iterator[Array]:
    """For each layer but the last, the numbers of the port's units that may be the file's."""
    for (kernel, _), (behind, _) in itertools.pairwise(port):
        yield np.flatnonzero(behind.any(axis=1) & kernel.any(axis=0))


def _widened(dense: Sequence[Dense], port: Sequence[Arrays], kept: Sequence[Array]) -> Iterator[Dense]:
    constant = np.zeros(len(port[0][0]))  # what the units that are not the file's give to the next layer
    for number, (layer, (shown, added)) in enumerate(zip(dense, port, strict=True)):
        entering, leaving = kept[number], kept[number + 1]
        kernel = shown.astype(np.float64)
        kernel[np.ix_(entering, leaving)] = layer.kernel
        bias = np.zeros(kernel.shape[1]) if added is None else added.astype(np.float64)
        own = np.zeros(len(leaving)) if layer.bias is None else np.asarray(layer.bias, np.float64)
        bias[leaving] = own - constant @ kernel[:, leaving]
        others = np.setdiff1d(np.arange(kernel.shape[1]), leaving)
        constant = np.zeros(kernel.shape[1])
        flat = others[~kernel[:, others].any(axis=0)]
        constant[flat] = layer.activation(bias[None, flat])[0] if len(flat) else 0.0
        yield replace(layer, kernel=kernel, bias=bias)
