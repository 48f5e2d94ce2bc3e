"""What a dataset declares, held against what the file stores for it, before anything is allocated."""

from __future__ import annotations

import math
import zlib
from typing import Any

from h5py import h5d, h5t, h5z

from porter.errors import FilterError, ShapeBombError, StoredTypeError, UnwrittenDataError

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


def check_type(where: str, dataset: Any) -> None:
    """Refuse what is not an array of numbers.

    Raises:
        StoredTypeError: objects, references, text, compounds, or numbers of a format that NumPy lacks.
        UnwrittenDataError: no array at all.
    """
    if dataset.shape is None:
        raise UnwrittenDataError(f"{where} has no values at all", expected="an array of floats")
    kind = dataset.get_type().get_class()
    try:
        stored = dataset.dtype
    except (TypeError, ValueError):  # h5py's words for a format that NumPy lacks
        stored = None
    if kind not in NUMBERS or stored is None:
        raise StoredTypeError(
            f"{where} does not hold numbers that NumPy knows",
            found=OTHER_TYPES.get(kind, "numbers of an unusual format"),
            expected="an array of floats",
        )


def check_text(where: str, dataset: Any) -> None:
    """Refuse what is not text.

    Raises:
        StoredTypeError: numbers, or anything else.
        UnwrittenDataError: no array at all.
    """
    if dataset.shape is None:
        raise UnwrittenDataError(f"{where} has no values at all", expected="text")
    kind = dataset.get_type().get_class()
    if kind != h5t.STRING:
        raise StoredTypeError(f"{where} holds no text", found=OTHER_TYPES.get(kind, "numbers"), expected="text")


def check_filters(where: str, dataset: Any) -> None:
    """Refuse filters that are not HDF5's own, for which it would load a plugin, and any that comes twice.

    Raises:
        FilterError: one of these.
    """
    codes = _filters(dataset)
    for code in codes:
        if code not in OWN_FILTERS or codes.count(code) > 1:
            raise FilterError(
                f"{where} is packed in a way that is not read",
                found=f"filter {OWN_FILTERS.get(code, code)}" + (", twice" if codes.count(code) > 1 else ""),
                expected=f"any of {', '.join(OWN_FILTERS.values())}, each once",
                remedy="repack it: h5repack -f GZIP=4 OLD NEW",
            )


def check_size(where: str, dataset: Any, file_size: int) -> None:
    """Hold the declared size against the stored one.

    Raises:
        ShapeBombError: it declares more than the file can hold.
        UnwrittenDataError: not all of it was ever written.
    """
    properties = dataset.get_create_plist()
    chunked = properties.get_layout() == h5d.CHUNKED
    stored = dataset.get_storage_size()
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    chunk = math.prod(properties.get_chunk()) * dataset.dtype.itemsize if chunked else 0
    allowed = max(FREE_INFLATION, LARGEST_RATIO * stored) if PACKING & set(_filters(dataset)) else file_size
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


def check_inflation(where: str, dataset: Any) -> None:
    """See that every gzip stream ends where its chunk does; HDF5 would inflate it to its end, however long.

    Raises:
        ShapeBombError: one that does not.
        zlib.error: one that is no gzip stream.
    """
    codes = _filters(dataset)
    if h5z.FILTER_DEFLATE not in codes:
        return
    # Filters before gzip keep the size but for a checksum of four bytes.
    limit = math.prod(dataset.get_create_plist().get_chunk()) * dataset.dtype.itemsize + 4
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


def _filters(dataset: Any) -> list[int]:
    """Codes of the filters, in the order in which they pack."""
    properties = dataset.get_create_plist()
    return [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
