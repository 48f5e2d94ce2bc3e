"""Golden samples: their shapes, their values and the resolution that they were printed with."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import porter
from porter import errors
from porter.formats.samples import as_rounded, make_samples, read_samples
from tests.formats.files import write

GOOD = {"inputs": np.ones((5, 3)), "outputs": np.zeros((5, 2))}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return porter.read(write(tmp_path_factory.mktemp("net") / "net.h5"))


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def text(path, content):
    path.write_text(content)
    return path


def assert_refused(kind, path, network):
    with pytest.raises(errors.SamplesError) as caught:
        read_samples(path, network)
    assert type(caught.value) is kind, caught.value
    message = str(caught.value)
    assert str(path) in message
    return message


def test_the_real_samples(real):
    network = porter.read(real / "oc_smart" / "PACE_Lrc_aaNN.h5")
    samples = read_samples(real / "oc_smart" / "expected_network.npz", network)
    assert samples.inputs[0].shape == (512, 111)
    assert samples.outputs[0].shape == (512, 107)
    assert not samples.resolution[0].any()


def test_npz_keeps_the_values_and_the_stored_spacing(tmp_path, network):
    outputs = np.full((5, 2), 0.1, np.float32)
    samples = read_samples(npz(tmp_path / "g.npz", inputs=GOOD["inputs"], outputs=outputs), network)
    assert samples.outputs[0].dtype == np.float64
    np.testing.assert_array_equal(samples.outputs[0], outputs.astype(np.float64))
    np.testing.assert_array_equal(samples.resolution[0], np.spacing(np.float32(0.1)) / 2)
    np.testing.assert_array_equal(samples.input_resolution[0], 0)
    assert samples.rows == 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decimals", [1, 4])
def test_outputs_that_somebody_rounded_are_known_to_their_decimals(network, dtype, decimals):
    exact = np.random.default_rng(1).normal(0, 1, (20, 2)).astype(dtype)
    rounded = exact.copy()
    rounded[:, 0] = exact[:, 0].round(decimals)
    samples = make_samples(np.ones((20, 3)), rounded, network)
    known = as_rounded(samples).resolution[0]
    assert np.all(known[:, 0] == 0.5 * 10.0**-decimals)
    np.testing.assert_array_equal(known[:, 1], samples.resolution[0][:, 1])
    assert as_rounded(make_samples(np.ones((20, 3)), exact, network)).resolution[0].max() < 1e-6


def test_outputs_printed_with_so_many_significant_digits_are_known_to_them(network):
    exact = np.random.default_rng(2).lognormal(0, 3, (30, 2)) * [1, -1]
    printed = np.vectorize(lambda number: float(f"{number:.4g}"))(exact)
    known = as_rounded(make_samples(np.ones((30, 3)), printed, network)).resolution[0]
    np.testing.assert_allclose(known, 0.5 * 10.0 ** (np.floor(np.log10(np.abs(printed))) - 3))
    assert np.all(np.abs(exact - printed) <= known * (1 + 1e-9))
    printed[3, 0] = exact[3, 0]
    assert as_rounded(make_samples(np.ones((30, 3)), printed, network)).resolution[0][:, 0].max() < 1e-3


@pytest.mark.parametrize("most", [2, 50])
def test_whole_numbers_tell_of_no_rounding(network, most):
    whole = np.random.default_rng(1).integers(0, most, (20, 2)).astype(np.float64)
    samples = make_samples(np.ones((20, 3)), whole, network)
    assert as_rounded(samples) is samples


def test_compressed_npz(tmp_path, network):
    np.savez_compressed(tmp_path / "g.npz", **GOOD)
    assert read_samples(tmp_path / "g.npz", network).rows == 5


def test_csv_with_header_comment_and_printed_digits(tmp_path, network):
    content = "# from the original\na,b,c,y,z\n1.0,2,-3.25,0.10,1.5e-3\n\n1.00,2e2,-3,7.,NUM\n".replace("NUM", "-0")
    samples = read_samples(text(tmp_path / "g.csv", content), network)
    np.testing.assert_array_equal(samples.inputs[0], [[1, 2, -3.25], [1, 200, -3]])
    np.testing.assert_array_equal(samples.outputs[0], [[0.1, 1.5e-3], [7, 0]])
    np.testing.assert_allclose(samples.input_resolution[0], [[0.05, 0.5, 0.005], [0.005, 50, 0.5]], rtol=1e-15)
    np.testing.assert_allclose(samples.resolution[0], [[0.005, 0.5e-4], [0.5, 0.5]], rtol=1e-15)


@pytest.mark.parametrize("content", ["1;2;3;4;5\n", "1\t2\t3\t4\t5", "1 2  3 4 5 \n", "﻿1, 2, 3, 4, 5\r\n"])
def test_separators(tmp_path, network, content):
    samples = read_samples(text(tmp_path / "g.csv", content), network)
    np.testing.assert_array_equal(np.concatenate([samples.inputs[0], samples.outputs[0]], axis=1), [[1, 2, 3, 4, 5]])


@given(st.floats(-1e6, 1e6), st.integers(0, 12))
def test_the_resolution_covers_the_rounding_of_the_print(value, digits):
    from porter.formats.samples import printed_step

    printed = f"{value:.{digits}e}"
    exponent = int(printed.partition("e")[2])
    spacing = 10.0 ** (exponent - digits)
    assert printed_step(printed) == pytest.approx(spacing / 2)
    # Half a unit, and the rounding of the two conversions.
    assert abs(float(printed) - value) <= printed_step(printed) + np.spacing(abs(value))


def test_ends_of_a_network(tmp_path):
    physical = porter.read(write(tmp_path / "x_aaNN.h5", (6, 4, 2)), physical=True)
    bare = porter.read(write(tmp_path / "net.h5", (6, 4, 2), norms=False))
    assert physical.end_widths == bare.end_widths == (6, 2)


FORMAT, SHAPE, VALUE = errors.SamplesFormatError, errors.SamplesShapeError, errors.SamplesValueError
ARCHIVES = [
    ({"inputs": GOOD["inputs"]}, FORMAT, "have no 'outputs'"),
    ({**GOOD, "outputs": np.zeros((4, 2))}, SHAPE, "5 rows of inputs, 4 of outputs"),
    ({**GOOD, "outputs": np.zeros((5, 3))}, SHAPE, "(rows, 2)"),
    ({**GOOD, "inputs": np.zeros((5, 2))}, SHAPE, "inputs do not fit the network"),
    ({**GOOD, "inputs": np.zeros(3)}, SHAPE, "shape (3,)"),
    ({"inputs": np.ones((0, 3)), "outputs": np.ones((0, 2))}, SHAPE, "shape (0, 3)"),
    ({**GOOD, "outputs": np.where(np.eye(5, 2), np.nan, 1.0)}, VALUE, "2 of 10, the first (nan) in row 0, column 0"),
    ({**GOOD, "inputs": np.full((5, 3), -np.inf)}, VALUE, "15 of 15"),
    ({**GOOD, "inputs": np.full((5, 3), "a")}, FORMAT, "nothing pickled is read"),
    ({**GOOD, "inputs": np.full((5, 3), None)}, FORMAT, "nothing pickled is read"),
    ({**GOOD, "inputs": np.full((5, 3), 1j)}, FORMAT, "complex128"),
]


@pytest.mark.parametrize(("arrays", "kind", "says"), ARCHIVES)
def test_archives_that_are_refused(tmp_path, network, arrays, kind, says):
    assert says in assert_refused(kind, npz(tmp_path / "g.npz", **arrays), network)


TEXTS = [
    ("1,2,3,4\n", SHAPE, "line 1"),
    ("1,2,3,4,5\n1,2,3,4,5,6\n", SHAPE, "5: 3 inputs, then 2 outputs"),
    ("1,2,3,4,five\n", FORMAT, "'five'"),
    ("a,b,c,d,e\nf,g,h,i,j\n", FORMAT, "line 2"),
    ("1,2,3,4,nan\n", VALUE, "outputs have values"),
    ("1,inf,3,4,5\n", VALUE, "row 0, column 1"),
    ("1,2,3,,5\n", FORMAT, "''"),
    ("a,b,c,d,e\n", SHAPE, "shape (0, 3)"),
    ("", SHAPE, "shape (0, 3)"),
]


@pytest.mark.parametrize(("content", "kind", "says"), TEXTS)
def test_texts_that_are_refused(tmp_path, network, content, kind, says):
    assert says in assert_refused(kind, text(tmp_path / "g.csv", content), network)


def test_binary_rubbish(tmp_path, network):
    path = tmp_path / "g.csv"
    path.write_bytes(b"\xff\x00\x93NUMPY")
    assert_refused(FORMAT, path, network)


def test_missing(tmp_path, network):
    assert "does not exist" in assert_refused(FORMAT, tmp_path / "none.npz", network)


def test_a_damaged_archive(tmp_path, network):
    path = npz(tmp_path / "g.npz", **GOOD)
    path.write_bytes(path.read_bytes()[:200])
    assert_refused(FORMAT, path, network)


def test_a_header_that_declares_more_than_is_stored(tmp_path, network):
    stream = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (2**40, 3)}
    np.lib.format.write_array_header_1_0(stream, header)
    path = tmp_path / "g.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inputs.npy", stream.getvalue() + bytes(24))
        archive.writestr("outputs.npy", stream.getvalue())
    assert "shape (1099511627776, 3)" in assert_refused(FORMAT, path, network)
