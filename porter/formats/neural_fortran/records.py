"""What Fortran writes list-directed: an array begins a line, and goes on over as many lines as it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from porter.errors import DamagedFileError, TruncatedFileError
from porter.formats.text import count

SINGLE_DIGITS = 9
"""Significant digits that a number in single precision has at most."""
_REPEATED = re.compile(r"([1-9]\d{0,8})\*(.*)")


class Records:
    """Lines with something in them, taken array by array.

    Args:
        where: the file, for messages.
        lines: of the file.
    """

    def __init__(self, where: str, lines: Sequence[str]) -> None:
        self.where = where
        self._lines = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()][::-1]

    @property
    def left(self) -> int:
        """How many lines are left."""
        return len(self._lines)

    def line(self, what: str) -> tuple[str, list[str]]:
        """The next line: its place, and its words.

        Raises:
            TruncatedFileError: there is none.
        """
        if not self._lines:
            raise TruncatedFileError(f"{self.where} ends before {what}", remedy="copy or download the file again")
        number, line = self._lines.pop()
        return f"{self.where}, line {number}", line.replace(",", " ").split()

    def peek(self) -> list[str]:
        """The words of the next line, which stays; none at the end."""
        return self._lines[-1][1].split() if self._lines else []

    def array(self, what: str, size: int) -> list[str]:
        """The words of an array that fills its lines to the end.

        Raises:
            TruncatedFileError: the file ends in it.
            DamagedFileError: its last line has more.
        """
        words: list[str] = []
        while len(words) < size:
            place, found = self.line(f"the end of {what}: {len(words):,} of {size:,} values")
            words += _expanded(place, found, size)
            if len(words) > size:
                raise DamagedFileError(
                    f"{place}: {what} is longer than it should be",
                    expected=f"{size:,} values, the last at a line's end",
                )
        return words


def _expanded(place: str, words: Sequence[str], most: int) -> Iterator[str]:
    """``3*0.5`` as three words."""
    for word in words:
        match = _REPEATED.fullmatch(word)
        if match is None:
            yield word
            continue
        times = count(place, match[1])
        if times > most:
            raise DamagedFileError(f"{place}: repeated too often", found=word[:40], expected=f"{most:,} values")
        yield from [match[2]] * times


def digits(word: str) -> int:
    """Significant digits of a printed number."""
    return len(re.split(r"[eEdD]", word)[0].lstrip("+-0.").replace(".", ""))
