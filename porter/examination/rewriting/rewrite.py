"""A port judged as what it is where it computes the file's steps by another program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.case import Judged
from porter.examination.compare import Comparison, merge_comparisons
from porter.examination.judging import cast, is_written, judge_values, probed
from porter.examination.pairing import Pair, Pairing
from porter.examination.probes import layer_rows
from porter.examination.rewriting.chains import Link, find_chain
from porter.examination.rewriting.spans import Pieces
from porter.examination.steadiness import trace_batches
from porter.examination.suspect import Stored
from porter.ports.blocks import Atom
from porter.ports.keras.graph import PortGraph
from porter.ports.port import Port
from reference.composed.forms import equivalent_forms
from reference.composed.rewriting import Rescaled, Units, coarsest_unit, in_blocks, regauge
from reference.operations.dense import Dense
from reference.precision import Precision
from reference.trace import Program

Array = NDArray[Any]
OnProbes = Callable[[Judged, Comparison, np.random.Generator, Array, Callable[[Array], Array]], Judged]
Traces = Sequence[tuple[str, dict[int, Array]]]

ORDINARY = 64
"""Of the rows that the port hands to a step, how many say what is ordinary for it."""
DIGITS = 8
"""Units by which a factor may be off that was read off some hundred outputs, whose terms may cancel."""
RIGHT = 0.5
"""Share of the elements with which a step that a mistake stands in is still known as that step."""


@dataclass(frozen=True)
class Rewritten:
    """A port along its own way.

    Attributes:
        judged: every step of the program.
        pairing: the same steps with what computes them.
        atoms: the port's pieces.
    """

    judged: tuple[Judged, ...]
    pairing: Pairing
    atoms: tuple[Atom, ...]


def rewrite(
    program: Program, graph: Port, judged: Sequence[Judged], inputs: Array, on_probes: OnProbes
) -> Rewritten | None:
    """The steps judged along the port's own way from its input to its output.

    Args:
        program: the steps to be judged.
        graph: the port.
        judged: the same steps, judged layer against layer.
        inputs: (rows, n) of the network.
        on_probes: judges one step on probes of its own, which it brings to what the port can reach.

    Returns:
        None where that says nothing better than ``judged``.
    """
    rng = np.random.default_rng(0)
    atoms = graph.pieces
    declared = [atom.precision for atom in atoms if atom.precision is not None and atom.kind != "identity"]
    coarsest = max(declared, key=lambda each: each.format.unit, default=Precision("float32", "float32"))
    rows = cast(inputs[-256:], graph.input_dtypes[0])
    chain = _chain_of_twin(program, graph, coarsest, rows) if coarsest.is_short else None
    if chain is None:
        chain = find_chain(program.steps, Pieces(atoms, coarsest), rows, rng)
    if chain is None:
        return None
    traces = trace_batches(graph, inputs)
    found = tuple(one for link in chain for one in _judge(link, traces, on_probes))
    if not _is_better(found, judged):
        return None
    return Rewritten(found, Pairing(tuple(one.pair for one in found)), atoms)


def _chain_of_twin(program: Program, graph: Any, coarsest: Precision, rows: Array) -> list[Link] | None:
    """The port's way as it shows where its layers compute in float32: 16 bits hide which unit is which."""
    if not isinstance(graph, PortGraph):
        return None
    twin, atoms = graph.in_float32(), graph.pieces
    pieces = Pieces(twin.pieces, Precision("float32", "float32"))
    if [atom.key for atom in pieces.atoms] != [atom.key for atom in atoms]:
        return None
    dtypes = {part[2] for atom in atoms if atom.arrays is not None for part in atom.arrays()}
    held_in = next((each for each in sorted(dtypes) if each in ("bfloat16", "float16")), "float64")
    chain = find_chain(program.steps, pieces, rows, np.random.default_rng(0), held_in=held_in)
    if chain is None and held_in != "float64":
        pieces = replace(pieces, default=coarsest)
        chain = find_chain(program.steps, pieces, rows, np.random.default_rng(0))
    if chain is None:
        return None
    keys, own = [atom.key for atom in atoms], Pieces(atoms, coarsest)
    ends = [(keys.index(link.block.atoms[0].key), keys.index(link.block.leaving) + 1) for link in chain]
    return [replace(link, block=own.span(*end)) for link, end in zip(chain, ends, strict=True)]


def _judge(link: Link, traces: Traces, on_probes: OnProbes) -> Iterator[Judged]:
    """A row for each step of a link: the others are folded into the one that stands for all."""
    owner = link.owner
    for step in link.steps:
        if step is owner:
            yield _best(link, traces, on_probes)
        else:
            yield Judged(step, f"folded into {owner.name}", pair=Pair(step, None))


