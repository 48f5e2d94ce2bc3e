"""Activations that a file names itself, beside its arrays."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reference.activation_names import parse_activation

NAMED = [
    stem + ending
    for stem in ("activation", "act", "nonlinearity", "transfer")
    for ending in ("function", "func", "fun", "fcn", "fn")
]
ONE = frozenset({"activation", "act", "nonlinearity", *NAMED})
SEVERAL = frozenset({"activations", "acts", "nonlinearities", *(name + "s" for name in NAMED)})
LONGEST = 10_000
OUTPUT = ("output", "out", "final", "last")
TABLES = frozenset(
    whose + what
    for whose in ("", "model", "net", "network")
    for what in (
        *("config", "configuration", "metadata", "meta", "params", "hparams"),
        *("hyperparams", "hyperparameters", "settings"),
    )
)


@dataclass(frozen=True)
class Statement:
    """What one attribute says.

    Attributes:
        owner: object that it stands at, "" for the file.
        of: "hidden" or "output" layers, or "" where its name does not tell.
        plural: whether its name speaks of several.
        number: at the end of its name, or None.
        words: spellings, one or several.
    """

    owner: str
    of: str
    plural: bool
    number: int | None
    words: tuple[str, ...]


def said(attributes: Mapping[str, Any], names: Sequence[tuple[str, str | None]]) -> list[str | None]:
    """One spelling a layer, None where the file does not say, or says two things in one place.

    What stands at the kernel goes before what stands at the bias, at the groups around the kernel from the inside out,
    in a list for all layers, in texts with the kernels' numbers, and in one word for all hidden ones.

    Args:
        attributes: by ``"object@name"``, and ``"name"`` for those of the file.
        names: of the kernel, and of the bias or None, of each layer in order.
    """
    statements = [*_statements(attributes)]
    paths = [_around(kernel) for kernel, _ in names]
    shared = [] if len(names) == 1 else [group for group in paths[0] if all(group in path for path in paths)]
    tables = [s.owner for s in statements if _squeezed(s.owner) in TABLES and s.owner not in shared]
    result: list[str | None] = []
    for number, ((kernel, bias), path) in enumerate(zip(names, paths, strict=True)):
        places = [kernel.lower(), *([] if bias is None else [bias.lower()]), *(p for p in path if p not in shared)]
        candidates = [_one(statements, place) for place in places]
        for owner in dict.fromkeys((*shared, "", *tables)):
            candidates += _of_the_whole([s for s in statements if s.owner == owner], number, [k for k, _ in names])
        result.append(next((word for word in candidates if word is not None), None))
    return result


def _of_the_whole(statements: Sequence[Statement], number: int, kernels: Sequence[str]) -> list[str | None]:
    """What is said of one layer by what stands at the file, or at a group of all layers; the closest first."""
    layers = len(kernels)
    is_last = number == layers - 1
    plain = [s for s in statements if s.number is None]
    every = [s for s in plain if not s.of]
    hidden = [s for s in plain if s.of == "hidden"]
    lists = _agreed([s for s in every if s.plural], [n for n in (layers, layers - 1) if n > 0])
    lists = lists or _agreed([s for s in every if not s.plural], [n for n in (layers, layers - 1) if n > 1])
    found: list[str | None] = [lists[number] if number < len(lists) else None]
    found.append(_by_number([s for s in statements if s.number is not None and not s.of], number, kernels))
    if is_last:
        last = [s for s in plain if s.of == "output"]
        return [*found, *_agreed([s for s in last if not s.plural], [1]), *_agreed([s for s in last if s.plural], [1])]
    for lengths in ([layers - 1], [1]):
        for plural in (False, True):
            if words := _agreed([s for s in hidden if s.plural == plural], lengths):
                return [*found, words[number] if len(words) == layers - 1 else words[0]]
    return [*found, *_agreed([s for s in every if not s.plural], [1])]


def _agreed(statements: Sequence[Statement], lengths: Sequence[int]) -> tuple[str, ...]:
    """The words on which all of them agree, if there are as many as may be; none otherwise."""
    different = {s.words for s in statements}
    words = different.pop() if len(different) == 1 else ()
    return words if len(words) in lengths else ()


def _one(statements: Sequence[Statement], place: str) -> str | None:
    """The word for the layer that stands at a place."""
    words = _agreed(
        [s for s in statements if s.owner == place and (s.of, s.plural, s.number) == ("", False, None)], [1]
    )
    return words[0] if words else None


def _by_number(statements: Sequence[Statement], number: int, kernels: Sequence[str]) -> str | None:
    """Of texts numbered as all kernels are, or all but the last, that of one layer."""
    mine = [int(digits[-1]) for kernel in kernels if (digits := re.findall(r"\d+", re.split(r":\d+$", kernel)[0]))]
    theirs = {s.number: _agreed([t for t in statements if t.number == s.number], [1]) for s in statements}
    distinct = len(mine) == len(kernels) == len(set(mine))
    if not distinct or set(theirs) not in (set(mine), set(mine[:-1])) or not all(theirs.values()):
        return None
    return theirs.get(mine[number], (None,))[0]


def _statements(attributes: Mapping[str, Any]) -> Iterator[Statement]:
    for stored, value in attributes.items():
        owner, _, name = stored.rpartition("@")
        yield from _statement(owner, name, value)
        if _squeezed(name) in TABLES and isinstance(value, str) and value.strip().startswith("{"):
            table = _from_json(value)
            for key, entry in table.items() if isinstance(table, dict) else ():
                inner, _, last = (stored.removesuffix(name) + key).rpartition("@")
                yield from _statement(inner, last, entry)


def _statement(owner: str, name: str, value: Any) -> Iterator[Statement]:
    """What an attribute of that name says, if it is one of activations."""
    stem = _squeezed(name).rstrip("0123456789")
    digits = _squeezed(name).removeprefix(stem)
    words = _spellings(value)
    for prefix, layer in itertools.product(("", "hidden", *OUTPUT), ("", "layer", "layers")):
        function = stem.removeprefix(prefix + layer)
        if stem == prefix + layer + function and function in ONE | SEVERAL and words:
            of = "output" if prefix in OUTPUT else prefix
            plural = function in SEVERAL and not digits
            yield Statement(owner.lower(), of, plural, int(digits) if digits else None, words)
            return


def _spellings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) and len(value) > LONGEST:
        return ()
    if isinstance(value, str):
        if _is_known(value):
            return (value.strip(),)
        if value.strip().startswith("["):
            value = _from_json(value)
        else:
            pieces = re.findall(r"(?:[^\s,;|()]|\([^)]*\))+", value)
            value = pieces if pieces and all(_is_known(piece) for piece in pieces) else value.split(",")
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        return ()
    return tuple(word.strip() for word in value)


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_known(text: str) -> bool:
    try:
        return bool(parse_activation(text))
    except ValueError:
        return False


def _squeezed(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign in "abcdefghijklmnopqrstuvwxyz0123456789")


def _around(kernel: str) -> list[str]:
    """The groups around a kernel, from the inside out."""
    signs = [place for place, sign in enumerate(kernel) if sign in "./"]
    return [kernel[:place].lower() for place in reversed(signs)]
