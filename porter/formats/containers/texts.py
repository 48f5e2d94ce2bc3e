"""Numbers in text, of no format: blocks of lines with as many numbers each, or one matrix a file in a folder."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, DuplicateMemberError, StoredSymlinkError, StoredTypeError, UnreadableError
from porter.formats.arrays.names import names_an_array, passes_over
from porter.formats.containers.held import Held
from porter.formats.containers.npy import read_npy
from porter.formats.folders import OpenedFolder
from porter.formats.opened import OpenedFile, open_file
from porter.formats.said import may_name_activations
from porter.formats.text import is_text, numbers, read_lines

Array = NDArray[Any]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
_NAME = re.compile(r"(?!(?:nan|inf)|(?:na|null|none|nil|missing)$)[a-z_][\w.:()/\[\]-]*", re.IGNORECASE)
_DOCUMENT = re.compile(r"(readme|licen[cs]e|copying|notice|authors|changelog|citation)(?![a-z])", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
_COMMENT = ("#", "%", "!")
TEXT_ENDINGS = (".txt", ".csv", ".tsv", ".tab", ".dat", ".asc", ".prn")
NO_ARRAYS = (".keras", ".toml", ".html", ".png", ".jpg", ".svg", ".pdf")
"""Endings of ports, recipes, reports and pictures, which are no stored arrays whatever they are called."""
_REMEDY = (
    "keep one matrix a file, a row a line; take what is no part of the network out of the folder, or name what is in a "
    "recipe: porter inspect FOLDER --write-recipe net.toml writes one to begin with"
)


def holds_numbers(opened: OpenedFile) -> bool:
    """Whether text begins with, or holds in its first lines, lines of numbers."""
    if not is_text(opened) or opened.data is not None or isinstance(opened, OpenedFolder):
        return False
    lines = opened.head.decode("latin-1").splitlines()[:-1] or opened.head.decode("latin-1").splitlines()
    return sum(_words(line) is not None for line in lines) >= 1


def read_text(opened: OpenedFile) -> Held:
    """Every block of lines with as many numbers each, (lines, numbers), called ``lines 3-7``.

    Raises:
        UnreadableError: no text, or one without numbers, or with decimal commas.
    """
    found = dict(_blocks(str(opened.path), read_lines(opened)))
    if not found:
        raise StoredTypeError(f"{opened.path} holds no lines of numbers", expected="a matrix, a row a line")
    return Held(found)


def _blocks(where: str, lines: list[str]) -> Iterator[tuple[str, Array]]:
    rows: list[list[float]] = []
    start = 0
    for number, line in enumerate([*lines, ""], start=1):
        words = _words(line)
        if rows and (words is None or len(words) != len(rows[0])):
            yield f"lines {start}-{number - 1}", np.array(rows)
            rows = []
        if words is not None:
            _check_signs(where, number, line)
            start = number if not rows else start
            rows.append(words)


def _words(line: str) -> list[float] | None:
    """The numbers of a line of nothing else."""
    words = line.replace(",", " ").replace(";", " ").split()
    if not words or not all(_NUMBER.fullmatch(word) for word in words):
        return None
    return [float(word.lower().replace("d", "e")) for word in words]


# --- one matrix a file ----------------------------------------------------------------------------------------------


def key_of(name: str) -> str:
    """What the array in a file of a folder is called: the file's name without the ending that says what it is."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and f".{ending.lower()}" in (*TEXT_ENDINGS, ".npy") else name


def read_folder(folder: OpenedFolder) -> Held:
    """The matrices of a folder's text files, (rows, columns), and its .npy, by file name without its ending.

    Text without numbers is passed over, unless its name may be that of activations, and so is what neither its name
    nor its contents call an array.

    Raises:
        UnreadableError: a file that may be part of the network and cannot be read as one matrix.
    """
    found: dict[str, Array] = {}
    for key, array in read_members(folder).items():
        if not isinstance(array, UnreadableError):
            found[key] = array
        elif not passes_over(key):
            raise array
    return Held(found, texts_beside(folder))


def texts_beside(folder: OpenedFolder) -> dict[str, Any]:
    """What the files of a folder say under names that may be those of activations, by file name without its ending."""
    found: dict[str, Any] = {}
    for name in folder.names:
        key = key_of(name).removesuffix(".json")
        if name in folder.taken or names_an_array(key) or not may_name_activations(key) or "." in key:
            continue
        with suppress(UnreadableError):
            opened = open_file(folder.path / name)
            if is_text(opened):
                found[key] = _words_of(read_lines(opened))
                folder.taken[name] = opened.sha256
    return found


