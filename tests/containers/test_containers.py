"""Arrays out of MATLAB's files, safetensors, pickles, text and folders: as data, and damaged ones by name."""

import json
import os
import pickle
import struct
import zlib

import h5py
import numpy as np
import pytest
from scipy.io import savemat

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
    with h5py.File(path, "r+") as file:  # text, a character a code
        for name, text in (("activation", "logsig"), ("author", "somebody"), ("nothing", "")):
            codes = np.array([[ord(sign)] for sign in text], "u2").reshape(-1, 1)
            file[name] = codes
            file[name].attrs["MATLAB_class"] = np.bytes_("char")
    said = porter.read(path)
    assert set(said.source.arrays) == set(network.source.arrays)
    assert [(claim.value, claim.evidence) for claim in said.claims if claim.convention == "activation"][:1] == [
        ("sigmoid", "declared")
    ]
    with h5py.File(path, "r+") as file:  # whole numbers that are no characters
        file["activation"].attrs["MATLAB_class"] = np.bytes_("uint16")
    with pytest.raises(errors.UnknownMemberError, match="activation"):
        porter.read(path)


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


@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize("contents", [{"W1": np.eye(3)}, [1.5], np.eye(3)], ids=["dict", "list", "array"])
def test_a_pickle_of_an_old_protocol_is_named(tmp_path, protocol, contents):
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps(contents, protocol=protocol))
    for read in (porter.read, porter.infer):
        with pytest.raises(errors.PickleFileError, match="protocol 0 or 1"):
            read(path)


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


@pytest.fixture
def folder(tmp_path):
    """The network as one matrix a file, (units, inputs)."""
    path = tmp_path / "net"
    path.mkdir()
    for n, (kernel, bias) in enumerate(zip(KERNELS, BIASES, strict=True), start=1):
        np.savetxt(path / f"W{n}.txt", kernel.T, fmt="%.17g")
        np.save(path / f"b{n}.npy", bias)
    return path


def test_a_folder_of_matrices_by_their_names(folder):
    agrees(porter.read(folder))


def lined(change):
    """A change of the two lines of W2.txt, as a change of its text."""
    return lambda text: "\n".join(change(*text.splitlines())) + "\n"


STILL_READ = {
    "comments around": lambda text: f"# second layer\n{text}\n! end\n\n",
    "names above": lambda text: f'"u1" "u2" "u3" "u4"\n{text}',
    "commas": lambda text: text.replace(" ", ", "),
    "a separator at the end": lambda text: text.replace(" ", ";").replace("\n", ";\n"),
    "tabs": lambda text: text.replace(" ", "\t"),
    "exponents of Fortran": lambda text: text.replace(" ", "D+00 ", 1),
}


@pytest.mark.parametrize("how", STILL_READ)
@pytest.mark.parametrize("name", ["W2.txt", "W2.TSV", "W2"])
def test_text_that_is_one_matrix(folder, how, name):
    text = (folder / "W2.txt").read_text()
    (folder / "W2.txt").unlink()
    (folder / name).write_text(STILL_READ[how](text))
    agrees(porter.read(folder))


NO_MATRIX = {
    "a blank line": (lined(lambda a, b: (a, "", b)), "two blocks of numbers: to line 1 and from line 3"),
    "a comment": (lined(lambda a, b: (a, "# 2", b)), "two blocks"),
    "words": (lined(lambda a, b: (a, "and so on", b)), "'and' in line 2"),
    "Fortran's overflow": (lined(lambda a, b: (a, "*** *** *** ***", b)), r"'\*\*\*' in line 2"),
    "R's missing values": (lined(lambda a, b: ("NA NA NA NA", a, b)), "'NA' in line 1"),
    "a row of NaN": (lined(lambda a, b: ("nan nan nan nan", a, b)), "the first 'nan'"),
    "one NaN": (lined(lambda a, b: (a, f"-inf {b.partition(' ')[2]}")), "the first '-inf'"),
    "nothing but NaN": (lambda _: "nan nan nan nan\n", "the first 'nan'"),
    "no numbers": (lambda _: "to follow\n", "'to' in line 1"),
    "nothing": (lambda _: "", "is empty"),
    "brackets": (lambda text: f"[{text}]", "in line 1"),
    "numbered rows": (lined(lambda a, b: ("a b c d", f"1 {a}", f"2 {b}")), "names of 4 columns in line 1, 5 values"),
    "its sizes": (lined(lambda a, b: ("2 4", a, b)), "2 values in line 1, 4 in the next"),
    "an empty cell": (lined(lambda a, b: (a.replace(" ", ","), ",,0.5,1")), "'' in line 2"),
    "decimal commas": (lambda text: text.replace(".", ","), "decimal commas"),
}


