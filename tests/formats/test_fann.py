"""FANN's networks: bias neurons, steepness, and connections in any order."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.errors import DamagedFileError, MissingMemberError, TruncatedFileError, UnknownMemberError
from porter.formats.programs import build_program
from tests.formats.families import forward, weights, write_fann

WIDTHS = (4, 6, 6, 2)
FUNCTIONS = {
    0: lambda x: x,
    3: lambda x: 1 / (1 + np.exp(-2 * x)),
    5: np.tanh,
    11: lambda x: x / (1 + np.abs(x)),
    12: lambda x: np.clip(x, 0, 1),
    13: lambda x: np.clip(x, -1, 1),
}


@pytest.fixture
def drawn():
    return weights(WIDTHS)


def rows():
    return np.random.default_rng(0).normal(size=(40, 4))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_it_computes_what_fann_run_computes(tmp_path, drawn, function, shuffled):
    steepness = (0.5, 0.3, 1.0)
    path = write_fann(tmp_path / "net.net", drawn, (function, 5, 0), steepness, shuffled=shuffled)
    network = porter.read(path)
    calls = [lambda z, f=FUNCTIONS[n], s=s: f(s * z) for n, s in zip((function, 5, 0), steepness, strict=True)]
    np.testing.assert_allclose(build_program(network)(rows())[0], forward(drawn, calls, rows()), rtol=0, atol=1e-13)
    assert (network.family, network.widths) == ("fann", WIDTHS)


def test_linear_outputs_are_held_as_fann_run_holds_arguments(tmp_path, drawn):
    """To 150 / steepness on either side; rows that do not reach it see nothing of it."""
    path = write_fann(tmp_path / "net.net", drawn, (0, 0, 0), (1.0, 1.0, 0.5))
    network = porter.read(path)
    z = forward(drawn, (lambda x: x, lambda x: x, lambda x: 0.5 * x), 1000 * rows())
    assert np.any(np.abs(z) > 300) and np.any(np.abs(z) < 300)
    np.testing.assert_allclose(build_program(network)(1000 * rows())[0], np.clip(z, -300, 300), rtol=1e-12)
    assert network.layers[-1].name == "Extremes"
    told = [claim.detail for claim in network.claims if claim.value == "not held"]
    assert len(told) == 2 and "150 on either side" in told[0], "of the hidden layers it is said"


def test_what_saturates_anyway_is_not_spoken_of(tmp_path, drawn):
    network = porter.read(write_fann(tmp_path / "net.net", drawn, (3, 5, 13), (0.5, 0.5, 0.5)))
    assert len(network.layers) == 3 and not [claim for claim in network.claims if claim.convention == "transform"]


def test_scaling_that_fann_run_does_not_apply_is_told(tmp_path, drawn):
    path = write_fann(tmp_path / "net.net", drawn, (3, 5, 3), (0.5, 0.5, 0.5))
    assert "scale_included=0" in path.read_text()
    path.write_text(path.read_text().replace("scale_included=0", "scale_included=1"))
    claims = [claim for claim in porter.read(path).claims if claim.convention == "scaling"]
    assert {(claim.value, claim.evidence) for claim in claims} == {("none", "assumed")}


def test_a_connection_that_is_not_there_is_a_zero(tmp_path, drawn):
    path = write_fann(tmp_path / "net.net", drawn, (3, 5, 0), (0.5, 0.5, 0.5))
    text = path.read_text()
    first = text.partition("weight)=")[2].partition(") ")[0] + ") "
    path.write_text(text.replace(first, "").replace("(5, 3, ", "(4, 3, ", 1))
    network = porter.read(path)
    assert network.layer("Layer1").kernel[0, 0] == 0 and np.count_nonzero(network.layer("Layer1").kernel) == 23
    assert build_program(network).steps[0].weights[0, 0] == 0


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ("network_type=0", "network_type=1", UnknownMemberError, "shortcuts"),
        ("layer_sizes=5 7", "layer_sizes=5 8", TruncatedFileError, "neurons"),
        ("layer_sizes=5 7 7 3", "layer_sizes=5 999999999", DamagedFileError, "count"),
        ("layer_sizes=5 7 7 3", "layer_sizes=5 99999999", DamagedFileError, "layer_sizes"),
        ("layer_sizes=", "sizes=", MissingMemberError, "layer_sizes"),
        ("(5, 3, ", "(6, 3, ", TruncatedFileError, "connections"),
        ("(5, 3, ", "(5, 7, ", UnknownMemberError, "7"),
        ("weight)=(0, ", "weight)=(9, ", UnknownMemberError, "takes what is no neuron"),
        ("weight)=(0, ", "weight)=(1, ", UnknownMemberError, "one twice"),
        ("weight)=(0, ", "weight)=(x, ", DamagedFileError, "first whole"),
        ("weight)=(0, ", "weight)=0, ", DamagedFileError, "brackets"),
        ("(5, 3, 5", "(5, 3, -5", DamagedFileError, "steepness"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, drawn, old, new, error, says):
    path = write_fann(tmp_path / "net.net", drawn, (3, 5, 0), (0.5, 0.5, 0.5))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(error, match=says):
        porter.read(path)
