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
        (
            "    Y{1,ts} = mapminmax_reverse(a3,y1_step1);\n",
            "",
            UnknownMemberError,
            "expected: Y{1,ts} = mapminmax_reverse",
        ),
        ("X = {X};", "X = {log10(X)};", UnknownMemberError, "X = {log10(X)}"),
        ("Y = cell2mat(Y);", "Y = 10.^cell2mat(Y);", UnknownMemberError, "10.^cell2mat(Y)"),
        ("Af = cell(3,0);", "Y = 10.^Y;", UnknownMemberError, "Y = 10.^Y"),
        ("(X,~,~)", "(X,tansig_apply,~)", UnknownMemberError, "tansig_apply"),
        ("(a3,y1_step1);\n", "(a3,y1_step1);\n    Y{1,ts} = 10.^Y{1,ts};\n", UnknownMemberError, "10"),
    ],
)
def test_what_a_hand_put_into_the_simulation_is_refused(tmp_path, drawn, old, new, error, says):
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(error, match=re.escape(says)):
        porter.read(path)


@pytest.mark.parametrize(
    "statement",
    [
        "x1_step1.xoffset = x1_step1.xoffset - 273.15;",
        "x1_step1.gain(2) = 1;",
        "b1(2) = 0;",
        "b1 = b1*2;",
        "IW1_1 = IW1_1 * 0.5;",
        "LW2_1 = LW2_1';",
        "[b1] = deal(b1);",
        "b1(2) = 0, % after a comma",
        "exp = [1 2 3];",
        "X = 3;",
        "load constants",
    ],
)
@pytest.mark.parametrize("before", ["% ===== SIMULATION", "% Layer 3"])
def test_a_constant_that_is_changed_behind_its_value_is_refused(tmp_path, drawn, statement, before):
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    whole = path.read_text()
    line = whole[: whole.index(before)].count("\n") + 1
    for harmless in ("", f"% {statement}\n", f"%{{\n{statement}\n%}}\n", "note = 3;\n"):
        path.write_text(whole.replace(before, f"{harmless}{before}"))
        porter.read(path)
    path.write_text(whole.replace(before, f"{statement}\n{before}"))
    with pytest.raises(UnknownMemberError, match=r"net\.m, line \d+: .*there\n") as caught:
        porter.read(path)
    if before.startswith("% ="):
        assert f"line {line}:" in str(caught.value) and caught.value.found in statement


@pytest.mark.parametrize(
    ("names", "old", "new", "says"),
    [
        (NAMES, "2 ./ (1 + exp(-2*n)) - 1", "1.7159*tanh(2/3*n)", "tansig_apply is not"),
        (NAMES, "  a = 2 ./", "  n = n/2;\n  a = 2 ./", "n = n/2"),
        (NAMES, "exp(-n)", "exp(-2*n)", "logsig_apply is not"),
        (
            NAMES,
            "y = bsxfun(@times,y,settings.gain);",
            "y = bsxfun(@times,y,log(settings.gain));",
            "mapminmax_apply is",
        ),
        (NAMES, "  x = bsxfun(@plus,x,settings.xoffset);\n", "", "mapminmax_reverse is"),
        (NAMES, "function x = mapminmax_reverse", "function y = mapminmax_reverse", "mapminmax_reverse is"),
        (("poslin",) * 3, "max(0,n)", "n.*(n>=0)+(n<0).*(exp(n)-1)", "poslin_apply is not"),
        (("satlin",) * 3, "min(1,n)", "min(6,n)", "satlin_apply is not"),
        (("softmax",) * 3, "exp(n)", "exp(n/2)", "iSoftmaxApplyCPU is not"),
        (NAMES, "% ===== MODULE", "function y = exp(x)\n  y = 2.^x;\nend\n% ===== MODULE", "exp is not"),
        (NAMES, "myNeuralNetworkFunction(X", "bsxfun(X", "bsxfun is not"),
    ],
)
def test_a_function_that_was_changed_is_refused(tmp_path, drawn, names, old, new, says):
    path = write_matlab(tmp_path / "net.m", drawn, names)
    whole = path.read_text()
    porter.read(path)
    assert whole.count(old) == 1
    path.write_text(whole.replace(old, new))
    with pytest.raises(UnknownMemberError, match=re.escape(says)):
        porter.read(path)


def test_a_function_that_nothing_calls_is_nobodys_business(tmp_path, drawn):
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    path.write_text(path.read_text() + "function y = wrapper(x)\n  y = 10.^x;\nend\n")
    porter.read(path)
    path.write_text(path.read_text().replace("wrapper", "repmat"))
    with pytest.raises(UnknownMemberError, match="repmat is not"):
        porter.read(path)


