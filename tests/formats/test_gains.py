"""Vicarious gains: how they are written, what they do, and what is wrong with a port that leaves them out."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.errors import (
    DamagedFileError,
    ListLengthError,
    NonFiniteError,
    OptionContradictionError,
    UnreadableError,
    UsageError,
)
from porter.formats.gains import LEFT_OUT, gains_of
from porter.formats.programs import build_program
from porter.learning.units import ends_of

GAINS = (1.02, 0.98, 0.75, 1.5)
RRS = {"kind": "rrsNN", "physical": True}
TABLE = "   4.12e+02  4.7e-04  3.2e-01  6.0e-19  1.01  {0}  {1}  1.005\n"


@pytest.fixture(scope="module")
def path(fixtures):
    return fixtures / "coast_Lrc_aaNN.h5"


@pytest.fixture(scope="module")
def rows(fixtures):
    with np.load(fixtures / "coast_Lrc_aaNN_physical.npz") as samples:
        return samples["inputs"], samples["outputs"]


def written(tmp_path, text):
    file = tmp_path / "gains.txt"
    file.write_text(text)
    return file


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1.02\n0.98\n0.75\n1.5\n",
        "1.02, 0.98, 0.75, 1.5",
        "1.02;0.98;0.75;1.5\n\n",
        "# bands of nobody's sensor\n1.02 9.8E-01\t0.75 1.5D0 # the last\n",
        "".join(TABLE.format(each, each) for each in (*GAINS, 2.0)),
    ],
)
def test_every_way_to_write_them(tmp_path, text):
    assert gains_of(written(tmp_path, text), 4) == GAINS


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("1.02\n0.98\n0.75\n", ListLengthError, "3 gains"),
        ("1.02 0.98\n0.75 1.5\n", DamagedFileError, "2 lines of 2, 2"),
        ("1.02\n0.98\n-0.75\n1.5\n", OptionContradictionError, "no positive number"),
        ("1.02\n0.98\nnan\n1.5\n", NonFiniteError, "line 3"),
        ("band gain\n412 1.02\n", DamagedFileError, "line 1: a word is no number"),
        ("", UnreadableError, "empty"),
        ("# nothing but words\n", DamagedFileError, "0 lines"),
        ("".join(TABLE.format(1, each) for each in GAINS), OptionContradictionError, "chooses pixel by pixel"),
        ("".join(TABLE.format(1, 1) for _ in range(3)), ListLengthError, "3 gains"),
    ],
)
def test_every_way_to_be_wrong(tmp_path, text, error, told):
    with pytest.raises(error) as caught:
        gains_of(written(tmp_path, text), 4)
    assert told in str(caught.value)
    assert type(caught.value) is error or error is UnreadableError


def test_no_text_at_all(path):
    with pytest.raises(DamagedFileError, match="holds no gains"):
        gains_of(path, 4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "rrsNN"}, "gains without physical="),
        ({"kind": "aaNN", "physical": True}, "gains for a network of the kind aaNN"),
    ],
)
def test_of_what_they_are(path, options, told):
    with pytest.raises(OptionContradictionError, match=told):
        porter.read(path, gains=GAINS, **options)


def test_other_families_have_none(fixtures):
    with pytest.raises(UsageError, match="a file of the format ffbp"):
        porter.read(fixtures / "families" / "ffbp_7x7.net", gains=GAINS)


# --- what they do ----------------------------------------------------------------------------------------------------


def test_they_multiply_what_the_network_gives(path, rows, tmp_path):
    inputs, outputs = rows
    network = porter.read(path, gains=written(tmp_path, "1.02 0.98 0.75 1.5"), **RRS)
    assert network.layers[-1].name == "Gains"
    assert network.declarations["gains"] == list(GAINS)
    steps = build_program(network).steps
    assert np.allclose(build_program(network)(inputs)[0], _by_hand(path, inputs) * GAINS, rtol=1e-13)
    assert steps[-1].name == "Gains"
    assert not np.allclose(outputs * GAINS, outputs, rtol=1e-2)


def _by_hand(path, inputs):
    network = porter.read(path)
    x = np.concatenate([np.cos(np.deg2rad(inputs[:, :3])), np.log10(inputs[:, 3:])], axis=1)
    return 10.0 ** build_program(network)(x)[0]


def test_their_program_refuses_another_number(path):
    network = porter.read(path, gains=GAINS, **RRS)
    with pytest.raises(ValueError, match="3 gains"):
        build_program(network, gains=GAINS[:3])


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize(("placement", "dtype"), [("inside", "float32"), ("folded", "float64")])
def test_a_port_has_them(path, rows, placement, dtype):
    network = porter.read(path, gains=GAINS, **RRS)
    model = porter.build(network, placement=placement, dtype=dtype)
    report = porter.verify(network, model, samples=(rows[0], rows[1] * GAINS), search=False, gradients=True)
    assert report.verdict == report.gradients.verdict == "parity", str(report)
    assert report.layers[-1].layer == "Gains"
    assert LEFT_OUT not in report.notes
    assert type(model.layers[-1]).__name__ == "Rescaling"


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize(
    ("wrong", "code"),
    [(None, "scaling.missing"), (GAINS[::-1], "scaling.range"), ([1 / each for each in GAINS], "scaling.inverted")],
)
def test_a_port_that_has_them_wrong(path, wrong, code):
    network = porter.read(path, gains=GAINS, **RRS)
    report = porter.verify(network, porter.build(porter.read(path, gains=wrong, **RRS)), search=False)
    assert [(finding.code, finding.layer) for finding in report.findings] == [(code, "Gains")]
    assert report.after_remedy == "parity"


@pytest.mark.usefixtures("keras")
def test_a_gain_of_a_few_thousandths_is_not_taken_for_folded(path):
    """Between gains and the last layer stands a power, which nothing can be folded through."""
    network = porter.read(path, gains=[1.001] * 4, **RRS)
    report = porter.verify(network, porter.build(porter.read(path, **RRS)), search=False)
    assert [(finding.code, finding.layer) for finding in report.findings] == [("scaling.missing", "Gains")]


@pytest.mark.usefixtures("keras")
def test_what_is_left_out_is_said(path):
    network = porter.read(path, **RRS)
    assert LEFT_OUT in porter.verify(network, porter.build(network), search=False, rows=200).notes
    other = porter.read(path, physical=True)
    assert LEFT_OUT not in porter.verify(other, porter.build(other), search=False, rows=200).notes


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize("ending", [".py", ".onnx"])
def test_other_formats_have_them(path, tmp_path, ending):
    network = porter.read(path, gains=GAINS, **RRS)
    assert porter.export(network, tmp_path / f"port{ending}").verdict == "parity"


def test_learning_leaves_their_units_alone(path):
    """What is documented of the outputs holds in front of the gains."""
    ends = ends_of(porter.read(path, gains=GAINS, **RRS), {"Transform_in", "Norm_in"}, "inside")
    assert ends.scalings[1] is None
    assert ends.transforms[1] is None
    assert ends_of(porter.read(path, **RRS), {"Transform_in", "Norm_in"}, "inside").scalings[1] is not None


def test_of_a_sensor(real):
    """The original's own outputs, times the gains as its code multiplies them."""
    file = real / "oc_smart" / "sensors" / "SeaWiFS" / "SeaWiFS_Lrc_rrsNN.h5"
    network = porter.read(file, physical=True, gains=np.linspace(0.56, 1.03, 7))
    plain = porter.read(file, physical=True)
    x = np.random.default_rng(0).uniform(*plain.input_range.T, (16, 11))
    expected = build_program(plain)(x)[0] * np.linspace(0.56, 1.03, 7)
    assert np.array_equal(build_program(network)(x)[0], expected)
