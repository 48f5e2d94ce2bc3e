"""Recipes for files of nothing but numbers in binary, for files of a folder by their names, and for lines of a text."""

import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program

RNG = np.random.default_rng(6)
ARRAYS = {
    "W1": RNG.normal(size=(5, 3)), "B1": RNG.normal(size=5), "W2": RNG.normal(size=(4, 5)), "B2": RNG.normal(size=4),
}  # fmt: skip
FLAT = np.concatenate([array.ravel(order="F") for array in ARRAYS.values()])
X = RNG.normal(size=(20, 3))
Y = np.tanh(X @ ARRAYS["W1"].T + ARRAYS["B1"]) @ ARRAYS["W2"].T + ARRAYS["B2"]
LAYERS = """
[[layers]]
kernel = "{}"
shape = [5, 3]
bias = "{}"
order = "{order}"
orientation = "units-first"
activation = "tanh"
[[layers]]
kernel = "{}"
shape = [4, 5]
bias = "{}"
order = "{order}"
orientation = "units-first"
activation = "linear"
"""
SLICES = LAYERS.format("numbers[0:15]", "numbers[15:20]", "numbers[20:40]", "numbers[40:44]", order="Fortran")
RECORDS = LAYERS.format("record 1", "record 2", "record 3", "record 4", order="Fortran")


def recorded(order="<"):
    """As Fortran writes them unformatted."""
    parts = [array.astype(f"{order}f8").tobytes(order="F") for array in ARRAYS.values()]
    return b"".join((mark := np.array(len(part), f"{order}i4").tobytes()) + part + mark for part in parts)


def read(tmp_path, data, raw, text=SLICES):
    (tmp_path / "net.dat").write_bytes(data)
    (tmp_path / "net.toml").write_text(f"[raw]\n{raw}\n{text}")
    return porter.read(tmp_path / "net.dat", recipe=tmp_path / "net.toml")


@pytest.mark.parametrize(
    ("data", "raw", "text", "exact"),
    [
        (FLAT.tobytes(), 'dtype = "float64"', SLICES, True),
        (FLAT.astype(">f4").tobytes(), 'dtype = "float32"\nbyte_order = "big"', SLICES, False),
        (b"#" * 101 + FLAT.tobytes(), 'dtype = "float64"\nskip = 101', SLICES, True),
        (recorded(), 'dtype = "float64"\nrecords = true', RECORDS, True),
        (recorded(">"), 'dtype = "float64"\nrecords = true\nbyte_order = "big"', RECORDS, True),
    ],
)
def test_numbers_in_binary(tmp_path, data, raw, text, exact):
    network = read(tmp_path, data, raw, text)
    np.testing.assert_allclose(build_program(network)(X)[0], Y, rtol=1e-12 if exact else 1e-5, atol=1e-6 * (not exact))
    told = {claim.convention: claim.value for claim in network.claims if claim.evidence == "declared"}
    assert told["stored numbers"].startswith("float64" if exact else "float32, big-endian")


def test_such_a_file_is_ported(tmp_path, keras):
    network = read(tmp_path, FLAT.tobytes(), 'dtype = "float64"')
    report = porter.port(network, tmp_path / "net.keras", samples=(X, Y))
    assert report.verdict == "parity", report
    assert {claim.evidence for claim in report.claims if claim.convention == "activation"} == {"samples"}


@pytest.mark.parametrize(
    ("data", "raw", "text", "says"),
    [
        (FLAT.tobytes()[:-3], 'dtype = "float64"', SLICES, "whole numbers of 8 bytes"),
        (FLAT.astype(">f4").tobytes(), 'dtype = "float32"', SLICES, 'byte_order = "big"'),
        (FLAT.tobytes(), 'dtype = "float32"', SLICES, 'dtype = "float64"'),
        (FLAT.tobytes(), 'dtype = "float64"\nskip = 400', SLICES, "ends in its header"),
        (recorded()[:-3], 'dtype = "float64"\nrecords = true', RECORDS, "record 4"),
        (recorded(">"), 'dtype = "float64"\nrecords = true', RECORDS, "record 1"),
        (recorded()[:-4] + b"abcd", 'dtype = "float64"\nrecords = true', RECORDS, "markers 32 and"),
        (FLAT.tobytes(), 'dtype = "float64"', RECORDS, "no dataset 'record 1'"),
        (b"1 2 3\n4 5 6\n", 'dtype = "float64"', SLICES, "numbers in text"),
        (FLAT.tobytes(), 'dtype = "double"', SLICES, "raw, dtype"),
    ],
)
def test_what_it_cannot_be_is_refused(tmp_path, data, raw, text, says):
    with pytest.raises(errors.PorterError) as refused:
        read(tmp_path, data, raw, text)
    assert says in str(refused.value)


