"""Networks of formats that fix order, layout and formula: what the user declared laid over what the format says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import (
    KernelShapeError,
    MissingMemberError,
    OptionContradictionError,
    UnknownActivationError,
    WidthError,
)
from porter.formats import scalings
from porter.formats.options import ReadOptions, one_a_layer
from porter.formats.said import BY_THE_FILE, checked_spelling, with_hints
from porter.network import Claim, Dense, Evidence, Layer, Network, Scaling
from porter.network.activations import format_activation, parse_activation
from porter.network.weight_file import WeightFile

Array = NDArray[Any]


@dataclass(frozen=True)
class Stored:
    """One dense layer of a file.

    Attributes:
        kernel: as stored: a matrix, or the flat values of one.
        bias: (units,) or None.
        inputs: how many values it takes.
        units: how many it gives.
        orientation: the format's own: which axis of ``kernel`` comes first.
        activation: spelling, of the file or of the family's software.
        is_said: whether the file itself names the activation.
    """

    kernel: Array
    bias: Array | None
    inputs: int
    units: int
    orientation: str
    activation: str
    is_said: bool = False


@dataclass(frozen=True)
class Ranges:
    """What one end is scaled by.

    Attributes:
        first: (n,) minima, or means.
        second: (n,) maxima, or standard deviations.
        rule: the family's.
        is_said: whether the file itself says the rule.
    """

    first: Array
    second: Array
    rule: str
    is_said: bool = False


@dataclass(frozen=True)
class Formula:
    """Whose conventions hold where a file does not say: words for the claims.

    Attributes:
        owner: for example ``"C2RCC's"``.
        order: how the layers follow each other in the file.
        is_wired: whether the file names both ends of every connection, and so says order and orientation itself.
    """

    owner: str
    order: str = "as they stand in the file"
    is_wired: bool = False

    @property
    def unsaid(self) -> str:
        """The detail of an assumed claim."""
        return f"{self.owner}; the file does not say; {scalings.HOW_TO_PROVE}"


def check_exact(where: str, options: ReadOptions) -> None:
    """Refuse functions in the place of a family's own approximations beside activations that are declared.

    Raises:
        OptionContradictionError: both.
    """
    if options.exact_activations and (options.activation is not None or options.output_activation is not None):
        raise OptionContradictionError(
            f"{where}: exact activations beside activation=",
            found="both",
            expected="one of them",
            remedy="leave one of them out",
        )


def assemble(
    source: WeightFile,
    layers: Sequence[Stored],
    options: ReadOptions,
    formula: Formula,
    *,
    norm_in: Ranges | None = None,
    norm_out: Ranges | None = None,
    name: str | None = None,
) -> Network:
    """The canonical network of layers that stand in order.

    Args:
        source: the arrays as stored; its format is the network's family.
        layers: in order of computation.
        options: what was declared, which goes before what the file says.
        formula: whose conventions hold.
        norm_in: what the inputs are scaled by.
        norm_out: what the outputs are scaled by.
        name: of the network; the file's stem where None.

    Raises:
        UnreadableError: layers that do not follow each other, impossible ranges.
        UsageError: an option that does not fit.
    """
    where = str(source.path)
    _refuse_kinds(where, source, options)
    _check_chain(where, layers)
    oriented = one_a_layer("orientation", options.orientation, len(layers))
    spelt = _spelt(options, len(layers))
    dense, claims = [], []
    for number, (layer, orientation, text) in enumerate(zip(layers, oriented, spelt, strict=True), start=1):
        one, own = _dense(where, f"Layer{number}", layer, orientation, text, formula)
        dense.append(one)
        claims += own
    claims.append(_order_claim(formula))
    before, after, of_scaling = _ends(where, layers, options, formula, norm_in, norm_out)
    inside: tuple[Layer, ...] = (*before, *dense, *after)
    return Network(
        name=source.path.stem if name is None else name,
        family=source.format,
        source=source,
        layers=inside,
        claims=with_hints((*claims, *of_scaling), source.attributes),
        declarations=options.declarations(),
        input_range=scalings.documented_range(before[0]) if before else None,
    )


def _refuse_kinds(where: str, source: WeightFile, options: ReadOptions) -> None:
    if options.kind is not None:
        raise OptionContradictionError(
            f"kind={options.kind!r} for {where}",
            found=f"a file of the format {source.format}",
            expected="an OC-SMART network, which has kinds",
            remedy="leave the option out",
        )


def _check_chain(where: str, layers: Sequence[Stored]) -> None:
    if not layers:
        raise MissingMemberError(f"{where} has no layers", expected="at least one")
    for number, layer in enumerate(layers, start=1):
        if layer.kernel.size != layer.inputs * layer.units or layer.kernel.size == 0:
            raise KernelShapeError(
                f"{where}: the kernel of layer {number} is not whole",
                found=f"{layer.kernel.size} values",
                expected=f"{layer.inputs} x {layer.units}",
            )
        if number > 1 and layer.inputs != layers[number - 2].units:
            raise WidthError(
                f"{where}: layer {number} cannot follow layer {number - 1}",
                found=f"it takes {layer.inputs} inputs",
                expected=f"{layers[number - 2].units}, the units of layer {number - 1}",
            )


def _spelt(options: ReadOptions, layers: int) -> list[str | None]:
    if isinstance(options.activation, tuple):
        return list(one_a_layer("activation", options.activation, layers))
    return [options.activation] * (layers - 1) + [options.output_activation]


def _dense(
    where: str, name: str, layer: Stored, orientation: str | None, text: str | None, formula: Formula
) -> tuple[Dense, list[Claim]]:
    own = checked_spelling(where, name, layer.activation) if layer.is_said and text is None else layer.activation
    activation = parse_activation(own if text is None else text)
    chosen = layer.orientation if orientation is None else orientation
    claims = [
        _orientation_claim(where, name, layer, orientation, formula),
        _activation_claim(name, layer, text, formula),
    ]
    bias = None if layer.bias is None else _native(layer.bias.reshape(-1))
    return Dense(name, _native(canonical(layer, chosen)), bias, activation), claims


def canonical(layer: Stored, orientation: str) -> Array:
    """(inputs, units) of a kernel that is stored flat, or as a matrix of either shape."""
    flat = layer.kernel.reshape(-1)
    if orientation == "units-first":
        return flat.reshape(layer.units, layer.inputs).T
    return flat.reshape(layer.inputs, layer.units)


def _native(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _orientation_claim(where: str, name: str, layer: Stored, declared: str | None, formula: Formula) -> Claim:
    value = layer.orientation if declared is None else declared
    if formula.is_wired:
        if value != layer.orientation:
            raise OptionContradictionError(
                f"{where}: {name} is declared {value}, but the file names both ends of every connection",
                remedy="leave the option out",
            )
        return Claim(name, "orientation", value, "declared", BY_THE_FILE)
    proven = layer.kernel.ndim > 1 and layer.inputs != layer.units
    if proven:
        shape = (layer.units, layer.inputs) if value == "units-first" else (layer.inputs, layer.units)
        if layer.kernel.shape != shape:
            raise OptionContradictionError(
                f"{where}: {name} is declared {value}, but its shape says otherwise",
                found=f"shape {layer.kernel.shape}",
                expected=f"{shape} for {value}",
                remedy="leave the option out for this layer: a list has one entry a layer",
            )
        return Claim(name, "orientation", value, "shape", "its shape fits its neighbours only so")
    if declared is not None:
        return Claim(name, "orientation", value, "declared")
    return Claim(name, "orientation", value, "assumed", formula.unsaid)


def _activation_claim(name: str, layer: Stored, declared: str | None, formula: Formula) -> Claim:
    value = format_activation(parse_activation(layer.activation if declared is None else declared))
    own = _formatted(layer.activation)
    if declared is not None:
        differs = layer.is_said and own != value
        return Claim(name, "activation", value, "declared", f"the file says {own}" if differs else "")
    if layer.is_said:
        return Claim(name, "activation", value, "declared", BY_THE_FILE)
    return Claim(name, "activation", value, "assumed", formula.unsaid)


def _formatted(text: str) -> str:
    """The usual spelling; as it stands where nobody knows it."""
    try:
        return format_activation(parse_activation(text))
    except UnknownActivationError:
        return text


def _order_claim(formula: Formula) -> Claim:
    if formula.is_wired:
        return Claim("network", "order", formula.order, "declared", BY_THE_FILE)
    return Claim("network", "order", formula.order, "assumed", formula.unsaid)


def _ends(
    where: str,
    layers: Sequence[Stored],
    options: ReadOptions,
    formula: Formula,
    norm_in: Ranges | None,
    norm_out: Ranges | None,
) -> tuple[tuple[Scaling, ...], tuple[Scaling, ...], list[Claim]]:
    """(Norm_in,), (Norm_out,) where there are such, and the claims on them."""
    if options.scaling not in (None, "none") and norm_in is None and norm_out is None:
        raise OptionContradictionError(
            f"{where} has no ranges to scale by, but scaling={options.scaling!r} was declared",
            expected="ranges in the file",
            remedy="leave the option out",
        )
    claims: list[Claim] = []
    found: list[tuple[Scaling, ...]] = []
    for name, ranges, width in (("Norm_in", norm_in, layers[0].inputs), ("Norm_out", norm_out, layers[-1].units)):
        if ranges is None:
            found.append(())
            continue
        declared = options.rule_at(name)
        rule = ranges.rule if declared is None else declared
        claims.append(_scaling_claim(name, rule, ranges, options, formula))
        stored = np.stack([_native(ranges.first.reshape(-1)), _native(ranges.second.reshape(-1))], axis=1)
        rows, _ = scalings.ranges_as_rows(where, name, stored, width)
        found.append(() if rule == "none" else (scalings.build_scaling(where, name, rows, rule),))
    return found[0], found[1], claims


def _scaling_claim(name: str, rule: str, ranges: Ranges, options: ReadOptions, formula: Formula) -> Claim:
    evidence: Evidence = "declared" if options.scaling is not None or ranges.is_said else "assumed"
    if options.scaling is not None:
        return Claim(name, "scaling", rule, evidence)
    return Claim(name, "scaling", rule, evidence, BY_THE_FILE if ranges.is_said else formula.unsaid)
