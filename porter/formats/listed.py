"""Text that lists numbers by name, a number a line, as R writes and prints them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from porter.errors import DamagedFileError, TruncatedFileError
from porter.formats.opened import OpenedFile
from porter.formats.text import read_lines

LONGEST = 1000
_ROW = re.compile(r"""\s*(?:"((?:[^"]|"")*)"|([^\s"].*?))(?:\s*[,;]\s*|\s+)([^\s,;"]+)\s*""")
_DECIMAL_COMMA = re.compile(r"[;\s]\s*[-+]?\d+,\d+(?:[eE][-+]?\d+)?\s*$")
_SEVERAL = re.compile(r"[\s,;][-+.\d][-+.\deE]*$")


@dataclass(frozen=True)
class NamedNumber:
    """One line.

    Attributes:
        place: the file and the line, for messages.
        name: without quotation marks.
        word: the number as printed.
    """

    place: str
    name: str
    word: str


def numbers_by_name(opened: OpenedFile, mark: str) -> Iterator[NamedNumber]:
    """The lines with something in them; a first one that has not the mark in it is a heading.

    Raises:
        TruncatedFileError: the last line does not end.
        DamagedFileError: a line that is no name with one number.
    """
    lines = [(number, line) for number, line in enumerate(read_lines(opened), start=1) if line.strip()]
    check_end(opened)
    for number, line in lines[0 if lines and mark in lines[0][1] else 1 :]:
        match = _ROW.fullmatch(line) if len(line) <= LONGEST else None
        name = "" if match is None else match[2] if match[1] is None else match[1].replace('""', '"')
        if _DECIMAL_COMMA.search(line):
            raise DamagedFileError(
                f"{opened.path}, line {number}: a decimal comma",
                found=repr(line.strip()[:60]),
                expected="a decimal point",
                remedy="in R: write.csv in the place of write.csv2, or options(OutDec = '.') before printing",
            )
        if match is None or _SEVERAL.search(name):
            raise DamagedFileError(
                f"{opened.path}, line {number}",
                found=repr(line.strip()[:60]),
                expected="a name and one number; of several repetitions, the one that counts",
            )
        yield NamedNumber(f"{opened.path}, line {number}", name, match[3])


def check_end(opened: OpenedFile) -> None:
    """Refuse text whose last line does not end: it may have been cut off within a number.

    Raises:
        TruncatedFileError: it does not.
    """
    with opened.path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)
    if last not in (b"\n", b"\r"):
        raise TruncatedFileError(
            f"{opened.path} ends within a line",
            found=repr(last.decode("latin-1")),
            expected="the end of a line: the last number may have been cut off",
            remedy="copy the file again; if it is whole, add the end of the line",
        )
