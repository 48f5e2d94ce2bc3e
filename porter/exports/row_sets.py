"""What a traced port is fed with: ordinary rows, words, rows beyond the documented range, and batches of few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.domain import port_limits
from porter.examination.probes import FAR, far_rows
from porter.exports.feeds import draw_inputs, enlarge, every_word
from porter.exports.walk import Feeds, as_feeds, spread_rows
from porter.formats.samples import Samples
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.ports.traced import TracedPort
from reference.operations.transforms import Transform
from reference.trace import Program

Array = NDArray[Any]
Named = tuple[str, list[Array], bool]

ORDINARY = "inputs of the network"
BEYOND = "rows beyond the documented range"
WORDS = "rows of every word"
SIZES = (1, 2, 3)
SPREAD_ROWS = 512
LARGER, MUCH_LARGER = 2.0**8, 2.0**30
"""Times rows of a network without a documented range: such as pixels are, and further than anybody would limit them."""


def draw_sets(
    network: Network, program: Program, port: TracedPort, golden: Samples | None, rng: np.random.Generator, rows: int
) -> dict[str, tuple[Feeds, bool]]:
    """Rows by what they are, and whether they lie far outside of the network's range."""
    drawn = draw_inputs(network, program, rows, rng, golden)
    sets: dict[str, tuple[Feeds, bool]] = {ORDINARY: (as_feeds(program.inputs, drawn, port.precision), False)}
    for name, more, is_far in _further(network, program, port, drawn, rng):
        sets[name] = as_feeds(program.inputs, more, port.precision), is_far
    ordinary = sets[ORDINARY][0]
    for size in SIZES:
        sets[f"{ORDINARY} in a batch of {size}"] = {name: each[-size:] for name, each in ordinary.items()}, False
    return sets


@singledispatch
def _further(
    network: Network, program: Program, port: TracedPort, drawn: Sequence[Array], rng: np.random.Generator
) -> Iterator[Named]:
    """What else a port is fed with: the name of a set, rows for each input, and whether they lie far outside."""
    del network
    beyond, far = _wide_rows(program, port, drawn[0].shape[1], rng)
    for name, wide in ((BEYOND, beyond), (FAR, far)):
        if len(wide):
            yield name, [wide], name == FAR


@_further.register(KerasNetwork)
def _(
    network: KerasNetwork, program: Program, port: TracedPort, drawn: Sequence[Array], rng: np.random.Generator
) -> Iterator[Named]:
    del port, rng
    for number, words in enumerate(every_word(network, program, drawn), start=1):
        yield WORDS if number == 1 else f"{WORDS}, part {number}", words, False
    for name, times in ((BEYOND, LARGER), (FAR, MUCH_LARGER)):
        larger = enlarge(network, program, drawn, times)
        if larger:  # which saturate what they reach: their bounds are narrow, and say little
            yield name, larger, True


def _wide_rows(program: Program, port: TracedPort, width: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows beyond the range, and rows of every magnitude that the port's format holds; only what a transform takes."""
    beyond = spread_rows(port_limits(program, outside=False), width, SPREAD_ROWS, rng)
    far = far_rows(width, port.precision.format.largest / 2.0**40, rng)
    first = program.steps[0]
    if isinstance(first, Transform):
        beyond, far = (each[np.isfinite(first(each).outputs).all(axis=1)] for each in (beyond, far))
    return beyond, far
