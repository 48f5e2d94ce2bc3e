"""Containers that are known by name, and not read."""

from __future__ import annotations

import re
import zlib
from contextlib import suppress

from porter.errors import PickleFileError, UnknownFormatError
from porter.formats.opened import OpenedFile

NETCDF3_SIGNATURES = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_OLD_PICKLE = re.compile(rb"\(?[dlt]p\d+\n|\((?:lp|dp|tp)\d+\n|[]}]q|c[\w.]+\n[\w.]+\n(?:p\d+\n|q)")
"""An empty list or dictionary, or a name to import, put away under a number: by a word (0) or by a byte (1)."""
R_SIGNATURES, R_SUFFIXES = (b"RDX2\n", b"RDX3\n", b"X\n\0\0\0", b"A\n2\n", b"A\n3\n"), (".rds", ".rda", ".rdata")


def refuse_foreign(opened: OpenedFile) -> None:
    """Refuse what can be named, with what to do.

    Raises:
        UnknownFormatError: netCDF-3, or objects of R.
        PickleFileError: a pickle of an old protocol.
    """
    if _OLD_PICKLE.match(opened.head):
        raise PickleFileError(
            f"{opened.path} is a pickle of protocol 0 or 1, which is not read",
            found=f"it begins with {opened.head[:16]!r}",
            expected="protocol 2 or later, holding arrays and plain containers alone",
            remedy="with the software that made it: numpy.savez('net.npz', W1=..., b1=...), or pickle.dump(..., "
            "protocol=2)",
        )
    if opened.head.startswith(NETCDF3_SIGNATURES):
        raise UnknownFormatError(
            f"{opened.path} is netCDF-3 (classic), which is not read",
            found=f"the signature {opened.head[:4]!r}",
            expected="netCDF-4, which is HDF5",
            remedy="convert it: nccopy -k netCDF-4 OLD.nc NEW.nc",
        )
    if _is_of_r(opened):
        raise UnknownFormatError(
            f"{opened.path} is what R's save or saveRDS writes, which is not read",
            found="objects of R, serialized",
            expected="numbers as text",
            remedy="in R: write.csv(coef(fit), 'net.csv') for nnet, write.csv(fit$result.matrix, 'net.csv') for "
            "neuralnet, else write.table(..., row.names = FALSE, col.names = FALSE) of each matrix into one folder",
        )


def _is_of_r(opened: OpenedFile) -> bool:
    """By the first bytes, inflated where gzip packed them, as R does by default; else by the suffix."""
    head = opened.head
    if head.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            head = zlib.decompressobj(wbits=31).decompress(head, 16)
    return head.startswith(R_SIGNATURES) or opened.path.suffix.lower() in R_SUFFIXES
