"""One legacy step against one piece of the port, both fed with the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from porter.errors import first_line
from porter.examination.compare import Comparison, compare_outputs, merge_comparisons
from porter.examination.probes import FAR, blocks
from porter.examination.threads import PROCESSORS, threads
from reference.operations.dense import Dense
from reference.operations.elementwise import Elementwise
from reference.operations.embedding import Embedding
from reference.operations.masking import Mask, Masking
from reference.operations.scaling import Scaling
from reference.operations.timewise import TimewiseDense
from reference.precision import Precision, round_to
from reference.rounding.bounds import allowed_error, inevitable_overflow, platform_allowance
from reference.trace import LayerTrace

Array = NDArray[Any]
Run = Callable[[Array], Array]

BLOCK_ROWS, LEAST_BLOCK, BLOCK_NUMBERS = 4096, 64, 2**21
"""The most and the fewest rows that the port computes at a time, and how many numbers they may be in between."""
BLOCK_ELEMENTS = 2**18
"""Numbers that are judged at a time: few enough to stay in the processor's cache."""
LARGEST_PIECE = 2**21
"""Numbers that a layer is judged on at a time, where each place is computed by itself."""
WITHOUT_EXPONENTIALS = (
    "linear", "identity", "relu", "leaky_relu", "relu6", "thresholded_relu", "hard_tanh", "hard_sigmoid",
    "hard_sigmoid_keras2", "softsign",
)  # fmt: skip
"""Activations that nobody writes with an exponential."""
MULTIPLE = 4
"""Of the preactivation, of which a formula may take the exponential: 2 in a tanh, and a slope beside it."""
LEAST_ROWS, LEAST_NUMBERS = 256, 2**20
"""But so many rows at least, or a wide kernel would be streamed from memory again and again; fewer beyond so many
numbers, of which a bound needs a dozen arrays."""


