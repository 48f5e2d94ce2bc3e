"""OC-SMART's HDF5 networks, and raw HDF5 in their neighbourhood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import (
    BiasShapeError,
    KernelShapeError,
    NonFiniteError,
    OptionContradictionError,
    StoredTypeError,
)
from porter.formats import scalings
from porter.formats.chain import LayerShape
from porter.formats.containers.held import attributes_in
from porter.formats.gains import KIND, gains_claim, gains_layer, gains_of
from porter.formats.members import Layout, has_kernels, locate
from porter.formats.opened import OpenedFile
from porter.formats.options import HIDDEN, OUTPUT, ReadOptions, one_a_layer
from porter.formats.orientation import solve
from porter.formats.registry import Family
from porter.formats.said import (
    BY_THE_FILE,
    checked_spelling,
    said_activations,
    with_hints,
)
from porter.formats.write_back import write_arrays
from porter.network import Claim, Dense, Layer, Network, Scaling
from porter.network.activations import format_activation, parse_activation
from porter.network.weight_file import WeightFile
from reference.activations import Activation
from reference.programs import oc_smart
from reference.trace import Program

Array = NDArray[Any]

FAMILY = "oc-smart"
LARGEST_RANK = 2
UNSAID = f"OC-SMART's; the file does not say; {scalings.HOW_TO_PROVE}"


def matches(opened: OpenedFile) -> bool:
    """HDF5 with a group of kernels at its root."""
    return opened.is_hdf5 and has_kernels(opened.hdf5.datasets)


def read(opened: OpenedFile, options: ReadOptions) -> Network:
    """Read a file whose members have the family's names.

    Raises:
        UnreadableError: something is missing, unknown, contradictory or not a number.
        UsageError: an option that does not fit the file.
    """
    hdf5 = opened.hdf5
    layout = locate(str(opened.path), hdf5.datasets, hdf5.groups)
    source = WeightFile(
        path=opened.path,
        format=FAMILY,
        sha256=opened.sha256,
        arrays={name: hdf5.read(name) for name in hdf5.datasets},
        attributes=attributes_in(hdf5, {}),
    )
    return interpret(source, layout, options)


def interpret(
    source: WeightFile,
    layout: Layout,
    options: ReadOptions,
    *,
    order_declared: bool = False,
    unsaid: str = UNSAID,
) -> Network:
    """The canonical network of arrays whose places are known.

    Args:
        source: every array that the layout names.
        layout: where they lie.
        options: what was declared.
        order_declared: whether a person named the layers in this order.
        unsaid: what is said of an activation that neither the file nor the user names.

    Raises:
        UnreadableError: arrays that contradict each other.
        UsageError: an option that does not fit them.
    """
    where, arrays = str(source.path), source.arrays
    scalings.kind_of(source.path, options.kind)
    shapes = check_arrays(where, source, layout)
    solved = solve(where, arrays, layout, shapes, declared=options.orientation, order_declared=order_declared)
    said = said_activations(source.attributes, layout.kernels, layout.biases)
    activations, activation_claims = _activations(where, options, said, unsaid)
    dense = [
        _dense(shape.name, arrays[kernel], None if bias is None else arrays[bias], orientation, activation)
        for shape, kernel, bias, orientation, activation in zip(
            shapes, layout.kernels, layout.biases, solved.orientations, activations, strict=True
        )
    ]
    before, after, scaling_claims = scaling_layers(where, arrays, layout, solved.widths, options)
    network = Network(
        name=source.path.stem,
        family=source.format,
        source=source,
        layers=(*before, *dense, *after),
        claims=with_hints((*solved.claims, *activation_claims, *scaling_claims), source.attributes),
        declarations=options.declarations(),
        input_range=scalings.documented_range(before[0]) if before else None,
    )
    network = _with_transforms(where, network, options) if options.physical else network
    return network if options.gains is None else _with_gains(where, network, options.gains)


def check_arrays(where: str, source: WeightFile, layout: Layout) -> tuple[LayerShape, ...]:
    """The shapes of kernels, biases and ranges that hold finite floats.

    Raises:
        UnreadableError: other values, or no matrix, or a bias that does not fit it.
    """
    _check_values(where, source, layout)
    return _shapes(where, source.arrays, layout)


def _check_values(where: str, source: WeightFile, layout: Layout) -> None:
    """Kernels, biases and ranges hold finite floats."""
    floats = [*layout.kernels, *(name for name in layout.biases if name is not None)]
    ranges = [name for name in (layout.norm_in, layout.norm_out) if name is not None]
    for name in (*floats, *ranges):
        array = source.arrays[name]
        if array.dtype.kind != "f" and not (name in ranges and array.dtype.kind in "iu"):
            raise StoredTypeError(
                f"{where}: {name!r} does not hold floats",
                found=f"{array.dtype}",
                expected="float16, float32 or float64",
                remedy="quantized weights need their scale: write the floats themselves",
            )
        bad = np.argwhere(~np.isfinite(array))
        if bad.size:
            place = tuple(int(index) for index in bad[0])
            raise NonFiniteError(
                f"{where}: {name!r} has values that are no numbers",
                found=f"{len(bad)} of {array.size}, the first ({array[place]}) at {place}",
                expected="finite values",
                remedy="the network diverged in training, or the file is damaged: get another",
            )


def _shapes(where: str, arrays: Mapping[str, Array], layout: Layout) -> tuple[LayerShape, ...]:
    shapes = []
    for number, (kernel, bias) in enumerate(zip(layout.kernels, layout.biases, strict=True), start=1):
        shape = arrays[kernel].shape
        if len(shape) != LARGEST_RANK or 0 in shape:
            raise KernelShapeError(
                f"{where}: {kernel!r} is not a matrix", found=f"shape {shape}", expected="two axes, neither empty"
            )
        count = None if bias is None else _bias_length(where, bias, arrays[bias].shape, kernel, shape)
        shapes.append(LayerShape(f"Layer{number}", (shape[0], shape[1]), count))
    return tuple(shapes)


def _bias_length(where: str, name: str, shape: tuple[int, ...], kernel: str, kernel_shape: tuple[int, ...]) -> int:
    length = max(shape, default=0)
    flat = shape in ((length,), (length, 1), (1, length))
    if not flat or length not in kernel_shape:
        either = " or ".join(dict.fromkeys(f"{size}" for size in kernel_shape))
        raise BiasShapeError(
            f"{where}: {name!r} does not fit {kernel!r} of shape {kernel_shape}",
            found=f"shape {shape}",
            expected=f"{either} values as (n,), (n, 1) or (1, n)",
            remedy="check that both are of the same layer",
        )
    return length


def _activations(
    where: str, options: ReadOptions, said: Sequence[str | None], unsaid: str
) -> tuple[tuple[Activation, ...], list[Claim]]:
    """One a layer: as declared, else as the file says, else the family's."""
    layers = len(said)
    if isinstance(options.activation, tuple):
        spelt: list[str | None] = list(one_a_layer("activation", options.activation, layers))
    else:
        spelt = [options.activation] * (layers - 1) + [options.output_activation]
    found, claims = [], []
    for number, (text, own) in enumerate(zip(spelt, said, strict=True), start=1):
        name = f"Layer{number}"
        default = OUTPUT if number == layers else HIDDEN
        chosen = checked_spelling(where, name, own) if text is None and own is not None else text
        activation = parse_activation(default if chosen is None else chosen)
        found.append(activation)
        claims.append(activation_claim(name, activation, chosen, own, unsaid))
    return tuple(found), claims


