"""Which arrays are kernels and which biases, by what they are called: ``W1 b1``, ``fc1.weight``, ``coefs_0``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import Literal

from porter.errors import DuplicateMemberError, MissingMemberError, UnknownMemberError
from porter.formats.members import Layout, natural_key

Role = Literal["kernel", "bias"]

_KERNEL = "weights?|kernels?|w|coefs?|wgts?"
_BIAS = "bias(?:es)?|b|intercepts?"
_ROLE = re.compile(rf"(?:(.+)[_\- ])?(?:({_KERNEL})|({_BIAS}))[_\- ]?(\d*)", re.IGNORECASE)
WIDTHS = ("layers", "layer_sizes", "sizes", "widths", "dims")
BESIDE = ("inputs", "outputs", "x", "y", "x_test", "y_test")
"""Samples that lie in the same file; they are passed over."""
_NAMED = (
    ("inputs-first", re.compile(r"(.*[/.])?coefs_+(\d+|\[\d+\])")),
    ("inputs-first", re.compile(r"[^]})]+[/.]kernel(:\d+)?")),
    ("inputs-first", re.compile(r"(.*/)?linear(_\d+)?/w(:\d+)?")),
    ("units-first", re.compile(r"[^]})]+\.weight")),
)
"""What libraries call their kernels, and which way round they keep them by definition: scikit-learn, Keras and Flax,
Haiku and Sonnet; PyTorch. A bracket is a place in somebody's own lists."""
MOST_TO_ORDER = 7
_SAY = "say what each is in a recipe: --write-recipe net.toml writes one to begin with"


def role_of(name: str) -> tuple[Role, str] | None:
    """What an array is by its name, and which layer's; None where its name does not say."""
    parts = [part for part in re.split(r"[/.]+", _without_braces(re.sub(r":\d+$", "", name))) if part]
    for place in reversed(range(len(parts))):
        match = _ROLE.fullmatch(parts[place])
        if match is not None:
            prefix, kernel, _, number = match.groups()
            rest = [*parts[:place], prefix or "", number, *parts[place + 1 :]]
            return "kernel" if kernel else "bias", "/".join(part for part in rest if part)
    return None


def names_an_array(name: str) -> bool:
    """Whether a name says that it is an array of a network: a kernel, a bias, widths or ranges."""
    last = re.split(r"[/.]", name)[-1].lower()
    return role_of(name) is not None or last in ("norm_in", "norm_out", *WIDTHS)


def passes_over(name: str) -> bool:
    """Whether what bears that name is passed over: samples beside the arrays."""
    return role_of(name) is None and re.split(r"[/.]", name)[-1].lower() in BESIDE


def orientation_of(name: str) -> str | None:
    """Which way round a kernel of that name stands, as the library that names it so defines it; None for others."""
    return next((orientation for orientation, pattern in _NAMED if pattern.fullmatch(name)), None)


def _without_braces(name: str) -> str:
    """Cells and lists' entries by number; those of MATLAB's network object by the layer they lead to from the last."""
    for pattern in (r"\bIW\{(1)(?:,1)?\}$", r"\bLW\{(\d+),(\d+)\}$"):
        match = re.search(pattern, name)
        if match is not None and (match.lastindex == 1 or int(match[1]) == int(match[2]) + 1):
            return f"{name[: match.start()]}weight{match[1]}"
    return re.sub(r"\{(\d+)\}$|(?<!\d)\[(\d+)\]$", r"\1\2", name)


