"""SNNS' networks: units in any order, functions by default, by type or by unit, connections in any order."""

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
    UnknownMemberError,
)
from porter.formats.programs import build_program
from tests.formats.families import forward, weights, write_snns

WIDTHS = (4, 6, 5, 2)
FUNCTIONS = {
    "Act_Logistic": lambda x: 1 / (1 + np.exp(-x)),
    "Act_TanH": np.tanh,
    "Act_LogSym": lambda x: 1 / (1 + np.exp(-x)) - 0.5,
    "Act_Elliott": lambda x: x / (1 + np.abs(x)),
    "Act_IdentityPlusBias": lambda x: x,
}
SHOWN = ("Act_TanH", "Act_Logistic", "Act_IdentityPlusBias")

XOR = """\
SNNS network definition file V1.4-3D
generated at Mon Apr 25 15:58:28 1994

network name : two layers by hand
source files :
no. of units : 5
no. of connections : 6
no. of unit types : 1
no. of site types : 0


learning function : Quickprop
update function   : Topological_Order

# a comment
type definition section :

name   | act func | out func     | sites
-------|----------|--------------|------
Output | Act_TanH | Out_Identity |
-------|----------|--------------|------


unit default section :

act      | bias     | st | subnet | layer | act func     | out func
---------|----------|----|--------|-------|--------------|-------------
 0.00000 |  0.50000 | h  |      0 |     1 | Act_Logistic | Out_Identity
---------|----------|----|--------|-------|--------------|-------------


unit definition section :

no. | typeName | unitName | act     | bias    | st | position | act func     | out func | sites
----|----------|----------|---------|---------|----|----------|--------------|----------|------
  1 | Output   | result   | 0.00000 | 0.75000 | o  |  6,0,0   |||
  2 |          | in_1     | 1.00000 | 9.00000 | i  |  3,5,0   | Act_Signum   |          |
  3 |          | hidden   | 0.00000 |         |    |  6,3,0   |||
  4 |          | other    | 0.00000 | -1.5000 | h  |  6,3,0   |||
  5 |          | in_2     | 1.00000 | 0.00000 | i  |  9,5,0   |||
----|----------|----------|---------|---------|----|----------|--------------|----------|------


connection definition section :

target | site | source:weight
-------|------|--------------
     1 |      |  4: 2.00000,  3:-1.00000
     4 |      |  2: 0.50000,
                 5: 0.25000
     3 |      |  5:-4.00000,  2: 3.00000
-------|------|--------------
"""


@pytest.fixture
def drawn():
    kernels, biases = weights(WIDTHS)
    return [np.round(kernel, 5) for kernel in kernels], [np.round(bias, 5) for bias in biases]


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "net.net"
        path.write_text(text)
        return path

    return write


def rows(width=4):
    return np.random.default_rng(0).normal(size=(40, width))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_it_computes_what_the_simulator_computes(tmp_path, drawn, function, shuffled):
    names = (function, "Act_TanH", function)
    network = porter.read(write_snns(tmp_path / "net.net", drawn, names, shuffled=shuffled))
    single = [[array.astype("f4") for array in arrays] for arrays in drawn]
    wanted = forward(single, [FUNCTIONS[name] for name in names], rows())
    np.testing.assert_allclose(build_program(network)(rows())[0], wanted, rtol=0, atol=1e-13)
    assert (network.family, network.widths, network.stored_dtype) == ("snns", WIDTHS, np.float32)
    assert {claim.evidence for claim in network.claims} == {"declared"}


def test_by_hand(written):
    network = porter.read(written(XOR))
    x, y = 0.3, -0.7
    hidden, other = (1 / (1 + np.exp(-z)) for z in (3 * x - 4 * y + 0.5, 0.5 * x + 0.25 * y - 1.5))
    found = build_program(network)(np.array([[x, y]]))[0]
    np.testing.assert_allclose(found, [[np.tanh(2 * other - hidden + 0.75)]], rtol=1e-14)
    assert [str(layer.activation) for layer in network.dense_layers] == ["sigmoid", "tanh"]


def test_the_identity_leaves_its_bias_out(tmp_path, drawn):
    path = write_snns(tmp_path / "net.net", drawn, ("Act_TanH", "Act_TanH", "Act_Identity"))
    network = porter.read(path)
    assert network.layer("Layer3").bias is None and build_program(network).steps[-1].bias is None
    text = path.read_text()
    last = text.rindex("Act_Identity")
    path.write_text(text[:last] + "Act_IdentityPlusBias" + text[last + len("Act_Identity") :])
    network = porter.read(path)
    assert network.layer("Layer3").bias.tolist() == [0, np.float32(drawn[1][2][1])]
    np.testing.assert_array_equal(build_program(network).steps[-1].bias, network.layer("Layer3").bias)


def test_a_connection_that_is_not_there_is_a_zero(written):
    path = written(XOR.replace("4: 2.00000,  ", "").replace("connections : 6", "connections : 5"))
    assert porter.read(path).layer("Layer2").kernel.tolist() == [[-1.0], [0.0]]


