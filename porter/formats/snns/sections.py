"""The text of an SNNS network definition: a header of ``name : value``, then sections, each a table in bars."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from porter.errors import DamagedFileError, DuplicateMemberError, MissingMemberError, TruncatedFileError

DEFAULTS, TYPES = "unit default section", "type definition section"
UNITS, CONNECTIONS = "unit definition section", "connection definition section"
SITES, DELAYS = "site definition section", "time delay section"
_TITLE = re.compile(r"([\w ]+ section)\s*:\s*")
_RULE = re.compile(r"[-|]*-[-|]*")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        place: the file and the line, for messages.
        fields: what stands between the bars, without blanks around it.
    """

    place: str
    fields: list[str]


@dataclass(frozen=True)
class Definition:
    """The parts of a file.

    Attributes:
        where: the file, for messages.
        header: values by name.
        tables: rows by the title of their section.
    """

    where: str
    header: Mapping[str, str]
    tables: Mapping[str, Sequence[Row]]

    def table(self, title: str) -> Sequence[Row]:
        """The rows of a section that has to be there.

        Raises:
            MissingMemberError: it is not.
        """
        if title not in self.tables:
            raise MissingMemberError(
                f"{self.where} has no {title}",
                found=", ".join(self.tables) or "no section at all",
                remedy="copy or download the file again",
            )
        return self.tables[title]


def divided(where: str, lines: Sequence[str]) -> Definition:
    """Header and tables; lines that begin with # are comments.

    Raises:
        TruncatedFileError: a table that is not closed.
        DuplicateMemberError: two sections of one title.
    """
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    rest = [(number, line) for number, line in numbered if line and not line.startswith("#")][::-1]
    header: dict[str, str] = {}
    tables: dict[str, list[Row]] = {}
    while rest:
        number, line = rest.pop()
        title = _TITLE.fullmatch(line)
        if title is None:
            if tables and not _RULE.fullmatch(line):
                raise DamagedFileError(
                    f"{where}, line {number}", found=repr(line[:40]), expected="the title of a section"
                )
            name, colon, value = line.partition(":")
            if colon:
                header.setdefault(name.strip(), value.strip())
            continue
        if title[1] in tables:
            raise DuplicateMemberError(f"{where}, line {number}: a second {title[1]}", expected="one")
        tables[title[1]] = _rows(where, title[1], rest)
    return Definition(where, header, tables)


def _rows(where: str, title: str, rest: list[tuple[int, str]]) -> list[Row]:
    """What stands between two rules of dashes; the names of the columns stand above the first."""
    rules = 0
    rows: list[Row] = []
    while rest:
        number, line = rest.pop()
        if _RULE.fullmatch(line):
            rules += 1
            if rules > 1:
                return rows
        elif rules:
            rows.append(Row(f"{where}, line {number}", [field.strip() for field in line.split("|")]))
    raise TruncatedFileError(
        f"{where} ends in its {title}",
        found=f"{len(rows):,} lines of it",
        expected="a line of dashes behind the last",
        remedy="copy or download the file again",
    )