def _best(link: Link, traces: Traces, on_probes: OnProbes) -> Judged:
    best: Judged | None = None
    for step, written in _ways(link):
        one = _judge_as(step, link, traces, on_probes)
        if written is not step and one.verdict == "parity" and not _is_written(written, link):
            continue
        if one.verdict == "parity":
            return one
        best = one if best is None or one.comparison.exceeding < best.comparison.exceeding else best
    assert best is not None
    return best


def _is_written(step: Dense, link: Link) -> bool:
    """Whether a layer that agrees in another form is written so; one whose arrays are compared need not show it."""
    block, own = link.block, Stored.of(step)
    probes = layer_rows(own.kernel, own.bias, np.random.default_rng(0), None)
    return block.dense is not None or is_written(step, probed(block.run, probes, block.precision), block.precision)


def _ways(link: Link) -> Iterator[tuple[Any, Any]]:
    """The step on the port's units in each way in which its port may have written it, and the step itself."""
    if not isinstance(link.step, Dense):
        yield link.step, link.step
        return
    precision = link.block.precision
    unit = coarsest_unit(precision)
    if link.block.dense is None:  # factors were read off outputs, to about the digits that those have
        unit = max(unit, precision.format.unit * (1 if precision.is_short else DIGITS))
    for step in regauge(link.step, link.entering, link.leaving, unit):
        named = replace(step, name=link.owner.name)
        yield named, named
        if not isinstance(named, Rescaled):
            yield from ((form, named) for form in equivalent_forms(named))
        together = max(len(atom.names) for atom in link.block.atoms)
        if together > 1 and precision.is_short:
            blocks = in_blocks(named, together, precision.format.unit)
            yield blocks, blocks


def _judge_as(step: Any, link: Link, traces: Traces, on_probes: OnProbes) -> Judged:
    block = link.block
    fed = block.fed(traces[0][1][block.entry])
    found = merge_comparisons(
        judge_values(step, block.fed(tensors[block.entry]), tensors[block.leaving], block.precision, probes)
        for probes, tensors in traces
    )
    one = Judged(step, "uncompared", pair=Pair(link.owner, block), rewritten=_describe(step, link))
    return on_probes(one, found, np.random.default_rng(0), fed[-ORDINARY:], link.entering.reach)


def _describe(step: Any, link: Link) -> tuple[str, ...]:
    """In words what is other than in the file."""
    merged = [other.name for other in link.steps if isinstance(other, Dense) and other is not link.owner]
    parts = [f"{', '.join(merged)} is multiplied into it"] if merged else []
    own, width = getattr(step, "activation", None), link.step.width[1] if isinstance(link.step, Dense) else 0
    if own is not None and own != link.owner.activation:
        parts.append(f"{link.owner.activation} is written as {own}, and the arrays on both sides make up for it")
    parts += _describe_units(link.leaving, width) if width else []
    if len(link.block.atoms) and any(len(atom.names) > 1 for atom in link.block.atoms if atom.kind != "identity"):
        parts.append(f"{', '.join(link.block.names)} together compute it")
    return tuple(parts)


def _describe_units(units: Units, width: int) -> list[str]:
    if units.is_identity:
        return []
    real = units.scale != 0
    moved = int(np.count_nonzero((units.order != np.arange(len(units.order)))[real]))
    flipped = int(np.count_nonzero(units.scale < 0))
    scaled = int(np.count_nonzero(real & (np.abs(units.scale) != 1)))
    counts = (
        (moved, "units stand elsewhere"),
        (flipped, "units have the opposite sign"),
        (scaled, "units are multiplied by a factor"),
        (int(np.count_nonzero(~real)), "units are constant, and none of the file's"),
        (max(int(np.count_nonzero(real)) - width, 0), "units come twice"),
    )
    said = " and ".join(f"{count} {what}" for count, what in counts if count)
    return [f"{said}, which the next layer makes up for"] if said else []


def _is_better(found: Sequence[Judged], judged: Sequence[Judged]) -> bool:
    """Whether every step is right now, or more of the port is, and each step is known as what it is."""
    if all(_rightness(one) == 1 for one in found):
        return True
    known = all(_rightness(one) >= RIGHT for one in found)
    return known and sum(map(_rightness, found)) > sum(map(_rightness, judged)) + RIGHT


def _rightness(one: Judged) -> float:
    """1 for a step at parity or folded into one that is; else the share of its elements within the bound."""
    if one.verdict == "parity" or one.verdict.startswith("folded"):
        return 1.0
    found = one.comparison
    return min(1 - found.exceeding / found.elements, 0.999) if found.elements else 0.0