def activation_claim(name: str, activation: Activation, text: str | None, own: str | None, unsaid: str) -> Claim:
    """The claim on an activation: ``text`` as declared, ``own`` as the file says, ``unsaid`` where neither does."""
    value = format_activation(activation)
    if text is None:
        return Claim(name, "activation", value, "assumed", unsaid)
    if own is None:
        return Claim(name, "activation", value, "declared")
    return Claim(name, "activation", value, "declared", BY_THE_FILE if text == own else f"the file says {own}")


def _dense(name: str, kernel: Array, bias: Array | None, orientation: str, activation: Activation) -> Dense:
    canonical = kernel.T if orientation == "units-first" else kernel
    return Dense(name, native(canonical), None if bias is None else native(bias.reshape(-1)), activation)


def native(array: Array) -> Array:
    """The same in native byte order, rows after each other."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def scaling_layers(
    where: str, arrays: Mapping[str, Array], layout: Layout, widths: Sequence[int], options: ReadOptions
) -> tuple[tuple[Scaling, ...], tuple[Scaling, ...], list[Claim]]:
    """(Norm_in,), (Norm_out,) where there are such, and the claims on them."""
    places = (("Norm_in", layout.norm_in, widths[0]), ("Norm_out", layout.norm_out, widths[-1]))
    present = [(name, stored, width) for name, stored, width in places if stored is not None]
    if options.scaling not in (None, "none") and not present:
        raise OptionContradictionError(
            f"{where} has no ranges to scale by, but scaling={options.scaling!r} was declared",
            expected="Norm_in or Norm_out in the file, or ranges in a recipe",
            remedy="leave the option out",
        )
    claims: list[Claim] = []
    layers: dict[str, Scaling] = {}
    for name, stored, width in present:
        declared = options.rule_at(name)
        rule = scalings.DEFAULT_RULE if declared is None else declared
        claims.append(scalings.scaling_claim(name, rule, declared is not None))
        if rule == "none":
            continue
        ranges, claim = scalings.ranges_as_rows(where, name, arrays[stored], width)
        claims.append(claim)
        layers[name] = scalings.build_scaling(where, name, ranges, rule)
    return (
        tuple(layer for name, layer in layers.items() if name == "Norm_in"),
        tuple(layer for name, layer in layers.items() if name == "Norm_out"),
        claims,
    )


def _with_transforms(where: str, network: Network, options: ReadOptions) -> Network:
    """The same network between its kind's physical transforms."""
    kind = scalings.physical_kind(Path(network.source.path), options.kind)
    before, after = scalings.transforms(where, kind, network.widths[0], network.widths[-1])
    claims = scalings.transform_claims(kind, before, after, options.kind is not None)
    ranges = network.input_range
    layers: tuple[Layer, ...] = (before, *network.layers, after)
    return replace(
        network,
        layers=layers,
        claims=(*network.claims, *claims),
        declarations={**network.declarations, "kind": kind},
        input_range=None if ranges is None else scalings.physical_range(ranges, before),
    )


