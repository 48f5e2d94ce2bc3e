"""Containers that are known by name, and not read."""

from __future__ import annotations

import zlib
from contextlib import suppress

from porter.errors import UnknownFormatError
from porter.formats.opened import OpenedFile

NETCDF3_SIGNATURES = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
R_SIGNATURES, R_SUFFIXES = (b"RDX2\n", b"RDX3\n", b"X\n\0\0\0", b"A\n2\n", b"A\n3\n"), (".rds", ".rda", ".rdata")


def refuse_foreign(opened: OpenedFile) -> None:
    """Refuse what can be named, with what to do.

    Raises:
        UnknownFormatError: netCDF-3, or objects of R.
    """
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
