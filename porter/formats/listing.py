"""What ``porter formats`` shows: every family that is read, with an example."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from porter.formats.readers import FAMILIES, Family
from porter.formats.registry import load_installed

SCHEMA_VERSION = 1


def listed() -> tuple[list[Family], list[str]]:
    """The families that have a program, those of installed packages included, and what is wrong with packages."""
    complaints = load_installed()
    return [family for family in FAMILIES.values() if family.program is not None], complaints


def render_families(width: int) -> str:
    """A paragraph a family."""
    families, complaints = listed()
    lines = [line for family in families for line in (*_paragraph(family, width), "")]
    return "\n".join([*lines, *complaints, ""]) if complaints else "\n".join(lines)


def _paragraph(family: Family, width: int) -> Iterator[str]:
    yield family.name
    written = "read and written back" if family.write is not None else "read"
    yield from textwrap.wrap(f"{written}: {family.describes}", width, initial_indent="  ", subsequent_indent="  ")
    if family.example:
        yield f"  $ {family.example}"


def families_json() -> str:
    """The same as JSON."""
    families, complaints = listed()
    rows = [
        {
            "name": family.name,
            "describes": family.describes,
            "written_back": family.write is not None,
            "example": family.example,
        }
        for family in families
    ]
    return json.dumps({"schema_version": SCHEMA_VERSION, "families": rows, "problems": complaints}, indent=2) + "\n"
