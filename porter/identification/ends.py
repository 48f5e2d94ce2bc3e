"""How the inputs and the outputs may be scaled, by vectors of the file that no layer takes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.recipe_ends import EndRecipe
from porter.identification.pool import Pool, base_name, is_bias_name, is_number_of_line, is_scaling_name

Array = NDArray[Any]

MOST_VECTORS = 7
"""Of one length, of which every pair is tried; of more, those that lie beside each other or are called alike."""
FACTORS = (None, 2.0 / 3.0)
"""Of a deviation; 2/3 goes with LeCun's tanh."""


@dataclass(frozen=True)
class End:
    """One way to scale an end: t = scale * x + offset into the network's units.

    Attributes:
        recipe: how a recipe says it; None where the end is not scaled.
        scale: (n,) float64.
        offset: (n,) float64.
        pairs: (n, 2) what the recipe's rule scales by.
        oddness: how seldom vectors of such names are taken together, and so, and at this end.
    """

    recipe: EndRecipe | None
    scale: Array
    offset: Array
    pairs: Array | None = None
    oddness: float = 0.0

    def __str__(self) -> str:
        if self.recipe is None:
            return "none"
        vectors = " and ".join(
            _spelt(key, value) for key, value in zip(self.recipe.given, self.recipe.vectors, strict=True)
        )
        words = [self.recipe.chosen_rule if self.recipe.rule is None else self.recipe.rule, f"by {vectors}"]
        words += [f"times {self.recipe.factor:.4g}"] if self.recipe.factor is not None else []
        words += [f"to {self.recipe.low:g}"] if self.recipe.low is not None else []
        words += ["the other way round"] if self.recipe.inverse else []
        return " ".join(words)


def _spelt(key: str, value: Any) -> str:
    return f"{key} {value if isinstance(value, str) else format(value, '.6g')}"


def no_end(width: int) -> End:
    """The end that is not scaled."""
    return End(None, np.ones(width), np.zeros(width))


def ends(pool: Pool, used: frozenset[str], width: int, *, first: bool, others: int) -> list[End]:
    """Ways to scale an end of so many columns, that of none first.

    Args:
        pool: the arrays.
        used: those that the layers take.
        width: of this end.
        first: whether it is the inputs' end.
        others: how many columns the other end has: a vector may hold both, the inputs first.
    """
    names = _vectors(pool, used, width, first=first, others=others)
    found = [no_end(width)]
    for one, two in _pairs(names):
        found += [end for recipe in _recipes(pool, one, two) if (end := _end(pool, recipe, width)) is not None]
    for name in names:
        if is_bias_name(name):  # by itself an offset like any other, which a layer's bias would be too
            continue
        singles = [EndRecipe(gain=name), EndRecipe(std=name), EndRecipe(offset=name)]
        found += [end for recipe in singles if (end := _end(pool, recipe, width)) is not None]
    told = [replace(end, oddness=_oddness(end.recipe, first=first)) for end in found]
    return _distinct(sorted(told, key=lambda end: end.oddness))


def _vectors(pool: Pool, used: frozenset[str], width: int, *, first: bool, others: int) -> list[str]:
    """Names of vectors of this width, of both ends' widths together cut to it, and of single numbers."""
    found = []
    whole = width + others
    for name, vector in pool.vectors.items():
        if name in used or base_name(name) in used or (width > 1 and is_number_of_line(name)):
            continue
        if vector.size == width:
            found.append(name)
        elif vector.size == whole and "[" not in name:
            found.append(f"{name}[0:{width}]" if first else f"{name}[{others}:{whole}]")
        elif vector.size == 1 and is_scaling_name(name):
            found.append(name)
    return found


