"""Numbers in text, of no format: blocks of lines with as many numbers each, by the lines where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import StoredTypeError
from porter.formats.containers.npy import read_npy
from porter.formats.folders import OpenedFolder
from porter.formats.opened import OpenedFile, open_file
from porter.formats.text import is_text, read_lines

Array = NDArray[Any]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
TEXT_ENDINGS = (".txt", ".csv", ".dat", ".asc", "")


def holds_numbers(opened: OpenedFile) -> bool:
    """Whether text begins with, or holds in its first lines, lines of numbers."""
    if not is_text(opened) or opened.data is not None or isinstance(opened, OpenedFolder):
        return False
    lines = opened.head.decode("latin-1").splitlines()[:-1] or opened.head.decode("latin-1").splitlines()
    return sum(_words(line) is not None for line in lines) >= 1


def read_text(opened: OpenedFile) -> dict[str, Array]:
    """Every block of lines with as many numbers each, (lines, numbers), called ``lines 3-7``.

    Raises:
        UnreadableError: no text, or one without numbers.
    """
    found = dict(_blocks(read_lines(opened)))
    if not found:
        raise StoredTypeError(f"{opened.path} holds no lines of numbers", expected="a matrix, a row a line")
    return found


def _blocks(lines: list[str]) -> Iterator[tuple[str, Array]]:
    rows: list[list[float]] = []
    start = 0
    for number, line in enumerate([*lines, ""], start=1):
        words = _words(line)
        if rows and (words is None or len(words) != len(rows[0])):
            yield f"lines {start}-{number - 1}", _array(rows)
            rows = []
        if words is not None:
            start = number if not rows else start
            rows.append(words)


def _array(rows: list[list[float]]) -> Array:
    array = np.array(rows)
    return array.reshape(-1) if 1 in array.shape else array


def _words(line: str) -> list[float] | None:
    """The numbers of a line of nothing else."""
    words = line.replace(",", " ").replace(";", " ").split()
    if not words or not all(_NUMBER.fullmatch(word) for word in words):
        return None
    return [float(word.lower().replace("d", "e")) for word in words]


def read_folder(folder: OpenedFolder) -> dict[str, Array]:
    """The matrices of a folder's text files and .npy, by file name without its ending; what is neither is left out."""
    found: dict[str, Array] = {}
    for name in folder.names:
        stem, dot, ending = name.rpartition(".")
        stem, ending = (stem, f".{ending}") if dot else (name, "")
        with open_file(folder.path / name) as opened:
            if ending == ".npy":
                found[stem] = read_npy(opened)
            elif is_text(opened) and (ending in TEXT_ENDINGS or not dot):
                blocks = dict(_blocks(read_lines(opened)))
                if len(blocks) == 1:
                    found[stem if dot else name] = next(iter(blocks.values()))
            else:
                continue
            folder.taken[name] = opened.sha256
    return found
