"""HDF5 read as untrusted input: no link is followed, and sizes are checked before anything is allocated."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t
from numpy.typing import NDArray

from porter.errors import (
    AccessError,
    DamagedFileError,
    ExternalLinkError,
    ExternalStorageError,
    NotHdf5Error,
    SharedObjectError,
    SoftLinkError,
    StoredTypeError,
    TruncatedFileError,
    UnreadableError,
    VirtualDatasetError,
)
from porter.formats import storage

Array = NDArray[Any]


class Source(Protocol):
    """What is asked of a file before it is opened as HDF5."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def head(self) -> bytes:
        """Its first bytes."""

    @property
    def data(self) -> bytes | None:
        """Its bytes, where they are in memory already."""

    @property
    def is_hdf5(self) -> bool:
        """Whether it begins as HDF5 does."""


@dataclass(frozen=True)
class Hdf5File:
    """The datasets of an HDF5 file by full name; all its links are hard, and none has been read yet.

    Attributes:
        opened: the file on disk.
        datasets: ``"Weights/Layer1"`` to its low-level identifier, in the order of the file.
        groups: full names of the groups, the root (``""``) left out.
        stored_attributes: attributes of the root by name, those of other objects as ``"object@name"``, not yet read.
        handle: to be closed.
    """

    opened: Source
    datasets: Mapping[str, Any]
    groups: tuple[str, ...]
    stored_attributes: Mapping[str, Any]
    handle: Any

    def read(self, name: str) -> Array:
        """A dataset exactly as stored: shape, dtype and byte order.

        Raises:
            UnreadableError: its type is not a number's, or it declares more than it stores.
        """
        if self.is_matlab_text(name):
            raise StoredTypeError(f"{self.opened.path}: dataset {name!r} holds MATLAB's characters", expected="numbers")
        return self._values(name, storage.check_type)

    def is_text(self, name: str) -> bool:
        """Whether a dataset is one of text, or of the codes of MATLAB's characters."""
        return bool(self.datasets[name].get_type().get_class() == h5t.STRING) or self.is_matlab_text(name)

    def is_matlab_text(self, name: str) -> bool:
        """Whether a dataset holds the codes of MATLAB's characters."""
        stored = self.stored_attributes.get(f"{name}@MATLAB_class")
        if stored is None or self.datasets[name].get_type().get_class() != h5t.INTEGER:
            return False
        return _is_fixed(stored, self.opened.size) and self.attribute(f"{name}@MATLAB_class") == "char"

    def read_text(self, name: str) -> Array:
        """A dataset of text exactly as stored, bytes of fixed size or objects; MATLAB's as a text a row.

        Raises:
            UnreadableError: it is no text, or declares more than it stores.
        """
        if self.is_matlab_text(name):
            codes = self._values(name, storage.check_type)  # the last axis of MATLAB comes first
            rows = ["".join(map(chr, row)).rstrip("\0 ") for row in codes.T.reshape(-1, max(len(codes), 1)).tolist()]
            return np.array(rows[0] if len(rows) == 1 else rows, str)
        return self._values(name, storage.check_text)

    def _values(self, name: str, check_type: Callable[[str, Any], None]) -> Array:
        dataset = self.datasets[name]
        where = f"{self.opened.path}: dataset {name!r}"
        try:
            check_type(where, dataset)
            storage.check_filters(where, dataset)
            storage.check_size(where, dataset, self.opened.size)
            storage.check_inflation(where, dataset)
            array = np.asarray(h5py.Dataset(dataset)[()])
        except (OSError, RuntimeError, ValueError, TypeError, zlib.error) as error:
            raise DamagedFileError(
                f"{where} cannot be decoded", found=_first_line(error), remedy="copy or download the file again"
            ) from error
        return array

    def attribute(self, name: str) -> Any:
        """One attribute as plain Python values.

        Raises:
            KeyError: there is none of that name.
            DamagedFileError: it cannot be decoded, or is neither text nor numbers.
        """
        attribute = self.stored_attributes[name]
        try:
            if _is_plain(attribute, self.opened.size):
                return _plain(_attribute_value(attribute))
            reason = "neither text nor numbers, or more than the file holds"
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            reason = _first_line(error)
        raise DamagedFileError(f"{self.opened.path}: attribute {name!r} cannot be read", found=reason)

    def fixed_attributes(self) -> dict[str, Any]:
        """The attributes of fixed size, as plain Python values.

        Text of variable length lies in a heap, at which HDF5 can loop for ever in a damaged file: it is read by
        ``attribute`` alone, where a format needs it.
        """
        names = (name for name, stored in self.stored_attributes.items() if _is_fixed(stored, self.opened.size))
        return {name: self.attribute(name) for name in names}

    def close(self) -> None:
        """Let go of the file."""
        self.handle.close()


