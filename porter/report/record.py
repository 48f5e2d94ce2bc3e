"""A provenance record as text; it comes from a file, so nothing about it is taken for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from porter.report.wording import flatten, printable

NO_RECORD = (
    "no provenance record: porter has not saved this file, or Keras has saved it again since, which drops the record"
)


def render_record(record: Mapping[str, Any] | None, name: str) -> str:
    """The record in lines of text, or a line that there is none.

    Args:
        record: what ``read_provenance`` gave.
        name: of the file, for people.
    """
    if record is None:
        return f"{printable(name)}: {NO_RECORD}\n"
    facts = {key: value for key, value in record.items() if key not in ("claims", "findings", "schema_version")}
    pairs = flatten(facts)
    longest = max((len(key) for key, _ in pairs), default=0)
    lines = [f"{printable(name)}: saved by porter, with this record", ""]
    lines += [f"  {printable(key):<{longest}}  {printable(value)}" for key, value in pairs]
    for title, key, line in (("Conventions", "claims", CLAIM), ("Findings", "findings", FINDING)):
        rows = [_filled(line, row) for row in _list(record.get(key))]
        lines += ["", title, *rows] if rows else []
    return "\n".join(lines) + "\n"


CLAIM = "  {layer}: {convention} {value} ({evidence})"
FINDING = "  {layer}: {code}: {message}"


class _Missing(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def _filled(line: str, row: Any) -> str:
    fields = row if isinstance(row, Mapping) else {}
    return line.format_map(_Missing({str(key): printable(value) for key, value in fields.items()}))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