def rows_at_a_time(width: int) -> int:
    """How many rows of so many columns the port computes at a time."""
    return min(BLOCK_ROWS, max(LEAST_BLOCK, BLOCK_NUMBERS // max(width, 1)))


class Refused(Exception):
    """A piece of a port raised something on the rows it was fed with; the message is its first line."""


def cast(values: Array, dtype: str) -> Array:
    """Round to a dtype by name; "float16" and "bfloat16" come back in float32, which holds them exactly."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "bfloat16":
            import ml_dtypes

            return np.asarray(values).astype(ml_dtypes.bfloat16).astype(np.float32)
        if dtype == "float16":
            return np.asarray(values).astype(np.float16).astype(np.float32)
        return np.asarray(values).astype(dtype)


def port_rows(tensor: Array, precision: Precision) -> Array:
    """A tensor of the port's trace as (rows, columns), rounded to what the next layer computes in."""
    values = np.asarray(tensor)
    return cast(values.reshape(len(values), -1), precision.compute)


def judge_values(
    step: Any,
    inputs: Array,
    actual: Array,
    precision: Precision,
    probes: str,
    *,
    first_row: int = 0,
    is_far: bool = False,
) -> Comparison:
    """Judge outputs that the port has computed already, from the port's own inputs.

    Args:
        step: a step of the legacy program.
        inputs: (rows, inputs) what the port was fed.
        actual: (rows, ...) what it made of them.
        precision: in which the port computes.
        probes: what the rows are, for the report.
        first_row: the number of the first of them among those probes.
        is_far: whether they lie far outside a network's range, where a formula may overflow (``can_overflow``).
    """
    if len(actual) != len(inputs):
        return _judge_sides(_sides(step, inputs, actual, precision, is_far), probes, first_row)
    widest = max(inputs.shape[-1], actual.size // max(len(actual), 1), 1)
    most = max(min(LEAST_ROWS, LEAST_NUMBERS // widest), BLOCK_ELEMENTS // widest, 1)

    def judge_block(rows: slice) -> Comparison:
        sides = _sides(step, inputs[rows], actual[rows], precision, is_far)
        return _judge_sides(sides, probes, first_row + rows.start)

    if len(inputs) <= most:
        return judge_block(slice(0, len(inputs)))
    count = -(-len(inputs) // (most * PROCESSORS)) * PROCESSORS  # as many for each of them
    edges = [len(inputs) * i // count for i in range(count + 1)]
    workers = threads("judging", PROCESSORS)  # NumPy lets others run while it computes
    with _blas().limit(limits=1, user_api="blas"):
        return merge_comparisons(workers.map(judge_block, map(slice, edges, edges[1:])))


@cache
def _blas() -> ThreadpoolController:
    """Of the threads that a matrix product starts, which would wait for each other in every worker."""
    return ThreadpoolController()


def _judge_sides(sides: _Sides, probes: str, first_row: int) -> Comparison:
    def compared(allowed: Array) -> Comparison:
        return compare_outputs(
            sides.expected, sides.found, allowed, probes=probes, unheld=sides.unheld, first_row=first_row,
            may_overflow=sides.may_overflow,
        )  # fmt: skip

    pure = compared(sides.allowed)
    if not sides.platform.any():
        return pure
    within = compared(sides.allowed + sides.platform)
    return replace(within, by_platform=pure.exceeding - within.exceeding)


def compare_step(step: Any, fed: tuple[Array, ...], actual: Array, precision: Precision, probes: str) -> Comparison:
    """A step's outputs by the reference against what a port made of the same inputs, of any shapes.

    Raises:
        KeyError: the step, as it is configured, has no bound.
    """
    if not _is_pointwise(step, fed, actual) or actual.size <= LARGEST_PIECE:
        return _compare_piece(step, fed, actual, precision, probes, 0)
    length = max(1, len(actual[0]) * LARGEST_PIECE // actual.size)
    return merge_comparisons(
        _compare_piece(step, tuple(x[:, at : at + length] for x in fed), actual[:, at : at + length], precision,
                       probes, at)
        for at in range(0, actual.shape[1], length)
    )  # fmt: skip


def _is_pointwise(step: Any, fed: tuple[Array, ...], actual: Array) -> bool:
    """Whether every place along the second axis is computed by itself, and can be compared by itself."""
    alike = actual.ndim > 2 and all(np.shape(array) == actual.shape for array in fed)
    return alike and isinstance(step, Elementwise) and step.activation.name != "softmax"


def _compare_piece(
    step: Any, fed: tuple[Array, ...], actual: Array, precision: Precision, probes: str, first_place: int
) -> Comparison:
    if not isinstance(step, Embedding | Mask | Masking):
        # As the port's layer casts them. Words are looked up, and masks taken, before that.
        fed = tuple(round_to(array, precision.compute) for array in fed)
    trace = step(*fed)
    allowed = allowed_error(step, fed, trace, precision) + platform_allowance(step, fed, trace, precision)
    expected = np.asarray(trace.outputs, np.float64)
    unheld = inevitable_overflow(trace, precision)
    may_overflow = probes == FAR and can_overflow(step, fed, trace, precision)
    return compare_outputs(
        expected, actual, allowed, probes=probes, unheld=unheld, first_place=first_place, may_overflow=may_overflow
    )


def can_overflow(step: Any, fed: tuple[Array, ...], trace: LayerTrace, precision: Precision) -> Array:
    """Where a right port, however it writes a step's formula, may overflow although the reference does not.

    Exponentials of a multiple of the preactivation do so beyond a share of the format's logarithm, squares beyond its
    root; nothing else has a reason to. Boolean, of a shape that broadcasts to the outputs'.
    """
    limits = precision.format.largest
    with np.errstate(invalid="ignore"):
        if isinstance(step, Dense | TimewiseDense) and trace.preactivation is not None:
            most = np.sqrt(limits) if step.activation.name in WITHOUT_EXPONENTIALS else np.log(limits) / MULTIPLE
            beyond = np.abs(trace.preactivation) > most
            # One exponential that overflows takes the others of its row with it.
            return np.asarray(beyond.any(axis=-1, keepdims=True) if step.activation.name == "softmax" else beyond)
        if isinstance(step, Scaling):
            return np.asarray(np.abs(trace.outputs) > np.sqrt(limits))
    return np.ones((), bool)


def error_ratios(step: Any, inputs: Array, actual: Array, precision: Precision) -> Array:
    """Error over allowed error, (rows, units), for showing how the errors are spread."""
    sides = _sides(step, inputs, actual, precision)
    with np.errstate(all="ignore"):
        ratios = np.abs(sides.found - sides.expected) / (sides.allowed + sides.platform)
    return np.nan_to_num(np.where(sides.unheld, 0.0, ratios), posinf=np.inf)


@dataclass(frozen=True)
class _Sides:
    """Both sides of a step, and what may lie between them; every array is (rows, units)."""

    expected: Array
    found: Array
    allowed: Array
    platform: Array
    unheld: Array
    may_overflow: Array | bool


def _sides(step: Any, inputs: Array, actual: Array, precision: Precision, is_far: bool = False) -> _Sides:
    fed = np.asarray(inputs).astype(np.float64)
    trace = step(fed)
    found = np.asarray(actual).astype(np.float64)
    shown = getattr(step, "shown", None)
    if shown is not None:  # a flag is a value like any other, and not an overflow
        trace = replace(trace, outputs=shown(np.asarray(trace.outputs, np.float64)))
        found = shown(found.reshape(len(found), -1))
    unheld = inevitable_overflow(trace, precision)
    if getattr(getattr(step, "activation", None), "name", "") == "softmax":
        unheld = np.broadcast_to(unheld.any(axis=-1, keepdims=True), unheld.shape)
        if is_far:  # one exponential that overflows takes the others of its row with it
            found = np.where(np.isnan(found).any(axis=-1, keepdims=True), np.nan, found)
    return _Sides(
        np.asarray(trace.outputs, np.float64),
        found.reshape(len(found), -1),
        allowed_error(step, (fed,), trace, precision),
        platform_allowance(step, (fed,), trace, precision),
        unheld,
        is_far and can_overflow(step, (fed,), trace, precision),
    )


FORM_ROWS = 512
"""Of each set of probes, on which a way to write a layer is looked for."""
WRITTEN = 0.25
"""Share of a layer's units that have to need the form it is written in: all do now and then, and of one whose weight is
wrong that unit alone."""


def units_needing(step: Any, fed: Sequence[Array], actual: Array, precision: Precision) -> Array:
    """(units,) which of them give something that the bound of the step as it stands does not allow.

    Args:
        step: of a legacy program.
        fed: what the port took, one array an input.
        actual: (rows, ..., units) what it made of it.
        precision: in which it computes.
    """
    with np.errstate(all="ignore"):
        trace = step(*fed)
        allowed = allowed_error(step, tuple(fed), trace, precision)
        allowed = allowed + platform_allowance(step, tuple(fed), trace, precision)
        expected = np.asarray(trace.outputs, np.float64)
        needs = np.abs(np.asarray(actual, np.float64).reshape(expected.shape) - expected) > allowed
        return np.asarray(needs.reshape(-1, expected.shape[-1]).any(axis=0))


def is_written(step: Any, parts: Iterable[tuple[Sequence[Array], Array]], precision: Precision) -> bool:
    """Whether a layer that hides its arrays, and agrees in another form, is written so; in 16 bits that stays open.

    A form allows more than the step as it stands, and the rest may as well be what a wrong weight does.

    Args:
        step: of a legacy program, as it stands.
        parts: what the port took, one array an input, and what it made of it.
        precision: in which it computes.
    """
    if precision.is_short:
        return True
    needing = [units_needing(step, fed, actual, precision) for fed, actual in parts]
    share = float(np.mean(np.any(needing, axis=0))) if needing else 0.0
    return share == 0 or share >= WRITTEN  # none: then no weight is wrong


def probed(run: Run, probes: Mapping[str, Array], precision: Precision) -> Iterator[tuple[tuple[Array], Array]]:
    """What a layer of one input takes and makes of its probes, but for those far outside of its range."""
    for name, rows in probes.items():
        if name != FAR:
            fed = cast(rows[:FORM_ROWS], precision.compute)
            yield (fed.astype(np.float64),), np.asarray(run(fed))


def judge(
    step: Any, run: Run, rows: Array, precision: Precision, probes: str = "rows", *, is_far: bool = False
) -> Comparison:
    """Feed the same rows to both sides, block by block.

    Args:
        step: a step of the legacy program.
        run: the piece of the port.
        rows: (rows, inputs); rounded to the port's dtype first, so that both sides get the same numbers.
        precision: in which the port computes.
        probes: what the rows are, for the report.
        is_far: whether they lie far outside a network's range, where a formula may overflow (``can_overflow``).

    Raises:
        Refused: the piece cannot be run on them.
    """
    found = []
    for start, part in blocks(rows, rows_at_a_time(rows.shape[-1])):
        fed = cast(part, precision.compute)
        actual = run_piece(run, fed)
        found.append(judge_values(step, fed, actual, precision, probes, first_row=start, is_far=is_far))
    return merge_comparisons(found)


def run_piece(run: Run, rows: Array) -> Array:
    """What a piece of the port makes of some rows.

    Raises:
        Refused: for whatever the piece or the backend raises.
    """
    try:
        return run(rows)
    except Exception as error:  # somebody's own layer may raise anything
        raise Refused(first_line(error)) from error
