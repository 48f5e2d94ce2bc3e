"""Units of dense layers that a port has in another order, or with another sign, and the layer behind makes up for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from porter.examination.graphs.judged import Judged
from porter.examination.graphs.suspect import Suspect
from porter.examination.units import apply_gauges, match_gauges
from reference.operations.timewise import TimewiseDense
from reference.precision import Precision
from reference.trace import Program

Array = NDArray[Any]
Rejudge = Callable[[Judged, Suspect], Judged]


@dataclass(frozen=True)
class _Shown:
    """The arrays that a port's layer shows, as ``match_gauges`` asks a block for them."""

    kernel: Array
    bias: Array | None
    precision: Precision

    @property
    def dense(self) -> _Shown:
        return self

    def weights(self) -> tuple[Array, Array | None]:
        return self.kernel, self.bias


def with_gauges(judged: list[Judged], program: Program, rejudge: Rejudge) -> list[Judged]:
    """Every chain of mismatched dense layers judged again on the port's units, where their arrays say how these stand.

    Args:
        judged: one a step.
        program: of the legacy network.
        rejudge: judges a step again as another.
    """
    result = {one.step.name: one for one in judged}
    for chain in _chains(judged, program):
        shown: list[Any] = [_shown(one) for one in chain]
        steps = [one.step for one in chain]
        gauges = match_gauges(steps, shown)
        if not gauges:
            continue
        again = []
        for one, step in zip(chain, apply_gauges(steps, gauges), strict=True):
            assert one.suspect is not None
            gauge = gauges.get(one.step.name)
            told = "" if gauge is None else f"{gauge.describe()}, which the next layer makes up for: equivalent"
            again.append(replace(rejudge(one, replace(one.suspect, step=step)), cumulative=None, form=told))
        if all(one.verdict == "parity" for one in again):
            result.update((one.step.name, one) for one in again)
    return list(result.values())


def _chains(judged: Sequence[Judged], program: Program) -> Iterator[list[Judged]]:
    """Dense layers one behind the other, each taken by the next alone, all of them mismatched and shown."""
    takers = {name: [step.name for step in program.steps if name in step.inputs] for name in _names(judged)}
    chain: list[Judged] = []
    for one in judged:
        if not _is_candidate(one):
            continue
        follows = chain and one.step.inputs == (chain[-1].step.name,) and takers[chain[-1].step.name] == [one.step.name]
        if not follows:
            if len(chain) > 1:
                yield chain
            chain = []
        chain.append(one)
    if len(chain) > 1:
        yield chain


def _names(judged: Sequence[Judged]) -> list[str]:
    return [one.step.name for one in judged]


def _is_candidate(one: Judged) -> bool:
    suspect = one.suspect
    return (
        one.verdict == "mismatch"
        and isinstance(one.step, TimewiseDense)
        and suspect is not None
        and suspect.step is one.step
        and ("weights",) in suspect.found
    )


def _shown(one: Judged) -> _Shown:
    assert one.suspect is not None
    return _Shown(one.suspect.found["weights",], one.suspect.found.get(("bias",)), one.precision)
