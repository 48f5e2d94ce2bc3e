"""A folder opened for reading, where a family keeps one array a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import AccessError, DamagedFileError, MissingMemberError, NotHdf5Error, StoredTypeError
from porter.formats.opened import OpenedFile, is_saved_model_folder, open_file, os_reason
from porter.formats.text import LARGEST, numbers, read_lines

Array = NDArray[Any]

MOST_FILES = 20_000


@dataclass
class OpenedFolder(OpenedFile):
    """The regular files of one folder; links and subfolders are not followed.

    Attributes:
        names: of the files, sorted.
        taken: names of those that were read, with their digests.
    """

    names: tuple[str, ...] = ()
    taken: dict[str, str] = field(default_factory=dict)

    @property
    def is_hdf5(self) -> bool:
        """Never."""
        return False

    @property
    def hdf5(self) -> Any:
        """There is none.

        Raises:
            NotHdf5Error: always.
        """
        raise NotHdf5Error(f"{self.path} is a folder", expected="an HDF5 file", remedy="name one of the files in it")

    def links(self) -> tuple[str, ...]:
        """Names of the links in it, sorted, of which none is followed."""
        links = [entry.name for entry in self.path.iterdir() if entry.is_symlink() and not entry.name.startswith(".")]
        return tuple(sorted(links))

    def matrix(self, name: str) -> Array:
        """A file of numbers, a row a line, separated by commas or blanks; (rows, columns) float64.

        Raises:
            MissingMemberError: no such file.
            UnreadableError: it holds no matrix.
        """
        if name not in self.names:
            raise MissingMemberError(
                f"{self.path} has no {name!r}",
                found=", ".join(map(repr, self.names[:12])) + (", ..." if len(self.names) > 12 else ""),
                expected="every array of the network in a file of its own",
                remedy="get the whole folder",
            )
        with open_file(self.path / name) as opened:
            self.taken[name] = opened.sha256
            where, lines = str(opened.path), read_lines(opened)
        split = (line.replace(",", " ").replace(";", " ").split() for line in lines)
        rows = [numbers(f"{where}, line {number}", words) for number, words in enumerate(split, start=1) if words]
        if not rows or len({row.size for row in rows}) > 1:
            raise DamagedFileError(
                f"{where} is no matrix",
                found="no numbers"
                if not rows
                else f"lines of {', '.join(map(str, sorted({r.size for r in rows})))} values",
                expected="as many values in every line",
            )
        return np.array(rows)

    def digest(self) -> str:
        """Hexadecimal digest of the names and the contents of all files that were read."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.taken.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def is_plain_folder(path: Path) -> bool:
    """Whether a path is a folder of files; not a SavedModel, nor a name that the system does not take."""
    try:
        return path.is_dir() and not is_saved_model_folder(path)
    except OSError:
        return False


def open_folder(path: Path) -> OpenedFolder:
    """List a folder; nothing is read yet.

    Raises:
        AccessError: the operating system does not let us.
        StoredTypeError: more files, or more bytes, than a network has.
    """
    try:
        entries = [entry for entry in path.iterdir() if entry.is_file() and not entry.is_symlink()]
        sizes = [entry.stat().st_size for entry in entries[: MOST_FILES + 1]]
    except OSError as error:
        raise AccessError(f"{path} cannot be listed", found=os_reason(error)) from error
    if len(entries) > MOST_FILES:
        raise StoredTypeError(f"{path} is no network", found=f"more than {MOST_FILES:,} files")
    names = tuple(sorted(entry.name for entry in entries if not entry.name.startswith(".")))
    return OpenedFolder(path, b"", min(sum(sizes), LARGEST), "", names=names)


def stems(names: Iterable[str], ending: str) -> list[str]:
    """What stands before an ending, of all names that have it."""
    return [name.removesuffix(ending) for name in names if name.endswith(ending)]
