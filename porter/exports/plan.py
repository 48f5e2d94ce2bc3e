"""A chain of layers as a program in another language is written from it: names, sizes, ranges, rows to test with."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnbuildableError, UsageError
from porter.exports.feeds import chain_inputs
from porter.exports.registry import WriteOptions
from porter.formats.programs import build_program
from porter.network import Dense, Ensemble, Extremes, Layer, Network, Scaling, Transform
from porter.network.graph import KerasNetwork
from reference.precision import Precision
from reference.rounding.bounds import end_to_end

Array = NDArray[Any]

TESTED_ROWS = 8
PRECISIONS = ("float64", "float32")
UNHELD = {"logistic_table"}
"""Activations that are a table of 100,000 numbers, not a formula."""
UNITS = {"cos_degrees": "degrees", "log10": "its logarithm is taken", "ln": "its logarithm is taken"}


@dataclass(frozen=True)
class Piece:
    """One layer of the chain.

    Attributes:
        name: legacy name.
        identifier: the same as languages spell names, unique without regard to case.
        layer: of the network.
        inputs: how many numbers it takes.
        outputs: how many it gives.
    """

    name: str
    identifier: str
    layer: Layer
    inputs: int
    outputs: int


@dataclass(frozen=True)
class GoldenRows:
    """Rows that the reference computed, with what rounding allows from end to end.

    Attributes:
        inputs: (rows, inputs) float64.
        outputs: (rows, outputs) float64.
        allowed: (rows, outputs) float64, for the precision of the file.
    """

    inputs: Array
    outputs: Array
    allowed: Array


@dataclass(frozen=True)
class Plan:
    """All that is written.

    Attributes:
        title: name of the network.
        identifier: the same as languages spell names.
        pieces: in order.
        precision: "float64" or "float32".
        golden: rows to test with.
        about: lines that say where it comes from and what goes in and out.
    """

    title: str
    identifier: str
    pieces: tuple[Piece, ...]
    precision: str
    golden: GoldenRows
    about: tuple[str, ...]

    @property
    def inputs(self) -> int:
        """How many numbers go in."""
        return self.pieces[0].inputs

    @property
    def outputs(self) -> int:
        """How many come out."""
        return self.pieces[-1].outputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the arithmetic."""
        return np.dtype(self.precision)

    @property
    def activations(self) -> tuple[str, ...]:
        """Names of the activations that are needed, once each."""
        return tuple(dict.fromkeys(p.layer.activation.name for p in self.pieces if isinstance(p.layer, Dense)))


def make_plan(network: Network, options: WriteOptions, language: str) -> Plan:
    """What is to be written of a network.

    Args:
        network: a chain.
        options: of the writer.
        language: for messages.

    Raises:
        UsageError: another precision.
        UnbuildableError: a network, or a layer of it, that cannot be held.
    """
    precision = _own_precision(network) if options.precision is None else options.precision
    if precision not in PRECISIONS:
        raise UsageError(f"the precision of {language}", found=repr(precision), expected=" or ".join(PRECISIONS))
    if isinstance(network, KerasNetwork):
        raise UnbuildableError(
            f"{network.name} cannot be written in {language}",
            found="a graph of Keras layers",
            expected="a chain of dense layers",
            remedy="export to onnx",
        )
    pieces = tuple(_pieces(network, language))
    golden = _golden(network, Precision(precision, precision), options.seed)
    return Plan(
        network.name, as_identifier(network.name), pieces, precision, golden, tuple(_about(network, pieces, precision))
    )


def _own_precision(network: Network) -> str:
    """float64; of a model that Keras saved, what its arrays are kept in."""
    is_short = network.family == "keras-chain" and network.stored_dtype == np.float32
    return "float32" if is_short else PRECISIONS[0]


def as_identifier(name: str) -> str:
    """A name as C, Fortran and Python all take it."""
    found = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "network"
    found = f"n_{found}" if not found[0].isalpha() or keyword.iskeyword(found.lower()) else found
    return found[:48]


def _pieces(network: Network, language: str) -> Iterator[Piece]:
    width, taken = network.widths[0], set[str]()
    for layer in network.layers:
        _check_held(network, layer, language)
        identifier = as_identifier(layer.name)
        while identifier.lower() in taken:
            identifier += "_"
        taken.add(identifier.lower())
        outputs = _outputs(layer, width)
        yield Piece(layer.name, identifier, layer, width, outputs)
        width = outputs


def _outputs(layer: Layer, width: int) -> int:
    if isinstance(layer, Dense):
        return int(layer.kernel.shape[1])
    return 1 if isinstance(layer, Ensemble) else width


def _check_held(network: Network, layer: Layer, language: str) -> None:
    if isinstance(layer, Dense) and layer.activation.name in UNHELD:
        raise UnbuildableError(
            f"{layer.name} of {network.name} cannot be written in {language}",
            found="an activation that is looked up in a table of 100,000 numbers",
            expected="a formula",
            remedy="give --exact-activations (exact_activations=True) for the function that the table stands for",
        )
    if isinstance(layer, Dense) and layer.activation.parameters.get("axis", -1) != -1:
        raise UnbuildableError(
            f"{layer.name} of {network.name} cannot be written in {language}",
            found=f"{layer.activation} over another axis than the units", expected="one row at a time",
        )  # fmt: skip


def _golden(network: Network, precision: Precision, seed: int) -> GoldenRows:
    program, rng = build_program(network), np.random.default_rng(seed)
    rows = chain_inputs(network, program, 64, rng).astype(np.float32).astype(np.float64)
    outputs = np.asarray(program(rows)[0], np.float64)
    allowed = end_to_end(program, rows, precision)[program.outputs[0]]
    usable = np.isfinite(outputs).all(axis=1) & np.isfinite(allowed).all(axis=1)
    # The last rows are random ones inside the range.
    picked = np.flatnonzero(usable)[-TESTED_ROWS:]
    return GoldenRows(rows[picked], outputs[picked], allowed[picked])


def _about(network: Network, pieces: tuple[Piece, ...], precision: str) -> Iterator[str]:
    source = network.source
    yield f"{network.name}, of {source.path.name} ({network.family}, sha256 {source.sha256})"
    yield f"computes in {precision}; layers: " + ", ".join(f"{piece.name} ({piece.outputs})" for piece in pieces)
    functions = next((p.layer.functions for p in pieces[:1] if isinstance(p.layer, Transform)), None)
    for j in range(pieces[0].inputs):
        said = [] if functions is None else [UNITS.get(functions[j], functions[j])]
        if network.input_range is not None:
            low, high = network.input_range[j]
            said.append(f"{low:.9g} to {high:.9g}")
        if said:
            yield f"input {j}: {', '.join(said)}"
    last = next((p.layer for p in reversed(pieces) if isinstance(p.layer, Scaling)), None)
    if (
        last is not None
        and len(last.stored) == pieces[-1].outputs
        and last.rule not in ("mean-std", "affine")
        and last is not pieces[0].layer
    ):
        for j, (low, high) in enumerate(last.stored):
            yield f"output {j}: trained on {low:.9g} to {high:.9g}"


__all__ = ["Dense", "Ensemble", "Extremes", "GoldenRows", "Piece", "Plan", "Scaling", "Transform", "make_plan"]