@pytest.mark.parametrize("how", NO_MATRIX)
@pytest.mark.parametrize("name", ["W2.txt", "W2.vec"])
def test_what_is_not_one_matrix_is_refused_by_name(folder, how, name):
    change, says = NO_MATRIX[how]
    text = (folder / "W2.txt").read_text()
    (folder / "W2.txt").unlink()
    (folder / name).write_text(change(text))
    is_prose = how == "no numbers" and name == "W2.vec"
    with pytest.raises(errors.UnreadableError, match="'b2' has no kernel" if is_prose else says) as refused:
        porter.read(folder)
    assert str(folder / name) in str(refused.value) or is_prose


def test_nothing_that_is_called_an_array_is_left_out(folder, tmp_path):
    (tmp_path / "elsewhere").write_text((folder / "W2.txt").read_text())
    for name, make in (
        ("W3.bin", lambda path: path.write_bytes(bytes(64))),
        ("W3.json", lambda path: path.write_text("[[0.5, 1],\n[2, 3]]")),
        ("W3.h5", lambda path: h5py.File(path, "w").close()),
        ("x_min.txt", lambda path: path.write_text("nan nan nan")),
        ("x_min.txt", lambda path: path.write_text("x1 0.5")),
        ("x_min.vec", lambda path: path.write_text("0 0 0")),
        ("W2.csv", lambda path: path.write_text("1 2 3 4\n")),
        ("W3.txt", lambda path: path.symlink_to(tmp_path / "elsewhere")),
        ("README.txt", lambda path: path.write_text("the ranges are\n0 1\n")),
    ):
        make(folder / name)
        with pytest.raises(errors.UnreadableError, match=name.rpartition(".")[0]):
            porter.read(folder)
        (folder / name).unlink()
    for name, text in (
        ("README.txt", "trained in 2012\n"),
        ("LICENSE", "2 clauses\n"),
        ("license.txt", ""),
        ("note.txt", "tanh\n"),
        ("plot.md", "1 layer\n"),
        ("read_weights.py", "W1 = np.loadtxt('W1.txt')\n"),
        ("weights.keras", "PK"),
        ("x.csv", "1,2,NA\n"),
    ):
        (folder / name).write_text(text)
    agrees(porter.read(folder))


@pytest.mark.parametrize("sizes", [(3, 4, 1), (1, 4, 2), (1, 1, 1), (5, 1)])
@pytest.mark.parametrize("is_column", [False, True])
def test_one_unit_or_one_input_in_text_keeps_both_axes(tmp_path, sizes, is_column):
    kernels, biases = kernels_and_biases(sizes)
    folder = tmp_path / "net"
    folder.mkdir()
    for n, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
        np.savetxt(folder / f"W{n}.txt", kernel if is_column else kernel.T, fmt="%.17g")
        np.savetxt(folder / f"b{n}.txt", bias[:, None] if is_column else bias[None], fmt="%.17g")
    network = porter.read(folder)
    porter.write_recipe(network, tmp_path / "net.toml")
    for found in (network, porter.read(folder, recipe=tmp_path / "net.toml")):
        assert found.widths == sizes and found.source.sha256 == network.source.sha256 != ""
        for layer, kernel, bias in zip(found.dense_layers, kernels, biases, strict=True):
            np.testing.assert_array_equal(layer.kernel, kernel)
            np.testing.assert_array_equal(layer.bias, bias)


def test_one_line_of_text_is_a_matrix_by_recipe(tmp_path):
    (tmp_path / "net.dat").write_text("1 2 3\n\n0.5\n")
    for orientation, widths in (("units-first", (3, 1)), ("inputs-first", None)):
        text = f'[[layers]]\nkernel = "lines 1-1"\nbias = "lines 3-3"\norientation = "{orientation}"\n'
        (tmp_path / "net.toml").write_text(text)
        if widths is not None:
            assert porter.read(tmp_path / "net.dat", recipe=tmp_path / "net.toml").widths == widths
            continue
        with pytest.raises(errors.PorterError, match="orientation"):
            porter.read(tmp_path / "net.dat", recipe=tmp_path / "net.toml")


