"""What is in a legacy file, and how each of its conventions is known."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from porter.formats import read
from porter.formats.scalings import HOW_TO_PROVE
from porter.network import Claim, Dense, Ensemble, Extremes, Layer, Network, Scaling
from porter.network.activations import format_activation
from porter.network.graph import KerasCall, KerasInput, KerasLayer, KerasNetwork

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SCHEMA_VERSION = 1
CONVENTION_SHOWN = ("activation", "scaling", "transform")


@dataclass(frozen=True)
class LayerInspection:
    """One layer of the canonical network.

    Attributes:
        name: legacy name.
        kind: "dense", "scaling", "transform", "extremes" or "ensemble"; of a graph also "merge" and "activation".
        inputs: how many values it takes.
        units: how many it gives.
        dtype: of its stored values, or None.
        parameters: weights and biases; 0 for other layers.
        bias: whether it has one.
        computes: activation, scaling rule or functions.
        ranges: least and greatest stored value of a scaling's two rows (minimum, maximum; or mean, deviation).
    """

    name: str
    kind: str
    inputs: int
    units: int
    dtype: str | None
    parameters: int
    bias: bool
    computes: str
    ranges: tuple[tuple[float, float], tuple[float, float]] | None = None


@dataclass(frozen=True)
class Inspection:
    """A legacy file, looked into.

    Attributes:
        name: of the network.
        path: as the user gave it.
        format: of the file.
        sha256: hexadecimal digest of its bytes.
        inputs: of the whole network.
        outputs: of the whole network.
        parameters: weights and biases.
        dtype: the widest of the kernels.
        layers: in order of computation.
        claims: every convention with its evidence.
    """

    name: str
    path: str
    format: str
    sha256: str
    inputs: int
    outputs: int
    parameters: int
    dtype: str
    layers: tuple[LayerInspection, ...]
    claims: tuple[Claim, ...]

    @property
    def assumed(self) -> tuple[Claim, ...]:
        """The conventions that nothing proves and nobody declared."""
        return tuple(claim for claim in self.claims if claim.evidence == "assumed")


def inspect(source: Network | str | Path, **options: Any) -> Inspection:
    """Look into a network, or into a file read with ``porter.read``'s options.

    Raises:
        UnreadableError: the file cannot be read.
        UsageError: an option that does not fit it.
    """
    network = source if isinstance(source, Network) else read(source, **options)
    layers, inputs, outputs, dtype = _contents(network)
    return Inspection(
        name=network.name,
        path=str(network.source.path),
        format=network.source.format,
        sha256=network.source.sha256,
        inputs=inputs,
        outputs=outputs,
        parameters=sum(layer.parameters for layer in layers),
        dtype=str(dtype),
        layers=layers,
        claims=network.claims,
    )


Contents = tuple[tuple[LayerInspection, ...], int, int, np.dtype[Any]]
"""The layers, how many inputs and outputs there are, and the widest dtype."""


@singledispatch
def _contents(network: Network) -> Contents:
    return tuple(_layers(network)), *network.end_widths, network.stored_dtype


@_contents.register
def _contents_of_graph(network: KerasNetwork) -> Contents:
    layers = tuple(_calls(network))
    dtype = np.result_type(*(each.dtype for each in layers if each.dtype is not None))
    return layers, sum(_width(each) for each in network.inputs), layers[-1].units, dtype


def _layers(network: Network) -> Iterator[LayerInspection]:
    values = {claim.layer: claim.value for claim in network.claims if claim.convention == "transform"}
    for layer in network.layers:
        yield _layer(layer, values.get(layer.name, ""))


def _layer(layer: Layer, transform: str) -> LayerInspection:
    if isinstance(layer, Dense):
        parameters = layer.kernel.size + (0 if layer.bias is None else layer.bias.size)
        computes = format_activation(layer.activation)
        dtype = str(layer.kernel.dtype)
        return LayerInspection(layer.name, "dense", *layer.width, dtype, parameters, layer.bias is not None, computes)
    if isinstance(layer, Scaling):
        first, second = ((float(column.min()), float(column.max())) for column in layer.stored.T)
        dtype = str(layer.stored.dtype)
        return LayerInspection(layer.name, "scaling", *layer.width, dtype, 0, False, layer.rule, ranges=(first, second))
    if isinstance(layer, Extremes):
        ends = [f"[{low:.4g}, {high:.4g}]" for low, high in zip(layer.least, layer.greatest, strict=True)]
        computes = f"within {', '.join(ends[:3])}{', ...' if len(ends) > 3 else ''}"
        return LayerInspection(layer.name, "extremes", *layer.width, None, 0, False, computes)
    if isinstance(layer, Ensemble):
        return LayerInspection(layer.name, "ensemble", *layer.width, None, 0, False, layer.rule)
    return LayerInspection(layer.name, "transform", *layer.width, None, 0, False, transform)


def _calls(network: KerasNetwork) -> Iterator[LayerInspection]:
    """The layers of a graph that takes rows of numbers, as they are called."""
    rules = {claim.layer: claim.value for claim in network.claims if claim.convention in ("scaling", "gain")}
    widths = {each.name: _width(each) for each in network.inputs}
    before = network.inputs[0].name
    for call in network.calls:
        taken, rule = [widths[ref.name] for ref in call.inputs], rules.get(call.name, "")
        found = _call(call, network.layer(call.layer), taken, before, rule)  # type: ignore[arg-type]
        widths[call.name] = found.units
        before = call.name
        yield found


def _width(given: KerasInput) -> int:
    return math.prod(size or 1 for size in given.shape or ())


def _call(call: KerasCall, layer: KerasLayer, taken: Sequence[int], before: str, rule: str) -> LayerInspection:
    parameters, names = layer.parameters, [ref.name for ref in call.inputs]
    of = "" if names == [before] else f" of {', '.join(names)}"
    if layer.operation == "Dense":
        kernel = layer.weights["kernel"]
        inputs, units = kernel.shape
        size = sum(array.size for array in layer.weights.values())
        told = parameters["activation"] + (f",{of}" if of else "")
        return LayerInspection(
            call.name, layer.kind, inputs, units, str(kernel.dtype), size, parameters["use_bias"], told
        )
    if layer.operation == "Merge":
        units = sum(taken) if parameters["mode"] == "Concatenate" else taken[0]
        return LayerInspection(call.name, layer.kind, units, units, None, 0, False, parameters["mode"].lower() + of)
    told = parameters["function"] + of if layer.operation == "Activation" else rule
    return LayerInspection(call.name, layer.kind, taken[0], taken[0], None, 0, False, told)


def inspection_json(source: Network | Inspection) -> str:
    """The inspection as JSON; the keys are the attributes' names, beside ``schema_version``."""
    inspection = inspect(source) if isinstance(source, Network) else source
    return json.dumps({"schema_version": SCHEMA_VERSION, **dataclasses.asdict(inspection)}, indent=2)


