"""A layer under suspicion of which only what went through it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from porter.examination.compare import Comparison, merge_comparisons
from porter.examination.suspect import Stored, Suspect
from porter.exports.walk import Walked
from porter.ports.blocks import Atom, Block
from porter.ports.traced import TracedPort
from reference.operations.dense import Dense
from reference.trace import Program

Array = NDArray[Any]

FEW = 16
"""Rows of each set on which an explanation is tried before it is on all."""


class _Block(Block):
    """What is known of a layer that cannot be run: its arrays at most."""

    @property
    def tail(self) -> None:
        """Nothing can be handed to it."""
        return None


@dataclass(frozen=True)
class TracedSuspect(Suspect):
    """A dense layer under suspicion, of which only rows are known that went through it."""

    walked: Walked | None = None

    @property
    def seen(self) -> tuple[tuple[str, Array, Array], ...]:
        """What it was fed with and gave."""
        assert self.walked is not None
        return tuple((one.probes, one.fed[0], one.actual) for one in self.walked.seen)

    def judge(self, step: Any, *, most: int | None = None) -> Comparison:
        """A step against what the port gave."""
        assert self.walked is not None
        return judge_walked(self.walked, step, most)


def judge_walked(walked: Walked, step: Any, most: int | None = None) -> Comparison:
    """A step against everything that was seen of a layer; those far out only count for what they exceed."""
    return merge_comparisons(one.judge(step, walked.precision, most) for one in walked.seen)


def make_suspect(walked: Walked, program: Program, port: TracedPort) -> TracedSuspect:
    """The layer, with its arrays where the port shows them."""
    dense = [step for step in program.steps if isinstance(step, Dense)]
    known = {} if port.weights is None else port.weights()
    weights = known.get(walked.name)
    atom = Atom(
        (walked.name,), "dense", _unrunnable, 0, 1, walked.precision, None if weights is None else lambda: weights
    )
    position = [step.name for step in dense].index(walked.name)
    return TracedSuspect(
        walked.step, _Block((atom,), walked.precision), position, [Stored.of(step) for step in dense], {}, walked=walked
    )


def _unrunnable(rows: Array) -> Array:
    raise ValueError("the runtime shows what the layer gives, and does not run it alone")