def test_settings_that_are_handed_on_in_another_order_are_refused(tmp_path, drawn):
    path = write_matlab(tmp_path / "net.m", drawn, NAMES, dots="_")
    porter.read(path)
    path.write_text(
        path.read_text().replace("ts},x1_step1_gain,x1_step1_xoffset", "ts},x1_step1_xoffset,x1_step1_gain")
    )
    with pytest.raises(UnknownMemberError, match="x1_step1_xoffset,x1_step1_gain"):
        porter.read(path)


SCRIPT = "IW1_1 = 1;\nb1 = 0;\na1 = repmat(b1,1,Q) + IW1_1*x1;\ny1 = a1 ;\n"


@pytest.mark.parametrize("text", ["% a function\n" + SCRIPT, SCRIPT + "function y = f(x)\n"])
def test_a_script_is_no_function(tmp_path, text):
    path = tmp_path / "net.m"
    path.write_text(text)
    with pytest.raises(MissingMemberError, match="IW1_1 = 1"):
        porter.read(path)


def test_a_file_that_ends_within_its_simulation(tmp_path, drawn):
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    path.write_text(path.read_text().split("    Y{1,ts}")[0])
    with pytest.raises(MissingMemberError, match="ends early"):
        porter.read(path)


def in_a_matrix(text):
    """The same function as genFunction writes it with MatrixOnly."""
    start, stop = text.index("isCellX ="), text.index("    Xp1 =")
    text = text[:start] + "Q = size(x1,2); % samples\n" + text[stop:]
    start, stop = text.index("end\nXf ="), text.index("% ===== MODULE")
    text = text[:start] + "end\n" + text[stop:]
    text = text.replace("[Y,Xf,Af]", "[y1]").replace("(X,~,~)", "(x1)")
    return text.replace("X{1,ts}", "x1").replace("Y{1,ts}", "y1").replace("Xp1", "xp1")


def test_other_ways_in_which_it_is_written(tmp_path, drawn):
    """Matrices alone, samples in rows, sums with bsxfun, settings as arguments of their own, lines joined or broken."""
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    text, older = path.read_text(), write_matlab(tmp_path / "older.m", drawn, NAMES, dots="_").read_text()
    wanted = build_program(porter.read(path))(rows())[0]
    alone = in_a_matrix(text)
    rows_in = alone.replace("size(x1,2)", "size(x1,1)").replace("    xp1 =", "    x1 = x1';\n    xp1 =")
    for other in (
        alone,
        rows_in.replace("(a3,y1_step1);", "(a3,y1_step1);\ny1 = y1';"),
        re.sub(r"repmat\((b\d),1,Q\) \+ (\w+\*\w+)", r"bsxfun(@plus,\1,\2)", text),
        older,
        older.replace("if ~isCellX\n  X = {X};\nend", "if ~isCellX, X = {X}; end;"),
        re.sub(r"(?m)^end\n(?=function|$)", "", older.replace("Y = cell2mat(Y);\nend\nend", "Y = cell2mat(Y);\nend")),
        re.sub(r";\n(?=[xyb]\d)", ";  ", text),
        re.sub(r"(?m)^(b\d = .*);$", r"%{\nb1 = [0;0];\n  %{\n  %}\nb1 = 1;\n%}\n\1", text),
        text.replace("IW1_1 = [", "IW1_1 = [ ... the first\n  ").replace("-", " -").replace(";b", "; b"),
        re.sub(r"(IW1_1 = \[[^;]*);", r"\1 % a row\n", text),
        text.replace("\n", "\r\n"),
    ):
        assert other != text
        path.write_text(other, newline="")
        np.testing.assert_array_equal(build_program(porter.read(path))(rows())[0], wanted)


def test_without_processing(tmp_path, drawn):
    """``y1 = a3;`` is what genFunction writes where outputs are not processed."""
    path = write_matlab(tmp_path / "net.m", drawn, NAMES)
    text = re.sub(r"(?m)^[xy]1_step1.*\n|^    Xp1 = .*\n", "", path.read_text())
    text = re.sub(r"mapminmax_reverse\(a3,y1_step1\)", "a3", text).replace("*Xp1", "*X{1,ts}")
    for other in (text, in_a_matrix(text.replace("    a1 =", "    Xp1 = 0;\n    a1 =")).replace("    xp1 = 0;\n", "")):
        path.write_text(other)
        wanted = forward(drawn, [FUNCTIONS[name] for name in NAMES], rows())
        np.testing.assert_allclose(build_program(porter.read(path))(rows())[0], wanted, rtol=0, atol=1e-12)
    path.write_text(other.replace("y1 = a3", "y1 = a2"))
    with pytest.raises(UnknownMemberError, match="y1 = a2"):
        porter.read(path)
