"""A chain of layers as a program in another language is written from it: names, sizes, ranges, rows to test with."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnbuildableError, UsageError
from porter.exports.feeds import draw_inputs
from porter.exports.graph_makers import Graph, make_graph
from porter.exports.graph_ops import Op, Shape, activations_of
from porter.exports.onnx_graph import shapes_of
from porter.exports.registry import WriteOptions
from porter.formats.programs import build_program
from porter.network import Dense, Layer, Network, Scaling, Transform
from porter.network.graph import KerasNetwork
from reference.precision import Precision
from reference.rounding.bounds import end_to_end
from reference.trace import Program

Array = NDArray[Any]

TESTED_ROWS, DRAWN_ROWS = 8, 64
UNTESTED = "selftest has no rows: from end to end no bound is known for such layers"
"""What a program says that has nothing to be tested with."""
PRECISIONS = ("float64", "float32")
UNTOLD = re.compile(r"""[^ -~]|["'\\`]|\*/|/\*""")
"""What could end a comment or a text in a program, in whichever language."""
MOST_NUMBERS = 2**23
"""Of all arrays together: some 200 MB of text."""
UNHELD = {
    "logistic_table": (
        "an activation that is looked up in a table of 100,000 numbers",
        "give --exact-activations (exact_activations=True) for the function that the table stands for",
    ),
    "table": ("an activation that is looked up in a table", "export to onnx or saved_model"),
    "rational": ("a rational function as an activation", "export to onnx or saved_model"),
}
"""Activations that programs do not have, each as it is called, and what to do."""
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
        sources: what it takes: places among the pieces, or below zero, from -1 on, among the inputs.
        shape: of a row of what it gives.
    """

    name: str
    identifier: str
    layer: Layer | Op
    inputs: int
    outputs: int
    sources: tuple[int, ...]
    shape: tuple[int, ...]


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
        entries: shape of a row of each input, by name.
        results: places of the pieces that are outputs.
    """

    title: str
    identifier: str
    pieces: tuple[Piece, ...]
    precision: str
    golden: GoldenRows
    about: tuple[str, ...]
    entries: Mapping[str, tuple[int, ...]]
    results: tuple[int, ...]

    @property
    def inputs(self) -> int:
        """How many numbers go in."""
        return sum(prod(shape) for shape in self.entries.values())

    @property
    def outputs(self) -> int:
        """How many come out."""
        return sum(self.pieces[at].outputs for at in self.results)

    @property
    def total(self) -> int:
        """How many numbers all layers give."""
        return sum(piece.outputs for piece in self.pieces)

    def place(self, at: int) -> int:
        """Where what a piece gives begins among what all give; of an input, among the inputs."""
        if at < 0:
            sizes = [prod(shape) for shape in self.entries.values()]
            return sum(sizes[: -1 - at])
        return sum(piece.outputs for piece in self.pieces[:at])

    @property
    def sides(self) -> Iterator[str]:
        """What the program says of itself, a line each."""
        yield f"porter-program 1 {self.precision}"
        yield from (f"input {_told(shape)} {name}" for name, shape in self.entries.items())
        yield from (f"layer {_told(piece.shape)} {piece.name}" for piece in self.pieces)
        yield from (f"output {self.pieces[at].name}" for at in self.results)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the arithmetic."""
        return np.dtype(self.precision)

    @property
    def activations(self) -> tuple[str, ...]:
        """Names of the activations that are needed, once each."""
        return tuple(dict.fromkeys(name for piece in self.pieces for name in activations_of(piece.layer)))


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
    pieces, entries, results = _held(network, language)
    _check_size(network, language)
    _check_activations(network, pieces, language)
    for name in (*entries, *(piece.name for piece in pieces)):
        _check_name(network, name, language)
    golden = _golden(network, Precision(precision, precision), options.seed)
    about = tuple(UNTOLD.sub("_", line) for line in _about(network, pieces, precision))
    return Plan(
        UNTOLD.sub("_", network.name), as_identifier(network.name), pieces, precision, golden, about, entries, results
    )


@singledispatch
def _held(network: Network, language: str) -> tuple[tuple[Piece, ...], dict[str, Shape], tuple[int, ...]]:
    """The pieces, the shape of a row of each input by name, and which pieces give the outputs."""
    pieces = tuple(_pieces(network, language))
    return pieces, {"inputs": (network.widths[0],)}, (len(pieces) - 1,)


@_held.register(KerasNetwork)
def _(network: KerasNetwork, language: str) -> tuple[tuple[Piece, ...], dict[str, Shape], tuple[int, ...]]:
    graph = make_graph(network, shapes_of(network))
    pieces = tuple(_graph_pieces(graph))
    names = [piece.name for piece in pieces]
    if not all(name in names for name in graph.outputs):
        raise UnbuildableError(f"{network.name} cannot be written in {language}", found="an input as an output")
    return pieces, dict(graph.inputs), tuple(names.index(name) for name in graph.outputs)


def _told(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape) or "1"


def _graph_pieces(graph: Graph) -> Iterator[Piece]:
    places = {name: -1 - at for at, name in enumerate(graph.inputs)}
    sizes = {name: prod(shape) for name, shape in graph.inputs.items()}
    taken = set[str]()
    for at, (name, op, sources, shape) in enumerate(graph.calls):
        identifier = _unique(as_identifier(name), taken)
        places[name], sizes[name] = at, prod(shape)
        inputs = sum(sizes[source] for source in sources)
        yield Piece(name, identifier, op, inputs, prod(shape), tuple(places[source] for source in sources), shape)


def _unique(identifier: str, taken: set[str]) -> str:
    while identifier.lower() in taken:
        identifier += "_"
    taken.add(identifier.lower())
    return identifier


def _check_size(network: Network, language: str) -> None:
    count = sum(array.size for array in network.source.arrays.values() if array.dtype.kind == "f")
    if count > MOST_NUMBERS:
        raise UnbuildableError(
            f"{network.name} cannot be written in {language}", found=f"{count:,} numbers",
            expected=f"at most {MOST_NUMBERS:,}, of which a compiler makes a program in minutes",
            remedy="export to onnx or saved_model",
        )  # fmt: skip


def _check_name(network: Network, name: str, language: str) -> None:
    """A name comes from a file that nobody vouches for, and goes into code."""
    if UNTOLD.search(name) or not name.strip():
        raise UnbuildableError(
            f"{network.name} cannot be written in {language}", found=f"a layer called {name!r}",
            expected="a name of printable characters without quotes, as Keras gives",
            remedy="rename the layer in the legacy file",
        )  # fmt: skip


def _check_activations(network: Network, pieces: tuple[Piece, ...], language: str) -> None:
    for piece in pieces:
        for name in UNHELD.keys() & set(activations_of(piece.layer)):
            found, remedy = UNHELD[name]
            raise UnbuildableError(
                f"{piece.name} of {network.name} cannot be written in {language}",
                found=found,
                expected="another activation",
                remedy=remedy,
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
    for at, layer in enumerate(network.layers):
        _check_held(network, layer, language)
        outputs = layer.width[1]
        identifier = _unique(as_identifier(layer.name), taken)
        yield Piece(layer.name, identifier, layer, width, outputs, (at - 1,), (outputs,))
        width = outputs


def _check_held(network: Network, layer: Layer, language: str) -> None:
    if isinstance(layer, Dense) and layer.activation.parameters.get("axis", -1) != -1:
        raise UnbuildableError(
            f"{layer.name} of {network.name} cannot be written in {language}",
            found=f"{layer.activation} over another axis than the units", expected="one row at a time",
        )  # fmt: skip


def _golden(network: Network, precision: Precision, seed: int) -> GoldenRows:
    program, rng = build_program(network), np.random.default_rng(seed)
    given = _tested(network, program, rng)
    feeds = {n: each.astype(np.float32).astype(np.float64) for n, each in zip(program.inputs, given, strict=True)}
    outputs = _side_by_side(program(feeds))
    try:
        bounds = end_to_end(program, feeds, precision, with_platform=False)
        allowed = _side_by_side([bounds[name] for name in program.outputs])
    except KeyError:  # a step without a bound: the self-test has nothing to hold against
        allowed = np.full(outputs.shape, np.inf)
    usable = np.isfinite(outputs).all(axis=1) & np.isfinite(allowed).all(axis=1)
    rows = _side_by_side(list(feeds.values()))
    # The last rows are random ones inside the range.
    picked = np.flatnonzero(usable)[-TESTED_ROWS:]
    return GoldenRows(rows[picked], outputs[picked], allowed[picked])


@singledispatch
def _tested(network: Network, program: Program, rng: np.random.Generator) -> list[Array]:
    """Rows for each input, of which the last that no layer refuses are tested with."""
    return draw_inputs(network, program, DRAWN_ROWS, rng)


@_tested.register(KerasNetwork)
def _(network: KerasNetwork, program: Program, rng: np.random.Generator) -> list[Array]:
    # Few of them: a bound from end to end costs as much as all layers, several times.
    return [each[-TESTED_ROWS:] for each in draw_inputs(network, program, DRAWN_ROWS, rng)]


def _side_by_side(arrays: Sequence[Array]) -> Array:
    """(rows, ...) each as one (rows, numbers)."""
    return np.concatenate([np.asarray(each, np.float64).reshape(len(each), -1) for each in arrays], axis=1)


def _about(network: Network, pieces: tuple[Piece, ...], precision: str) -> Iterator[str]:
    source = network.source
    yield f"{network.name}, of {source.path.name} ({network.family}, sha256 {source.sha256})"
    yield f"computes in {precision}; layers: " + ", ".join(f"{piece.name} ({piece.outputs})" for piece in pieces)
    yield from _about_ends(network, pieces)


@singledispatch
def _about_ends(network: Network, pieces: tuple[Piece, ...]) -> Iterator[str]:
    """What is known of the inputs and outputs."""
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


@_about_ends.register(KerasNetwork)
def _(network: KerasNetwork, pieces: tuple[Piece, ...]) -> Iterator[str]:
    del pieces
    for each in network.inputs:
        yield f"input {each.name}: {' x '.join(map(str, each.shape or ()))}, the last axis running fastest"
