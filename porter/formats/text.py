"""Text files as untrusted input: decoded once, and every number checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import AccessError, DamagedFileError, NonFiniteError, StoredTypeError, TruncatedFileError
from porter.formats.opened import OpenedFile, os_reason

Array = NDArray[Any]

LARGEST = 256 << 20
"""Bytes of text that are read at all: thirty times the largest network that was ever printed."""
LARGEST_COUNT = 10**8
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_LONGEST = 400
_PAGES = dict.fromkeys(map(ord, "\f\v\x1c\x1d\x1e\x85\u2028\u2029"), " ")


def is_text(opened: OpenedFile) -> bool:
    """Whether the file's beginning may be text at all."""
    return bool(opened.head) and b"\0" not in opened.head and not opened.is_hdf5


def read_lines(opened: OpenedFile) -> list[str]:
    """The lines of a text file; Latin-1 where it is no UTF-8, as old headers are.

    Raises:
        StoredTypeError: more than any network in text.
        AccessError: the operating system does not let us.
    """
    if opened.size > LARGEST:
        raise StoredTypeError(
            f"{opened.path} is too long for a network in text", found=f"{opened.size:,} bytes", expected=f"{LARGEST:,}"
        )
    try:
        raw = opened.path.read_bytes()
    except OSError as error:
        raise AccessError(f"{opened.path} cannot be read", found=os_reason(error)) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    # Counted as editors do: a form feed begins no line. It is no part of a number either.
    lines = text.translate(_PAGES).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def numbers(where: str, words: Sequence[str], count: int | None = None, dtype: Any = np.float64) -> Array:
    """Words as an array.

    Args:
        where: place of the words, for messages.
        words: as they are printed; Fortran's ``1.0D+00`` too.
        count: how many there should be; any number where None.
        dtype: in which the original software holds them.

    Raises:
        TruncatedFileError: fewer.
        DamagedFileError: more, or a word that is no number.
        NonFiniteError: NaN or infinite, as printed or in that dtype.
    """
    if count is not None and len(words) != count:
        kind = TruncatedFileError if len(words) < count else DamagedFileError
        raise kind(
            f"{where}: the numbers are not as many as they should be",
            found=f"{len(words):,}",
            expected=f"{count:,}",
            remedy="copy or download the file again",
        )
    values = np.array([_number(where, word) for word in words], np.float64)
    with np.errstate(over="ignore"):
        array = values.astype(dtype)
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise NonFiniteError(
            f"{where} has values that are no numbers",
            found=f"{bad.size} of {array.size}, the first {words[int(bad[0])]!r}",
            expected=f"finite values in {np.dtype(dtype).name}",
            remedy="the network diverged in training, or the file is damaged: get another",
        )
    return array


def _number(where: str, word: str) -> float:
    if len(word) > _LONGEST or _NUMBER.fullmatch(word) is None:
        raise DamagedFileError(f"{where}: a word is no number", found=repr(word[:40]), expected="a number")
    return float(word.lower().replace("d", "e"))


def count(where: str, word: str, least: int = 1) -> int:
    """A word as a count.

    Raises:
        DamagedFileError: no whole number from ``least`` to a hundred million.
    """
    if not re.fullmatch(r"\d{1,9}", word) or not least <= int(word) <= LARGEST_COUNT:
        raise DamagedFileError(
            f"{where}: no count", found=repr(word[:40]), expected=f"a whole number from {least} to {LARGEST_COUNT:,}"
        )
    return int(word)
