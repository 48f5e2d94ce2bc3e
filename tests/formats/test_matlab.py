"""Functions that MATLAB's genFunction wrote: read as data, never run."""

from __future__ import annotations

import re

import numpy as np
import pytest

import porter
from porter.errors import DamagedFileError, MissingMemberError, ScalingRangeError, UnknownMemberError
from porter.formats.programs import build_program
from tests.formats.families import forward, weights, write_matlab

WIDTHS = (4, 6, 6, 2)
NAMES = ("tansig", "logsig", "purelin")
FUNCTIONS = {
    "purelin": lambda n: n,
    "tansig": lambda n: 2 / (1 + np.exp(-2 * n)) - 1,
    "logsig": lambda n: 1 / (1 + np.exp(-n)),
    "poslin": lambda n: np.maximum(0, n),
    "satlin": lambda n: np.clip(n, 0, 1),
    "satlins": lambda n: np.clip(n, -1, 1),
    "softmax": lambda n: np.exp(n) / np.exp(n).sum(axis=1, keepdims=True),
}


@pytest.fixture
def drawn():
    return weights(WIDTHS)


def rows():
    return np.random.default_rng(0).normal(size=(40, 4))


def expected(path, drawn, names, x, level):
    """The settings out of the text by a pattern of the test's own; then MATLAB's own formulas."""
    text = path.read_text()

    def setting(end, key):
        inner = re.search(rf"^{end}1_step1[._]{key} = \[?([^\]\n]*)\]?;", text, re.MULTILINE)[1]
        return np.array([float(word) for word in inner.split(";")])

    scaled = (x - setting("x", "xoffset")) * setting("x", "gain") + level
    out = forward(drawn, [FUNCTIONS[name] for name in names], scaled)
    return (out - level) / setting("y", "gain") + setting("y", "xoffset")


@pytest.mark.parametrize(
    ("ends", "dots", "level"), [("ymin", ".", -1), ("ymin", "_", -1), ("ymean", ".", 0), ("ymin", ".", 0)]
)
def test_it_computes_what_matlab_computes(tmp_path, drawn, ends, dots, level):
    path = write_matlab(tmp_path / "net.m", drawn, NAMES, ends=ends, dots=dots, level=level)
    network = porter.read(path)
    wanted = expected(path, drawn, NAMES, rows(), level)
    np.testing.assert_allclose(build_program(network)(rows())[0], wanted, rtol=0, atol=1e-12)
    assert network.family == "matlab-function"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_transfer_function(tmp_path, drawn, name):
    names = (name, name, name)
    path = write_matlab(tmp_path / "net.m", drawn, names)
    network = porter.read(path)
    np.testing.assert_allclose(
        build_program(network)(rows())[0], expected(path, drawn, names, rows(), -1), rtol=0, atol=1e-12
    )
    claims = [claim for claim in network.claims if claim.convention == "activation"]
    assert {(claim.evidence, claim.detail) for claim in claims} == {("declared", "declared by the file")}


def test_matrices_over_several_lines(tmp_path, drawn):
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    broken = path.read_text().replace(";", ";...\n", 3)
    text = re.sub(r"(IW1_1 = \[[^;]*);", r"\1;...\n  ", path.read_text())
    assert text != path.read_text() and broken
    whole = porter.read(path)
    path.write_text(text)
    np.testing.assert_array_equal(porter.read(path).layer("Layer1").kernel, whole.layer("Layer1").kernel)


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ("tansig_apply(repmat", "radbas_apply(repmat", UnknownMemberError, "radbas"),
        ("b2 = [", "b9 = [", MissingMemberError, "b2"),
        ("LW3_2 = [", "LW3_1 = [", UnknownMemberError, "LW3_1"),
        ("x1_step1.gain", "x1_step1.keep", UnknownMemberError, "keep"),
        ("x1_step1.xoffset", "x1_step2.xoffset", UnknownMemberError, "x1_step2"),
        ("IW1_1 = [", "IW1_1 = [1;", DamagedFileError, "no matrix"),
        ("b1 = [", "b1 = [x;", DamagedFileError, "no number"),
        ("x1_step1.gain = [", "x1_step1.gain = [-", ScalingRangeError, "gain"),
        ("    a", "    z", MissingMemberError, "the simulation of its layers"),
        ("    a3 = ", "    z3 = ", UnknownMemberError, "LW3_2"),
        ("% Layer 1\n", "b1 = 3;\n", DamagedFileError, "twice"),
        ("for ts=1:TS", "Xd = tapdelay(X,1);", UnknownMemberError, "delays"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, drawn, old, new, error, says):
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(error, match=says):
        porter.read(path)