def _words_of(lines: Sequence[str]) -> Any:
    """What stands in the lines: a text, or a list of them; JSON as one text."""
    texts = [line.strip() for line in lines if line.strip()]
    is_json = texts and texts[0].startswith(("{", "["))
    return "".join(texts) if len(texts) == 1 or is_json else texts


def read_members(folder: OpenedFolder, *, by_file: bool = False) -> Mapping[str, Array | UnreadableError]:
    """The same, with the refusal in the place of what cannot be read as one matrix.

    Args:
        folder: to be read.
        by_file: whether files that differ in their endings alone are called by their whole names, and are not refused.
    """
    found: dict[str, Array | UnreadableError] = {}
    names = (*folder.names, *folder.links())
    alike = Counter(map(key_of, names)) if by_file else Counter()
    for name in names:
        key = name if alike[key_of(name)] > 1 else key_of(name)
        try:
            array = read_member(folder, name)
        except UnreadableError as error:
            found[key] = error
            continue
        if array is not None and key in found:
            found[key] = DuplicateMemberError(
                f"{folder.path}: {name!r} and another file of that name claim one place", remedy=_REMEDY
            )
        elif array is not None:
            found[key] = array
    return found


def read_member(folder: OpenedFolder, name: str) -> Array | None:
    """One file's matrix, (rows, columns), or its .npy; None where it is none of the network's.

    Raises:
        UnreadableError: it may be part of the network, by its name, its ending or its first line, and cannot be read.
    """
    path, is_table = folder.path / name, key_of(name) != name
    is_named = names_an_array(key_of(name)) and not name.lower().endswith(NO_ARRAYS)
    may_be_one = is_named or (is_table and not _DOCUMENT.match(name))
    if path.is_symlink():
        if not may_be_one:
            return None
        found = repr(os.readlink(path))
        raise StoredSymlinkError(f"{path} is a link, which is not followed", found=found, remedy="copy the file itself")
    try:
        opened = open_file(path)
    except UnreadableError:
        if may_be_one:
            raise
        return None
    if name.lower().endswith(".npy"):
        array = read_npy(opened)
    elif is_text(opened):
        lines = read_lines(opened)
        numbers_show = _has_numbers(name, lines) if is_table else _begins_with_numbers(lines)
        if not numbers_show and (not is_named or (not is_table and _is_prose(lines))):
            return None
        array = read_matrix(str(path), lines)
    elif may_be_one:
        raise StoredTypeError(f"{path} is no text", expected="a matrix of numbers in text, or .npy", remedy=_REMEDY)
    else:
        return None
    folder.taken[name] = opened.sha256
    return array


def _has_numbers(name: str, lines: Sequence[str]) -> bool:
    """Whether there is any number in a text; in one that documents the others, a line of nothing else."""
    if _DOCUMENT.match(name):
        return any(_words(line) is not None for line in lines)
    return any(map(_is_number, _bare_words(lines)))


def _is_prose(lines: Sequence[str]) -> bool:
    """Whether a text, such as a program, has more words than numbers."""
    words = list(_bare_words(lines))
    numeric = sum(map(_is_number, words))
    return sum(word[:1].isalpha() for word in words) - sum(map(_is_nan, words)) > numeric


def _bare_words(lines: Sequence[str]) -> Iterator[str]:
    return (word.strip("[](){}\"'=:") for line in lines for word in _SEPARATOR.split(line))


def _begins_with_numbers(lines: Sequence[str]) -> bool:
    first = next((line for line in lines if line.strip()), "")
    return all(map(_is_number, _cells(first)))


def _is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None or _is_nan(word)


def _is_nan(word: str) -> bool:
    return re.fullmatch(r"[+-]?(nan|inf(inity)?)", word.lower()) is not None


def _cells(line: str) -> list[str]:
    """What a line has between its separators; an empty cell is one, but for a separator at the end."""
    return _SEPARATOR.split(re.sub(r"\s*[,;]?\s*$", "", line.lstrip()))


