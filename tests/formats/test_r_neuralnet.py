"""neuralnet's result.matrix, as it is printed and as it is written."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.errors import (
    DamagedFileError,
    DuplicateMemberError,
    MissingMemberError,
    TruncatedFileError,
    UnknownMemberError,
)
from porter.formats.programs import build_program
from tests.formats.families import forward, weights, write_r_neuralnet

SMALL = """\
                          [,1]
error                      2.5
reached.threshold        0.009
steps                  1.3e+02
Intercept.to.1layhid1      0.5
b.to.1layhid1            -0.25
a.to.1layhid1             0.75
Intercept.to.1layhid2      0.1
b.to.1layhid2               NA
a.to.1layhid2              0.3
Intercept.to.y              -1
1layhid1.to.y                2
1layhid2.to.y               -3
"""


def logistic(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "result.txt"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("printed", [False, True])
@pytest.mark.parametrize("widths", [(4, 12, 3), (4, 5, 5, 1), (3, 2)])
def test_it_computes_what_compute_does(tmp_path, printed, widths):
    drawn, x = weights(widths), np.random.default_rng(0).normal(size=(40, widths[0]))
    network = porter.read(write_r_neuralnet(tmp_path / "result.csv", drawn, printed=printed))
    wanted = forward(drawn, [*[logistic] * (len(widths) - 2), lambda z: z], x)
    np.testing.assert_allclose(build_program(network)(x)[0], wanted, rtol=0, atol=1e-13)
    assert (network.family, network.widths) == ("r-neuralnet", widths)
    assert {claim.evidence for claim in network.claims if claim.convention == "activation"} == {"assumed"}


def test_by_hand(written):
    """Inputs are in the order in which they are listed; a weight that was excluded is a zero."""
    network = porter.read(written(SMALL), activation="tanh")
    b, a = 0.3, -0.7
    hidden = np.tanh([0.5 - 0.25 * b + 0.75 * a, 0.1 + 0.3 * a])
    found = build_program(network)(np.array([[b, a]]))[0]
    np.testing.assert_allclose(found, [[-1 + 2 * hidden[0] - 3 * hidden[1]]], rtol=1e-14)


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ("a.to.1layhid2              0.3\n", "", MissingMemberError, "from 'a' to '1layhid2'"),
        ("1layhid2.to.y               -3\n", "", UnknownMemberError, "the outputs are not the last layer"),
        ("Intercept.to.1layhid2      0.1\n", "", DamagedFileError, "do not begin with its bias"),
        (
            "Intercept.to.y              -1\n1layhid1.to.y                2\n1layhid2.to.y               -3\n",
            "",
            MissingMemberError,
            "layer 1 is not as neuralnet names its units",
        ),
        ("layhid2", "layhid3", MissingMemberError, "layer 1 is not as neuralnet names its units"),
        ("b.to.1layhid1 ", "a.to.1layhid1 ", DuplicateMemberError, "two connections"),
        ("b.to.1layhid1 ", "b->1layhid1 ", UnknownMemberError, "no connection"),
        ("1layhid2.to.y ", "1layhid2.to.y.to.z ", UnknownMemberError, "several ways"),
        ("1layhid2.to.y ", "a.to.y ", UnknownMemberError, "past a layer"),
        ("    -3", "-3 -4", DamagedFileError, "a name and one number"),
        ("    -3", "    -3x", DamagedFileError, "no number"),
        ("-3\n", "-3", TruncatedFileError, "ends within a line"),
    ],
)
def test_what_is_wrong_is_named(written, old, new, error, says):
    assert old in SMALL
    with pytest.raises(error, match=says):
        porter.read(written(SMALL.replace(old, new)))
