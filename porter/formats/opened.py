"""A file opened for reading, and what its first bytes say it is not."""

from __future__ import annotations

import hashlib
import zipfile
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from porter.errors import (
    AccessError,
    ArchiveFileError,
    EmptyFileError,
    FileMissingError,
    KerasFileError,
    LfsPointerError,
    NotAFileError,
    PickleFileError,
    StoredSymlinkError,
)

if TYPE_CHECKING:
    from porter.formats.hdf5 import Hdf5File

HEAD = 4096
LONGEST_LINK = 1024
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
LFS_PREFIX = b"version https://git-lfs"
# Protocols 2 to 5 begin with these two bytes; 0 and 1 are text that a reader will not know.
PICKLE_PREFIXES = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))


@dataclass
class OpenedFile(AbstractContextManager["OpenedFile"]):
    """A file that is there, has bytes, and is none of the well-known stand-ins for the real one.

    Attributes:
        path: as the user gave it.
        head: its first 4,096 bytes.
        size: in bytes.
        sha256: hexadecimal digest of all bytes.
    """

    path: Path
    head: bytes
    size: int
    sha256: str
    _hdf5: Hdf5File | None = field(default=None, repr=False)

    @cached_property
    def is_hdf5(self) -> bool:
        """Whether HDF5's signature stands at 0 or at 512, 1024, 2048, ..., where a user block may push it."""
        if self.head.startswith(HDF5_SIGNATURE):
            return True
        with self.path.open("rb") as stream:
            place = 512
            while place < self.size:
                stream.seek(place)
                if stream.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
                    return True
                place *= 2
        return False

    @property
    def hdf5(self) -> Hdf5File:
        """Its HDF5 contents, opened once.

        Raises:
            UnreadableError: it is not HDF5, or not HDF5 that is safe to read.
        """
        if self._hdf5 is None:
            from porter.formats.hdf5 import open_hdf5

            self._hdf5 = open_hdf5(self)
        return self._hdf5

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._hdf5 is not None:
            self._hdf5.close()


def open_file(path: str | Path) -> OpenedFile:
    """Open a file and refuse what is not data: nothing is decoded yet.

    Raises:
        UnreadableError: missing, a directory, empty, a Git LFS pointer, a stored symbolic link, a pickle, an archive.
    """
    path = Path(path)
    check_path(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise AccessError(f"{path} cannot be read", found=os_reason(error)) from error
    _check_head(path, head, size)
    return OpenedFile(path, head, size, digest)


def check_path(path: Path) -> None:
    """Refuse what is not a regular file.

    Raises:
        FileMissingError: nothing of that name.
        NotAFileError: a directory or a device.
    """
    if path.is_dir():
        raise NotAFileError(f"{path} is a directory", expected="a file", remedy="name one of the files in it")
    if not path.exists():
        raise FileMissingError(f"{path} does not exist", remedy="check the spelling and the working directory")
    if not path.is_file():
        raise NotAFileError(f"{path} is not a regular file", expected="a file with the weights")


def os_reason(error: OSError) -> str:
    """What the operating system said, without the path."""
    return str(error) if error.strerror is None else error.strerror


def _check_head(path: Path, head: bytes, size: int) -> None:
    if not head:
        raise EmptyFileError(f"{path} is empty", remedy="copy or download it again")
    if head.startswith(LFS_PREFIX):
        raise LfsPointerError(
            f"{path} is a Git LFS pointer, not the file itself",
            found=f"{size} bytes of text",
            remedy="run `git lfs pull` in its repository, or download the file itself",
        )
    if head.startswith(PICKLE_PREFIXES):
        raise PickleFileError(
            f"{path} is a pickle: reading one runs whatever code it holds",
            remedy="write the arrays to HDF5 with the software that made it (h5py: Weights/Layer1, Bias/Layer1, ...)",
        )
    if head.startswith(b"PK\x03\x04"):
        raise _archive_error(path)
    target = _link_target(head, size)
    if target is not None:
        raise StoredSymlinkError(
            f"{path} is a symbolic link stored as text",
            found=f"the text {target!r}",
            remedy=f"read {path.parent / target} instead, or clone with core.symlinks=true",
        )


def _archive_error(path: Path) -> ArchiveFileError | KerasFileError:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeError):
        names = []
    if "config.json" in names and "metadata.json" in names:
        return KerasFileError(
            f"{path} is a Keras model, not a legacy file",
            remedy=f"give the legacy file first: porter verify LEGACY {path.name}",
        )
    kind = "a NumPy .npz archive (zip)" if any(name.endswith(".npy") for name in names) else "a zip archive"
    return ArchiveFileError(
        f"{path} is {kind}",
        expected="HDF5 with the weights",
        remedy="golden samples go to --samples; unpack other archives and name the file inside",
    )


def _link_target(head: bytes, size: int) -> str | None:
    """The path that a Git symbolic link holds where links are checked out as text: one line without its end."""
    if size > LONGEST_LINK:
        return None
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not set(text) - set("0123456789.,;+-eEdD"):
        return None  # one number, or a row of them
    is_path = text.isprintable() and ("/" in text or Path(text).suffix != "")
    return text if is_path and " " not in text else None
