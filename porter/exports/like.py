"""Back into the legacy format: a copy of the legacy file with the values of a network that was tuned since."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.examination.suspect import Stored
from porter.exports.keras_chain import FAMILY, INVERSE
from porter.formats.programs import build_program
from porter.formats.registry import family_named
from porter.network import Dense, Network, Scaling
from porter.network.activations import format_activation
from porter.ports.traced import TracedPort
from reference.operations.dense import Dense as DenseStep
from reference.operations.scaling import Scaling as ScalingStep

Array = NDArray[Any]

SAME = 2.0**-20
"""Relative to a column's terms: closer, a scaling is the file's own, rounded on its way through a port in float32."""


def check_written(legacy: Network) -> None:
    """Refuse a family that is not written back.

    Raises:
        UnbuildableError: with those that are.
    """
    from porter.formats.readers import FAMILIES

    family = family_named(legacy.family)
    if family is None or family.write is None:
        known = ", ".join(name for name, each in FAMILIES.items() if each.write is not None)
        raise UnbuildableError(
            f"{legacy.source.path} cannot be written back", found=f"a file of {legacy.family}",
            expected=f"one of {known}", remedy="export to another format: porter export MODEL --to FORMAT",
        )  # fmt: skip


def put(changed: Mapping[str, Array], legacy: Network, draft: Path) -> int:
    """A copy of the legacy file with other arrays; how many there are."""
    shutil.copyfile(legacy.source.path, draft)
    family = family_named(legacy.family)
    assert family is not None and family.write is not None
    family.write(legacy, changed, draft)
    return len(changed)


def aligned(network: Network, legacy: Network, *, outside: bool | None = None) -> Network:
    """The network with the names of the legacy file's layers, and its scalings where the network has none.

    Raises:
        UnbuildableError: the first difference in structure.
    """
    if network.form != legacy.form:
        raise misfit(legacy, network.form, legacy.form)
    mine, theirs = [list(_of(each, Dense)) for each in (network, legacy)]
    if len(mine) != len(theirs):
        raise misfit(legacy, f"{len(mine)} dense layers", f"{len(theirs)}")
    for own, wanted in zip(mine, theirs, strict=True):
        _check_layer(legacy, own, wanted)
    pairs = iter([_as_kept(own, wanted) for own, wanted in zip(mine, theirs, strict=True)])
    scalings = _scalings(network, legacy, outside)
    layers = tuple(scalings.get(one.name, one) if isinstance(one, Scaling) else next(pairs) for one in legacy.layers)
    inverse = {step.name for step in build_program(legacy).steps if isinstance(step, ScalingStep) and step.inverse}
    declared = {INVERSE: tuple(sorted(inverse))}
    return Network(network.name, FAMILY, network.source, layers, network.claims, declared, legacy.input_range)


def _as_kept(own: Dense, wanted: Dense) -> Dense:
    """The layer with the numbers that the file will hold."""
    bias = None if own.bias is None or wanted.bias is None else as_kept(own.bias, wanted.bias)
    return replace(own, name=wanted.name, kernel=as_kept(own.kernel, wanted.kernel), bias=bias)


def as_kept(new: Array, old: Array) -> Array:
    """New numbers in the dtype of the old ones; those that are the cast of an old one are that one still."""
    with np.errstate(over="ignore", invalid="ignore"):
        cast = new.astype(old.dtype)
        return np.where((new == old.astype(new.dtype)) | (cast == old), old, cast)


def _of(network: Network, kind: type) -> Iterator[Any]:
    for layer in network.layers:
        if isinstance(layer, kind):
            yield layer
        elif not isinstance(layer, Dense | Scaling):
            raise misfit(network, f"{layer.name}, a {type(layer).__name__}", "dense layers and scalings alone")


def _check_layer(legacy: Network, own: Dense, wanted: Dense) -> None:
    name = wanted.name
    if own.kernel.shape != wanted.kernel.shape:
        raise misfit(legacy, f"{name}: {_size(own)}", _size(wanted))
    if (own.bias is None) != (wanted.bias is None) and (own.bias is None or np.any(own.bias)):
        raise misfit(legacy, f"{name}: {'no bias' if own.bias is None else 'a bias'}", "as the file has it")
    if own.activation != wanted.activation:
        told = format_activation(own.activation)
        raise misfit(legacy, f"{name}: the activation {told}", format_activation(wanted.activation))


def _size(layer: Dense) -> str:
    inputs, units = layer.kernel.shape
    return f"{inputs} inputs to {units} units"


def _scalings(network: Network, legacy: Network, outside: bool | None) -> dict[str, Scaling]:
    """The network's own scalings under the names of the file's; none where it has none."""
    mine, theirs = [list(_of(each, Scaling)) for each in (network, legacy)]
    if not mine and theirs and outside is None:
        raise UnbuildableError(
            f"{network.name} has no scaling, and {legacy.source.path} has {' and '.join(one.name for one in theirs)}",
            found="a network that may have it outside, or folded into its layers", expected="word on that",
            remedy="say --placement outside if the scaling is done around the network",
        )  # fmt: skip
    if not mine:
        return {}
    if len(mine) != len(theirs):
        raise misfit(legacy, f"{len(mine)} scaling steps", f"{len(theirs)}")
    program = build_program(legacy)
    return {w.name: _adopted(legacy, program.step(w.name), own, w) for own, w in zip(mine, theirs, strict=True)}


def _adopted(legacy: Network, step: ScalingStep, own: Scaling, wanted: Scaling) -> Scaling:
    """The network's scaling as the file says it: its own ranges wherever they are the same but for rounding."""
    if own.scale.shape != wanted.scale.shape:
        raise misfit(legacy, f"{wanted.name}: {len(own.scale)} columns", f"{len(wanted.scale)}")
    reach = np.maximum(np.abs(step.first), np.abs(step.second))
    size = np.abs(wanted.scale) * reach + np.abs(wanted.offset)
    changed = np.abs(own.offset - wanted.offset) + np.abs(own.scale - wanted.scale) * reach > SAME * size
    first, second = _ranges(step, own.scale, own.offset)
    ranges = np.stack([np.where(changed, first, step.first), np.where(changed, second, step.second)], axis=1)
    scale, offset = np.where(changed, own.scale, wanted.scale), np.where(changed, own.offset, wanted.offset)
    return replace(wanted, stored=ranges, scale=scale, offset=offset)


