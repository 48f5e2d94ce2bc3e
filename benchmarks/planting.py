"""Mistakes planted into ports that are right: what every benchmark that plants them has in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np

Record = dict[str, Any]
Port = TypeVar("Port")
Expected = tuple[tuple[frozenset[str], str], ...]

ANY = "*"
"""Stands for the row of a mistake that belongs to no single one."""
KINDS = {
    "single": "One mistake",
    "different layers": "Two mistakes, in different layers",
    "same layer": "Two mistakes, in the same layer",
    "three": "Three mistakes",
}
REPEATS = {"different layers": 4, "same layer": 4, "three": 8}
"""How many of each kind are planted into each network, where more than one mistake at a time is."""
GROUPS = {"pairs": ("different layers", "same layer"), "threes": ("three",)}
"""What the command line calls them."""
ARRAYS = ("shown", "hidden")
UNTOLD = frozenset({"unexplained"})
ROUNDINGS = frozenset({"kernel.precision", "precision.port"})
OTHER_NUMBERS = frozenset({"kernel.values", "bias.values"})
TRIES = 200


@dataclass(frozen=True)
class Planted(Generic[Port]):
    """A port with mistakes in it, and what they should be called.

    Attributes:
        port: its description.
        expected: for each mistake, the codes that name it rightly and the row that it is at.
        options: what ``porter.verify`` is told beside.
        layer: of the port, whose outputs show it; "" where the row says it.
        random: whether it makes the outputs random, so that it differs without a measurement.
        hidden: names of the port's layers that hide their arrays.
        as_lambda: whether they do so as Lambda layers.
    """

    port: Port
    expected: Expected
    options: dict[str, Any] = field(default_factory=dict)
    layer: str = ""
    random: bool = False
    hidden: frozenset[str] = frozenset()
    as_lambda: bool = False

    @property
    def rows(self) -> set[str]:
        """Where its mistakes are."""
        return {row for _, row in self.expected}


@dataclass(frozen=True)
class Wanted:
    """What a run is to plant.

    Attributes:
        names: of mistakes, and of ``GROUPS``; all where empty.
        arrays: which of ``ARRAYS``.
        pasting: whether printed remedies are run.
    """

    names: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ARRAYS
    pasting: bool = True

    def has(self, name: str) -> bool:
        """Whether mistakes of that name are planted."""
        return not self.names or name in self.names

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """Kinds of several mistakes at once, each as often as it is planted: (kind, number)."""
        kinds = [kind for group, kinds in GROUPS.items() if self.has(group) for kind in kinds]
        return [(kind, number) for kind in kinds for number in range(REPEATS[kind])]


@dataclass(frozen=True)
class Trial(Generic[Port]):
    """A port to be verified.

    Attributes:
        kind: of ``KINDS``.
        name: of its mistakes.
        planted: the port.
        true: whether each of its mistakes differs beyond rounding.
    """

    kind: str
    name: str
    planted: Planted[Port]
    true: bool


def together(mistakes: Sequence[Planted[Port]]) -> Planted[Port]:
    """Mistakes planted one after another, as those of the last port."""
    options = {name: value for one in mistakes for name, value in one.options.items()}
    return replace(mistakes[-1], expected=tuple(each for one in mistakes for each in one.expected), options=options)


def draw_several(
    names: Sequence[str],
    kind: str,
    plant: Callable[[str, Any], Planted[Port] | None],
    right: Port,
    rng: np.random.Generator,
    are_apart: Callable[[Sequence[str], Sequence[Planted[Port]]], bool],
    last: Collection[str] = (),
) -> tuple[str, list[Planted[Port]]] | None:
    """Mistakes that do not cover or undo one another; None where no try finds them.

    Args:
        names: of mistakes that may be planted together.
        kind: of ``KINDS``: how many, and whether in one layer. Three are in as many layers as they come.
        plant: a mistake of a name into a port.
        right: the port that is right.
        rng: the source of randomness.
        are_apart: whether all of those mistakes, planted one after another, can be seen.
        last: names of those that are planted behind all others.

    Returns:
        their names, and each as planted into the port that has those before it.
    """
    if len(names) < 3:
        return None
    for _ in range(TRIES):
        drawn = rng.choice(list(names), 3 if kind == "three" else 2, replace=False).tolist()
        chosen = sorted(drawn, key=lambda name: name in last)
        port, made = right, list[Planted[Port]]()
        for name in chosen:
            planted = plant(name, port)
            if planted is None:
                break
            made.append(planted)
            port = planted.port
        if len(made) == len(chosen) and _are_placed(kind, made) and are_apart(chosen, made):
            return " + ".join(chosen), made
    return None


def _are_placed(kind: str, made: Sequence[Planted[Any]]) -> bool:
    """Whether two mistakes are in different layers, or in the same, as they should be."""
    return kind == "three" or bool(made[0].rows & made[1].rows) == (kind == "same layer")


def draw_hidden(
    rng: np.random.Generator, layers: Sequence[str], rows: Collection[str], row_of: Callable[[str], str] = str
) -> frozenset[str]:
    """The layers that hide their arrays: all, or those of the mistakes and some others.

    Args:
        rng: the source of randomness.
        layers: of the port, that have arrays.
        rows: of the mistakes.
        row_of: the row of a layer.
    """
    everywhere, drawn = rng.random() < 0.5, rng.random(len(layers)) < 0.3
    pairs = zip(layers, drawn, strict=True)
    some = frozenset(name for name, other in pairs if other or row_of(name) in rows)
    return some if some and not everywhere else frozenset(layers)


def where_hidden(
    right: Port,
    made: Sequence[Planted[Port]],
    hidden: Collection[str],
    is_read: Callable[[Port, Port, str, frozenset[str]], bool],
) -> Planted[Port]:
    """Mistakes planted one after another, and what they may be called where the port hides arrays.

    Numbers that are read out are good to three digits: a rounding that shows there is other numbers. Where one mistake
    of a layer is finer than that, or nothing can be read out of it, that it is unexplained is all that can be said.

    Args:
        right: the port before them.
        made: the mistakes, as they are called where arrays are shown.
        hidden: rows whose layers hide their arrays.
        is_read: whether numbers read out at a row show a mistake of such codes, given the ports before and after it.
    """
    whole = together(made)
    if not hidden:
        return whole
    before = [right, *(one.port for one in made[:-1])]
    unread = {
        row
        for port, one in zip(before, made, strict=True)
        for codes, row in one.expected
        if row in hidden or row == ANY
        if not is_read(port, one.port, row, codes)
    }
    return replace(whole, expected=tuple((_where_hidden(codes, row in unread), row) if row in {*hidden, ANY}
                                         else (codes, row) for codes, row in whole.expected))  # fmt: skip


def _where_hidden(codes: frozenset[str], is_unread: bool) -> frozenset[str]:
    numbers = ROUNDINGS | OTHER_NUMBERS if codes & ROUNDINGS else frozenset[str]()
    return codes | numbers | (UNTOLD if is_unread else frozenset())


def matches(expected: Expected, named: tuple[str, str]) -> bool:
    """Whether a finding names one of the mistakes rightly, where it is."""
    return any(named[0] in codes and row in (ANY, named[1]) for codes, row in expected)


def is_true(expected: Expected, named: tuple[str, str]) -> bool:
    """Whether a finding is true of one of the mistakes: of a port that is rounded, that a layer is."""
    is_rounded = any("precision.port" in codes for codes, _ in expected)
    return matches(expected, named) or (is_rounded and named[0] == "kernel.precision")


def judged(report: Any, record: Record, trial: Trial[Any]) -> Record:
    """What was named held against what should be.

    Args:
        report: of ``porter.verify``; None where it broke down.
        record: what is kept of the report.
        trial: the port that was verified.
    """
    planted = trial.planted
    findings = report.findings if report is not None else []
    named = [(finding.code, finding.layer) for finding in findings]
    return {
        **record,
        "kind": trial.kind,
        "name": trial.name,
        "arrays": "hidden" if planted.hidden else "shown",
        "true": bool(trial.true),
        "expected": [(sorted(codes), row) for codes, row in planted.expected],
        "detected": record["verdict"] == "mismatch",
        "layer": all(row == ANY or any(row == at for _, at in named) for _, row in planted.expected),
        "first": bool(named) and matches(planted.expected, named[0]),
        "all": all(any(matches((one,), other) for other in named) for one in planted.expected),
        "sound": not any(finding.certain and not is_true(planted.expected, (finding.code, finding.layer))
                         for finding in findings),
    }  # fmt: skip