def test_what_is_declared_goes_before_what_the_file_says(written):
    network = porter.read(written(XOR), activation="relu", output_activation="linear")
    assert [str(step.activation) for step in build_program(network).steps] == ["relu", "linear"]
    with pytest.raises(OptionContradictionError, match="names both ends"):
        porter.read(written(XOR), orientation="inputs-first")


@pytest.mark.parametrize("order", ["Serial_Order", ""])
def test_other_orders_that_are_one_pass(tmp_path, drawn, order):
    path = write_snns(tmp_path / "net.net", drawn, SHOWN)
    wanted = build_program(porter.read(path))(rows())[0]
    path.write_text(path.read_text().replace("Topological_Order", order))
    np.testing.assert_array_equal(build_program(porter.read(path))(rows())[0], wanted)


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ("Output | Act_TanH", "Output | Act_Softmax", UnknownMemberError, "Act_Softmax"),
        ("Output | Act_TanH", "Outcome | Act_TanH", DamagedFileError, "a type that nothing defines"),
        ("Act_TanH | Out_Identity", "Act_TanH | Out_Clip_11", UnknownMemberError, "Out_Clip_11"),
        (
            "-1.5000 | h  |  6,3,0   |||",
            "-1.5000 | h  |  6,3,0   | Act_TanH | |",
            UnknownMemberError,
            "several activation",
        ),
        ("-1.5000 | h  |", "-1.5000 | sh |", UnknownMemberError, "'sh'"),
        ("-1.5000 | h  |", "-1.5000 | o  |", UnknownMemberError, "an output before the last layer"),
        ("-1.5000 | h  |", "-1.5000 | i  |", UnknownMemberError, "unit 4 is an input, and yet takes"),
        ("|  6,3,0   |||\n  5", "|  6,3,0   ||| site\n  5", UnknownMemberError, "sites"),
        ("     3 |      |", "     3 | site |", UnknownMemberError, "sites"),
        ("     3 |      |", "     9 |      |", DamagedFileError, "not there"),
        ("     3 |      |", "     1 |      |", UnknownMemberError, "unit 3 takes nothing"),
        ("4: 2.00000,", "2: 2.00000,", UnknownMemberError, "past a layer"),
        ("4: 2.00000,", "3: 2.00000,", DuplicateMemberError, "two connections from unit 3 to unit 1"),
        ("4: 2.00000,", "0: 2.00000,", DamagedFileError, "no count"),
        ("4: 2.00000,", "4  2.00000,", DamagedFileError, "source:weight"),
        ("4: 2.00000,", "4: 2.0x000,", DamagedFileError, "no number"),
        ("     1 |      |  4: 2.00000,", "     1 |      |", TruncatedFileError, "connections"),
        ("units : 5", "units : 6", TruncatedFileError, "units"),
        ("units : 5", "units : 4", DamagedFileError, "units"),
        ("no. of units", "no.of units", DamagedFileError, "no count"),
        ("Topological_Order", "BPTT_Order", UnknownMemberError, "BPTT_Order"),
        ("Topological_Order", "Serial_Order", UnknownMemberError, "Serial_Order"),
        ("connection definition", "connection", MissingMemberError, "no connection definition section"),
        ("  3 |          | hidden", "  7 |          | hidden", DamagedFileError, "expected: unit 3"),
        ("unit default section", "unit definition section", DuplicateMemberError, "second"),
        ("# a comment", "# a comment\ntime delay section :\nno\n---\n---\n", UnknownMemberError, "delay"),
        (
            "\n     3 |      |  5:-4.00000,  2: 3.00000\n-------|------|--------------",
            "",
            TruncatedFileError,
            "ends in its",
        ),
    ],
)
def test_what_is_wrong_is_named(written, old, new, error, says):
    assert old in XOR
    with pytest.raises(error, match=says):
        porter.read(written(XOR.replace(old, new, 1)))


def test_circles_are_refused(written):
    text = XOR.replace("     4 |      |  2: 0.50000,", "     4 |      |  1: 1.00000,")
    with pytest.raises(UnknownMemberError, match="in a circle"):
        porter.read(written(text))


def test_a_unit_behind_a_circle_is_not_said_to_be_in_it(written):
    """Units 3 and 4 take from each other; unit 1 only takes from both."""
    text = XOR.replace("  5:-4.00000,", "  4:-4.00000,").replace("  2: 0.50000,", "  3: 0.50000,")
    with pytest.raises(UnknownMemberError, match=r"unit [34] takes, directly"):
        porter.read(written(text))


def test_a_layer_that_is_nearly_empty_is_not_held(written):
    most = 3000
    units = "".join(f"{n} | | | 0 | 0 | {'i' if n <= most else 'o'} | 0,0,0 |||\n" for n in range(1, 2 * most + 1))
    wires = "".join(f"{n + most} | | {n}: 1.0\n" for n in range(1, most + 1))
    head = f"SNNS network definition file V1.4-3D\nno. of units : {2 * most}\nno. of connections : {most}\n"
    default = "unit default section :\na\n-\n0|0|h|0|1|Act_TanH|Out_Identity\n-\n"
    text = (
        f"{head}{default}unit definition section :\na\n-\n{units}-\nconnection definition section :\na\n-\n{wires}-\n"
    )
    with pytest.raises(DamagedFileError, match="nearly everything is empty"):
        porter.read(written(text))