def _pairs(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    every = list(itertools.permutations(names, 2))
    if len(names) <= MOST_VECTORS:
        yield from every
        return
    place = {name: number for number, name in enumerate(names)}
    for one, two in every:
        if base_name(one) == base_name(two) or abs(place[one] - place[two]) == 1 or _are_alike(one, two):
            yield one, two


def _oddness(recipe: EndRecipe | None, *, first: bool) -> float:
    if recipe is None:
        return 0.0
    names = [str(vector) for vector in recipe.vectors]
    told = sum(_speaks_against(name, key, first=first) for key, name in zip(recipe.given, names, strict=True))
    if len(names) == 1:
        return 0.7 + told
    one, two = names
    apart = 0.0 if base_name(one) == base_name(two) or _are_alike(one, two) else 0.8
    return apart + told + 0.5 * recipe.inverse + 0.2 * (recipe.low is not None)


WORDS = {
    "minimum": r"min(imum)?|low(er)?|lo|xmin|ymin",
    "maximum": r"max(imum)?|high|hi|upper|xmax|ymax",
    "mean": r"means?|avg|average|moy|mu|ymean|xmean",
    "std": r"std|stdev|stddev|sd|sigma|dev(iation)?",
    "variance": r"var(iance)?",
    "offset": r"offsets?|xoffset|yoffset|shift",
    "gain": r"gains?|scale|factor|slope",
}
"""Of names, by what they say that a vector is."""
ENDS = {True: r"in|ins|inputs?|x|features?", False: r"out|outs|outputs?|y|targets?"}


def _speaks_against(name: str, key: str, *, first: bool) -> float:
    """How much a vector's name says that it is something else, or the other end's."""
    words = re.split(r"[^a-z]+", re.sub(r"\[.*", "", name).lower())
    said = {each for each, pattern in WORDS.items() if any(re.fullmatch(pattern, word) for word in words)}
    sides = {side for side, pattern in ENDS.items() if any(re.fullmatch(pattern, word) for word in words)}
    other = is_bias_name(name) or (bool(said) and key not in said)
    return 0.6 * other + 0.6 * (sides == {not first})


def _are_alike(one: str, two: str) -> bool:
    """Whether the names differ in one word only, as ``x_min`` and ``x_max`` do."""
    words = [name.replace(".", "_").replace("/", "_").split("_") for name in (one, two)]
    return len(words[0]) == len(words[1]) and sum(a != b for a, b in zip(*words, strict=True)) == 1


def _recipes(pool: Pool, one: str, two: str) -> Iterator[EndRecipe]:
    a, b = pool.vector(one).astype(np.float64), pool.vector(two).astype(np.float64)
    if a.size != b.size:
        return
    if np.all(b > a):
        yield from (EndRecipe(minimum=one, maximum=two, rule=rule) for rule in ("[-1,1]", "[0,1]", "[0.1,0.9]"))
    if np.all(b > 0):
        yield from (EndRecipe(mean=one, std=two, factor=factor) for factor in FACTORS)
        yield EndRecipe(mean=one, std=two, inverse=True)
        yield EndRecipe(offset=one, gain=two)
        yield EndRecipe(offset=one, gain=two, low=-1.0)
        yield EndRecipe(offset=one, gain=two, inverse=True)
        yield EndRecipe(mean=one, variance=two)


def _end(pool: Pool, recipe: EndRecipe, width: int) -> End | None:
    with np.errstate(all="ignore"):
        pairs = recipe.pairs(lambda name: _read(pool, name))
        if len(pairs) == 1:
            pairs = np.broadcast_to(pairs, (width, 2))
        first, second = pairs.astype(np.float64).T
        if recipe.chosen_rule == "mean-std":
            scale, offset = 1 / second, -first / second
        else:
            factor, centre = (2.0, 1.0) if recipe.chosen_rule == "[-1,1]" else (1.0, 0.0)
            scale = factor / (second - first)
            offset = -first * scale - centre
    good = np.isfinite(scale).all() and np.isfinite(offset).all() and np.all(scale > 0)
    return End(recipe, scale, offset, pairs) if good else None


def _read(pool: Pool, name: Any) -> Array:
    vector = pool.vector(name)
    return vector.reshape(()) if vector.size == 1 else vector


def _distinct(found: Sequence[End]) -> list[End]:
    """Without those that scale as an earlier one does, to 38 bits."""
    kept: dict[bytes, End] = {}
    for end in found:
        mantissa, exponent = np.frexp(np.concatenate([end.scale, end.offset]))
        kept.setdefault(np.round(mantissa * 2.0**38).tobytes() + exponent.tobytes(), end)
    return list(kept.values())


def plausible(candidates: Sequence[End], values: Array) -> list[End]:
    """The same, those first that bring values (rows, n) to where networks work: within some units of zero."""

    def strangeness(end: End) -> float:
        with np.errstate(all="ignore"):
            t = values * end.scale + end.offset
            size = np.sqrt(np.mean(t**2))
        if not np.isfinite(size) or size == 0:
            return 99.0
        inside = end.recipe is None or "minimum" not in end.recipe.given or bool(np.all(np.abs(t) <= 1.2))
        return abs(float(np.log10(size))) + (0.0 if inside else 1.0) + end.oddness

    return sorted(candidates, key=strangeness)
