"""The arrays of a file or folder that a recipe or a search names, whatever holds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import DamagedFileError, RecipeError, StoredTypeError, UnknownFormatError, UnreadableError
from porter.formats.containers.arrays import container_of
from porter.formats.containers.foreign import refuse_foreign
from porter.formats.containers.held import Held, attributes_in, text_of, texts_in
from porter.formats.containers.raw import HOW_TO_SAY_RAW, WHOLE, RawNumbers
from porter.formats.folders import OpenedFolder
from porter.formats.npz import NpzError, read_npz
from porter.formats.opened import OpenedFile, open_file
from porter.formats.recipe_ends import EndRecipe
from porter.formats.recipe_places import KernelPlace, PlaceError, sliced, split_name
from porter.formats.text import is_text, read_lines

Array = NDArray[Any]

LINES = re.compile(r"(?:(.+)/)?lines? ([1-9]\d{0,8})(?:-([1-9]\d{0,8}))?")
"""Of a name that means lines of a text, or of a text of a folder."""
MATLAB_73 = b"MATLAB 7.3 MAT-file"


@dataclass(frozen=True)
class Stored:
    """The arrays of a file or folder by name, whatever holds them.

    Attributes:
        opened: the file.
        names: of its arrays.
        read: one of them, exactly as stored.
        attributes: those that may be read, by full name.
        files: of a folder, names of arrays by those of their files.
    """

    opened: OpenedFile
    names: tuple[str, ...]
    read: Callable[[str], Array]
    attributes: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, opened: OpenedFile) -> Stored:
        """What a file holds.

        Raises:
            UnreadableError: no container that is read.
        """
        if isinstance(opened, OpenedFolder) and opened.names:
            from porter.formats.containers.texts import key_of, read_members, texts_beside

            members = read_members(opened, by_file=True)
            texts = texts_beside(opened)
            files = {name: key_of(name) for name in opened.names if key_of(name) in members}
            return cls(opened, tuple(members), lambda name: _readable(members[name]), Held({}, texts).said, files)
        container = container_of(opened)
        if container is not None:
            held = container[1](opened)
            return cls(opened, tuple(held), held.__getitem__, held.said)
        if not opened.is_npz:
            refuse_foreign(opened)
            if not opened.is_hdf5 and not is_text(opened):
                raise UnknownFormatError(
                    f"{opened.path} is no container of arrays that is known",
                    found=f"it begins with {opened.head[:16]!r}",
                    remedy=HOW_TO_SAY_RAW,
                )
            hdf5 = opened.hdf5
            reversed_axes = opened.head.startswith(MATLAB_73)  # MATLAB writes the last axis first
            read = (lambda name: hdf5.read(name).T) if reversed_axes else hdf5.read
            return cls(opened, tuple(hdf5.datasets), read, attributes_in(hdf5, texts_in(hdf5)))
        try:
            arrays = read_npz(opened.path, kinds="fiubUS")
        except NpzError as error:
            raise DamagedFileError(
                f"{opened.path} cannot be read as .npz of numbers; nothing pickled is read", found=str(error)
            ) from error
        texts = {name: text_of(array) for name, array in arrays.items() if array.dtype.kind in "US"}
        return cls(opened, tuple(arrays), arrays.__getitem__, Held({}, texts).said)

    @classmethod
    def of_raw(cls, opened: OpenedFile, raw: RawNumbers) -> Stored:
        """The numbers of a file; or those of a folder's files, each under the file's name.

        Raises:
            UnreadableError: a file of another kind, or bytes that are no such numbers.
        """
        if not isinstance(opened, OpenedFolder):
            _check_raw(opened)
            held = raw.read(opened)
            return cls(opened, tuple(held), held.__getitem__, {})
        folder, members = opened, dict[str, Array | UnreadableError]()
        digests: dict[str, str] = {}
        for file in opened.names:
            try:
                one = open_file(opened.path / file)
                _check_raw(one)
                members |= {file if part == WHOLE else f"{file}/{part}": array for part, array in raw.read(one).items()}
                digests[file] = one.sha256
            except UnreadableError as error:  # it may be none of those that the recipe names
                members[file] = error

        def read(name: str) -> Array:
            array, file = _readable(members[name]), name.partition("/")[0]
            folder.taken[file] = digests[file]
            return array

        return cls(opened, tuple(members), read, {})

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the file's bytes, or of those of a folder's files that hold arrays."""
        return self.opened.digest() if isinstance(self.opened, OpenedFolder) else self.opened.sha256

    def located(self, name: str) -> tuple[str, str | None]:
        """The array that a name means, and the slice behind it or None; of a folder also by the name of its file."""
        plain, text = split_name(name, (*self.names, *self.files))
        return self.files.get(plain, plain) if plain not in self.names else plain, text

    def numbers(self, name: str) -> Array | None:
        """One of them, None where it holds no numbers that can be read."""
        try:
            return self.read(name)
        except UnreadableError:
            return None

    @staticmethod
    def knows(opened: OpenedFile) -> bool:
        """Whether it is a container of arrays."""
        text = "numbers in text"
        container = None if opened.is_hdf5 or opened.is_npz else container_of(opened)
        return opened.is_hdf5 or opened.is_npz or (container is not None and container[0] != text)

    def part(self, name: str) -> Array:
        """An array, or the slice of it that its name asks for.

        Raises:
            PlaceError: it has no such slice.
        """
        plain, text = self.located(name)
        return sliced(plain, self.read(plain) if plain in self.names else self._lines(plain), text)

    def has(self, name: str) -> bool:
        """Whether there is an array that a name means, or there may be: lines of a text."""
        plain, _ = self.located(name)
        return plain in self.names or self._text_of(plain) is not None

    def _text_of(self, name: str) -> tuple[str, int, int] | None:
        """The file of a folder (or "") of which a name means lines, the first and the last; None for other names."""
        match = LINES.fullmatch(name)
        if match is None:
            return None
        file, first, last = match[1] or "", int(match[2]), int(match[3] or match[2])
        if isinstance(self.opened, OpenedFolder):
            return (file, first, last) if file in self.opened.names else None
        return None if file or self.opened.is_npz or not is_text(self.opened) else (file, first, last)

    def _lines(self, name: str) -> Array:
        from porter.formats.containers.texts import read_rows

        file, first, last = self._text_of(name) or ("", 0, 0)
        opened = open_file(self.opened.path / file) if file else self.opened
        if isinstance(self.opened, OpenedFolder):
            self.opened.taken[file] = opened.sha256
        return read_rows(str(opened.path), read_lines(opened), first, last)


