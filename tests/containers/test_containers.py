"""Arrays out of MATLAB's files, safetensors, pickles, text and folders: as data, and damaged ones by name."""

import json
import os
import pickle
import struct
import zlib

import h5py
import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program
from tests.formats.files import kernels_and_biases

KERNELS, BIASES = kernels_and_biases((3, 4, 2))
X = np.random.default_rng(1).normal(size=(6, 3))


def plain(x=X):
    return np.tanh(x @ KERNELS[0] + BIASES[0]) @ KERNELS[1] + BIASES[1]


def agrees(network):
    np.testing.assert_allclose(build_program(network)(X)[0], plain(), rtol=1e-12)


# --- MATLAB ---------------------------------------------------------------------------------------------------------


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(name, array, kind=6):
    shape = array.shape if array.ndim > 1 else (array.size, 1)
    parts = element(6, struct.pack("<II", kind, 0)) + element(5, np.array(shape, "<i4").tobytes())
    return element(14, parts + element(1, name.encode()) + element(9, array.astype("<f8").ravel(order="F").tobytes()))


def cell(name, matrices):
    shape = np.array((1, len(matrices)), "<i4").tobytes()
    parts = element(6, struct.pack("<II", 1, 0)) + element(5, shape) + element(1, name.encode())
    return element(14, parts + b"".join(matrices))


def structure(name, fields):
    width = 32
    names = b"".join(field.encode().ljust(width, b"\0") for field in fields)
    parts = element(6, struct.pack("<II", 2, 0)) + element(5, np.array((1, 1), "<i4").tobytes())
    parts += element(1, name.encode()) + element(5, struct.pack("<i", width)) + element(1, names)
    return element(14, parts + b"".join(fields.values()))


HEAD = b"MATLAB 5.0 MAT-file, made by hand".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def mat5(tmp_path, *variables, packed=False):
    body = b"".join(
        struct.pack("<II", 15, len(data := zlib.compress(each))) + data if packed else each for each in variables
    )
    path = tmp_path / "net.mat"
    path.write_bytes(HEAD + body)
    return path


WHOLE = [
    *(matrix(f"W{n}", kernel.T) for n, kernel in enumerate(KERNELS, start=1)),
    *(matrix(f"b{n}", bias) for n, bias in enumerate(BIASES, start=1)),
]


@pytest.mark.parametrize("packed", [False, True])
def test_version_5_to_7(tmp_path, packed):
    agrees(porter.read(mat5(tmp_path, *WHOLE, packed=packed)))


def test_version_4(tmp_path):
    body = b""
    for name, array in {
        "W1": KERNELS[0].T,
        "b1": BIASES[0][:, None],
        "W2": KERNELS[1].T,
        "b2": BIASES[1][:, None],
    }.items():
        body += struct.pack("<5i", 0, *array.shape, 0, len(name) + 1) + name.encode() + b"\0"
        body += array.astype("<f8").ravel(order="F").tobytes()
    path = tmp_path / "net.mat"
    path.write_bytes(body)
    agrees(porter.read(path))


def test_version_73_has_its_axes_reversed(tmp_path):
    path = tmp_path / "net.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for n, (kernel, bias) in enumerate(zip(KERNELS, BIASES, strict=True), start=1):
            file[f"W{n}"], file[f"b{n}"] = kernel, bias[None]  # as stored: (inputs, units) for MATLAB's (units, inputs)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, made by hand")
    network = porter.read(path)
    agrees(network)
    assert network.source.arrays["W1"].shape == (4, 3)


def test_cells_and_structures_by_recipe(tmp_path):
    variables = [
        structure("net", {"IW": cell("", [matrix("", KERNELS[0].T)]), "b": cell("", [matrix("", b) for b in BIASES])}),
        cell("LW", [matrix("", np.zeros((1, 1))), matrix("", KERNELS[1].T)]),
    ]
    text = '[[layers]]\nkernel = "net.IW{1}"\nbias = "net.b{1}"\nactivation = "tanh"\n'
    text += '[[layers]]\nkernel = "LW{2}"\nbias = "net.b{2}"\nactivation = "linear"\n'
    (tmp_path / "net.toml").write_text(text)
    agrees(porter.read(mat5(tmp_path, *variables), recipe=tmp_path / "net.toml"))


