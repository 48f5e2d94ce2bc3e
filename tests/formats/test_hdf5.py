"""HDF5 that would lead elsewhere, or allocate what is not there, is refused before it can."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.opened import open_file
from porter.formats.storage import FREE_INFLATION, LARGEST_RATIO
from tests.formats.files import replace, write

KERNEL = "Weights/Layer1"


def assert_refused(path, kind):
    with pytest.raises(errors.PorterError) as caught:
        porter.read(path)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def external_storage(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (4, 3), "f8", external=[("/etc/hostname", 0, 96)])


def virtual(file):
    del file[KERNEL]
    layout = h5py.VirtualLayout((4, 3), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "Weights/Layer1", (4, 3))
    file.create_virtual_dataset(KERNEL, layout)


def contiguous_bomb(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (2**21, 2**21), "f8")


def chunked_bomb(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (2**21, 2**21), "f8", chunks=(64, 64))


def huge_chunk(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (4, 3), "f8", chunks=(2**12, 2**13), maxshape=(None, None), compression="gzip")


def constant_bomb(file):
    """200 MB of zeros in some 200 kB: as small as gzip gets."""
    del file[KERNEL]
    data = file.create_dataset(KERNEL, (2**13, 3200), "f8", chunks=(2**13, 3200), compression="gzip")
    deflater = zlib.compressobj(9)
    packed = b"".join(deflater.compress(bytes(2**20)) for _ in range(200)) + deflater.flush()
    data.id.write_direct_chunk((0, 0), packed)


def long_stream(file):
    """A chunk of 96 bytes whose stream inflates to 50 MiB."""
    del file[KERNEL]
    data = file.create_dataset(KERNEL, (4, 3), "f8", chunks=(4, 3), compression="gzip")
    data.id.write_direct_chunk((0, 0), zlib.compress(bytes(50 * 2**20), 9))


def unwritten(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (4, 3), "f8")


def half_written(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (4, 3), "f8", chunks=(1, 3))[:2] = 0.5


def cycle(file):
    file["Weights/self"] = file["Weights"]


def shared(file):
    del file["Weights/Layer2"]
    file["Weights/Layer2"] = file[KERNEL]


def foreign_filter(file):
    del file[KERNEL]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((4, 3))
    properties.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((4, 3))
    h5py.Dataset(h5py.h5d.create(file["Weights"].id, b"Layer1", h5py.h5t.IEEE_F64LE, space, properties))[...] = 1


def damaged_stream(file):
    del file[KERNEL]
    data = file.create_dataset(KERNEL, (4, 3), "f8", chunks=(4, 3), compression="gzip")
    data.id.write_direct_chunk((0, 0), b"\x78\x9c not deflate at all")


def vlen(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (2,), h5py.vlen_dtype(np.float64))[0] = [1.0]


HOSTILE = [
    (replace(KERNEL, h5py.ExternalLink("other.h5", "/x")), errors.ExternalLinkError, "'other.h5'"),
    (replace("Norm_in", h5py.ExternalLink("/etc/passwd", "/")), errors.ExternalLinkError, "'/etc/passwd'"),
    (replace(KERNEL, h5py.SoftLink("/Weights/Layer2")), errors.SoftLinkError, "'/Weights/Layer2'"),
    (replace("Weights", h5py.SoftLink("/Weights")), errors.SoftLinkError, "not followed"),
    (external_storage, errors.ExternalStorageError, "'/etc/hostname'"),
    (virtual, errors.VirtualDatasetError, "is virtual"),
    (contiguous_bomb, errors.ShapeBombError, "35,184,372,088,832 bytes"),
    (chunked_bomb, errors.ShapeBombError, "35,184,372,088,832 bytes"),
    (huge_chunk, errors.ShapeBombError, "268,435,456 bytes"),
    (constant_bomb, errors.ShapeBombError, "209,715,200 bytes"),
    (long_stream, errors.ShapeBombError, "96 bytes"),
    (unwritten, errors.UnwrittenDataError, "96 bytes"),
    (half_written, errors.UnwrittenDataError, "2 of its chunks missing"),
    (cycle, errors.SharedObjectError, "'Weights/self' is the same object as 'Weights'"),
    (shared, errors.SharedObjectError, "same object"),
    (foreign_filter, errors.FilterError, "filter 32001"),
    (damaged_stream, errors.DamagedFileError, "cannot be decoded"),
    (vlen, errors.StoredTypeError, "variable-length arrays"),
    (replace(KERNEL, np.zeros((4, 3), [("re", "f8"), ("im", "f8")])), errors.StoredTypeError, "compounds"),
    (replace(KERNEL, np.array(["1.0", "2.0"], dtype="S3")), errors.StoredTypeError, "strings"),
    (replace(KERNEL, h5py.Empty("f8")), errors.UnwrittenDataError, "no values"),
]


@pytest.mark.parametrize(("spoil", "kind", "says"), HOSTILE)
def test_hostile_files_are_refused_by_name(tmp_path, spoil, kind, says):
    path = write(tmp_path / "net.h5", spoil=spoil)
    message = assert_refused(path, kind)
    assert says in message
    assert str(path) in message


KEPT = """
import ctypes, sys
import porter
try:
    porter.read(sys.argv[1])