def _with_gains(where: str, network: Network, gains: str | tuple[float, ...]) -> Network:
    """The same network with its reflectances multiplied, as the original does before it goes on with them.

    Raises:
        OptionContradictionError: another kind of network, or one that does not give reflectances.
    """
    if not network.declarations.get("physical"):
        raise OptionContradictionError(
            f"{where}: gains without physical=",
            found="a network that gives logarithms",
            expected="one that gives the reflectances that gains multiply",
            remedy="add --physical (physical=True)",
        )
    kind = network.declarations["kind"]
    if kind != KIND:
        raise OptionContradictionError(
            f"{where}: gains for a network of the kind {kind}",
            found=kind,
            expected=f"{KIND}, the only kind whose outputs the original multiplies",
            remedy="leave the gains out",
        )
    factors = gains_of(gains, network.widths[-1])
    return replace(
        network,
        layers=(*network.layers, gains_layer(factors)),
        claims=(*network.claims, gains_claim(factors)),
        declarations={**network.declarations, "gains": list(factors)},
    )


def program(network: Network, changes: Mapping[str, Any]) -> Program:
    """The legacy forward pass of a network of this family.

    Args:
        network: its declarations are handed on as plain data, for the program to interpret by itself.
        changes: declarations to replace.
    """
    declared = {key: value for key, value in {**network.declarations, **changes}.items() if key in PROGRAM_OPTIONS}
    if not declared.get("physical"):
        declared.pop("gains", None)
    else:
        declared["physical"] = scalings.physical_kind(network.source.path, network.declarations.get("kind"))
    return oc_smart.program(network.source.arrays, network.source.attributes, **declared)


PROGRAM_OPTIONS = ("activation", "output_activation", "orientation", "scaling", "physical", "gains", "dtype")

READER = Family(
    FAMILY,
    "HDF5 with groups Weights and Bias (or W/b, kernel/bias)",
    matches,
    read,
    program,
    write=write_arrays,
    example="porter port PACE_Lrc_aaNN.h5 -o aaNN.keras",
)