def locate(where: str, shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """Find the layers, in the order of the numbers in their names, or in the only one in which they chain.

    Args:
        where: the file, for messages.
        shapes: of its arrays of numbers, by stored name.

    Raises:
        UnknownMemberError: an array that nothing says the meaning of, or layers whose order nothing says.
        DuplicateMemberError: two arrays for one place.
        MissingMemberError: no kernel; a kernel without its bias, or the other way round.
    """
    found: dict[str, dict[str, str]] = {"kernel": {}, "bias": {}}
    single: dict[str, str] = {}
    for name in shapes:
        last = re.split(r"[/.]", name)[-1].lower()
        role = role_of(name)
        if last in ("norm_in", "norm_out") or last in WIDTHS:
            single["layers" if last in WIDTHS else last] = name
        elif role is None and not passes_over(name):
            raise UnknownMemberError(
                f"{where}: nothing says what {name!r} is",
                found=f"shape {shapes[name]}",
                expected="kernels and biases: W1 b1, fc1.weight fc1.bias, dense_1/kernel dense_1/bias, coefs_0, ...",
                remedy=_SAY,
            )
        elif role is not None:
            _claim(where, found[role[0]], role[1], name)
    if not found["kernel"]:
        raise MissingMemberError(
            f"{where} holds no kernel",
            found=", ".join(map(repr, shapes)) or "no arrays",
            expected="kernels and biases: W1 b1, fc1.weight fc1.bias, ...",
            remedy=_SAY,
        )
    order = _order(where, found["kernel"], found["bias"], shapes)
    kernels = tuple(found["kernel"][key] for key in order)
    biases = tuple(found["bias"].get(key) for key in order)
    named = tuple(map(orientation_of, kernels))
    return Layout(kernels, biases, single.get("layers"), single.get("norm_in"), single.get("norm_out"), named)


def _claim(where: str, owners: dict[str, str], key: str, name: str) -> None:
    if key in owners:
        raise DuplicateMemberError(f"{where}: {owners[key]!r} and {name!r} claim one place", remedy=_SAY)
    owners[key] = name


def _order(
    where: str, kernels: Mapping[str, str], biases: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> Sequence[str]:
    """The layers in order: by the numbers in their names, or as they chain, where they do in one order only."""
    for ours, theirs, what in ((kernels, biases, "bias"), (biases, kernels, "kernel")):
        missing = [name for key, name in ours.items() if key not in theirs] if biases else []
        if missing:
            raise MissingMemberError(
                f"{where}: {missing[0]!r} has no {what}",
                found=", ".join(map(repr, theirs.values())),
                expected="a kernel and a bias for every layer, or no biases at all",
                remedy=_SAY,
            )
    keys = sorted(kernels, key=natural_key)
    if len({re.sub(r"\d+", "#", key) for key in keys}) == 1:
        return keys
    chaining = list(_chaining(keys, kernels, biases, shapes)) if len(keys) <= MOST_TO_ORDER else []
    numbered = _first_without_number(keys)
    if len(chaining) != 1 and numbered and (tuple(numbered) in chaining or len(keys) > MOST_TO_ORDER):
        return numbered
    if len(chaining) != 1:
        raise UnknownMemberError(
            f"{where}: nothing says in which order the layers follow each other",
            found=", ".join(map(repr, kernels.values())),
            expected="names that differ in their number only, or shapes that fit in one order only",
            remedy="name the layers in order in a recipe: --write-recipe net.toml writes one to begin with",
        )
    return chaining[0]


def _first_without_number(keys: Sequence[str]) -> list[str]:
    """The order of names that differ in their number only, which the first lacks: ``dense``, ``dense_1``; else none."""
    plain = {key: re.sub(r"_\d+(?=/|$)", "", key) for key in keys}
    bare = [key for key in keys if plain[key] == key]
    numbers = {key: [int(number) for number in re.findall(r"_(\d+)(?=/|$)", key)] for key in keys}
    if len(bare) != 1 or len(set(plain.values())) > 1 or any(len({*each}) > 1 for each in numbers.values()):
        return []
    return sorted(keys, key=numbers.__getitem__)


def _chaining(
    keys: Sequence[str], kernels: Mapping[str, str], biases: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> Iterable[tuple[str, ...]]:
    """Every order in which each layer takes what the one before gives, whichever way round its kernel stands."""
    for order in permutations(keys):
        widths: set[int] | None = None
        for key in order:
            shape = shapes[kernels[key]]
            units = max(shapes[biases[key]], default=0) if key in biases else None
            pairs = {(shape[0], shape[-1]), (shape[-1], shape[0])}
            following = {out for into, out in pairs if (widths is None or into in widths) and units in (None, out)}
            if not following:
                break
            widths = following
        else:
            yield order
