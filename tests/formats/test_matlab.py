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


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ("    Xp1 = ", "    X{1,ts} = log10(X{1,ts});\n    Xp1 = ", UnknownMemberError, "log10"),
        ("IW1_1*Xp1", "IW1_1'*Xp1", UnknownMemberError, "IW1_1'"),
        ("LW3_2*a2", "LW3_2*a1", UnknownMemberError, "a1"),
        ("_apply(X{1,ts},x1_step1)", "_apply(X{1,ts},y1_step1)", UnknownMemberError, "y1_step1"),
        ("    Xp1 = mapminmax_apply(X{1,ts},x1_step1);\n", "", UnknownMemberError, "a1 ="),
        ("    Y{1,ts} = mapminmax_reverse(a3,y1_step1);\n", "", MissingMemberError, "ends early"),
        ("(a3,y1_step1);\n", "(a3,y1_step1);\n    Y{1,ts} = 10.^Y{1,ts};\n", UnknownMemberError, "10"),
    ],
)
def test_what_a_hand_put_into_the_simulation_is_refused(tmp_path, drawn, old, new, error, says):
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(error, match=re.escape(says)):
        porter.read(path)


def test_other_ways_in_which_it_is_written(tmp_path, drawn):
    """Matrices alone, samples in rows, sums with bsxfun, settings as arguments of their own."""
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    wanted, text = build_program(porter.read(path))(rows())[0], path.read_text()
    alone = text.replace("X{1,ts}", "x1").replace("Y{1,ts}", "y1").replace("Xp1", "xp1").replace("X{1}", "x1")
    settings = "x1_step1_gain,x1_step1_xoffset,x1_step1_ymin"
    for other in (
        alone,
        alone.replace("    xp1 =", "    x1 = x1';\n    xp1 ="),
        re.sub(r"repmat\((b\d),1,Q\) \+ (\w+\*\w+)", r"bsxfun(@plus,\1,\2)", text),
        text.replace("x1_step1.", "x1_step1_").replace(",x1_step1)", f",{settings})"),
        text.replace("Q = ", "isCellX = iscell(X);\nif ~isCellX\n  X = {X};\nend\nTS = size(X,2); % steps\nQ = "),
    ):
        assert other != text
        path.write_text(other)
        np.testing.assert_array_equal(build_program(porter.read(path))(rows())[0], wanted)
