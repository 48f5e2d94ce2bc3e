"""A port's array against the arrays of the file: in which layout, and after which change, its numbers are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from porter.examination.numbers import rounding_rules, sample_positions

Array = NDArray[Any]


class Holder(Protocol):
    """The layer of a port that holds the array."""

    @property
    def dtype(self) -> str:
        """In which it holds it."""
        ...

    @property
    def is_shown(self) -> bool:
        """Whether it shows its arrays; otherwise they were read out through probes, to three digits."""
        ...

    def equal(self, found: Array, wanted: Array) -> Array:
        """Elementwise: are the port's numbers these, as exactly as it holds them?"""
        ...


FEW, HOPELESS = 64, 0.2
"""Entries on which a candidate is tried first, and the share of them below which it is not tried on more."""


@dataclass(frozen=True)
class Layout:
    """One way in which one array of the file may stand in a port.

    Attributes:
        source: what of the file it belongs to.
        code: the mistake, or "" where it stands as it should.
        message: the mistake in words.
        array: the numbers in that layout, float64.
    """

    source: Any
    code: str
    message: str
    array: Array


@dataclass(frozen=True)
class Change:
    """What may have happened to the numbers, whatever their layout.

    Attributes:
        code: the mistake, or "" where nothing happened.
        message: the mistake in words.
        apply: the numbers as they are after it.
        least: the share of the entries that it has to account for.
    """

    code: str
    message: str
    apply: Callable[[Array], Array]
    least: float = 0.0


@dataclass(frozen=True)
class Match:
    """A layout and a change, and the share of the entries that they account for."""

    share: float
    layout: Layout | None = None
    change: Change | None = None


UNCHANGED = Change("", "", np.asarray)


def number_changes(holder: Holder, what: str) -> list[Change]:
    """Nothing, a sign turned or lost, and every way to lose digits."""
    # A rounding leaves many an entry as it was, so that it has to account for nearly all of them.
    rules = rounding_rules(holder.dtype) if holder.is_shown else ()
    return [
        UNCHANGED,
        Change("kernel.values", f"every entry of the {what} has the opposite sign", np.negative, 0.9),
        Change("kernel.values", f"every entry of the {what} stands without its sign", np.abs, 0.9),
        *(Change("kernel.precision", f"the {what} was {name}", rule, 0.9) for name, rule in rules),
    ]


def match_layouts(found: Array, candidates: Sequence[Layout], holder: Holder, changes: Sequence[Change]) -> list[Match]:
    """Every layout under every change, in the order of ``candidates``, judged on a sample of a big array."""
    if not candidates:
        return []
    positions = sample_positions(found.size)
    seen = found.reshape(-1)[positions]
    sampled = np.stack([layout.array.reshape(-1)[positions] for layout in candidates])
    shares = [_shares(seen, sampled, holder, change) for change in changes]
    return [
        Match(float(share[i]) if share[i] >= change.least else 0.0, layout, change)
        for i, layout in enumerate(candidates)
        for change, share in zip(changes, shares, strict=True)
    ]


def _shares(seen: Array, sampled: Array, holder: Holder, change: Change) -> Array:
    """(candidates,) the share of the entries that each accounts for; 0 where a few of them say that it is below a half.

    Of 64 entries of which half agree, fewer than 13 do so once in millions of draws.
    """
    shares = np.zeros(len(sampled))
    few = np.random.default_rng(0).permutation(len(seen))[:FEW]
    hopeful = np.arange(len(sampled))
    if len(seen) > 2 * FEW:
        hopeful = np.flatnonzero(np.mean(holder.equal(seen[few], change.apply(sampled[:, few])), axis=1) >= HOPELESS)
    if len(hopeful):
        shares[hopeful] = np.mean(holder.equal(seen, change.apply(sampled[hopeful])), axis=1)
    return shares