def _check_raw(opened: OpenedFile) -> None:
    """Refuse what is more than numbers: HDF5, archives, text."""
    container = container_of(opened)
    kind = "HDF5" if opened.is_hdf5 else "an archive" if opened.is_npz else "" if container is None else container[0]
    if kind and kind != "MATLAB's, version 4":  # which has no signature, and may be anything
        raise StoredTypeError(
            f"{opened.path} is more than numbers in binary",
            found=f"{kind}, which says itself how its numbers are stored",
            expected="nothing but numbers, where a recipe has [raw]",
            remedy="leave [raw] out of the recipe",
        )


def _readable(member: Array | UnreadableError) -> Array:
    if isinstance(member, UnreadableError):
        raise member
    return member


def array_at(stored: Stored, place: str, value: Any) -> Array:
    """What a value of a recipe stands for: an array by its name, a kernel's place, the two vectors of an end, numbers.

    Args:
        stored: the arrays.
        place: of the value in the recipe, for people.
        value: itself.

    Raises:
        RecipeError: the array has not what the value asks of it.
    """
    try:
        if isinstance(value, str):
            return stored.part(value)
        if isinstance(value, KernelPlace):
            return value.of(stored.part(value.dataset))
        if isinstance(value, EndRecipe):
            found = value.pairs(lambda each: vector_at(stored, place, each))
            value.check(lambda each: vector_at(stored, place, each))
            return found
    except (PlaceError, ValueError) as error:
        raise unfit(stored, place, str(error)) from error
    return np.array(value, dtype=np.float64)


def vector_at(stored: Stored, place: str, value: str | float | list[float]) -> Array:
    """(n,) of an array by its name, or of numbers; () of one number."""
    try:
        array = stored.part(value) if isinstance(value, str) else np.array(value, np.float64)
    except PlaceError as error:
        raise unfit(stored, place, str(error)) from error
    native = array.astype(array.dtype.newbyteorder("="))
    return native if native.ndim == 0 else native.reshape(-1)


def numbers_at(stored: Stored, place: str, value: str | float | list[float]) -> Array:
    """The same, of numbers, which may be infinite."""
    array = vector_at(stored, place, value)
    if array.dtype.kind not in "fiu":
        raise unfit(stored, place, f"{array.dtype}; numbers")
    wrong = np.flatnonzero(np.isnan(array))
    if wrong.size:
        raise unfit(stored, place, f"NaN in column {wrong[0]}; a number")
    return array


def unfit(stored: Stored, place: str, problem: str) -> RecipeError:
    """That a recipe does not fit the arrays at one of its places: what was found; what is expected."""
    return RecipeError(f"{stored.opened.path} does not fit the recipe", (f"{place}: found {problem} is expected",))
