"""A configuration as the recipe that says it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tomlkit

from porter.formats.recipe import VERSION
from porter.formats.recipe_places import MEMBER, SET, set_of
from porter.identification.candidate import Candidate, Member
from porter.identification.ends import End
from porter.identification.pool import Pool
from porter.identification.skeletons import KernelReading


def recipe_of(candidate: Candidate, pool: Pool, name: str) -> dict[str, Any]:
    """The recipe as plain data, ready for ``porter.formats.recipe.Recipe``."""
    members = [member_names(member) for member in candidate.members]
    marks = ensemble_marks(members) if candidate.rule is not None else None
    found: dict[str, Any] = {"version": VERSION, "name": name}
    common = members[0] if marks is None else _with_marks(members, marks)
    found["layers"] = [
        _layer(reading, activation, common)
        for reading, activation in zip(candidate.layers, candidate.activations, strict=True)
    ]
    scaling = {
        key: _end(end, pool, common)
        for key, end in (("input", candidate.members[0].before), ("output", candidate.members[0].after))
        if end.recipe is not None
    }
    found |= {"scaling": scaling} if scaling else {}
    found |= _around(candidate, marks)
    return found


def _around(candidate: Candidate, marks: Sequence[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    transforms = {
        key: functions[0] if len(set(functions)) == 1 else list(functions)
        for key, functions in (("input", candidate.functions_in), ("output", candidate.functions_out))
        if set(functions) != {"identity"}
    }
    if transforms:
        found["transforms"] = transforms
    if candidate.bounds is not None:
        bounds = candidate.bounds
        values = (bounds.least, bounds.greatest, bounds.tolerance)
        entries = zip(("least", "greatest", "tolerance"), bounds.names, values, strict=True)
        found["bounds"] = {
            key: value.tolist() if text is None else text
            for key, text, value in entries
            if not (key == "tolerance" and np.isinf(value).all())
        }
    if candidate.rule is not None and marks is not None:
        found["ensemble"] = {"members": list(marks), "rule": candidate.rule}
    return found


def _layer(reading: KernelReading, activation: str, common: Mapping[str, str]) -> dict[str, Any]:
    table: dict[str, Any] = {"kernel": common[reading.array]}
    if reading.bias is not None:
        table["bias"] = common[reading.bias]
    if reading.bias_in is not None:
        table["bias_in"] = reading.bias_in
    table["orientation"] = reading.orientation
    if reading.shape is not None:
        table["shape"] = list(reading.shape)
    if reading.order != "C":
        table["order"] = reading.order
    return table | {"activation": activation}


def _end(end: End, pool: Pool, common: Mapping[str, str]) -> dict[str, Any]:
    assert end.recipe is not None
    table: dict[str, Any] = end.recipe.model_dump(exclude_none=True, exclude_defaults=True)
    for key in end.recipe.given:
        values = pool.vector(table[key])
        if values.size == 1 < end.scale.size:
            table[key] = [float(values[0])] * end.scale.size
        else:
            table[key] = common.get(table[key], table[key])
    return table


# --- ensembles ------------------------------------------------------------------------------------------------------


def member_names(member: Member) -> dict[str, str]:
    """The arrays that a member takes, each by its own name."""
    names = [name for reading in member.layers for name in (reading.array, reading.bias) if name is not None]
    for end in (member.before, member.after):
        if end.recipe is not None:
            names += [str(vector) for vector in end.recipe.vectors]
    return {name: name for name in names}


def ensemble_marks(members: Sequence[Mapping[str, str]]) -> list[str] | None:
    """What stands for the member in the names of its kernels, one each; None where names do not show members."""
    patterns = [re.split(r"(?<=[_./])|(?=[_./])", next(iter(names))) for names in members]
    if len({len(pattern) for pattern in patterns}) != 1:
        return None
    varying = [place for place, words in enumerate(zip(*patterns, strict=True)) if len(set(words)) > 1]
    if not varying:
        return None
    first, last = varying[0], varying[-1]
    marks = ["".join(pattern[first : last + 1]) for pattern in patterns]
    return marks if len(set(marks)) == len(marks) else None


def _with_marks(members: Sequence[Mapping[str, str]], marks: Sequence[str]) -> dict[str, str]:
    """The first member's names, with ``{i}`` or ``{set}`` where the member's mark or its set's stands in all alike."""
    found: dict[str, str] = {}
    for names in zip(*members, strict=True):
        found[names[0]] = names[0]
        for sign, own in ((SET, [set_of(mark) for mark in marks]), (MEMBER, marks)):
            if all(own):
                spelt = {_marked(name, mark, sign) for name, mark in zip(names, own, strict=True)}
                if len(spelt) == 1 and sign in next(iter(spelt)):
                    found[names[0]] = spelt.pop()
    return found


def _marked(name: str, mark: str, sign: str) -> str:
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(mark)}(?![A-Za-z0-9])", sign, name)


# --- TOML -----------------------------------------------------------------------------------------------------------


def recipe_text(recipe: Mapping[str, Any], comments: Sequence[str]) -> str:
    """The recipe as TOML, with these lines of comment before it."""
    document = tomlkit.document()
    for line in comments:
        document.add(tomlkit.comment(line))
    for key, value in recipe.items():
        if key == "layers":
            continue
        document.add(key, tomlkit.item(value))
    layers = tomlkit.aot()
    for layer in recipe["layers"]:
        table = tomlkit.table()
        for key, value in layer.items():
            table.add(key, value)
        layers.append(table)
    document.add("layers", layers)
    return tomlkit.dumps(document)
