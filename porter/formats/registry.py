"""The readers, by name; which of them reads a file is the file's contents' business, not its extension's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from porter.errors import UnknownFormatError
from porter.formats.opened import OpenedFile
from porter.formats.options import ReadOptions
from porter.network import Network


@dataclass(frozen=True)
class Reader:
    """One format.

    Attributes:
        name: key in the registry, and ``WeightFile.format``.
        describes: what its files look like, for the message where none matches.
        matches: whether an opened file is of this format; cheap, and no refusal of its own.
        read: opened file and declared options to a network.
    """

    name: str
    describes: str
    matches: Callable[[OpenedFile], bool]
    read: Callable[[OpenedFile, ReadOptions], Network]


READERS: dict[str, Reader] = {}


def register(reader: Reader) -> Reader:
    """Add a reader; those added first are asked first.

    Raises:
        ValueError: there is a reader of that name already.
    """
    if reader.name in READERS:
        raise ValueError(f"a reader {reader.name!r} is registered already")
    READERS[reader.name] = reader
    return reader


def reader_of(opened: OpenedFile) -> Reader:
    """The first reader that matches.

    Raises:
        UnknownFormatError: none does; the message lists those that exist.
    """
    for reader in READERS.values():
        if reader.matches(opened):
            return reader
    raise UnknownFormatError(
        f"{opened.path} is of no known format",
        found=_contents(opened),
        expected="; or ".join(f"{reader.name}: {reader.describes}" for reader in READERS.values()),
        remedy="say where the arrays lie in a recipe: --recipe net.toml" if opened.is_hdf5 else None,
    )


def _contents(opened: OpenedFile) -> str:
    if not opened.is_hdf5:
        return f"it begins with {opened.head[:16]!r}"
    names = [*opened.hdf5.groups, *opened.hdf5.datasets]
    return f"HDF5 with {', '.join(map(repr, names[:12]))}{', ...' if len(names) > 12 else ''}"
