"""A file that computes in whole numbers: how far from the reference it is, which no rounding bound can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.domain import network_inputs, port_limits
from porter.exports.feeds import draw_inputs
from porter.exports.walk import as_feeds
from porter.formats.programs import build_program
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.ports.file_graph import FileGraph
from porter.reading.of_network import reading_of
from porter.report.model import LayerRow
from porter.report.report import Report
from porter.verdict.assemble import Judgement, assemble
from porter.verdict.provenance import verification
from reference.precision import Precision
from reference.rounding.bounds import end_to_end
from reference.trace import Program

Array = NDArray[Any]

CORNERS = 256
"""Rows of the least and the greatest of each input, drawn at random."""
BOUND_ROWS = 256


@dataclass(frozen=True)
class Shares:
    """Errors as shares of what an output ranges over.

    Attributes:
        largest: of any output on any row.
        median: over the outputs, of the largest of each.
        where: number of the output with the largest.
    """

    largest: float
    median: float
    where: int


def verify_approximate(
    network: Network, file: FileGraph, *, golden: Any = None, seed: int = 0, rows: int = 2000, path: Any = None
) -> Report:
    """Measure a file of whole numbers from end to end: an approximation, and never called parity.

    Args:
        network: the legacy network.
        file: which computes in whole numbers.
        golden: golden samples, or None.
        seed: of the inputs.
        rows: how many random ones in the documented range, beside its corners.
        path: of the file, for the report.

    Returns:
        The report: "inconclusive", with the errors as shares of what each output ranges over.

    Raises:
        PortError: outputs of other shapes.
    """
    program = build_program(network)
    inputs = _inputs(network, program, golden, np.random.default_rng(seed), rows)
    feeds = as_feeds(program.inputs, inputs)
    shares = _measure(file, program, feeds)
    count = len(next(iter(feeds.values())))
    told = (
        f"an approximation, {file.approximates}, and no parity: on {count:,} inputs its outputs are off by up to "
        f"{shares.largest:.3%} of what an output ranges over (output {shares.where}), by {shares.median:.3%} in the "
        f"median of the outputs{_beside(program, feeds)}"
    )
    judgement = Judgement(
        rows=[LayerRow(step.name, (), "uncompared", where="computed in whole numbers") for step in program.steps],
        findings=(),
        is_settled=False,
        note=f"{file.name}, run by {file.runtime} as a whole: {told}",
        notes=(told, *file.notes),
        link="export",
    )
    provenance = verification(network, port=path, seed=seed, placement=None, rows=count) | {"runtime": file.runtime}
    return assemble(judgement, reading_of(network, program, golden), None, provenance, has_samples=False)


@singledispatch
def _inputs(network: Network, program: Program, golden: Any, rng: np.random.Generator, rows: int) -> Sequence[Array]:
    """Rows for each input: of a chain those inside the documented range, and its corners."""
    drawn = network_inputs(program, rows, rng, False, golden)
    limits = port_limits(program, outside=False)
    if limits is None:
        return [drawn]
    low, high = np.asarray(limits).T
    inside = np.all((drawn >= low) & (drawn <= high), axis=1)
    corners = np.where(rng.random((CORNERS, len(low))) < 0.5, low, high)
    return [np.concatenate([drawn[inside], corners])]


@_inputs.register(KerasNetwork)
def _(network: KerasNetwork, program: Program, golden: Any, rng: np.random.Generator, rows: int) -> Sequence[Array]:
    return draw_inputs(network, program, rows, rng, golden)


def _measure(file: FileGraph, program: Program, feeds: dict[str, Array]) -> Shares:
    found, wanted = file.call(list(feeds.values())), program(feeds)
    if len(found) != len(wanted) or any(a.size != b.size for a, b in zip(found, wanted, strict=True)):
        raise PortError(
            f"the port {file.name}", found=f"outputs of shape {', '.join(str(each.shape) for each in found)}",
            expected=", ".join(str(each.shape) for each in wanted),
        )  # fmt: skip
    shares = []
    for actual, expected in zip(found, wanted, strict=True):
        flat = np.asarray(expected, np.float64).reshape(len(expected), -1)
        error = np.abs(actual.astype(np.float64).reshape(flat.shape) - flat)
        span = np.ptp(flat, axis=0)
        shares.append(np.max(error, axis=0)[span > 0] / span[span > 0])
    every = np.concatenate(shares)
    if not every.size:
        raise PortError(f"the port {file.name}", found="outputs that are the same for all inputs")
    return Shares(float(np.max(every)), float(np.median(every)), int(np.argmax(every)))


def _beside(program: Program, feeds: dict[str, Array]) -> str:
    """What rounding in float32 could come to, for comparison."""
    few = {name: each[-BOUND_ROWS:] for name, each in feeds.items()}
    try:
        allowed = end_to_end(program, few, Precision("float32", "float32"))
    except KeyError:
        return ""
    shares = []
    for name, expected in zip(program.outputs, program(few), strict=True):
        flat = np.asarray(expected, np.float64).reshape(len(expected), -1)
        span = np.ptp(flat, axis=0)
        bound = np.max(allowed[name].reshape(flat.shape), axis=0)
        shares.append(bound[span > 0] / span[span > 0])
    largest = float(np.max(np.concatenate(shares), initial=0.0))
    return f"; rounding in float32 alone could explain {largest:.3%} at most" if np.isfinite(largest) else ""