def open_hdf5(opened: Source) -> Hdf5File:
    """Open a file and list its contents without reading any dataset.

    Raises:
        UnreadableError: not HDF5, truncated, damaged, or with links that lead elsewhere.
    """
    if not opened.is_hdf5:
        raise NotHdf5Error(
            f"{opened.path} is not HDF5",
            found=f"it begins with {opened.head[:16]!r}",
            expected="the signature \\x89HDF",
            remedy="give the file that the network was saved to",
        )
    handle = _open(opened)
    try:
        return _contents(opened, handle)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        handle.close()
        raise DamagedFileError(
            f"{opened.path} has a damaged structure", found=_first_line(error), remedy="copy or download it again"
        ) from error
    except UnreadableError:
        handle.close()
        raise


def _open(opened: Source) -> Any:
    try:
        return _open_handle(opened.path) if opened.data is None else h5py.File(io.BytesIO(opened.data), "r")
    except OSError as error:
        if "open for write" in str(error):
            raise AccessError(
                f"{opened.path} is still open for writing",
                found="HDF5's mark that a program has not closed it",
                remedy="close it there; where that program is gone: h5clear -s FILE",
            ) from error
        if "truncated" in str(error):
            raise TruncatedFileError(
                f"{opened.path} is truncated",
                found=f"{opened.size:,} bytes",
                expected="more: its own header says so",
                remedy="copy or download it again; where a program is still writing it, close it there first",
            ) from error
        raise DamagedFileError(
            f"{opened.path} cannot be opened as HDF5", found=_first_line(error), remedy="copy or download it again"
        ) from error


def _open_handle(path: Path) -> Any:
    """The file, whoever else has it open.

    HDF5 refuses to open a file a second time in one process with other ways of locking, and shares what is not yet
    written with whoever changes it; read past it, the file is what is on disk, of which the digest was taken.
    """
    try:
        handle = h5py.File(path, "r", locking=False)
    except OSError as error:
        if "don't match" not in str(error):
            raise
        return _Streamed(path)
    if handle.mode == "r":
        return handle
    handle.close()
    return _Streamed(path)


class _Streamed(h5py.File):  # type: ignore[misc]
    """A file that HDF5 reads through Python, and so does not know to be the one that it has open already."""

    def __init__(self, path: Path) -> None:
        self.stream = path.open("rb")
        try:
            super().__init__(self.stream, "r")
        except OSError:
            self.stream.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        super().close()
        self.stream.close()


def _contents(opened: Source, handle: Any) -> Hdf5File:
    datasets: dict[str, Any] = {}
    groups: list[str] = []
    attributes = dict(_attributes("", handle.id))
    for name, entry in _walk(opened, handle):
        if isinstance(entry, h5d.DatasetID):
            datasets[name] = entry
        elif isinstance(entry, h5g.GroupID):
            groups.append(name)
        attributes.update(_attributes(f"{name}@", entry))
    return Hdf5File(opened, datasets, tuple(groups), attributes, handle)


