"""Where the arrays of a network lie among the members of a file, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from porter.errors import DuplicateMemberError, MissingMemberError, UnknownMemberError

KERNEL_GROUPS = ("weights", "weight", "w", "kernels", "kernel")
BIAS_GROUPS = ("bias", "biases", "b")
SINGLE = ("layers", "norm_in", "norm_out")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Layout:
    """The stored names of what makes a network; None for what is not there.

    Attributes:
        kernels: one a layer, in order of computation.
        biases: one a layer.
        widths: the dataset that states the widths (``Layers``).
        norm_in: ranges of the inputs.
        norm_out: ranges of the outputs.
        named: orientations that the names of the kernels say, one a layer; empty where names say nothing.
    """

    kernels: tuple[str, ...]
    biases: tuple[str | None, ...]
    widths: str | None = None
    norm_in: str | None = None
    norm_out: str | None = None
    named: tuple[str | None, ...] = ()


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts ``Layer10`` after ``Layer9``."""
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part)


def has_kernels(names: Iterable[str]) -> bool:
    """Whether there is a group of kernels among stored names."""
    return any(name.count("/") == 1 and name.partition("/")[0].lower() in KERNEL_GROUPS for name in names)


def locate(where: str, datasets: Iterable[str], groups: Iterable[str]) -> Layout:
    """Find the kernels, the biases and what goes with them.

    Args:
        where: the file, for messages.
        datasets: full names.
        groups: full names.

    Raises:
        UnknownMemberError: something that the format does not have.
        DuplicateMemberError: two members for one place.
        MissingMemberError: a layer, a kernel or a bias is not there.
    """
    roots: dict[str, dict[str, str]] = {"kernels": {}, "biases": {}, **{name: {} for name in SINGLE}}
    owners: dict[str, str] = {}
    for group in groups:
        _claim(where, owners, _root(where, group, group=True), group)
    for dataset in datasets:
        group, slash, member = dataset.rpartition("/")
        role = _root(where, group if slash else dataset, group=bool(slash))
        _claim(where, owners, role, group if slash else dataset)
        roots[role][member] = dataset
    kernels = _ordered(where, roots["kernels"])
    biases = _paired(where, kernels, roots["biases"])
    single = {name: next(iter(roots[name].values()), None) for name in SINGLE}
    return Layout(
        tuple(kernels.values()), biases, widths=single["layers"], norm_in=single["norm_in"], norm_out=single["norm_out"]
    )


def _root(where: str, name: str, *, group: bool) -> str:
    """The role of a group, or of a dataset outside of groups."""
    lower = name.lower()
    if group and lower in KERNEL_GROUPS:
        return "kernels"
    if group and lower in BIAS_GROUPS:
        return "biases"
    if not group and lower in SINGLE:
        return lower
    raise UnknownMemberError(
        f"{where}: {'group' if group else 'dataset'} {name!r} is not part of this format",
        expected="groups Weights and Bias (or kernel, W, b, ...), datasets Layers, Norm_in, Norm_out",
        remedy="name the arrays that count in a recipe: --recipe net.toml; what it does not name is left alone",
    )


def _claim(where: str, owners: dict[str, str], role: str, name: str) -> None:
    if owners.setdefault(role, name) != name:
        raise DuplicateMemberError(
            f"{where}: two members for the {role}",
            found=f"{owners[role]!r} and {name!r}",
            expected="one of them",
            remedy="say which one counts in a recipe: --recipe net.toml",
        )


def _ordered(where: str, members: Mapping[str, str]) -> dict[str, str]:
    """Kernels by member name in natural order, complete."""
    if not members:
        raise MissingMemberError(f"{where} has no kernels", expected="a group Weights with Layer1, Layer2, ...")
    names = sorted(members, key=natural_key)
    _check_numbers(where, "kernel", names)
    return {name: members[name] for name in names}


def _number(name: str) -> int | None:
    """The last number in a member's name."""
    found = _NUMBER.findall(name)
    return int(found[-1]) if found else None


def _check_numbers(where: str, what: str, names: Sequence[str]) -> None:
    """Numbers run without gaps or repetition; Keras leaves the number of the first layer out, or starts anywhere."""
    by_number: dict[int, str] = {}
    _check_stems(where, what, names)
    for name in names:
        number = _number(name) or 0
        if number in by_number:
            raise DuplicateMemberError(
                f"{where}: two {what} members for the same layer",
                found=f"{by_number[number]!r} and {name!r}",
                remedy="say which one counts in a recipe: --recipe net.toml",
            )
        by_number[number] = name
    first = min(by_number)
    if first > 1 and not names[0].lower().startswith("dense"):
        first = 1
    missing = [number for number in range(first, max(by_number)) if number not in by_number]
    if missing:
        present = ", ".join(map(repr, names[:12]))
        raise MissingMemberError(
            f"{where}: the {what} of {_spell(by_number[max(by_number)], missing[0])!r} is missing",
            found=present,
            expected="members numbered without a gap",
            remedy="get the whole file, or name the layers that count in a recipe",
        )


def _check_stems(where: str, what: str, names: Sequence[str]) -> None:
    """All members are called alike, so that their numbers alone tell their order."""
    stems: dict[str, str] = {}
    for name in names:
        last = [*_NUMBER.finditer(name), None][-2:][0]
        stem = name if last is None else f"{name[: last.start()].rstrip('_-.')}#{name[last.end() :]}"
        stems.setdefault(stem.removesuffix("#"), name)
    if len(stems) > 1:
        raise UnknownMemberError(
            f"{where}: the order of the {what} members cannot be told from their names",
            found=", ".join(map(repr, stems.values())),
            expected="names that differ in their number only: Layer1, Layer2, ...",
            remedy="name the layers in order in a recipe: --recipe net.toml",
        )


def _spell(pattern: str, number: int) -> str:
    """The name that a missing member would have."""
    matches = list(_NUMBER.finditer(pattern))
    last = matches[-1]
    return f"{pattern[: last.start()]}{number}{pattern[last.end() :]}"


def _paired(where: str, kernels: Mapping[str, str], biases: Mapping[str, str]) -> tuple[str | None, ...]:
    """For each kernel the bias of the same name, or of the same number; none at all where there are no biases."""
    if not biases:
        return (None,) * len(kernels)
    _check_numbers(where, "bias", sorted(biases, key=natural_key))
    same_names = set(kernels) & set(biases)
    keys = {name: name if same_names else _number(name) for name in (*kernels, *biases)}
    by_key = {keys[name]: stored for name, stored in biases.items()}
    for ours, theirs, what in ((kernels, biases, "bias"), (biases, kernels, "kernel")):
        there = {keys[name] for name in theirs}
        for name in ours:
            if keys[name] not in there:
                raise MissingMemberError(
                    f"{where}: {ours[name]!r} has no {what}",
                    found=", ".join(map(repr, theirs.values())),
                    expected="a kernel and a bias for every layer, or no biases at all",
                    remedy="get the whole file, or say in a recipe that this layer has none",
                )
    return tuple(by_key[keys[name]] for name in kernels)
