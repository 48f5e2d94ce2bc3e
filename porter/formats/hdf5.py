"""HDF5 read as untrusted input: no link is followed, and sizes are checked before anything is allocated."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5t, h5z
from numpy.typing import NDArray

from porter.errors import (
    DamagedFileError,
    ExternalLinkError,
    ExternalStorageError,
    FilterError,
    NotHdf5Error,
    ShapeBombError,
    SharedObjectError,
    SoftLinkError,
    StoredTypeError,
    TruncatedFileError,
    UnreadableError,
    UnwrittenDataError,
    VirtualDatasetError,
)
from porter.formats.opened import OpenedFile

Array = NDArray[Any]

MEBIBYTE = 1 << 20
# Trained weights hardly compress; a constant array does, and up to here it may.
FREE_INFLATION = 64 * MEBIBYTE
LARGEST_RATIO = 64
OWN_FILTERS = {
    h5z.FILTER_DEFLATE: "gzip",
    h5z.FILTER_SHUFFLE: "shuffle",
    h5z.FILTER_FLETCHER32: "fletcher32",
    h5z.FILTER_SZIP: "szip",
    h5z.FILTER_LZF: "lzf",
    h5z.FILTER_NBIT: "nbit",
    h5z.FILTER_SCALEOFFSET: "scaleoffset",
}
PACKING = {h5z.FILTER_DEFLATE, h5z.FILTER_SZIP, h5z.FILTER_LZF, h5z.FILTER_NBIT, h5z.FILTER_SCALEOFFSET}
NUMBERS = {h5t.INTEGER: "integer", h5t.FLOAT: "float"}
OTHER_TYPES = {
    h5t.STRING: "strings",
    h5t.REFERENCE: "references to objects",
    h5t.COMPOUND: "compounds",
    h5t.VLEN: "variable-length arrays",
    h5t.OPAQUE: "opaque bytes",
    h5t.ENUM: "an enumeration",
    h5t.ARRAY: "arrays",
    h5t.BITFIELD: "bit fields",
    h5t.TIME: "times",
}


@dataclass(frozen=True)
class Hdf5File:
    """The datasets of an HDF5 file by full name; all its links are hard, and none has been read yet.

    Attributes:
        opened: the file on disk.
        datasets: ``"Weights/Layer1"`` to its low-level identifier, in the order of the file.
        groups: full names of the groups, the root (``""``) left out.
        attributes: attributes of the root by name, those of other objects as ``"object@name"``, as plain Python
            values; attributes that are not text or numbers are left out.
    """

    opened: OpenedFile
    datasets: Mapping[str, Any]
    groups: tuple[str, ...]
    attributes: Mapping[str, Any]
    handle: Any

    def read(self, name: str) -> Array:
        """A dataset exactly as stored: shape, dtype and byte order.

        Raises:
            UnreadableError: its type is not a number's, or it declares more than it stores.
        """
        dataset = self.datasets[name]
        where = f"{self.opened.path}: dataset {name!r}"
        _check_type(where, dataset)
        _check_filters(where, dataset)
        _check_size(where, dataset, self.opened.size)
        try:
            _check_inflation(where, dataset)
            array = np.asarray(h5py.Dataset(dataset)[()])
        except (OSError, RuntimeError, zlib.error) as error:
            raise DamagedFileError(
                f"{where} cannot be decoded", found=_first_line(error), remedy="copy or download the file again"
            ) from error
        return array

    def close(self) -> None:
        """Let go of the file."""
        self.handle.close()


def open_hdf5(opened: OpenedFile) -> Hdf5File:
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


def _open(opened: OpenedFile) -> Any:
    try:
        return h5py.File(opened.path, "r", locking=False)
    except OSError as error:
        if "truncated" in str(error):
            raise TruncatedFileError(
                f"{opened.path} is truncated",
                found=f"{opened.size:,} bytes",
                expected="more: its own header says so",
                remedy="copy or download it again",
            ) from error
        raise DamagedFileError(
            f"{opened.path} cannot be opened as HDF5", found=_first_line(error), remedy="copy or download it again"
        ) from error


def _contents(opened: OpenedFile, handle: Any) -> Hdf5File:
    datasets: dict[str, Any] = {}
    groups: list[str] = []
    attributes = dict(_attributes("", handle.id, opened.size))
    for name, entry in _walk(opened, handle):
        if isinstance(entry, h5d.DatasetID):
            datasets[name] = entry
        elif isinstance(entry, h5g.GroupID):
            groups.append(name)
        attributes.update(_attributes(f"{name}@", entry, opened.size))
    return Hdf5File(opened, datasets, tuple(groups), attributes, handle)


def _walk(opened: OpenedFile, handle: Any) -> Iterator[tuple[str, Any]]:
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


def _check_link(opened: OpenedFile, name: str, group: Any, raw: bytes) -> None:
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


def _check_storage(opened: OpenedFile, name: str, dataset: Any) -> None:
    properties = dataset.get_create_plist()
    if properties.get_layout() == h5d.VIRTUAL:
        raise VirtualDatasetError(
            f"{opened.path}: dataset {name!r} is virtual: its values lie in other datasets",
            remedy="write the values themselves (h5py: file[name] = array)",
        )
    if properties.get_external_count() > 0:
        raise ExternalStorageError(
            f"{opened.path}: the values of dataset {name!r} lie in another file, which is not opened",
            found=repr(properties.get_external(0)[0].decode("utf-8", "backslashreplace")),
            remedy="write the values themselves (h5py: file[name] = array)",
        )


def _check_type(where: str, dataset: Any) -> None:
    if dataset.shape is None:
        raise UnwrittenDataError(f"{where} has no values at all", expected="an array of floats")
    kind = dataset.get_type().get_class()
    try:
        stored = dataset.dtype
    except TypeError:
        stored = None
    if kind not in NUMBERS or stored is None:
        raise StoredTypeError(
            f"{where} does not hold numbers that NumPy knows",
            found=OTHER_TYPES.get(kind, "numbers of an unusual format"),
            expected="an array of floats",
        )


def _check_filters(where: str, dataset: Any) -> None:
    properties = dataset.get_create_plist()
    codes = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    for code in codes:
        if code not in OWN_FILTERS or codes.count(code) > 1:
            raise FilterError(
                f"{where} is packed in a way that is not read",
                found=f"filter {OWN_FILTERS.get(code, code)}" + (", twice" if codes.count(code) > 1 else ""),
                expected=f"any of {', '.join(OWN_FILTERS.values())}, each once",
                remedy="repack it: h5repack -f GZIP=4 OLD NEW",
            )


def _check_size(where: str, dataset: Any, file_size: int) -> None:
    """Declared against stored size, before anything is allocated."""
    properties = dataset.get_create_plist()
    chunked = properties.get_layout() == h5d.CHUNKED
    codes = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
    stored = dataset.get_storage_size()
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    chunk = math.prod(properties.get_chunk()) * dataset.dtype.itemsize if chunked else 0
    allowed = max(FREE_INFLATION, LARGEST_RATIO * stored) if codes & PACKING else file_size
    if max(declared, chunk) > allowed:
        raise ShapeBombError(
            f"{where} declares far more than the file holds",
            found=f"shape {dataset.shape} of {dataset.dtype}: {max(declared, chunk):,} bytes",
            expected=f"at most {allowed:,} bytes; {stored:,} are stored for it",
            remedy="the file is damaged or hostile: get it again from its source",
        )
    missing = _missing_chunks(dataset, properties.get_chunk()) if chunked else 0
    if missing or (not chunked and stored < declared):
        raise UnwrittenDataError(
            f"{where} was never written in full",
            found=f"{missing} of its chunks missing" if missing else f"{stored:,} bytes",
            expected=f"{declared:,} bytes of shape {dataset.shape}",
            remedy="save the network again: what is missing would be read as fill values",
        )


def _missing_chunks(dataset: Any, chunk: tuple[int, ...]) -> int:
    expected: int = math.prod(-(-size // step) for size, step in zip(dataset.shape, chunk, strict=True))
    return max(expected - int(dataset.get_num_chunks()), 0)


def _check_inflation(where: str, dataset: Any) -> None:
    """HDF5 inflates a gzip stream to its end, however long; so see first that it ends where the chunk does."""
    properties = dataset.get_create_plist()
    codes = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    if h5z.FILTER_DEFLATE not in codes:
        return
    # Filters before gzip keep the size but for a checksum of four bytes.
    limit = math.prod(properties.get_chunk()) * dataset.dtype.itemsize + 4
    for index in range(dataset.get_num_chunks()):
        offset = dataset.get_chunk_info(index).chunk_offset
        mask, packed = dataset.read_direct_chunk(offset)
        if mask >> codes.index(h5z.FILTER_DEFLATE) & 1:
            continue
        stream = zlib.decompressobj()
        stream.decompress(packed, limit + 1)
        if not stream.eof:
            raise ShapeBombError(
                f"{where}: the compressed chunk at {offset} does not end where it should",
                expected=f"{limit - 4:,} bytes",
                remedy="the file is damaged or hostile: get it again from its source",
            )


def _attributes(prefix: str, entry: Any, file_size: int) -> Iterator[tuple[str, Any]]:
    """Text and numbers of one object, as plain Python values."""
    for index in range(h5a.get_num_attrs(entry)):
        attribute = h5a.open(entry, index=index)
        raw = attribute.name
        if not _is_plain(attribute) or math.prod(attribute.shape or ()) * attribute.get_type().get_size() > file_size:
            continue
        value = h5py.AttributeManager(_Holder(entry))[raw]
        yield prefix + raw.decode("utf-8", "backslashreplace"), _plain(value)


@dataclass(frozen=True)
class _Holder:
    """What h5py's AttributeManager wants to be given for a low-level identifier."""

    id: Any


def _is_plain(attribute: Any) -> bool:
    kind = attribute.get_type().get_class()
    return attribute.get_space().get_simple_extent_type() != h5py.h5s.NULL and (kind in NUMBERS or kind == h5t.STRING)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