def misfit(legacy: Network, found: str, expected: str) -> UnbuildableError:
    """The refusal of a network that is built otherwise."""
    return UnbuildableError(
        f"the network does not fit into {legacy.source.path}", found=found, expected=expected,
        remedy="only values can change in a legacy file: export to another format, or train the network as it was",
    )  # fmt: skip


# --- what changes ---------------------------------------------------------------------------------------------------


def changes(network: Network, legacy: Network) -> dict[str, Array]:
    """The arrays that differ from the stored ones, by stored name, as they are stored.

    Args:
        network: with the names of the legacy file's layers.
        legacy: as read.
    """
    program, taken = build_program(legacy), set[str]()
    found: dict[str, Array] = {}
    for step in program.steps:
        layer = network.layer(step.name)
        if isinstance(step, DenseStep):
            assert isinstance(layer, Dense)
            kernel = layer.kernel.T if Stored.of(step).units_first else layer.kernel
            _put(found, taken, legacy, step.weights, kernel, step.name)
            if step.bias is not None and layer.bias is not None:
                _put(found, taken, legacy, step.bias, layer.bias, step.name)
        elif isinstance(step, ScalingStep):
            assert isinstance(layer, Scaling)
            _put_scaling(found, taken, legacy, step, layer)
    return found


def _put(found: dict[str, Array], taken: set[str], legacy: Network, stored: Array, values: Array, layer: str) -> None:
    """Where the new values differ from those that are stored."""
    name = _name_of(legacy, stored, taken, layer)
    taken.add(name)
    original = legacy.source.arrays[name]
    new = np.asarray(values).reshape(stored.shape).reshape(original.shape)
    if not np.array_equal(new, original):
        found[name] = new


def _name_of(legacy: Network, stored: Array, taken: set[str], layer: str) -> str:
    """The stored name of an array that the legacy program computes with."""
    for name, array in legacy.source.arrays.items():
        if name not in taken and array.size == stored.size and array.dtype.kind == "f":
            same_rows = array.shape == stored.shape or array.squeeze().shape == stored.squeeze().shape
            if same_rows and np.array_equal(array.reshape(stored.shape), stored):
                return name
    raise UnbuildableError(
        f"{legacy.source.path} cannot be written back", found=f"no array that is stored as {layer} computes with it",
        expected="arrays that are used as they are stored",
    )  # fmt: skip


def _put_scaling(found: dict[str, Array], taken: set[str], legacy: Network, step: ScalingStep, layer: Scaling) -> None:
    """The ranges, where they are others than the file's."""
    first, second = layer.stored.T
    if np.array_equal(first, step.first) and np.array_equal(second, step.second):
        return
    for name, array in legacy.source.arrays.items():
        for layout in (lambda pair: np.stack(pair, axis=1), np.stack):
            shaped = layout((step.first, step.second))
            if name not in taken and array.shape == shaped.shape and np.array_equal(array, shaped):
                taken.add(name)
                found[name] = layout((first, second)).astype(array.dtype.newbyteorder("="))
                return
    raise UnbuildableError(
        f"{legacy.source.path} cannot be written back", found=f"another scaling in {step.name}",
        expected="the file's own, or ranges that are stored as (n, 2)",
    )  # fmt: skip


def _ranges(step: ScalingStep, scale: Array, offset: Array) -> tuple[Array, Array]:
    """Minimum and maximum, or mean and deviation, under the step's rule, of scale * x + offset."""
    low, high = (-1.0, 1.0) if step.rule == "[-1,1]" else (0.0, 1.0)
    if not step.inverse:
        first, second = (low - offset) / scale, (high - offset) / scale
    else:
        first, second = scale * low + offset, scale * high + offset
    return (first, second - first) if step.rule == "mean-std" else (first, second)


# --- judged ---------------------------------------------------------------------------------------------------------


def legacy_port(written: Network, path: Path) -> TracedPort:
    """The file that was written, run by the legacy formula on its arrays as stored."""
    program = build_program(written)
    names: Mapping[str, Any] = {step.name: None for step in program.steps}

    def run(inputs: Any) -> dict[str, Array]:
        traces = program.trace(dict(zip(program.inputs, inputs, strict=True)))
        return {name: np.asarray(traces[name].outputs) for name in names}

    return TracedPort(
        path.name, "the legacy formula on its arrays as stored", run, program.outputs,
        path=path, portable=f"porter export --like {written.source.path.name}",
    )  # fmt: skip
