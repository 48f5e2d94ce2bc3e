"""A legacy network without the units that change nothing: the same function, for all inputs, of fewer numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.probes import draw_rows
from porter.examination.rewriting.reduction import Reduction, reduce_chain
from porter.formats.programs import build_program
from porter.network import Dense, Network
from reference.precision import Precision
from reference.rounding.bounds import end_to_end

Array = NDArray[Any]

ROWS = 64
LAYERS = "Layers"
"""The dataset in which OC-SMART states the widths."""


def reduce_network(network: Network, widths: Sequence[int] | None = None) -> tuple[Network, Reduction] | None:
    """The network without units that change nothing, as a file would store it; None where none can be taken out.

    The reduced network has stored arrays of its own, so that both readings of a file, and the comparison of the two,
    take the same way as for any other; and the programs of both are run beside each other.

    Args:
        network: whose dense layers follow each other.
        widths: how many units of each dense layer stay at least; None for as few as can be.
    """
    dense = network.dense_layers
    places = [network.layers.index(layer) for layer in dense]
    if len(dense) < 2 or places != list(range(places[0], places[0] + len(dense))):
        return None
    reduction = reduce_chain(dense, merge=False, widths=widths)
    reduced = with_dense(network, reduction.layers) if reduction.removals else None
    return None if reduced is None else (reduced, reduction)


def with_dense(network: Network, dense: Sequence[Dense], kind: str = "float64") -> Network | None:
    """The network with other dense layers in the places of its own; None where it is not the same function then.

    Args:
        network: whose dense layers follow each other.
        dense: as many others.
        kind: in which format their numbers were rounded.
    """
    arrays = _stored(network, dense)
    if arrays is None:
        return None
    first = network.layers.index(network.dense_layers[0])
    layers = (*network.layers[:first], *dense, *network.layers[first + len(dense) :])
    other = replace(network, layers=layers, source=replace(network.source, arrays=arrays))
    return other if _computes_the_same(network, other, kind) else None


def reduced_to(network: Network, shapes: Sequence[tuple[int, ...]]) -> tuple[Network, Reduction] | None:
    """The reduced network, where its kernels have just these shapes and those of the network itself have not."""
    own = [layer.kernel.shape for layer in network.dense_layers]
    if own == list(shapes) or len(own) != len(shapes):
        return None
    found = reduce_network(network, [shape[1] for shape in shapes])
    if found is None or [layer.kernel.shape for layer in found[0].dense_layers] != list(shapes):
        return None
    return found


def describe(reduction: Reduction) -> tuple[str, ...]:
    """What is gone and why, one sentence for all units of a layer of which the same is true."""
    groups: dict[tuple[str, str], list[str]] = {}
    for removal in reduction.removals:
        groups.setdefault((removal.layer, removal.why), []).append("" if removal.unit is None else str(removal.unit))
    return tuple(_sentence(layer, why, units) for (layer, why), units in groups.items())


def _sentence(layer: str, why: str, units: list[str]) -> str:
    if units == [""]:
        return f"{layer} is left out: {why}"
    named = ", ".join(units[:8]) + (", ..." if len(units) > 8 else "")
    return f"{layer}: unit {named} is left out: {why}" if len(units) == 1 else (
        f"{layer}: {len(units)} units ({named}) are left out, each because {why}"
    )  # fmt: skip


def _stored(network: Network, layers: Sequence[Dense]) -> dict[str, Array] | None:
    """The stored arrays with the smaller ones in their places, turned as the file turns them."""
    arrays = dict(network.source.arrays)
    for before, after in zip(network.dense_layers, layers, strict=True):
        name = _name_of(network.source.arrays, before.kernel)
        if name is None:
            return None
        is_turned = arrays[name].shape != before.kernel.shape or not _same(arrays[name], before.kernel)
        arrays[name] = after.kernel.T.copy() if is_turned else after.kernel
        if before.bias is not None and after.bias is not None:
            name = _name_of(network.source.arrays, before.bias)
            if name is None:
                return None
            shape = arrays[name].shape
            arrays[name] = after.bias.reshape([-1 if n == len(before.bias) else n for n in shape])
    if LAYERS in arrays:
        widths = [layers[0].kernel.shape[0], *(layer.kernel.shape[1] for layer in layers)]
        arrays[LAYERS] = np.array(widths, np.int64).reshape(arrays[LAYERS].shape)
    return arrays


def _name_of(arrays: Mapping[str, Array], wanted: Array) -> str | None:
    """The stored array that holds these numbers; None where it is not one alone."""
    found = [name for name, array in arrays.items() if _holds(array, wanted)]
    return found[0] if len(found) == 1 else None


def _holds(array: Array, wanted: Array) -> bool:
    if array.size != wanted.size or array.dtype.kind != "f":
        return False
    if wanted.ndim == 1:
        return _same(array.ravel(), wanted)
    return any(turned.shape == wanted.shape and _same(turned, wanted) for turned in (array, array.T))


def _same(array: Array, wanted: Array) -> bool:
    return bool(np.array_equal(array.astype(np.float64), wanted.astype(np.float64)))


def _computes_the_same(network: Network, reduced: Network, kind: str) -> bool:
    """Whether the legacy programs on both sets of arrays agree, within what the format rounds."""
    rows = draw_rows(network.input_range, network.widths[0], ROWS, np.random.default_rng(0))
    try:
        programs = [build_program(each) for each in (network, reduced)]
        outputs = [np.asarray(program(rows)[0]) for program in programs]
    except Exception:  # a program that cannot run on the smaller arrays is not theirs
        return False
    if outputs[0].shape != outputs[1].shape:
        return False
    bounds = [end_to_end(program, rows, Precision(kind, kind))[program.outputs[0]] for program in programs]
    with np.errstate(all="ignore"):
        apart = np.abs(outputs[0] - outputs[1])
    finite = np.isfinite(outputs[0]) & np.isfinite(outputs[1])
    alike = np.where(finite, apart <= bounds[0] + bounds[1], np.isnan(outputs[0]) == np.isnan(outputs[1]))
    return bool(alike.all())
