"""A port that is any function of arrays: it does not show its layers, and is judged from end to end alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.evidence import word_evidence
from porter.errors import PortError, SamplesError, first_line
from porter.examination.compare import Comparison, compare_outputs, merge_comparisons
from porter.examination.domain import network_inputs
from porter.formats.programs import build_program
from porter.formats.samples import Samples, make_samples
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.reading.check import Reading
from porter.reading.of_network import reading_of
from porter.report.model import Finding, LayerRow
from porter.report.report import Report
from porter.verdict.assemble import Judgement, assemble
from porter.verdict.provenance import verification
from reference.precision import Precision
from reference.rounding.bounds import end_to_end
from reference.trace import Program

Array = NDArray[Any]
Function = Callable[..., Any]

HIDDEN = "the port does not show its layers"
FEW = 64
"""Rows that are held against runs of the formula."""
ARITHMETICS = (Precision("float64", "float64"), Precision("float32", "float32"))
"""In which a port may compute, the finest first."""


@dataclass(frozen=True)
class Whole:
    """A function beside the program, on the same rows.

    Attributes:
        comparison: of the outputs with the end-to-end bound.
        precision: the finest arithmetic whose bound holds; the coarsest where none does.
        is_steady: whether the same rows gave the same bits again.
        outputs: (rows, ...) what it gave on all rows, for each output.
        reason: why no bound could be held against it; empty where it could.
    """

    comparison: Comparison
    precision: Precision
    is_steady: bool
    outputs: Sequence[Array]
    reason: str = ""


def verify_function(
    network: Network, function: Function, *, golden: Samples | None = None, seed: int = 0, rows: int = 2000
) -> Report:
    """Judge a function from end to end.

    Args:
        network: the legacy network.
        function: takes (rows, ...) for each input of the network, float64 that float32 holds, and gives (rows, ...)
            for each output: an array, or a sequence of them.
        golden: golden samples, or None.
        seed: of the inputs.
        rows: how many at least, where the network is a chain.

    Returns:
        The report: "mismatch" where the outputs lie outside the end-to-end bound, else "inconclusive", for no layer was
        compared.

    Raises:
        PortError: a function that cannot be called on such rows, or gives another number of outputs.
    """
    program, name = build_program(network), getattr(function, "__name__", type(function).__name__)
    feeds = _feeds(network, program, golden, np.random.default_rng(seed), rows)
    whole = hold_function(program, function, feeds, name)
    # Its outputs as if they were samples: runs of the formula show how close a right evaluation comes.
    own = _as_samples(network, program, feeds, whole)
    count, told = len(next(iter(feeds.values()))), f"{_told(whole)}; {_closeness(own)}"
    judgement = Judgement(
        rows=[LayerRow(step.name, (), "uncompared", where=HIDDEN) for step in program.steps],
        findings=_findings(whole, own, program.outputs[-1], name),
        is_settled=False,
        note=f"from end to end on {count:,} inputs: {told}",
        notes=(f"{HIDDEN}: its outputs alone were compared, from end to end: {told}", *getattr(function, "notes", ())),
    )
    provenance = verification(network, port=None, seed=seed, placement=None, rows=count) | {"port": name}
    return assemble(judgement, reading_of(network, program, golden), None, provenance, has_samples=False)


def hold_function(program: Program, function: Function, feeds: Mapping[str, Array], name: str) -> Whole:
    """A function's outputs beside the program's, on all rows at once, on one alone, and on the same again.

    Args:
        program: the legacy forward pass.
        function: as ``verify_function`` takes it.
        feeds: (rows, ...) by input.
        name: of the function, for errors.
    """
    found = _call(function, feeds, program, name)
    again = _call(function, feeds, program, name)
    is_steady = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, again, strict=True))
    one = {key: rows[-1:] for key, rows in feeds.items()}
    alone = _call(function, one, program, name)
    comparison = Comparison()
    for precision in ARITHMETICS:
        try:
            comparison = merge_comparisons(
                (*_compare(program, feeds, found, precision), *_compare(program, one, alone, precision))
            )
        except KeyError as error:
            return Whole(Comparison(), precision, is_steady, found, str(error.args[0]))
        if not comparison.exceeding:
            return Whole(comparison, precision, is_steady, found)
    return Whole(comparison, ARITHMETICS[-1], is_steady, found)


def _compare(
    program: Program, feeds: Mapping[str, Array], found: Sequence[Array], precision: Precision
) -> list[Comparison]:
    rows = {name: np.asarray(values, np.float64) for name, values in feeds.items()}
    allowed, count = end_to_end(program, rows, precision), len(next(iter(rows.values())))
    probes = "inputs of the network" + (" in a batch of 1" if count == 1 else "")
    result = []
    for name, wanted, actual in zip(program.outputs, program(rows), found, strict=True):
        shaped = actual.reshape(wanted.shape) if actual.size == wanted.size else actual
        result.append(compare_outputs(np.asarray(wanted, np.float64), shaped, allowed[name], probes=probes))
    return result


def _call(function: Function, feeds: Mapping[str, Array], program: Program, name: str) -> list[Array]:
    """The outputs as arrays.

    Raises:
        PortError: the function raises, or gives something else than so many arrays of rows of numbers.
    """
    count = len(next(iter(feeds.values())))
    try:
        with redirect_stdout(sys.stderr):  # standard output is the report's
            given = function(*(rows.copy() for rows in feeds.values()))
        is_rows = len(program.outputs) == 1 != len(given) == count if isinstance(given, list | tuple) else True
        arrays = [_numbers(each) for each in ([given] if is_rows else given)]
    except Exception as error:  # somebody's own function may raise anything
        shapes = ", ".join(str(rows.shape) for rows in feeds.values())
        raise PortError(
            f"the port {name}",
            found=f"on rows of shape {shapes} it raises {type(error).__name__}: {first_line(error)}",
            expected="a function of arrays of rows that gives arrays of rows",
        ) from error  # fmt: skip
    if len(arrays) != len(program.outputs):
        raise PortError(f"the port {name}", found=f"{len(arrays)} outputs", expected=f"{len(program.outputs)}")
    if any(array.ndim == 0 for array in arrays):
        raise PortError(
            f"the port {name}",
            found="a single number, or nothing, for all rows",
            expected="a function of arrays of rows that gives arrays of rows",
            remedy="return the outputs",
        )
    return arrays


def _numbers(given: Any) -> Array:
    """What a function gave as float64.

    Raises:
        TypeError: text, complex numbers, or numbers that are masked, of which a part would be passed over.
    """
    if np.ma.is_masked(given):
        raise TypeError("it gives masked numbers")
    array = np.asarray(given)
    if array.dtype.kind in "cSU":
        raise TypeError(f"it gives {array.dtype.name}")
    return array.astype(np.float64)


def _feeds(
    network: Network, program: Program, golden: Samples | None, rng: np.random.Generator, rows: int
) -> dict[str, Array]:
    """Rows that float32 holds, so that a port of either precision gets the same numbers."""
    return {
        name: values.astype(np.float32).astype(np.float64) if np.issubdtype(values.dtype, np.floating) else values
        for name, values in _drawn(network, program, golden, rng, rows).items()
    }


@singledispatch
def _drawn(
    network: Network, program: Program, golden: Samples | None, rng: np.random.Generator, rows: int
) -> dict[str, Array]:
    del network
    return {program.inputs[0]: network_inputs(program, rows, rng, False, golden)}


@_drawn.register(KerasNetwork)
def _(
    network: KerasNetwork, program: Program, golden: Samples | None, rng: np.random.Generator, rows: int
) -> dict[str, Array]:
    from porter.examination.graphs.feeds import draw_feeds
    from porter.ports.keras.graph import read_graph
    from porter.ports.keras.graph_model import build_graph

    del program, rows
    given = None if golden is None else golden.inputs
    return draw_feeds(network, read_graph(build_graph(network)), given, rng)


def _few(arrays: Iterable[Array]) -> tuple[Array, ...]:
    return tuple(array[-FEW:] for array in arrays)


def _as_samples(network: Network, program: Program, feeds: Mapping[str, Array], whole: Whole) -> Reading | None:
    """What the outputs would say of the reading, were they samples; None of what no samples can be."""
    try:
        return reading_of(network, program, make_samples(_few(feeds.values()), _few(whole.outputs), network))
    except SamplesError:
        return None


def _closeness(own: Reading | None) -> str:
    if own is None or own.fit is None:
        return "they are not such outputs as the network can give"
    arithmetic = f"{own.fit.arithmetic.name} arithmetic"
    if own.fit.is_explained:
        return f"they are as close to the reference as {arithmetic} comes"
    return f"they lie {own.fit.factor:.3g} times as far from the reference as {arithmetic} explains"


def _findings(whole: Whole, own: Reading | None, layer: str, name: str) -> tuple[Finding, ...]:
    remedy = "a function shows no layers, so that nothing in it can be named: verify a keras.Model"
    found = []
    if not whole.is_steady:
        message = f"{layer}: {name} gives other numbers for the same rows when it is called again"
        found.append(Finding("call.unsteady", layer, (), message, "", "take out what is random or keeps a state"))
    if whole.comparison.exceeding:
        message = f"{layer}: the outputs of {name} differ by more than rounding explains from end to end"
        evidence = word_evidence(whole.comparison, 0, None)
        found.append(Finding("unexplained", layer, (), message, evidence, remedy))
    elif own is None or own.verdict == "contradicted":
        message = f"{layer}: the outputs of {name} are not those of the legacy formula, as far as runs of it differ"
        found.append(Finding("unexplained", layer, (), message, _closeness(own), remedy))
    return tuple(found)


def _told(whole: Whole) -> str:
    found = whole.comparison
    if whole.reason:
        return f"no bound could be held against the outputs: {whole.reason}"
    if found.exceeding:
        return f"{found.exceeding:,} of {found.elements:,} elements lie outside the end-to-end bound"
    if not found.elements:
        return "no bound could be held against the outputs"
    return (
        f"{found.elements:,} elements lie within the end-to-end bound of {whole.precision.compute}, which is "
        f"{found.coarseness:.2g} of what the outputs range over on average"
    )
