"""A file opened for reading, and what its first bytes say it is not."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from porter.errors import (
    AccessError,
    ArchiveFileError,
    DamagedFileError,
    EmptyFileError,
    FileMissingError,
    KerasFileError,
    LfsPointerError,
    NotAFileError,
    PickleFileError,
    StoredSymlinkError,
)
from porter.formats.archives import guarded, names_of, read_member

if TYPE_CHECKING:
    from porter.formats.hdf5 import Hdf5File

HEAD = 4096
LONGEST_LINK = 1024
LARGEST_METADATA = 1 << 16
ZIP_SIGNATURE = b"PK\x03\x04"
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
        data: its bytes, where it is a member of an archive; None for a file of its own.
    """

    path: Path
    head: bytes
    size: int
    sha256: str
    data: bytes | None = field(default=None, repr=False)
    _hdf5: Hdf5File | None = field(default=None, repr=False)

    @cached_property
    def is_hdf5(self) -> bool:
        """Whether HDF5's signature stands at 0 or at 512, 1024, 2048, ..., where a user block may push it."""
        if self.data is not None or self.head.startswith(HDF5_SIGNATURE):
            return self.head.startswith(HDF5_SIGNATURE)
        with self.path.open("rb") as stream:
            place = 512
            while place < self.size:
                stream.seek(place)
                if stream.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
                    return True
                place *= 2
        return False

    @cached_property
    def keras_archive(self) -> str | None:
        """The version of Keras whose ``.keras`` archive it is; None where it is no such archive."""
        return keras_version_of(self.path) if self.head.startswith(ZIP_SIGNATURE) else None

    def member(self, name: str) -> OpenedFile:
        """A member of an archive, as a file."""
        data = read_member(self.path, name)
        digest = hashlib.sha256(data).hexdigest()
        return OpenedFile(self.path / name, data[:HEAD], len(data), digest, data)

    @cached_property
    def is_npz(self) -> bool:
        """Whether it is an archive of NumPy's arrays."""
        return self.head.startswith(ZIP_SIGNATURE) and _holds_arrays(self.path)

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


def keras_version_of(path: Path) -> str | None:
    """What a ``.keras`` archive says of the version that wrote it, "" where it does not; None for other archives.

    Raises:
        UnreadableError: the archive is damaged.
    """
    if not {"config.json", "metadata.json"} <= set(names_of(path)):
        return None
    with guarded(f"{path}: metadata.json"):
        found = json.loads(read_member(path, "metadata.json", LARGEST_METADATA))
    version = found.get("keras_version") if isinstance(found, dict) else None
    return version if isinstance(version, str) else ""


def open_file(path: str | Path, *, pickles: bool = False) -> OpenedFile:
    """Open a file and refuse what is not data: nothing is decoded yet.

    Args:
        path: the file.
        pickles: whether a pickle is let through, to be read by ``containers.pickled`` alone.

    Raises:
        UnreadableError: missing, a directory, empty, a Git LFS pointer, a stored symbolic link, a pickle, an archive.
    """
    path = Path(path)
    try:
        check_path(path)
        with path.open("rb") as stream:
            head = stream.read(HEAD)
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise AccessError(f"{path} cannot be read", found=os_reason(error)) from error
    if head.startswith(PICKLE_PREFIXES) and not pickles:
        raise PickleFileError(
            f"{path} is a pickle: reading one runs whatever code it holds",
            remedy="write the arrays to HDF5 with the software that made it (h5py: Weights/Layer1, Bias/Layer1, ...)",
        )
    _check_head(path, head, size)
    return OpenedFile(path, head, size, digest)


def check_path(path: Path) -> None:
    """Refuse what is not a regular file.

    Raises:
        FileMissingError: nothing of that name.
        NotAFileError: a directory or a device.
    """
    if is_saved_model_folder(path):
        raise NotAFileError(
            f"{path} is a SavedModel folder of TensorFlow, whose graph is not read",
            found="saved_model.pb" + (" of a Keras model" if (path / "keras_metadata.pb").is_file() else ""),
            expected="the .h5, .keras or JSON file of a Keras model",
            remedy="with the TensorFlow that wrote it (up to 2.15, or tf_keras): "
            f"tf.keras.models.load_model({path.name!r}, compile=False).save({path.name + '.h5'!r})",
        )
    if _is_of_checkpoint(path):
        raise NotAFileError(
            f"{path} is a TensorFlow checkpoint: weights by their places in a program, without the model",
            expected="the .h5, .keras or JSON file of a Keras model",
            remedy="with the program that wrote it: model.load_weights(...), then model.save('net.h5')",
        )
    if path.is_dir():
        raise NotAFileError(f"{path} is a directory", expected="a file", remedy="name one of the files in it")
    if not path.exists():
        raise FileMissingError(f"{path} does not exist", remedy="check the spelling and the working directory")
    if not path.is_file():
        raise NotAFileError(f"{path} is not a regular file", expected="a file with the weights")


def _is_of_checkpoint(path: Path) -> bool:
    """Whether a path is the prefix of a checkpoint, or one of the files that it stands for."""
    prefix = re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path.name)
    return prefix != "" and not path.is_dir() and path.with_name(f"{prefix}.index").is_file()


def is_saved_model_folder(path: Path) -> bool:
    """Whether TensorFlow wrote a folder as a SavedModel."""
    return path.is_dir() and any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt"))


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
    if head.startswith(ZIP_SIGNATURE) and not _holds_arrays(path):
        check_archive(path)
    target = _link_target(head, size)
    if target is not None:
        raise StoredSymlinkError(
            f"{path} is a symbolic link stored as text",
            found=f"the text {target!r}",
            remedy=f"read {path.parent / target} instead, or clone with core.symlinks=true",
        )


def _holds_arrays(path: Path) -> bool:
    """Whether an archive holds arrays of NumPy's and nothing else."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def check_archive(path: Path) -> None:
    """Let a ``.keras`` archive of Keras 2 pass, and refuse any other.

    Raises:
        ArchiveFileError: an archive that nothing reads as a network.
        KerasFileError: a port.
    """
    try:
        version = keras_version_of(path)
    except DamagedFileError as error:
        raise ArchiveFileError(
            f"{path} is a zip archive that cannot be read", found=error.found, remedy="copy or download it again"
        ) from error
    if version is not None and version.startswith("2."):
        return
    if version is not None:
        raise KerasFileError(
            f"{path} is a Keras model, not a legacy file",
            found=f"Keras version {version or 'unknown'}",
            remedy=f"give the legacy file first: porter verify LEGACY {path.name}",
        )
    kind = "a NumPy .npz archive (zip)" if any(name.endswith(".npy") for name in names_of(path)) else "a zip archive"
    raise ArchiveFileError(
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
