"""Ensembles: arrays that come in sets alike, one set a member, and the rule that makes the members' outputs one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.recipe_places import set_of
from porter.identification.candidate import Candidate, Member, merged
from porter.identification.candidates import COMMON, activation
from porter.identification.columns import OUTPUTS
from porter.identification.ends import End, ends, plausible
from porter.identification.forward import CLOSE
from porter.identification.pool import Pool
from porter.identification.refining import Hit, refined
from porter.identification.skeletons import KernelReading, Skeleton, skeletons
from reference.composed.ensemble import PLAIN, WITHIN
from reference.operations.transforms import FUNCTIONS

if TYPE_CHECKING:
    from porter.identification.driver import Search

Array = NDArray[Any]

RULES = (PLAIN, WITHIN)
CHAINS, FRONTS, BACKS = 6, 30, 40
MOST_SEQUENCES = 700
OUTPUT = ("linear", "tanh", "sigmoid", "relu")
SEPARATORS = r"[_./\- ]"


@dataclass(frozen=True)
class Grouping:
    """Arrays that belong to members.

    Attributes:
        marks: what stands for each member in its arrays' names.
        roles: for each member, its arrays' names by what is left without the mark.
        shared: names of the arrays that belong to no member alone.
    """

    marks: tuple[str, ...]
    roles: tuple[Mapping[str, str], ...]
    shared: tuple[str, ...]

    def of_member(self, name: str, member: int) -> str:
        """The array of another member in the place of one of the first's; of its set where it is a set's."""
        own = {value: key for key, value in self.roles[0].items()}
        if name in own:
            return self.roles[member][own[name]]
        first, other = set_of(self.marks[0]), set_of(self.marks[member])
        plain, bracket, rest = name.partition("[")
        if first and first != other:
            plain = re.sub(rf"(?<![A-Za-z0-9]){re.escape(first)}(?![A-Za-z0-9])", other, plain)
        return plain + bracket + rest


def groupings(pool: Pool) -> Iterator[Grouping]:
    """Ways to tell members by the ends of their names; those with the most members first."""
    found: list[Grouping] = []
    for words in (1, 2):
        by_mark: dict[str, dict[str, str]] = {}
        for name in pool.arrays:
            parts = re.split(f"({SEPARATORS})", name)
            if len(parts) > 2 * words:
                mark, role = "".join(parts[-2 * words + 1 :]), "".join(parts[: -2 * words])
                by_mark.setdefault(mark, {})[role] = name
        found += list(_alike(pool, by_mark))
    yield from sorted(found, key=lambda each: -len(each.marks) * len(each.roles[0]))


def _alike(pool: Pool, by_mark: Mapping[str, Mapping[str, str]]) -> Iterator[Grouping]:
    families: dict[frozenset[str], list[str]] = {}
    for mark, roles in by_mark.items():
        families.setdefault(frozenset(roles), []).append(mark)
    for kinds, marks in families.items():
        kernels = [role for role in kinds if pool.arrays[by_mark[marks[0]][role]].ndim == 2]
        if len(marks) > 1 and len(kinds) > 1 and kernels:
            own = tuple(by_mark[mark] for mark in marks)
            taken = {name for each in own for name in each.values()}
            yield Grouping(tuple(marks), own, tuple(name for name in pool.arrays if name not in taken))


def ensembles(search: Search) -> list[Hit]:
    """Ensembles of networks with one output that give the samples."""
    if search.golden.outputs.shape[1] != 1:
        return []
    for grouping in groupings(search.pool):
        first = Pool({name: search.pool.arrays[name] for name in (*grouping.roles[0].values(), *_shared(grouping))})
        inputs = search.golden.inputs.shape[1]
        hits: list[Hit] = []
        for chain in skeletons(first, inputs, 1, CHAINS):
            if chain.used <= set(grouping.roles[0].values()):
                hits += _of_chain(search, grouping, first, chain)
            if hits:
                return hits
    return []


def _shared(grouping: Grouping) -> list[str]:
    """Arrays of all members, and of the first one's set."""
    sets = {set_of(mark) for mark in grouping.marks} - {"", set_of(grouping.marks[0])}
    return [name for name in grouping.shared if not sets & set(re.split(SEPARATORS, name))]


def _of_chain(search: Search, grouping: Grouping, first: Pool, chain: Skeleton) -> list[Hit]:
    golden = search.golden
    width = chain.widths[0]
    fronts = plausible(ends(first, chain.used, width, first=True, others=1), golden.inputs)[:FRONTS]
    backs = plausible(ends(first, chain.used, 1, first=False, others=width), golden.outputs)[:BACKS]
    sequences = _sequences(len(chain.slots) - 1)
    found: list[Hit] = []
    for layers in itertools.islice(itertools.product(*(slot.plain for slot in chain.slots)), 8):
        try:
            members = [_member_layers(search.pool, grouping, layers, n) for n in range(len(grouping.marks))]
            before = [[_end(search.pool, grouping, end, n) for end in fronts] for n in range(len(members))]
            after = [[_end(search.pool, grouping, end, n) for end in backs] for n in range(len(members))]
        except (KeyError, ValueError):
            continue
        search.tried += len(fronts) * len(backs) * len(sequences) * len(OUTPUT) * len(RULES)
        for candidate in _matching(search, members, before, after, sequences):
            hit = refined(search.pool, candidate, golden, chain.cost)
            if hit.residual <= CLOSE * 10:
                found.append(hit)
    return found


