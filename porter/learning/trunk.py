"""The first layers of a port, to be built upon: frozen, and proven to hold the arrays of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.learning.errors import TrunkError
from porter.learning.freezing import layers_of, weights_of
from porter.learning.start import check_ends, open_start

Array = NDArray[Any]


@dataclass(frozen=True)
class ArrayProof:
    """One array of a model that is the file's.

    Attributes:
        layer: of the model.
        weight: name of the array there.
        stored: its name in the file.
        how: "as stored", "transposed", "reshaped" or "flipped".
        numbers: how many numbers it has.
    """

    layer: str
    weight: str
    stored: str
    how: str
    numbers: int


def trunk(
    model: Any, *, until: str, legacy: Any = None, placement: str | None = None, dtype: str = "float32", **reading: Any
) -> Any:
    """The layers of a port up to one of them, as a model of its own.

    Args:
        model: a legacy file or network, which is ported first; or a port of it: a keras.Model, left as it is, or the
            path of a saved one.
        until: name of the last layer that belongs to it.
        legacy: the legacy file or network that the arrays of a port are held against. Without it, the arrays are those
            of the port given, and nothing is proven about the file.
        placement: where the port has the scaling.
        dtype: of the port that is built of a legacy file.
        **reading: options of ``porter.read``.

    Returns:
        keras.Model, frozen, of layers of its own.

    Raises:
        UsageError: no such layer.
        TrunkError: an array that is not the file's.
    """
    import keras

    start = open_start(model, legacy=legacy, placement=placement, dtype=dtype, **reading)
    check_ends(start.model)
    names = [layer.name for layer in start.model.layers]
    if until not in names:
        raise UsageError("until", found=repr(until), expected=f"one of {', '.join(names)}")
    part = keras.Model(start.model.inputs[0], start.model.get_layer(until).output, name="trunk")
    copy = keras.models.clone_model(part)
    copy.set_weights(part.get_weights())
    copy.trainable = False
    if start.network is not None:
        prove_arrays(copy, start.network)
    return copy


def prove_arrays(model: Any, legacy: Any, **reading: Any) -> tuple[ArrayProof, ...]:
    """Hold every array of a model against those that a legacy file stores, bit by bit.

    Args:
        model: keras.Model, for example a trunk, or a model with a trunk in it.
        legacy: the legacy file or network.
        **reading: options of ``porter.read``.

    Returns:
        One proof an array, in the order of the model.

    Raises:
        TrunkError: an array that no array of the file is, under the name of its layer or, where the file knows no such
            name, at all.
    """
    from porter.jobs.port import as_network

    network = as_network(legacy, reading)
    stored = dict(network.source.arrays)
    found = []
    for name, layer in layers_of(model).items():
        arrays = weights_of(layer) if layer.weights else []
        for weight, array in zip(layer.weights, arrays, strict=True):
            found.append(_prove(name, weight.name, array, stored, network.source.path.name))
    return tuple(found)


def _prove(layer: str, weight: str, array: Array, stored: Mapping[str, Array], file: str) -> ArrayProof:
    own = layer.rsplit("/", maxsplit=1)[-1]
    named = {name: value for name, value in stored.items() if own in _parts(name)}
    # A file that knows the layer's name must have the array there; a constant one is to be found anywhere.
    candidates = named if named else stored
    matches = [(name, how) for name, value in candidates.items() for how in _how(array, value)]
    if not matches:
        raise TrunkError(
            f"{weight} of layer {layer!r} is not the file's", found=_nearest(array, candidates),
            expected=f"an array of {file} bit by bit, rounded to {array.dtype} once",
            remedy="port the file (porter.port) and take the trunk of that; weights that were loaded by name into "
            "layers of other names are not loaded at all",
        )  # fmt: skip
    if not named and len({name for name, _ in matches}) > 1:
        raise TrunkError(
            f"{weight} of layer {layer!r} cannot be told", found=f"equal to {', '.join(name for name, _ in matches)}",
            expected="one array of the file", remedy="give the layer the name that it has in the file",
        )  # fmt: skip
    return ArrayProof(layer, weight, *matches[0], int(array.size))


def _parts(name: str) -> set[str]:
    return set(name.split("/"))


def _how(array: Array, stored: Array) -> Iterator[str]:
    """In which ways a stored array, rounded once, is this one."""
    for how, turned in _turned(array.shape, stored):
        with np.errstate(over="ignore"):
            rounded = np.ascontiguousarray(turned).astype(array.dtype)
        if rounded.tobytes() == np.ascontiguousarray(array).tobytes():
            yield how
            return


def _turned(shape: tuple[int, ...], stored: Array) -> Iterator[tuple[str, Array]]:
    if stored.size != int(np.prod(shape)) or stored.dtype.kind not in "fiu":
        return
    if stored.shape == shape:
        yield "as stored", stored
        if stored.ndim == 4:
            yield "flipped", stored[::-1, ::-1]
    if stored.T.shape == shape and stored.ndim > 1:
        yield "transposed", stored.T
    if sorted(n for n in stored.shape if n > 1) == sorted(n for n in shape if n > 1) and len(shape) < 2:
        yield "reshaped", stored.reshape(shape)


def _nearest(array: Array, candidates: Mapping[str, Array]) -> str:
    """What the file has in its place."""
    apart = []
    for name, value in candidates.items():
        for _, turned in _turned(array.shape, value):
            wide = np.abs(turned.astype(array.dtype).astype(np.float64) - array.astype(np.float64))
            apart.append((float(wide.max()), int(np.sum(wide > 0)), name))
    if not apart:
        return f"no array of shape {array.shape} there"
    largest, count, name = min(apart)
    return f"{count:,} of {array.size:,} numbers that differ from {name}, by up to {largest:.3g}"
