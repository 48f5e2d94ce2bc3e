"""neural-fortran's text: with activations and without, in single and double precision, arrays over several lines."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.errors import DamagedFileError, TruncatedFileError, UnknownFormatError, UnknownMemberError
from porter.formats.programs import build_program
from tests.formats.families import forward, weights, write_neural_fortran

WIDTHS = (4, 6, 6, 2)
NAMES = ("tanh", "relu", "sigmoid")
FUNCTIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(0, x), "sigmoid": lambda x: 1 / (1 + np.exp(-x))}
SMALL = """\
           3
           2           2           1
           1 sigmoid
           2 tanh
           3 relu
  0.500000000      -0.250000000
   1.50000000
  0.100000001       0.200000003       0.300000012       0.400000006
   2*1.00000000
"""


def rows(width=4):
    return np.random.default_rng(0).normal(size=(40, width))


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "net.txt"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("names", [NAMES, None])
def test_it_computes_what_the_original_computes(tmp_path, dtype, names):
    drawn = weights(WIDTHS, dtype=dtype)
    network = porter.read(write_neural_fortran(tmp_path / "net.txt", drawn, names))
    wanted = forward(drawn, [FUNCTIONS[name] for name in names or ("sigmoid",) * 3], rows())
    np.testing.assert_allclose(build_program(network)(rows())[0], wanted, rtol=0, atol=1e-14)
    assert (network.family, network.widths, network.stored_dtype) == ("neural-fortran", WIDTHS, np.dtype(dtype))
    evidence = {claim.evidence for claim in network.claims if claim.convention == "activation"}
    assert evidence == ({"assumed"} if names is None else {"declared"})
    details = {claim.detail for claim in network.claims if claim.evidence == "assumed"}
    assert all(detail.startswith("neural-fortran's; the file does not say") for detail in details)


def test_by_hand(written):
    network = porter.read(written(SMALL))
    x, y = 0.3, -0.7
    hidden = np.tanh([0.1 * x + 0.2 * y + 0.5, 0.3 * x + 0.4 * y - 0.25])
    found = build_program(network)(np.array([[x, y]]))[0]
    np.testing.assert_allclose(found, [[hidden.sum() + 1.5]], rtol=1e-7)
    assert network.layer("Layer1").kernel.dtype == np.float32


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ("2 tanh", "2 gaussian", UnknownMemberError, "gaussian"),
        ("3 relu", "3 step", UnknownMemberError, "step"),
        ("3 relu", "4 relu", DamagedFileError, "3 and an activation"),
        ("2*1.0", "3*1.0", DamagedFileError, "repeated too often"),
        ("0.400000006", "0.400000006 0.5", DamagedFileError, "the weights of layer 1 is longer"),
        ("0.400000006", "0.4000x0006", DamagedFileError, "no number"),
        ("   2*1.00000000\n", "", TruncatedFileError, "ends before the end of the weights of layer 2"),
        ("1.00000000\n", "1.00000000\n 1.0\n", DamagedFileError, "goes on behind"),
        (
            "2           2           1\n",
            "2           2           9\n",
            TruncatedFileError,
            "the biases of layer 2: 7 of 9",
        ),
    ],
)
def test_what_is_wrong_is_named(written, old, new, error, says):
    assert old in SMALL
    with pytest.raises(error, match=says):
        porter.read(written(SMALL.replace(old, new, 1)))


@pytest.mark.parametrize(
    "text",
    [
        "3\n2 2 1\n0.5 0.25\n",
        "3\n2 2 1\n0.5 0.25 1.5\n0.1 0.2 0.3 0.4\n1 1\n",
        "3\n2 2 1\n0.5 0.25\n1.5\n0.1 0.2 0.3 0.4\n1 1 1\n",
        "2\n1\n1\n",
        "3\n2 0 1\n1 tanh\n",
        "2\n",
    ],
)
def test_numbers_that_do_not_fill_the_sizes_are_not_taken(written, text):
    with pytest.raises(UnknownFormatError):
        porter.read(written(text))