def test_a_network_object_is_refused_with_what_to_export(tmp_path):
    flags = element(6, struct.pack("<II", 17, 0))
    opaque = element(14, flags + element(1, b"net") + element(1, b"MCOS") + element(1, b"network"))
    with pytest.raises(errors.UnknownMemberError, match="genFunction") as refused:
        porter.read(mat5(tmp_path, opaque))
    assert "network" in str(refused.value)


def test_a_variable_that_unpacks_to_far_more_is_refused(tmp_path):
    bomb = zlib.compress(b"\0" * (1 << 24), 9)
    path = mat5(tmp_path)
    path.write_bytes(HEAD + struct.pack("<II", 15, 64) + bomb[:64])
    with pytest.raises(errors.UnreadableError):
        porter.read(path)


# --- safetensors ----------------------------------------------------------------------------------------------------


def safetensors(tmp_path, arrays, change=lambda header: header, kind="F64"):
    data, header = b"", {"__metadata__": {"format": "pt"}}
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(change(header)).encode()
    path = tmp_path / "net.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


STATE = {"net.0.weight": KERNELS[0].T, "net.0.bias": BIASES[0], "net.2.weight": KERNELS[1].T, "net.2.bias": BIASES[1]}


def test_safetensors_by_pytorchs_names(tmp_path):
    agrees(porter.read(safetensors(tmp_path, STATE)))


def test_bfloat16_is_widened(tmp_path):
    words = {name: (array.astype("<f4").view("<u4") >> 16).astype("<u2") for name, array in STATE.items()}
    network = porter.read(safetensors(tmp_path, words, kind="BF16"))
    np.testing.assert_allclose(network.dense_layers[0].kernel, KERNELS[0], rtol=2**-7)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: {**header, "net.0.bias": {**header["net.0.bias"], "data_offsets": [0, 10**9]}},
        lambda header: {**header, "net.0.bias": {**header["net.0.bias"], "shape": [10**9, 10**9]}},
        lambda header: {**header, "net.0.bias": {**header["net.0.bias"], "dtype": "F8_E4M3"}},
        lambda header: {**header, "net.0.bias": 3},
    ],
)
def test_safetensors_that_do_not_fit_are_refused(tmp_path, change):
    with pytest.raises(errors.UnreadableError):
        porter.read(safetensors(tmp_path, STATE, change))


# --- pickles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_of_arrays_and_plain_containers(tmp_path, protocol):
    path = tmp_path / "net.pkl"
    contents = {"coefs": KERNELS, "intercepts": [b.astype(">f8") for b in BIASES], "note": "trained", "epoch": 7}
    path.write_bytes(pickle.dumps(contents, protocol=protocol))
    (tmp_path / "net.toml").write_text(
        '[[layers]]\nkernel = "coefs[0]"\nbias = "intercepts[0]"\nactivation = "tanh"\n'
        '[[layers]]\nkernel = "coefs[1]"\nbias = "intercepts[1]"\nactivation = "linear"\n'
    )
    agrees(porter.read(path, recipe=tmp_path / "net.toml"))
    named = {
        f"{part}{n + 1}": array for part, arrays in (("W", KERNELS), ("b", BIASES)) for n, array in enumerate(arrays)
    }
    path.write_bytes(pickle.dumps(named, protocol=protocol))
    agrees(porter.read(path))


class Calls:
    """Calls something as it is unpickled."""

    def __init__(self, *what):
        self.what = what

    def __reduce__(self):
        return self.what


MALICIOUS = {
    "system": Calls(os.system, ("touch STOLEN",)),
    "eval": Calls(eval, ("open('STOLEN', 'w')",)),
    "open": Calls(open, ("STOLEN", "w")),
    "getattr": Calls(getattr, ("", "join")),
    "import": Calls(__import__, ("antigravity",)),
    "numpy.load": Calls(np.load, ("STOLEN",)),
    "fromfile": Calls(np.fromfile, ("/etc/passwd",)),
}


