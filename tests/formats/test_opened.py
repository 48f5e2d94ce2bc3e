"""What is not the file that was meant is refused by name, before anything is decoded."""

import hashlib
import os
import pickle
import zipfile

import h5py
import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.opened import open_file
from tests.formats.files import write

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 309594\n"


def assert_refused(path, kind):
    with pytest.raises(errors.PorterError) as caught:
        porter.read(path)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", errors.EmptyFileError, "is empty"),
        (LFS, errors.LfsPointerError, "git lfs pull"),
        (b"../weights/aa.h5", errors.StoredSymlinkError, "'../weights/aa.h5'"),
        (b"aa_1.05e+00.nc", errors.StoredSymlinkError, "symbolic link stored as text"),
        (pickle.dumps(print), errors.PickleFileError, "asks for builtins.print"),
        (b"PK\x03\x04 and no more", errors.ArchiveFileError, "zip archive"),
        (b"Weights: 1.0 2.0\n", errors.UnknownFormatError, "oc-smart: HDF5 with groups"),
        (b"CDF\x01 old netCDF", errors.UnknownFormatError, "CDF"),
    ],
)
def test_stand_ins_for_the_real_file(tmp_path, content, kind, says):
    path = tmp_path / "net.h5"
    path.write_bytes(content)
    message = assert_refused(path, kind)
    assert says in message
    assert str(path) in message


def test_every_pickle_protocol_with_a_signature(tmp_path):
    path = tmp_path / "net.h5"
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps({"Weights": print}, protocol=protocol))
        assert_refused(path, errors.PickleFileError)


def test_missing(tmp_path):
    assert "does not exist" in assert_refused(tmp_path / "none.h5", errors.FileMissingError)


def test_a_folder(tmp_path):
    assert "name one of the files in it" in assert_refused(tmp_path, errors.NotAFileError)


def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "not a regular file" in assert_refused(path, errors.NotAFileError)


def test_no_permission(tmp_path, monkeypatch):
    path = write(tmp_path / "net.h5")

    def denied(*_args, **_keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", denied)
    assert "Permission denied" in assert_refused(path, errors.AccessError)


def test_npz_and_keras_archives_are_told_apart(tmp_path):
    np.savez(tmp_path / "golden.npz", inputs=np.ones((1, 3)))
    assert "--samples" in assert_refused(tmp_path / "golden.npz", errors.ArchiveFileError)
    with zipfile.ZipFile(tmp_path / "port.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
    assert "porter verify LEGACY port.keras" in assert_refused(tmp_path / "port.keras", errors.KerasFileError)


def test_the_digest_is_that_of_the_bytes(tmp_path):
    path = write(tmp_path / "net.h5")
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    with open_file(path) as opened:
        assert opened.sha256 == expected
    assert porter.read(path).source.sha256 == expected


def test_text_with_a_line_end_is_no_stored_link(tmp_path):
    path = tmp_path / "net.txt"
    path.write_bytes(b"aa.h5\n")
    assert_refused(path, errors.UnknownFormatError)


LOCKING = {"default": {}, "on": {"locking": True}, "off": {"locking": False}, "best-effort": {"locking": "best-effort"}}


@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize("locking", LOCKING)
def test_a_file_that_is_open_in_the_same_python(tmp_path, mode, locking):
    path = write(tmp_path / "net.h5")
    with h5py.File(path, mode, **LOCKING[locking]) as mine:
        assert porter.read(path).widths == (3, 4, 2)
        assert "Weights" in mine, "reading has closed the user's own file"
    assert porter.read(path).widths == (3, 4, 2)


@pytest.mark.parametrize("locking", LOCKING)
def test_what_is_read_of_an_open_file_is_what_the_digest_is_of(tmp_path, locking):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("Weights/Layer1", data=np.ones((64, 64)), chunks=(64, 64))  # a chunk waits in memory
    with h5py.File(path, "r+", **LOCKING[locking]) as mine:
        held = mine["Weights/Layer1"]
        held[...] = 0
        network = porter.read(path, scaling="none")
        assert network.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert network.layers[0].kernel.all(), "what was not written yet is not what the digest is of"
    assert not porter.read(path, scaling="none").layers[0].kernel.any()


def test_a_damaged_file_that_is_open_is_still_refused(tmp_path):
    path = write(tmp_path / "net.h5")
    data = path.read_bytes()
    with h5py.File(path):
        path.write_bytes(data[: len(data) // 2])
        assert_refused(path, errors.TruncatedFileError)


def test_a_file_that_a_program_has_not_closed(tmp_path):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w", libver="latest") as mine:
        mine["Weights/Layer1"] = np.ones((2, 2))
        mine.flush()
        (tmp_path / "copy.h5").write_bytes(path.read_bytes())
    assert "close it there" in assert_refused(tmp_path / "copy.h5", errors.AccessError)


@pytest.mark.parametrize("name", ["net", "net.index", "net.data-00000-of-00001"])
def test_a_checkpoint_is_said_to_be_one(tmp_path, name):
    for suffix in (".index", ".data-00000-of-00001"):
        (tmp_path / f"net{suffix}").write_bytes(b"\0\1")
    with pytest.raises(errors.NotAFileError, match=r"a TensorFlow checkpoint.*without the model"):
        open_file(tmp_path / name)
    (tmp_path / "other").write_text("no checkpoint has this prefix")
    open_file(tmp_path / "other")