def test_binary_without_a_word_on_it_is_refused_with_what_to_say(tmp_path):
    (tmp_path / "net.dat").write_bytes(FLAT.tobytes())
    (tmp_path / "net.toml").write_text(SLICES)
    with pytest.raises(errors.UnknownFormatError, match=r"\[raw\] with dtype"):
        porter.read(tmp_path / "net.dat", recipe=tmp_path / "net.toml")


@pytest.mark.parametrize("ending", [".bin", ".txt"])
def test_files_of_a_folder_have_their_endings(tmp_path, ending):
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "README").write_text("three layers")
    for name, array in ARRAYS.items():
        if ending == ".txt":
            np.savetxt(folder / f"{name}.txt", array.reshape(1, -1), fmt="%.17g")
        else:
            (folder / f"{name}.bin").write_bytes(array.tobytes())
    raw = '[raw]\ndtype = "float64"\n' if ending == ".bin" else ""
    (tmp_path / "net.toml").write_text(raw + LAYERS.format(*(f"{name}{ending}" for name in ARRAYS), order="C"))
    network = porter.read(folder, recipe=tmp_path / "net.toml")
    np.testing.assert_allclose(build_program(network)(X)[0], Y, rtol=1e-12)


def test_other_files_of_a_folder_are_not_taken_for_raw_numbers(tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    for name, array in ARRAYS.items():
        np.save(folder / f"{name}.npy", array)
    (tmp_path / "net.toml").write_text(
        '[raw]\ndtype = "float64"\n' + LAYERS.format(*(f"{n}.npy" for n in ARRAYS), order="C")
    )
    with pytest.raises(errors.StoredTypeError, match="which says itself how its numbers are stored"):
        porter.read(folder, recipe=tmp_path / "net.toml")


def printed(array, name=""):
    return "".join(name + " ".join(repr(float(value)) for value in row) + "\n" for row in np.atleast_2d(array))


OF_FOLDER = (
    LAYERS.replace("shape = [5, 3]\n", "")
    .replace("shape = [4, 5]\n", "")
    .format("W_1.txt/lines 2-6", "b.txt/line 1", "W_2.txt/lines 2-5", "b.txt/lines 2-2", order="C")
)


@pytest.fixture
def texts(tmp_path):
    """A size above one kernel, words above the other and a name before each of its rows, two biases in one file."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "W_1.txt").write_text("5 3\n" + printed(ARRAYS["W1"]))
    (folder / "W_2.txt").write_text("weights of the second\n" + printed(ARRAYS["W2"], "unit "))
    (folder / "b.txt").write_text(printed(ARRAYS["B1"]) + printed(ARRAYS["B2"]))
    return folder


def test_lines_of_the_texts_of_a_folder(tmp_path, texts):
    (tmp_path / "net.toml").write_text(OF_FOLDER)
    network = porter.read(texts, recipe=tmp_path / "net.toml")
    np.testing.assert_allclose(build_program(network)(X)[0], Y, rtol=1e-12)


def test_files_that_differ_in_their_endings_alone_have_their_whole_names(tmp_path, texts):
    (texts / "W_1.dat").write_text(printed(np.zeros((5, 3))))
    (texts / "W_1.txt").write_text(printed(ARRAYS["W1"]))
    text = OF_FOLDER.replace("W_1.txt/lines 2-6", "W_1.txt")
    (tmp_path / "net.toml").write_text(text)
    network = porter.read(texts, recipe=tmp_path / "net.toml")
    np.testing.assert_allclose(build_program(network)(X)[0], Y, rtol=1e-12)
    (tmp_path / "net.toml").write_text(text.replace("W_1.txt", "W_1.dat"))
    assert not np.any(porter.read(texts, recipe=tmp_path / "net.toml").layer("Layer1").kernel)
    (tmp_path / "net.toml").write_text(text.replace("W_1.txt", "W_1"))
    with pytest.raises(errors.RecipeError, match=r"no dataset 'W_1'\n.*'W_1.dat', 'W_1.txt'"):
        porter.read(texts, recipe=tmp_path / "net.toml")


def test_what_no_family_reads_is_refused_with_the_way_to_a_recipe(tmp_path):
    for name, data, says in (
        ("numbers.txt", b"net\n1.0 2.0\n3.0 4.0\n", "porter inspect FILE --write-recipe net.toml"),
        ("numbers.bin", np.ones(9).tobytes(), r"to do: .* a recipe says so: \[raw\]"),
        ("prose.txt", b"not a network\n", "with an example each$"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(errors.UnknownFormatError, match=says):
            porter.read(tmp_path / name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "first.txt").write_text("1.0 2.0\n")
    with pytest.raises(errors.NotAFileError, match="porter inspect FOLDER --write-recipe"):
        porter.read(tmp_path / "folder")


def test_lines_of_one_text(tmp_path):
    text = "net\n5 3\n" + printed(ARRAYS["W1"]) + printed(ARRAYS["B1"]) + "4 5\n" + printed(ARRAYS["W2"], "unit ")
    (tmp_path / "net.txt").write_text(text + printed(ARRAYS["B2"]))
    names = {"W_1.txt/lines 2-6": "lines 3-7", "b.txt/line 1": "line 8", "W_2.txt/lines 2-5": "lines 10-13"}
    recipe = OF_FOLDER.replace("b.txt/lines 2-2", "line 14")
    for old, new in names.items():
        recipe = recipe.replace(old, new)
    (tmp_path / "net.toml").write_text(recipe)
    network = porter.read(tmp_path / "net.txt", recipe=tmp_path / "net.toml")
    np.testing.assert_allclose(build_program(network)(X)[0], Y, rtol=1e-12)


def test_numbers_that_are_broken_into_lines(tmp_path):
    """As Fortran writes more numbers than a line holds; a form feed begins no line."""
    numbers = [f"{number:.17g}" for number in ARRAYS["W1"].reshape(-1)]
    broken = "".join(" ".join(numbers[start : start + 4]) + "\n" for start in range(0, len(numbers), 4))
    text = "net\f of 1994\n" + broken + printed(ARRAYS["B1"]) + printed(ARRAYS["W2"]) + printed(ARRAYS["B2"])
    (tmp_path / "net.txt").write_text(text)
    names = ("lines 2-5", "line 6", "lines 7-10", "line 11")
    layout = OF_FOLDER.replace("b.txt/lines 2-2", "b.txt/line 2")
    for old, new in zip(("W_1.txt/lines 2-6", "b.txt/line 1", "W_2.txt/lines 2-5", "b.txt/line 2"), names, strict=True):
        layout = layout.replace(old, new)
    shaped = layout.replace('"lines 2-5"', '"lines 2-5"\nshape = [5, 3]')
    (tmp_path / "net.toml").write_text(shaped)
    network = porter.read(tmp_path / "net.txt", recipe=tmp_path / "net.toml")
    np.testing.assert_allclose(build_program(network)(X)[0], Y, rtol=1e-12)
    (tmp_path / "net.toml").write_text(layout)
    with pytest.raises(errors.PorterError, match=r"'lines 2-5' is not a matrix\n +found: +shape \(15,\)"):
        porter.read(tmp_path / "net.txt", recipe=tmp_path / "net.toml")
    (tmp_path / "net.txt").write_text(text.replace(numbers[0] + " ", ""))
    (tmp_path / "net.toml").write_text(shaped)
    with pytest.raises(errors.PorterError, match="3 and 4 values in lines 2 to 5"):
        porter.read(tmp_path / "net.txt", recipe=tmp_path / "net.toml")


@pytest.mark.parametrize("container", ["net.csv", "texts"])
def test_decimal_commas_are_refused_wherever_they_stand(tmp_path, container):
    """Also where every line has as many of them, which is a matrix of twice as many columns."""
    path = tmp_path / "net.csv" if container == "net.csv" else tmp_path / "texts" / "W.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("0,5;1,25\n-0,25;0,75\n")
    name = "lines 1-2" if container == "net.csv" else "W.csv"
    (tmp_path / "net.toml").write_text(f'[[layers]]\nkernel = "{name}"\n')
    with pytest.raises(errors.PorterError, match="several signs between the numbers of line 1"):
        porter.read(tmp_path / container, recipe=tmp_path / "net.toml")
    path.write_text("0.5;1.25\n-0.25;0.75\n")
    assert porter.read(tmp_path / container, recipe=tmp_path / "net.toml").widths == (2, 2)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("lines 2-6", "lines 1-6", "2 and 3 values in lines 1 to 6"),
        ("lines 2-6", "lines 2-7", "6 lines"),
        ("lines 2-6", "lines 6-2", "6 lines\n  expected: first-last, of these lines"),
        ("W_2.txt/lines 2-5", "W_2.txt/lines 1-5", "'of' in line 1, which is no number"),
        ("W_1.txt", "W_9.txt", "no dataset 'W_9.txt/lines 2-6'"),
    ],
)
def test_lines_that_are_no_matrix_are_refused(tmp_path, texts, old, new, says):
    (tmp_path / "net.toml").write_text(OF_FOLDER.replace(old, new))
    with pytest.raises(errors.PorterError) as refused:
        porter.read(texts, recipe=tmp_path / "net.toml")
    assert says in str(refused.value)


def test_decimal_commas_are_refused(tmp_path, texts):
    (texts / "b.txt").write_text("0,5 0,25 1,5 2,0 1,0\n" + printed(ARRAYS["B2"]))
    (tmp_path / "net.toml").write_text(OF_FOLDER)
    with pytest.raises(errors.DamagedFileError, match="decimal commas"):
        porter.read(texts, recipe=tmp_path / "net.toml")