def _sequences(hidden: int) -> list[tuple[str, ...]]:
    """Activations of the hidden layers."""
    if len(COMMON) ** hidden <= MOST_SEQUENCES:
        return list(itertools.product(COMMON, repeat=hidden))
    return [(name,) * hidden for name in COMMON]


def _member_layers(
    pool: Pool, grouping: Grouping, layers: Sequence[KernelReading], member: int
) -> tuple[KernelReading, ...]:
    """The same layers of another member.

    Raises:
        ValueError: they do not follow each other there.
    """
    found, width = [], layers[0].canonical(pool)[0].shape[0]
    for reading in layers:
        bias = None if reading.bias is None else grouping.of_member(reading.bias, member)
        own = replace(reading, array=grouping.of_member(reading.array, member), bias=bias)
        kernel, vector = own.canonical(pool)
        if kernel.shape[0] != width or (vector is not None and vector.size != kernel.shape[1]):
            raise ValueError(own.array)
        width = kernel.shape[1]
        found.append(own)
    return tuple(found)


def _end(pool: Pool, grouping: Grouping, end: End, member: int) -> End:
    """The same scaling by the vectors of another member or its set."""
    if end.recipe is None:
        return end
    names = {key: grouping.of_member(str(getattr(end.recipe, key)), member) for key in end.recipe.given}
    recipe = end.recipe.model_copy(update=names)
    pairs = np.broadcast_to(recipe.pairs(lambda name: pool.vector(str(name))), (end.scale.size, 2)).astype(np.float64)
    first, second = pairs.T
    if recipe.chosen_rule == "mean-std":
        return End(recipe, 1 / second, -first / second, pairs)
    factor, centre = (2.0, 1.0) if recipe.chosen_rule == "[-1,1]" else (1.0, 0.0)
    scale = factor / (second - first)
    return End(recipe, scale, -first * scale - centre, pairs)


def _matching(
    search: Search,
    members: Sequence[tuple[KernelReading, ...]],
    before: Sequence[Sequence[End]],
    after: Sequence[Sequence[End]],
    sequences: Sequence[tuple[str, ...]],
) -> Iterator[Candidate]:
    golden, screen = search.golden, search.screen
    wanted = screen.whole[:, 0]
    close = 2 * CLOSE * (np.abs(wanted) + golden.scale[0]) + 2 * np.max(golden.resolution)
    z = np.stack(
        [_preactivations(search.pool, layers, ways, sequences, screen.inputs)
         for layers, ways in zip(members, before, strict=True)], axis=-1,
    )  # fmt: skip
    width = golden.inputs.shape[1]
    for name in OUTPUT:
        a = activation(name)(z)
        for back, function, rule in itertools.product(range(len(after[0])), OUTPUTS[:4], RULES):
            own = [ways[back] for ways in after]
            values = (a - np.array([end.offset[0] for end in own])) / np.array([end.scale[0] for end in own])
            with np.errstate(all="ignore"):
                one = FUNCTIONS[function](merged(values.reshape(-1, len(members)), rule).reshape(values.shape[:-1]))
                right = np.all(np.abs(one - wanted) <= close, axis=-1)
            for front, sequence in np.argwhere(right):
                yield Candidate(
                    tuple(Member(layers, ways[front], end)
                          for layers, ways, end in zip(members, before, own, strict=True)),
                    (*sequences[sequence], name), ("identity",) * width, (function,), rule,
                )  # fmt: skip


def _preactivations(
    pool: Pool,
    layers: Sequence[KernelReading],
    ways: Sequence[End],
    sequences: Sequence[tuple[str, ...]],
    inputs: Array,
) -> Array:
    """(fronts, sequences, rows) what the last layer has before its activation."""
    parts = [reading.canonical(pool) for reading in layers]
    fed = np.stack([inputs * end.scale + end.offset for end in ways])
    known: dict[tuple[str, ...], Array] = {(): fed}
    found = []
    with np.errstate(all="ignore"):
        for names in sequences:
            for place, name in enumerate(names):
                if names[: place + 1] not in known:
                    kernel, bias = parts[place]
                    z = known[names[:place]] @ kernel
                    known[names[: place + 1]] = activation(name)(z if bias is None else z + bias)
            kernel, bias = parts[-1]
            z = known[names] @ kernel
            found.append((z if bias is None else z + bias)[..., 0])
    return np.stack(found, axis=1)