def read_matrix(where: str, lines: Sequence[str]) -> Array:
    """The one matrix of a text, (rows, columns) float64, with both axes whatever their sizes.

    Comments (``#``, ``%``, ``!``) before and after it are passed over, and a line of as many different names as it has
    columns above it.

    Args:
        where: the file, for messages.
        lines: of the text.

    Raises:
        DamagedFileError: several blocks of numbers, a line of something else among them, rows of several lengths.
        NonFiniteError: a number that is NaN or infinite.
        StoredTypeError: no numbers at all.
    """
    comments = {number for number, line in enumerate(lines, start=1) if line.lstrip().startswith(_COMMENT)}
    kept = {number: line for number, line in enumerate(lines, start=1) if line.strip() and number not in comments}
    cells = {number: _cells(line) for number, line in kept.items()}
    first = next(iter(cells), 0)
    heads = [word.strip("\"'") for word in cells.get(first, ())]
    if len(cells) > 1 and all(map(_NAME.fullmatch, heads)) and len(set(heads)) == len(heads):
        del cells[first]
        widths = {len(words) for words in cells.values()}
        if widths != {len(heads)}:
            raise _no_matrix(
                where, f"names of {len(heads)} columns in line {first}, {_listed(widths)} values in those below"
            )
    if not cells:
        raise StoredTypeError(f"{where} holds no numbers", expected="a matrix, a row a line", remedy=_REMEDY)
    for number, words in cells.items():
        strange = next((word for word in words if not _is_number(word)), None)
        if strange is not None:
            raise _no_matrix(where, f"{strange[:40]!r} in line {number}, which is no number")
        _check_signs(where, number, kept[number])
    for before, after in itertools.pairwise(cells):
        if after > before + 1:
            raise _no_matrix(where, f"two blocks of numbers: to line {before} and from line {after}")
        if len(cells[after]) != len(cells[before]):
            raise _no_matrix(where, f"{len(cells[before])} values in line {before}, {len(cells[after])} in the next")
    return np.array([numbers(f"{where}, line {number}", words) for number, words in cells.items()])


def _check_signs(where: str, number: int, line: str) -> None:
    """Refuse a line with several signs between its numbers."""
    if len({text.strip() for text in _SEPARATOR.findall(line.strip().rstrip(",;"))}) > 1:
        raise _no_matrix(where, f"several signs between the numbers of line {number}, as decimal commas would be")


def read_rows(where: str, lines: Sequence[str], first: int, last: int) -> Array:
    """The matrix that some lines of a text are, (rows, columns); a name in front of every row is none of its numbers.

    Rows of which the last alone is shorter are one run of numbers, (numbers,), as Fortran breaks what is longer than a
    line.

    Args:
        where: the file, for messages.
        lines: of the text.
        first: the first of them, counted from 1.
        last: the last of them.

    Raises:
        DamagedFileError: no such lines, or something in them that is no number, or rows of several lengths.
        NonFiniteError: a number that is NaN or infinite.
    """
    meant = f"{where}: lines {first}-{last}"
    if not first <= last <= len(lines):
        raise DamagedFileError(meant, found=f"{len(lines):,} lines", expected="first-last, of these lines")
    kept = {number: lines[number - 1] for number in range(first, last + 1) if lines[number - 1].strip()}
    rows = {number: _cells(line) for number, line in kept.items()}
    if rows and all(len(words) > 1 and not _is_number(words[0].strip("\"'")) for words in rows.values()):
        rows = {number: words[1:] for number, words in rows.items()}
    for number, words in rows.items():
        strange = next((word for word in words if not _is_number(word)), None)
        if strange is not None:
            raise _no_numbers(meant, f"{strange[:40]!r} in line {number}, which is no number")
        _check_signs(where, number, kept[number])
    found = [numbers(f"{where}, line {number}", words) for number, words in rows.items()]
    widths = {len(row) for row in found}
    if len(widths) == 1:
        return np.array(found)
    if not found or {len(row) for row in found[:-1]} != {max(widths)}:
        raise _no_numbers(meant, f"{_listed(widths) or 'no'} values in lines {first} to {last}")
    return np.concatenate(found)


def _no_numbers(meant: str, found: str) -> DamagedFileError:
    return DamagedFileError(
        meant,
        found=found,
        expected="as many numbers in every line but the last, and a name in front of every line or of none",
        remedy="check the lines in the recipe, counted from 1",
    )


def _listed(widths: set[int]) -> str:
    return " and ".join(map(str, sorted(widths)))


def _no_matrix(where: str, found: str) -> DamagedFileError:
    return DamagedFileError(
        f"{where} is not one matrix", found=found, expected="as many numbers in every line", remedy=_REMEDY
    )