@pytest.mark.parametrize("name", MALICIOUS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_malicious_pickle_is_refused_by_name_and_runs_nothing(tmp_path, monkeypatch, name, protocol):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps({"W1": KERNELS[0], "b1": MALICIOUS[name]}, protocol=protocol))
    with pytest.raises(errors.PickleFileError, match="asks for"):
        porter.read(path)
    assert not (tmp_path / "STOLEN").exists()


def test_pickles_cannot_change_what_they_are_given(tmp_path):
    """BUILD sets attributes on whatever has no __setstate__; a name gets something that has one, which refuses."""
    from porter.formats.containers import pickled

    code = b"\x80\x04c_codecs\nencode\nN}(X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00au\x86b."
    path = tmp_path / "net.pkl"
    path.write_bytes(code)
    before = pickled._encode.__defaults__
    with pytest.raises(errors.UnreadableError):
        porter.read(path)
    assert pickled._encode.__defaults__ == before


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b".",  # a byte array of a terabyte
        b"\x80\x04r\xff\xff\xff\x7f.",  # a memo of two thousand million
        b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",  # lists within lists
        b"\x80\x04X\x02\x00\x00\x00W1Q.",  # something outside of it
        b"\x80\x04.",
    ],
)
def test_hostile_pickles_are_refused(tmp_path, code):
    path = tmp_path / "net.pkl"
    path.write_bytes(code)
    with pytest.raises(errors.UnreadableError):
        porter.read(path)


def test_lists_that_hold_each_other_a_million_times_are_refused(tmp_path):
    inner = [1, "a"]
    for _ in range(12):
        inner = [inner] * 20
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps(inner))
    with pytest.raises(errors.UnreadableError):
        porter.read(path)


# --- text and folders -----------------------------------------------------------------------------------------------

FOLDED = '[[layers]]\nkernel = "lines 2-5"\nbias = "lines 6-6"\norientation = "units-first"\nactivation = "tanh"\n'


def test_text_by_its_lines(tmp_path):
    def rows(array):
        return "\n".join(" ".join(f"{value:.17g}" for value in row) for row in np.atleast_2d(array))

    first, second = f"a network\n{rows(KERNELS[0].T)}\n{rows(BIASES[0])}", f"{rows(KERNELS[1].T)}\n\n{rows(BIASES[1])}"
    text = f"{first}\nthe second layer\n{second}\n"
    (tmp_path / "net.dat").write_text(text)
    second = (
        '[[layers]]\nkernel = "lines 8-9"\nbias = "lines 11-11"\norientation = "units-first"\nactivation = "linear"\n'
    )
    (tmp_path / "net.toml").write_text(FOLDED + second)
    agrees(porter.read(tmp_path / "net.dat", recipe=tmp_path / "net.toml"))


def test_a_folder_of_matrices_by_their_names(tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    for n, (kernel, bias) in enumerate(zip(KERNELS, BIASES, strict=True), start=1):
        np.savetxt(folder / f"W{n}.txt", kernel.T, fmt="%.17g")
        np.save(folder / f"b{n}.npy", bias)
    agrees(porter.read(folder))


# --- damage ---------------------------------------------------------------------------------------------------------


def test_damaged_files_give_refusals_only(tmp_path):
    """Bytes changed, cut and repeated; every one is read or refused by one of porter's own errors."""
    named = {**{f"W{n + 1}": k for n, k in enumerate(KERNELS)}, **{f"b{n + 1}": b for n, b in enumerate(BIASES)}}
    files = {
        "mat": mat5(tmp_path, *WHOLE).read_bytes(),
        "packed": mat5(tmp_path, *WHOLE, packed=True).read_bytes(),
        "safetensors": safetensors(tmp_path, STATE).read_bytes(),
        "pickle": pickle.dumps(named),
    }
    rng, read = np.random.default_rng(7), 0
    for raw in files.values():
        for _ in range(150):
            data = bytearray(raw)
            for _ in range(int(rng.integers(1, 4))):
                data[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
            data = data[: int(rng.integers(1, len(data)))] if rng.random() < 0.2 else data
            path = tmp_path / "damaged.bin"
            path.write_bytes(bytes(data))
            try:
                porter.read(path)
                read += 1
            except errors.PorterError:
                pass
    assert 0 < read < 600, "some damage hits weights alone, most is seen"