def render_inspection(source: Network | Inspection, console: Console) -> None:
    """Print the layers, what is known of them and how, and what is assumed and how to prove it."""
    from rich.text import Text

    inspection = inspect(source) if isinstance(source, Network) else source
    console.print(Text(f"{inspection.path}\n{_summary(inspection)}\nSHA-256 {inspection.sha256}"))
    console.print(_table(inspection))
    for layer in inspection.layers:
        if layer.ranges is not None:
            console.print(Text(_range_line(layer)))
    for line in _closing(inspection):
        console.print(line)


def _summary(inspection: Inspection) -> str:
    return (
        f"{inspection.format}: {inspection.inputs} inputs, {inspection.outputs} outputs, "
        f"{inspection.parameters:,} parameters in {inspection.dtype}"
    )


def _table(inspection: Inspection) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("layer", "shape", "dtype", "orientation", "computes"):
        table.add_column(title, justify="right" if title == "shape" else "left", no_wrap=title != "computes")
    for layer in inspection.layers:
        shape = f"{layer.inputs} → {layer.units}" if layer.kind == "dense" else str(layer.units)
        orientation = _known(inspection, layer.name, "orientation")
        computes = Text(layer.computes + (", no bias" if layer.kind == "dense" and not layer.bias else ""))
        computes.append_text(_evidence(inspection, layer.name, CONVENTION_SHOWN))
        dtype = "" if layer.dtype is None else layer.dtype
        table.add_row(Text(layer.name), shape, dtype, orientation, computes)
    return table


