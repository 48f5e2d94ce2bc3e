"""OC-SMART's HDF5 networks, and raw HDF5 in their neighbourhood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.activations import format_activation, parse_activation
from porter.errors import (
    BiasShapeError,
    KernelShapeError,
    LayersError,
    ListLengthError,
    NonFiniteError,
    OptionContradictionError,
    ScalingShapeError,
    StoredTypeError,
)
from porter.formats import scalings
from porter.formats.chain import LayerShape, chains, order_is_proven
from porter.formats.members import Layout, has_kernels, locate
from porter.formats.opened import OpenedFile
from porter.formats.options import HIDDEN, OUTPUT, Declared, ReadOptions
from porter.formats.registry import Reader
from porter.formats.weight_file import WeightFile
from porter.network import Claim, Dense, Layer, Network, Scaling
from reference.activations import Activation

Array = NDArray[Any]

FAMILY = "oc-smart"
LARGEST_RANK = 2
HOW_TO_PROVE = scalings.HOW_TO_PROVE


@dataclass(frozen=True)
class Chain:
    """The dense layers' shapes, solved.

    Attributes:
        layers: shapes as stored.
        widths: inputs, then the units of each layer.
        orientations: one a layer, as it will be read.
        claims: on the orientations and the order.
    """

    layers: tuple[LayerShape, ...]
    widths: tuple[int, ...]
    orientations: tuple[str, ...]
    claims: tuple[Claim, ...]


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
        attributes=hdf5.attributes,
    )
    return interpret(source, layout, options)


def interpret(source: WeightFile, layout: Layout, options: ReadOptions, *, order_declared: bool = False) -> Network:
    """The canonical network of arrays whose places are known.

    Args:
        source: every array that the layout names.
        layout: where they lie.
        options: what was declared.
        order_declared: whether a person named the layers in this order.

    Raises:
        UnreadableError: arrays that contradict each other.
        UsageError: an option that does not fit them.
    """
    where, arrays = str(source.path), source.arrays
    scalings.kind_of(source.path, options.kind)
    _check_values(where, source, layout)
    shapes = _shapes(where, arrays, layout)
    solved = _solve(where, arrays, layout, shapes, declared=options.orientation, order_declared=order_declared)
    activations, activation_claims = _activations(options, len(shapes))
    dense = [
        _dense(shape.name, arrays[kernel], None if bias is None else arrays[bias], orientation, activation)
        for shape, kernel, bias, orientation, activation in zip(
            shapes, layout.kernels, layout.biases, solved.orientations, activations, strict=True
        )
    ]
    before, after, scaling_claims = _scaling_layers(where, arrays, layout, solved.widths, options.scaling)
    network = Network(
        name=source.path.stem,
        family=FAMILY,
        source=source,
        layers=(*before, *dense, *after),
        claims=(*solved.claims, *activation_claims, *scaling_claims),
        declarations=options.declarations(),
        input_range=scalings.documented_range(before[0]) if before else None,
    )
    return _with_transforms(where, network, options) if options.physical else network


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


def _solve(
    where: str,
    arrays: Mapping[str, Array],
    layout: Layout,
    shapes: tuple[LayerShape, ...],
    *,
    declared: Declared,
    order_declared: bool,
) -> Chain:
    """Widths and orientations from the shapes, what the file states, and what was declared, in this order."""
    candidates = chains(where, shapes)
    known = _stated_widths(where, arrays, layout, candidates)
    fitting = [widths for widths in candidates if _fits(widths, known)]
    wanted = _one_a_layer("orientation", declared, len(shapes))
    agreeing = [widths for widths in fitting if not _contradictions(shapes, widths, wanted)]
    if not agreeing:
        _refuse_orientation(where, shapes, fitting[0], wanted)
    widths = agreeing[0]
    orientations, claims = _orientations(shapes, widths, wanted, proven=len(fitting) == 1)
    order = _order_claim(layout, order_is_proven(shapes, known), order_declared)
    return Chain(shapes, widths, orientations, (*claims, order))


def _fits(widths: Sequence[int], known: Mapping[int, int]) -> bool:
    return all(widths[place] == width for place, width in known.items())


def _stated_widths(
    where: str, arrays: Mapping[str, Array], layout: Layout, candidates: Sequence[tuple[int, ...]]
) -> dict[int, int]:
    """Widths by position that ``Layers`` and the ranges state; each must fit some chain of the kernels."""
    known: dict[int, int] = {}
    if layout.widths is not None:
        stated = arrays[layout.widths]
        known = dict(enumerate(stated.reshape(-1).tolist()))
        if len(known) != len(candidates[0]) or not any(_fits(widths, known) for widths in candidates):
            raise LayersError(
                f"{where}: {layout.widths!r} contradicts the arrays",
                found=" ".join(map(str, known.values())),
                expected=" or ".join(" ".join(map(str, widths)) for widths in candidates)
                + " (inputs, then the units of each layer)",
                remedy="one of them is of another network: get the file again, or leave it out in a recipe",
            )
    for name, place in ((layout.norm_in, 0), (layout.norm_out, len(candidates[0]) - 1)):
        if name is None:
            continue
        shape = arrays[name].shape
        fitting = {widths[place] for widths in candidates if _fits(widths, known) and _is_range(shape, widths[place])}
        if not fitting:
            either = " or ".join(dict.fromkeys(f"({w[place]}, 2)" for w in candidates if _fits(w, known)))
            raise ScalingShapeError(
                f"{where}: {name!r} does not fit the network",
                found=f"shape {shape}",
                expected=f"{either}: a minimum and a maximum a column",
                remedy="check that it belongs to this network",
            )
        if len(fitting) == 1:
            known[place] = fitting.pop()
    return known


def _is_range(shape: tuple[int, ...], width: int) -> bool:
    return shape in ((width, 2), (2, width))


def _one_a_layer(option: str, declared: Declared, layers: int) -> tuple[str | None, ...]:
    if declared is None or isinstance(declared, str):
        return (declared,) * layers
    if len(declared) != layers:
        raise ListLengthError(
            f"{option}= is a list of {len(declared)}",
            expected=f"{layers}, one for each layer, the output layer's included",
        )
    return declared


def _contradictions(
    shapes: Sequence[LayerShape], widths: Sequence[int], wanted: Sequence[str | None]
) -> list[tuple[LayerShape, str, str]]:
    """Layers whose shape says another orientation than was declared: shape, declared, proven."""
    found = []
    for shape, inputs, units, want in zip(shapes, widths, widths[1:], wanted, strict=False):
        says = shape.orientation(inputs, units)
        if want is not None and says not in (None, want):
            found.append((shape, want, str(says)))
    return found


def _refuse_orientation(
    where: str, shapes: Sequence[LayerShape], widths: Sequence[int], wanted: Sequence[str | None]
) -> None:
    shape, want, says = _contradictions(shapes, widths, wanted)[0]
    raise OptionContradictionError(
        f"{where}: {shape} is declared {want}, but its shape says otherwise",
        found=f"orientation={want!r}",
        expected=f"{says!r}: it must chain with its bias and its neighbours",
        remedy="leave the option out for this layer: a list has one entry a layer",
    )


def _orientations(
    shapes: Sequence[LayerShape], widths: Sequence[int], wanted: Sequence[str | None], *, proven: bool
) -> tuple[tuple[str, ...], list[Claim]]:
    pairs = zip(shapes, widths, widths[1:], strict=False)
    said = [shape.orientation(inputs, units) for shape, inputs, units in pairs]
    default = "inputs-first" if set(said) - {None} == {"inputs-first"} else "units-first"
    found, claims = [], []
    for shape, says, want in zip(shapes, said, wanted, strict=True):
        orientation = says or want or default
        found.append(orientation)
        claims.append(_orientation_claim(shape, orientation, says, want, proven=proven))
    return tuple(found), claims


def _orientation_claim(shape: LayerShape, value: str, says: str | None, want: str | None, *, proven: bool) -> Claim:
    rows, columns = shape.kernel
    if says is not None and proven:
        detail = f"{rows} x {columns} chains with its bias and its neighbours only so"
        return Claim(shape.name, "orientation", value, "shape", detail)
    if want is not None:
        return Claim(shape.name, "orientation", value, "declared")
    why = f"{rows} x {columns} is square: no shape can tell" if says is None else "the chain fits both ways round"
    return Claim(shape.name, "orientation", value, "assumed", f"{why}; {HOW_TO_PROVE}")


def _order_claim(layout: Layout, proven: bool, declared: bool) -> Claim:
    names = ", ".join(name.rpartition("/")[2] for name in layout.kernels)
    if proven:
        return Claim("network", "order", names, "shape", "the layers chain in this order only")
    if declared:
        return Claim("network", "order", names, "declared")
    detail = f"by the numbers in their names; other orders chain too; {HOW_TO_PROVE}"
    return Claim("network", "order", names, "assumed", detail)


def _activations(options: ReadOptions, layers: int) -> tuple[tuple[Activation, ...], list[Claim]]:
    if isinstance(options.activation, tuple):
        spelt: list[str | None] = list(_one_a_layer("activation", options.activation, layers))
    else:
        spelt = [options.activation] * (layers - 1) + [options.output_activation]
    found, claims = [], []
    for number, text in enumerate(spelt, start=1):
        default = OUTPUT if number == layers else HIDDEN
        activation = parse_activation(default if text is None else text)
        found.append(activation)
        claims.append(_activation_claim(f"Layer{number}", activation, declared=text is not None))
    return tuple(found), claims


def _activation_claim(name: str, activation: Activation, *, declared: bool) -> Claim:
    value = format_activation(activation)
    if declared:
        return Claim(name, "activation", value, "declared")
    detail = f"OC-SMART's; the file does not say; {HOW_TO_PROVE}"
    return Claim(name, "activation", value, "assumed", detail)


def _dense(name: str, kernel: Array, bias: Array | None, orientation: str, activation: Activation) -> Dense:
    canonical = kernel.T if orientation == "units-first" else kernel
    return Dense(name, _native(canonical), None if bias is None else _native(bias.reshape(-1)), activation)


def _native(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _scaling_layers(
    where: str, arrays: Mapping[str, Array], layout: Layout, widths: Sequence[int], declared: str | None
) -> tuple[tuple[Scaling, ...], tuple[Scaling, ...], list[Claim]]:
    """(Norm_in,), (Norm_out,) where there are such, and the claims on them."""
    places = (("Norm_in", layout.norm_in, widths[0]), ("Norm_out", layout.norm_out, widths[-1]))
    present = [(name, stored, width) for name, stored, width in places if stored is not None]
    if declared not in (None, "none") and not present:
        raise OptionContradictionError(
            f"{where} has no ranges to scale by, but scaling={declared!r} was declared",
            expected="Norm_in or Norm_out in the file, or ranges in a recipe",
            remedy="leave the option out",
        )
    rule = scalings.DEFAULT_RULE if declared is None else declared
    claims: list[Claim] = []
    layers: dict[str, Scaling] = {}
    for name, stored, width in present:
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


READER = Reader(FAMILY, "HDF5 with groups Weights and Bias (or W/b, kernel/bias)", matches, read)
