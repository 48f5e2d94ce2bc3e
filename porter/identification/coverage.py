"""What a search that found nothing tried, what it did not, and which arrays it has no place for."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from porter.identification.driver import stages_for
from porter.identification.pool import Pool, base_name
from porter.identification.skeletons import Skeleton, Skeletons

if TYPE_CHECKING:
    from porter.identification.driver import Search

SHOWN = 6
NEVER = (
    "looked for by no search: connections past a layer, members of an ensemble whose names do not end in the member or "
    "that have several outputs each, weighted means of members, "
    "gains and deviations below zero, gains and temperatures before an activation, bounds of inputs, "
    "activations that are not among those of the guide, other functions a column"
)


def coverage_lines(search: Search, chains: Skeletons) -> list[str]:
    """What was tried of what the search plans, and why it ended."""
    waiting = [stage.name for stage in stages_for(chains)[search.done :]]
    which = "all that the shapes allow" if chains.are_all else "the likeliest; the shapes allow others"
    count = f"{len(chains)} chain{'s' if len(chains) > 1 else ''} of arrays ({which})"
    lines = []
    if search.is_whole and not waiting:
        lines.append(f"tried on {count}: all that is planned, what is rare together on the likeliest few alone")
        lines.append("the search ended by itself: more time would find nothing more")
    else:
        whole = [str(each) for each in search.stages if each.is_whole]
        cut = [str(each) for each in search.stages if each.is_cut]
        large = [str(each) for each in search.stages if each.is_too_large]
        lines.append(f"tried on {count}: {'; '.join(whole) or 'nothing to its end'}")
        lines += [f"cut short, its share of {search.seconds:g} s being over: {'; '.join(cut)}"] if cut else []
        lines += [f"in part, for it would take too many numbers: {'; '.join(large)}"] if large else []
        lines += [f"not begun: {'; '.join(waiting)}"] if waiting else []
        lines += ["more time goes on with these: --seconds N (seconds=N)"] if cut or waiting else []
    lines += ["of the scalings the likeliest were tried, not all"] if search.has_more_ends else []
    return [*lines, NEVER]


def left_over_lines(pool: Pool, chains: Sequence[Skeleton]) -> list[str]:
    """The arrays that the likeliest chain has no place for, with what their shapes suggest."""
    if not chains:
        return []
    chain = chains[0]
    used = {base_name(name) for name in chain.used}
    left = [name for name in pool.arrays if name not in used]
    told = [f"{name} {pool.arrays[name].shape}{_suggestion(pool, chain, name)}" for name in left[:SHOWN]]
    rest = [f"and {len(left) - SHOWN} more"] if len(left) > SHOWN else []
    return [f"in none of the layers of the likeliest chain: {'; '.join([*told, *rest])}"] if left else []


def never_used_lines(pool: Pool, chains: Sequence[Skeleton], scaling: set[str], inputs: int) -> list[str]:
    """The arrays that no configuration takes at all."""
    used = {base_name(name) for chain in chains for name in chain.used} | {base_name(name) for name in scaling}
    never = [name for name in pool.arrays if name not in used]
    told = ", ".join(f"{name} {pool.arrays[name].shape}" for name in never)
    return [f"in no configuration at all: {told}", *joined(pool, inputs, never)] if never else []


def repeated_lines(pool: Pool) -> list[str]:
    """Whether every matrix comes several times, as the members of an ensemble do."""
    counts = Counter(tuple(sorted(array.shape)) for array in pool.arrays.values() if array.ndim == 2)
    if len(counts) < 2 or len(set(counts.values())) > 1 or (times := next(iter(counts.values()))) < 2:
        return []
    return [f"every shape of a matrix comes {times} times: {times} networks, or members of an ensemble, in one file?"]


def _suggestion(pool: Pool, chain: Skeleton, name: str) -> str:
    shape, widths = pool.arrays[name].shape, chain.widths
    if len(shape) != 2 or min(shape) < 2:
        return ""
    twins = [slot.readings[0].array for slot in chain.slots if pool.parts[slot.readings[0].array].shape == shape]
    if twins:
        return (
            f", shaped as {twins[0]} is: another network's, an ensemble's other member's, or a connection past a layer"
        )
    for first, last in itertools.combinations(range(len(widths)), 2):
        if last > first + 1 and tuple(sorted(shape)) == tuple(sorted((widths[first], widths[last]))):
            return f", which would fit a connection from {_place(first)} to Layer{last}, past what lies between"
    return ""


def _place(number: int) -> str:
    return "the inputs" if number == 0 else f"Layer{number}"


def joined(pool: Pool, inputs: int, among: Iterable[str]) -> Iterator[str]:
    """Those of some kernels that take as many values as the inputs and another kernel's units together."""
    matrices = {name: array.shape for name, array in pool.kernels.items() if array.ndim == 2 and min(array.shape) > 1}
    for first, shape in matrices.items():
        units = {shape[1 - axis] for axis in (0, 1) if shape[axis] == inputs}
        for second, other in ((name, matrices[name]) for name in among if name in matrices):
            found = next((u for u in sorted(units) if second != first and u + inputs in other), None)
            if found is not None:
                yield f"{second} {other} would take the {inputs} inputs and the {found} units of {first} together"