def _walk(opened: Source, handle: Any) -> Iterator[tuple[str, Any]]:
    """Every object but the root with its full name, by hard links only, each object once."""
    root = h5g.open(handle.id, b"/")
    first_name = {h5o.get_info(root).addr: "/"}
    pending = [("", root)]
    while pending:
        prefix, group = pending.pop()
        for raw in group:
            name = prefix + raw.decode("utf-8", "backslashreplace")
            _check_link(opened, name, group, raw)
            entry = h5o.open(group, raw)
            address = h5o.get_info(entry).addr
            if address in first_name:
                raise SharedObjectError(
                    f"{opened.path}: {name!r} is the same object as {first_name[address]!r}",
                    expected="one name for each object",
                    remedy="write the array a second time under its own name",
                )
            first_name[address] = name
            if isinstance(entry, h5d.DatasetID):
                _check_storage(opened, name, entry)
            elif isinstance(entry, h5g.GroupID):
                pending.append((f"{name}/", entry))
            yield name, entry


def _check_link(opened: Source, name: str, group: Any, raw: bytes) -> None:
    kind = group.links.get_info(raw).type
    if kind == h5l.TYPE_HARD:
        return
    if kind == h5l.TYPE_SOFT:
        target = group.links.get_val(raw).decode("utf-8", "backslashreplace")
        raise SoftLinkError(
            f"{opened.path}: {name!r} is a soft link, which is not followed",
            found=f"a link to {target!r}",
            remedy="copy the dataset there (h5repack does not; h5copy does)",
        )
    raise ExternalLinkError(
        f"{opened.path}: {name!r} is a link into another file, which is not followed",
        found=_external_target(group, raw),
        remedy="copy the dataset itself into this file",
    )


def _external_target(group: Any, raw: bytes) -> str:
    try:
        return " -> ".join(repr(part.decode("utf-8", "backslashreplace")) for part in group.links.get_val(raw))
    except (OSError, RuntimeError, ValueError, AttributeError):
        return "a link of a kind of its own"


def _check_storage(opened: Source, name: str, dataset: Any) -> None:
    is_virtual, other = _stored_elsewhere(dataset)
    if is_virtual:
        raise VirtualDatasetError(
            f"{opened.path}: dataset {name!r} is virtual: its values lie in other datasets",
            remedy="write the values themselves (h5py: file[name] = array)",
        )
    if other is not None:
        raise ExternalStorageError(
            f"{opened.path}: the values of dataset {name!r} lie in another file, which is not opened",
            found=repr(other.decode("utf-8", "backslashreplace")),
            remedy="write the values themselves (h5py: file[name] = array)",
        )


def _stored_elsewhere(dataset: Any) -> tuple[bool, bytes | None]:
    """Whether a dataset is virtual, and the file that its values lie in, if that is another.

    Asked apart, so that no refusal holds HDF5's list of properties in its traceback: HDF5 crashes at the end of the
    process where that of a virtual dataset is still open.
    """
    properties = dataset.get_create_plist()
    is_virtual = properties.get_layout() == h5d.VIRTUAL
    return is_virtual, properties.get_external(0)[0] if properties.get_external_count() > 0 else None


def _attributes(prefix: str, entry: Any) -> Iterator[tuple[str, Any]]:
    """Every attribute of one object by its full name, not yet read."""
    for index in range(h5a.get_num_attrs(entry)):
        attribute = h5a.open(entry, index=index)
        yield prefix + attribute.name.decode("utf-8", "backslashreplace"), attribute


def _is_plain(attribute: Any, file_size: int) -> bool:
    """Whether it is text or numbers, and no more of them than the file can hold."""
    kind = attribute.get_type().get_class()
    empty = attribute.get_space().get_simple_extent_type() == h5s.NULL
    if empty or not (kind in storage.NUMBERS or kind == h5t.STRING):
        return False
    size: int = math.prod(attribute.shape) * attribute.get_type().get_size()
    return size <= file_size


def _is_fixed(attribute: Any, file_size: int) -> bool:
    try:
        stored = attribute.get_type()
        variable = stored.get_class() == h5t.STRING and stored.is_variable_str()
        return not variable and _is_plain(attribute, file_size)
    except (OSError, RuntimeError, ValueError, TypeError):
        return False


def _attribute_value(attribute: Any) -> Any:
    value = np.zeros(attribute.shape, dtype=attribute.dtype)
    attribute.read(value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