def _known(inspection: Inspection, layer: str, convention: str) -> Any:
    from rich.text import Text

    values = [claim.value for claim in inspection.claims if (claim.layer, claim.convention) == (layer, convention)]
    return Text(values[0] if values else "").append_text(_evidence(inspection, layer, (convention,)))


def _evidence(inspection: Inspection, layer: str, conventions: Iterable[str]) -> Any:
    """The evidence in brackets, in yellow where there is none."""
    from rich.text import Text

    for claim in inspection.claims:
        if claim.layer == layer and claim.convention in conventions:
            style = {"assumed": "yellow", "contradicted": "red"}.get(claim.evidence, "green")
            return Text(f" ({_EVIDENCE[claim.evidence]})", style=style)
    return Text("")


_EVIDENCE = {
    "shape": "by shape",
    "samples": "by samples",
    "declared": "declared",
    "assumed": "assumed",
    "contradicted": "contradicted",
}


def _range_line(layer: LayerInspection) -> str:
    assert layer.ranges is not None
    first, second = layer.ranges
    names = ("means", "deviations") if layer.computes == "mean-std" else ("minima", "maxima")
    return f"{layer.name}: {names[0]} {first[0]:.4g} to {first[1]:.4g}, {names[1]} {second[0]:.4g} to {second[1]:.4g}"


def _closing(inspection: Inspection) -> Iterator[Any]:
    """What is assumed, with the claims that share a reason in one line."""
    from rich.padding import Padding
    from rich.text import Text

    if not inspection.assumed:
        yield Text("\nNothing is assumed.", style="green")
        return
    yield Text("\nAssumed:", style="yellow")
    for line in _assumptions(inspection.assumed):
        yield Padding(Text(line), (0, 0, 0, 2))
    if any(HOW_TO_PROVE in claim.detail for claim in inspection.assumed):
        yield Text(f"{HOW_TO_PROVE[0].upper()}{HOW_TO_PROVE[1:]}.")


def _assumptions(claims: Iterable[Claim]) -> Iterator[str]:
    """``activation: Layer1 to Layer3 tanh, Layer4 linear (why)``, one line a convention and reason."""
    for (convention, detail), group in _grouped(claims, lambda claim: (claim.convention, claim.detail)):
        values = _grouped(group, lambda claim: (claim.value,))
        what = ", ".join(f"{_spell_layers(same)} {value}".strip() for (value,), same in values)
        why = detail.removesuffix(HOW_TO_PROVE).rstrip("; ")
        yield f"{convention}: {what} ({why})" if why else f"{convention}: {what}"


def _grouped(
    claims: Iterable[Claim], key: Callable[[Claim], tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], list[Claim]]]:
    """Claims by key, in the order of first appearance."""
    groups: dict[tuple[str, ...], list[Claim]] = {}
    for claim in claims:
        groups.setdefault(key(claim), []).append(claim)
    yield from groups.items()


def _spell_layers(claims: Sequence[Claim]) -> str:
    """``Layer1 to Layer3`` for neighbours, else a list; nothing for the network as a whole."""
    names = [claim.layer for claim in claims if claim.layer != "network"]
    numbers = [int(name.removeprefix("Layer")) for name in names if name.removeprefix("Layer").isdecimal()]
    run = len(names) > 2 and numbers == list(range(numbers[0], numbers[0] + len(names))) if numbers else False
    return f"{names[0]} to {names[-1]}" if run else ", ".join(names)