except porter.PorterError as error:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(error))
"""


@pytest.mark.subprocess
def test_a_refusal_that_outlives_python_does_not_crash_hdf5(tmp_path, root):
    """HDF5 crashes in the end where the properties of a virtual dataset are still open."""
    path = write(tmp_path / "net.h5", spoil=virtual)
    done = subprocess.run([sys.executable, "-c", KEPT, str(path)], check=False, cwd=root)
    assert done.returncode == 0


BOMBS = [contiguous_bomb, chunked_bomb, huge_chunk, constant_bomb, long_stream]
PEAK = """
import sys
from pathlib import Path
import porter
def peak():
    # Not ru_maxrss, which a child inherits from its parent.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
porter.read(sys.argv[1])
before = peak()
for path in sys.argv[2:]:
    try:
        porter.read(path)
    except porter.UnreadableError:
        continue
    raise SystemExit(f"{path} was read")
print(peak() - before)
"""


def peak_of_reading(root, *paths):
    """KiB of memory that reading the files took beyond reading the first, in a fresh interpreter."""
    command = [sys.executable, "-c", PEAK, *map(str, paths)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout)


@pytest.mark.subprocess
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_bomb_allocates_nothing_to_speak_of(tmp_path, root):
    sound = write(tmp_path / "net.h5")
    bombs = [write(tmp_path / f"{spoil.__name__}.h5", spoil=spoil) for spoil in BOMBS]
    assert peak_of_reading(root, sound, *bombs) < 10 * 1024


@pytest.mark.subprocess
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_the_measure_of_memory_sees_one_large_array(tmp_path, root):
    def spoil(file):
        replace(KERNEL, np.ones((2**13, 2**9)))(file)

    large = write(tmp_path / "large.h5", spoil=spoil)
    assert peak_of_reading(root, write(tmp_path / "net.h5"), large) > 30 * 1024


def test_the_sound_file_that_they_spoil_is_read(tmp_path):
    assert porter.read(write(tmp_path / "net.h5")).widths == (3, 4, 2)


def test_the_other_file_is_not_opened(tmp_path):
    """The target of an external link is there and sound, and is not read all the same."""
    write(tmp_path / "other.h5")
    path = write(tmp_path / "net.h5", spoil=replace(KERNEL, h5py.ExternalLink("other.h5", f"/{KERNEL}")))
    assert_refused(path, errors.ExternalLinkError)


def test_zeros_that_gzip_packs_well_are_read_up_to_the_limit(tmp_path):
    """Constant kernels are legal; the ratio is held against them from 64 MiB on only."""

    def spoil(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, (4, 3), data=np.zeros((4, 3)), chunks=(4, 3), compression="gzip")

    assert not porter.read(write(tmp_path / "net.h5", spoil=spoil)).dense_layers[0].kernel.any()
    assert FREE_INFLATION == 64 * 2**20 and LARGEST_RATIO == 64


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.95])
def test_truncated(tmp_path, keep):
    path = write(tmp_path / "net.h5", (30, 40, 20))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    assert "copy or download it again" in assert_refused(path, errors.TruncatedFileError)


def test_a_damaged_header(tmp_path):
    path = write(tmp_path / "net.h5")
    whole = bytearray(path.read_bytes())
    whole[8] = 99
    path.write_bytes(whole)
    assert_refused(path, errors.DamagedFileError)


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_are_refused_or_harmless(tmp_path, seed):
    """Whatever a byte does, no other exception than ours comes out."""
    path = write(tmp_path / "net.h5")
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(8, len(whole), size=3):
        whole[place] = rng.integers(256)
    path.write_bytes(whole)
    try:
        network = porter.read(path)
    except errors.PorterError as error:
        assert str(path) in str(error)
    else:
        assert all(np.isfinite(layer.kernel).all() for layer in network.dense_layers)


def test_a_user_block_is_skipped(tmp_path):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        file[KERNEL], file["Bias/Layer1"] = np.ones((2, 3)), np.ones(2)
    assert porter.read(path).widths == (3, 2)


def test_attributes_come_as_plain_values(tmp_path):
    def spoil(file):
        file.attrs["text"] = "tanh"
        file.attrs["texts"] = ["tanh", "linear"]
        file.attrs["fixed"] = np.bytes_("tanh")
        file.attrs["numbers"] = np.array([1, 2], ">i4")
        file.attrs["reference"] = file[KERNEL].ref
        file.attrs["nothing"] = h5py.Empty("f8")
        file[KERNEL].attrs["scale"] = 0.5

    path = write(tmp_path / "net.h5", spoil=spoil)
    fixed = {"fixed": "tanh", "numbers": [1, 2], f"{KERNEL}@scale": 0.5}
    assert porter.read(path).source.attributes == fixed
    with open_file(path) as opened:
        read = {name: opened.hdf5.attribute(name) for name in (*fixed, "text", "texts")}
        assert read == {**fixed, "text": "tanh", "texts": ["tanh", "linear"]}
        for name in ("reference", "nothing"):
            with pytest.raises(errors.DamagedFileError, match=f"attribute '{name}' cannot be read"):
                opened.hdf5.attribute(name)


def test_a_damaged_heap_of_text_is_not_touched(tmp_path):
    """HDF5 1.14.6 loops for ever over some of these."""
    path = write(tmp_path / "net.h5", spoil=lambda file: file.attrs.__setitem__("text", "tanh"))
    assert path.read_bytes().count(b"GCOL") == 1
    path.write_bytes(path.read_bytes().replace(b"GCOL", b"gone"))
    assert porter.read(path).widths == (3, 4, 2)
    with open_file(path) as opened, pytest.raises(errors.DamagedFileError, match="attribute 'text' cannot be read"):
        opened.hdf5.attribute("text")


def test_arrays_come_exactly_as_stored(tmp_path):
    stored = np.arange(12, dtype=">f4").reshape(4, 3)
    path = write(tmp_path / "net.h5", spoil=replace(KERNEL, stored))
    array = porter.read(path).source.arrays[KERNEL]
    assert array.dtype == stored.dtype
    assert array.tobytes() == stored.tobytes()


def test_the_file_is_let_go_after_reading_and_after_a_refusal(tmp_path):
    good, bad = write(tmp_path / "good.h5"), write(tmp_path / "bad.h5", spoil=cycle)
    porter.read(good)
    assert_refused(bad, errors.SharedObjectError)
    for path in (good, bad):
        with h5py.File(path, "r+") as file:
            file["more"] = 1


def test_hdf5_is_asked_for_by_name_where_a_file_is_not(tmp_path):
    path = tmp_path / "net.txt"
    path.write_bytes(struct.pack("<4d", 1, 2, 3, 4))
    with open_file(path) as opened, pytest.raises(errors.NotHdf5Error, match="is not HDF5"):
        _ = opened.hdf5


def test_a_keras_model_in_hdf5(tmp_path):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "3.4.0"
        file.create_group("model_weights")
    message = assert_refused(path, errors.KerasFileError)
    assert "Keras version 3.4.0" in message
    assert "porter verify LEGACY model.h5" in message
