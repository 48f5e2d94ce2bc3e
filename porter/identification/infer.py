"""From arrays and samples to how the file is to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnknownFormatError, UsageError
from porter.examination.domain import port_limits
from porter.formats.containers.arrays import container_of
from porter.formats.containers.foreign import refuse_foreign
from porter.formats.folders import OpenedFolder, is_plain_folder, open_folder
from porter.formats.opened import OpenedFile, open_file
from porter.formats.options import ReadOptions
from porter.formats.programs import build_program
from porter.formats.readers import family_of
from porter.formats.recipe import Recipe
from porter.formats.recipe_reading import Stored, read_by_recipe
from porter.identification.as_recipe import recipe_of
from porter.identification.bounds import LEAST_SHARE, agreeing_share, bounded, held_residual, unshown
from porter.identification.candidate import Candidate
from porter.identification.confirming import (
    Explained,
    alternatives,
    as_samples,
    box_of,
    explained,
    is_documented,
    shows_range,
    unlike,
)
from porter.identification.coverage import coverage_lines, joined, left_over_lines, never_used_lines, repeated_lines
from porter.identification.driver import SECONDS, Search
from porter.identification.ends import ends
from porter.identification.extent import Extent, beyond_line, extents, within
from porter.identification.identified import Identified, Status, alternative_lines
from porter.identification.members import ensembles
from porter.identification.neighbours import neighbours
from porter.identification.pool import Pool, is_bias_name
from porter.identification.recorded import read_recorded
from porter.identification.refining import Golden, Hit, distinct, refined
from porter.identification.skeletons import Skeleton, Skeletons
from porter.identification.suggestions import Nearest, nearest
from porter.identification.unsampled import without_samples
from porter.identification.widths import other_widths
from porter.network import Network
from porter.progress import tell
from porter.reading.check import Question, Reading, flags_as_numbers, judge_reading
from porter.reading.explanation import closeness
from porter.reading.readings import Formula, other_readings
from porter.reading.readings import alternatives as other_claims
from reference.trace import Program

Array = NDArray[Any]

SETTLED = frozenset({"order", "transform", "memory order", "scaling", "orientation", "activation", "range orientation"})
"""Conventions that samples prove together, for nothing but what was found gives them."""
CHANCE = 1e-6
"""How many of the configurations that were tried may give the samples by chance."""
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
        found = _infer(_Task(opened, path, pool, where, seconds), goldens)
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


@dataclass(frozen=True)
class _Task:
    """What is asked.

    Attributes:
        opened: the file.
        path: as the user gave it.
        pool: its arrays.
        samples: where they were read from.
        seconds: for the search.
    """

    opened: OpenedFile
    path: Path
    pool: Pool
    samples: Path
    seconds: float

    def network(self, candidate: Candidate) -> Network:
        """The file read as a configuration says."""
        recipe = Recipe.model_validate(recipe_of(candidate, self.pool, self.path.stem))
        return read_by_recipe(self.opened, recipe, ReadOptions())

    def program(self, candidate: Candidate) -> Program:
        """Its forward pass."""
        if candidate.rule is not None:
            return build_program(self.network(candidate))
        return candidate.program(self.pool)


def _infer(task: _Task, goldens: Sequence[Golden]) -> Identified:
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
        return _no_chain(task, first.golden)
    found = _nothing(task, first, chains[order[0]])
    return found if len(order) == 1 else replace(found, lines=(*found.lines, _unsplit(goldens, order)))


def _unsplit(goldens: Sequence[Golden], order: Sequence[int]) -> str:
    """What would help where a table was read in several ways."""
    tried = ", ".join(str(goldens[number].inputs.shape[1]) for number in order)
    return (
        f"nothing says how many columns of the samples are inputs: {tried} were tried, the likeliest first; where you "
        "know it, --inputs N (inputs=N) leaves all of the time to that"
    )


def _searched(task: _Task, search: Search, chains: Sequence[Skeleton], *, brief: bool) -> list[Hit]:
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


def _no_chain(task: _Task, golden: Golden) -> Identified:
    wanted = f"{golden.inputs.shape[1]} inputs and {golden.outputs.shape[1]} outputs"
    lines = [f"no chain of the file's arrays takes the samples' {wanted}", *other_widths(task.pool)]
    past = list(joined(task.pool, golden.inputs.shape[1], task.pool.kernels))
    if past:
        lines += [*past[:3], "a connection past a layer would be so; a search looks for none"]
    status: Status = "none" if past else "wrong samples"
    return Identified(task.path, status, tuple(lines), sha256=task.opened.sha256)


# --- what was found -------------------------------------------------------------------------------------------------


def _held(task: _Task, search: Search) -> list[Hit]:
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


def _confirmed(task: _Task, search: Search, hits: Sequence[Hit]) -> Identified:
    tell("judging what was found")
    golden = search.golden
    if np.isnan(golden.outputs).any():  # no other gives a flag
        hits = [hit for hit in hits if hit.candidate.bounds is not None] or hits
    ranked = distinct(hits)
    every = distinct([*ranked, *_beside(task, search, ranked[0])])
    judged = explained(every, golden, task.samples, task.program, CONFIRMING)
    if not judged.explained:
        share = 0.0 if judged.closest is None else judged.closest.factor
        return _unexplained(task, search, every[0], share)
    others = alternatives(judged.explained, golden, task.samples)
    more = unlike(judged, task.program, golden, task.samples)
    return _answer(task, search, judged.explained, others, every, more)


def _beside(task: _Task, search: Search, best: Hit) -> list[Hit]:
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


def _refined_as(task: _Task, other: Candidate, golden: Golden, best: Hit) -> Hit:
    if other.predict(task.pool, golden.inputs[:1]).shape[1] != golden.outputs.shape[1]:
        raise ValueError("another width")
    if other.bounds is None:
        return refined(task.pool, other, golden, best.cost + 0.1)
    return Hit(other, held_residual(task.pool, other, golden), best.cost + 0.1)


def _answer(
    task: _Task, search: Search, found: Sequence[Explained], others: Sequence[Any], every: Sequence[Hit], more: int
) -> Identified:
    best = found[0].hit.candidate
    network = task.network(best)
    chance = _chance(search, found[0])
    is_open = chance > CHANCE or more > 0 or any(each.row is not None and not each.is_outside for each in others)
    status: Status = "open" if is_open else "found"
    reading = _judged(network, search.golden, task.samples)
    if is_open or any(each.row is not None for each in others):
        reading = replace(reading, verdict="consistent" if reading.verdict == "proven" else reading.verdict)
    program = build_program(network)
    shown = extents(program, search.golden.inputs, box_of(program, search.golden.inputs))
    lines = [_found_line(search, found, every, reading, shown)]
    if reading.verdict == "proven":
        lines.append(beyond_line(shown, _where(program, search.golden)))
    if chance > CHANCE:
        lines.append(
            f"the samples hold so little that {chance:.1g} of the {search.tried:.1g} configurations tried would give "
            "them by chance: record more rows, or more digits"
        )
    if not search.is_whole:
        lines.append("not every configuration could be tried in the time given")
    lines += alternative_lines(others)
    if more:
        lines.append(f"{more} more come as close, and give other outputs elsewhere: record more rows, or more digits")
    unused = best.unused(task.pool)
    lines += [f"left unused: {', '.join(unused)}"] if unused else []
    return Identified(
        task.path, status, tuple(lines), recipe_of(best, task.pool, task.path.stem), network, reading, tuple(others),
        None, search.tried, shown, best, task.opened.sha256,
    )  # fmt: skip


def _where(program: Program, golden: Golden) -> str:
    """In which range inputs are looked for that lead beyond the samples."""
    if is_documented(program):
        return "in the documented range"
    return "in the samples' range, a tenth wider" if shows_range(golden.inputs) else "of any size"


def _found_line(
    search: Search, found: Sequence[Explained], every: Sequence[Hit], reading: Reading, shown: tuple[Extent, ...]
) -> str:
    golden = search.golden
    line = f"{reading.verdict} by {len(golden.inputs)} samples"
    if reading.verdict == "proven":
        line += f", as far as they lead ({within(shown)} before the activation)"
    line += f": given to {closeness(found[0].fit, (golden.outputs,), (golden.resolution,))}"
    known = {id(each.hit) for each in found}
    rest = [hit for hit in every if id(hit) not in known and hit.residual > found[0].hit.residual]
    if rest:
        return f"{line}; the next best lies {min(hit.residual for hit in rest):.2g} of an output's size away"
    return f"{line}; no other of about {search.tried:.1g} configurations comes within a thousandth"


def _chance(search: Search, best: Explained) -> float:
    """How many of the configurations that were tried would give these samples by chance."""
    golden = search.golden
    with np.errstate(all="ignore"):
        width = 2 * (golden.resolution / np.maximum(golden.scale, 1e-300) + best.hit.residual)
        bits = -np.log10(np.clip(width, 1e-16, 1.0))
    usable = np.isfinite(golden.outputs) & np.isfinite(bits) & _telling(golden)
    return float(search.tried * 10 ** -min(float(np.sum(bits[usable])), 300.0))


def _telling(golden: Golden) -> Array:
    """(rows, m) where an output is neither zero nor what another input gives too: a dead unit or a bound gives that."""
    found: Array = np.zeros(golden.outputs.shape, bool)
    _, first = np.unique(golden.inputs, axis=0, return_index=True)
    for column in range(found.shape[1]):
        values, own, counts = np.unique(golden.outputs[first, column], return_index=True, return_counts=True)
        found[first[own[(counts == 1) & (values != 0)]], column] = True
    return found


def _judged(network: Network, golden: Golden, samples: Path) -> Reading:
    """By the rule of every report; what has no other readings is settled by what was searched."""
    program = build_program(network)
    limits = port_limits(program, outside=False)
    numbered, flagged = flags_as_numbers(program, as_samples(golden, samples))
    claims = tuple(
        replace(claim, evidence="assumed") if claim.evidence == "declared" else claim for claim in network.claims
    )
    question = Question(
        Formula(numbered), claims, flagged, limits, lambda claim: other_claims(numbered, claim), SETTLED
    )
    return judge_reading(question, other_readings(numbered, network.claims))


# --- what was not found ---------------------------------------------------------------------------------------------


def _unexplained(task: _Task, search: Search, best: Hit, factor: float) -> Identified:
    """Something comes close, and no arithmetic explains what is left."""
    found = Nearest.of(task.pool, best.candidate, search.golden)
    lines = [
        f"the best configuration comes within {best.residual:.2g} of an output's size, {factor:.3g} times what "
        "arithmetic explains: nothing is proven",
        *found.lines(),
    ]
    return Identified(
        task.path, "none", tuple(lines), recipe_of(best.candidate, task.pool, task.path.stem), None, None, (),
        found.residuals, search.tried, (), best.candidate, task.opened.sha256,
    )  # fmt: skip


def _nothing(task: _Task, search: Search, chains: Skeletons) -> Identified:
    """Nothing comes close."""
    tell("looking for what comes nearest")
    found = nearest(search, chains, seconds=8.0)
    lines = [f"none of about {search.tried:.1g} configurations gives the samples"]
    lines += found.lines() if found is not None else []
    lines += _outside(search, chains[0].used if chains else frozenset())
    lines += left_over_lines(task.pool, chains)
    lines += never_used_lines(task.pool, chains, _scaling_names(search), search.golden.inputs.shape[1])
    lines += repeated_lines(task.pool)
    lines += coverage_lines(search, chains)
    candidate = None if found is None else found.candidate
    return Identified(
        task.path, "none", tuple(lines), None, None, None, (),
        None if found is None else found.residuals, search.tried, (), candidate, task.opened.sha256,
    )  # fmt: skip


def _scaling_names(search: Search) -> set[str]:
    """Every array that may scale an end of this width."""
    widths = search.golden.inputs.shape[1], search.golden.outputs.shape[1]
    return {
        str(vector)
        for width, others, first in ((*widths, True), (*widths[::-1], False))
        for end in ends(search.pool, frozenset(), width, first=first, others=others)
        if end.recipe is not None
        for vector in end.recipe.vectors
    }


def _outside(search: Search, used: frozenset[str]) -> list[str]:
    """Samples outside of what the file itself calls the range of its inputs."""
    inputs = search.golden.inputs
    width, others = inputs.shape[1], search.golden.outputs.shape[1]
    for end in ends(search.pool, used, width, first=True, others=others):
        if (
            end.recipe is not None
            and end.recipe.rule == "[-1,1]"
            and end.oddness == 0
            and not is_bias_name(str(end.recipe.minimum))
            and search.pool.vector(str(end.recipe.minimum)).size == width  # and no range of something else
        ):
            t = inputs * end.scale + end.offset
            count = int(np.sum(np.any(np.abs(t) > 1 + 1e-6, axis=1)))
            if count:
                return [f"{count} of {len(inputs)} rows lie outside {end.recipe.minimum} to {end.recipe.maximum}"]
            return []
    return []
