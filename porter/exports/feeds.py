"""Rows for each input of a network whose port is none of Keras'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.domain import documented, network_inputs, port_limits
from porter.examination.graphs.masked_rows import masked_inputs, with_masks
from porter.examination.probes import draw_rows
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.network.words import words_of
from reference.limits import TooLargeError
from reference.rounding.recurrent_steps import directions
from reference.trace import Program

Array = NDArray[Any]

MOST_ROWS, LEAST_ROWS = 64, 4
MOST_NUMBERS = 2**22
"""That all layers compute for all rows together."""
SCALES = (0.1, 1.0, 4.0)
PIXELS = 128
LARGE_ROWS = 8
LENGTH = 8
"""Of an axis that the file leaves open."""


@singledispatch
def draw_inputs(
    network: Network, program: Program, rows: int, rng: np.random.Generator, golden: Any = None
) -> list[Array]:
    """Rows for each input: of a chain in the range that its program documents, or else in the one the network says.

    Of a graph as many as can be held, recorded ones or random ones at several scales, and whole numbers where words are
    looked up.

    Args:
        network: as read.
        program: its forward pass.
        rows: how many random ones at least, of a chain.
        rng: draws them.
        golden: golden samples, which come first; or None.

    Raises:
        PortError: another number of recorded inputs; rows that the network does not take.
    """
    drawn = network_inputs(program, rows, rng, False, golden)
    if network.input_range is None or port_limits(program, outside=False) is not None:
        return [drawn]
    inside = draw_rows(network.input_range, network.widths[0], rows, rng)
    return [inside if golden is None else np.concatenate([drawn[: len(golden.inputs[0])], inside])]


@draw_inputs.register(KerasNetwork)
def _(network: KerasNetwork, program: Program, rows: int, rng: np.random.Generator, golden: Any = None) -> list[Array]:
    given: Sequence[Array] | None = None if golden is None else golden.inputs
    if given is not None and len(given) != len(network.inputs):
        raise PortError(network.name, found=f"{len(given)} recorded inputs", expected=f"{len(network.inputs)}")
    shapes = [tuple(LENGTH if side is None else side for side in each.shape or (LENGTH,)) for each in network.inputs]
    if given is not None:
        shapes = [np.shape(each)[1:] for each in given]
    held = int(np.clip(MOST_NUMBERS // _numbers(program, shapes), LEAST_ROWS, MOST_ROWS))
    words = words_of(network)
    drawn = [
        _draw(each, shape, held, words.get(each.name), rng) for each, shape in zip(network.inputs, shapes, strict=True)
    ]
    drawn = drawn if words else [documented(network.input_range, each) for each in drawn]
    by_name = dict(zip((each.name for each in network.inputs), drawn, strict=True))
    drawn = list(with_masks(by_name, masked_inputs(network), recorded=False).values())
    if given is not None:
        drawn = [np.concatenate([np.asarray(own, np.float64), more]) for own, more in zip(given, drawn, strict=True)]
    _check(network, program, drawn)
    return drawn


def enlarge(network: KerasNetwork, program: Program, drawn: Sequence[Array], times: float) -> list[Array]:
    """The last of some rows so many times as large; none where every input is a word or another whole number.

    States from which a recurrent layer begins stay as they are: an activation gives those.

    Args:
        network: as read.
        program: its forward pass.
        drawn: as ``draw_inputs`` gives them.
        times: how large.
    """
    kept = {*words_of(network), *(name for step in program.steps if any(directions(step)) for name in step.inputs[1:])}
    is_real = [each.name not in kept and "int" not in each.dtype for each in network.inputs]
    if not any(is_real):
        return []
    return [rows[-LARGE_ROWS:] * (times if real else 1.0) for rows, real in zip(drawn, is_real, strict=True)]


def every_word(network: KerasNetwork, program: Program, drawn: Sequence[Array]) -> Iterator[list[Array]]:
    """Rows in which every word of every table stands, for a row of a table shows nowhere else; none without words.

    Args:
        network: as read.
        program: its forward pass.
        drawn: as ``draw_inputs`` gives them, for the inputs that take no words.

    Yields:
        As many rows as keep what all layers compute within ``MOST_NUMBERS``.
    """
    words = words_of(network)
    counts = [words.get(each.name, 0) for each in network.inputs]
    rows = max((-(-count // max(each[0].size, 1)) for count, each in zip(counts, drawn, strict=True)), default=0)
    if not any(counts):
        return
    whole = [
        np.resize(np.arange(count) if count else each, (rows, *each.shape[1:])).astype(np.float64)
        for count, each in zip(counts, drawn, strict=True)
    ]
    most = max(LEAST_ROWS, MOST_NUMBERS // _numbers(program, [each.shape[1:] for each in drawn]))
    for start in range(0, rows, most):
        yield [each[start : start + most] for each in whole]


def _numbers(program: Program, shapes: Sequence[tuple[int, ...]]) -> int:
    """How many numbers all layers compute for one row; of a row that does not fit, those of the row."""
    zeros = {name: np.zeros((1, *shape)) for name, shape in zip(program.inputs, shapes, strict=True)}
    sizes = [each.size for each in zeros.values()]
    with suppress(ValueError, IndexError, TypeError, ArithmeticError, MemoryError, TooLargeError):
        # What does not fit is told once the rows are drawn.
        sizes += [np.size(trace.outputs) for trace in program.trace(zeros).values()]
    return max(sum(sizes), 1)


def _draw(each: Any, shape: tuple[int, ...], rows: int, words: int | None, rng: np.random.Generator) -> Array:
    if words is not None:
        return rng.integers(0, words, (rows, *shape)).astype(np.float64)
    if "int" in each.dtype:
        return rng.integers(0, PIXELS, (rows, *shape)).astype(np.float64)
    values = rng.standard_normal((rows, *shape))
    values *= rng.choice(SCALES, rows).reshape(-1, *(1 for _ in shape))
    values[0] = 0.0
    return values


def _check(network: KerasNetwork, program: Program, drawn: Sequence[Array]) -> None:
    try:
        program.trace({name: rows[:1] for name, rows in zip(program.inputs, drawn, strict=True)})
    except (ValueError, IndexError, TypeError, ArithmeticError, MemoryError, TooLargeError) as error:
        raise PortError(
            f"{network.name} takes none of the rows that were drawn",
            found=str(error),
            expected="an input of a length that the file says",
            remedy="give samples of a length that all layers take",
        ) from error
