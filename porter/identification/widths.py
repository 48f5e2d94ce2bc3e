"""What the arrays of a file take and give, where samples do not say it."""

from __future__ import annotations

from collections.abc import Iterator

from porter.identification.pool import Pool
from porter.identification.skeletons import Skeleton, skeletons

MOST_SIZES, FEW = 24, 200
"""Sizes that may be an end, and beginnings of chains that are looked at for each pair of them."""


def every_chain(pool: Pool) -> list[Skeleton]:
    """The likeliest chains between any two sizes that the arrays have, the likeliest first."""
    return sorted(_chains(pool), key=lambda chain: chain.cost)


def _chains(pool: Pool) -> Iterator[Skeleton]:
    matrices = [array.shape for array in pool.kernels.values() if array.ndim == 2]
    sizes = list(dict.fromkeys(size for shape in matrices for size in shape))[:MOST_SIZES]
    for inputs in sizes:
        for outputs in sizes:
            yield from skeletons(pool, inputs, outputs, 2, FEW)


def other_widths(pool: Pool) -> list[str]:
    """What the arrays would take and give, in a sentence."""
    chains = every_chain(pool)
    if not chains:
        return ["no arrays of the file follow each other at all"]
    likely = [chain for chain in chains if chain.cost <= chains[0].cost + 0.5]
    ends = dict.fromkeys((chain.widths[0], chain.widths[-1]) for chain in likely)
    told = ", or ".join(f"{inputs} inputs and {outputs} outputs" for inputs, outputs in list(ends)[:4])
    return [f"its arrays would make a network of {told}"]
