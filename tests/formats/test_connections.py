"""Listings of one connection a line: what is written is read, and nothing is guessed."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.errors import (
    DamagedFileError,
    DuplicateMemberError,
    MissingMemberError,
    OptionContradictionError,
    TruncatedFileError,
    UnknownFormatError,
    UnknownMemberError,
)
from porter.formats.programs import build_program
from tests.formats.families import forward, weights, write_connections

FLAT = "from to weight\nbias 3 0.5\n1 3 -0.25\n2 3 0.75\nbias 4 0.1\n1 4 0.2\n2 4 0.3\n3 5 2\n4 5 -3\n"
LAYERED = "Layer;Source;Target;Weight\n" + "".join(
    f"{line}\n" for line in ("2;1;1;2", "2;2;1;-3", "1;bias;1;0.5", "1;1;1;-0.25", "1;2;1;0.75", "1;bias;2;0.1")
) + "1;1;2;0.2\n1;2;2;0.3\n"  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "net.csv"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("layered", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("widths", [(12, 11, 5, 3), (4, 1)])
def test_it_adds_up_what_is_listed(tmp_path, layered, shuffled, widths):
    drawn, x = weights(widths), np.random.default_rng(0).normal(size=(40, widths[0]))
    network = porter.read(write_connections(tmp_path / "net.csv", drawn, layered=layered, shuffled=shuffled))
    wanted = forward(drawn, [*[np.tanh] * (len(widths) - 2), lambda z: z], x)
    np.testing.assert_allclose(build_program(network)(x)[0], wanted, rtol=0, atol=1e-12)
    assert (network.family, network.widths) == ("connections", widths)
    told = {claim.convention: (claim.evidence, claim.detail[:7]) for claim in network.claims}
    assert told["activation"] == ("assumed", "a guess") and told["order"][0] == "declared"


@pytest.mark.parametrize("text", [FLAT, LAYERED])
def test_by_hand(written, text):
    network = porter.read(written(text), activation="sigmoid")
    x, y = 0.3, -0.7
    first, second = (1 / (1 + np.exp(-z)) for z in (0.5 - 0.25 * x + 0.75 * y, 0.1 + 0.2 * x + 0.3 * y))
    found = build_program(network)(np.array([[x, y]]))[0]
    np.testing.assert_allclose(found, [[2 * first - 3 * second]], rtol=1e-14)
    assert network.layer("Layer2").bias is None
    with pytest.raises(OptionContradictionError, match="names both ends"):
        porter.read(written(text), orientation="inputs-first")


def test_zeros_before_a_number_do_not_matter(written):
    wanted = porter.read(written(FLAT)).layer("Layer1").kernel
    path = written(FLAT.replace(" 3 ", " 03 ").replace("\n1 ", "\n001 "))
    np.testing.assert_array_equal(porter.read(path).layer("Layer1").kernel, wanted)


@pytest.mark.parametrize(
    ("text", "old", "new", "error", "says"),
    [
        (FLAT, "2 4 0.3\n", "", MissingMemberError, "from '2' to '4'"),
        (FLAT, "bias 4 0.1\n", "", MissingMemberError, "the bias of '4'"),
        (FLAT, "bias 4", "0 4", MissingMemberError, "from '0' to '3'"),
        (FLAT, "bias", "b", UnknownMemberError, "whose place nothing says"),
        (FLAT, "bias", "0", UnknownMemberError, "which the first input is"),
        (FLAT, "1 3 -0.25\n2 3 0.75", "temperature 3 1\nhumidity 3 1", UnknownMemberError, "whose place nothing says"),
        (FLAT, "\n1 ", "\n6 ", UnknownMemberError, "in which order the inputs are, or which there are"),
        (FLAT, "\n1 ", "\nx1 ", UnknownMemberError, "in which order the inputs are"),
        (FLAT, "3 5 2", "1 5 2", UnknownMemberError, "past a layer"),
        (FLAT, "2 4 0.3", "5 4 0.3", UnknownMemberError, "in a circle"),
        (FLAT, "2 4 0.3", "1 4 0.3", DuplicateMemberError, "two connections from '1' to '4'"),
        (FLAT, "4 5 -3", "4 5", DamagedFileError, "3 words"),
        (FLAT, "4 5 -3", "4 5 -3x", DamagedFileError, "no number"),
        (FLAT, "-3\n", "-3", TruncatedFileError, "ends within a line"),
        (LAYERED, "1;1;2;0.2\n", "", MissingMemberError, "from '0:1' to '1:2'"),
        (LAYERED, "2;2;1;-3", "2;3;1;-3", UnknownMemberError, "past a layer|the inputs"),
        (LAYERED, "\n2;", "\n3;", UnknownMemberError, "the layers are"),
        (LAYERED, "\n2;", "\nlast;", UnknownMemberError, "whose place nothing says"),
    ],
)
def test_what_is_not_said_is_not_guessed(written, text, old, new, error, says):
    assert old in text
    with pytest.raises(error, match=says):
        porter.read(written(text.replace(old, new)))


@pytest.mark.parametrize(
    "text",
    [
        "layer from to weight\n1 0 1 0.5\n1 1 1 0.25\n1 2 1 0.75\n",
        "from to weight\n2 4 1\n3 4 1\n",
    ],
)
def test_a_first_input_that_may_be_a_bias_or_missing(written, text):
    with pytest.raises(UnknownMemberError, match="which the first input is"):
        porter.read(written(text))


@pytest.mark.parametrize("text", ["from to\n1 2\n", "to from weight\n1 2 3\n", "1 3 -0.25\n2 3 0.75\n"])
def test_without_a_heading_it_is_no_listing(written, text):
    with pytest.raises(UnknownFormatError):
        porter.read(written(text))


def test_nothing_but_a_heading(written):
    with pytest.raises(UnknownMemberError, match="no connections"):
        porter.read(written("from to weight\n"))


def test_more_layers_than_anybody_has(written):
    with pytest.raises(DamagedFileError, match="at most 1,000"):
        porter.read(written("from to weight\n" + "".join(f"{n} {n + 1} 1\n" for n in range(1, 1200))))
