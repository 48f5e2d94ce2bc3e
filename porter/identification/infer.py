"""From arrays and samples to how the file is to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnknownFormatError, UsageError
from porter.formats.containers.arrays import container_of
from porter.formats.containers.foreign import refuse_foreign
from porter.formats.folders import OpenedFolder, is_plain_folder, open_folder
from porter.formats.opened import OpenedFile, open_file
from porter.formats.readers import family_of
from porter.formats.recipe_arrays import Stored
from porter.identification.answers import answer, no_chain, nothing, unexplained
from porter.identification.bounds import LEAST_SHARE, agreeing_share, bounded, held_residual, unshown
from porter.identification.candidate import Candidate
from porter.identification.confirming import (
    alternatives,
    explained,
    unlike,
)
from porter.identification.driver import SECONDS, Search
from porter.identification.ends import ends
from porter.identification.identified import Identified
from porter.identification.members import ensembles
from porter.identification.neighbours import neighbours
from porter.identification.pool import Pool
from porter.identification.recorded import read_recorded
from porter.identification.refining import Golden, Hit, distinct, refined
from porter.identification.skeletons import Skeleton
from porter.identification.task import Task
from porter.identification.unsampled import without_samples
from porter.progress import tell

Array = NDArray[Any]

COLUMNS = 12
"""Input columns of which single functions are tried."""
BRIEF, MUCH = 8.0, 4.0
"""Seconds for each way to read a table, and how much less likely than the likeliest it may be."""
LEAST_SHARE_OF_TIME = 12.0
"""Seconds for each of them at least, once the likeliest of all is in none."""
MIXED = 1.0
"""How much less likely a way is whose layers have biases but for some."""
CONFIRMING = 12.0
"""Seconds for the strict rule."""


def infer(file: str | Path, samples: Any = None, *, inputs: int | None = None, seconds: float = SECONDS) -> Identified:
    """Find out how a file is to be read, from what the original software gave.

    Args:
        file: arrays in HDF5, netCDF-4, .npz, .mat, safetensors, text, or a folder of these.
        samples: a path, or a pair (inputs, outputs) of (rows, n) and (rows, m); None for what can be said without.
        inputs: how many columns of a table of samples are inputs, where that is known.
        seconds: how long the search may take, about.

    Returns:
        The configuration that gives the samples, those that they cannot tell from it, or what comes closest.

    Raises:
        UnreadableError: the file cannot be read.
        UsageError: text of a family whose format says how it is read.
        SamplesError: the samples cannot be read.
    """
    path = Path(file)
    with open_folder(path) if is_plain_folder(path) else open_file(path, pickles=True) as opened:
        _check_family(opened)
        stored = Stored.of(opened)
        tell("reading the arrays")
        pool = Pool.of(dict(_arrays(stored)))
        if samples is None:
            return without_samples(path, pool, opened.sha256)
        goldens, where = read_recorded(samples, inputs)
        found = _infer(Task(opened, path, pool, where, seconds), goldens)
        return replace(found, lines=(*found.lines, *_passed_over(stored, pool)))


def _check_family(opened: OpenedFile) -> None:
    """Refuse text of a family whose format says how it is read.

    Raises:
        UsageError: such a file.
        UnknownFormatError: nothing that is read.
    """
    if isinstance(opened, OpenedFolder) or Stored.knows(opened):
        return
    refuse_foreign(opened)
    try:
        family = family_of(opened)
    except UnknownFormatError:
        if container_of(opened) is None:
            raise
        return  # numbers in text, of no family
    raise UsageError(
        f"porter infer {opened.path}",
        found=f"a file of {family.name}, whose format says how it is read",
        expected="arrays of which nothing says how they are read",
        remedy="porter inspect FILE shows what is in it, porter port FILE --samples ... what samples say of it",
    )


def pool_of(file: str | Path) -> tuple[Pool, str]:
    """The arrays of a file or folder, and its digest.

    Raises:
        UnreadableError: the file cannot be read.
    """
    path = Path(file)
    with open_folder(path) if is_plain_folder(path) else open_file(path, pickles=True) as opened:
        return Pool.of(dict(_arrays(Stored.of(opened)))), opened.sha256


def _arrays(stored: Stored) -> list[tuple[str, Array]]:
    return [(name, array) for name in stored.names if (array := stored.numbers(name)) is not None]


def _passed_over(stored: Stored, pool: Pool) -> list[str]:
    """What of the file is no array of finite numbers, and was not looked at."""
    names = [name for name in stored.names if name not in pool.arrays]
    return [f"not looked at, for not all in it are finite numbers: {', '.join(names)}"] if names else []


def _infer(task: Task, goldens: Sequence[Golden]) -> Identified:
    for golden in goldens[:1]:
        own = _contradiction(golden)
        if own:
            return Identified(task.path, "wrong samples", (own,), sha256=task.opened.sha256)
    searches = [Search(task.pool, golden, task.seconds) for golden in goldens]
    chains = [search.chains() for search in searches]
    order = sorted(range(len(searches)), key=lambda n: _cost(chains[n]))
    order = _likely(order, chains)
    share = max(task.seconds / len(order), LEAST_SHARE_OF_TIME)
    rounds = [(number, BRIEF, True) for number in order] if len(order) > 1 else []
    rounds += [(number, share if rounds else task.seconds, False) for number in order]
    for place, (number, seconds, brief) in enumerate(rounds):
        search = searches[number]
        search.seconds = seconds
        search.restart()
        hits = ensembles(search) if place < len(order) else []
        hits = hits if hits or not chains[number] else _searched(task, search, chains[number], brief=brief)
        if hits:
            return _confirmed(task, search, hits)
    first = searches[order[0]]
    if not any(chains):
        return no_chain(task, first.golden)
    found = nothing(task, first, chains[order[0]])
    return found if len(order) == 1 else replace(found, lines=(*found.lines, _unsplit(goldens, order)))


def _unsplit(goldens: Sequence[Golden], order: Sequence[int]) -> str:
    """What would help where a table was read in several ways."""
    tried = ", ".join(str(goldens[number].inputs.shape[1]) for number in order)
    return (
        f"nothing says how many columns of the samples are inputs: {tried} were tried, the likeliest first; where you "
        "know it, --inputs N (inputs=N) leaves all of the time to that"
    )


def _searched(task: Task, search: Search, chains: Sequence[Skeleton], *, brief: bool) -> list[Hit]:
    """What gives the samples, or gives them held to bounds."""
    while True:
        done = search.done
        hits = [*search.first(chains, brief=brief), *_held(task, search)]
        if hits or search.left < 0 or search.done == done:
            return hits


def _likely(order: Sequence[int], chains: Sequence[Sequence[Skeleton]]) -> list[int]:
    """The ways to read a table whose chains are not much less likely than those of the likeliest."""
    least = _cost(chains[order[0]])
    return [n for n in order if n == order[0] or (chains[n] and _cost(chains[n]) <= least + MUCH)]


def _cost(chains: Sequence[Skeleton]) -> float:
    """How unlikely a way to read a table is, by its likeliest chain.

    Read from its outputs to its inputs, a network has biases in all of its layers but one.
    """
    if not chains:
        return np.inf
    has_bias = {slot.bias is not None or slot.readings[0].bias_in is not None for slot in chains[0].slots}
    return chains[0].cost + (MIXED if len(has_bias) > 1 else 0.0)


def _contradiction(golden: Golden) -> str:
    """Two rows with the same inputs and other outputs, in words; empty where there are none."""
    _, first, which = np.unique(golden.inputs, axis=0, return_index=True, return_inverse=True)
    partner = first[which.reshape(-1)]
    with np.errstate(invalid="ignore"):
        apart = np.abs(golden.outputs - golden.outputs[partner])
        allowed = 2 * golden.resolution + 1e-4 * golden.scale
        rows = np.flatnonzero((apart > allowed).any(axis=1))
    if not rows.size or golden.coarse:
        return ""
    row = int(rows[0])
    return (
        f"rows {int(partner[row])} and {row} have the same inputs, and outputs that differ by "
        f"{np.nanmax(apart[row]):.3g}: more than the inputs decides what the original gives"
    )


# --- what was found -------------------------------------------------------------------------------------------------


def _held(task: Task, search: Search) -> list[Hit]:
    """Configurations that give part of the samples, held to bounds by which they give all."""
    found: list[Hit] = []
    flagged = bool(np.isnan(search.golden.outputs).any())
    if search.found and not flagged:
        return found
    for hit in distinct([*search.partial, *(search.found if flagged else [])])[:8]:
        values = hit.candidate.predict(task.pool, search.golden.inputs)
        if agreeing_share(values, search.golden) >= LEAST_SHARE:
            for held, left in bounded(task.pool, hit.candidate, search.golden):
                found.append(Hit(held, left, hit.cost))
                break
    return found


def _confirmed(task: Task, search: Search, hits: Sequence[Hit]) -> Identified:
    tell("judging what was found")
    golden = search.golden
    if np.isnan(golden.outputs).any():  # no other gives a flag
        hits = [hit for hit in hits if hit.candidate.bounds is not None] or hits
    ranked = distinct(hits)
    every = distinct([*ranked, *_beside(task, search, ranked[0])])
    judged = explained(every, golden, task.samples, task.program, CONFIRMING)
    if not judged.explained:
        share = 0.0 if judged.closest is None else judged.closest.factor
        return unexplained(task, search, every[0], share)
    others = alternatives(judged.explained, golden, task.samples)
    more = unlike(judged, task.program, golden, task.samples)
    return answer(task, search, judged.explained, others, every, more)


def _beside(task: Task, search: Search, best: Hit) -> list[Hit]:
    """What differs from the best in one convention, and gives the samples too."""
    candidate, golden = best.candidate, search.golden
    used = frozenset(name for each in candidate.layers for name in (each.array, each.bias) if name is not None)
    widths = golden.inputs.shape[1], golden.outputs.shape[1]
    fronts = ends(task.pool, used, widths[0], first=True, others=widths[1])
    backs = ends(task.pool, used, widths[1], first=False, others=widths[0])
    found = []
    for other in neighbours(task.pool, candidate, fronts, backs, COLUMNS):
        try:
            hit = _refined_as(task, other, golden, best)
        except (KeyError, ValueError):  # arrays that do not fit each other
            continue
        search.tried += 1
        if hit.residual <= 1e-3:
            found.append(hit)
    return found + [replace(best, candidate=held) for held in unshown(task.pool, candidate, golden)]


def _refined_as(task: Task, other: Candidate, golden: Golden, best: Hit) -> Hit:
    if other.predict(task.pool, golden.inputs[:1]).shape[1] != golden.outputs.shape[1]:
        raise ValueError("another width")
    if other.bounds is None:
        return refined(task.pool, other, golden, best.cost + 0.1)
    return Hit(other, held_residual(task.pool, other, golden), best.cost + 0.1)