def test_files_called_weights_of_which_none_is_a_matrix_are_no_network(tmp_path):
    model = tmp_path / "model_with_weights.txt"
    model.write_text("2\ninput 3\ndense 1\n")
    with pytest.raises(errors.NotAFileError, match="no family keeps a network so"):
        porter.read(tmp_path)
    model.write_text("1 2 3\n")
    assert porter.read(tmp_path).widths == (3, 1)


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


# --- what they say of activations -----------------------------------------------------------------------------------


def in_words(tmp_path, container, name, said):
    """A file of that container with ``said`` under ``name`` beside the arrays."""
    arrays = {f"{part}{n}": array for part, every in (("W", KERNELS), ("b", BIASES)) for n, array in enumerate(every)}
    path = tmp_path / f"net{container}"
    if container == ".pkl":
        path.write_bytes(pickle.dumps({**arrays, name: said}))
    elif container == ".mat":
        savemat(path, {**arrays, name: np.array(said, object) if isinstance(said, list) else said})
    elif container == ".safetensors":
        path.write_bytes(tensors(arrays, {name: said if isinstance(said, str) else json.dumps(said)}))
    else:
        path = tmp_path / "net"
        path.mkdir(exist_ok=True)
        for stem, array in arrays.items():
            np.save(path / f"{stem}.npy", array)
        (path / f"{name}.txt").write_text(said if isinstance(said, str) else "\n".join(said))
    return porter.read(path)


def tensors(arrays, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, array in arrays.items():
        end = len(data) + array.nbytes
        header[name] = {"dtype": "F64", "shape": list(array.shape), "data_offsets": [len(data), end]}
        data += np.ascontiguousarray(array).tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("container", [".pkl", ".mat", ".safetensors", "folder"])
def test_what_a_container_says_of_activations_is_believed(tmp_path, container):
    for name, said, wanted in (
        ("activation", "relu", ["relu", "linear"]),
        ("activations", ["relu", "softplus"], ["relu", "softplus"]),
    ):
        (directory := tmp_path / name).mkdir()
        network = in_words(directory, container, name, said)
        steps = [step for step in build_program(network).steps if hasattr(step, "activation")]
        assert [step.activation.name for step in steps] == wanted
        assert [layer.activation.name for layer in network.dense_layers] == wanted
        first = next(claim for claim in network.claims if claim.convention == "activation")
        assert (first.evidence, first.detail) == ("declared", "declared by the file")
    for name, said in (("activation_of_units", "'activation_of_units' ('relu'), which is not understood"),
                       ("title", "nothing says it")):  # fmt: skip
        (directory := tmp_path / name).mkdir()
        network = in_words(directory, container, name, "relu" if name != "title" else "best")
        first = next(claim for claim in network.claims if claim.convention == "activation")
        assert (first.value, first.evidence) == ("tanh", "assumed") and said in first.detail


def test_a_folder_may_have_a_table_in_json(tmp_path):
    for name in ("config", "notes"):
        in_words(tmp_path, "folder", "readme", "of 2026")
        (tmp_path / "net" / f"{name}.json").write_text('{\n  "activation": "relu"\n}\n')
        network = porter.read(tmp_path / "net")
        assert network.dense_layers[0].activation.name == ("relu" if name == "config" else "tanh")
        (tmp_path / "net" / f"{name}.json").unlink()


def test_scikit_learns_lists_of_arrays(tmp_path):
    path = tmp_path / "net.pkl"
    path.write_bytes(
        pickle.dumps({"coefs_": KERNELS, "intercepts_": BIASES, "activation": "relu", "out_activation_": "logistic"})
    )
    network = porter.read(path)
    wanted = 1 / (1 + np.exp(-(np.maximum(X @ KERNELS[0] + BIASES[0], 0) @ KERNELS[1] + BIASES[1])))
    np.testing.assert_allclose(build_program(network)(X)[0], wanted, rtol=1e-12)
    path.write_bytes(
        pickle.dumps(
            {
                "layers": [
                    {"W": k, "b": b, "activation": a} for k, b, a in zip(KERNELS, BIASES, ("relu", "elu"), strict=True)
                ]
            }
        )
    )
    assert [layer.activation.name for layer in porter.read(path).dense_layers] == ["relu", "elu"]
    path.write_bytes(pickle.dumps({"coefs_": KERNELS, "intercepts_": BIASES[:1]}))
    with pytest.raises(errors.MissingMemberError, match="has no bias"):
        porter.read(path)
