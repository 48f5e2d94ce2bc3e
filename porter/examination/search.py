"""Hypothesis drives the inputs towards a larger error over its bound, and shrinks what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.case import Case
from porter.examination.compare import Comparison
from porter.examination.domain import port_limits
from porter.examination.judging import cast, judge_values, port_rows
from porter.examination.threads import threads
from reference.operations.dense import Dense

Array = NDArray[Any]

EXAMPLES = 50
"""Each is two inputs, mirror images about the centre: the port takes as long over one row."""
MOST_WEIGHTS = 2**22
"""Of a network that is searched: beyond, one row costs nearly as much as a thousand, and the probes are left to show
what there is."""


@dataclass(frozen=True)
class Counterexample:
    """What the search found.

    Attributes:
        examples: how many inputs were tried.
        row: (n,) the smallest network input found that shows a difference, or None.
        layer: the first layer that differs on it.
        error: absolute error of that layer on it, the layer fed with the port's own input.
        allowed: what rounding explains there.
        largest: the largest error over allowed error seen on any input.
        changed: the inputs in which ``row`` is not the centre of the range.
        seed: that makes the search again.
    """

    examples: int
    row: Array | None
    layer: str = ""
    error: float = 0.0
    allowed: float = 0.0
    largest: float = 0.0
    changed: tuple[int, ...] = ()
    seed: int = 0

    @property
    def exceeds(self) -> bool:
        """Whether some input showed an error that rounding cannot explain."""
        return self.row is not None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the report."""
        assert self.row is not None
        return {
            "layer": self.layer,
            "error": self.error,
            "allowed": self.allowed,
            "away_from_the_centre": {str(index): float(self.row[index]) for index in self.changed},
            "inputs": self.row.tolist(),
            "seed": self.seed,
        }

    def describe(self) -> str:
        """One sentence."""
        assert self.row is not None
        count = len(self.changed)
        moved = "the centre of the range" if count == 0 else f"{count} of {len(self.row)} inputs away from the centre"
        return (
            f"smallest input that shows it ({moved}, seed {self.seed}): {self.layer} is off by {self.error:.3g}, "
            f"allowed {self.allowed:.3g}"
        )


def why_unsearched(case: Case) -> str:
    """Why a port is not tried on one pair of inputs after another; empty where it is."""
    if sum(step.weights.size for step in case.program.steps if isinstance(step, Dense)) > MOST_WEIGHTS:
        return f"the network has more than {MOST_WEIGHTS:,} weights"
    try:
        case.graph.trace([cast(case.inputs[:2], case.graph.input_dtypes[0])])
    except PortError:
        return "the port cannot be called with two rows"
    return ""


def search_inputs(case: Case) -> Counterexample:
    """Search the documented range for an input on which some layer exceeds its bound.

    Keeps no database, takes at most ``EXAMPLES`` pairs of inputs, and is the same for the same seed; it may run inside
    a user's own Hypothesis test.
    """
    judge_rows = _judge(case)
    box = _box(case)
    found: dict[str, Any] = {"row": None, "largest": 0.0, "count": 0}

    def holds(rows: Array) -> bool:
        layer, worst = judge_rows(rows)
        found["count"] += len(rows)
        found["largest"] = max(found["largest"], worst.ratio)
        if worst.ratio > 1:
            found.update(
                row=rows[worst.index[0] if worst.index else 0], layer=layer, error=worst.error, allowed=worst.allowed
            )
        return worst.ratio <= 1

    # In a thread of its own, for Hypothesis refuses one test inside another, which a user's own may be; always the same
    # one, for in every new thread it has all garbage collected first.
    threads("search", 1).submit(_drive, holds, box, case.seed, lambda: found["largest"]).result()
    row = found["row"]
    if row is None:
        return Counterexample(found["count"], None, largest=found["largest"], seed=case.seed)
    changed = tuple(int(index) for index in np.flatnonzero(row != box.centre))
    return Counterexample(
        found["count"], row, found["layer"], found["error"], found["allowed"], found["largest"], changed, case.seed
    )


@dataclass(frozen=True)
class Box:
    """The range of the inputs: (n,) lower ends, upper ends and centre."""

    low: Array
    high: Array
    centre: Array


def _box(case: Case) -> Box:
    """The documented range, or that of the rows where none is documented."""
    limits = port_limits(case.program, outside=case.placement == "outside")
    low, high = (case.inputs.min(axis=0), case.inputs.max(axis=0)) if limits is None else (limits[:, 0], limits[:, 1])
    return Box(low, high, (low + high) / 2)


def _judge(case: Case) -> Callable[[Array], tuple[str, Comparison]]:
    """The first layer that exceeds its bound on one of some rows, else the one that comes nearest."""
    compared = [one for one in case.judged if one.pair.block is not None]

    def judge_rows(rows: Array) -> tuple[str, Comparison]:
        tensors = case.graph.trace([cast(rows, case.graph.input_dtypes[0])])
        nearest = ("", Comparison())
        for one in compared:
            block = one.pair.block
            assert block is not None
            if len(tensors[block.leaving]) != len(rows):  # its rows lie along another axis
                continue
            fed = port_rows(tensors[block.entry], block.precision)
            result = judge_values(one.step, fed, tensors[block.leaving], block.precision, "search")
            if result.ratio > 1:
                return one.name, result
            nearest = max(nearest, (one.name, result), key=lambda item: item[1].ratio)
        return nearest

    return judge_rows


def _drive(holds: Callable[[Array], bool], box: Box, seed: int, score: Callable[[], float]) -> None:
    import hypothesis
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings, target
    from hypothesis import strategies as st
    from hypothesis.errors import Flaky

    n = len(box.centre)
    # A row is the centre with some entries moved: it shrinks to few entries and plain fractions.
    moves = st.dictionaries(st.integers(0, n - 1), st.integers(-64, 64), max_size=min(n, 12))

    @hypothesis.seed(seed)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=False,
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.target, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(moves)
    def explore(moved: dict[int, int]) -> None:
        shift = np.zeros(n)
        for index, step in moved.items():
            shift[index] = step / 64 * (box.high[index] - box.low[index]) / 2
        before = score()
        assert holds(box.centre + np.stack([shift, -shift]))
        if score() <= 1:  # once a row is found, others are only made smaller
            target(max(score(), before))

    # The smallest row was kept by `holds`; a port that is random shows at the same row now and not then.
    with suppress(AssertionError, Flaky), _nothing_left_behind():
        explore()


@contextmanager
def _nothing_left_behind() -> Iterator[None]:
    """Let Hypothesis keep what it keeps, constants of the code that runs, in a folder that goes away again.

    One that is there already, or that was set, is the user's own.
    """
    from hypothesis import configuration

    chosen = getattr(configuration, "__hypothesis_home_directory", None)
    if chosen is not None or Path(".hypothesis").exists():
        yield
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(None)
